"""Scores every customer with the champions, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pandas as pd

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
from orchestration.models.own_process import side_by_side
from orchestration.models.records import Records
from orchestration.models.registration import is_on
from orchestration.models.studies import OF_CUSTOMERS, STUDIES
from orchestration.platform.tables import append_rows, write_table

# Customers in a batch: it limits memory for a bank of any size.
BATCH = 25_000


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

    customers = 0
    frames = customers_to_score(connection, context.as_of_month, horizon, BATCH)
    for frame, written in side_by_side(Scorer(champions, explainers), frames):
        customers += len(frame)
        for table, rows in written:
            if table in besides:
                places = frame.index.get_indexer(rows.index)
                rows = rows.assign(**besides[table](frame, places))
            append_rows(connection, f"scores.{table}", rows)
    for name, champion in champions.items():
        if (afterwards := STUDIES[name].afterwards) is not None:
            afterwards(connection, context, champion, horizon)
    return customers


def population_of(model: str) -> Population:
    """The customers that a model scores."""
    return POPULATIONS[STUDIES[model].population]


@dataclass(frozen=True)
class Scorer:
    """Rows of the tables, by their names, of the customers in a frame; without what is `beside`."""

    champions: Mapping[str, Champion]
    explainers: Mapping[str, Explainer]

    def __call__(self, frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
        return [*self._predicted(frame), *self._tables(frame), *self._reasons(frame)]

    def _predicted(self, frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
        """Rows of the models' tables."""
        for name, champion in self.champions.items():
            predicted = scores(name, champion.model, frame)
            places = np.flatnonzero(predicted.notna().any(axis=1).to_numpy())
            if len(places):
                yield (
                    name,
                    predicted.iloc[places].assign(
                        customer_id=frame["customer_id"].iloc[places],
                        **{version_of(name).name: champion.number},
                    ),
                )

    def _tables(self, frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
        """Rows of the studies' own tables."""
        for name, champion in self.champions.items():
            rows_of = STUDIES[name].rows
            if rows_of is None:
                continue
            members = _members(name, frame)
            if members.empty:
                continue
            customers = members["customer_id"].to_numpy()
            for table, rows in rows_of(champion.model, features_of(members)).items():
                columns = {
                    "customer_id": customers[rows["row"].to_numpy(dtype=int)],
                    version_of(name).name: champion.number,
                }
                yield table, rows.drop(columns="row").assign(**columns)

    def _reasons(self, frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
        """Rows of `scores.reason`, model by model."""
        for name, explainer in self.explainers.items():
            members = _members(name, frame)
            if len(members):
                yield "reason", explainer.reasons(members)


def _members(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of a model's population."""
    places = np.flatnonzero(population_of(name).kept(frame).to_numpy(dtype=bool))
    return frame.iloc[places].reset_index(drop=True)
