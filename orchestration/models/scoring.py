"""Scoring: the champions' word on every customer, batch by batch."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import duckdb
import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from ml.attrition.model import AttritionModel
from ml.reasons import top_reasons, usual_values
from ml.registry import ChampionUnusable, Registry, Version
from ml.segments.model import RuleTiering, SegmentModel
from ml.serving import scores
from orchestration.models.context import TrainingContext
from orchestration.models.cutoffs import LONG_HORIZON
from orchestration.models.datasets import (
    HOLDERS,
    POPULATIONS,
    Population,
    customers_to_score,
    features_of,
)
from orchestration.models.records import Records
from orchestration.models.registration import is_on

# Customers of a batch, and batches scored side by side: what is held of a bank of any size.
BATCH, MOST_AT_ONCE = 25_000, 2
Found = TypeVar("Found")


CREATE = """
create schema if not exists scores;
create or replace table scores.customer (
    customer_id varchar primary key,
    clv_12m decimal(18, 2),
    clv_36m decimal(18, 2),
    clv_low decimal(18, 2),
    clv_high decimal(18, 2),
    clv_horizon_months integer,
    clv_model_version varchar,
    p_attrition double,
    value_at_risk decimal(18, 2),
    attrition_model_version varchar,
    p_default double,
    default_model_version varchar,
    p_high_value double,
    high_value_model_version varchar,
    segment varchar,
    segment_name varchar,
    segment_rule varchar,
    segment_model_version varchar
);
create or replace table scores.product_attrition (
    customer_id varchar,
    product_line varchar,
    p_attrition double,
    value_at_risk decimal(18, 2),
    attrition_model_version varchar,
    primary key (customer_id, product_line)
);
create or replace table scores.reason (
    customer_id varchar,
    model_name varchar,
    rank integer,
    feature varchar,
    value varchar,
    usual varchar,
    contribution double,
    direction varchar,
    model_version varchar
);
create or replace table scores.segment_profile (
    segment varchar,
    segment_name varchar,
    customers integer,
    share double,
    dimension varchar,
    mean double,
    median double,
    population_mean double,
    population_median double,
    deviation double
);
create or replace table scores.segment_migration (
    from_month date,
    to_month date,
    from_segment varchar,
    to_segment varchar,
    customers integer,
    share double
);
"""


@dataclass(frozen=True)
class Champion:
    """A version and its loaded model: what scores and what is written down are the same."""

    version: Version
    model: Any

    @property
    def number(self) -> str:
        return self.version.version


def champion_of(
    connection: duckdb.DuckDBPyConnection, registry: Registry, name: str
) -> Champion | None:
    """The champion of a model that is on, loaded.

    Raises
    ------
    ml.registry.ChampionUnusable
        When it is missing, damaged or tampered with.
    """
    if not is_on(connection, name):
        return None
    version = registry.champion(name)
    if version is None:
        raise ChampionUnusable(
            f"model {name} has no champion though it is on: its alias was taken away since the "
            "training; promote a version (make promote), or train anew (TRAIN=always)"
        )
    try:
        return Champion(version, registry.load(version))
    except ChampionUnusable as error:
        # Without its cause: a failed refresh shows the innermost one, which names no model.
        raise ChampionUnusable(str(error)) from None


class Explainer:
    """Reason codes of a champion: what moved each score most, beside what is usual.

    A model that explains itself by parts of its own (the margin of a line, a dimension of a
    segment) is explained by these, each less its mean, so that everybody's parts move nobody.
    """

    def __init__(self, name: str, champion: Champion, usual_of: pd.DataFrame) -> None:
        self.name = name
        self._champion = champion
        self._mean: np.ndarray | None = None
        moved, names = champion.model.contributions(usual_of)
        shown = self._shown(usual_of, moved, names)
        if shown is not usual_of:
            self._mean = moved.mean(axis=0)
        self._usual = usual_values(shown, names)

    @staticmethod
    def _shown(frame: pd.DataFrame, moved: np.ndarray, names: list[str]) -> pd.DataFrame:
        if set(names) <= set(frame.columns):
            return frame
        return pd.DataFrame(moved, columns=names)

    def reasons(self, customers: np.ndarray, frame: pd.DataFrame) -> pd.DataFrame:
        """Rows of `scores.reason` of these customers."""
        moved, names = self._champion.model.contributions(frame)
        shown = self._shown(frame, moved, names)
        if self._mean is not None:
            moved = moved - self._mean
        told = top_reasons(moved, names, shown, self._usual)
        return pd.DataFrame(
            {
                "customer_id": customers[told["row"].to_numpy()],
                "model_name": self.name,
                "rank": told["rank"],
                "feature": told["feature"],
                "value": told["value"],
                "usual": told["usual"],
                "contribution": told["contribution"],
                "direction": told["direction"],
                "model_version": self._champion.number,
            }
        )


def score_customers(connection: duckdb.DuckDBPyConnection, context: TrainingContext) -> int:
    """Write `scores.customer` and what belongs to it; returns the customers.

    Every customer of the base has a row; where a model is off, or does not speak of the customer,
    its figures are NULL.

    Raises
    ------
    ml.registry.ChampionUnusable
        When a champion cannot be loaded; nothing is then written.
    """
    registry, records = context.registry(), Records(connection, context)
    champions = {
        name: champion
        for name in POPULATIONS
        if (champion := champion_of(connection, registry, name)) is not None
    }
    for statement in filter(str.strip, CREATE.split(";")):
        connection.execute(statement)
    explainers = {
        name: Explainer(name, champion, sample)
        for name, champion in champions.items()
        if hasattr(champion.model, "contributions")
        and (sample := _sample(records, POPULATIONS[name])) is not None
    }
    tiers = _tiers(records)
    horizon = records.plan.horizon if records.plan else LONG_HORIZON

    def said_of(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
        batch = _Batch(frame, champions, explainers, tiers, horizon)
        told = [("customer", batch.customers()), ("product_attrition", batch.lines())]
        return [*told, *(("reason", reasons) for reasons in batch.reasons())]

    frames = customers_to_score(connection, context.as_of_month, horizon, BATCH)
    for said in side_by_side(said_of, frames):
        for table, rows in said:
            insert(connection, f"scores.{table}", rows)
    if "segment" in champions:
        insert(connection, "scores.segment_profile", segment_profile(champions["segment"].model))
        _migrate(connection, context, champions["segment"].model, horizon)
    return _count(connection, "customer")


def side_by_side(
    work: Callable[[pd.DataFrame], Found], frames: Iterable[pd.DataFrame]
) -> Iterator[Found]:
    """What `work` makes of each frame, in their order; as many at a time as there are cores, but no
    more than MOST_AT_ONCE, which are all that is held."""

    def alone(frame: pd.DataFrame) -> Found:
        # Small trees of few rows: threads that wait for each other cost more than they bring.
        with threadpool_limits(1, user_api="openmp"):
            return work(frame)

    at_once = min(MOST_AT_ONCE, os.cpu_count() or 1)
    with ThreadPoolExecutor(at_once) as threads:
        begun: deque[Future[Found]] = deque()
        for frame in frames:
            begun.append(threads.submit(alone, frame))
            if len(begun) == at_once:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()


def _sample(records: Records, population: Population) -> pd.DataFrame | None:
    frame = records.as_of(population)
    return None if frame is None or frame.empty else features_of(frame)


def _tiers(records: Records) -> RuleTiering | None:
    """The tiering by rule that stands beside the segments, by the borders of now."""
    frame = _sample(records, HOLDERS)
    return None if frame is None else RuleTiering().fit(frame)


@dataclass(frozen=True)
class _Batch:
    """Some customers and all that is said of them."""

    frame: pd.DataFrame
    champions: Mapping[str, Champion]
    explainers: Mapping[str, Explainer]
    tiers: RuleTiering | None
    horizon: int

    def _of(self, name: str) -> Iterator[tuple[Champion, np.ndarray, pd.DataFrame]]:
        """The champion, the places of those it speaks of, and their features; nothing if off."""
        if name in self.champions:
            places = np.flatnonzero(POPULATIONS[name].kept(self.frame).to_numpy(dtype=bool))
            if len(places):
                features = features_of(self.frame.iloc[places]).reset_index(drop=True)
                yield self.champions[name], places, features

    def customers(self) -> pd.DataFrame:
        """Rows of `scores.customer`."""
        size = len(self.frame)
        table = {"customer_id": self.frame["customer_id"].to_numpy()}

        def put(column: str, places: np.ndarray, values: Any) -> None:
            if column not in table:
                text = np.asarray(values).dtype.kind not in "fiu"
                table[column] = np.full(size, None if text else np.nan, object if text else float)
            table[column][places] = values

        for name, champion in self.champions.items():
            told = scores(name, champion.model, self.frame)
            places = np.flatnonzero(told.notna().any(axis=1).to_numpy())
            if not len(places):
                continue
            for column, values in told.items():
                put(str(column), places, values.to_numpy()[places])
            put(f"{name}_model_version", places, champion.number)
            if name == "clv":
                put("clv_horizon_months", places, self.horizon)
        for _, places, features in self._of("segment"):
            if self.tiers is not None:
                put("segment_rule", places, self.tiers.predict(features))
        return pd.DataFrame(table)

    def lines(self) -> pd.DataFrame:
        """Rows of `scores.product_attrition`."""
        for champion, places, features in self._of("attrition"):
            if isinstance(champion.model, AttritionModel):
                lines = champion.model.line_attrition(features)
                customers = self.frame["customer_id"].to_numpy()[places]
                return pd.DataFrame(
                    {
                        "customer_id": customers[lines["row"].to_numpy(dtype=int)],
                        "product_line": lines["line"],
                        "p_attrition": lines["p_attrition"],
                        "value_at_risk": lines["value_at_risk"],
                        "attrition_model_version": champion.number,
                    }
                )
        return pd.DataFrame()

    def reasons(self) -> Iterator[pd.DataFrame]:
        """Rows of `scores.reason`, model by model."""
        for name, explainer in self.explainers.items():
            for _, places, features in self._of(name):
                yield explainer.reasons(self.frame["customer_id"].to_numpy()[places], features)


def segment_profile(model: Any) -> pd.DataFrame:
    """Rows of `scores.segment_profile`; nothing for the rule, whose labels say it all."""
    if not isinstance(model, SegmentModel):
        return pd.DataFrame()
    profile = model.profile_
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "segment": profile["segment"],
                    "segment_name": profile["name"],
                    "customers": profile["customers"],
                    "share": profile["share"],
                    "dimension": dimension,
                    "mean": profile[f"{dimension}_mean"],
                    "median": profile[f"{dimension}_median"],
                    "population_mean": profile[f"{dimension}_population_mean"],
                    "population_median": profile[f"{dimension}_population_median"],
                    "deviation": profile[f"{dimension}_deviation"],
                }
            )
            for dimension in model.dimensions_
        ],
        ignore_index=True,
    )


def _migrate(
    connection: duckdb.DuckDBPyConnection, context: TrainingContext, model: Any, horizon: int
) -> None:
    """Segments of one horizon ago, by the same model, against those of now; in the engine."""
    connection.execute(
        "create or replace temp table segment_before (customer_id varchar, segment varchar)"
    )
    before = connection.execute(
        "select max(month) from features.customer_month "
        f"where month <= ?::date - to_months({horizon})",
        [context.as_of_month],
    ).fetchall()[0][0]
    if before is None:
        return
    for frame in customers_to_score(connection, before, horizon, BATCH, HOLDERS):
        segments = pd.DataFrame(
            {
                "customer_id": frame["customer_id"],
                "segment": model.predict(features_of(frame)),
            }
        )
        insert(connection, "temp.segment_before", segments)
    connection.execute(
        """
        insert into scores.segment_migration
        with move as (
            select
                coalesce(earlier.segment, 'new') as from_segment,
                coalesce(later.segment, 'left') as to_segment,
                count(*) as customers
            from temp.segment_before as earlier
            full join (select customer_id, segment from scores.customer where segment is not null)
                as later on later.customer_id = earlier.customer_id
            group by all
        )
        select
            $before, $now, from_segment, to_segment, customers,
            customers / sum(customers) over (partition by from_segment)
        from move
        order by from_segment, to_segment
        """,
        {"before": before, "now": context.as_of_month},
    )
    connection.execute("drop table temp.segment_before")


def insert(connection: duckdb.DuckDBPyConnection, table: str, rows: pd.DataFrame) -> None:
    """Append rows by the names of their columns; the table's others are NULL."""
    if rows.empty:
        return
    connection.register("scored_rows", rows)
    connection.execute(f"insert into {table} by name select * from scored_rows")
    connection.unregister("scored_rows")


def _count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    return int(connection.execute(f"select count(*) from scores.{table}").fetchall()[0][0])
