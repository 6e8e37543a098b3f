"""Sums over trailing windows that begin before the history of the bank."""

from __future__ import annotations

import re
from datetime import date

import numpy as np
import pandas as pd

WINDOW = re.compile(r"_(\d+)m$")
# Extremes and averages of a window need no completion.
NOT_SUMS = ("average_", "days_past_due_", "income_max_", "overdraft_", "sentiment_")
OBSERVED, TENURE, FULL = "months_observed", "tenure_months", 12


def sums_of_windows(columns: list[str]) -> dict[str, int]:
    """The features that are sums over more than one month: column → months of its window."""
    spans = {name: int(found[1]) for name in columns if (found := WINDOW.search(name))}
    return {
        name: span for name, span in spans.items() if span > 1 and not name.startswith(NOT_SUMS)
    }


def complete_windows(
    frame: pd.DataFrame, months: pd.Series | date, first_month: date
) -> pd.DataFrame:
    """Bring sums to whole windows at the pace observed, where the history is shorter than these.

    A customer whose months begin with the history may have been one before. Of a window of 12
    months of which the history has 3, a sum is multiplied by 4, or by less for a customer of less
    than 12 months; `months_observed` becomes the months that the sums then stand for. Windows
    within the history are unchanged, and so are sums of customers who came later.

    Parameters
    ----------
    frame : frame of shape (n, …) with features as of a month's end
    months : the month of each row, or of all
    first_month : first month of the history

    Returns
    -------
    frame with the same columns and types; counts are rounded
    """
    month = pd.to_datetime(pd.Series(months, index=frame.index))
    since = (month.dt.year - first_month.year) * 12 + month.dt.month - first_month.month
    history = since.to_numpy(dtype=float) + 1
    if not (history < FULL).any():
        return frame
    observed = frame[OBSERVED].to_numpy(dtype=float, na_value=np.nan)
    is_cut = (history < FULL) & (observed == history)
    tenure = frame[TENURE].to_numpy(dtype=float, na_value=np.nan) + 1
    tenure = np.where(np.isnan(tenure), FULL, np.maximum(tenure, observed))
    completed = {}
    for name, span in {**sums_of_windows(list(frame.columns)), OBSERVED: FULL}.items():
        factor = np.minimum(span, tenure) / np.minimum(span, observed)
        column = frame[name]
        values = column.to_numpy(dtype=float, na_value=np.nan) * np.where(is_cut, factor, 1)
        if pd.api.types.is_integer_dtype(column):
            values = np.rint(values)
        completed[name] = pd.Series(values, index=frame.index).astype(column.dtype)
    # A copy: so many columns assigned one by one are slow to add to.
    return frame.assign(**completed).copy()
