"""Effects of campaigns: worked by hand, computed from rows a second way, known truths, chance."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import minimize_scalar
from statsmodels.stats.proportion import proportions_ztest

from ml.evaluation.experiment import (
    MISMATCH,
    SUMS,
    Strata,
    effect,
    measure,
    pool_small_strata,
    sample_ratio,
    score_p_value,
    strata_of_rows,
    variance_reduction,
    without_certainty,
)

SEEDS = 400
# Customers, more of them treated where more would have taken the product anyway.
SIZE, SHARES, BASE = 2000, np.array([0.35, 0.7]), np.array([0.03, 0.12])


class Campaign:
    """Rows of a campaign whose treatment changes nothing, or all by `lift`."""

    def __init__(self, seed: int, outcome: str, *, size: int = SIZE, lift: float = 0.0) -> None:
        draw = np.random.default_rng(seed)
        stratum = (draw.random(size) < 0.5).astype(int)
        self.share = SHARES[stratum]
        self.treated = draw.random(size) < self.share
        wealth = draw.normal(0, 1, size)
        self.x = np.exp(wealth) * (1 + 2 * stratum)
        if outcome == "binary":
            chance = np.clip(BASE[stratum] * np.exp(0.8 * wealth - 0.32), 0, 0.9)
            self.y = (draw.random(size) < chance + lift * self.treated).astype(float)
        else:
            self.y = 100 * self.x + 200 * draw.lognormal(0, 1, size) + lift * self.treated

    def strata(self) -> Strata:
        return strata_of_rows(self.y, self.treated, self.share, self.x)

    def weighted(self) -> Strata:
        return strata_of_rows(self.y, self.treated, self.share, self.x, weighted=True)

    def unstratified(self) -> Strata:
        return strata_of_rows(self.y, self.treated, np.full(len(self.y), 0.5), self.x)


def hand_worked() -> Strata:
    y = np.array([4, 6, 1, 3, 10, 12, 14, 9, 13], dtype=float)
    treated = np.array([1, 1, 0, 0, 1, 1, 1, 0, 0], dtype=bool)
    return strata_of_rows(y, treated, np.array([0.5] * 4 + [0.75] * 5))


def test_a_campaign_of_two_strata_worked_by_hand():
    # Differences 5 − 2 and 12 − 11, squares of spread 2, 2 and 4, 8, sizes 4 and 5 of 9.
    found = effect(hand_worked())
    assert found.value == pytest.approx((4 * 3 + 5 * 1) / 9)
    assert found.treated_mean == pytest.approx((4 * 5 + 5 * 12) / 9)
    assert found.control_mean == pytest.approx((4 * 2 + 5 * 11) / 9)
    first, second = 16 / 81 * (2 / 2 + 2 / 2), 25 / 81 * (4 / 3 + 8 / 2)
    assert found.variance == pytest.approx(first + second)
    cells = [16 / 81] * 2 + [25 / 81 * 4 / 3, 25 / 81 * 4]
    degrees = sum(cells) ** 2 / sum(
        cell**2 / free for cell, free in zip(cells, (1, 1, 2, 1), strict=True)
    )
    reach = stats.t.ppf(0.975, degrees) * math.sqrt(first + second)
    assert (found.low, found.high) == pytest.approx((17 / 9 - reach, 17 / 9 + reach))


def test_the_effect_on_the_treated_counts_strata_by_their_treated():
    assert effect(hand_worked(), of_treated=True).value == pytest.approx((2 * 3 + 3 * 1) / 5)


@pytest.mark.parametrize("outcome", ["binary", "amount"])
def test_one_stratum_is_the_test_of_welch(outcome):
    rows = Campaign(3, outcome, lift=0.02)
    found = effect(rows.unstratified())
    welch = stats.ttest_ind(rows.y[rows.treated], rows.y[~rows.treated], equal_var=False)
    interval = welch.confidence_interval(0.95)
    assert found.p_value == pytest.approx(welch.pvalue)
    assert found.degrees == pytest.approx(welch.df)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


def by_rows(rows: Campaign, y: np.ndarray) -> tuple[float, float]:
    """The stratified effect of rows and its variance, a second time."""
    value = variance = 0.0
    for share in SHARES:
        inside = rows.share == share
        arms = [y[inside & rows.treated], y[inside & ~rows.treated]]
        weight = inside.mean()
        value += weight * (arms[0].mean() - arms[1].mean())
        variance += weight**2 * sum(arm.var(ddof=1) / len(arm) for arm in arms)
    return value, variance


@pytest.mark.parametrize("outcome", ["binary", "amount"])
def test_sums_give_the_effect_of_the_rows(outcome):
    rows = Campaign(5, outcome, lift=0.03)
    found = effect(rows.strata())
    assert (found.value, found.variance) == pytest.approx(by_rows(rows, rows.y))


@pytest.mark.parametrize("outcome", ["binary", "amount"])
def test_the_covariate_is_taken_off_by_the_coefficient_of_least_variance(outcome):
    rows = Campaign(7, outcome, lift=0.03)
    found = effect(rows.strata(), adjusted=True)
    best = minimize_scalar(lambda theta: by_rows(rows, rows.y - theta * rows.x)[1])
    assert found.theta == pytest.approx(best.x, rel=1e-4)
    assert (found.value, found.variance) == pytest.approx(
        by_rows(rows, rows.y - found.theta * rows.x)
    )


def test_with_one_stratum_the_adjusted_effect_is_that_of_a_regression_with_interactions():
    rows = Campaign(11, "amount", size=40_000, lift=50.0)
    found = effect(rows.unstratified(), adjusted=True)
    centred = rows.x - rows.x.mean()
    columns = [np.ones(len(rows.y)), rows.treated, centred, rows.treated * centred]
    coefficient = np.linalg.lstsq(np.column_stack(columns), rows.y, rcond=None)[0]
    # The two differ by how far apart the arms' spreads of the covariate happen to be.
    assert found.value == pytest.approx(coefficient[1], abs=0.05 * math.sqrt(found.variance))


def test_weights_give_the_effect_of_the_weighted_rows():
    rows = Campaign(13, "amount", lift=30.0)
    found = effect(rows.weighted())
    weight = np.where(rows.treated, 1 / rows.share, 1 / (1 - rows.share))
    value = variance = 0.0
    for sign, arm in ((1, rows.treated), (-1, ~rows.treated)):
        w, y = weight[arm], rows.y[arm]
        mean = np.average(y, weights=w)
        value += sign * mean
        size = len(y)
        variance += size / (size - 1) * (w**2 * (y - mean) ** 2).sum() / w.sum() ** 2
    assert (found.value, found.variance) == pytest.approx((value, variance))


OUTCOMES = ("binary", "amount")
WAYS = {
    "plain": lambda rows: effect(rows.strata()),
    "adjusted": lambda rows: effect(rows.strata(), adjusted=True),
    "of the treated": lambda rows: effect(rows.strata(), of_treated=True, adjusted=True),
    "weighted": lambda rows: effect(rows.weighted()),
    "weighted, adjusted": lambda rows: effect(rows.weighted(), adjusted=True),
}


@pytest.fixture(scope="module", params=OUTCOMES)
def null_campaigns(request) -> list[Campaign]:
    """Campaigns of two like arms, many times over."""
    return [Campaign(seed, request.param) for seed in range(SEEDS)]


@pytest.mark.parametrize("way", WAYS)
def test_intervals_of_campaigns_without_effect_hold_zero_at_the_stated_rate(null_campaigns, way):
    found = [WAYS[way](rows) for rows in null_campaigns]
    covered = np.mean([one.low <= 0 <= one.high for one in found])
    assert covered == pytest.approx(0.95, abs=0.03)
    mean, error = centre([one.value for one in found])
    assert abs(mean) < 3 * error


def centre(values: list[float]) -> tuple[float, float]:
    """Mean of values and its standard error."""
    return float(np.mean(values)), float(np.std(values, ddof=1) / math.sqrt(len(values)))


def test_a_pooled_difference_is_biased_where_chance_and_outcome_go_together(null_campaigns):
    naive = [effect(rows.unstratified()) for rows in null_campaigns]
    mean, error = centre([one.value for one in naive])
    assert mean > 10 * error
    assert np.mean([one.low <= 0 <= one.high for one in naive]) < 0.6


@pytest.mark.parametrize(("outcome", "lift"), [("binary", 0.04), ("amount", 60.0)])
def test_the_covariate_takes_out_noise_and_no_effect(outcome, lift):
    plain, adjusted, saved = [], [], []
    for seed in range(SEEDS):
        strata = Campaign(seed, outcome, lift=lift).strata()
        first, second = effect(strata), effect(strata, adjusted=True)
        plain.append(first.value)
        adjusted.append(second.value)
        saved.append(variance_reduction(first, second))
    for values in (plain, adjusted):
        mean, error = centre(values)
        assert mean == pytest.approx(lift, abs=3.5 * error)
    # What the estimated variance promises is what the estimates do.
    seen = 1 - np.var(adjusted) / np.var(plain)
    assert np.mean(saved) == pytest.approx(seen, abs=0.12)
    assert np.mean(saved) > (0.5 if outcome == "amount" else 0.01)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.floats(-1e3, 1e3), st.floats(0.01, 100), st.booleans())
def test_effects_scale_with_the_unit_and_a_covariate_never_adds_variance(seed, start, unit, paid):
    rows = Campaign(seed, "amount", size=200)
    found = effect(rows.strata(), of_treated=paid)
    rows.y = start + unit * rows.y
    moved = effect(rows.strata(), of_treated=paid)
    assert moved.value == pytest.approx(unit * found.value, rel=1e-6, abs=1e-6)
    assert moved.high - moved.low == pytest.approx(unit * (found.high - found.low), rel=1e-5)
    adjusted = effect(rows.strata(), of_treated=paid, adjusted=True)
    assert adjusted.variance <= moved.variance * (1 + 1e-9)


def split(treated: int, customers: int, share: float = 0.5) -> Strata:
    sums = np.zeros((1, 2, len(SUMS)))
    sums[0, :, 0] = sums[0, :, 1] = treated, customers - treated
    return Strata(sums, np.array([[share * customers, share * (1 - share) * customers]]))


def both(*strata: Strata) -> Strata:
    return Strata(
        np.concatenate([one.sums for one in strata]), np.concatenate([one.chance for one in strata])
    )


def test_a_sample_ratio_is_the_chi_square_of_the_counts():
    found = sample_ratio(split(10_400, 20_000))
    expected = stats.chisquare([10_400, 9_600], [10_000, 10_000])
    assert found.p_value == pytest.approx(expected.pvalue)
    assert (found.expected, found.observed) == (0.5, 0.52)
    assert found.is_mismatch
    assert not sample_ratio(split(10_100, 20_000)).is_mismatch


def test_a_mismatch_that_evens_out_between_strata_is_found():
    assert not sample_ratio(split(3_000, 6_000)).is_mismatch
    assert sample_ratio(both(split(1_650, 3_000), split(1_350, 3_000))).is_mismatch


@pytest.mark.slow
def test_false_alarms_of_the_sample_ratio_occur_at_the_nominal_rate():
    draw = np.random.default_rng(17)
    counts = draw.binomial([12_000, 8_000], [0.5, 0.7], (20_000, 2))
    alarms = sum(
        sample_ratio(both(split(a, 12_000), split(b, 8_000, 0.7))).is_mismatch for a, b in counts
    )
    # 20 expected; outside these bounds once in ten thousand times.
    low, high = stats.binom.interval(0.9999, 20_000, MISMATCH)
    assert low <= alarms <= high


def test_strata_too_small_for_a_chi_square_are_taken_together():
    # Each of 200 strata has one customer: the sum of 200 terms of one would be no chi-square.
    strata = both(*[split(number % 2, 1, 0.4) for number in range(200)])
    found = sample_ratio(strata)
    assert found.p_value == pytest.approx(stats.chi2.sf((100 - 80) ** 2 / (200 * 0.24), 1))


def test_small_strata_are_pooled_without_bias():
    """A treated and a control are too few for a variance; as many strata give the truth together,
    which without weights they would not."""
    values = []
    for seed in range(300):
        draw = np.random.default_rng(seed)
        size = 600
        # 60 chances of ten customers each: some have one arm alone.
        chance = np.repeat(np.linspace(0.1, 0.9, 60), 10)
        treated = draw.random(size) < chance
        y = 10 * chance + draw.normal(0, 1, size) + 2.0 * treated
        strata, pooled = pool_small_strata(strata_of_rows(y, treated, chance))
        assert pooled > 0
        assert strata.counts.min() >= 2
        assert strata.counts.sum() == size
        values.append(effect(strata).value)
    mean, _ = centre(values)
    naive = 10 * np.average(np.linspace(0.1, 0.9, 60), weights=np.linspace(0.1, 0.9, 60))
    assert mean == pytest.approx(2.0, abs=0.05)
    assert naive - 5 > 0.5  # by how much the treated stand above the mean anyway


def test_pooled_strata_of_unlike_probabilities_are_weighted_by_them():
    treated = np.array([1] + [0] * 9 + [1] * 8 + [0] * 2, dtype=bool)
    share = np.repeat([0.1, 0.8], 10)
    y = np.arange(20, dtype=float)
    strata, pooled = pool_small_strata(strata_of_rows(y, treated, share))
    assert pooled == 1
    assert strata.sums == pytest.approx(strata_of_rows(y, treated, share, weighted=True).sums)
    assert bool(strata.is_weighted.all())


def test_customers_without_a_choice_are_left_out_and_noted():
    certain = strata_of_rows(np.full(50, 99.0), np.ones(50, dtype=bool), np.full(50, 1 - 1e-9))
    certain = Strata(certain.sums, np.array([[50.0, 0.0]]))
    strata = both(hand_worked(), certain)
    usable, left_out = without_certainty(strata)
    assert left_out == 50
    assert effect(usable) == effect(hand_worked())
    found = measure(strata)
    assert (found.treated, found.control) == (55, 4)
    assert any("50 customers without a chance" in note for note in found.notes)


def test_unknown_probabilities_are_taken_as_equal_and_noted():
    rows = Campaign(19, "binary")
    strata = rows.unstratified()
    unknown = Strata(strata.sums, np.full((1, 2), np.nan))
    found = measure(unknown)
    assert found.plain.value == effect(strata).value
    assert found.method == "difference of means"
    assert any("no assignment probabilities" in note for note in found.notes)
    assert math.isnan(sample_ratio(unknown).p_value)
    assert not sample_ratio(unknown).is_mismatch


def test_unknown_probabilities_form_their_own_stratum():
    known, unknown = hand_worked(), hand_worked()
    unknown = Strata(unknown.sums[:1], np.full((1, 2), np.nan))
    found = measure(both(known, unknown))
    assert found.plain.value == pytest.approx((4 * 3 + 5 * 1 + 4 * 3) / 13)
    assert any("4 customers without an assignment" in note for note in found.notes)


@pytest.mark.parametrize(
    ("treated", "control", "words"),
    [(40, 0, "no control group"), (0, 40, "nobody treated"), (40, 1, "less than two customers")],
)
def test_a_campaign_without_two_arms_has_no_effect(treated, control, words):
    strata = strata_of_rows(
        np.arange(treated + control, dtype=float),
        np.arange(treated + control) < treated,
        np.full(treated + control, 0.5),
    )
    found = measure(strata)
    assert math.isnan(found.plain.value)
    assert math.isnan(found.adjusted.value)
    assert any(words in note for note in found.notes)


def test_no_customers_have_no_effect():
    nothing = Strata.of(pd.DataFrame(columns=["stratum", "arm", *SUMS, "p", "pq"]))
    found = measure(nothing)
    assert (found.treated, found.control, found.method) == (0, 0, "none")
    assert math.isnan(found.plain.value)
    assert math.isnan(sample_ratio(nothing).p_value)


def test_an_outcome_without_variation_has_no_interval():
    found = effect(strata_of_rows(np.full(20, 0.1), np.arange(20) < 9, np.full(20, 0.5)))
    assert found.value == pytest.approx(0, abs=1e-12)
    assert math.isnan(found.low)
    assert math.isnan(found.p_value)


def test_a_frame_of_sums_is_read_and_checked():
    rows = Campaign(23, "binary")
    strata = rows.strata()
    table = [
        {
            "stratum": str(place),
            "arm": arm,
            **dict(zip(SUMS, strata.sums[place, number], strict=True)),
        }
        | {"p": strata.chance[place, 0] / 2, "pq": strata.chance[place, 1] / 2}
        for place in (1, 0)
        for number, arm in enumerate(("treatment", "control"))
    ]
    read = Strata.of(pd.DataFrame(table))
    assert np.allclose(read.sums, strata.sums)
    assert np.allclose(read.chance, strata.chance)
    with pytest.raises(ValueError, match="one row"):
        Strata.of(pd.DataFrame(table + table[:1]))
    with pytest.raises(ValueError, match="arms are invalid"):
        Strata.of(pd.DataFrame([*table, {**table[0], "arm": "placebo"}]))


def responses(treated: int, taken: int, control: int, taken_control: int) -> Strata:
    """One stratum of an even chance."""
    y = np.repeat([1.0, 0, 1, 0], [taken, treated - taken, taken_control, control - taken_control])
    arm = np.repeat([True, False], [treated, control])
    return strata_of_rows(y, arm, np.full(len(y), 0.5))


@pytest.mark.parametrize("counts", [(200, 20, 150, 4), (80, 5, 50, 0), (60, 1, 60, 3)])
def test_the_score_test_of_one_stratum_is_that_of_two_shares(counts):
    treated, taken, control, taken_control = counts
    _, wanted = proportions_ztest([taken, taken_control], [treated, control])
    assert score_p_value(responses(*counts)) == pytest.approx(wanted, rel=1e-9)


def test_the_score_test_of_strata_is_that_of_their_weighted_shares():
    """Strata of 300 and 100: weights 3/4 and 1/4, shares of all 9/300 and 10/100."""
    one, two = responses(200, 8, 100, 1), responses(50, 7, 50, 3)
    value = 0.75 * (0.04 - 0.01) + 0.25 * (0.14 - 0.06)
    variance = 0.75**2 * 0.03 * 0.97 * (1 / 200 + 1 / 100) + 0.25**2 * 0.1 * 0.9 * 2 / 50
    wanted = 2 * stats.norm.sf(value / variance**0.5)
    assert score_p_value(one.beside(two)) == pytest.approx(wanted, rel=1e-9)


def test_the_score_test_finds_no_more_than_chance_among_rare_responses():
    """Where one arm has hardly a response, the variance of each arm by itself finds too much."""
    draw = np.random.default_rng(4)
    found, plain = [], []
    for taken, taken_control in zip(
        draw.binomial(120, 0.03, 4000), draw.binomial(50, 0.03, 4000), strict=True
    ):
        strata = responses(120, int(taken), 50, int(taken_control))
        found.append(score_p_value(strata) < 0.01)
        plain.append(effect(strata).p_value < 0.01)
    assert np.mean(found) < 0.012
    assert np.mean(plain) > 0.012


def test_a_score_test_without_variation_is_unknown():
    assert math.isnan(score_p_value(responses(10, 0, 10, 0)))
    assert math.isnan(score_p_value(responses(10, 1, 1, 0)))
