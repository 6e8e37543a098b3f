"""BG/NBD: the published figures, a slow second implementation, and worlds whose truth is known."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import dblquad, quad
from scipy.optimize import minimize
from scipy.special import betaln, gammaln
from sklearn.exceptions import NotFittedError

from ml.clv.beta_geo import NAMES, BetaGeoLikelihood, BetaGeoModel, purchases_while_alive
from ml.clv.likelihood import NotConverged, distinct, maximise
from ml.clv.purchase_rule import AsManyAgain
from tests import cdnow

PUBLISHED = {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}
TRUTH = {"r": 0.8, "alpha": 6.0, "a": 0.7, "b": 4.0}
WEEKS_AHEAD = 26.0


# The second implementation: the paper's formulae as printed, integrals by quadrature.


def by_the_paper(parameters: np.ndarray, frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Each customer's log-likelihood of being there still, and in all (-inf for impossible)."""
    r, alpha, a, b = parameters
    x, last, T = (frame[name].to_numpy(dtype=float) for name in ("frequency", "recency", "T"))
    common = gammaln(r + x) - gammaln(r) + r * np.log(alpha) - betaln(a, b)
    there = common + betaln(a, b + x) - (r + x) * np.log(alpha + T)
    gone = np.full(len(x), -np.inf)
    again = x > 0
    gone[again] = (common + betaln(a + 1, b + x - 1) - (r + x) * np.log(alpha + last))[again]
    return there, np.logaddexp(there, gone)


@cache
def calibrated() -> pd.DataFrame:
    return cdnow.customers()


@cache
def slow_maximum() -> tuple[np.ndarray, float]:
    """Parameters and log-likelihood by a simplex search without derivatives."""

    def lost(logs: np.ndarray) -> float:
        return -float(by_the_paper(np.exp(logs), calibrated())[1].sum())

    settings = {"xatol": 1e-9, "fatol": 1e-10, "maxiter": 4000, "maxfev": 4000}
    found = minimize(lost, np.zeros(4), method="Nelder-Mead", options=settings)
    return np.exp(found.x), -found.fun


def integrated(parameters: np.ndarray, t: float, x: float, T: float) -> float:
    """Purchases in t of one still there at T: over p, of what a given p lets expect."""
    r, alpha, a, b = parameters
    y = t / (alpha + T)

    def weighed(p: float) -> float:
        bought = -np.expm1(-(r + x) * np.log1p(p * y)) / p if p else (r + x) * y
        return bought * np.exp(-betaln(a, b + x))

    settings = {"epsabs": 0, "epsrel": 1e-10, "limit": 500}
    middle = a / (a + b + x)

    def inner(p: float) -> float:
        return weighed(p) * (1 - p) ** (b + x - 1)

    def outer(p: float) -> float:
        return inner(p) * p ** (a - 1)

    if a < 1:
        # The end with a singularity has a rule for its power.
        total = quad(inner, 0, middle, weight="alg", wvar=(a - 1, 0), **settings)[0]
    else:
        total = quad(outer, 0, middle, **settings)[0]
    tail = min(10 * middle, (middle + 1) / 2)
    return total + quad(outer, middle, tail, **settings)[0] + quad(outer, tail, 1, **settings)[0]


@pytest.fixture(scope="module")
def fitted() -> BetaGeoModel:
    frame = calibrated()
    return BetaGeoModel().fit(frame["frequency"], frame["recency"], frame["T"])


def values(mapping: dict[str, float]) -> np.ndarray:
    return np.array([mapping[name] for name in NAMES])


# The published sample.


def test_the_published_parameters_and_likelihood_of_cdnow_to_the_last_digit_printed(fitted):
    assert len(calibrated()) == 2357
    assert list(fitted.params_) == list(PUBLISHED)
    for name, published in PUBLISHED.items():
        assert round(fitted.params_[name], 3) == published
    assert fitted.log_likelihood_ == pytest.approx(-9582.43, abs=0.005)


def test_the_maximum_is_that_of_a_search_without_derivatives(fitted):
    parameters, log_likelihood = slow_maximum()
    assert values(fitted.params_) == pytest.approx(parameters, rel=1e-5)
    assert fitted.log_likelihood_ == pytest.approx(log_likelihood, abs=1e-6)
    own = by_the_paper(values(fitted.params_), calibrated())[1].sum()
    assert fitted.log_likelihood_ == pytest.approx(own, abs=1e-8)


def test_standard_errors_are_those_of_the_second_differences_of_the_likelihood(fitted):
    at = values(fitted.params_)
    steps = 1e-3 * at

    def total(*moves: tuple[int, float]) -> float:
        there = at.copy()
        for place, sign in moves:
            there[place] += sign * steps[place]
        return float(by_the_paper(there, calibrated())[1].sum())

    information = np.empty((4, 4))
    for i in range(4):
        for j in range(4):
            corners = [
                si * sj * total((i, si), (j, sj)) for si in (1.0, -1.0) for sj in (1.0, -1.0)
            ]
            information[i, j] = -sum(corners) / (4 * steps[i] * steps[j])
    errors = np.sqrt(np.diag(np.linalg.inv(information)))
    assert values(fitted.standard_errors_) == pytest.approx(errors, rel=1e-3)


def test_the_forecast_of_weeks_40_to_78_is_that_of_the_exact_model(fitted):
    """Customer by customer, by a second implementation with its own maximum."""
    frame = calibrated()
    parameters, _ = slow_maximum()
    there, whole = by_the_paper(parameters, frame)
    pairs = frame[["frequency", "T"]].drop_duplicates()
    ahead = {
        (x, T): integrated(parameters, cdnow.HOLDOUT_WEEKS, x, T)
        for x, T in pairs.itertuples(index=False, name=None)
    }
    seen_at = frame[["frequency", "T"]].itertuples(index=False, name=None)
    slow = np.exp(there - whole) * [ahead[pair] for pair in seen_at]

    seen = frame["frequency"], frame["recency"], frame["T"]
    assert fitted.probability_alive(*seen) == pytest.approx(np.exp(there - whole), rel=1e-5)
    predicted = fitted.expected_purchases(cdnow.HOLDOUT_WEEKS, *seen)
    assert predicted == pytest.approx(slow, rel=1e-5)

    actual = frame["holdout"].to_numpy()
    assert actual.sum() == 1882

    def error(forecast: np.ndarray) -> float:
        return float(np.sqrt(((forecast - actual) ** 2).mean()))

    assert predicted.sum() == pytest.approx(slow.sum(), abs=0.01)
    assert error(predicted) == pytest.approx(error(slow), abs=1e-5)
    # Far better than repeating the past, and than the mean for all.
    again = frame["frequency"].to_numpy() * cdnow.HOLDOUT_WEEKS / frame["T"].to_numpy()
    assert error(predicted) < 0.85 * min(error(again), error(np.full(len(frame), actual.mean())))
    assert abs(predicted.sum() / actual.sum() - 1) < 0.15


# The likelihood.

HANDFUL = pd.DataFrame(
    {
        "frequency": [0, 0, 1, 2, 7, 1],
        "recency": [0, 0, 3.5, 30.4, 38, 12],
        "T": [0, 39, 38, 38.9, 39, 12],
    },
    dtype=float,
)


def likelihood_of(frame: pd.DataFrame) -> BetaGeoLikelihood:
    columns = (frame[name].to_numpy() for name in ("frequency", "recency", "T"))
    return BetaGeoLikelihood(*distinct(*columns))


@pytest.mark.parametrize("row", range(1, len(HANDFUL)))
def test_the_likelihood_is_the_mixture_over_rates_and_dropouts(row):
    x, last, T = HANDFUL.iloc[row]
    r, alpha, a, b = parameters = np.array([1.3, 6.0, 1.4, 2.5])

    constant = r * math.log(alpha) - math.lgamma(r) - betaln(a, b)

    def given(p: float, rate: float) -> float:
        seen = (1 - p) ** x * rate**x * math.exp(-rate * T)
        if x:
            seen += p * (1 - p) ** (x - 1) * rate**x * math.exp(-rate * last)
        among = p ** (a - 1) * (1 - p) ** (b - 1) * rate ** (r - 1) * math.exp(-alpha * rate)
        return seen * among

    mixed, _ = dblquad(given, 0, 6, 0, 1, epsabs=0, epsrel=1e-7)
    mixed *= math.exp(constant)
    value, _, _ = likelihood_of(HANDFUL.iloc[[row]])(parameters)
    assert value == pytest.approx(np.log(mixed), rel=1e-6)


def test_a_new_customer_adds_nothing_to_the_likelihood():
    value, gradient, hessian = likelihood_of(HANDFUL.iloc[[0]])(np.array([1.3, 6.0, 1.4, 2.5]))
    assert value == 0 and not gradient.any() and not hessian.any()


@pytest.mark.parametrize(
    "parameters", [[0.243, 4.41, 0.79, 2.43], [2, 0.1, 5, 0.3], [0.05, 50, 0.1, 40]]
)
def test_gradient_and_hessian_are_the_differences_of_value_and_gradient(parameters):
    log_likelihood = likelihood_of(HANDFUL)
    at = np.array(parameters)
    _, gradient, hessian = log_likelihood(at)
    for place in range(4):
        step = np.zeros(4)
        step[place] = 1e-5 * at[place]
        above, below = log_likelihood(at + step), log_likelihood(at - step)
        width = 2 * step[place]
        assert gradient[place] == pytest.approx((above[0] - below[0]) / width, rel=1e-6, abs=1e-8)
        difference = (above[1] - below[1]) / width
        assert hessian[place] == pytest.approx(difference, rel=1e-5, abs=1e-6)


def test_the_likelihood_of_many_blocks_is_the_sum_over_customers():
    frame = world(30_000, seed=8)
    parameters = values(TRUTH)
    value, _, _ = likelihood_of(frame)(parameters)
    assert value == pytest.approx(by_the_paper(parameters, frame)[1].sum(), rel=1e-12)


# A world whose truth is known.


def world(n: int, seed: int, truth: dict[str, float] = TRUTH, ahead: float = 0) -> pd.DataFrame:
    """Customers by the model's own story; `after` counts the purchases in (T, T + ahead]."""
    generator = np.random.default_rng(seed)
    rate = generator.gamma(truth["r"], 1 / truth["alpha"], n)
    leaves = generator.beta(truth["a"], truth["b"], n)
    T = generator.integers(26 * 7, 78 * 7, n) / 7
    now, there = np.zeros(n), np.ones(n, dtype=bool)
    frequency, recency, after = np.zeros(n), np.zeros(n), np.zeros(n)
    alive = np.ones(n, dtype=bool)
    while there.any():
        now[there] += generator.exponential(1 / rate[there])
        there &= now <= T + ahead
        seen = there & (now <= T)
        frequency[seen] += 1
        recency[seen] = now[seen]
        after[there & (now > T)] += 1
        left = there & (generator.random(n) < leaves)
        alive &= ~(left & (now <= T))
        there &= ~left
    return pd.DataFrame(
        {"frequency": frequency, "recency": recency, "T": T, "after": after, "alive": alive}
    )


@pytest.fixture(scope="module")
def known() -> pd.DataFrame:
    return world(20_000, seed=1, ahead=WEEKS_AHEAD)


@pytest.fixture(scope="module")
def learned(known: pd.DataFrame) -> BetaGeoModel:
    return BetaGeoModel().fit(known["frequency"], known["recency"], known["T"])


def test_the_truth_is_recovered_within_three_standard_errors(learned):
    apart = values(learned.params_) - values(TRUTH)
    assert np.abs(apart / values(learned.standard_errors_)).max() < 3
    assert (values(learned.standard_errors_) < 0.15 * values(TRUTH)).all()


def test_forecasts_add_up_to_what_comes_for_the_idle_and_the_busy(learned, known):
    seen = known["frequency"], known["recency"], known["T"]
    idle = pd.cut((known["T"] - known["recency"]) / known["T"], [-1, 0.1, 0.5, 1])
    cells = known.assign(
        apart=learned.expected_purchases(WEEKS_AHEAD, *seen) - known["after"],
        alive_apart=learned.probability_alive(*seen) - known["alive"],
        bought=known["frequency"].clip(upper=4),
        idle=idle,
    ).groupby(["bought", "idle"], observed=True)
    assert len(cells) == 13
    for column in ("apart", "alive_apart"):
        several = cells.filter(lambda cell: len(cell) > 30 and cell["alive_apart"].std() > 0)
        group = several.groupby(["bought", "idle"], observed=True)[column]
        assert (group.mean().abs() / (group.std() / np.sqrt(group.size()))).max() < 3.5


def test_the_forecast_for_newcomers_is_the_mean_of_a_cohort():
    model = BetaGeoModel()
    model.params_ = TRUTH
    cohort = world(20_000, seed=2)
    apart = model.expected_purchases_new(cohort["T"].to_numpy()) - cohort["frequency"]
    for part in (apart[cohort["T"] < 52], apart[cohort["T"] >= 52]):
        assert abs(part.mean()) < 3 * part.std() / np.sqrt(len(part))


def test_the_order_of_customers_does_not_change_the_fit(known, learned):
    shuffled = known.sample(frac=1, random_state=3)
    other = BetaGeoModel().fit(shuffled["frequency"], shuffled["recency"], shuffled["T"])
    assert other.params_ == pytest.approx(learned.params_, rel=1e-12)


def test_customers_three_times_over_give_the_same_parameters_with_smaller_errors(known, learned):
    three = pd.concat([known] * 3)
    other = BetaGeoModel().fit(three["frequency"], three["recency"], three["T"])
    assert values(other.params_) == pytest.approx(values(learned.params_), rel=1e-6)
    assert other.log_likelihood_ == pytest.approx(3 * learned.log_likelihood_, rel=1e-9)
    errors = values(learned.standard_errors_) / np.sqrt(3)
    assert values(other.standard_errors_) == pytest.approx(errors, rel=1e-5)


@pytest.mark.parametrize("factor", [7.0, 1 / 52, 6e5])
def test_the_unit_of_time_moves_alpha_and_the_density_only(known, learned, factor):
    times = known[["recency", "T"]] * factor
    other = BetaGeoModel().fit(known["frequency"], times["recency"], times["T"])
    scale = np.array([1, factor, 1, 1])
    assert values(other.params_) == pytest.approx(values(learned.params_) * scale, rel=1e-9)
    errors = values(learned.standard_errors_) * scale
    assert values(other.standard_errors_) == pytest.approx(errors, rel=1e-9)
    shift = known["frequency"].sum() * np.log(factor)
    assert other.log_likelihood_ == pytest.approx(learned.log_likelihood_ - shift, rel=1e-12)
    assert other.expected_purchases(
        10 * factor, known["frequency"], times["recency"], times["T"]
    ) == pytest.approx(
        learned.expected_purchases(10, known["frequency"], known["recency"], known["T"]), rel=1e-8
    )


# The expectation.


@pytest.mark.parametrize("a", [0.05, 0.793, 1 - 1e-9, 1, 1 + 1e-5, 3, 150])
@pytest.mark.parametrize("x", [0, 1, 30, 2000])
def test_the_expectation_is_that_of_its_integral_however_large_its_arguments(a, x):
    r, alpha, b = 0.243, 4.414, 2.426
    for t, T in ((0.01, 39), (1e-4, 39), (52, 39), (52, 0), (5000, 10)):
        y = t / (alpha + T)
        got = purchases_while_alive(np.array([y]), np.array([r + x]), a, np.array([b + x]))
        slow = integrated(np.array([r, alpha, a, b]), t, x, T)
        assert got[0] == pytest.approx(slow, rel=1e-7)


def test_the_expectation_where_the_third_argument_of_the_series_is_zero():
    """c = a + b + x - 1; the paper's form divides zero by zero."""
    got = purchases_while_alive(np.array([2.0]), np.array([0.3]), 0.25, np.array([0.75]))
    assert got[0] == pytest.approx(integrated(np.array([0.3, 1, 0.25, 0.75]), 2, 0, 0), rel=1e-8)


def test_expected_purchases_start_at_zero_and_rise_below_those_of_a_lasting_customer(learned):
    x, T = np.array([0.0, 1, 5, 400]), np.array([52.0, 52, 52, 52])
    ahead = [learned.expected_purchases(t, x, np.minimum(x, 50), T) for t in (0, 1, 10, 1e2, 1e4)]
    assert (ahead[0] == 0).all()
    assert (np.diff(ahead, axis=0) > 0).all()
    r, alpha = learned.params_["r"], learned.params_["alpha"]
    assert (ahead[1] < (r + x) / (alpha + T)).all()


def test_each_customer_may_have_a_horizon_of_its_own(learned, known):
    few = known.head(5)
    seen = [few[name].to_numpy() for name in ("frequency", "recency", "T")]
    t = np.arange(5.0)
    singly = [
        learned.expected_purchases(t[i], *(values[i : i + 1] for values in seen))[0]
        for i in range(5)
    ]
    assert learned.expected_purchases(t, *seen) == pytest.approx(singly)
    with pytest.raises(ValueError, match="t is invalid: expected a number or shape"):
        learned.expected_purchases(t[:3], *seen)


def test_a_newcomer_is_forecast_like_a_customer_without_a_past(learned):
    none = np.zeros(1)
    assert learned.expected_purchases_new(20.0) == pytest.approx(
        learned.expected_purchases(20.0, none, none, none)[0]
    )
    assert learned.expected_purchases_new([[1.0, 2.0]]).shape == (1, 2)


def test_the_probability_alive_is_highest_after_a_purchase_and_one_without_any(learned):
    x, recency, T = np.array([3.0, 3, 3, 0]), np.array([50.0, 30, 5, 0]), np.full(4, 52.0)
    alive = learned.probability_alive(x, recency, T)
    assert 1 > alive[0] > alive[1] > alive[2] > 0
    assert alive[3] == 1
    # The longest silence of the busiest: nothing overflows.
    assert learned.probability_alive([5000], [1.0], [1e6])[0] == pytest.approx(0, abs=1e-300)


# What is refused.


@pytest.mark.parametrize(
    ("frequency", "recency", "T", "words"),
    [
        ([1, 2], [1.0], [2.0, 3.0], r"frequency \(2,\), recency \(1,\), T \(2,\)"),
        ([[1]], [[1.0]], [[2.0]], "vectors"),
        ([], [], [], "empty"),
        ([1, np.nan, 1], [1, 1, 1], [2, 2, 2], r"frequency is not finite for 1 of 3.*position 1"),
        ([1, 1, 1], [1, 1, np.inf], [2, 2, 2], "recency is not finite for 1 of 3.*position 2"),
        ([1, 1], [1, 1], [np.nan, np.nan], "T is not finite for 2 of 2.*position 0"),
        ([0, -1], [0, 1], [2, 2], r"frequency is negative for 1 of 2.*position 1 \(-1\)"),
        ([1, 1], [-1, 1], [2, 2], "recency is negative for 1 of 2.*position 0"),
        ([1, 0], [1, 0], [2, -2], "T is negative"),
        ([1, 2], [1, 3], [2, 2], r"recency lies beyond T for 1 of 2.*position 1 \(3\)"),
        ([0, 0, 2], [0, 1, 1], [2, 2, 2], "recency is not 0 without a repeat.*position 1"),
        ([1, 1.5, 2.5], [1, 1, 1], [2, 2, 2], "not a whole number for 2 of 3.*position 1"),
    ],
)
def test_impossible_histories_are_refused_with_their_number_and_place(
    learned, frequency, recency, T, words
):
    with pytest.raises(ValueError, match=words):
        BetaGeoModel().fit(frequency, recency, T)
    with pytest.raises(ValueError, match=words):
        learned.probability_alive(frequency, recency, T)
    with pytest.raises(ValueError, match=words):
        learned.expected_purchases(1.0, frequency, recency, T)


def test_a_sample_without_a_repeat_purchase_is_refused():
    with pytest.raises(ValueError, match="expected a repeat purchase of some of the 2 customers"):
        BetaGeoModel().fit([0, 0], [0, 0], [3, 4])
    with pytest.raises(ValueError, match="T is 0 beside a repeat purchase"):
        BetaGeoModel().fit([1, 0], [0, 0], [0, 4])


@pytest.mark.parametrize("t", [-1.0, np.nan, np.inf])
def test_an_impossible_horizon_is_refused(learned, t):
    with pytest.raises(ValueError, match="t is"):
        learned.expected_purchases(t, [1], [1], [2])
    with pytest.raises(ValueError, match="t is"):
        learned.expected_purchases_new(t)


def test_an_unfitted_model_raises_not_fitted():
    with pytest.raises(NotFittedError):
        BetaGeoModel().expected_purchases(1.0, [1], [1], [2])


def negative_binomial(frame: pd.DataFrame) -> np.ndarray:
    """r, alpha and the log-likelihood where nobody leaves, by a search without derivatives."""
    x, T = frame["frequency"].to_numpy(), frame["T"].to_numpy()

    def lost(logs: np.ndarray) -> float:
        r, alpha = np.exp(logs)
        each = gammaln(r + x) - gammaln(r) + r * np.log(alpha) - (r + x) * np.log(alpha + T)
        return -float(each.sum())

    settings = {"xatol": 1e-9, "fatol": 1e-9, "maxiter": 4000}
    found = minimize(lost, np.zeros(2), method="Nelder-Mead", options=settings)
    return np.array([*np.exp(found.x), -found.fun])


def test_where_nobody_ever_leaves_the_fit_is_the_nbd_and_is_marked_so():
    generator = np.random.default_rng(4)
    T = generator.uniform(20, 60, 500)
    x = generator.poisson(generator.gamma(2, 0.2, 500) * T).astype(float)
    # Bought to the end: the likelihood can only rise as leaving becomes impossible.
    frame = pd.DataFrame({"frequency": x, "recency": np.where(x > 0, T, 0), "T": T})
    model = BetaGeoModel().fit(*(frame[name] for name in frame))
    assert model.boundary_ == "nobody_leaves"
    r, alpha, log_likelihood = negative_binomial(frame)
    assert model.params_["r"] == pytest.approx(r, rel=1e-5)
    assert model.params_["alpha"] == pytest.approx(alpha, rel=1e-5)
    assert model.params_["a"] == 0 and math.isnan(model.params_["b"])
    assert model.log_likelihood_ == pytest.approx(log_likelihood, abs=1e-5)

    seen = [frame[name].to_numpy() for name in frame]
    assert (model.probability_alive(*seen) == 1).all()
    ahead = model.expected_purchases(10, *seen)
    assert ahead == pytest.approx(10 * (r + x) / (alpha + T), rel=1e-5)
    halves = model.discounted_purchases(np.array([4.0, 10.0]), np.ones(2), *seen)
    assert halves == pytest.approx(ahead)
    assert model.expected_purchases_new(10.0) == pytest.approx(10 * r / alpha, rel=1e-5)


def bought(seed: int, leaves: np.ndarray) -> pd.DataFrame:
    """Customers who leave after each repeat purchase with their own probability, shape (n,)."""
    generator = np.random.default_rng(seed)
    T = generator.uniform(10, 50, len(leaves))
    rate = generator.gamma(1.2, 0.15, len(leaves))
    seen = []
    for span, often, chance in zip(T, rate, leaves, strict=True):
        times = np.sort(generator.uniform(0, span, generator.poisson(often * span)))
        left = np.flatnonzero(generator.random(len(times)) < chance)
        seen.append(times[: left[0] + 1] if len(left) else times)
    x = np.array([len(own) for own in seen], dtype=float)
    last = np.array([own[-1] if len(own) else 0.0 for own in seen])
    return pd.DataFrame({"frequency": x, "recency": last, "T": T})


def test_samples_of_the_nbd_are_all_fitted_with_nearly_all_customers_alive():
    """By chance half of them have their maximum a little inside, or at another boundary."""
    at_boundary = 0
    for seed in range(12):
        frame = bought(seed, np.zeros(400))
        seen = [frame[name] for name in frame]
        model = BetaGeoModel().fit(*seen)
        at_boundary += model.boundary_ is not None
        assert model.probability_alive(*seen).mean() > 0.95
    assert at_boundary >= 6


def mixture(
    parameters: np.ndarray, frame: pd.DataFrame, probabilities: list[float], shares: list[float]
) -> np.ndarray:
    """Each customer's log-likelihood where leaving has one of a few probabilities."""
    r, alpha = parameters
    x, last, T = (frame[name].to_numpy() for name in ("frequency", "recency", "T"))
    common = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
    total = np.zeros(len(x))
    for p, share in zip(probabilities, shares, strict=True):
        there = (1 - p) ** x * (alpha + T) ** -(r + x)
        gone = np.where(x > 0, p * (1 - p) ** np.maximum(x - 1, 0), 0) * (alpha + last) ** -(r + x)
        total += share * (there + gone)
    return common + np.log(total)


@pytest.mark.parametrize(
    ("boundary", "leaves", "world"),
    [
        ("all_leave_alike", np.full(3000, 0.05), lambda q: ([q / (1 + q)], [1.0])),
        (
            "at_once_or_never",
            np.repeat([1.0, 0.0], [300, 2700]),
            lambda q: ([0.0, 1.0], [1 / (1 + q), q / (1 + q)]),
        ),
    ],
)
def test_at_a_boundary_the_fit_is_that_of_the_limit_and_names_the_boundary(boundary, leaves, world):
    # Half of such samples have their maximum inside by chance: the first that has not.
    for seed in range(8):
        frame = bought(seed, leaves)
        seen = [frame[name].to_numpy() for name in frame]
        model = BetaGeoModel().fit(*seen)
        if model.boundary_ == boundary:
            break
    assert model.boundary_ == boundary

    def lost(logs: np.ndarray) -> float:
        return -float(mixture(np.exp(logs[:2]), frame, *world(np.exp(logs[2]))).sum())

    settings = {"xatol": 1e-8, "fatol": 1e-8, "maxiter": 4000}
    found = minimize(lost, [0, 2, -2], method="Nelder-Mead", options=settings)
    r, alpha, odds = np.exp(found.x)
    assert model.params_["r"] == pytest.approx(r, rel=1e-3)
    assert model.params_["alpha"] == pytest.approx(alpha, rel=1e-3)
    assert model.params_["a"] / model.params_["b"] == pytest.approx(odds, rel=1e-3)
    assert model.log_likelihood_ == pytest.approx(-found.fun, abs=0.01)

    # Alive: by Bayes' rule on the mixture; expected of newcomers: the mixture of both worlds.
    probabilities, shares = world(odds)
    x, _, T = seen
    there = sum(
        share * (1 - p) ** x * (alpha + T) ** -(r + x)
        for p, share in zip(probabilities, shares, strict=True)
    )
    common = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
    alive = np.exp(common + np.log(there) - mixture(np.array([r, alpha]), frame, *world(odds)))
    assert model.probability_alive(*seen) == pytest.approx(alive, abs=1e-3)
    newcomers = sum(
        share * (-np.expm1(-r * np.log1p(p * 20 / alpha)) / p if p else r * 20 / alpha)
        for p, share in zip(probabilities, shares, strict=True)
    )
    assert model.expected_purchases_new(20.0) == pytest.approx(newcomers, rel=1e-3)
    # Of those still there: the mean of each world, weighted by its probability given x.
    weights = [s * (1 - p) ** x for p, s in zip(probabilities, shares, strict=True)]
    each = [
        -np.expm1(-(r + x) * np.log1p(p * 10 / (alpha + T))) / p
        if p
        else (r + x) * 10 / (alpha + T)
        for p in probabilities
    ]
    ahead = alive * sum(w * e for w, e in zip(weights, each, strict=True)) / sum(weights)
    assert model.expected_purchases(10.0, *seen) == pytest.approx(ahead, rel=5e-3, abs=1e-4)


@pytest.mark.parametrize("until", ["1997-05-31", "1997-09-30"])
@pytest.mark.parametrize("least", [1, 5, 12])
def test_every_cut_of_a_real_log_is_fitted_and_shown_beside_the_simple_rule(least, until):
    log = cdnow.whole_log()
    days = log.groupby("customer_id")["day"].nunique()
    log = log[log["customer_id"].isin(days.index[days >= least])]
    frame = cdnow.summed(log, pd.Timestamp(until))
    seen = frame["frequency"], frame["recency"], frame["T"]
    ahead = (log["day"].max() - pd.Timestamp(until)).days / 7
    model = BetaGeoModel().fit(*seen)
    error = {}
    for name, fitted in (("BG/NBD", model), ("as many again", AsManyAgain().fit(*seen))):
        off = fitted.expected_purchases(ahead, *seen) - frame["holdout"]
        error[name] = float(np.sqrt((off**2).mean()))
    print(f"{least}+ purchases, until {until}: boundary {model.boundary_}, RMSE {error}")
    assert error["BG/NBD"] < error["as many again"]


def test_the_simple_rule_repeats_the_past():
    rule = AsManyAgain().fit([2, 0, 3], [4, 0, 9], [10, 0, 10])
    assert rule.expected_purchases(5, [2, 0, 3], [4, 0, 9], [10, 0, 10]).tolist() == [1, 1.25, 1.5]
    with pytest.raises(NotFittedError):
        AsManyAgain().expected_purchases(5, [2], [4], [10])


def test_a_rate_equal_for_all_is_named_as_the_diverging_parameter():
    """The boundary where rates do not differ is none that the model can be read at."""
    generator = np.random.default_rng(8)
    T = np.full(4000, 50.0)
    x = np.full(4000, 10.0)
    with pytest.raises(NotConverged, match=r"did not converge: .* (zero|infinity)"):
        BetaGeoModel().fit(x, generator.uniform(30, 50, 4000), T)


def test_a_maximum_missed_from_the_first_start_is_found_from_another():
    frame = world(300, seed=202, truth={"r": 1.0, "alpha": 20.0, "a": 0.1, "b": 10.0})
    with pytest.raises(NotConverged, match="b did not converge"):
        maximise(likelihood_of(frame), [[1, 20, 1, 3]], NAMES)
    model = BetaGeoModel().fit(frame["frequency"], frame["recency"], frame["T"])
    at = values(model.params_)
    _, gradient, _ = likelihood_of(frame)(at)
    assert np.abs(gradient * at).max() < 1e-6
    assert model.log_likelihood_ == pytest.approx(by_the_paper(at, frame)[1].sum(), rel=1e-10)
