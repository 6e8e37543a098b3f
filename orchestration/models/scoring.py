"""Scores every customer with the champions, batch by batch."""

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

from ml.registry import ChampionUnusable, Registry, Version
from ml.serving import scores
from orchestration.models.context import TrainingContext
from orchestration.models.cutoffs import LONG_HORIZON
from orchestration.models.datasets import (
    POPULATIONS,
    Population,
    customers_to_score,
    features_of,
)
from orchestration.models.declaration import CUSTOMER_ID, Column, Table, version_of
from orchestration.models.like_customers import LikeCustomers
from orchestration.models.records import Records
from orchestration.models.registration import is_on
from orchestration.models.studies import OF_CUSTOMERS, STUDIES
from orchestration.platform.tables import append_rows, write_table

# Customers in a batch, and batches scored in parallel: they limit memory for a bank of any size.
BATCH, MOST_AT_ONCE = 25_000, 2
Found = TypeVar("Found")


CUSTOMER = Table(
    "customer",
    "value to come, risks and segment",
    (
        Column("customer_id", "varchar", "customer of `base.customer`; each has a row"),
        *(column for one in OF_CUSTOMERS for column in one.scored_columns),
    ),
    ("customer_id",),
)
REASON = Table(
    "reason",
    "the features that moved each score most",
    (
        CUSTOMER_ID,
        Column("model_name", "varchar", "model whose score is explained"),
        Column("rank", "integer", "1 for what moved the score most"),
        Column("feature", "varchar", "feature, or part of the model's own"),
        Column("value", "varchar", "its value of this customer"),
        Column("usual", "varchar", "its usual value, of like customers"),
        Column("usual_of", "varchar", "whose value is the usual one"),
        Column(
            "before",
            "varchar",
            "the customer's own value of twelve months, for as many months as the feature covers",
        ),
        Column(
            "contribution",
            "double",
            "what it adds to the score beyond the median like customer's, on the model's scale",
        ),
        Column("direction", "varchar", "`raises` or `lowers`"),
        Column("model_version", "varchar", "version of the model in the registry"),
    ),
    ("customer_id", "model_name", "rank"),
)
# What a release carries, the first joined by dbt from the tables of the models.
TABLES = (CUSTOMER, REASON, *(table for one in OF_CUSTOMERS for table in one.tables))
OF_MODELS = tuple(one.table for one in OF_CUSTOMERS)
WRITTEN = (*OF_MODELS, *TABLES[1:])


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
            f"model {name} is on but has no champion: its alias was removed after the training. "
            "Promote a version (make promote), or train again (TRAIN=always)."
        )
    try:
        return Champion(version, registry.load(version))
    except ChampionUnusable as error:
        # Without its cause: a failed refresh shows the innermost error, which names no model.
        raise ChampionUnusable(str(error)) from None


class Explainer:
    """Reason codes of a champion: what moved each score most above those of like customers.

    A model that explains itself by parts of its own (the margin of a line, a dimension of a
    segment) shows the values of these.
    """

    def __init__(self, name: str, champion: Champion, sample: pd.DataFrame) -> None:
        self.name = name
        self._champion = champion
        moved, names, shown = self._explained(sample)
        self._like = LikeCustomers(sample, shown, moved, names)

    def _explained(self, frame: pd.DataFrame) -> tuple[np.ndarray, list[str], pd.DataFrame]:
        """Contributions, their names, and the values behind them."""
        features, model = features_of(frame), self._champion.model
        moved, names = model.contributions(features)
        if set(names) <= set(features.columns):
            return moved, names, features
        if hasattr(model, "explained"):
            return moved, names, model.explained(features)
        return moved, names, pd.DataFrame(moved, columns=names)

    def reasons(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Rows of `scores.reason` of these customers."""
        moved, _, shown = self._explained(frame)
        reasons = self._like.reasons(frame, shown, moved)
        customers = frame["customer_id"].to_numpy()[reasons.pop("row").to_numpy()]
        return reasons.assign(
            customer_id=customers,
            model_name=self.name,
            model_version=self._champion.number,
        ).reindex(columns=[column.name for column in REASON.columns])


def score_customers(connection: duckdb.DuckDBPyConnection, context: TrainingContext) -> int:
    """Write the tables of the models of customers and what belongs to them; returns the customers.

    A model's table holds the customers whom it scores, and none where it is off.

    Raises
    ------
    ml.registry.ChampionUnusable
        When a champion cannot be loaded; nothing is then written.
    """
    registry, records = context.registry(), Records(connection, context)
    champions = {
        one.name: champion
        for one in OF_CUSTOMERS
        if (champion := champion_of(connection, registry, one.name)) is not None
    }
    for one in WRITTEN:
        write_table(connection, f"scores.{one.name}", None)
    explainers = {
        name: Explainer(name, champion, sample)
        for name, champion in champions.items()
        if hasattr(champion.model, "contributions")
        and (sample := records.as_of(population_of(name))) is not None
        and not sample.empty
    }
    besides = {
        name: beside(records) for name in champions if (beside := STUDIES[name].beside) is not None
    }
    horizon = records.plan.horizon if records.plan else LONG_HORIZON

    def scored_of(frame: pd.DataFrame) -> tuple[int, list[tuple[str, pd.DataFrame]]]:
        batch = _Batch(frame, champions, explainers, besides)
        return len(frame), [*batch.predicted(), *batch.tables(), *batch.reasons()]

    customers = 0
    frames = customers_to_score(connection, context.as_of_month, horizon, BATCH)
    for size, written in side_by_side(scored_of, frames):
        customers += size
        for table, rows in written:
            append_rows(connection, f"scores.{table}", rows)
    for name, champion in champions.items():
        if (afterwards := STUDIES[name].afterwards) is not None:
            afterwards(connection, context, champion, horizon)
    return customers


def population_of(model: str) -> Population:
    """The customers that a model scores."""
    return POPULATIONS[STUDIES[model].population]


def side_by_side(
    work: Callable[[pd.DataFrame], Found], frames: Iterable[pd.DataFrame]
) -> Iterator[Found]:
    """What `work` makes of each frame, in their order; as many at a time as there are cores, but no
    more than MOST_AT_ONCE, which are all that is held."""

    def alone(frame: pd.DataFrame) -> Found:
        # Trees and batches are small, so more threads per model would only wait for each other.
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


@dataclass(frozen=True)
class _Batch:
    """Some customers and all that is scored of them."""

    frame: pd.DataFrame
    champions: Mapping[str, Champion]
    explainers: Mapping[str, Explainer]
    besides: Mapping[str, Callable[[pd.DataFrame, np.ndarray], Mapping[str, Any]]]

    def _population(self, name: str) -> pd.DataFrame:
        """The rows of a model's population."""
        places = np.flatnonzero(population_of(name).kept(self.frame).to_numpy(dtype=bool))
        return self.frame.iloc[places].reset_index(drop=True)

    def predicted(self) -> Iterator[tuple[str, pd.DataFrame]]:
        """Rows of the models' tables, by the name of the table."""
        for name, champion in self.champions.items():
            predicted = scores(name, champion.model, self.frame)
            places = np.flatnonzero(predicted.notna().any(axis=1).to_numpy())
            if not len(places):
                continue
            rows = predicted.iloc[places].assign(
                customer_id=self.frame["customer_id"].iloc[places],
                **{version_of(name).name: champion.number},
            )
            if name in self.besides:
                rows = rows.assign(**self.besides[name](self.frame, places))
            columns = [column.name for column in STUDIES[name].table.columns]
            yield name, rows.reindex(columns=columns)

    def tables(self) -> Iterator[tuple[str, pd.DataFrame]]:
        """Rows of the studies' own tables, by the name of the table."""
        for name, champion in self.champions.items():
            rows_of = STUDIES[name].rows
            if rows_of is None:
                continue
            frame = self._population(name)
            if frame.empty:
                continue
            customers = frame["customer_id"].to_numpy()
            for table, rows in rows_of(champion.model, features_of(frame)).items():
                columns = {
                    "customer_id": customers[rows["row"].to_numpy(dtype=int)],
                    version_of(name).name: champion.number,
                }
                yield table, rows.drop(columns="row").assign(**columns)

    def reasons(self) -> Iterator[tuple[str, pd.DataFrame]]:
        """Rows of `scores.reason`, model by model."""
        for name, explainer in self.explainers.items():
            frame = self._population(name)
            if len(frame):
                yield "reason", explainer.reasons(frame)
