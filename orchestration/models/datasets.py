"""Frames of customers for the models: features as known at a cut-off, outcomes after it.

Joined and summed by the engine; Python sees one row a customer and cut-off, never an event.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import duckdb
import numpy as np
import pandas as pd

from ml.clv.model import LAST_PERIOD, PACE
from ml.response.model import OFFER

KEYS = ("customer_id", "month")
LONG_HORIZON, SHORT_HORIZON = 12, 6
LEAST_HISTORY = 3
CUTOFF_STEP = 3
MOST_CUTOFFS = 4
# Customers a cut-off beyond which a training set is a fixed sample: what a model learns more from
# the next ones does not pay for the memory.
MOST_CUSTOMERS = 150_000


def plus_months(month: date, count: int) -> date:
    """The first day of a month so many months later (or earlier)."""
    number = month.year * 12 + month.month - 1 + count
    return date(number // 12, number % 12 + 1, 1)


def months_between(first: date, last: date) -> int:
    """Whole months from one first day to another."""
    return (last.year - first.year) * 12 + last.month - first.month


@dataclass(frozen=True)
class CutoffPlan:
    """Cut-off months of a horizon: training first, evaluation after the last training label.

    `refit` are the newest cut-offs whose labels are complete: those the scoring model learns from.
    """

    horizon: int
    training: tuple[date, ...]
    evaluation: date
    refit: tuple[date, ...]


def plan_cutoffs(first_month: date, as_of_month: date) -> CutoffPlan | None:
    """The cut-offs that a history allows; None where it is too short for any.

    The evaluation cut-off lies one horizon before the as-of month; the last training cut-off one
    horizon before that, so that no training label reaches into the evaluation. Twelve months where
    there are 2 × 12 + 3 months, else six.
    """
    months = months_between(first_month, as_of_month) + 1
    for horizon in (LONG_HORIZON, SHORT_HORIZON):
        if months >= 2 * horizon + LEAST_HISTORY:
            break
    else:
        return None
    evaluation = plus_months(as_of_month, -horizon)
    latest = plus_months(evaluation, -horizon)
    earliest = plus_months(first_month, LEAST_HISTORY - 1)

    def back_from(month: date) -> tuple[date, ...]:
        cutoffs: list[date] = []
        while month >= earliest and len(cutoffs) < MOST_CUTOFFS:
            cutoffs.append(month)
            month = plus_months(month, -CUTOFF_STEP)
        return tuple(reversed(cutoffs))

    return CutoffPlan(horizon, back_from(latest), evaluation, back_from(evaluation))


def feature_columns(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """The features, in the table's order."""
    return [
        name
        for (name,) in connection.execute(
            "select column_name from duckdb_columns() where schema_name = 'features' "
            "and table_name = 'customer_month' order by column_index"
        ).fetchall()
        if name not in KEYS
    ]


def _quoted(names: list[str], table: str) -> str:
    return ", ".join(f'{table}."{name}"' for name in names)


def _customer_sql(connection: duckdb.DuckDBPyConnection, horizon: int) -> str:
    """Features of one month with the two anchors; parameters: month, then the condition's."""
    return f"""
        select
            feature.customer_id,
            {_quoted(feature_columns(connection), "feature")},
            coalesce(before.contribution, 0)::double as {LAST_PERIOD},
            coalesce(before.contribution, 0)::double * {horizon}
                / greatest(1, least({horizon}, coalesce(before.months, 1))) as {PACE}
        from features.customer_month as feature
        left join (
            select
                customer_id,
                sum(contribution_margin) as contribution,
                count(distinct month) as months
            from value.profit_by_customer
            where month <= $month
                and month > $month::date - to_months({horizon})
            group by customer_id
        ) as before on before.customer_id = feature.customer_id
        where feature.month = $month
    """


def clv_frame(
    connection: duckdb.DuckDBPyConnection, cutoffs: tuple[date, ...], horizon: int
) -> tuple[pd.DataFrame, np.ndarray]:
    """Customers at past cut-offs and what they brought after them.

    Returns
    -------
    frame : features and the two anchors, with customer_id and cutoff first; ordered by both
    y : array of shape (n,), contribution of the `horizon` months after the cut-off; 0 for none
    """
    frames = []
    for cutoff in cutoffs:
        frames.append(
            connection.execute(
                f"""
                with customer as ({_customer_sql(connection, horizon)}),
                after as (
                    select customer_id, sum(contribution_margin) as outcome
                    from value.profit_by_customer
                    where month > $month and month <= $month::date + to_months({horizon})
                    group by customer_id
                )
                select customer.*, coalesce(after.outcome, 0)::double as outcome
                from customer
                left join after on after.customer_id = customer.customer_id
                order by hash(customer.customer_id), customer.customer_id
                limit {MOST_CUSTOMERS}
                """,
                {"month": cutoff},
            ).df()
        )
        frames[-1].insert(1, "cutoff", cutoff)
    frame = pd.concat(frames, ignore_index=True)
    frame = frame.sort_values(["cutoff", "customer_id"], ignore_index=True)
    return frame.drop(columns="outcome"), frame["outcome"].to_numpy()


def customers_to_score(
    connection: duckdb.DuckDBPyConnection, month: date, horizon: int, batch: int
) -> Iterator[pd.DataFrame]:
    """Every customer's features at a month's end, in batches of at most `batch` rows."""
    last = ""
    while True:
        frame = connection.execute(
            f"{_customer_sql(connection, horizon)} and feature.customer_id > $last "
            f"order by feature.customer_id limit {batch}",
            {"month": month, "last": last},
        ).df()
        if frame.empty:
            return
        yield frame
        last = frame["customer_id"].iloc[-1]


def contact_frame(connection: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """Contacts of the treatment arm whose response window is over, oldest first.

    Features are those of the end of the month before the contact. Columns: contact_id, customer_id,
    contacted_on, matured_on, responded, offer and the features.
    """
    return connection.execute(
        f"""
        select
            contact.contact_id,
            contact.customer_id,
            contact.contacted_on,
            contact.contacted_on + 60 as matured_on,
            contact.is_responded::integer as responded,
            contact.product_id as {OFFER},
            {_quoted(feature_columns(connection), "feature")}
        from base.campaign_contact as contact
        inner join features.customer_month as feature
            on feature.customer_id = contact.customer_id
            and feature.month = contact.month - to_months(1)
        where contact.arm = 'treatment' and contact.is_response_complete
        order by contact.contacted_on, contact.contact_id
        """
    ).df()


def features_of(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame without the keys, dates and outcomes of its rows: what a model is given."""
    keys = ("customer_id", "cutoff", "contact_id", "contacted_on", "matured_on", "responded")
    return frame.drop(columns=[name for name in keys if name in frame.columns])


def offers(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Products that a campaign has offered so far."""
    return [
        name
        for (name,) in connection.execute(
            "select distinct product_id from base.campaign_contact order by all"
        ).fetchall()
    ]


def digest(frame: pd.DataFrame, y: np.ndarray) -> str:
    """sha256 of a training set, for tracing a model to its data."""
    rows = pd.util.hash_pandas_object(frame, index=False).to_numpy()
    return hashlib.sha256(rows.tobytes() + np.ascontiguousarray(y).tobytes()).hexdigest()
