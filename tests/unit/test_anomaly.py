"""Abnormal days: tails, the detector and the words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ml.anomaly.detector import FEATURES, LOGARITHMIC, AbnormalDays, matrix
from ml.anomaly.reasons import DayEvidence, KindEvidence, explain
from ml.anomaly.tail import TailSurprise


def ordinary_days(size: int, seed: int) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    days = pd.DataFrame({name: draw.gamma(2.0, 1.0, size) for name in FEATURES})
    days["amount_out"] = np.exp(draw.normal(6, 1, size))
    return days


def test_the_surprise_of_an_exponential_is_its_own_tail() -> None:
    """Of an exponential with mean 2: P(S ≥ s) = e^(−s/2), far beyond the sample too."""
    sample = np.random.default_rng(1).exponential(2.0, 200_000)
    tail = TailSurprise().fit(sample)
    asked = np.array([0.5, 2.0, 6.0, 12.0, 30.0, 60.0])
    expected = asked / 2 / np.log(10)
    assert tail.surprise(asked) == pytest.approx(expected, rel=0.05)


def test_below_the_threshold_the_surprise_is_a_share_of_the_sample() -> None:
    tail = TailSurprise().fit(np.arange(100.0))
    assert tail.surprise(np.array([0.0, 50.0, 90.0])) == pytest.approx([0.0, -np.log10(0.5), 1.0])
    assert tail.threshold_ == 98.0 and tail.tail_share_ == 0.02
    assert tail.mean_excess_ == pytest.approx(0.5)
    # Two mean excesses further: e^−2 of the tail's share.
    assert tail.surprise(np.array([99.0])) == pytest.approx(-np.log10(0.02 * np.exp(-2)))


@given(
    st.lists(st.floats(-50, 50), min_size=1, max_size=60),
    st.lists(st.floats(-100, 100), min_size=2, max_size=20),
)
def test_a_higher_score_is_never_less_surprising(sample: list[float], asked: list[float]) -> None:
    surprise = TailSurprise().fit(np.array(sample)).surprise(np.sort(asked))
    assert np.isfinite(surprise).all() and (surprise >= 0).all()
    assert (np.diff(surprise) >= -1e-9).all()


@pytest.mark.parametrize("sample", [[], [1.0, np.nan], [np.inf]])
def test_a_tail_needs_a_sample(sample: list[float]) -> None:
    with pytest.raises(ValueError, match="scores are invalid"):
        TailSurprise().fit(np.array(sample))


def test_the_forest_and_the_rule_each_find_days_that_the_other_misses() -> None:
    past, days = ordinary_days(3_000, 1), ordinary_days(500, 2)
    rule = np.random.default_rng(3).exponential(1.0, 3_000)
    now = np.random.default_rng(4).exponential(1.0, 500)
    for feature in ("amount_out", "count_surprise", "cash_deposits_10d", "swept_share"):
        days.loc[7, feature] = 100 * past[feature].max()
    now[11] = 25.0
    scores = AbnormalDays(seed=1).fit(past, rule).score(days, now)
    assert scores["forest_score"].idxmax() == 7 and scores["rule_score"].idxmax() == 11
    assert set(scores["score"].nlargest(2).index) == {7, 11}
    assert scores["score"].to_numpy() == pytest.approx(
        (scores["rule_score"] + scores["forest_score"]) / 2
    )


def test_the_same_seed_gives_the_same_scores_and_another_similar_ones() -> None:
    past, days = ordinary_days(2_000, 1), ordinary_days(100, 2)
    rule, now = np.arange(2_000.0), np.arange(100.0)
    first, again, other = (
        AbnormalDays(seed).fit(past, rule).score(days, now)["score"] for seed in (1, 1, 2)
    )
    assert first.equals(again) and not first.equals(other)
    assert stats.spearmanr(first, other).statistic > 0.8


def test_the_forests_view_takes_logarithms_of_amounts_and_counts() -> None:
    day = pd.DataFrame([dict.fromkeys(FEATURES, 3.0)])
    seen = matrix(day)[0]
    assert seen[: len(LOGARITHMIC)] == pytest.approx(np.log(4.0))
    assert seen[len(LOGARITHMIC) :] == pytest.approx(3.0)


TRANSFER = KindEvidence(
    kind="transfer_out",
    channel="mobile",
    is_in=False,
    largest_amount=4_800.0,
    usual_amount=533.0,
    known_bookings=30,
    bookings_2d=1,
    bookings_10d=1,
    just_below_round_10d=1,
    daily=0.1,
    strangers=1,
    new_channels=1,
    amount_surprise=5.0,
    count_surprise=0.0,
    stranger_surprise=2.0,
    channel_surprise=3.0,
)
QUIET = DayEvidence(
    swept_share=0.1, passed_share=0.0, days_silent=5, sweep_surprise=0.1, pass_surprise=0.0
)


def test_reasons_name_the_strongest_signs_first() -> None:
    day = replace(QUIET, swept_share=0.97, sweep_surprise=4.0, days_silent=150)
    assert explain([TRANSFER], day) == (
        "outgoing transfer of 4,800.00 is 9 times the account's usual outgoing amount; "
        "balance emptied by 97%; first use of mobile for outgoing transfers; "
        "new counterparty; first use of the account in 150 days"
    )


def test_a_short_history_is_compared_with_others() -> None:
    words = explain([replace(TRANSFER, known_bookings=2)], QUIET)
    assert "9 times comparable accounts' usual outgoing amount" in words


def test_a_burst_is_explained_with_the_usual_number() -> None:
    card = replace(
        TRANSFER,
        kind="card_payment",
        channel="card",
        usual_amount=4_000.0,
        bookings_2d=6,
        bookings_10d=7,
        strangers=0,
        channel_surprise=0.1,
        count_surprise=20.0,
    )
    assert explain([card], QUIET) == "6 card payments within 2 days, usually 3.0 a month"


def test_cash_just_below_round_amounts_is_explained() -> None:
    cash = replace(
        TRANSFER,
        kind="deposit",
        channel="branch",
        is_in=True,
        usual_amount=4_000.0,
        bookings_10d=4,
        just_below_round_10d=4,
        channel_surprise=0.1,
        count_surprise=20.0,
    )
    assert explain([cash], QUIET) == (
        "4 cash deposits just below round amounts within 10 days, usually 3.0 a month"
    )
    mixed = replace(cash, just_below_round_10d=2)
    assert "just below" not in explain([mixed], QUIET)


def test_pass_through_and_unusual_combinations_are_explained() -> None:
    plain = replace(TRANSFER, usual_amount=4_800.0, strangers=0, channel_surprise=0.0)
    assert explain([plain], QUIET) == "unusual combination of bookings for a day"
    through = replace(QUIET, passed_share=0.95, pass_surprise=4.0, days_silent=366)
    assert explain([plain], through) == (
        "leaves on the day it arrived; first use of the account in a year or more"
    )
