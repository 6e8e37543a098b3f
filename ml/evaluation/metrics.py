"""One implementation of each metric, with its definition and source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import rankdata
from threadpoolctl import threadpool_limits

Metric = Callable[[np.ndarray, np.ndarray], float]
LEAST_PROBABILITY = 1e-12
MOST_STEPS, LEAST_STEP = 100, 1e-10
ROUNDS, LEVEL = 200, 0.9


def _two(y: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    y, score = np.asarray(y, dtype=float), np.asarray(score, dtype=float)
    if y.shape != score.shape or y.ndim != 1 or not len(y):
        raise ValueError(
            "outcomes and scores are invalid: expected non-empty vectors of one length, got "
            f"{y.shape} and {score.shape}"
        )
    if not (np.isfinite(y).all() and np.isfinite(score).all()):
        raise ValueError("outcomes and scores are invalid: expected finite numbers")
    return y, score


def gini(y: np.ndarray, score: np.ndarray) -> float:
    """Normalised Gini: area between the gains curve by `score` and the diagonal, over that by `y`.

    1 is the order of the outcomes, 0 is chance. Tied scores share their places: the order of the
    rows does not matter. Outcomes may be negative. Equals 2 AUC − 1 for a 0/1 outcome (Hand and
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
    return _gini(y, rankdata(y), rankdata(score))


def _gini(y: np.ndarray, y_rank: np.ndarray, score_rank: np.ndarray) -> float:
    def area(rank: np.ndarray) -> float:
        return float(np.dot(rank - (len(y) + 1) / 2, y))

    best = area(y_rank)
    return area(score_rank) / best if best else 0.0


def spearman(y: np.ndarray, score: np.ndarray) -> float:
    """Rank correlation, average ranks for ties (Spearman, 1904); 0 where one side is constant."""
    y, score = _two(y, score)
    return _spearman(y, rankdata(y), rankdata(score))


def _spearman(y: np.ndarray, first: np.ndarray, second: np.ndarray) -> float:
    if first.std() == 0 or second.std() == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def top_decile_capture(y: np.ndarray, score: np.ndarray) -> float:
    """Share of the total outcome in the tenth with the highest scores.

    The tenth has ceil(n / 10) members; those tied at its edge count with the mean of their outcomes
    (so the order of the rows does not matter). It may exceed 1 if others have losses; undefined
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
    """Outcomes with those of tied scores replaced by their mean, so that bins do not depend on the
    order of the rows."""
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
    return _auc(y, y, rankdata(score))


def _auc(y: np.ndarray, y_rank: np.ndarray, score_rank: np.ndarray) -> float:
    hits = y.sum()
    if not 0 < hits < len(y):
        return float("nan")
    # The rank sum of Wilcoxon's test, less that of the hits among themselves.
    beaten = score_rank[y > 0].sum() - hits * (hits + 1) / 2
    return float(beaten / (hits * (len(y) - hits)))


def _log_odds(probability: np.ndarray) -> np.ndarray:
    return logit(np.clip(probability, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY))


def calibration_in_the_large(y: np.ndarray, probability: np.ndarray) -> float:
    """Intercept of a logistic regression of the outcome with the log-odds as offset (Cox, 1958; Van
    Calster et al., 2019).

    0 means that the probabilities are right on average, below 0 that they are too high. NaN if all
    outcomes are the same.
    """
    y, probability = _two(y, probability)
    rate = y.mean()
    if not 0 < rate < 1:
        return float("nan")
    offset, target = _log_odds(probability), logit(rate)
    # The mean probability lies between the least and the greatest: so does the root.
    low, high = target - offset.max(), target - offset.min()
    if low == high:
        return float(low)
    return float(brentq(lambda level: expit(level + offset).mean() - rate, low - 1e-9, high + 1e-9))


def calibration_slope(y: np.ndarray, probability: np.ndarray) -> float:
    """Slope of a logistic regression of the 0/1 outcome on the log-odds (Cox, 1958; Van Calster
    et al., 2019), by Newton's method.

    1 is right, below 1 means that the probabilities are too extreme. NaN without a finite maximum:
    equal outcomes, equal probabilities, or outcomes that the probabilities separate (Albert and
    Anderson, 1984).
    """
    y, probability = _two(y, probability)
    score = _log_odds(probability)
    spread = score.std()
    if not 0 < y.sum() < len(y) or spread == 0:
        return float("nan")
    hit, miss = score[y > 0], score[y <= 0]
    if miss.max() <= hit.min() or hit.max() <= miss.min():
        return float("nan")
    design = np.column_stack([np.ones(len(y)), (score - score.mean()) / spread])

    def loss(line: np.ndarray) -> float:
        at = design @ line
        return float(np.logaddexp(0, at).sum() - y @ at)

    line = np.array([logit(y.mean()), 0.0])
    current = loss(line)
    for _ in range(MOST_STEPS):
        rate = expit(design @ line)
        curvature = design.T @ (design * (rate * (1 - rate))[:, None])
        step = np.linalg.solve(curvature, design.T @ (y - rate))
        # A full step may overshoot if few outcomes lie on the wrong side.
        while (following := loss(line + step)) > current and np.abs(step).max() > LEAST_STEP:
            step = step / 2
        line, current = line + step, following
        if np.abs(step).max() <= LEAST_STEP:
            break
    return float(line[1] / spread)


def _inside(y: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """1 where the outcome lies within its interval, ends included, else 0."""
    y, low, high = (np.asarray(values, dtype=float) for values in (y, low, high))
    if not y.shape == low.shape == high.shape or y.ndim != 1 or not len(y):
        raise ValueError(
            "outcomes and intervals are invalid: expected non-empty vectors of one length, got "
            f"{y.shape}, {low.shape} and {high.shape}"
        )
    if not np.isfinite(y).all():
        raise ValueError("outcomes are invalid: expected finite numbers")
    if not (low <= high).all():
        raise ValueError("intervals are invalid: expected known low ends up to the high ends")
    return ((low <= y) & (y <= high)).astype(float)


def coverage(y: np.ndarray, low: np.ndarray, high: np.ndarray) -> float:
    """Share of the outcomes within their intervals, ends included. Ends may be infinite.

    Parameters
    ----------
    y, low, high : arrays of shape (n,)

    Raises
    ------
    ValueError
        For vectors of different length, outcomes that are not finite, ends that are unknown or the
        wrong way round.
    """
    return float(_inside(y, low, high).mean())


def coverage_by_decile(
    y: np.ndarray, predicted: np.ndarray, low: np.ndarray, high: np.ndarray
) -> pd.DataFrame:
    """Share of the outcomes within their intervals by tenth of the predictions, lowest first.

    A coverage that is right on average may hide intervals that are too narrow for the best
    customers.
    Returns a frame with columns decile (1–10), customers, predicted, coverage.
    """
    table = decile_table(_inside(y, low, high), predicted)
    return table.rename(columns={"observed": "coverage"})


@dataclass(frozen=True)
class Estimate:
    """A figure with the bounds of its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """A metric of two predictions of the same outcomes, and of their difference, score − other."""

    score: Estimate
    other: Estimate
    difference: Estimate


def bootstrap(
    figures: Callable[[np.ndarray], ArrayLike],
    size: int,
    *,
    seed: int,
    groups: np.ndarray | None = None,
    rounds: int = ROUNDS,
) -> np.ndarray:
    """Figures of `rounds` samples drawn with replacement from `size` rows (Efron, 1979).

    With `groups`, whole groups are drawn, as many as there are (Field and Welsh, 2007; Cameron,
    Gelbach and Miller, 2008): several cut-offs of one customer are not independent rows. Groups of
    one row each give the same figures as no groups.

    Parameters
    ----------
    figures : function of row numbers, an array of integers, to figures of one shape
        Called by several threads.
    groups : array of shape (size,), which rows belong together

    Returns
    -------
    array of shape (rounds, *shape of the figures)

    Raises
    ------
    ValueError
        For groups of another length, or unknown.
    """
    if groups is None:
        first, length, by_group = np.arange(size), np.ones(size, dtype=int), np.arange(size)
    else:
        of_row = np.asarray(groups)
        if of_row.shape != (size,) or pd.isna(of_row).any():
            raise ValueError(f"groups are invalid: expected a known one for each of {size} rows")
        # Numbered in order of appearance, so that the draws do not depend on their names.
        codes, _ = pd.factorize(of_row)
        length = np.bincount(codes)
        first = np.cumsum(length) - length
        by_group = np.argsort(codes, kind="stable")
    single = len(length) == size

    def resampled(number: int) -> ArrayLike:
        drawn = np.random.default_rng([seed, number]).integers(0, len(length), len(length))
        if single:
            return figures(drawn)
        lengths = length[drawn]
        start = np.cumsum(lengths) - lengths
        places = np.repeat(first[drawn] - start, lengths) + np.arange(lengths.sum())
        return figures(by_group[places])

    # A product of vectors above 10,000 rows uses its own threads, which stall those of the pool (40
    # draws of 26,000 rows: 12 s instead of 2 s). One thread sums in another order: without groups,
    # stored figures would change in the last digit.
    limit = None if groups is None else 1
    # Most of the time is sorting, which releases the lock.
    with threadpool_limits(limit, user_api="blas"), ThreadPoolExecutor() as threads:
        return np.array(list(threads.map(resampled, range(rounds))), dtype=float)


# Metrics of a draw that follow from its outcomes and the ranks of both sides.
BY_RANK: dict[Metric, Callable[[np.ndarray, np.ndarray, np.ndarray], float]] = {
    gini: _gini,
    spearman: _spearman,
    auc: _auc,
}


class _Ranked:
    """A vector whose draws are ranked by counting, while `rankdata` sorts each draw.

    The values are sorted once; a draw's average ranks, equal to those of `rankdata` to the last
    digit, follow from the counts of each value.
    """

    def __init__(self, values: np.ndarray) -> None:
        different, self._place = np.unique(values, return_inverse=True)
        self._size = len(different)

    def ranks(self, rows: np.ndarray) -> np.ndarray:
        place = self._place[rows]
        times = np.bincount(place, minlength=self._size)
        return (np.cumsum(times) - (times - 1) / 2)[place]


def _drawn(
    metrics: Mapping[str, Metric], y: np.ndarray, *scores: np.ndarray
) -> Callable[[np.ndarray], list[list[float]]]:
    """Row numbers → each metric of each score, the function for `bootstrap`."""
    ranked = (
        [_Ranked(values) for values in (y, *scores)] if set(metrics.values()) & set(BY_RANK) else []
    )

    def figures(rows: np.ndarray) -> list[list[float]]:
        outcomes, drawn = y[rows], [score[rows] for score in scores]
        y_rank, *ranks = [one.ranks(rows) for one in ranked] or [rows]
        return [
            [BY_RANK[metric](outcomes, y_rank, rank) for rank in ranks]
            if metric in BY_RANK
            else [metric(outcomes, score) for score in drawn]
            for metric in metrics.values()
        ]

    return figures


def _estimate(value: float, samples: np.ndarray, level: float) -> Estimate:
    """A value with the percentile interval of its samples, without undefined ones."""
    known = samples[~np.isnan(samples)]
    if not len(known):
        return Estimate(value, float("nan"), float("nan"))
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value, float(low), float(high))


def estimate(
    metrics: Mapping[str, Metric],
    y: np.ndarray,
    score: np.ndarray,
    *,
    seed: int,
    groups: np.ndarray | None = None,
    rounds: int = ROUNDS,
    level: float = LEVEL,
) -> dict[str, Estimate]:
    """Each metric of one prediction with its percentile bootstrap interval, equal to that of
    `compare` for the same seed.

    Parameters
    ----------
    metrics : mapping of a name to a function of outcomes and scores
    y, score : arrays of shape (n,)
    groups : array of shape (n,), optional
        Rows that belong together, such as those of one customer: drawn together (see `bootstrap`).

    Raises
    ------
    ValueError
        For vectors of different length, values that are not finite, groups that are unknown.
    """
    y, score = _two(y, score)
    by_round = bootstrap(_drawn(metrics, y, score), len(y), seed=seed, groups=groups, rounds=rounds)
    return {
        name: _estimate(metric(y, score), by_round[:, place, 0], level)
        for place, (name, metric) in enumerate(metrics.items())
    }


def coverage_estimate(
    y: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    seed: int,
    groups: np.ndarray | None = None,
    *,
    rounds: int = ROUNDS,
    level: float = LEVEL,
) -> Estimate:
    """Share of the outcomes within their intervals (`coverage`) with its own bootstrap interval."""
    inside = _inside(y, low, high)
    by_round = bootstrap(
        lambda rows: [inside[rows].mean()], len(inside), seed=seed, groups=groups, rounds=rounds
    )
    return _estimate(float(inside.mean()), by_round[:, 0], level)


def compare(
    metrics: Mapping[str, Metric],
    y: np.ndarray,
    score: np.ndarray,
    other: np.ndarray,
    *,
    seed: int,
    rounds: int = ROUNDS,
    level: float = LEVEL,
    groups: np.ndarray | None = None,
) -> dict[str, Comparison]:
    """Each metric of two predictions with percentile bootstrap intervals (Efron, 1979).

    The same customers are drawn for both predictions and all metrics. Pairing removes the common
    variation of the draw from the difference.

    Parameters
    ----------
    metrics : mapping of a name to a function of outcomes and scores
    y, score, other : arrays of shape (n,)
    groups : array of shape (n,), optional
        Rows that belong together, such as those of one customer: drawn together (see `bootstrap`).

    Raises
    ------
    ValueError
        For vectors of different length, values that are not finite, groups that are unknown.
    """
    return compare_each(
        metrics, y, score, {"": other}, seed=seed, rounds=rounds, level=level, groups=groups
    )[""]


def compare_each(
    metrics: Mapping[str, Metric],
    y: np.ndarray,
    score: np.ndarray,
    others: Mapping[str, np.ndarray],
    *,
    seed: int,
    rounds: int = ROUNDS,
    level: float = LEVEL,
    groups: np.ndarray | None = None,
) -> dict[str, dict[str, Comparison]]:
    """`compare` of a prediction with each of several others, by the others' names.

    All are judged on the same draws; predictions that are equal are judged once.
    """
    y, score = _two(y, score)
    scores = [score, *(_two(y, other)[1] for other in others.values())]
    place = [next(n for n, one in enumerate(scores) if np.array_equal(one, own)) for own in scores]
    kept = sorted(set(place))
    by_round = bootstrap(
        _drawn(metrics, y, *(scores[n] for n in kept)),
        len(y),
        seed=seed,
        groups=groups,
        rounds=rounds,
    )
    values = {n: [metric(y, scores[n]) for metric in metrics.values()] for n in kept}
    found: dict[str, dict[str, Comparison]] = {}
    for name, other in zip(others, place[1:], strict=True):
        found[name] = {}
        for number, metric_name in enumerate(metrics):
            own, drawn = (by_round[:, number, kept.index(n)] for n in (0, other))
            value, other_value = values[0][number], values[other][number]
            found[name][metric_name] = Comparison(
                _estimate(value, own, level),
                _estimate(other_value, drawn, level),
                _estimate(value - other_value, own - drawn, level),
            )
    return found
