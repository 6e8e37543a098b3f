"""Measure how much of the synthetic bank's hidden truth the models and the simple rules recover.

The outcomes of a customer (contribution, attrition, default) are part expectation, part chance. The
hidden truth is the expectation: its figure on the realised outcomes is about the best possible one,
and a model's is shown as a share of it. Everything is measured on the evaluation period, with the
champions' evaluation twins, which were fitted without it.

    make truth                      the bank refreshed in JINGXI_HOME
    make truth SEEDS="1 2 3 4 5"    one bank a seed, each refreshed in a home of its own
    make truth COVERAGE=1           the intervals beyond the as-of date too: a refresh more a bank
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import duckdb
import numpy as np

from benchmarks import interval_coverage
from benchmarks.homes import own_store, refreshed
from benchmarks.plan_recovery import plan_recoveries
from benchmarks.truth_findings import Bias, Findings, Recovery, mean_report, report, share
from ml.evaluation import metrics
from ml.evaluation.uplift import area_under_gain, gain_at
from ml.registry import RULE, Registry, Version
from orchestration.models.context import TrainingContext
from orchestration.models.cutoffs import LONG_HORIZON
from orchestration.models.records import Records
from orchestration.models.studies.attrition import attrition_study
from orchestration.models.studies.clv import clv_study
from orchestration.models.studies.default import default_study
from orchestration.models.studies.response import response_study
from orchestration.models.studies.uplift import uplift_study
from orchestration.models.study import Off, Sample, Study
from orchestration.platform.engine import connect
from orchestration.platform.environment import QUIET, code_version
from orchestration.platform.settings import Settings, read_settings

Metric = Callable[[np.ndarray, np.ndarray], float]
CHANCE = 0.1


def capture_over_chance(y: np.ndarray, score: np.ndarray) -> float:
    """Top-decile capture less the tenth that a score without knowledge captures."""
    return metrics.top_decile_capture(y, score) - CHANCE


def log_score_skill(y: np.ndarray, probability: np.ndarray) -> float:
    """Share of the log score of the outcomes' own base rate that a probability saves: 1 is
    certainty, 0 is no better than the base rate (skill score; Murphy, 1988). NaN where all outcomes
    are the same."""
    base = metrics.log_score(y, np.full(len(y), float(np.mean(y))))
    if not 0 < np.mean(y) < 1:
        return float("nan")
    return 1 - metrics.log_score(y, probability) / base


# Each is 0 for an uninformative score, so that the share of the truth's figure is meaningful.
CAPTURE = "top-decile capture over chance"
VALUE_METRICS: Mapping[str, Metric] = {
    CAPTURE: capture_over_chance,
    "rank correlation": metrics.spearman,
    "normalised Gini": metrics.gini,
}
PROBABILITY_METRICS: Mapping[str, Metric] = {
    CAPTURE: capture_over_chance,
    "Gini (2 AUC − 1)": metrics.gini,
    "log score skill": log_score_skill,
}


# Scores of contacts, and the truth's column of them.
CONTACTED = {"response": "response_probability_treatment", "uplift": "uplift"}
UPLIFT_METRICS: Mapping[str, Metric] = {
    "area under the gain": area_under_gain,
    "gain of the top 30 % over all": lambda y, score: gain_at(y, score, 0.3) - float(np.mean(y)),
}


class NotMeasurable(Exception):
    """The home holds nothing to compare with a truth; the message has the cure."""


def recovery(
    name: str,
    measures: Mapping[str, Metric],
    y: np.ndarray,
    scores: tuple[np.ndarray, np.ndarray, np.ndarray],
    seed: int,
    customers: np.ndarray | None = None,
) -> list[Recovery]:
    """Model, rule and truth (`scores`, in this order, each of shape (n,)) judged by each measure;
    rows of one of the `customers`, shape (n,), are drawn together."""

    def figures(rows: np.ndarray) -> list[list[float]]:
        return [[metric(y[rows], one[rows]) for one in scores] for metric in measures.values()]

    samples = metrics.bootstrap(figures, len(y), seed=seed, groups=customers)
    found = []
    for place, (label, value) in enumerate(zip(measures, figures(np.arange(len(y))), strict=True)):
        shares = np.array([share(model, truth) for model, _, truth in samples[:, place]])
        known = shares[~np.isnan(shares)]
        low, high = np.quantile(known, [0.05, 0.95]) if len(known) else (np.nan, np.nan)
        model, rule, truth = value
        found.append(Recovery(name, label, model, rule, truth, float(low), float(high)))
    return found


def bias(
    name: str,
    y: np.ndarray,
    scores: tuple[np.ndarray, np.ndarray, np.ndarray],
    seed: int,
    customers: np.ndarray | None = None,
) -> Bias:
    """Total bias of model, rule and truth (`scores`, as in `recovery`)."""
    model, rule, truth = scores
    own = metrics.estimate({"bias": metrics.total_bias}, y, model, seed=seed, groups=customers)
    return Bias(
        name,
        len(y),
        float(y.mean()),
        own["bias"].value,
        own["bias"].low,
        own["bias"].high,
        metrics.total_bias(y, rule),
        metrics.total_bias(y, truth),
    )


def mean_discount_factor(rate: float, months: int = LONG_HORIZON) -> float:
    """Mean of the factors at which the records discount each month's margin, from its middle.

    The truth's expected contribution is a plain sum over the months, the outcome a discounted one.
    """
    return float(np.mean((1 + rate) ** ((0.5 - np.arange(1, months + 1)) / 12)))


def probability_of(hazard: np.ndarray, months: int = LONG_HORIZON) -> np.ndarray:
    """Probability of an event within so many months of a constant monthly hazard."""
    return np.asarray(1 - (1 - hazard) ** months)


@contextmanager
def _records(settings: Settings) -> Iterator[Records]:
    """The records of a home whose bank the truth beside it is that of."""
    marker = settings.truth / ".generated.json"
    if not marker.exists() or not settings.warehouse.exists():
        raise NotMeasurable(
            f"{settings.home} holds no refresh of the synthetic bank; run make refresh first"
        )
    with connect(settings, settings.warehouse, read_only=True) as connection:
        (first_month, as_of), (identity,) = (
            connection.execute(query).fetchall()[0]
            for query in (
                "select first_month, as_of from landing.refresh_window",
                "select identity from meta.bank",
            )
        )
        if json.loads(marker.read_text(encoding="utf-8"))["identity"] != identity:
            raise NotMeasurable(
                f"the truth in {settings.truth} is not that of {identity}; refresh the synthetic "
                "bank in this home (make refresh) or name another (JINGXI_HOME)"
            )
        context = TrainingContext(
            first_month=first_month,
            as_of=as_of,
            seed=settings.seed,
            mode="never",
            source=identity,
            tracking_uri=settings.mlflow_tracking_uri,
            artifact_root=str(settings.mlflow_home / "artifacts"),
            run_id="",
            code_version=code_version(),
            promotion=settings.promotion,
            trainer=settings.user,
        )
        records = Records(connection, context)
        if records.plan is None or records.plan.horizon != LONG_HORIZON:
            raise NotMeasurable("the truth is that of twelve months; refresh at least 27 months")
        yield records


def measure(settings: Settings) -> Sequence[Recovery]:
    """The champions of a home against the truth beside it: the shares alone."""
    return judge(settings).recoveries


def judge(settings: Settings, store: str | None = None) -> Findings:
    """The champions of a home against the truth beside it; `store` is where MLflow keeps them,
    unless it is the store of the settings.

    Raises
    ------
    NotMeasurable
        When the home holds no refresh of the synthetic bank of 27 months or more.
    ml.registry.ChampionUnusable
        When a champion's twin cannot be loaded.
    """
    found = Findings()
    with _records(settings) as records:
        store = store or settings.mlflow_tracking_uri
        registry = Registry(store, str(settings.mlflow_home / "artifacts"))
        for study in (
            clv_study(records),
            attrition_study(records),
            default_study(records),
            response_study(records),
            uplift_study(records),
        ):
            found += _judged(records, registry, store, settings, study)
        found += Findings(plans=plan_recoveries(records.connection, settings, settings.seed))
    return found


def _judged(
    records: Records, registry: Registry, store: str, settings: Settings, study: Study | Off
) -> Findings:
    if isinstance(study, Off):
        return Findings(notes=[f"{study.name}: {study.reason}"])
    champion = registry.champion(study.name)
    if champion is None:
        return Findings(notes=[f"{study.name}: there is no champion"])
    differing = [name for name, value in study.wanted.items() if champion.tags.get(name) != value]
    if differing:
        note = f"{study.name}: the champion was made for another {', '.join(differing)}"
        return Findings(notes=[note])
    material = study.read()
    later = material.later
    rule = study.rule.fit(material.train, records.context.seed)
    y, by_model, customers = study.judged(registry.load_twin(champion), later)
    scores = (by_model, study.judged(rule, later)[1], _truth(records, settings, study.name, later))
    measures = VALUE_METRICS if study.kind == "value" else PROBABILITY_METRICS
    if study.name == "uplift":
        measures = UPLIFT_METRICS
    seed = records.context.seed
    coverage = interval_coverage.logged(registry, champion, store) if study.name == "clv" else None
    return Findings(
        recovery(study.name, measures, y, scores, seed, customers),
        [bias(study.name, y, scores, seed, customers)],
        [coverage] if coverage else [],
        _notes(records, study, champion),
    )


def _notes(records: Records, study: Study, champion: Version) -> list[str]:
    found = []
    named = f"{study.name}, version {champion.version}"
    if champion.kind == RULE:
        found.append(f"{named}: the rule is champion")
    if champion.tags.get("trained_as_of", "") > str(records.context.as_of):
        found.append(f"{named}: trained as of a later month, so its twin may know the outcomes")
    if champion.tags.get("code_version") != records.context.code_version:
        found.append(f"{named}: trained by other code than this")
    return found


def _truth(records: Records, settings: Settings, name: str, later: Sample) -> np.ndarray:
    """The hidden expectation of each row's outcome."""
    if name in CONTACTED:
        return column_by_key(
            records.connection,
            f"select contact_id, {CONTACTED[name]} as expected "
            "from read_parquet($path) join base.campaign_contact using (campaign_id, customer_id)",
            {"path": str(settings.truth / "uplift.parquet")},
            later.outcome["contact_id"].to_numpy(),
        )
    column = {
        "clv": "expected_contribution_12m",
        "attrition": "attrition_hazard",
        "default": "default_hazard",
    }[name]
    expected = column_by_key(
        records.connection,
        f"select customer_id, {column} as expected from read_parquet($path) where month = $month",
        {
            "path": str(settings.truth / "customer_month.parquet"),
            "month": later.frame["cutoff"].iloc[0],
        },
        later.customers,
    )
    return (
        expected * mean_discount_factor(records.rate) if name == "clv" else probability_of(expected)
    )


def column_by_key(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    parameters: Mapping[str, object],
    keys: np.ndarray,
) -> np.ndarray:
    """`expected` of each key: the first column of a query names the keys.

    Raises
    ------
    LookupError
        For keys that are missing in the truth: those of another bank would count as 0.
    """
    frame = connection.execute(query, dict(parameters)).df()
    known = frame.set_index(frame.columns[0])["expected"]
    missing = ~np.isin(keys.astype(str), known.index.to_numpy().astype(str))
    if missing.any():
        raise LookupError(f"the truth does not know {missing.sum():,} of {len(keys):,} rows")
    return known.loc[keys].to_numpy(dtype=float)


def of_seed(settings: Settings, seed: int, *, coverage: bool) -> Findings:
    """The bank of another seed, refreshed in `<home>/seeds/<seed>` if it was not yet, judged."""
    other = refreshed(
        settings.model_copy(
            update={
                "home": settings.home / "seeds" / str(seed),
                "seed": seed,
                "source": "synthetic",
                "source_path": None,
            }
        )
    )
    found = judge(other, own_store(other))
    if not coverage:
        return found
    return with_coverage_beyond(other, found)


def with_coverage_beyond(settings: Settings, found: Findings) -> Findings:
    """The same with the coverage beyond the as-of date, or a note why there is none."""
    try:
        beyond = interval_coverage.beyond(settings)
    except Exception as error:
        note = f"coverage beyond the as-of date: {type(error).__name__}: {error}"
        return replace(found, notes=(*found.notes, note))
    return replace(found, coverages=(*found.coverages, beyond))


def each_seed(
    seeds: Sequence[int],
    judged: Callable[[int], Findings],
    show: Callable[[str], None],
) -> tuple[dict[int, Findings], dict[int, str]]:
    """Judge seed after seed and print each at once; an error of one does not end the others.

    Returns the findings, and why seeds have none, by seed.
    """
    found: dict[int, Findings] = {}
    failed: dict[int, str] = {}
    for seed in seeds:
        # Any error: hours of other seeds must not be lost.
        try:
            found[seed] = judged(seed)
        except Exception as error:
            failed[seed] = f"{type(error).__name__}: {error}"
            show(f"seed {seed} failed: {failed[seed]}\n")
            continue
        show(f"seed {seed}\n{report(found[seed])}\n")
    return found, failed


def main(arguments: list[str] | None = None) -> int:
    """1 when a seed has no findings."""
    asked = argparse.ArgumentParser(prog="make truth", description=__doc__.split("\n")[0])
    asked.add_argument("--seeds", type=int, nargs="*", default=[], help="one bank a seed")
    asked.add_argument(
        "--coverage", action="store_true", help="intervals beyond the as-of date: a refresh more"
    )
    given = asked.parse_args(arguments)
    os.environ.update(QUIET)
    settings = read_settings()
    if not given.seeds:
        try:
            found = judge(settings)
        except NotMeasurable as error:
            raise SystemExit(str(error)) from error
        print(report(with_coverage_beyond(settings, found) if given.coverage else found))
        return 0
    every, failed = each_seed(
        given.seeds,
        lambda seed: of_seed(settings, seed, coverage=given.coverage),
        lambda words: print(words, flush=True),
    )
    if every:
        print(f"{len(every)} of {len(given.seeds)} seeds\n{mean_report(list(every.values()))}")
    if failed:
        print(f"\nwithout findings: seeds {', '.join(map(str, failed))}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
