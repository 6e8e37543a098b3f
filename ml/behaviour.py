"""Deposits without a term: how long they stay, how much of them is stable, how their rate follows.

Basel Committee, *Interest rate risk in the banking book* (BCBS 368, 2016), non-maturity deposits:
the stable part follows from observed changes of volume, the pass-through rate divides it into core
and non-core, and the core's share and average maturity are capped by segment. Every interval is at
95 %. What too few records show raises `NotEstimated`; it never has a number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from ml.evaluation.metrics import Estimate

LEVEL = 0.95
FEWEST_ACCOUNTS = 100
FEWEST_MONTHS = 24
# The rate paid has a quarter to follow.
LAGS = 3
# Each coefficient of the regression rests on two moves or more.
FEWEST_MOVES = 2 * (LAGS + 1)
SMALLEST_MOVE = 0.0001
# The balance is above the stable share of its trend with this probability.
STABLE_PROBABILITY = 0.99


class NotEstimated(ValueError):
    """The records do not show the figure; the message is the reason.

    `pattern` and `parts`, of which the message is made, give it in another language.
    """

    def __init__(self, pattern: str, *parts: int) -> None:
        super().__init__(pattern.format(*parts))
        self.pattern, self.parts = pattern, parts


@dataclass(frozen=True)
class Segment:
    """Caps of BCBS 368: share of core deposits, and their average maturity in months."""

    core: float
    life_months: float


SEGMENTS = {
    "retail, transactional": Segment(0.90, 60.0),
    "retail, other": Segment(0.70, 54.0),
    "wholesale": Segment(0.50, 48.0),
}


@dataclass(frozen=True)
class PairSums:
    """Sums over n accounts of x, an account's balances in some months, and y, those of the same
    account twelve months later each, 0 where it left: what a ratio of sums and its variance need.
    """

    accounts: int
    x: float
    y: float
    xx: float
    xy: float
    yy: float


def run_off(sums: PairSums) -> Estimate:
    """The share of balances that leaves in a month, net of what the same accounts add.

    The ratio of sums g = Σy / Σx weights accounts and months by volume, and twelve months apart no
    season is in it. The rate is 1 − g^(1/12). Its interval is that of ln g by the delta method,
    with accounts as clusters: Var ≈ n / (n − 1) × Σ(y − g x)² / (Σy)² (Cochran, *Sampling
    Techniques*, 1977, ch. 6). What moves all accounts together is not in it. Below zero the
    balances grow.

    Raises
    ------
    NotEstimated
        With fewer than `FEWEST_ACCOUNTS` accounts, or where nothing is left.
    """
    n = sums.accounts
    if n < FEWEST_ACCOUNTS:
        raise NotEstimated(
            "{0} accounts have balances twelve months apart, {1} are needed", n, FEWEST_ACCOUNTS
        )
    if sums.y <= 0:
        raise NotEstimated("no balance is left after twelve months")
    ratio = sums.y / sums.x
    squares = max(sums.yy - 2 * ratio * sums.xy + ratio**2 * sums.xx, 0.0)
    error = np.sqrt(n / (n - 1) * squares) / sums.y
    reach = stats.t.ppf((1 + LEVEL) / 2, n - 1) * error
    value, low, high = (
        float(1 - np.exp((np.log(ratio) + shift) / 12)) for shift in (0.0, reach, -reach)
    )
    return Estimate(value, low, high)


def average_life(monthly_run_off: float) -> float:
    """Months that an average unit of money stays, 1 / run-off; infinite without a run-off."""
    return 1 / monthly_run_off if monthly_run_off > 0 else float("inf")


def stable_share(growth: np.ndarray) -> Estimate:
    """The share of its trend that a balance stays above with a probability of 99 %.

    `growth`, of shape (n,), has for each month the change of the logarithm of the balance of the
    accounts that were there before it: openings do not count. With s the standard deviation of the
    accumulated changes around their linear trend, the share is e^(−2.326 s). The interval is that
    of a normal variance; its degrees of freedom are those of as many independent months as months
    with the residuals' correlation r are worth, n (1 − r²) / (1 + r²) (Bartlett, 1946).

    Raises
    ------
    NotEstimated
        With fewer than `FEWEST_MONTHS` months, or a month without a balance.
    """
    growth = np.asarray(growth, dtype=float)
    if len(growth) + 1 < FEWEST_MONTHS:
        raise NotEstimated(
            "balances of the same accounts have {0} months, {1} are needed",
            *(len(growth) + 1, FEWEST_MONTHS),
        )
    if not np.isfinite(growth).all():
        raise NotEstimated("the balance is zero in some months")
    level = np.concatenate([[0.0], np.cumsum(growth)])
    n = len(level)
    months = np.column_stack([np.ones(n), np.arange(n)])
    residual = level - months @ np.linalg.lstsq(months, level, rcond=None)[0]
    squares = float(residual @ residual)
    correlation = max(float(residual[1:] @ residual[:-1]) / squares, 0.0) if squares else 0.0
    freedom = max((n - 2) * (1 - correlation**2) / (1 + correlation**2), 1.0)
    variance = squares / (n - 2)
    tails = stats.chi2.ppf([(1 - LEVEL) / 2, (1 + LEVEL) / 2], freedom) / freedom
    quantile = stats.norm.ppf(STABLE_PROBABILITY)
    value, low, high = (
        float(np.exp(-quantile * np.sqrt(variance / scale))) for scale in (1.0, *tails)
    )
    return Estimate(value, low, high)


def pass_through(paid: np.ndarray, market: np.ndarray) -> Estimate:
    """The deposit beta: the part of a change of the market rate that reaches the rate paid.

    Rates a year of consecutive months, both of shape (n,). Of the regression Δpaid(t) = a +
    Σ b(k) Δmarket(t − k) + e(t), k from 0 to `LAGS`, the sum of all b(k) (Driscoll and Judson,
    *Sticky Deposit Rates*, 2013). The variance is that of Newey and West (1987) with
    4 (n / 100)^(2/9) lags (1994) and the factor n / (n − parameters); the interval is Student's.
    Rises and falls share one beta.

    Raises
    ------
    NotEstimated
        With fewer than `FEWEST_MONTHS` months, with fewer than `FEWEST_MOVES` moves of the market
        rate by a basis point, with moves that cannot be distinguished from a trend, or with months
        in which nothing is paid beside months with interest.
    """
    paid, market = np.asarray(paid, dtype=float), np.asarray(market, dtype=float)
    if paid.ndim != 1 or paid.shape != market.shape:
        raise ValueError(
            "rates are invalid: expected vectors of one length, "
            f"got {paid.shape} and {market.shape}"
        )
    months = len(paid)
    if months < FEWEST_MONTHS:
        raise NotEstimated("rates paid have {0} months, {1} are needed", months, FEWEST_MONTHS)
    earned = int(np.count_nonzero(paid))
    if 0 < earned < months:
        raise NotEstimated("interest is paid in {0} of {1} months only", earned, months)
    moves = np.diff(market)
    moved = int(np.count_nonzero(np.abs(moves) >= SMALLEST_MOVE))
    if moved < FEWEST_MOVES:
        raise NotEstimated(
            "the curve moves in {0} of {1} months, {2} moves are needed",
            *(moved, months, FEWEST_MOVES),
        )
    y = np.diff(paid)[LAGS:]
    lagged = [moves[LAGS - lag : len(moves) - lag] for lag in range(LAGS + 1)]
    X = np.column_stack([np.ones(len(y)), *lagged])
    if np.linalg.matrix_rank(X) < X.shape[1]:
        raise NotEstimated("the moves of the curve cannot be distinguished from a trend")
    inverse = np.linalg.inv(X.T @ X)
    coefficients = inverse @ X.T @ y
    score = X * (y - X @ coefficients)[:, None]
    n, parameters = X.shape
    reach = int(4 * (n / 100) ** (2 / 9))
    middle = score.T @ score
    for lag in range(1, reach + 1):
        cross = score[lag:].T @ score[:-lag]
        middle += (1 - lag / (reach + 1)) * (cross + cross.T)
    total = np.array([0.0, *np.ones(LAGS + 1)])
    variance = total @ inverse @ middle @ inverse @ total * n / (n - parameters)
    around = stats.t.ppf((1 + LEVEL) / 2, n - parameters) * np.sqrt(max(variance, 0.0))
    value = float(total @ coefficients)
    return Estimate(value, float(value - around), float(value + around))


@dataclass(frozen=True)
class Replication:
    """The portfolio of two tranches: `core` of it is long at `tenor_months`, the rest is short."""

    core: float
    life_months: float
    tenor_months: int


def replication(
    monthly_run_off: float, stable: float, beta: float, segment: Segment
) -> Replication:
    """The replicating portfolio of the estimates, within the segment's caps.

    The core is stable × (1 − beta). A tranche of n equal slices, one renewed each month, has an
    average remaining life of (n + 1) / 2 months, so that n = 2 × life − 1.
    """
    core = min(stable * (1 - min(max(beta, 0.0), 1.0)), segment.core)
    life = min(average_life(monthly_run_off), segment.life_months)
    return Replication(core, life, max(round(2 * life - 1), 1))
