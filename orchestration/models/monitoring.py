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
from orchestration.platform.progress import report_progress
from orchestration.platform.tables import append_rows, ensure_table
from sources.message import Message

DRIFT, MONITORING = "meta.model_drift", "meta.model_monitoring"


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
    for table in (DRIFT, MONITORING):
        ensure_table(connection, table)
    for study in studies:
        for table in (DRIFT, MONITORING):
            connection.execute(f"delete from {table} where model_name = ?", [study.name])
        champion = registry.champion(study.name)
        if isinstance(study, Off) or champion is None or not is_on(connection, study.name):
            continue
        version = champion.version
        report_progress(Message("{0}: drift and accuracy of version {1}", study.name, version))
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
    drift = both[["subject", "feature", "psi", "noise"]]
    append_rows(connection, DRIFT, drift.assign(model_name=champion.name, version=champion.version))


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
    accuracy = pd.DataFrame(
        {
            "metric": list(estimates),
            "value": [one.value for one in estimates.values()],
            "low": [one.low for one in estimates.values()],
            "high": [one.high for one in estimates.values()],
        }
    )
    append_rows(
        connection,
        MONITORING,
        accuracy.assign(
            model_name=champion.name,
            version=champion.version,
            judged="model" if is_later else "twin",
            cutoff=pd.Timestamp(f"{newest.cutoffs[-1]}-01"),
            rows=len(newest),
        ),
    )
