"""Learners of uplift: known effects found again, chance not taken for one, assignment undone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
import skops.io
from threadpoolctl import threadpool_limits

from ml.estimator import ProbabilityClassifier
from ml.evaluation.metrics import spearman
from ml.evaluation.uplift import area_under_gain
from ml.response.model import OFFER, OfferBaseRate
from ml.response.uplift import UpliftModel, mean_effects, pseudo_outcome, shrunken
from ml.response.uplift_learners import LEARNERS, ClassTransformation, Design, TLearner
from ml.response.uplift_rules import BestColumnRule, ResponseScoreRule

CASES = [(learner, base) for learner in LEARNERS for base in ("boosting", "linear")]
TRUSTED = [
    "ml.encoding.Binner",
    "ml.encoding.FrameEncoder",
    "ml.response.model.OfferBaseRate",
    "ml.response.uplift.UpliftModel",
    "ml.response.uplift_learners.ClassTransformation",
    "ml.response.uplift_learners.Design",
    "ml.response.uplift_learners.Outcome",
    "ml.response.uplift_learners.SLearner",
    "ml.response.uplift_learners.TLearner",
    "ml.response.uplift_learners.XLearner",
    "ml.response.uplift_rules.BestColumnRule",
    "ml.response.uplift_rules.ResponseScoreRule",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    with threadpool_limits(1):
        yield


class Trial:
    """Randomised contacts of two offers whose effect is known.

    Habit drives what customers do anyway and how often they are contacted; the effect of a card
    goes with youth and digital use, that of a fund the other way with age. Some balances are
    missing, and those missing are moved by nothing.
    """

    def __init__(
        self,
        n: int = 6000,
        seed: int = 0,
        *,
        strength: float = 1.0,
        even: bool = False,
        continuous: bool = False,
    ) -> None:
        generator = np.random.default_rng(seed)
        age, digital, habit = generator.uniform(20, 80, n), generator.random(n), generator.random(n)
        balance = np.where(generator.random(n) < 0.2, np.nan, generator.lognormal(8, 2, n))
        town = generator.choice(["north", "south", "west"], n)
        offer = generator.choice(["card", "fund"], n)
        young = (50 - age) / 30
        card = 0.1 + 0.16 * young + 0.3 * (digital - 0.5)
        fund = 0.04 - 0.24 * young
        drawn = np.where(offer == "card", card, fund)
        mean = np.where(offer == "card", 0.1, 0.04)
        self.effect = mean + strength * (drawn - mean)
        chance = np.full(n, 0.5) if even else 0.2 + 0.6 * habit
        self.treatment = (generator.random(n) < chance).astype(int)
        self.probability = np.where(self.treatment == 1, chance, 1 - chance)
        rate = 0.2 + 0.3 * habit + self.treatment * self.effect
        if continuous:
            self.y = 100 * rate + generator.normal(0, 20, n)
        else:
            self.y = (generator.random(n) < rate).astype(float)
        self.offer = offer
        self.frame = pd.DataFrame(
            {"age": age, "digital": digital, "balance": balance, "town": town, OFFER: offer}
        )
        for number in range(4):
            self.frame[f"noise_{number}"] = generator.normal(size=n)

    @property
    def data(self) -> tuple[pd.DataFrame, np.ndarray, np.ndarray, np.ndarray]:
        return self.frame, self.y, self.treatment, self.probability

    def within_offers(self, score: np.ndarray) -> float:
        """Mean rank correlation with the true effect within the offers."""
        return float(
            np.mean(
                [
                    spearman(self.effect[self.offer == one], score[self.offer == one])
                    for one in ("card", "fund")
                ]
            )
        )


class Treated(ProbabilityClassifier):
    """A response estimator: the rate by town."""

    def fit(self, frame: pd.DataFrame, y: np.ndarray) -> Treated:
        self.classes_ = np.array([0, 1])
        self.rates_ = pd.Series(y).groupby(frame["town"].to_numpy()).mean().to_dict()
        return self

    def probability(self, frame: pd.DataFrame) -> np.ndarray:
        return frame["town"].map(self.rates_).to_numpy(dtype=float)


@pytest.fixture(scope="module")
def trial() -> Trial:
    return Trial(seed=1)


@pytest.fixture(scope="module")
def later() -> Trial:
    return Trial(seed=2)


@pytest.fixture(scope="module")
def model(trial: Trial) -> UpliftModel:
    return UpliftModel(seed=1).fit(*trial.data)


@pytest.mark.slow
@pytest.mark.parametrize(("learner", "base"), CASES)
def test_known_differences_are_found_and_the_level_is_right(
    learner: str, base: str, trial: Trial, later: Trial
) -> None:
    fitted = UpliftModel(learner=learner, base=base, seed=1, ridge=500.0).fit(*trial.data)
    predicted = fitted.predict(later.frame)
    rule = BestColumnRule(seed=1).fit(*trial.data).predict(later.frame)
    least = 0.5 if learner == "class_transformation" and base == "boosting" else 0.6
    assert later.within_offers(predicted) > least
    assert later.within_offers(predicted) > later.within_offers(rule) - 0.05
    assert predicted.mean() == pytest.approx(later.effect.mean(), abs=0.03)
    # Not exaggerated: the truth rises at least about one to one with it (an S learner, whose trees
    # seldom split by the treatment, understates).
    most = 2.6 if (learner, base) == ("s", "boosting") else 1.7
    assert 0.7 < np.polyfit(predicted, later.effect, 1)[0] < most


def test_the_model_beats_the_rule_of_one_column_where_two_move_the_effect(
    trial: Trial, model: UpliftModel, later: Trial
) -> None:
    rule = BestColumnRule(seed=1).fit(*trial.data)
    assert rule.chosen_ == {"card": "age", "fund": "age"} or "digital" in rule.chosen_.values()
    cards = later.offer == "card"
    frame, effect = later.frame[cards], later.effect[cards]
    assert spearman(effect, model.predict(frame)) > spearman(effect, rule.predict(frame)) + 0.05


def test_the_area_of_a_column_is_that_of_effects_learned_from_the_other_folds():
    generator = np.random.default_rng(8)
    transformed = generator.normal(0, 1, 400)
    # Folds in which a bin is empty, and bins of equal effect.
    fold, place = generator.integers(0, 5, 400), generator.choice([0, 1, 3], 400)
    transformed[place == 3] = transformed[place == 1].mean()
    rule = BestColumnRule()
    parts = rule._parts(transformed, fold)
    found = np.empty(400)
    for number, (rows, outcomes) in enumerate(parts):
        assert set(fold[rows]) == set(range(rule.folds)) - {number}
        found[fold == number] = rule._effects(place[rows], outcomes)[place[fold == number]]
    assert rule._score(place, transformed, fold, parts) == area_under_gain(transformed, found)


@pytest.mark.slow
@pytest.mark.parametrize("learner", LEARNERS)
def test_where_contact_moves_all_alike_no_differences_are_found(learner: str) -> None:
    """Differences are shrunk to a fraction of what a learner by itself takes for them."""
    kept, raw = [], []
    for seed in range(4):
        nothing = Trial(n=3000, seed=10 + seed, strength=0.0)
        alone = UpliftModel(learner=learner, seed=seed, folds=3, trees=40)
        predicted = alone.fit(*nothing.data).predict(nothing.frame)
        for offer in ("card", "fund"):
            rows = nothing.offer == offer
            features = alone.design_.transform(nothing.frame[rows])
            raw.append(alone.learners_[offer].effects_of(features).std())
            kept.append(predicted[rows].std())
    assert np.median(kept) < 0.01
    assert np.mean(kept) < 0.5 * np.mean(raw) + 0.002


@pytest.mark.slow
@pytest.mark.parametrize("learner", ["t", "class_transformation"])
def test_inverse_probabilities_undo_an_assignment_that_goes_with_habit(learner: str) -> None:
    """Habit is no feature: without the probabilities its effect is taken for that of contact."""
    uneven = Trial(n=8000, seed=3)
    honest = UpliftModel(learner=learner, seed=1).fit(*uneven.data)
    truth = {one: uneven.effect[uneven.offer == one].mean() for one in ("card", "fund")}
    naive = UpliftModel(learner=learner, seed=1).fit(
        uneven.frame, uneven.y, uneven.treatment, np.full(len(uneven.y), 0.5)
    )
    alone = LEARNERS[learner](seed=1).fit(*uneven.data)
    for one, effect in truth.items():
        rows = uneven.offer == one
        assert honest.predict(uneven.frame[rows]).mean() == pytest.approx(effect, abs=0.04)
        assert naive.predict(uneven.frame[rows]).mean() > effect + 0.03
    assert alone.predict(uneven.frame).mean() == pytest.approx(uneven.effect.mean(), abs=0.04)


@pytest.mark.parametrize("base", ["boosting", "linear"])
@pytest.mark.parametrize("learner", LEARNERS)
def test_effects_of_two_treatments_on_a_continuous_outcome_are_found(
    learner: str, base: str
) -> None:
    generator = np.random.default_rng(5)
    n = 6000
    age = generator.uniform(-1, 1, n)
    chance = np.column_stack([0.5 - 0.2 * (age > 0), np.full(n, 0.3), 0.2 + 0.2 * (age > 0)])
    arm = (generator.random(n)[:, None] > chance.cumsum(axis=1)).sum(axis=1)
    effect = np.column_stack([10 + 8 * age, -5 - 8 * age])
    y = 30 + 20 * age + np.column_stack([np.zeros(n), effect])[np.arange(n), arm]
    y += generator.normal(0, 10, n)
    frame = pd.DataFrame({"age": age, "noise": generator.normal(size=n)})
    learned = LEARNERS[learner](base=base, seed=1, ridge=100.0, max_features=1.0, rate=0.1)
    found = learned.fit(frame, y, arm, chance[np.arange(n), arm]).effects(frame)
    assert found.shape == (n, 2)
    for k in range(2):
        assert spearman(effect[:, k], found[:, k]) > 0.85
        assert found[:, k].mean() == pytest.approx(effect[:, k].mean(), abs=1.5)
    with pytest.raises(ValueError, match="2 treatments have no one effect"):
        learned.predict(frame)
    with pytest.raises(ValueError, match="one treatment against control"):
        UpliftModel().fit(frame, y, arm, chance[np.arange(n), arm])


def test_continuous_outcomes_are_in_their_unit() -> None:
    amounts = Trial(seed=6, continuous=True)
    fitted = UpliftModel(learner="x", seed=1).fit(*amounts.data)
    predicted = fitted.predict(amounts.frame)
    assert predicted.mean() == pytest.approx(100 * amounts.effect.mean(), abs=2)
    assert amounts.within_offers(predicted) > 0.6


def test_class_transformation_is_the_pseudo_outcome_about_one_half() -> None:
    generator = np.random.default_rng(0)
    y, treatment = generator.integers(0, 2, 50), generator.integers(0, 2, 50)
    transformed = treatment * y + (1 - treatment) * (1 - y)
    found = pseudo_outcome(y, treatment, np.full(50, 0.5), 0.5)
    np.testing.assert_allclose(found, 2 * transformed - 1)


def test_the_mean_of_the_pseudo_outcome_is_the_effect_for_any_expected_outcome() -> None:
    """Brute force: the mean over all assignments of two contacts with their chances."""
    without, with_it, chance = np.array([1.0, 4.0]), np.array([3.0, 3.5]), np.array([0.2, 0.7])
    for expected in (0.0, np.array([2.0, -7.0])):
        mean = np.zeros(2)
        for treatment in np.array([[0, 0], [0, 1], [1, 0], [1, 1]]):
            probability = np.where(treatment == 1, chance, 1 - chance)
            y = np.where(treatment == 1, with_it, without)
            mean += probability.prod() * pseudo_outcome(y, treatment, probability, expected)
        np.testing.assert_allclose(mean, with_it - without)


def test_an_expected_outcome_reduces_the_variance(trial: Trial) -> None:
    plain = pseudo_outcome(trial.y, trial.treatment, trial.probability)
    about = pseudo_outcome(trial.y, trial.treatment, trial.probability, trial.y.mean())
    assert about.var() < 0.8 * plain.var()
    assert about.mean() == pytest.approx(
        trial.effect.mean(), abs=4 * about.std() / len(about) ** 0.5
    )


def test_estimates_are_drawn_to_their_common_mean_as_worked_by_hand() -> None:
    # Q = 4 · (1 + 1) = 8 over 1 degree of freedom; c = 8 − 32 / 8 = 4: A = 7 / 4.
    found, centre, spread = shrunken(np.array([1.0, 3.0]), np.array([0.25, 0.25]))
    assert (centre, spread) == (2.0, 1.75)
    np.testing.assert_allclose(found, [2 - 1.75 / 2, 2 + 1.75 / 2])
    # Less scatter than their own errors: all have the common mean.
    found, centre, spread = shrunken(np.array([1.0, 2.0]), np.array([1.0, 3.0]))
    assert spread == 0
    np.testing.assert_allclose(found, centre)
    assert centre == pytest.approx(1.25)
    np.testing.assert_allclose(shrunken(np.array([5.0]), np.array([2.0]))[0], [5.0])


def test_mean_effects_of_offers_lie_between_their_own_and_the_common_one() -> None:
    uneven = Trial(n=20_000, seed=8)
    effects, usual = mean_effects(uneven.y, uneven.treatment, uneven.probability, uneven.offer)
    for one in ("card", "fund"):
        assert effects[one] == pytest.approx(uneven.effect[uneven.offer == one].mean(), abs=0.03)
    assert min(effects.values()) < usual < max(effects.values())


def test_an_offer_without_or_with_few_contacts_has_one_effect_for_all(
    trial: Trial, model: UpliftModel
) -> None:
    frame = trial.frame.head(20).assign(**{OFFER: "loan"})
    np.testing.assert_allclose(model.predict(frame), model.usual_)
    few = np.flatnonzero(trial.offer == "card")[:100]
    rows = np.sort(np.append(few, np.flatnonzero(trial.offer == "fund")))
    fitted = UpliftModel(seed=1).fit(
        trial.frame.iloc[rows], trial.y[rows], trial.treatment[rows], trial.probability[rows]
    )
    assert list(fitted.learners_) == ["fund"]
    cards = fitted.predict(trial.frame.iloc[few])
    np.testing.assert_allclose(cards, fitted.effects_["card"])


@pytest.mark.parametrize(("learner", "base"), CASES)
def test_contributions_add_up_and_name_the_driving_features(
    learner: str, base: str, trial: Trial, later: Trial
) -> None:
    fitted = UpliftModel(learner=learner, base=base, seed=1, folds=2, ridge=500.0)
    fitted.fit(*trial.data)
    added, names = fitted.contributions(later.frame)
    assert names == [*fitted.design_.columns_, OFFER]
    whole = fitted.usual_ + added.sum(axis=1)
    np.testing.assert_allclose(whole, fitted.predict(later.frame), atol=1e-10)
    # What the offer adds is one figure an offer: nothing of a customer hides in it.
    if learner != "s":
        for one in ("card", "fund"):
            assert np.ptp(added[later.offer == one, -1]) < 1e-10
    moves = dict(zip(names, np.abs(added).mean(axis=0), strict=True))
    assert max(moves["age"], moves["digital"]) > max(
        moves[f"noise_{number}"] for number in range(4)
    )


@pytest.mark.parametrize(("learner", "base"), CASES)
def test_a_model_file_predicts_the_same_and_holds_only_trusted_types(
    learner: str, base: str, trial: Trial
) -> None:
    head = trial.frame.head(1500), *(one[:1500] for one in trial.data[1:])
    fitted = UpliftModel(learner=learner, base=base, seed=1, folds=2, trees=5).fit(*head)
    again = skops.io.loads(skops.io.dumps(fitted), trusted=TRUSTED)
    np.testing.assert_array_equal(again.predict(trial.frame), fitted.predict(trial.frame))
    assert again.get_params() == fitted.get_params()


def test_rules_are_restored_from_a_model_file(trial: Trial) -> None:
    for rule in (BestColumnRule(seed=1), ResponseScoreRule(OfferBaseRate())):
        rule.fit(*trial.data)
        again = skops.io.loads(skops.io.dumps(rule), trusted=TRUSTED)
        np.testing.assert_array_equal(again.predict(trial.frame), rule.predict(trial.frame))


def test_equal_seeds_give_equal_predictions_and_different_seeds_do_not(trial: Trial) -> None:
    head = trial.frame.head(2000), *(one[:2000] for one in trial.data[1:])

    def predicted(seed: int) -> np.ndarray:
        return UpliftModel(learner="x", seed=seed, folds=2).fit(*head).predict(trial.frame)

    np.testing.assert_array_equal(predicted(1), predicted(1))
    assert not np.array_equal(predicted(1), predicted(2))


def test_columns_are_found_by_name_and_missing_ones_named(model: UpliftModel, later: Trial) -> None:
    turned = later.frame[later.frame.columns[::-1]].assign(unknown=1)
    np.testing.assert_array_equal(model.predict(turned), model.predict(later.frame))
    assert set(model.columns_) == set(later.frame.columns)
    with pytest.raises(ValueError, match="missing \\['age'\\]"):
        model.predict(later.frame.drop(columns="age"))
    with pytest.raises(ValueError, match="missing \\['offer'\\]"):
        model.predict(later.frame.drop(columns=OFFER))
    alone = later.frame.iloc[[7]]
    assert model.predict(alone)[0] == pytest.approx(model.predict(later.frame)[7])


@pytest.mark.parametrize("base", ["boosting", "linear"])
def test_learners_read_no_more_features_than_asked_and_find_the_differences(
    base: str, trial: Trial, later: Trial
) -> None:
    generator = np.random.default_rng(4)

    def wider(one: Trial) -> pd.DataFrame:
        blurred = {
            f"age_{months}m": one.frame["age"] + generator.normal(0, months, len(one.y))
            for months in (3, 24)
        }
        noise = {f"other_{number}": generator.random(len(one.y)) for number in range(40)}
        return one.frame.drop(columns="age").assign(**blurred, **noise)

    model = UpliftModel(base=base, seed=1, most_features=12).fit(
        wider(trial), trial.y, trial.treatment, trial.probability
    )
    read = set(model.columns_) - {OFFER}
    # Of each offer twelve by the outcome and six by the pseudo-outcome.
    assert "age_3m" in read
    assert len(read) <= 2 * 18 < len(trial.frame.columns) + 40
    frame = wider(later)[model.columns_]
    assert later.within_offers(model.predict(frame)) > 0.5
    added, names = model.contributions(frame)
    assert set(names) == {*read, OFFER}
    np.testing.assert_allclose(model.usual_ + added.sum(axis=1), model.predict(frame), atol=1e-9)


def test_one_offer_needs_no_column_of_offers(trial: Trial) -> None:
    rows = trial.offer == "fund"
    frame = trial.frame[rows].drop(columns=OFFER)
    fitted = UpliftModel(seed=1, folds=2).fit(
        frame, trial.y[rows], trial.treatment[rows], trial.probability[rows]
    )
    assert spearman(trial.effect[rows], fitted.predict(frame)) > 0.6
    assert OFFER not in fitted.columns_


def test_a_column_empty_for_one_offer_and_unseen_levels_are_handled(
    trial: Trial, later: Trial
) -> None:
    emptied = trial.frame.assign(
        balance=np.where(trial.offer == "card", np.nan, trial.frame["balance"])
    )
    for base in ("boosting", "linear"):
        fitted = UpliftModel(base=base, seed=1, folds=2).fit(emptied, *trial.data[1:])
        moved = later.frame.assign(town="east", balance=np.nan)
        assert np.isfinite(fitted.predict(moved)).all()


def test_a_linear_design_marks_missing_values_and_is_centred(trial: Trial) -> None:
    design = Design("linear").fit(trial.frame)
    matrix = design.transform(trial.frame)
    np.testing.assert_allclose(matrix.mean(axis=0), 0, atol=1e-9)
    spread = matrix.std(axis=0)
    assert np.all((np.abs(spread - 1) < 1e-9) | (spread < 1e-9))
    mark = matrix[:, np.flatnonzero(design.source_ == design.columns_.index("balance"))[1]]
    missing = trial.frame["balance"].isna().to_numpy()
    assert len(np.unique(mark[missing])) == len(np.unique(mark[~missing])) == 1
    assert design.by_column(np.ones((1, matrix.shape[1])))[0].sum() == matrix.shape[1]


def test_the_response_rule_is_the_response_at_the_level_of_the_effect(trial: Trial) -> None:
    rule = ResponseScoreRule(Treated()).fit(*trial.data)
    predicted = rule.predict(trial.frame)
    effects, usual = mean_effects(*trial.data[1:], trial.offer)
    treated = trial.treatment == 1
    rates = Treated().fit(trial.frame[treated], trial.y[treated]).probability(trial.frame)
    for one in ("card", "fund"):
        rows = trial.offer == one
        assert predicted[rows].mean() == pytest.approx(effects[one])
        assert np.ptp(predicted[rows] / rates[rows]) < 1e-9
    loan = rule.predict(trial.frame.assign(**{OFFER: "loan"}))
    assert loan.mean() == pytest.approx(usual)


def test_the_best_column_is_found_and_a_useless_one_has_no_effect() -> None:
    trial = Trial(n=8000, seed=9, even=True)
    rule = BestColumnRule(seed=1).fit(*trial.data)
    assert rule.chosen_["fund"] == "age"
    funds = trial.offer == "fund"
    predicted = rule.predict(trial.frame[funds])
    assert len(np.unique(predicted)) == 3
    assert spearman(trial.effect[funds], predicted) > 0.8
    added, names = rule.contributions(trial.frame)
    np.testing.assert_allclose(rule.usual_ + added.sum(axis=1), rule.predict(trial.frame))
    assert sorted(names) == sorted(rule.columns_)
    assert np.ptp(added[funds, names.index("age")]) > 0.1
    assert np.ptp(added[funds, -1]) == 0
    nothing = trial.frame[["balance", OFFER]].assign(balance=1.0)
    constant = BestColumnRule(seed=1).fit(nothing, *trial.data[1:])
    assert constant.chosen_ == {}
    np.testing.assert_allclose(constant.predict(nothing[funds]), constant.effects_["fund"])


@pytest.mark.parametrize(
    "new",
    [
        UpliftModel,
        TLearner,
        ClassTransformation,
        BestColumnRule,
        lambda: ResponseScoreRule(Treated()),
    ],
)
def test_arguments_that_do_not_fit_are_refused(new, trial: Trial) -> None:
    frame, y, treatment, probability = trial.data
    with pytest.raises(ValueError, match="every arm needs contacts; none in \\[1\\]"):
        new().fit(frame, y, np.zeros(len(y)), probability)
    with pytest.raises(ValueError, match="every arm needs contacts; none in \\[0\\]"):
        new().fit(frame, y, np.ones(len(y)), probability)
    with pytest.raises(ValueError, match="within \\(0, 1\\); 1 do not"):
        new().fit(frame, y, treatment, np.append(probability[:-1], 1.0))
    with pytest.raises(ValueError, match="must be finite"):
        new().fit(frame, np.append(y[:-1], np.nan), treatment, probability)
    with pytest.raises(ValueError, match="whole numbers"):
        new().fit(frame, y, treatment + 0.5, probability)
    with pytest.raises(ValueError, match="equal, non-empty vectors"):
        new().fit(frame, y[:-1], treatment, probability)


def test_unknown_learners_and_bases_are_refused(trial: Trial) -> None:
    with pytest.raises(ValueError, match="learner 'r' is not known; there are s, t, x"):
        UpliftModel(learner="r").fit(*trial.data)
    with pytest.raises(ValueError, match="base 'forest' is not known"):
        UpliftModel(base="forest").fit(*trial.data)
