"""How much of the synthetic bank's hidden truth the models recover, beside the simple rules.

What a customer brings is part expectation, part luck. The hidden truth is the expectation itself:
what it achieves on the realised outcome is about all that can be achieved, so that a model is shown
as a share of it. Everything is measured on the evaluation period, by the champions' evaluation
twins, which have not seen it.

    make truth                      the bank refreshed in JINGXI_HOME
    make truth SEEDS="1 2 3 4 5"    one bank a seed, each refreshed in a home of its own
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date

import duckdb
import numpy as np
import pandas as pd

from ml.evaluation import metrics
from ml.registry import Registry
from ml.response.model import OFFER, OfferBaseRate
from orchestration.environment import PROJECT, QUIET
from orchestration.models.datasets import (
    LONG_HORIZON,
    clv_frame,
    contact_frame,
    features_of,
    plan_cutoffs,
)
from orchestration.models.training import evaluation_border
from orchestration.settings import Settings, read_settings

Metric = Callable[[np.ndarray, np.ndarray], float]
# Each is 0 for a score that knows nothing, so that a share of the truth's own has a meaning.
CLV_METRICS: Mapping[str, Metric] = {
    "top-decile capture over chance": lambda y, score: metrics.top_decile_capture(y, score) - 0.1,
    "rank correlation": metrics.spearman,
    "normalised Gini": metrics.gini,
}
RESPONSE_METRICS: Mapping[str, Metric] = {"Gini (2 AUC − 1)": metrics.gini}
ROUNDS = 200


@dataclass(frozen=True)
class Recovery:
    """One metric on the evaluation period: what model, rule and truth achieve.

    `share_low` and `share_high` bound the model's share of the truth's figure: the 90 % percentile
    bootstrap, customers resampled.
    """

    model_name: str
    metric: str
    model: float
    rule: float
    truth: float
    share_low: float
    share_high: float

    @property
    def share(self) -> float:
        return self.model / self.truth

    @property
    def rule_share(self) -> float:
        return self.rule / self.truth


def recovery(
    name: str,
    measures: Mapping[str, Metric],
    y: np.ndarray,
    scores: tuple[np.ndarray, np.ndarray, np.ndarray],
    seed: int,
) -> list[Recovery]:
    """Model, rule and truth (`scores`, in this order, each of shape (n,)) judged by each."""
    generator = np.random.default_rng(seed)
    samples = [generator.integers(0, len(y), len(y)) for _ in range(ROUNDS)]
    model, _, truth = scores
    found = []
    for label, metric in measures.items():
        shares = [metric(y[rows], model[rows]) / metric(y[rows], truth[rows]) for rows in samples]
        low, high = np.nanquantile(shares, [0.05, 0.95])
        model_figure, rule_figure, truth_figure = (metric(y, score) for score in scores)
        found.append(
            Recovery(name, label, model_figure, rule_figure, truth_figure, float(low), float(high))
        )
    return found


def _opened(settings: Settings) -> duckdb.DuckDBPyConnection:
    if not (settings.truth / "customer_month.parquet").exists() or not settings.warehouse.exists():
        raise SystemExit(
            f"{settings.home} holds no refresh of the synthetic bank; run make refresh first"
        )
    return duckdb.connect(str(settings.warehouse), read_only=True)


def measure(settings: Settings) -> list[Recovery]:
    """The champions of a home against the truth beside it."""
    registry = Registry(settings.mlflow_tracking_uri, str(settings.mlflow_home / "artifacts"))
    with _opened(settings) as connection:
        return [
            *_clv(connection, registry, settings),
            *_response(connection, registry, settings),
        ]


def _clv(
    connection: duckdb.DuckDBPyConnection, registry: Registry, settings: Settings
) -> list[Recovery]:
    ((first_month, as_of),) = connection.execute(
        "select first_month, as_of from landing.refresh_window"
    ).fetchall()
    plan = plan_cutoffs(first_month, as_of.replace(day=1))
    champion = registry.champion("clv")
    if plan is None or plan.horizon != LONG_HORIZON or champion is None:
        raise SystemExit("the truth is that of twelve months; refresh at least 27 months")
    frame, y = clv_frame(connection, (plan.evaluation,), plan.horizon)
    truth = _expected(connection, settings, frame, plan.evaluation)
    features = features_of(frame)
    rule = features["last_period_contribution"].to_numpy(dtype=float)
    model = registry.load_twin(champion).predict(features)
    return recovery("clv", CLV_METRICS, y, (model, rule, truth), settings.seed)


def _expected(
    connection: duckdb.DuckDBPyConnection, settings: Settings, frame: pd.DataFrame, month: date
) -> np.ndarray:
    expected = connection.execute(
        "select customer_id, expected_contribution_12m from read_parquet($path) "
        "where month = $month",
        {"path": str(settings.truth / "customer_month.parquet"), "month": month},
    ).df()
    known = expected.set_index("customer_id")["expected_contribution_12m"]
    return frame["customer_id"].map(known).fillna(0.0).to_numpy(dtype=float)


def _response(
    connection: duckdb.DuckDBPyConnection, registry: Registry, settings: Settings
) -> list[Recovery]:
    champion = registry.champion("response")
    contacts = contact_frame(connection)
    border = evaluation_border(contacts) if len(contacts) else None
    if champion is None or border is None:
        return []
    probability = connection.execute(
        "select contact_id, response_probability_treatment as probability "
        "from read_parquet($path) join base.campaign_contact using (campaign_id, customer_id)",
        {"path": str(settings.truth / "uplift.parquet")},
    ).df()
    contacts = contacts.merge(probability, on="contact_id", validate="one_to_one")
    earlier = contacts[contacts["matured_on"] < border]
    later = contacts[contacts["contacted_on"] >= border]
    rule = OfferBaseRate().fit(earlier[[OFFER]], earlier["responded"].to_numpy()).predict(later)
    model = registry.load_twin(champion).predict(features_of(later))
    y, truth = (later[name].to_numpy(dtype=float) for name in ("responded", "probability"))
    return recovery("response", RESPONSE_METRICS, y, (model, rule, truth), settings.seed)


def table(found: list[Recovery]) -> str:
    """A line a metric."""
    head = (
        f"{'model':<10}{'metric':<32}{'model':>8}{'rule':>8}{'truth':>8}"
        f"{'model/truth [90 %]':>26}{'rule/truth':>12}"
    )
    lines = [
        f"{one.model_name:<10}{one.metric:<32}{one.model:>8.3f}{one.rule:>8.3f}{one.truth:>8.3f}"
        f"{one.share:>12.1%} [{one.share_low:.1%}, {one.share_high:.1%}]{one.rule_share:>9.1%}"
        for one in found
    ]
    return "\n".join([head, *lines])


def mean_table(seeds: list[list[Recovery]]) -> str:
    """The mean share over the seeds, with the smallest and largest."""
    lines = [
        f"{'model':<10}{'metric':<32}{'model/truth, mean [least, most]':>36}{'rule/truth':>12}"
    ]
    for same in zip(*seeds, strict=True):
        shares = [one.share for one in same]
        rules = [one.rule_share for one in same]
        lines.append(
            f"{same[0].model_name:<10}{same[0].metric:<32}{np.mean(shares):>16.1%} "
            f"[{min(shares):.1%}, {max(shares):.1%}]{np.mean(rules):>12.1%}"
        )
    return "\n".join(lines)


def refreshed(settings: Settings, seed: int) -> Settings:
    """A home below this one with the bank of another seed, refreshed if it was not yet."""
    home = settings.home / "seeds" / str(seed)
    other = settings.model_copy(update={"home": home, "seed": seed})
    if not (other.published / "current.duckdb").exists():
        kept = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"}
        kept.pop("MLFLOW_TRACKING_URI", None)
        named = {"JINGXI_HOME": str(home), "JINGXI_SEED": str(seed), "JINGXI_SOURCE": "synthetic"}
        subprocess.run(
            [sys.executable, "-m", "orchestration", "refresh"],
            cwd=PROJECT,
            env={**kept, **named},
            stdout=subprocess.DEVNULL,
            check=True,
        )
    return other


def main(arguments: list[str] | None = None) -> int:
    asked = argparse.ArgumentParser(prog="make truth", description=__doc__.split("\n")[0])
    asked.add_argument("--seeds", type=int, nargs="*", default=[], help="one bank a seed")
    seeds = asked.parse_args(arguments).seeds
    os.environ.update(QUIET)
    settings = read_settings()
    if not seeds:
        print(table(measure(settings)))
        return 0
    every = []
    for seed in seeds:
        found = measure(refreshed(settings, seed))
        print(f"seed {seed}\n{table(found)}", flush=True)
        every.append(found)
    print(f"{len(seeds)} seeds\n{mean_table(every)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
