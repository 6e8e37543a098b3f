"""One implementation of each metric, with its definition and source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import rankdata

Metric = Callable[[np.ndarray, np.ndarray], float]
LEAST_PROBABILITY = 1e-12


def _two(y: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    y, score = np.asarray(y, dtype=float), np.asarray(score, dtype=float)
    if y.shape != score.shape or y.ndim != 1 or not len(y):
        raise ValueError(
            f"two equal, non-empty vectors are needed, not {y.shape} and {score.shape}"
        )
    if not (np.isfinite(y).all() and np.isfinite(score).all()):
        raise ValueError("outcomes and scores must be finite")
    return y, score


def gini(y: np.ndarray, score: np.ndarray) -> float:
    """Normalised Gini: area between the gains curve by `score` and the diagonal, over that by `y`.

    1 orders as the outcome does, 0 is chance. Tied scores share their places, so that the order of
    the rows does not matter. Outcomes may be negative. Equals 2 AUC − 1 for a 0/1 outcome (Hand and
    Till, 2001; cumulative form as in Frees, Meyers and Cummings, 2011).

    Parameters
    ----------
    y, score : arrays of shape (n,)

    Raises
    ------
    ValueError
        For vectors of different length, or values that are not finite.
    """
    y, score = _two(y, score)

    def area(order_by: np.ndarray) -> float:
        return float(np.dot(rankdata(order_by) - (len(y) + 1) / 2, y))

    best = area(y)
    return area(score) / best if best else 0.0


def spearman(y: np.ndarray, score: np.ndarray) -> float:
    """Rank correlation, average ranks for ties (Spearman, 1904); 0 where one side is constant."""
    y, score = _two(y, score)
    first, second = rankdata(y), rankdata(score)
    if first.std() == 0 or second.std() == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def top_decile_capture(y: np.ndarray, score: np.ndarray) -> float:
    """Share of the total outcome that the tenth with the highest scores brings.

    The tenth has ceil(n / 10) members; those tied at its edge count with the mean of their outcomes
    (so the order of the rows does not matter). May exceed 1 where others bring losses; undefined
    (NaN) for a total of zero or less.
    """
    y, score = _two(y, score)
    total = y.sum()
    if total <= 0:
        return float("nan")
    size = int(np.ceil(len(y) / 10))
    edge = np.sort(score)[-size]
    above, tied = score > edge, score == edge
    captured = y[above].sum() + y[tied].mean() * (size - above.sum())
    return float(captured / total)


def total_bias(y: np.ndarray, score: np.ndarray) -> float:
    """Sum of predictions over sum of outcomes, less one: 0.1 means 10 % too much in all."""
    y, score = _two(y, score)
    return float(score.sum() / y.sum() - 1) if y.sum() else float("nan")


def mean_absolute_error(y: np.ndarray, score: np.ndarray) -> float:
    """Mean of |outcome − prediction|, in the outcome's unit."""
    y, score = _two(y, score)
    return float(np.abs(y - score).mean())


def _shared(y: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Outcomes with those of tied scores replaced by their mean: which of them falls into which bin
    must not depend on the order of the rows."""
    _, place = np.unique(score, return_inverse=True)
    return (np.bincount(place, weights=y) / np.bincount(place))[place]


def decile_table(y: np.ndarray, score: np.ndarray) -> pd.DataFrame:
    """Mean prediction and mean outcome by tenth of the predictions, lowest first.

    Returns a frame with columns decile (1–10), customers, predicted, observed.
    """
    y, score = _two(y, score)
    order = np.argsort(score, kind="stable")
    decile = np.empty(len(y), dtype=int)
    decile[order] = np.arange(len(y)) * 10 // len(y) + 1
    frame = pd.DataFrame({"decile": decile, "predicted": score, "observed": _shared(y, score)})
    table = frame.groupby("decile").agg(
        customers=("observed", "size"),
        predicted=("predicted", "mean"),
        observed=("observed", "mean"),
    )
    return table.reset_index()


def expected_calibration_error(y: np.ndarray, probability: np.ndarray, bins: int = 10) -> float:
    """Mean |observed rate − mean probability| over bins of equal count, weighted by their size
    (Naeini, Cooper and Hauskrecht, 2015, with equal-count bins)."""
    y, probability = _two(y, probability)
    y = _shared(y, probability)
    order = np.argsort(probability, kind="stable")
    return float(
        sum(
            len(part) / len(y) * abs(y[part].mean() - probability[part].mean())
            for part in np.array_split(order, min(bins, len(y)))
        )
    )


def brier(y: np.ndarray, probability: np.ndarray) -> float:
    """Mean squared distance of probability and 0/1 outcome (Brier, 1950)."""
    y, probability = _two(y, probability)
    return float(np.mean((y - probability) ** 2))


def log_score(y: np.ndarray, probability: np.ndarray) -> float:
    """Mean negative log-likelihood of 0/1 outcomes, in nats (Good, 1952)."""
    y, probability = _two(y, probability)
    kept = np.clip(probability, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    return float(-np.mean(np.where(y > 0, np.log(kept), np.log1p(-kept))))


def auc(y: np.ndarray, score: np.ndarray) -> float:
    """Probability that a responder scores above another, ties half (Hanley and McNeil, 1982);
    NaN where all outcomes are the same."""
    y, score = _two(y, score)
    hits = y.sum()
    if not 0 < hits < len(y):
        return float("nan")
    # The rank sum of Wilcoxon's test, less what the hits would have among themselves.
    beaten = rankdata(score)[y > 0].sum() - hits * (hits + 1) / 2
    return float(beaten / (hits * (len(y) - hits)))


@dataclass(frozen=True)
class Estimate:
    """A figure with its bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """A metric of two predictions of the same outcomes, and of their difference, score − other."""

    score: Estimate
    other: Estimate
    difference: Estimate


def compare(
    metrics: Mapping[str, Metric],
    y: np.ndarray,
    score: np.ndarray,
    other: np.ndarray,
    *,
    seed: int,
    rounds: int = 200,
    level: float = 0.9,
) -> dict[str, Comparison]:
    """Each metric of two predictions with percentile bootstrap intervals (Efron, 1979).

    Customers are resampled, the same for both predictions and all metrics. Pairing takes out of the
    difference what both have in common: the luck of which customers were drawn.

    Parameters
    ----------
    metrics : mapping of a name to a function of outcomes and scores
    y, score, other : arrays of shape (n,)

    Raises
    ------
    ValueError
        For vectors of different length, or values that are not finite.
    """
    y, score = _two(y, score)
    _, other = _two(y, other)

    def resampled(number: int) -> list[tuple[float, float]]:
        rows = np.random.default_rng([seed, number]).integers(0, len(y), len(y))
        outcomes, scored, others = y[rows], score[rows], other[rows]
        return [(metric(outcomes, scored), metric(outcomes, others)) for metric in metrics.values()]

    # Most of it is sorting, which holds no lock.
    with ThreadPoolExecutor() as threads:
        by_round = np.array(list(threads.map(resampled, range(rounds))), dtype=float)
    ends = [(1 - level) / 2, (1 + level) / 2]

    def estimate(value: float, samples: np.ndarray) -> Estimate:
        low, high = np.nanquantile(samples, ends)
        return Estimate(value, float(low), float(high))

    found = {}
    for place, (name, metric) in enumerate(metrics.items()):
        own, others = by_round[:, place].T
        value, other_value = metric(y, score), metric(y, other)
        found[name] = Comparison(
            estimate(value, own),
            estimate(other_value, others),
            estimate(value - other_value, own - others),
        )
    return found
