"""The rule of a probability: the rate of those who looked alike, by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ml.base_rate import ColumnRate

ARREARS = pd.DataFrame({"days_past_due": [0, 0, 0, 0, 10, 29, 30, np.nan]})
DEFAULT = np.array([0, 0, 0, 1, 1, 0, 1, 0])


def test_the_rate_of_a_class_is_shrunk_towards_that_of_all():
    rule = ColumnRate("days_past_due", edges=(1, 30), prior=4).fit(ARREARS, DEFAULT)
    # Of all 3/8; of the four without arrears 1, of the two in 1-29 days 1, of the one at 30 all.
    expected = [(1 + 1.5) / 8] * 4 + [(1 + 1.5) / 6] * 2 + [(1 + 1.5) / 5, (0 + 1.5) / 5]
    assert rule.probability(ARREARS) == pytest.approx(expected)
    assert rule.predict_proba(ARREARS).sum(axis=1) == pytest.approx(np.ones(8))


def test_an_empty_class_has_the_rate_of_all():
    rule = ColumnRate("days_past_due", edges=(1, 30, 90)).fit(ARREARS, DEFAULT)
    assert rule.probability(pd.DataFrame({"days_past_due": [400]})) == pytest.approx([3 / 8])


def test_classes_of_equal_count_follow_the_column():
    generator = np.random.default_rng(3)
    frame = pd.DataFrame({"idle": generator.random(20_000)})
    event = generator.random(20_000) < frame["idle"].to_numpy()
    rate = ColumnRate("idle", classes=5).fit(frame, event).probability(frame)
    assert len(np.unique(rate)) == 5
    middle = (np.floor(frame["idle"].to_numpy() * 5) + 0.5) / 5
    assert np.abs(rate - middle).max() < 0.25
    assert np.abs(rate - middle).mean() < 0.02


def test_contributions_are_log_odds_against_the_rate_of_all():
    rule = ColumnRate("days_past_due", edges=(1, 30), prior=0).fit(ARREARS, DEFAULT)
    contributions, names = rule.contributions(ARREARS.iloc[:1])
    assert names == ["days_past_due"]
    assert contributions[0, 0] == pytest.approx(
        np.log((1 / 4) / (3 / 4)) - np.log((3 / 8) / (5 / 8))
    )


def test_events_of_another_length_are_refused():
    with pytest.raises(ValueError, match="8 rows"):
        ColumnRate("days_past_due").fit(ARREARS, DEFAULT[:3])
