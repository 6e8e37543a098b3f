"""Changes since a champion was trained: in its customers, its scores and its accuracy."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import pandas as pd

from ml.evaluation import metrics
from ml.evaluation.drift import drift_from_profile
from ml.promotion import defined
from ml.registry import ChampionUnusable, Registry, Version
from orchestration.models.datasets import POPULATIONS
from orchestration.models.examination import scored
from orchestration.models.records import Records
from orchestration.models.registration import LEARNED_UNTIL, PROFILE, SCORE_PROFILE, is_on
from orchestration.models.studies import STUDIES
from orchestration.models.study import Off, Study
from orchestration.platform.progress import tell

CREATE = """
create schema if not exists meta;
create table if not exists meta.model_drift (
    model_name varchar, version varchar, subject varchar, feature varchar, psi double,
    noise double
);
create table if not exists meta.model_monitoring (
    model_name varchar, version varchar, judged varchar, cutoff date, metric varchar,
    value double, low double, high double, rows integer
)
"""


def monitor(
    connection: duckdb.DuckDBPyConnection,
    records: Records,
    registry: Registry,
    studies: Sequence[Study | Off],
) -> None:
    """Write `meta.model_drift` and `meta.model_monitoring` of the champions of studies that are on;
    the rows of other models stay.

    A champion that cannot be loaded is left out: scoring fails on it and reports the cause.
    """
    for statement in CREATE.split(";"):
        connection.execute(statement)
    for study in studies:
        for table in ("model_drift", "model_monitoring"):
            connection.execute(f"delete from meta.{table} where model_name = ?", [study.name])
        champion = registry.champion(study.name)
        if isinstance(study, Off) or champion is None or not is_on(connection, study.name):
            continue
        tell(f"{study.name}: drift and accuracy of version {champion.version}")
        try:
            _drift(connection, records, registry, champion)
            _accuracy(connection, records, registry, champion, study)
        except ChampionUnusable:
            continue


def _drift(
    connection: duckdb.DuckDBPyConnection, records: Records, registry: Registry, champion: Version
) -> None:
    declared = STUDIES.get(champion.name)
    population = POPULATIONS.get(declared.population) if declared else None
    now = records.as_of(population) if population else None
    if now is None:
        return
    model = registry.load(champion)
    features = drift_from_profile(registry.table(champion, PROFILE), now)
    scores = drift_from_profile(registry.table(champion, SCORE_PROFILE), scored(model, now))
    both = pd.concat([features.assign(subject="feature"), scores.assign(subject="score")])
    connection.register("drift", both)
    connection.execute(
        "insert into meta.model_drift select ?, ?, subject, feature, psi, noise from drift",
        [champion.name, champion.version],
    )
    connection.unregister("drift")


def _accuracy(
    connection: duckdb.DuckDBPyConnection,
    records: Records,
    registry: Registry,
    champion: Version,
    study: Study,
) -> None:
    """On the newest cohort whose outcomes are complete; by the twin where the champion has learned
    from that cohort."""
    newest = study.newest()
    if not len(newest):
        return
    is_later = newest.cutoffs[-1] > champion.tags.get(LEARNED_UNTIL, "")
    model = registry.load(champion) if is_later else registry.load_twin(champion)
    y, score, customers = study.judged(model, newest)
    watched = {
        measure.name: measure.metric
        for measure in defined(study.measures, y)
        if measure.better == "zero" or measure.name == study.deciding
    }
    estimates = metrics.estimate(watched, y, score, seed=records.context.seed, groups=customers)
    connection.executemany(
        "insert into meta.model_monitoring values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                *(champion.name, champion.version, "model" if is_later else "twin"),
                *(f"{newest.cutoffs[-1]}-01", name, one.value, one.low, one.high, len(newest)),
            )
            for name, one in estimates.items()
        ],
    )
