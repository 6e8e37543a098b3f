"""Gamma-Gamma: the published figures, spend whose truth is known, and money in any unit."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize
from scipy.special import betaln
from sklearn.exceptions import NotFittedError

from ml.clv.gamma_gamma import NAMES, GammaGammaLikelihood, GammaGammaModel
from ml.clv.likelihood import NotConverged, distinct
from tests import cdnow

TRUTH = {"p": 4.0, "q": 3.5, "v": 60.0}


def by_the_note(parameters: np.ndarray, x: np.ndarray, spend: np.ndarray) -> float:
    """Log-likelihood in all, as Fader and Hardie (2013) print it."""
    p, q, v = parameters
    total = v + x * spend
    share = p * x * np.log(x * spend / total) + q * np.log(v / total)
    return float(np.sum(share - np.log(spend) - betaln(p * x, q)))


def values(mapping: dict[str, float]) -> np.ndarray:
    return np.array([mapping[name] for name in NAMES])


@pytest.fixture(scope="module")
def repeat_buyers() -> pd.DataFrame:
    frame = cdnow.customers()
    return frame[frame["frequency"] > 0]


@pytest.fixture(scope="module")
def published(repeat_buyers: pd.DataFrame) -> GammaGammaModel:
    return GammaGammaModel().fit(repeat_buyers["frequency"], repeat_buyers["monetary_value"])


def spend_of_a_world(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies and means of as many single purchases, a fifth without any."""
    generator = np.random.default_rng(seed)
    x = generator.poisson(generator.gamma(1.5, 2, n))
    rate = generator.gamma(TRUTH["q"], 1 / TRUTH["v"], n)
    owner = np.repeat(np.arange(n), x)
    spent = generator.gamma(TRUTH["p"], 1 / rate[owner])
    total = np.bincount(owner, weights=spent, minlength=n)
    return x, total / np.maximum(x, 1)


@pytest.fixture(scope="module")
def known() -> tuple[np.ndarray, np.ndarray]:
    return spend_of_a_world(20_000, seed=1)


@pytest.fixture(scope="module")
def learned(known: tuple[np.ndarray, np.ndarray]) -> GammaGammaModel:
    return GammaGammaModel().fit(*known)


# The published sample.


def test_the_published_parameters_of_cdnow(published, repeat_buyers):
    """v is printed as 15.44 or 15.45 by where a search stops: it lies in a long, flat ridge."""
    assert len(repeat_buyers) == 946
    assert round(published.params_["p"], 2) == 6.25
    assert round(published.params_["q"], 2) == 3.74
    assert published.params_["v"] == pytest.approx(15.445, abs=0.005)


def test_the_maximum_is_that_of_a_search_without_derivatives(published, repeat_buyers):
    x, spend = repeat_buyers["frequency"].to_numpy(), repeat_buyers["monetary_value"].to_numpy()
    settings = {"xatol": 1e-9, "fatol": 1e-10, "maxiter": 4000, "maxfev": 4000}
    found = minimize(
        lambda logs: -by_the_note(np.exp(logs), x, spend),
        np.zeros(3),
        method="Nelder-Mead",
        options=settings,
    )
    assert values(published.params_) == pytest.approx(np.exp(found.x), rel=1e-5)
    assert published.log_likelihood_ == pytest.approx(-found.fun, abs=1e-6)
    own = by_the_note(values(published.params_), x, spend)
    assert published.log_likelihood_ == pytest.approx(own, abs=1e-8)


def test_standard_errors_are_those_of_the_second_differences_of_the_likelihood(
    published, repeat_buyers
):
    x, spend = repeat_buyers["frequency"].to_numpy(), repeat_buyers["monetary_value"].to_numpy()
    at = values(published.params_)
    steps = 1e-3 * at
    information = np.zeros((3, 3))
    for i in range(3):
        for j in range(3):
            for si in (1, -1):
                for sj in (1, -1):
                    there = at.copy()
                    there[i] += si * steps[i]
                    there[j] += sj * steps[j]
                    moved = si * sj * by_the_note(there, x, spend)
                    information[i, j] -= moved / (4 * steps[i] * steps[j])
    errors = np.sqrt(np.diag(np.linalg.inv(information)))
    assert values(published.standard_errors_) == pytest.approx(errors, rel=1e-3)


# In any unit, in any order.


@pytest.mark.parametrize("factor", [100, 1e-6, 1e9])
def test_the_currency_unit_moves_v_and_the_density_only(published, repeat_buyers, factor):
    x, spend = repeat_buyers["frequency"], repeat_buyers["monetary_value"]
    other = GammaGammaModel().fit(x, spend * factor)
    scale = np.array([1, 1, factor])
    assert values(other.params_) == pytest.approx(values(published.params_) * scale, rel=1e-9)
    assert values(other.standard_errors_) == pytest.approx(
        values(published.standard_errors_) * scale, rel=1e-8
    )
    shift = len(x) * math.log(factor)
    assert other.log_likelihood_ == pytest.approx(published.log_likelihood_ - shift, rel=1e-10)
    assert other.population_mean_ == pytest.approx(published.population_mean_ * factor)
    assert other.expected_value(x, spend * factor) == pytest.approx(
        published.expected_value(x, spend) * factor
    )


def test_neither_order_nor_customers_without_a_purchase_change_the_fit(known, learned):
    x, spend = known
    order = np.random.default_rng(2).permutation(np.flatnonzero(x))
    other = GammaGammaModel().fit(x[order], spend[order])
    assert other.params_ == pytest.approx(learned.params_, rel=1e-11)
    assert other.log_likelihood_ == pytest.approx(learned.log_likelihood_, rel=1e-12)


def test_customers_three_times_over_give_the_same_parameters_with_smaller_errors(known, learned):
    other = GammaGammaModel().fit(*(np.tile(column, 3) for column in known))
    assert values(other.params_) == pytest.approx(values(learned.params_), rel=1e-6)
    assert other.log_likelihood_ == pytest.approx(3 * learned.log_likelihood_, rel=1e-9)
    errors = values(learned.standard_errors_) / np.sqrt(3)
    assert values(other.standard_errors_) == pytest.approx(errors, rel=1e-5)


# The likelihood.


@pytest.mark.parametrize(("x", "spend"), [(1, 12.0), (1, 300.0), (5, 40.0), (40, 25.0)])
def test_the_likelihood_is_the_mixture_over_customers(x, spend):
    p, q, v = parameters = np.array([2.5, 3.1, 50.0])

    def given(rate: float) -> float:
        """The mean of x gamma variables is one, of x times the shape and rate."""
        shape = p * x
        mean = shape * math.log(rate * x) + (shape - 1) * math.log(spend) - rate * x * spend
        among = q * math.log(v) + (q - 1) * math.log(rate) - v * rate
        return math.exp(mean - math.lgamma(shape) + among - math.lgamma(q))

    likely = (p * x + q) / (v + x * spend)
    mixed = quad(given, 0, likely, epsabs=0)[0] + quad(given, likely, 20 * likely, epsabs=0)[0]
    row = distinct(np.array([float(x)]), np.array([spend]))
    value, _, _ = GammaGammaLikelihood(*row)(parameters)
    assert value == pytest.approx(math.log(mixed), rel=1e-8)


@pytest.mark.parametrize("parameters", [[6.25, 3.74, 15.4], [0.4, 0.6, 2], [80, 12, 0.3]])
def test_gradient_and_hessian_are_the_differences_of_value_and_gradient(parameters):
    x, spend = np.array([1.0, 1, 2, 2, 9]), np.array([0.3, 1.7, 0.9, 0.9, 1.2])
    log_likelihood = GammaGammaLikelihood(*distinct(x, spend))
    at = np.array(parameters)
    _, gradient, hessian = log_likelihood(at)
    for place in range(3):
        step = np.zeros(3)
        step[place] = 1e-5 * at[place]
        above, below = log_likelihood(at + step), log_likelihood(at - step)
        width = 2 * step[place]
        assert gradient[place] == pytest.approx((above[0] - below[0]) / width, rel=1e-5, abs=1e-7)
        difference = (above[1] - below[1]) / width
        assert hessian[place] == pytest.approx(difference, rel=1e-5, abs=1e-6)


# Spend whose truth is known.


def test_the_truth_is_recovered_within_three_standard_errors(learned):
    apart = values(learned.params_) - values(TRUTH)
    assert np.abs(apart / values(learned.standard_errors_)).max() < 3
    assert (values(learned.standard_errors_) < 0.1 * values(TRUTH)).all()
    truth = TRUTH["p"] * TRUTH["v"] / (TRUTH["q"] - 1)
    assert learned.population_mean_ == pytest.approx(truth, rel=0.03)


def test_the_expected_value_is_the_mean_spend_of_like_customers_next(learned):
    """By how often and how much they bought: within three and a half errors of their next."""
    generator = np.random.default_rng(6)
    n = 40_000
    x = generator.integers(0, 5, n)
    rate = generator.gamma(TRUTH["q"], 1 / TRUTH["v"], n)
    spend = np.where(x > 0, generator.gamma(TRUTH["p"] * np.maximum(x, 1)) / rate, 0)
    spend = spend / np.maximum(x, 1)
    following = generator.gamma(TRUTH["p"], 1 / rate)
    apart = pd.DataFrame(
        {
            "x": x,
            "level": pd.qcut(spend.clip(1), [0, 0.4, 0.6, 0.8, 1], duplicates="drop").codes,
            "apart": learned.expected_value(x, spend) - following,
        }
    ).groupby(["x", "level"])["apart"]
    assert len(apart) > 15
    assert (apart.mean().abs() / (apart.std() / np.sqrt(apart.size()))).max() < 3.5


def test_the_expectation_lies_between_the_own_mean_and_that_of_all_and_nears_the_own(learned):
    mean = learned.population_mean_
    x = np.array([1, 2, 20, 10_000])
    expected = learned.expected_value(x, np.full(4, 3 * mean))
    assert (np.diff(expected) > 0).all()
    assert mean < expected[0] and expected[-1] == pytest.approx(3 * mean, rel=1e-3)
    assert learned.expected_value([0, 0], [0.0, 999.0]) == pytest.approx([mean, mean])
    assert learned.expected_value([7], [mean])[0] == pytest.approx(mean)


def test_expected_values_worked_by_hand():
    model = GammaGammaModel()
    model.params_ = {"p": 6.0, "q": 4.0, "v": 15.0}
    # 6 × 15 / 3, and 6 (15 + 2 × 50) / (6 × 2 + 3).
    assert model.expected_value([0, 2], [0, 50]) == pytest.approx([30, 46])


def test_without_a_finite_mean_customers_seen_too_rarely_are_refused_and_others_are_not():
    generator = np.random.default_rng(7)
    x = generator.integers(1, 6, 20_000)
    spend = generator.gamma(2.0 * x) / generator.gamma(0.7, 1 / 10, 20_000) / x
    model = GammaGammaModel().fit(x, spend)
    assert model.params_["q"] == pytest.approx(0.7, abs=3 * model.standard_errors_["q"])
    assert model.population_mean_ == math.inf
    with pytest.raises(ValueError, match="spend is infinite .*1 of 2 customers.*position 1"):
        model.expected_value([1, 0], [20.0, 0])
    p, q, v = values(model.params_)
    assert model.expected_value([1], [20.0])[0] == pytest.approx(p * (v + 20) / (p + q - 1))


# What is refused.


@pytest.mark.parametrize(
    ("frequency", "monetary_value", "words"),
    [
        ([1, 2], [1.0], r"frequency \(2,\), monetary_value \(1,\)"),
        ([[1]], [[1.0]], "vectors"),
        ([], [], "empty"),
        ([1, np.nan], [1, 1], "frequency is not finite for 1 of 2.*position 1"),
        ([1, 0], [1, np.nan], "monetary_value is not finite for 1 of 2.*position 1"),
        ([1, 1], [np.inf, 1], "monetary_value is not finite for 1 of 2.*position 0"),
        ([-1, 1], [1, 1], r"frequency is negative for 1 of 2.*position 0 \(-1\)"),
        ([1, 1, 1], [5, -2, -3], r"monetary_value is negative for 2 of 3.*position 1 \(-2\)"),
        ([1, 0, 2], [1, 0, 0], "not above 0 beside a purchase for 1 of 3.*position 2"),
        ([1, 0.5], [1, 1], "not a whole number for 1 of 2.*position 1"),
    ],
)
def test_impossible_histories_are_refused_with_their_number_and_place(
    learned, frequency, monetary_value, words
):
    with pytest.raises(ValueError, match=words):
        GammaGammaModel().fit(frequency, monetary_value)
    with pytest.raises(ValueError, match=words):
        learned.expected_value(frequency, monetary_value)


def test_a_sample_without_a_purchase_is_refused():
    with pytest.raises(ValueError, match="expected a purchase of any of 2 customers"):
        GammaGammaModel().fit([0, 0], [0, 0])


def test_an_unfitted_model_raises_not_fitted():
    with pytest.raises(NotFittedError):
        GammaGammaModel().expected_value([1], [1.0])


def test_equal_spending_of_all_names_the_diverging_parameter():
    with pytest.raises(NotConverged, match=r"\b[pqv] did not converge: .* (zero|infinity)"):
        GammaGammaModel().fit(np.arange(1, 301) % 5 + 1, np.full(300, 20.0))
