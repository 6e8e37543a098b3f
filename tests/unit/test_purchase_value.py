"""Discounted value: month by month by hand, and the errors."""

from __future__ import annotations

import numpy as np
import pytest

from ml.clv.beta_geo import BetaGeoModel
from ml.clv.gamma_gamma import GammaGammaModel
from ml.clv.purchase_value import discounted_value

FREQUENCY = np.array([0, 1, 2, 2, 7, 30])
RECENCY = np.array([0.0, 20, 100, 300, 350, 364])
T = np.array([40.0, 40, 400, 400, 365, 365])
SPEND = np.array([0.0, 12.5, 40, 40, 3, 99])


@pytest.fixture
def models() -> tuple[BetaGeoModel, GammaGammaModel]:
    purchases, spend = BetaGeoModel(), GammaGammaModel()
    purchases.params_ = {"r": 0.6, "alpha": 40.0, "a": 0.8, "b": 2.4}
    spend.params_ = {"p": 6.0, "q": 4.0, "v": 15.0}
    spend.population_mean_ = 6.0 * 15.0 / 3.0
    return purchases, spend


def test_the_discounted_value_is_the_sum_over_the_months(models) -> None:
    purchases, spend = models
    value = discounted_value(*models, FREQUENCY, RECENCY, T, SPEND, month=30, monthly_discount=0.01)
    expected, before = np.zeros(6), np.zeros(6)
    for number in range(1, 13):
        now = purchases.expected_purchases(30.0 * number, FREQUENCY, RECENCY, T)
        expected += (now - before) / 1.01**number
        before = now
    np.testing.assert_allclose(value, expected * spend.expected_value(FREQUENCY, SPEND), rtol=1e-12)
    assert (value > 0).all()


def test_the_value_without_a_discount_is_purchases_times_spend(models) -> None:
    purchases, spend = models
    value = discounted_value(*models, FREQUENCY, RECENCY, T, SPEND, month=30, months=4)
    bought = purchases.expected_purchases(120.0, FREQUENCY, RECENCY, T)
    np.testing.assert_allclose(value, bought * spend.expected_value(FREQUENCY, SPEND), rtol=1e-12)


def test_money_and_time_may_be_in_any_unit(models) -> None:
    value = discounted_value(*models, FREQUENCY, RECENCY, T, SPEND, month=30)
    weeks = BetaGeoModel()
    weeks.params_ = {**models[0].params_, "alpha": 40 / 7}
    cents = GammaGammaModel()
    cents.params_ = {**models[1].params_, "v": 1500.0}
    cents.population_mean_ = 3000.0
    again = discounted_value(weeks, cents, FREQUENCY, RECENCY / 7, T / 7, SPEND * 100, month=30 / 7)
    np.testing.assert_allclose(again, value * 100, rtol=1e-10)


@pytest.mark.parametrize(
    "wrong", [{"month": 0}, {"month": 30, "months": 0}, {"month": 30, "monthly_discount": -1}]
)
def test_invalid_periods_are_refused(models, wrong) -> None:
    with pytest.raises(ValueError, match="above"):
        discounted_value(*models, FREQUENCY, RECENCY, T, SPEND, **wrong)


@pytest.mark.parametrize(
    ("ends", "factors"), [([30, 30], [1, 1]), ([0, 30], [1, 1]), ([30], [1, 1]), ([], [])]
)
def test_ends_that_do_not_rise_are_refused(models, ends, factors) -> None:
    with pytest.raises(ValueError, match="ends"):
        models[0].discounted_purchases(ends, factors, FREQUENCY, RECENCY, T)
