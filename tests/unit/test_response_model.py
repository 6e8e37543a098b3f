"""Response: rates shrunk as worked by hand, and probabilities calibrated to a world that drifts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from scipy.special import logit
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from ml.evaluation import metrics
from ml.evaluation.metrics import auc, compare, log_score, spearman
from ml.response.additive import additive_logistic, parts, score
from ml.response.model import OFFER, OFFER_LINE, OfferBaseRate, ResponseModel

DRIFT = 0.8


class Contacts:
    """Contacts whose probability of response is known, oldest first.

    A card goes to the young, a fund to the old; the loan was offered to few, who do not differ. In
    the newer half (and in all that is `new`) the odds of a response are less by a factor e^DRIFT.
    """

    def __init__(self, n: int, seed: int, *, drift: float = 0.0, new: bool = False) -> None:
        generator = np.random.default_rng(seed)
        age = generator.uniform(20, 80, n)
        offer = generator.choice(["card", "fund", "loan"], n, p=[0.48, 0.48, 0.04])
        level = pd.Series(offer).map({"card": -1.8, "fund": -2.2, "loan": -3.2}).to_numpy()
        slope = pd.Series(offer).map({"card": -0.05, "fund": 0.05, "loan": 0.0}).to_numpy()
        later = np.full(n, True) if new else np.arange(n) >= n // 2
        self.probability = 1 / (1 + np.exp(drift * later - level - slope * (age - 50)))
        self.y = (generator.random(n) < self.probability).astype(int)
        self.frame = pd.DataFrame(
            {"age": age, "balance": generator.lognormal(7, 1, n), OFFER: offer}
        )
        self.is_loan = offer == "loan"


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    # On cores shared with others, threads that wait for one another cost such small fits seconds.
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def past() -> Contacts:
    return Contacts(6000, seed=1, drift=DRIFT)


@pytest.fixture(scope="module")
def later() -> Contacts:
    return Contacts(6000, seed=2, drift=DRIFT, new=True)


@pytest.fixture(scope="module")
def model(past: Contacts) -> ResponseModel:
    return ResponseModel(seed=1).fit(past.frame, past.y)


# The rule.


def two_campaigns() -> tuple[pd.DataFrame, np.ndarray]:
    """Eight of twenty took the card, none of twenty the fund: one in five over all."""
    frame = pd.DataFrame({OFFER: ["card"] * 20 + ["fund"] * 20, "age": range(40)})
    return frame, np.array([1] * 8 + [0] * 32)


@pytest.mark.parametrize(
    ("prior", "card", "fund"),
    [(20, (8 + 4) / 40, 4 / 40), (180, (8 + 36) / 200, 36 / 200), (0, 0.4, 0.0)],
)
def test_rates_are_shrunk_towards_that_of_all_offers_by_the_prior(prior, card, fund):
    rule = OfferBaseRate(prior=prior).fit(*two_campaigns())
    asked = pd.DataFrame({OFFER: ["fund", "card", "loan"]})
    assert rule.probability(asked) == pytest.approx([fund, card, 0.2])


def test_the_rule_reads_the_offer_only_and_gives_no_and_yes():
    frame, y = two_campaigns()
    rule = OfferBaseRate().fit(frame, y)
    assert rule.columns_ == [OFFER]
    both = rule.predict_proba(frame[[OFFER]])
    assert both.shape == (40, 2)
    np.testing.assert_allclose(both.sum(axis=1), 1)
    np.testing.assert_array_equal(both[:, 1], rule.probability(frame))


def test_a_small_campaign_predicts_neither_never_nor_always():
    frame = pd.DataFrame({OFFER: ["card"] * 98 + ["fund", "loan"]})
    rule = OfferBaseRate().fit(frame, np.array([1, 0] * 49 + [1, 0]))
    sure, never = rule.probability(pd.DataFrame({OFFER: ["fund", "loan"]}))
    assert sure == pytest.approx(11 / 21)
    assert never == pytest.approx(10 / 21)


def test_the_mean_of_the_rates_is_the_overall_one_where_campaigns_are_alike_in_size():
    frame, y = two_campaigns()
    assert OfferBaseRate().fit(frame, y).probability(frame).mean() == pytest.approx(y.mean())


# The learner.


def test_the_learner_beats_the_rule_on_later_contacts_beyond_chance(model, past, later):
    rule = OfferBaseRate().fit(past.frame, past.y)
    found = compare(
        {"log score": log_score, "auc": auc},
        later.y,
        model.probability(later.frame),
        rule.probability(later.frame),
        seed=1,
    )
    assert found["log score"].difference.high < 0
    assert found["auc"].difference.low > 0


def test_the_learner_follows_the_drift_that_the_rule_misses(model, past, later):
    """Responses to come, within three standard errors of what the newest contacts can show."""
    to_come = later.probability.sum()
    newest = past.probability[len(past.y) // 2 :]
    error = np.sqrt((newest * (1 - newest)).sum()) / newest.sum()
    rule = OfferBaseRate().fit(past.frame, past.y)
    assert abs(model.probability(later.frame).sum() / to_come - 1) < 3 * error
    assert rule.probability(later.frame).sum() / to_come - 1 > 3 * error


def test_the_learner_is_calibrated_from_the_least_to_the_most_likely(model, past, later):
    """By fifth of the prediction, within three standard errors of a fifth of the newest half."""
    predicted = model.probability(later.frame)
    calibrating = len(past.y) // 2 // 5
    for fifth in np.array_split(np.argsort(predicted), 5):
        true = later.probability[fifth].mean()
        error = np.sqrt(true * (1 - true) / calibrating)
        assert abs(predicted[fifth].mean() - true) < 3 * error


def test_each_offer_has_an_order_of_its_own(model, later):
    ages = np.arange(22, 80, 2.0)
    asked = pd.DataFrame({"age": ages, "balance": 1000.0})
    assert spearman(-ages, model.probability(asked.assign(offer="card"))) > 0.9
    assert spearman(ages, model.probability(asked.assign(offer="fund"))) > 0.9
    for offer in ("card", "fund"):
        rows = (later.frame[OFFER] == offer).to_numpy()
        assert spearman(later.probability[rows], model.probability(later.frame[rows])) > 0.9


def test_an_offer_with_few_responses_has_one_rate_for_all_near_its_own(later):
    """Within three standard errors of its own rate, and well below that of all offers."""
    contacts = Contacts(6000, seed=3)
    rows = contacts.is_loan
    responses = contacts.y[rows].sum()
    assert 5 < responses < ResponseModel().least_responses
    model = ResponseModel().fit(contacts.frame, contacts.y)
    assert set(model.by_offer_) == {"card", "fund"}
    (predicted,) = np.unique(model.probability(later.frame[later.is_loan]))
    rate = responses / rows.sum()
    error = np.sqrt(rate * (1 - rate) / rows.sum())
    assert rate - 3 * error < predicted < rate + 3 * error
    assert predicted < contacts.y.mean() - 3 * error


def test_the_same_offer_with_more_responses_than_least_has_learners(past):
    model = ResponseModel(least_responses=3, trees=2).fit(past.frame, past.y)
    assert set(model.by_offer_) == {"card", "fund", "loan"}


def test_an_offer_not_seen_has_one_rate_for_all_near_that_of_the_newest_contacts(model, past):
    asked = past.frame[:500].assign(offer="mortgage")
    (predicted,) = np.unique(model.probability(asked))
    newest = past.y[len(past.y) // 2 :].mean()
    assert predicted == pytest.approx(newest, rel=0.25)
    assert predicted < past.y.mean()


def test_both_columns_add_up_and_the_prediction_is_the_second(model, later):
    both = model.predict_proba(later.frame)
    np.testing.assert_allclose(both.sum(axis=1), 1)
    np.testing.assert_array_equal(both[:, 1], model.probability(later.frame))
    assert ((both > 0) & (both < 1)).all()


@pytest.mark.parametrize("kind", [0, 1])
def test_newest_contacts_of_one_kind_cannot_calibrate(past, kind):
    y = past.y.copy()
    y[len(y) // 2 :] = kind
    with pytest.raises(ValueError, match="newest contacts"):
        ResponseModel().fit(past.frame, y)


def test_contacts_of_one_kind_among_the_oldest_only_do_not_matter(past):
    y = past.y.copy()
    y[: len(y) // 2] = 0
    predicted = ResponseModel(trees=2).fit(past.frame, y).probability(past.frame)
    assert ((predicted > 0) & (predicted < 1)).all()


def test_the_share_that_calibrates_is_counted_from_the_newest(past):
    y = past.y.copy()
    y[-600:] = 0
    with pytest.raises(ValueError, match="newest contacts"):
        ResponseModel(calibration_share=0.1).fit(past.frame, y)
    assert ResponseModel(calibration_share=0.11, trees=1).fit(past.frame, y).by_offer_


def test_a_smaller_share_follows_a_late_drift_more_closely(past, later):
    """Of the newest tenth the odds are seven times as high: too late for a half to show."""
    odds = later.probability[:600] / (1 - later.probability[:600]) * 7
    rate = odds / (1 + odds)
    frame = pd.concat([past.frame, later.frame[:600]], ignore_index=True)
    y = np.concatenate([past.y, np.random.default_rng(8).random(600) < rate])
    everything, half, tenth = (
        ResponseModel(trees=10, calibration_share=share)
        .fit(frame, y)
        .probability(frame[-600:])
        .mean()
        for share in (1.0, 0.5, 0.1)
    )
    # The older half had more responses than the newer: it misleads the other way.
    assert max(everything, half) < 0.7 * tenth
    assert tenth == pytest.approx(rate.mean(), rel=0.15)


def test_the_same_seed_gives_the_same_model_and_another_deals_other_folds(past, later):
    one, same, other = (
        ResponseModel(seed=seed, trees=3).fit(past.frame, past.y).probability(later.frame)
        for seed in (7, 7, 8)
    )
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_a_probability_depends_on_no_order_and_on_no_other_contact(model, later):
    whole = model.probability(later.frame)
    order = np.random.default_rng(4).permutation(len(whole))
    shuffled = later.frame.iloc[order][[OFFER, "balance", "age"]]
    np.testing.assert_array_equal(model.probability(shuffled), whole[order])
    np.testing.assert_array_equal(model.probability(later.frame[10:11]), whole[10:11])


def test_a_feature_missing_for_all_contacts_of_an_offer_is_not_needed_there(past):
    """Known of those offered the fund only; of the others the model must not need it."""
    frame = past.frame.assign(
        holdings=past.frame["age"].where(past.frame[OFFER] == "fund", np.nan)
    ).drop(columns="age")
    model = ResponseModel(trees=10).fit(frame, past.y)
    asked = pd.DataFrame({"holdings": [25.0, 75.0], "balance": 1000.0})
    low, high = model.probability(asked.assign(offer="fund"))
    assert low < high
    assert len(np.unique(model.probability(asked.assign(offer="card")))) == 1


def test_a_missing_value_is_not_taken_for_zero():
    generator = np.random.default_rng(5)
    known = generator.random(2000) < 0.5
    frame = pd.DataFrame(
        {"debt": np.where(known, generator.integers(0, 3, 2000), np.nan), OFFER: "card"}
    )
    y = (generator.random(2000) < np.where(known, 0.1, 0.4)).astype(int)
    missing, *others = (
        ResponseModel(trees=10)
        .fit(frame, y)
        .probability(pd.DataFrame({"debt": [np.nan, 0.0, 1.0, 2.0], OFFER: "card"}))
    )
    assert missing > 2 * max(others)


def test_the_learner_names_every_feature_that_is_missing(model, later):
    with pytest.raises(ValueError, match=r"\['age', 'balance'\]"):
        model.probability(later.frame[[OFFER]])


def test_a_weak_signal_is_never_inverted():
    asked = pd.DataFrame({"age": np.arange(20.0, 80), OFFER: "card"})
    for seed in range(12):
        generator = np.random.default_rng(seed)
        age = generator.uniform(20, 80, 800)
        y = (generator.random(800) < 1 / (1 + np.exp(2.5 - 0.02 * (age - 50)))).astype(int)
        model = ResponseModel().fit(pd.DataFrame({"age": age, OFFER: "card"}), y)
        assert metrics.spearman(asked["age"].to_numpy(), model.probability(asked)) > 0, seed


# Offers of a line.


def of_lines(n: int, seed: int, *, few: int = 60) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Two loans that go to the same people, of which one was offered to few; and a card.

    Returns contacts, responses and probabilities. Everybody takes the new loan twice as often.
    """
    generator = np.random.default_rng(seed)
    offer = np.where(generator.random(n) < 0.4, "card", "loan").astype(object)
    offer[generator.choice(n, few, replace=False)] = "new loan"
    age = generator.uniform(20, 80, n)
    score = np.where(offer == "card", -1.5 - 0.04 * (age - 50), -2.0 + 0.05 * (age - 50))
    score = score + 0.7 * (offer == "new loan")
    probability = 1 / (1 + np.exp(-score))
    frame = pd.DataFrame(
        {"age": age, OFFER: offer, OFFER_LINE: np.where(offer == "card", "cards", "lending")}
    )
    return frame, (generator.random(n) < probability).astype(int), probability


@pytest.fixture(scope="module")
def of_two_lines() -> tuple[pd.DataFrame, np.ndarray, ResponseModel]:
    frame, y, _ = of_lines(6000, seed=11)
    assert 5 < y[frame[OFFER] == "new loan"].sum() < ResponseModel().least_responses
    return frame, y, ResponseModel(trees=30).fit(frame, y)


def test_rates_are_shrunk_from_the_offer_to_its_line_to_all_as_worked_by_hand():
    """All 0.2; deposits (10 + 4) / 60, of which the term deposit (2 + 20 × that) / 30."""
    frame = pd.DataFrame(
        {
            OFFER: ["savings"] * 30 + ["term"] * 10 + ["card"] * 40,
            OFFER_LINE: ["deposits"] * 40 + ["cards"] * 40,
        }
    )
    y = np.array([1] * 8 + [0] * 22 + [1] * 2 + [0] * 8 + [1] * 6 + [0] * 34)
    rule = OfferBaseRate(prior=20).fit(frame, y)
    deposits, cards = (10 + 4) / 60, (6 + 4) / 60
    asked = pd.DataFrame(
        {
            OFFER: ["savings", "term", "card", "bond", "fund", "gold"],
            OFFER_LINE: ["deposits", "deposits", "cards", "deposits", "wealth", None],
        }
    )
    assert rule.probability(asked) == pytest.approx(
        [(8 + 20 * deposits) / 50, (2 + 20 * deposits) / 30, (6 + 20 * cards) / 60, deposits]
        + [0.2, 0.2]
    )


def test_an_offer_never_made_is_scored_as_its_line_is(of_two_lines):
    _, _, model = of_two_lines
    ages = np.arange(22.0, 80, 2)
    asked = pd.DataFrame({"age": ages, OFFER: "third loan", OFFER_LINE: "lending"})
    cold = model.probability(asked)
    assert spearman(ages, cold) > 0.9
    assert spearman(-ages, model.probability(asked.assign(offer_line="cards"))) > 0.9
    # Within the line's own: not the card's level, and in all that of the two loans.
    loans = model.probability(asked.assign(offer="loan"))
    assert np.abs(logit(cold) - logit(loans)).max() < 0.5
    unknown = model.probability(asked.assign(offer_line="wealth"))
    assert len(np.unique(unknown)) == 1


def test_an_offer_with_few_responses_borrows_the_order_of_its_line_and_keeps_its_own_rate(
    of_two_lines,
):
    frame, y, model = of_two_lines
    assert set(model.by_offer_) == {"card", "loan"}
    assert set(model.by_line_) == {"cards", "lending"}
    ages = np.arange(22.0, 80, 2)
    asked = pd.DataFrame({"age": ages, OFFER: "new loan", OFFER_LINE: "lending"})
    own, line = model.probability(asked), model.probability(asked.assign(offer="third loan"))
    assert spearman(ages, own) > 0.9
    moved = (logit(own) - logit(line)) / model.line_[1]
    np.testing.assert_allclose(moved, moved[0])
    rates = logit(model.base_.rates_["new loan"]) - logit(model.base_.line_rates_["lending"])
    assert moved[0] == pytest.approx(rates)
    assert moved[0] > 0


def test_the_line_of_one_offer_has_its_learners(of_two_lines):
    _, _, model = of_two_lines
    assert model.by_line_["cards"] is model.by_offer_["card"]
    assert model.by_line_["lending"] is not model.by_offer_["loan"]


def test_contributions_add_up_for_offers_that_borrow_and_offers_never_made(of_two_lines):
    _, _, model = of_two_lines
    asked = pd.DataFrame(
        {
            "age": np.linspace(20, 80, 60),
            OFFER: ["card", "loan", "new loan", "third loan", "gold", "gold"] * 10,
            OFFER_LINE: ["cards", "lending", "lending", "lending", None, "wealth"] * 10,
        }
    )
    added, names = model.contributions(asked)
    assert names == model.columns_ == ["age", OFFER]
    level, slope = model.line_
    np.testing.assert_allclose(
        level + slope * logit(model.base_.rate_) + added.sum(axis=1),
        logit(model.probability(asked)),
        atol=1e-9,
    )


# The regression of binned columns.


def binned(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Eight ranks, some missing, and three categories."""
    generator = np.random.default_rng(seed)
    rank = generator.integers(0, 8, n).astype(float)
    rank[generator.random(n) < 0.2] = -1
    category = generator.integers(0, 3, n).astype(float)
    score = np.where(rank < 0, 0.8, 0.2 * rank) + np.array([0, 1, -1])[category.astype(int)] - 1
    y = (generator.random(n) < 1 / (1 + np.exp(-score))).astype(int)
    return np.column_stack([rank, category]), y


def test_the_tables_are_those_of_a_penalised_regression_by_another_implementation():
    bins, y = binned(1500, seed=1)
    level, tables = additive_logistic(bins, [8, 3], [False, True], y, penalty=5.0)
    rank, category = bins.T
    design = np.column_stack(
        [
            np.where(rank < 0, 0, (rank - 3.5) * np.sqrt(12) / 8),
            rank < 0,
            *[category == level for level in range(3)],
        ]
    ).astype(float)
    design -= design.mean(axis=0)
    other = LogisticRegression(C=1 / 5, tol=1e-10, max_iter=2000).fit(design, y)
    np.testing.assert_allclose(
        score(level, tables, bins), other.decision_function(design), atol=1e-5
    )
    assert level == pytest.approx(other.intercept_[0], abs=1e-5)


def test_each_table_has_mean_zero_over_the_rows_and_parts_add_up_to_the_score():
    bins, y = binned(800, seed=2)
    level, tables = additive_logistic(bins, [8, 3], [False, True], y, penalty=5.0)
    added = parts(tables, bins)
    np.testing.assert_allclose(added.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(level + added.sum(axis=1), score(level, tables, bins))


def test_values_and_categories_unseen_in_training_contribute_zero():
    bins, y = binned(800, seed=3)
    bins[bins[:, 0] < 0, 0] = 2
    bins[bins[:, 1] == 2, 1] = 0
    level, tables = additive_logistic(bins, [8, 3], [False, True], y, penalty=5.0)
    assert (tables[0][-1], tables[1][2], tables[1][-1]) == (0, 0, 0)
    assert score(level, tables, np.array([[-1.0, 2.0]])) == pytest.approx(level)
    # A rank between those seen is not unknown.
    assert np.all(np.diff(tables[0][:8]) > 0)


def test_columns_without_information_leave_the_rate():
    y = np.array([1] * 30 + [0] * 70)
    level, tables = additive_logistic(np.zeros((100, 2)), [1, 1], [False, True], y, penalty=5.0)
    assert level == pytest.approx(logit(0.3))
    assert not np.concatenate(tables).any()


# What is read.


def test_learners_read_the_most_telling_window_of_each_measure_and_no_more_features_than_asked(
    past: Contacts, later: Contacts
) -> None:
    generator = np.random.default_rng(3)

    def wider(contacts: Contacts) -> pd.DataFrame:
        blurred = {
            f"age_{months}m": contacts.frame["age"] + generator.normal(0, months, len(contacts.y))
            for months in (3, 12)
        }
        noise = {f"noise_{number}": generator.random(len(contacts.y)) for number in range(40)}
        return contacts.frame.drop(columns="age").assign(**blurred, **noise)

    model = ResponseModel(seed=1, most_features=5).fit(wider(past), past.y)
    read = set(model.columns_) - {OFFER}
    assert "age_3m" in read and "age_12m" not in read
    assert all(len(learner["kept"]) == 5 for learner in model.by_offer_.values())
    assert len(read) <= 5 * len(model.by_offer_)
    frame = wider(later)[list(model.columns_)]
    assert spearman(model.probability(frame), later.probability) > 0.8
    contributions, names = model.contributions(frame)
    level, slope = model.line_
    assert names == model.columns_
    np.testing.assert_allclose(
        level + slope * logit(model.base_.rate_) + contributions.sum(axis=1),
        logit(model.probability(frame)),
        atol=1e-9,
    )
