"""Which features predict an outcome: looked at one by one before a model is fitted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def informative(
    bins: np.ndarray, outcome: np.ndarray, most: int, measures: Sequence[str] | None = None
) -> np.ndarray:
    """Places of the features that predict an outcome best, in order, at most `most`.

    Each feature's statistic is n η², the share of the outcome's variance between its bins times the
    rows, which for an event is Pearson's χ², standardised by its degrees of freedom:
    (n η² − df) / √(2 df). It is the screening of Huang, Li and Wang (2014) for categories. What two
    features show only together is not seen; trees that are offered hundreds of features and tens of
    events find far more that is not so.

    With `measures` only the best feature of each measure is kept: the windows of one measure are
    alike, and would take the places of other measures.

    Parameters
    ----------
    bins : array of shape (n, features), whole numbers from 0; NaN is a bin of its own
    outcome : array of shape (n,), an amount, or whether an event happened
    most : int
    measures : sequence of str of shape (features,), optional
        What each feature measures (`ml.measures.stem`).
    """
    centred = np.asarray(outcome, dtype=float) - np.mean(outcome)
    total = float(centred @ centred)
    if not total or (measures is None and bins.shape[1] <= most):
        return np.arange(min(most, bins.shape[1]))
    scores = np.empty(bins.shape[1])
    for place, column in enumerate(bins.T):
        number = np.nan_to_num(column + 1, nan=0).astype(np.intp)
        rows = np.bincount(number)
        sums = np.bincount(number, weights=centred)
        there = rows > 0
        between = len(centred) * float((sums[there] ** 2 / rows[there]).sum()) / total
        freedom = max(int(there.sum()) - 1, 1)
        scores[place] = (between - freedom) / np.sqrt(2 * freedom)
    best = np.argsort(-scores, kind="stable")
    if measures is not None:
        best = best[np.sort(np.unique(np.asarray(measures)[best], return_index=True)[1])]
    return np.sort(best[:most])
