"""Drift: the index by hand and by a plain loop, its noise against simulation, the kept profile."""

from __future__ import annotations

import io
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ml.evaluation.drift import (
    drift_from_profile,
    drift_table,
    population_stability_index,
    profile_of,
    psi_noise,
)

NUMBERS = st.lists(st.integers(-50, 50), min_size=1, max_size=80)
LEVELS = st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=1, max_size=80)


def term(expected: float, actual: float) -> float:
    return (actual - expected) * math.log(actual / expected)


def index_by_loop(expected: list[float], actual: list[float]) -> float:
    """Distinct numbers, some unknown: a bin of each tenth of the known ones, one of the unknown."""
    known = sorted(value for value in expected if value == value)
    tops = [known[math.ceil(len(known) * k / 10) - 1] for k in range(1, 10)]
    following = [known[known.index(top) + 1] for top in tops]
    edges = [(top + after) / 2 for top, after in zip(tops, following, strict=True)]

    def shares(values):
        counts = [0] * 11
        for value in values:
            counts[10 if value != value else sum(value > edge for edge in edges)] += 1
        return [max(count / len(values), 1e-4) for count in counts]

    return sum(term(e, a) for e, a in zip(shares(expected), shares(actual), strict=True))


def test_the_index_of_levels_by_hand():
    # Halves become a quarter and three quarters: (ln 2 + ln 1.5) / 4.
    expected, actual = ["a"] * 50 + ["b"] * 50, ["b"] * 30 + ["a"] * 10
    assert population_stability_index(expected, actual) == pytest.approx(math.log(3) / 4)


def test_the_index_of_numbers_by_hand():
    # Tenths of 1 … 100; the lowest tenth is lost to the highest.
    expected = np.arange(1, 101)
    actual = np.concatenate([np.arange(11, 101), np.full(10, 1000)])
    by_hand = term(0.1, 1e-4) + term(0.1, 0.2)
    assert population_stability_index(expected, actual) == pytest.approx(by_hand)


def test_missing_values_are_a_bin_and_no_share_is_less_than_one_in_ten_thousand():
    expected, actual = np.ones(100), np.array([1.0] * 90 + [np.nan] * 9 + [np.inf])
    by_hand = term(1, 0.9) + term(1e-4, 0.1)
    assert population_stability_index(expected, actual) == pytest.approx(by_hand)
    levels = pd.Series(["a"] * 90 + [None] * 10)
    assert population_stability_index(["a"] * 100, levels) == pytest.approx(by_hand)


def test_levels_not_seen_and_levels_of_few_are_one_bin():
    expected = ["a"] * 80 + ["b"] * 11 + ["rare"] * 9
    actual = ["a"] * 80 + ["new"] * 10 + ["newer"] * 10
    by_hand = term(0.11, 1e-4) + term(0.09, 0.2)
    assert population_stability_index(expected, actual) == pytest.approx(by_hand)


@pytest.mark.parametrize("rare", [0.03, 0.97])
def test_a_flag_that_nearly_all_or_nearly_none_have_has_two_bins(rare):
    expected = np.repeat([0, 1], [int(1000 * (1 - rare)), int(1000 * rare)])
    actual = np.repeat([False, True], 50)
    by_hand = term(rare, 0.5) + term(1 - rare, 0.5)
    assert population_stability_index(expected, actual) == pytest.approx(by_hand)


@pytest.mark.parametrize("value", [0.0, 1.0, -3e-12, 1e15])
def test_a_constant_that_changes_either_way_is_seen_and_one_that_does_not_is_not(value):
    expected = np.full(100, value)
    moved = population_stability_index(expected, np.full(100, value + 1 + abs(value)))
    assert moved == pytest.approx(term(1, 1e-4) + term(1e-4, 1))
    assert population_stability_index(expected, np.full(50, value - 1 - abs(value))) == moved
    assert population_stability_index(expected, np.full(50, value)) == 0


@pytest.mark.parametrize("seed", range(5))
def test_the_index_is_that_of_a_plain_loop(seed):
    generator = np.random.default_rng(seed)
    expected, actual = generator.normal(size=137), generator.normal(0.3, 1.2, 95)
    expected[generator.random(137) < 0.1] = np.nan
    actual[generator.random(95) < 0.2] = np.nan
    assert population_stability_index(expected, actual) == pytest.approx(
        index_by_loop(list(expected), list(actual))
    )


@settings(deadline=None, max_examples=60)
@given(NUMBERS | LEVELS, st.randoms(use_true_random=False))
def test_a_sample_does_not_drift_from_itself_in_any_order(values, random):
    shuffled = random.sample(values, len(values))
    assert population_stability_index(values, shuffled) == 0


@settings(deadline=None, max_examples=60)
@given(
    NUMBERS, NUMBERS, st.integers(1, 4), st.sampled_from([0.25, 1, 64]), st.integers(-1000, 1000)
)
def test_neither_unit_nor_origin_nor_copies_of_all_customers_change_the_index(
    expected, actual, copies, unit, origin
):
    found = population_stability_index(expected, actual)
    assert found >= 0
    moved = population_stability_index(
        np.tile(expected, copies) * unit + origin, np.array(actual) * unit + origin
    )
    assert moved == pytest.approx(found)
    turned = population_stability_index(np.array(expected) * 0.5, np.array(actual) * 0.5)
    assert turned == pytest.approx(found)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(10, 60), min_size=4, max_size=4), st.permutations("abcd"))
def test_the_index_of_levels_is_symmetric_and_independent_of_their_names(counts, names):
    first = np.repeat(list("abcd"), counts)
    second = np.repeat(list("abcd"), counts[::-1])
    found = population_stability_index(first, second)
    assert population_stability_index(second, first) == pytest.approx(found)
    renamed = dict(zip("abcd", names, strict=True))
    assert population_stability_index(
        [renamed[level] for level in first], [renamed[level] for level in second]
    ) == pytest.approx(found)


def test_noise_by_the_tables_of_chi_square():
    # 95 % of one degree of freedom: 3.841; of nine: 16.919.
    assert psi_noise(2, 100, 200) == pytest.approx(3.841 * 0.015, rel=1e-3)
    assert psi_noise(10, 1000, 1000) == pytest.approx(16.919 * 0.002, rel=1e-3)
    assert psi_noise(1, 10, 10) == 0


def drawn_numbers(generator: np.random.Generator, count: int) -> pd.Series:
    return pd.Series(generator.lognormal(size=count))


def drawn_levels(generator: np.random.Generator, count: int) -> pd.Series:
    return pd.Series(generator.choice(list("abcd"), count, p=[0.4, 0.3, 0.2, 0.1]))


def drawn_with_many_zeros_and_some_missing(generator: np.random.Generator, count: int) -> pd.Series:
    values = drawn_numbers(generator, count).to_numpy(copy=True)
    values[generator.random(count) < 0.5] = 0
    values[generator.random(count) < 0.1] = np.nan
    return pd.Series(values)


@pytest.mark.parametrize(
    "drawn", [drawn_numbers, drawn_levels, drawn_with_many_zeros_and_some_missing]
)
def test_without_drift_the_index_is_below_its_noise_in_95_of_100_draws(drawn):
    generator = np.random.default_rng(1)
    draws = 300
    expected = pd.DataFrame({str(k): drawn(generator, 1200) for k in range(draws)})
    actual = pd.DataFrame({str(k): drawn(generator, 800) for k in range(draws)})
    table = drift_table(expected, actual)
    below = int((table["psi"] < table["noise"]).sum())
    low, high = stats.binom.interval(0.998, draws, 0.95)
    assert low <= below <= high


def frames(seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two samples that differ: of numbers, flags, whole numbers with unknown ones, and levels that
    are hard to keep as text."""
    levels = ["001", "1", "NA", "", "other", "missing", 'a "b", c', "é", "null", "-inf"]
    both = []
    for shift, count in ((0.0, 900), (0.4, 700)):
        generator = np.random.default_rng([seed, count])
        weight = np.exp(shift * np.arange(len(levels)))
        both.append(
            pd.DataFrame(
                {
                    "amount": np.round(generator.normal(shift, 1, count) / 3, 6),
                    "zeros": generator.poisson(0.3 + shift, count) * 0.1,
                    "flag": generator.random(count) < 0.05 + shift,
                    "whole": pd.array(generator.integers(0, 9, count), dtype="Int32"),
                    "level": generator.choice(levels, count, p=weight / weight.sum()),
                    "digits": generator.choice(["01", "02", "3"], count),
                    "nothing": np.full(count, np.nan),
                }
            )
        )
        both[-1].loc[:19, "whole"] = pd.NA
        both[-1].loc[:9, "level"] = None
    return both[0], both[1]


@pytest.mark.parametrize("seed", range(3))
def test_a_profile_kept_as_text_gives_the_drift_of_the_training_customers(seed):
    expected, actual = frames(seed)
    text = profile_of(expected).to_csv(index=False)
    found = drift_from_profile(pd.read_csv(io.StringIO(text)), actual[actual.columns[::-1]])
    direct = {name: population_stability_index(expected[name], actual[name]) for name in expected}
    assert found["psi"].is_monotonic_decreasing
    assert found.set_index("feature")["psi"].to_dict() == pytest.approx(direct, rel=1e-9)
    table = drift_table(expected, actual)
    assert table["feature"].tolist() == found["feature"].tolist()
    assert table["psi"].to_numpy() == pytest.approx(found["psi"].to_numpy(), rel=1e-9)
    assert direct["nothing"] == 0 and direct["level"] > 0.25


def test_a_profile_has_the_shares_of_its_bins_and_those_add_up():
    frame = pd.DataFrame(
        {"age": [20, 30, 40, 50] * 25, "sex": ["F"] * 60 + ["M"] * 35 + [None] * 5}
    )
    profile = profile_of(frame)
    assert list(profile.columns) == ["feature", "bin", "lower", "level", "share"]
    assert profile.groupby("feature")["share"].sum().tolist() == pytest.approx([1, 1])
    age, sex = (profile[profile["feature"] == name].set_index("bin") for name in ("age", "sex"))
    assert age.loc[age["share"] > 0, "share"].tolist() == [0.25] * 4
    assert age["lower"].iloc[0] == -math.inf and age["lower"].iloc[:-1].is_monotonic_increasing
    assert dict(zip(sex["level"].dropna(), sex["share"], strict=False)) == {
        '"F"': 0.6,
        '"M"': 0.35,
    }
    assert sex.loc["missing", "share"] == 0.05 and sex.loc["other", "share"] == 0


def test_a_profile_names_no_level_of_few_and_no_customers_own_number():
    generator = np.random.default_rng(3)
    frame = pd.DataFrame(
        {
            "employer": ["bank"] * 500 + ["Novák and sons"] * 9,
            "balance": np.round(generator.lognormal(10, 1, 509), 2),
        }
    )
    text = profile_of(frame).to_csv(index=False)
    assert '""bank""' in text and "Novák" not in text
    lower = profile_of(frame).query("feature == 'balance'")["lower"].dropna()
    assert len(lower) == 10 and not set(lower) & set(frame["balance"])


def test_noise_counts_only_bins_that_anyone_is_in():
    expected, actual = pd.DataFrame({"flag": [0, 1] * 50}), pd.DataFrame({"flag": [0, 1] * 100})
    (row,) = drift_table(expected, actual).to_dict("records")
    assert row == {"feature": "flag", "psi": 0, "noise": pytest.approx(psi_noise(2, 100, 200))}


def test_features_that_are_missing_or_no_customers_or_text_for_numbers_are_refused():
    frame = pd.DataFrame({"a": [1, 2], "b": [3, 4], "c": [5, 6]})
    with pytest.raises(ValueError, match=r"\['a', 'c'\]"):
        drift_from_profile(profile_of(frame), frame[["b"]])
    with pytest.raises(ValueError, match="at least one row"):
        drift_table(frame, frame.head(0))
    with pytest.raises(ValueError, match="at least one row"):
        profile_of(frame.head(0))
    with pytest.raises(ValueError, match="word"):
        population_stability_index([1, 2], ["word", "word"])
