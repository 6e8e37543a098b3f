"""Promotion: better beyond chance and nowhere worse beyond chance, or the champion stays."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
from scipy import stats

from ml.evaluation import metrics
from ml.evaluation.metrics import Estimate, compare
from ml.promotion import Bound, Decision, Level, Measure, decide, defined

GINI = Measure("gini", metrics.gini, "higher")
ERROR = Measure("mean_absolute_error", metrics.mean_absolute_error, "lower")
CLOSENESS = Measure("closeness", lambda y, score: -metrics.mean_absolute_error(y, score), "higher")
BIAS = Measure("total_bias", metrics.total_bias, "zero")


class Period:
    """Outcomes of a period, and predictions with errors of a given spread."""

    def __init__(self, seed: int, n: int = 300) -> None:
        self.generator = np.random.default_rng(seed)
        self.y = self.generator.normal(100, 30, n)

    def off_by(self, spread: float) -> np.ndarray:
        return self.y + self.generator.normal(0, spread, len(self.y))

    def decide(
        self,
        challenger: np.ndarray,
        rule: np.ndarray,
        champion: np.ndarray | None = None,
        measures: tuple[Measure, ...] = (GINI, ERROR, BIAS),
        deciding: str = "gini",
        **further: Any,
    ) -> Decision:
        return decide(measures, deciding, self.y, challenger, rule, champion, seed=1, **further)


@pytest.fixture
def period() -> Period:
    return Period(seed=1)


@pytest.mark.parametrize("deciding", ["gini", "mean_absolute_error"])
def test_a_better_challenger_is_promoted_whichever_way_is_better(period, deciding):
    decision = period.decide(period.off_by(10), period.off_by(40), deciding=deciding)
    assert decision.promote
    assert decision.reasons[0].startswith(f"beats the rule: {deciding} ")
    assert decision.reasons[1:] == ()


@pytest.mark.parametrize("deciding", ["gini", "mean_absolute_error"])
def test_a_worse_challenger_is_refused_with_the_reason_whichever_way_is_better(period, deciding):
    decision = period.decide(period.off_by(40), period.off_by(10), deciding=deciding)
    assert not decision.promote
    assert decision.reasons[0].startswith(f"does not beat the rule: {deciding} ")
    assert "worse than the rule: " in decision.reasons[0]
    assert decision.reasons[1:] == ()


def test_a_challenger_must_beat_the_champion_too(period):
    rule, champion = period.off_by(40), period.off_by(10)
    better = period.decide(period.off_by(3), rule, champion)
    assert better.promote
    assert [reason.split(":")[0] for reason in better.reasons] == [
        "beats the rule",
        "beats the champion",
    ]
    worse = period.decide(period.off_by(20), rule, champion)
    assert not worse.promote
    assert [reason.split(":")[0] for reason in worse.reasons] == [
        "beats the rule",
        "does not beat the champion",
    ]


def test_a_challenger_worse_than_the_rule_does_not_replace_an_even_worse_champion(period):
    decision = period.decide(period.off_by(20), period.off_by(5), period.off_by(60))
    assert not decision.promote
    assert [reason.split(":")[0] for reason in decision.reasons] == [
        "does not beat the rule",
        "beats the champion",
    ]


def test_the_champion_does_not_replace_itself(period):
    champion = period.off_by(10)
    decision = period.decide(champion.copy(), period.off_by(40), champion)
    assert not decision.promote
    assert decision.reasons[1] == "does not beat the champion: gini +0 [+0, +0]"


def test_a_better_order_does_not_compensate_for_larger_errors(period):
    """The challenger orders better and predicts half of every figure."""
    challenger, rule = period.off_by(5) / 2, period.off_by(15)
    decision = period.decide(challenger, rule)
    assert not decision.promote
    words, worse = decision.reasons[0].split("; worse than the rule: ")
    assert words.startswith("beats the rule: gini +")
    assert worse.startswith("mean_absolute_error +")
    # Without that measure it would have been promoted.
    assert period.decide(challenger, rule, measures=(GINI,)).promote


def test_figures_further_off_than_the_champions_block_the_promotion(period):
    decision = period.decide(period.off_by(5) / 2, np.full(300, 300.0), period.off_by(15))
    assert not decision.promote
    assert "worse" not in decision.reasons[0]
    assert "; worse than the champion: mean_absolute_error +" in decision.reasons[1]


def test_a_measure_best_at_zero_is_reported_and_blocks_no_promotion(period):
    """The rule predicts too little in all, the challenger too much: bias does not decide."""
    challenger, rule = period.off_by(5) + 8, period.off_by(40) - 8
    decision = period.decide(challenger, rule)
    assert decision.promote
    assert decision.against_rule["total_bias"].difference.low > 0
    assert not any("total_bias" in reason for reason in decision.reasons)


def test_the_reason_states_the_difference_and_its_interval(period):
    challenger, rule, champion = period.off_by(10), period.off_by(40), period.off_by(12)
    decision = period.decide(challenger, rule, champion)
    for other, reason in zip((rule, champion), decision.reasons, strict=True):
        wanted = compare({"gini": metrics.gini}, period.y, challenger, other, seed=1)["gini"]
        found = re.search(r"gini (\S+) \[(\S+), (\S+)\]", reason)
        assert found
        assert [float(figure) for figure in found.groups()] == pytest.approx(
            [wanted.difference.value, wanted.difference.low, wanted.difference.high], rel=1e-3
        )


def test_the_decision_holds_every_measure_beside_the_rule(period):
    challenger, rule = period.off_by(10), period.off_by(40)
    decision = period.decide(challenger, rule, period.off_by(12))
    assert list(decision.against_rule) == ["gini", "mean_absolute_error", "total_bias"]
    for measure in (GINI, ERROR, BIAS):
        compared = decision.against_rule[measure.name]
        assert compared.score.value == measure.metric(period.y, challenger)
        assert compared.other.value == measure.metric(period.y, rule)


@pytest.mark.parametrize(
    ("better", "low", "high", "ahead", "behind"),
    [
        ("higher", 0.1, 0.3, True, False),
        ("higher", -0.3, -0.1, False, True),
        ("higher", -0.1, 0.3, False, False),
        ("higher", 0.0, 0.3, False, False),
        ("lower", -0.3, -0.1, True, False),
        ("lower", 0.1, 0.3, False, True),
        ("lower", -0.3, 0.1, False, False),
        ("lower", -0.3, 0.0, False, False),
        ("higher", math.nan, math.nan, False, False),
        ("lower", math.nan, math.nan, False, False),
    ],
)
def test_ahead_or_behind_needs_the_whole_interval_on_one_side_of_zero(
    better, low, high, ahead, behind
):
    measure, difference = Measure("a measure", metrics.gini, better), Estimate(0.05, low, high)
    assert (measure.ahead(difference), measure.behind(difference)) == (ahead, behind)


def test_measures_undefined_for_the_outcomes_are_left_out():
    area, score = Measure("auc", metrics.auc, "higher"), Measure("brier", metrics.brier, "lower")
    assert defined((area, score), np.array([0, 1, 0])) == (area, score)
    assert defined((area, score), np.zeros(3)) == (score,)
    capture = Measure("top_decile_capture", metrics.top_decile_capture, "higher")
    assert defined((capture, ERROR), np.array([-3.0, 1, 1])) == (ERROR,)


@pytest.mark.slow
@pytest.mark.parametrize("measure", [CLOSENESS, ERROR], ids=["higher", "lower"])
def test_noise_is_promoted_no_more_often_than_by_chance(measure):
    """Challenger and rule are equally far off: one in twenty lies above the 90 % interval."""
    series = 150
    promoted = 0
    for seed in range(series):
        period = Period(seed, n=200)
        promoted += period.decide(
            period.off_by(30), period.off_by(30), measures=(measure,), deciding=measure.name
        ).promote
    assert promoted <= stats.binom.ppf(0.999, series, 0.05)


@pytest.mark.slow
def test_noise_against_rule_and_champion_is_promoted_no_more_often_than_by_chance():
    series = 80
    promoted = 0
    for seed in range(series):
        period = Period(seed + 1000, n=200)
        challenger, rule, champion = (period.off_by(30) for _ in range(3))
        promoted += period.decide(
            challenger, rule, champion, measures=(ERROR,), deciding=ERROR.name
        ).promote
    assert promoted <= stats.binom.ppf(0.999, series, 0.05)


@pytest.mark.slow
def test_a_real_lead_is_nearly_always_promoted():
    """A third less error among 200 customers, about four standard errors."""
    series = 50
    promoted = 0
    for seed in range(series):
        period = Period(seed + 2000, n=200)
        promoted += period.decide(
            period.off_by(20), period.off_by(30), measures=(ERROR,), deciding=ERROR.name
        ).promote
    assert promoted >= 0.95 * series


# Bounds.

CALIBRATION = Bound("calibration error", 0.14, 0.1)
DRIFT = Bound("score drift (PSI)", 0.05, 0.25)
UNFAIR = Bound("unfair groups", 2, 0, "unlike others: age 18-29, sex f")


def test_a_bound_refuses_a_challenger_far_ahead_with_the_reason_in_words(period):
    champion = period.off_by(20)
    sound = period.decide(period.off_by(3), period.off_by(40), champion, bounds=(DRIFT,))
    assert (sound.promote, sound.beats, sound.within_bounds) == (True, True, True)
    assert len(sound.reasons) == 2
    refused = period.decide(
        period.off_by(3), period.off_by(40), champion, bounds=(CALIBRATION, DRIFT, UNFAIR)
    )
    assert (refused.promote, refused.beats, refused.within_bounds) == (False, True, False)
    assert refused.reasons[2:] == (
        "calibration error 0.14 above 0.1",
        "unlike others: age 18-29, sex f",
    )


def test_bounds_that_hold_do_not_compensate_for_being_behind(period):
    decision = period.decide(period.off_by(40), period.off_by(10), bounds=(DRIFT,))
    assert (decision.promote, decision.beats, decision.within_bounds) == (False, False, True)


def test_a_challenger_behind_and_out_of_bounds_gets_both_reasons(period):
    decision = period.decide(period.off_by(40), period.off_by(10), bounds=(CALIBRATION,))
    assert (decision.promote, decision.beats, decision.within_bounds) == (False, False, False)
    assert decision.reasons[0].startswith("does not beat the rule: gini ")
    assert decision.reasons[-1] == CALIBRATION.complaint


@pytest.mark.parametrize(
    ("value", "limit", "holds"), [(0.1, 0.1, True), (0.11, 0.1, False), (math.nan, 0.1, False)]
)
def test_a_bound_holds_up_to_its_limit_and_not_where_the_figure_is_unknown(value, limit, holds):
    assert Bound("calibration error", value, limit).holds == holds


def test_an_unknown_figure_is_reported_as_not_known():
    assert Bound("drift", math.nan, 0.25).complaint == (
        "drift is not known; at most 0.25 is allowed"
    )


@pytest.mark.parametrize(
    ("value", "most", "verdict"),
    [
        (0.0, 0.2, "passed"),
        (0.1, 0.25, "passed"),
        (0.19, 1.02, "not judged"),
        (0.26, 1.02, "refused"),
        (math.nan, math.nan, "refused"),
        (0.2, None, "passed"),
    ],
)
def test_a_bound_is_judged_by_what_the_data_allow(value, most, verdict):
    assert Bound("total_bias", value, 0.25, most=most).verdict == verdict


# The level of a model that feeds money.

LOG_SCORE = Measure("log_score", metrics.log_score, "lower")
FEW, MANY = 600, 20_000


def levelled(
    n: int,
    off: float,
    rule_off: float,
    champion_off: float | None = None,
    deciding: Measure = LOG_SCORE,
) -> Decision:
    """A challenger that ranks well and is `off` in total, beside a rule that does not rank."""
    generator = np.random.default_rng(4)
    chance = generator.choice([0.002, 0.2], n)
    y = (generator.random(n) < chance).astype(float)
    challenger = chance * y.sum() / chance.sum() * (1 + off)
    rule = np.full(n, y.mean() * (1 + rule_off))
    champion = None if champion_off is None else np.full(n, y.mean() * (1 + champion_off))
    measured = metrics.estimate({"total_bias": metrics.total_bias}, y, challenger, seed=1)
    low, high = measured["total_bias"].low, measured["total_bias"].high
    least = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
    bound = Bound("total_bias", least, 0.25, most=max(abs(low), abs(high)))
    return decide(
        (deciding, BIAS),
        deciding.name,
        *(y, challenger, rule, champion),
        seed=1,
        bounds=(bound,),
        level=Level(BIAS, margin=0.1),
    )


@pytest.mark.parametrize(
    ("off", "verdict"), [(0.0, "passed"), (0.1, "passed"), (0.25, "not judged"), (0.6, "refused")]
)
def test_many_outcomes_show_the_level(off, verdict):
    decision = levelled(MANY, off, rule_off=0.0)
    assert decision.beats
    assert decision.verdicts == {"total_bias": verdict}
    assert decision.promote == (verdict == "passed")
    assert "size of total_bias" not in decision.against_rule


def test_few_outcomes_do_not_make_a_level_pass_more_easily():
    """The whole interval of a bias of 0.35 lies outside the bound where there are many outcomes;
    where there are few it does not, and the level is not judged."""
    assert levelled(MANY, 0.35, rule_off=0.0).verdicts["total_bias"] == "refused"
    decision = levelled(FEW, 0.35, rule_off=0.0)
    assert (decision.beats, decision.promote, decision.within_bounds) == (True, False, False)
    assert decision.verdicts == {"total_bias": "not judged"}
    assert decision.reasons[-1].startswith("total_bias is not judged: the outcomes are too few ")
    assert "size of total_bias +0.35 [" in decision.reasons[-1]


def test_few_outcomes_suffice_for_a_level_no_worse_than_that_of_rule_and_champion():
    decision = levelled(FEW, 0.35, rule_off=0.36)
    assert (decision.promote, decision.verdicts) == (True, {"total_bias": "passed"})
    assert decision.reasons[-1].startswith("no larger than that of the rule by more than 0.1: ")
    against_champion = levelled(FEW, 0.35, rule_off=0.36, champion_off=0.0)
    assert not against_champion.promote
    assert "that of the champion" in against_champion.reasons[-1]


def test_ahead_on_a_proper_score_a_level_no_larger_in_the_estimate_is_shown():
    """Biases of other signs: with few outcomes either may be the larger one."""
    decision = levelled(FEW, -0.3, rule_off=0.32)
    assert (decision.promote, decision.verdicts) == (True, {"total_bias": "passed"})
    words = "no larger than that of the rule by the estimate, with a better log_score: size of"
    assert decision.reasons[-1].startswith(words)
    larger = levelled(FEW, -0.32, rule_off=0.3)
    assert (larger.beats, larger.promote) == (True, False)
    assert larger.reasons[-1].startswith("total_bias is not judged")


def test_a_ranking_says_nothing_of_the_level():
    decision = levelled(FEW, -0.3, rule_off=0.32, deciding=Measure("auc", metrics.auc, "higher"))
    assert (decision.beats, decision.promote) == (True, False)
    assert decision.verdicts == {"total_bias": "not judged"}


def test_without_an_outcome_no_level_is_shown():
    y = np.zeros(50)
    decision = decide(
        (LOG_SCORE,),
        LOG_SCORE.name,
        *(y, np.full(50, 0.01), np.full(50, 0.2), None),
        seed=1,
        level=Level(BIAS, margin=0.1),
    )
    assert (decision.beats, decision.promote) == (True, False)
    assert decision.verdicts == {"total_bias": "not judged"}


def test_rows_of_one_customer_are_no_further_evidence():
    """A lead that many rows would prove is chance when they are a few customers many times over."""
    generator = np.random.default_rng(3)
    y, challenger_off, rule_off = generator.normal(100, 30, (3, 12))
    challenger_off, rule_off = (challenger_off - 100) * 0.8, rule_off - 100
    times = 100
    repeated = [np.repeat(values, times) for values in (y, y + challenger_off, y + rule_off)]
    customers = np.repeat(np.arange(12), times)

    def decided(groups: np.ndarray | None) -> Decision:
        return decide((ERROR,), ERROR.name, *repeated, None, seed=1, groups=groups)

    assert decided(None).beats
    together = decided(customers)
    assert not together.beats
    alone = decide((ERROR,), ERROR.name, y, y + challenger_off, y + rule_off, None, seed=1)
    of_customers = together.against_rule[ERROR.name].difference
    of_few = alone.against_rule[ERROR.name].difference
    assert [of_customers.value, of_customers.low, of_customers.high] == pytest.approx(
        [of_few.value, of_few.low, of_few.high]
    )
