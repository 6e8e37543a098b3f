"""Intervals of uplift figures cover the truth of simulated campaigns at about the stated rate."""

from __future__ import annotations

import numpy as np
import pytest

from ml.evaluation.uplift import average_effect, policy_value, uplift_at, uplift_estimate

pytestmark = pytest.mark.slow

SEEDS, CONTACTS, ROUNDS = 200, 500, 120
LEVEL = 0.95
SHARE = 0.3


def _campaign(seed: int, n: int) -> dict[str, np.ndarray]:
    """Contacts assigned by a chance that goes with what they do anyway; the effect with a score."""
    generator = np.random.default_rng(2000 + seed)
    score, habit = generator.random(n), generator.random(n)
    chance = 0.25 + 0.5 * habit
    treatment = (generator.random(n) < chance).astype(int)
    effect = -0.1 + 0.4 * score
    y = (generator.random(n) < 0.15 + 0.4 * habit + treatment * effect).astype(int)
    probability = np.where(treatment == 1, chance, 1 - chance)
    return {"y": y, "score": score, "treatment": treatment, "probability": probability}


# The score is uniform on (0, 1): the effect is -0.1 + 0.4 · 0.5 on average, and that of the top
# share -0.1 + 0.4 (1 − share / 2).
TOP = -0.1 + 0.4 * (1 - SHARE / 2)
TRUTH = {
    "average_effect": 0.1,
    "uplift_at": TOP,
    "policy_value": SHARE * TOP,
    "policy_value_ipw": SHARE * TOP,
    "against_everybody": -0.7 * (-0.1 + 0.4 * 0.35),
}
METRICS = {
    "average_effect": lambda y, score, *arms: average_effect(y, *arms),
    "uplift_at": lambda *data: uplift_at(*data, share=SHARE),
    "policy_value": lambda *data: policy_value(*data, share=SHARE),
    "policy_value_ipw": lambda *data: policy_value(*data, share=SHARE, estimator="ipw"),
    "against_everybody": lambda *data: policy_value(*data, share=SHARE, against="everybody"),
}


@pytest.fixture(scope="module")
def intervals() -> dict[str, np.ndarray]:
    """Low, value and high of each metric by seed, shape (seeds, 3)."""
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in METRICS}
    for seed in range(SEEDS):
        estimates = uplift_estimate(
            METRICS, **_campaign(seed, CONTACTS), seed=seed, rounds=ROUNDS, level=LEVEL
        )
        for name, one in estimates.items():
            found[name].append((one.low, one.value, one.high))
    return {name: np.array(values) for name, values in found.items()}


@pytest.mark.parametrize("name", METRICS)
def test_intervals_cover_the_truth_at_the_stated_rate(
    name: str, intervals: dict[str, np.ndarray]
) -> None:
    low, value, high = intervals[name].T
    covered = np.mean((low <= TRUTH[name]) & (TRUTH[name] <= high))
    assert 0.90 <= covered <= 0.99
    # Not by being wide: the estimates themselves scatter as much as the intervals imply.
    assert np.mean(high - low) == pytest.approx(2 * 1.96 * value.std(), rel=0.2)
    assert value.mean() == pytest.approx(TRUTH[name], abs=4 * value.std() / np.sqrt(SEEDS))


def test_without_the_probabilities_the_average_effect_is_missed() -> None:
    """The test can fail: here those treated respond more anyway."""
    missed = 0
    for seed in range(20):
        campaign = _campaign(seed, 2000)
        del campaign["probability"]
        one = uplift_estimate(
            {"average_effect": METRICS["average_effect"]}, **campaign, seed=seed, level=LEVEL
        )["average_effect"]
        missed += not one.low <= TRUTH["average_effect"] <= one.high
    assert missed > 10
