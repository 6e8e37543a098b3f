"""Screening: features that predict the event are kept, by Pearson's chi-square."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2_contingency

from ml.screening import informative

GENERATOR = np.random.default_rng(5)
EVENT = GENERATOR.random(3_000) < 0.1
NOISE = GENERATOR.integers(0, 8, (3_000, 40)).astype(float)


def test_predictive_features_are_kept_among_many_that_are_not():
    bins = NOISE.copy()
    bins[:, 7] = np.where(EVENT, 5, GENERATOR.integers(0, 8, 3_000))
    bins[:, 31] = np.where(EVENT & (GENERATOR.random(3_000) < 0.5), np.nan, bins[:, 31])
    assert {7, 31} <= set(informative(bins, EVENT, 6))


def test_the_order_is_that_of_the_standardised_chi_square():
    standardised = []
    for column in NOISE.T:
        table = np.array(
            [
                [np.sum((column == bin_) & (one == EVENT)) for bin_ in range(8)]
                for one in (False, True)
            ]
        )
        square, _, freedom, _ = chi2_contingency(table, correction=False)
        standardised.append((square - freedom) / np.sqrt(2 * freedom))
    expected = np.sort(np.argsort(-np.array(standardised))[:9])
    assert informative(NOISE, EVENT, 9).tolist() == expected.tolist()


def test_few_features_or_no_event_need_no_choice():
    assert informative(NOISE, EVENT, 40).tolist() == list(range(40))
    assert informative(NOISE[:, :3], EVENT, 40).tolist() == [0, 1, 2]
    assert len(informative(NOISE, np.zeros(3_000), 5)) == 5


@pytest.mark.parametrize("seed", [1, 2])
def test_the_order_of_the_rows_does_not_matter(seed):
    order = np.random.default_rng(seed).permutation(3_000)
    assert (
        informative(NOISE[order], EVENT[order], 9).tolist() == informative(NOISE, EVENT, 9).tolist()
    )


def test_one_feature_of_each_measure_is_kept():
    bins = NOISE.copy()
    for place, share in ((3, 0.9), (4, 0.6), (5, 0.3), (20, 0.4)):
        shown = EVENT & (GENERATOR.random(3_000) < share)
        bins[:, place] = np.where(shown, 5, bins[:, place])
    measures = [f"measure_{place}" for place in range(40)]
    measures[4] = measures[5] = measures[3]
    assert {3, 4, 20} <= set(informative(bins, EVENT, 4))
    kept = informative(bins, EVENT, 38, measures).tolist()
    assert kept == [place for place in range(40) if place not in (4, 5)]
    assert {3, 20} <= set(informative(bins, EVENT, 2, measures))
