"""Benchmark BG/NBD with Gamma-Gamma on a million customers against the package lifetimes.

Each side fits and values the same customers in a process of its own, in turns; the time is that of
the work, without imports. The customers are drawn from the models themselves with parameters near
CDNOW's, observed for up to three years, times in days.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from benchmarks.measuring import PEERS, Row, Run, in_process, median
from orchestration.platform.settings import Settings

Done = TypeVar("Done")
DISCOUNT = 0.01
SEED = 20


def drawn(customers: int) -> dict[str, Any]:
    """Frequency, recency, T (days) and mean spend of customers drawn from the two models."""
    draw = np.random.default_rng(SEED)
    T = draw.integers(30, 1096, customers).astype(float)
    rate = draw.gamma(0.6, 1 / 40.0, customers)
    leaves = draw.beta(0.8, 2.4, customers)
    frequency, recency, now = np.zeros(customers), np.zeros(customers), np.zeros(customers)
    there = np.ones(customers, dtype=bool)
    while there.any():
        who = np.flatnonzero(there)
        now[who] += draw.exponential(1 / rate[who])
        buys = now[who] <= T[who]
        frequency[who[buys]] += 1
        recency[who[buys]] = now[who[buys]]
        there[who[~buys]] = False
        there[who[buys]] = draw.random(buys.sum()) >= leaves[who[buys]]
    recency = np.minimum(np.ceil(recency), T)
    spend = draw.gamma(4.0 * np.maximum(frequency, 1), 1.0) / np.maximum(frequency, 1)
    spend *= 1 / draw.gamma(4.0, 1 / 15.0, customers)
    return {
        "frequency": frequency,
        "recency": recency,
        "T": T,
        "monetary_value": np.where(frequency > 0, np.round(spend, 2) + 0.01, 0.0),
    }


def ours(data: dict[str, np.ndarray]) -> tuple[float, float, dict[str, float]]:
    """Seconds to fit and to value, and the parameters found."""
    from ml.clv.beta_geo import BetaGeoModel
    from ml.clv.gamma_gamma import GammaGammaModel
    from ml.clv.purchase_value import discounted_value

    f, x, T, money = (data[name] for name in ("frequency", "recency", "T", "monetary_value"))

    def fit() -> tuple[BetaGeoModel, GammaGammaModel]:
        return BetaGeoModel().fit(f, x, T), GammaGammaModel().fit(f, money)

    fitting, (purchases, spend) = _timed(fit)
    valuing, value = _timed(
        lambda: discounted_value(
            purchases, spend, f, x, T, money, month=30, monthly_discount=DISCOUNT
        )
    )
    return fitting, valuing, {**purchases.params_, **spend.params_, "value": float(value.sum())}


def lifetimes(data: dict[str, np.ndarray]) -> tuple[float, float, dict[str, float]]:
    """The same by lifetimes."""
    from lifetimes import BetaGeoFitter, GammaGammaFitter

    f, x, T, money = (data[name] for name in ("frequency", "recency", "T", "monetary_value"))
    bought = f > 0

    def fit() -> tuple[BetaGeoFitter, GammaGammaFitter]:
        return (
            BetaGeoFitter(penalizer_coef=0.0).fit(f, x, T),
            GammaGammaFitter(penalizer_coef=0.0).fit(f[bought], money[bought]),
        )

    fitting, (purchases, spend) = _timed(fit)
    columns = [pd.Series(column) for column in (f, x, T, money)]
    valuing, value = _timed(
        lambda: spend.customer_lifetime_value(
            purchases, *columns, time=12, freq="D", discount_rate=DISCOUNT
        )
    )
    parameters = {**purchases.params_.to_dict(), **spend.params_.to_dict()}
    return fitting, valuing, {**parameters, "value": float(value.sum())}


def _timed(work: Callable[[], Done]) -> tuple[float, Done]:
    began = time.monotonic()
    done = work()
    return time.monotonic() - began, done


def measure(settings: Settings, customers: int, rounds: int) -> list[Row]:
    """The rows of `make bench`: fitting, and the discounted expected value of twelve months."""
    home = settings.home / "bench" / f"purchases-{customers}"
    home.mkdir(parents=True, exist_ok=True)
    data = home / "customers.npz"
    if not data.exists():
        np.savez(data, **drawn(customers))
    fitted: dict[str, list[Run]] = {"ours": [], "lifetimes": []}
    valued: dict[str, list[Run]] = {"ours": [], "lifetimes": []}
    found: dict[str, dict[str, float]] = {}
    for _ in range(rounds):
        for side in fitted:
            result = home / f"{side}.json"
            run = in_process(
                [sys.executable, "-m", "benchmarks.purchase_models", side, str(data), str(result)],
                home / "bench.log",
                PYTHONPATH=str(PEERS),
            )
            fitting, valuing, found[side] = json.loads(result.read_text())
            fitted[side].append(Run(fitting, run.peak_bytes))
            valued[side].append(Run(valuing, run.peak_bytes))
    apart = max(abs(found["ours"][name] / value - 1) for name, value in found["lifetimes"].items())
    note = (
        f"parameters and total value at most {apart:.3%} apart; peak memory is of the whole process"
    )
    return [
        Row(
            f"{task} of {customers:,} customers, BG/NBD and Gamma-Gamma",
            median(runs["ours"]),
            median(runs["lifetimes"]),
            "lifetimes",
            note,
        )
        for task, runs in (("fit", fitted), ("discounted value of 12 months", valued))
    ]


if __name__ == "__main__":
    given = dict(np.load(sys.argv[2]))
    outcome = {"ours": ours, "lifetimes": lifetimes}[sys.argv[1]](given)
    Path(sys.argv[3]).write_text(json.dumps(outcome))
