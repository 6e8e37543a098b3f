"""Frames of customers for the models: features as known at a cut-off, outcomes after it.

Joined and summed by the engine; Python sees one row a customer and cut-off, never an event.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import zip_longest

import duckdb
import numpy as np
import pandas as pd

from ml.measures import LAST_PERIOD, PACE
from ml.serving import TIER, TOP_TIER, below_top, borrowers, everybody, holders
from orchestration.models.windows import complete_windows

KEYS = ("customer_id", "month")
# Customers of a population at a cut-off beyond which a set is a fixed sample (decision 61).
MOST_CUSTOMERS = 40_000
OUTCOME = "outcome_"
# Columns of `outcomes.customer_month`, see `Cohorts`.
OUTCOMES = (
    *("contribution", "months_to_exit", "months_to_default", "best_tier_number"),
    *("bookings", "inflow", "balance", "accounts"),
)
# The customers at cut-offs, of whom there are outcomes.
SAMPLED = "customer_id in (from outcomes.customer_sample)"
NOT_FEATURES = (
    *("customer_id", "cutoff", TIER, "contact_id", "contacted_on", "matured_on", "responded"),
    *("arm", "assignment_probability"),
)


@dataclass(frozen=True)
class Population:
    """The customers that a model scores, as known at the cut-off: in SQL, and for a frame."""

    sql: str
    kept: Callable[[pd.DataFrame], pd.Series]


EVERYBODY = Population("true", everybody)
HOLDERS = Population("feature.accounts > 0", holders)
BORROWERS = Population("feature.loans > 0 and coalesce(feature.is_defaulted, 0) = 0", borrowers)
BELOW_TOP = Population(f"feature.accounts > 0 and tier.tier_number > {TOP_TIER}", below_top)
# By the names that studies declare.
POPULATIONS: Mapping[str, Population] = {
    "everybody": EVERYBODY,
    "holders": HOLDERS,
    "borrowers": BORROWERS,
    "below_top": BELOW_TOP,
}


@dataclass(frozen=True)
class Cohorts:
    """Customers at cut-offs, oldest first, with their outcomes.

    `frame`: customer_id, cutoff, the features and the two anchors; `outcome`, row by row beside it:

    | contribution | discounted contribution margin of the horizon, currency units |
    | months_to_exit, months_to_default | month after the cut-off (1 …) in which the customer first
      held no account, or was in default; missing where neither happened within the horizon |
    | best_tier_number | the best value tier after the cut-off; 1 is top |
    | bookings, inflow, balance, accounts | of the horizon or at its end: distinguish segments |
    """

    frame: pd.DataFrame
    outcome: pd.DataFrame


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


def discount_rate(connection: duckdb.DuckDBPyConnection, month: date) -> float:
    """The yearly rate at which margin to come is discounted: the hurdle rate in force."""
    ((rate,),) = connection.execute(
        "select max(hurdle_rate) from value.product_parameter where month = ?", [month]
    ).fetchall()
    return float(rate or 0.0)


def customer_sql(
    connection: duckdb.DuckDBPyConnection, horizon: int, customers: str = "true"
) -> str:
    """Features of one month with the two anchors, of the `customers` that a condition on
    `customer_id` selects; parameter: month."""
    return f"""
        select
            feature.customer_id,
            {_quoted(feature_columns(connection), "feature")},
            coalesce(before.contribution, 0)::double as {LAST_PERIOD},
            coalesce(before.contribution, 0)::double * {horizon}
                / greatest(1, least({horizon}, coalesce(before.months, 1))) as {PACE},
            tier.tier_number as {TIER}
        from features.customer_month as feature
        left join (
            select
                customer_id,
                sum(contribution_margin) as contribution,
                count(distinct month) as months
            from value.profit_by_customer
            where month <= $month
                and month > $month::date - to_months({horizon})
                and {customers}
            group by customer_id
        ) as before on before.customer_id = feature.customer_id
        left join value.customer_tier as tier
            on tier.customer_id = feature.customer_id and tier.month = feature.month
        where feature.month = $month
    """


def _members_sql(population: Population) -> str:
    """The customers of a population in one month; parameter: month.

    Queried apart from the features, since sorting the wide rows costs more than reading them.
    """
    return f"""
        select feature.customer_id
        from features.customer_month as feature
        left join value.customer_tier as tier
            on tier.customer_id = feature.customer_id and tier.month = feature.month
        where feature.month = $month and {population.sql}
    """


def _outcome_sql(
    connection: duckdb.DuckDBPyConnection, horizon: int, population: Population
) -> str:
    """The same with what came after; parameter: month."""
    outcomes = ", ".join(f"outcome.{name} as {OUTCOME}{name}" for name in OUTCOMES)
    return f"""
        select customer.*, {outcomes}
        from ({customer_sql(connection, horizon, SAMPLED)}) as customer
        inner join outcomes.customer_month as outcome
            on outcome.customer_id = customer.customer_id and outcome.cutoff = $month
        where customer.customer_id in (
            {_members_sql(population)}
                and feature.{SAMPLED}
            order by md5(feature.customer_id)
            limit {MOST_CUSTOMERS}
        )
        order by customer.customer_id
    """


class CohortReader:
    """Reads cohorts; each cut-off of a population once, however many models learn from it."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, horizon: int, first_month: date
    ) -> None:
        self._connection = connection
        self._horizon = horizon
        self._first_month = first_month
        self._read: dict[tuple[date, str], pd.DataFrame] = {}

    def cohorts(self, cutoffs: tuple[date, ...], population: Population = EVERYBODY) -> Cohorts:
        """Customers of a population at past cut-offs, ordered by cut-off and customer."""
        both = pd.concat([self._of(month, population) for month in cutoffs], ignore_index=True)
        outcome = [name for name in both.columns if name.startswith(OUTCOME)]
        return Cohorts(
            both.drop(columns=outcome),
            both[outcome].rename(columns=lambda name: name.removeprefix(OUTCOME)),
        )

    def _of(self, month: date, population: Population) -> pd.DataFrame:
        everybody = self._queried(month, EVERYBODY)
        if len(everybody) < MOST_CUSTOMERS:
            return everybody[population.kept(everybody)]
        # A sample of all customers would hold too few of a small population.
        return self._queried(month, population)

    def _queried(self, month: date, population: Population) -> pd.DataFrame:
        if (month, population.sql) not in self._read:
            frame = self._connection.execute(
                _outcome_sql(self._connection, self._horizon, population), {"month": month}
            ).df()
            frame = complete_windows(frame, month, self._first_month)
            frame.insert(1, "cutoff", month)
            self._read[month, population.sql] = frame
        return self._read[month, population.sql]


def customers_sampled(
    connection: duckdb.DuckDBPyConnection, month: date, horizon: int, population: Population
) -> pd.DataFrame:
    """A population's features at a month's end, of at most `MOST_CUSTOMERS` drawn as at a cut-off,
    ordered by customer."""
    drawn = f"{_members_sql(population)} order by md5(feature.customer_id) limit {MOST_CUSTOMERS}"
    sql = customer_sql(connection, horizon, f"customer_id in ({drawn})")
    return connection.execute(
        f"select * from ({sql}) where customer_id in ({drawn}) order by customer_id",
        {"month": month},
    ).df()


def customers_to_score(
    connection: duckdb.DuckDBPyConnection,
    month: date,
    horizon: int,
    batch: int,
    population: Population = EVERYBODY,
) -> Iterator[pd.DataFrame]:
    """A population's features at a month's end, in batches of at most `batch` rows, ordered by
    customer."""
    # The last customer of each batch but the last.
    borders = connection.execute(
        f"""
        select customer_id from ({_members_sql(population)})
        qualify row_number() over (order by customer_id) % {batch} = 0
        order by customer_id
        """,
        {"month": month},
    ).fetchall()
    begins = ["", *(name for (name,) in borders)]
    for begin, end in zip_longest(begins, begins[1:]):
        # Of the batch alone: otherwise each batch would sum up all customers again.
        customers, range_of = "customer_id > $begin", {"month": month, "begin": begin}
        if end is not None:
            customers, range_of = f"{customers} and customer_id <= $end", range_of | {"end": end}
        frame = connection.execute(
            f"select * from ({customer_sql(connection, horizon, customers)} and {population.sql}) "
            f"where {customers} order by customer_id",
            range_of,
        ).df()
        if not frame.empty:
            yield frame


def features_of(frame: pd.DataFrame) -> pd.DataFrame:
    """The input of a model: the frame without the keys, dates and outcomes of its rows."""
    return frame.drop(columns=[name for name in NOT_FEATURES if name in frame.columns])


def published_of(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns of these rows that a release publishes for scoring: features and tier."""
    hidden = [name for name in NOT_FEATURES if name in frame.columns and name != TIER]
    return frame.drop(columns=hidden)


def digest(frame: pd.DataFrame, y: np.ndarray) -> str:
    """sha256 of a training set, for tracing a model to its data."""
    rows = pd.util.hash_pandas_object(frame, index=False).to_numpy()
    return hashlib.sha256(rows.tobytes() + np.ascontiguousarray(y).tobytes()).hexdigest()
