"""Outcomes of each product line that a customer held at a past cut-off, from `outcomes`."""

from __future__ import annotations

import duckdb
import numpy as np
import pandas as pd

from ml.clv.retention_margin import LineOutcomes
from ml.lines import contract_months, monthly_pace
from sources.contract import PRODUCT_LINES
from sources.vocabulary import lines_where

HELD = """
    select
        customer.row,
        line.customer_id,
        line.cutoff,
        line.line,
        line.months_held,
        line.is_lost,
        line.contribution::double as contribution,
        line.contribution_discounted
    from cohort_customer as customer
    inner join outcomes.customer_line as line using (customer_id, cutoff)
    order by customer.row, line.line
"""
OTHER = """
    select
        outcome.contribution_other::double as other,
        outcome.contribution_other_discounted as other_discounted
    from cohort_customer as customer
    inner join outcomes.customer_month as outcome using (customer_id, cutoff)
    order by customer.row
"""
# A sum of doubles depends on the order of the rows: paces are added as decimals.
PROFILE = """
    select
        month.line,
        held.remaining,
        month.number as month,
        count(*)::bigint as at_risk,
        sum(month.is_lost::integer)::bigint as lost,
        sum((held.pace * case when month.is_lost then 0.5 else 1 end)::decimal(38, 12))::double
            as pace,
        sum(month.contribution)::double as contribution
    from line_held as held
    inner join outcomes.customer_line_month as month using (customer_id, cutoff, line)
    where month.is_at_risk
    group by all
    order by all
"""
CUSTOMERS, LINES = "cohort_customer", "line_held"


def line_outcomes(
    connection: duckdb.DuckDBPyConnection, frame: pd.DataFrame, horizon: int
) -> LineOutcomes:
    """What became, within a horizon, of the lines that customers held at past cut-offs.

    Parameters
    ----------
    connection : open connection to the warehouse
    frame : customers at cut-offs as the models learn from them: customer_id, cutoff (first days of
        months) and the features
    horizon : months after the cut-off, those of `outcomes.cutoff_month`

    Raises
    ------
    ValueError
        For a frame without customers, or where none has a known line; for customers at cut-offs
        without outcomes.
    """
    if frame.empty or not any(f"accounts_{line}" in frame.columns for line in PRODUCT_LINES):
        raise ValueError("customers at cut-offs with columns accounts_<line> are needed")
    customers = pd.DataFrame(
        {
            "row": np.arange(len(frame)),
            "customer_id": frame["customer_id"].to_numpy(),
            "cutoff": pd.to_datetime(frame["cutoff"]).dt.date.to_numpy(),
        }
    )
    held = _read(connection, HELD, CUSTOMERS, customers)
    other = _read(connection, OTHER, CUSTOMERS, customers)
    if len(other) < len(frame):
        raise ValueError(
            f"outcomes.customer_month is invalid: expected {len(frame)} customers at cut-offs, "
            f"found {len(other)}. Build the features again"
        )
    return LineOutcomes(
        lines=held,
        other=other["other"].to_numpy(),
        other_discounted=other["other_discounted"].to_numpy(),
        profile=_read(connection, PROFILE, LINES, _with_pace(held, frame)),
        horizon=horizon,
    )


def _read(
    connection: duckdb.DuckDBPyConnection, query: str, name: str, rows: pd.DataFrame
) -> pd.DataFrame:
    connection.register(name, rows)
    try:
        return connection.execute(query).df()
    finally:
        connection.unregister(name)


def _with_pace(held: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """The lines held, each with its pace and the months that its contract has left."""
    pace, remaining = np.zeros(len(held)), np.full(len(held), np.nan)
    for line in held["line"].unique():
        of_line = (held["line"] == line).to_numpy()
        rows = held.loc[of_line, "row"]
        pace[of_line] = monthly_pace(frame, line)[rows]
        remaining[of_line] = contract_months(frame, line, lines_where("holds_loans"))[rows]
    keys = held[["customer_id", "cutoff", "line"]]
    return keys.assign(pace=pace, remaining=remaining)
