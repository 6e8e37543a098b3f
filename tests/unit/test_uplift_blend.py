"""The blend of a learner of effects and the response score: its mean, its error, its reasons."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import skops.io
from scipy.special import expit

from ml.response import OfferBaseRate, ResponseModel, ResponseScoreRule, UpliftModel
from ml.response.model import OFFER
from ml.response.uplift_blend import UpliftBlend
from ml.serving import TRUSTED_TYPES


class Campaign:
    """Contacts of one offer, half of them held out, with known effects.

    Two things move whether a contacted customer responds: need, which only a contact awakens, and
    habit, by which customers come anyway. Effects rise with the response, but not in proportion.
    """

    def __init__(self, seed: int, n: int = 8000) -> None:
        generator = np.random.default_rng(seed)
        need, habit = generator.normal(size=n), generator.normal(size=n)
        alone = expit(-3 + 1.3 * habit)
        contacted = expit(-2.4 + 1.3 * habit + 0.7 * need)
        self.effect = contacted - alone
        self.treatment = generator.integers(0, 2, n)
        chance = np.where(self.treatment == 1, contacted, alone)
        self.y = (generator.random(n) < chance).astype(int)
        self.frame = pd.DataFrame({"need": need, "habit": habit, OFFER: "card"})
        for number in range(10):
            self.frame[f"noise_{number}"] = generator.normal(size=n)

    @property
    def data(self) -> tuple[pd.DataFrame, np.ndarray, np.ndarray, np.ndarray]:
        return self.frame, self.y, self.treatment, np.full(len(self.y), 0.5)


@pytest.fixture(scope="module")
def past() -> Campaign:
    return Campaign(1)


@pytest.fixture(scope="module")
def later() -> Campaign:
    return Campaign(2)


@pytest.fixture(scope="module")
def model(past: Campaign) -> UpliftBlend:
    return UpliftBlend(UpliftModel(seed=1), ResponseModel(seed=1)).fit(*past.data)


def test_the_blend_is_the_mean_of_its_parts(model: UpliftBlend, past: Campaign, later: Campaign):
    alone = UpliftModel(seed=1).fit(*past.data).predict(later.frame)
    score = ResponseScoreRule(ResponseModel(seed=1)).fit(*past.data).predict(later.frame)
    np.testing.assert_allclose(model.predict(later.frame), (alone + score) / 2, atol=1e-12)


def test_its_error_is_less_than_that_of_either_part():
    found = []
    for seed in range(10, 15):
        past, later = Campaign(seed, 4000), Campaign(100 + seed, 4000)
        blend = UpliftBlend(UpliftModel(seed=1), ResponseModel(seed=1)).fit(*past.data)
        predicted = [one.predict(later.frame) for one in (blend, blend.uplift_, blend.rule_)]
        found.append([np.mean((one - later.effect) ** 2) for one in predicted])
    mean, effects, response = np.mean(found, axis=0)
    assert mean < min(effects, response)


def test_contributions_add_up_and_name_what_moves_the_effect(model: UpliftBlend, later: Campaign):
    added, names = model.contributions(later.frame)
    assert names[-1] == OFFER and set(names) == {*model.columns_}
    whole = model.usual_ + added.sum(axis=1)
    np.testing.assert_allclose(whole, model.predict(later.frame), atol=1e-12)
    moves = dict(zip(names, np.abs(added).mean(axis=0), strict=True))
    assert moves["need"] > max(moves[name] for name in names if name.startswith("noise"))
    # Of the response score alone, a feature that raises the response raises the effect.
    by_odds, features = model.rule_.contributions(later.frame)
    by_effect, _ = model._of_response(later.frame)
    assert (np.sign(by_effect) == np.sign(by_odds)).all()
    assert by_effect.shape == (len(later.frame), len(features))


def test_a_response_that_nothing_moves_adds_nothing(past: Campaign, later: Campaign):
    blend = UpliftBlend(UpliftModel(seed=1), OfferBaseRate()).fit(*past.data)
    added, names = blend.contributions(later.frame)
    assert np.isfinite(added).all()
    half = blend.uplift_.contributions(later.frame)
    np.testing.assert_allclose(
        added[:, names.index("need")], half[0][:, half[1].index("need")] / 2, atol=1e-12
    )


def test_a_model_file_predicts_the_same_and_holds_only_trusted_types(
    model: UpliftBlend, later: Campaign
):
    again = skops.io.loads(skops.io.dumps(model), trusted=TRUSTED_TYPES)
    np.testing.assert_array_equal(again.predict(later.frame), model.predict(later.frame))
    np.testing.assert_array_equal(
        again.contributions(later.frame)[0], model.contributions(later.frame)[0]
    )
