"""Run-off, stable share and deposit beta: worked by hand, a second time, and on a known truth."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from ml.behaviour import (
    FEWEST_MOVES,
    LAGS,
    SEGMENTS,
    Estimate,
    NotEstimated,
    PairSums,
    average_life,
    pass_through,
    replication,
    run_off,
    stable_share,
)

SIMULATIONS = 200


def sums(x: np.ndarray, y: np.ndarray) -> PairSums:
    return PairSums(len(x), x.sum(), y.sum(), x @ x, x @ y, y @ y)


def covered(estimate: Callable[[np.random.Generator], Estimate], truth: float) -> None:
    """An interval at 95 % has the truth as often as chance allows, and its value lies around it."""
    found = [estimate(np.random.default_rng(seed)) for seed in range(SIMULATIONS)]
    inside = sum(one.low <= truth <= one.high for one in found)
    low, high = stats.binom.interval(0.999, SIMULATIONS, 0.95)
    assert low <= inside <= high, inside
    values = np.array([one.value for one in found])
    assert abs(values.mean() - truth) < 4 * values.std() / np.sqrt(SIMULATIONS)


def test_a_run_off_worked_by_hand():
    """50 accounts keep 150 of 200 and 50 keep 60 of 100: g = 10,500 / 15,000 = 0.7, and
    1 - 0.7^(1/12) = 2.92855 % a month: 34.1466 months.

    Residuals y - 0.7 x are 10 and -10, their squares 10,000 together; the error of ln g is
    (100 / 99 x 10,000)^0.5 / 10,500 = 0.00957179, times 1.984217 = 0.01899249; a twelfth of it
    around ln 0.7 / 12 = -0.02972291: 1 - e^-0.02814020 = 2.77480 % to 1 - e^-0.03130562, which is
    3.08207 %.
    """
    found = run_off(sums(np.repeat([200.0, 100.0], 50), np.repeat([150.0, 60.0], 50)))
    assert (found.value, found.low, found.high) == pytest.approx(
        (0.0292855, 0.0277480, 0.0308207), abs=1e-7
    )
    assert average_life(found.value) == pytest.approx(34.1466, abs=1e-3)


def test_the_error_of_the_run_off_is_that_of_the_jackknife():
    rng = np.random.default_rng(1)
    x = rng.lognormal(7, 1, 3_000)
    y = x * rng.lognormal(-0.4, 0.3, 3_000)
    ratios = np.log((y.sum() - y) / (x.sum() - x))
    error = np.sqrt((len(x) - 1) / len(x) * ((ratios - ratios.mean()) ** 2).sum())
    found = run_off(sums(x, y))
    width = 12 * (np.log(1 - found.low) - np.log(1 - found.high)) / 2
    assert width == pytest.approx(stats.t.ppf(0.975, len(x) - 1) * error, rel=0.01)


def test_the_interval_of_the_run_off_has_the_truth():
    """Seven in ten accounts stay a year, with balances that change by 10 % and not on average."""

    def simulated(rng: np.random.Generator) -> Estimate:
        x = rng.lognormal(7, 0.8, 500)
        stays = rng.random(500) < 0.7
        return run_off(sums(x, x * stays * rng.lognormal(-0.005, 0.1, 500)))

    covered(simulated, 1 - 0.7 ** (1 / 12))


def test_a_stable_share_worked_by_hand():
    """Around a trend of -1 % a month, ln balance is 0.03 above and below it in turn, in 24 months:
    squares 24 x 0.0009 = 0.0216. The trend takes (12 x 0.03)^2 / 1,150 = 0.0001127 of them, which
    is 3 / 575; 1,150 are the squared distances of the months from their middle. 22 degrees remain.
    """
    level = -0.01 * np.arange(24) + 0.03 * (-1.0) ** np.arange(24)
    s = np.sqrt(0.0216 * (1 - 3 / 575) / 22)
    assert stable_share(np.diff(level)).value == pytest.approx(np.exp(-2.3263479 * s), abs=1e-8)


def test_the_stable_share_again_by_other_means():
    """The trend by polyfit, the degrees of freedom by statsmodels' autocorrelation."""
    rng = np.random.default_rng(3)
    noise = np.zeros(60)
    for month in range(1, 60):
        noise[month] = 0.6 * noise[month - 1] + rng.normal(0, 0.02)
    level = 0.004 * np.arange(60) + noise
    residual = level - np.polyval(np.polyfit(np.arange(60), level, 1), np.arange(60))
    r = sm.tsa.acf(residual, nlags=1)[1]
    s, freedom = np.sqrt((residual**2).sum() / 58), 58 * (1 - r**2) / (1 + r**2)
    factors = [1.0, *np.sqrt(freedom / stats.chi2.ppf([0.025, 0.975], freedom))]
    found = stable_share(np.diff(level))
    assert (found.value, found.low, found.high) == pytest.approx(
        tuple(np.exp(-stats.norm.ppf(0.99) * s * factor) for factor in factors)
    )
    assert r > 0.3


def test_the_interval_of_the_stable_share_has_the_truth():
    covered(
        lambda rng: stable_share(np.diff(-0.01 * np.arange(60) + rng.normal(0, 0.05, 60))),
        np.exp(-stats.norm.ppf(0.99) * 0.05),
    )


def rates(rng: np.random.Generator, months: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """A market rate that walks at random, and one paid that has 0.3 of a move at once, 0.2 a month
    later and 0.1 after three: 0.6 in all."""
    moves = rng.normal(0, 0.002, months)
    paid = 0.3 * moves
    paid[1:] += 0.2 * moves[:-1]
    paid[3:] += 0.1 * moves[:-3]
    return np.cumsum(paid + rng.normal(0, 0.0005, months)) + 0.01, np.cumsum(moves) + 0.03


def test_a_beta_without_noise_is_exact():
    """Half of a move at once, a quarter a month later: 0.75, without an error."""
    market = 0.03 + np.array([0.0, *np.cumsum(0.0025 * np.tile([1.0, -1.0, 0.0, 2.0, -1.0], 6))])
    moves = np.diff(market, prepend=market[0])
    paid = 0.01 + np.cumsum(0.5 * moves + 0.25 * np.roll(moves, 1))
    found = pass_through(paid, market)
    assert (found.value, found.low, found.high) == pytest.approx((0.75, 0.75, 0.75), abs=1e-9)


def test_the_beta_is_that_of_statsmodels():
    paid, market = rates(np.random.default_rng(5), 80)
    moves = np.diff(market)
    lagged = np.column_stack([moves[LAGS - lag : len(moves) - lag] for lag in range(LAGS + 1)])
    fitted = sm.OLS(np.diff(paid)[LAGS:], sm.add_constant(lagged)).fit(
        cov_type="HAC",
        cov_kwds={"maxlags": int(4 * (len(lagged) / 100) ** (2 / 9)), "use_correction": True},
        use_t=True,
    )
    total = fitted.t_test([0.0, *[1.0] * (LAGS + 1)])
    found = pass_through(paid, market)
    assert found.value == pytest.approx(float(total.effect[0]))
    assert (found.low, found.high) == pytest.approx(tuple(total.conf_int()[0]))


def test_the_interval_of_the_beta_has_the_truth():
    covered(lambda rng: pass_through(*rates(rng, 240)), 0.6)


def test_what_the_records_do_not_show_has_no_number():
    x = np.ones(99)
    with pytest.raises(NotEstimated, match="99 accounts .* 100 are needed"):
        run_off(sums(x, x))
    with pytest.raises(NotEstimated, match="no balance is left"):
        run_off(sums(np.ones(100), np.zeros(100)))
    with pytest.raises(NotEstimated, match="23 months, 24 are needed"):
        stable_share(np.zeros(22))
    with pytest.raises(NotEstimated, match="zero in some months"):
        stable_share(np.array([*np.zeros(30), -np.inf]))
    paid, market = rates(np.random.default_rng(7), 36)
    with pytest.raises(NotEstimated, match="23 months"):
        pass_through(paid[:23], market[:23])
    with pytest.raises(NotEstimated, match="interest is paid in 12 of 36 months"):
        pass_through(np.where(np.arange(36) % 3 == 2, paid, 0), market)
    with pytest.raises(NotEstimated, match="moves in 0 of 36 months"):
        pass_through(paid, np.full(36, 0.03))
    few = 0.03 + 0.0025 * np.minimum(np.arange(36), FEWEST_MOVES - 1)
    with pytest.raises(NotEstimated, match="moves in 7 of 36 months, 8 moves are needed"):
        pass_through(paid, few)
    with pytest.raises(NotEstimated, match="cannot be distinguished from a trend"):
        pass_through(paid, 0.03 + 0.0025 * np.arange(36))
    with pytest.raises(ValueError, match="vectors of one length"):
        pass_through(paid, market[:-1])


def test_nothing_paid_in_all_months_does_not_follow():
    assert pass_through(np.zeros(36), rates(np.random.default_rng(7), 36)[1]) == Estimate(0, 0, 0)


@pytest.mark.parametrize(
    ("monthly", "stable", "beta", "segment", "expected"),
    [
        # 0.9 x 0.75 for 1 / 0.04 months: 2 x 25 - 1.
        (0.04, 0.90, 0.25, "retail, other", (0.675, 25.0, 49)),
        # 0.95 is above the cap of 0.90, 1 / 0.01 months above that of 60.
        (0.01, 0.95, 0.0, "retail, transactional", (0.90, 60.0, 119)),
        # Balances grow: the cap is the life. A beta below zero is none.
        (-0.01, 0.40, -0.2, "wholesale", (0.40, 48.0, 95)),
        # All of it follows, and all of it leaves within a month.
        (1.0, 0.90, 1.3, "wholesale", (0.0, 1.0, 1)),
    ],
)
def test_the_replicating_portfolio_of_estimates(monthly, stable, beta, segment, expected):
    found = replication(monthly, stable, beta, SEGMENTS[segment])
    assert (found.core, found.life_months, found.tenor_months) == pytest.approx(expected)
