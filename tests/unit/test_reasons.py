"""Reasons: the right feature in worlds where it is known, and text that shows the given value."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
import skops.io
from scipy.special import expit, logit
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from ml.clv.model import LastPeriodAgain, TwoPartRegressor
from ml.measures import LAST_PERIOD, PACE, stem
from ml.reasons import COLUMNS, top_reasons, usual_values
from ml.response.model import OFFER, OfferBaseRate, ResponseModel
from ml.serving import TRUSTED_TYPES
from ml.tree_paths import path_contributions
from tests.unit.test_clv_model import World
from tests.unit.test_response_model import Contacts


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    # On cores shared with others, threads that wait for one another cost such small fits seconds.
    with threadpool_limits(1):
        yield


def numbers(columns: list[str], n: int, seed: int) -> pd.DataFrame:
    return pd.DataFrame(np.random.default_rng(seed).normal(size=(n, len(columns))), columns=columns)


def reasons(contributions: np.ndarray, names: list[str], **options: object) -> pd.DataFrame:
    """Of a frame in which every value is 7 and 5 is usual."""
    frame = pd.DataFrame(7, index=range(len(contributions)), columns=names)
    return top_reasons(np.array(contributions), names, frame, dict.fromkeys(names, "5"), **options)


# The table.

CUSTOMERS = pd.DataFrame(
    {
        "age": [31, 64, 40],
        "segment": ["retail", None, "private"],
        "balance": [12345.678, np.nan, 0.5],
        "has_card": [True, False, True],
    },
    index=[70, 70, 9],
)
NAMES = list(CUSTOMERS.columns)


def test_a_table_worked_by_hand():
    contributions = np.array([[0.5, -2, 1, 0], [0, 3, -4, 0.1], [0, 0, 0, 0]])
    found = top_reasons(contributions, NAMES, CUSTOMERS, usual_values(CUSTOMERS, NAMES), top=2)
    assert list(found.columns) == COLUMNS
    assert found.to_numpy().tolist() == [
        [0, 1, "segment", "retail", "private", "", -2.0, "lowers"],
        [0, 2, "balance", "12350", "6173", "", 1.0, "raises"],
        [1, 1, "balance", "", "6173", "", -4.0, "lowers"],
        [1, 2, "segment", "", "private", "", 3.0, "raises"],
    ]


def test_a_row_with_no_or_few_contributions_has_no_or_few_reasons():
    found = reasons([[0, 0, 0, 0], [0, 0, -1e-3, 0], [1, 2, 3, 4]], ["a", "b", "c", "d"])
    assert found["row"].tolist() == [1, 2, 2, 2]
    assert found["feature"].tolist() == ["c", "d", "c", "b"]


def test_rounding_errors_and_unknown_contributions_are_no_reasons():
    names = ["fees_1m", "fees_3m", "fees_12m", "age"]
    left_over = 0.1 + 0.2 - 0.3
    assert left_over != 0
    found = reasons([[0.1, 0.2, -0.3, 1e-3], [np.nan, 0, 0, 2], [np.nan] * 4], names)
    assert found[["row", "feature"]].to_numpy().tolist() == [[0, "age"], [1, "age"]]


def test_equally_strong_reasons_are_ordered_by_name():
    names = ["d", "b", "e", "a", "c"]
    found = reasons([[1, -1, 1, 2, 1]], names)
    assert found["feature"].tolist() == ["a", "b", "c"]
    assert reasons([[1, 1, 2, -1, 1]], sorted(names))["feature"].tolist() == ["c", "a", "b"]


def test_features_of_one_stem_are_one_reason_named_by_the_member_that_adds_most():
    names = ["margin_1m", "margin_3m", "margin_12m", "age", "cards"]
    contributions = [[2, 3, -6, 0.5, 0.7], [-1, 3, 2, -5, 0]]
    found = reasons(contributions, names, top=2)
    assert found[["row", "feature", "contribution"]].to_numpy().tolist() == [
        [0, "margin_12m", -1.0],
        [0, "cards", 0.7],
        [1, "age", -5.0],
        [1, "margin_3m", 4.0],
    ]
    apart = reasons(contributions, names, top=2, by_stem=False)
    assert apart["feature"].tolist() == ["margin_12m", "margin_3m", "age", "margin_3m"]
    assert apart["contribution"].tolist() == [-6, 3, -5, 3]


def test_what_is_usual_is_no_reason_and_the_next_strongest_takes_its_place():
    names = ["balance", "cards", "income", "kind", "age"]
    usual = {"balance": "1000", "cards": "0", "income": "", "kind": "person", "age": "40"}
    frame = pd.DataFrame(
        {
            # Within a tenth, the same, both missing, the same word; then each of them unusual.
            "balance": [1050.0, 1200.0],
            "cards": [0, 1],
            "income": [np.nan, 5.0],
            "kind": ["person", None],
            "age": [64, 41],
        }
    )
    found = top_reasons(np.array([[5.0, 4, 3, 2, 1]] * 2), names, frame, usual, top=4)
    assert found[["row", "rank", "feature"]].to_numpy().tolist() == [
        [0, 1, "age"],
        [1, 1, "balance"],
        [1, 2, "cards"],
        [1, 3, "income"],
        [1, 4, "kind"],
    ]


def test_a_stem_is_shown_by_its_strongest_feature_that_is_not_usual():
    names = ["fees_1m", "fees_3m", "fees_12m"]
    usual = {"fees_1m": "10", "fees_3m": "30", "fees_12m": "120"}
    frame = pd.DataFrame({"fees_1m": [10, 10, 20], "fees_3m": [90, 30, 30], "fees_12m": [120] * 3})
    # The last one's fees are unusual where they add against the stem's direction.
    contributions = np.array([[3.0, 1, 1], [3, 1, 1], [-1, 3, 1]])
    found = top_reasons(contributions, names, frame, usual)
    assert found[["row", "feature", "contribution"]].to_numpy().tolist() == [[0, "fees_3m", 5.0]]


def test_before_is_the_rows_own_year_over_as_many_months_as_the_feature_covers():
    frame = pd.DataFrame(
        {
            "months_observed": [12, 6, 2],
            "income_3m": [1, 1, 1],
            "income_12m": [1200.0, 1200.0, 50.0],
            "average_wealth_3m": [1, 1, 1],
            "average_wealth_12m": [700.0, np.nan, 0.0],
            "days_past_due_max_6m": [1, 1, 1],
            "days_past_due_max_12m": [30, 30, 30],
            "opened_1m": [1, 1, 1],
        }
    )
    names = ["average_wealth_3m", "days_past_due_max_6m", "income_12m", "income_3m", "opened_1m"]
    usual = dict.fromkeys(names, "9")
    found = top_reasons(np.ones((3, 5)), names, frame, usual, top=5, by_stem=False)
    before = found.pivot(index="row", columns="feature", values="before")
    assert before["income_3m"].tolist() == ["300", "600", "50"]
    assert before["average_wealth_3m"].tolist() == ["700", "", "0"]
    # A maximum has no mean, a year no longer span, and no year of openings is in the frame.
    for name in ("days_past_due_max_6m", "income_12m", "opened_1m"):
        assert set(before[name].dropna()) <= {""}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("contribution_margin_1m", "contribution_margin"),
        ("contribution_margin_12m", "contribution_margin"),
        (LAST_PERIOD, "contribution_margin"),
        (PACE, "contribution_margin"),
        ("average_deposits_3m", "balance_deposits"),
        ("balance_deposits", "balance_deposits"),
        ("income_max_12m", "income"),
        ("days_past_due_max_6m", "days_past_due"),
        ("overdraft_deepest_12m", "overdraft"),
        ("trend_contribution_margin", "trend_contribution_margin"),
        ("bookings_card_3m", "bookings_card"),
        ("average_age", "average_age"),
        ("age", "age"),
    ],
)
def test_a_stem_is_the_name_of_a_feature_without_its_window(name, expected):
    assert stem(name) == expected


def by_sorting(contributions, names, top, by_stem):
    """Each row by itself: sum, sort, cut off."""
    found = []
    for number, row in enumerate(contributions):
        members: dict[str, list[tuple[str, float]]] = {}
        for name, value in sorted(zip(names, row, strict=True)):
            members.setdefault(stem(name) if by_stem else name, []).append((name, value))
        sums = {key: sum(value for _, value in them) for key, them in members.items()}
        keys = sorted((key for key in sums if sums[key]), key=lambda key: (-abs(sums[key]), key))
        for rank, key in enumerate(keys[:top], start=1):
            sign = 1 if sums[key] > 0 else -1
            shown = min(members[key], key=lambda member: (-sign * member[1], member[0]))[0]
            found.append([number, rank, shown, float(sums[key])])
    return found


@pytest.mark.parametrize("by_stem", [True, False])
@pytest.mark.parametrize("top", [1, 3, 7, 40])
def test_sorting_each_row_by_itself_gives_the_same_with_many_ties(top, by_stem):
    generator = np.random.default_rng(top)
    names = [f"{name}_{months}m" for name in "dacb" for months in (12, 1, 3)] + ["z", "trend_a"]
    names = list(generator.permutation(names))
    contributions = generator.integers(-2, 3, (200, len(names))).astype(float)
    found = reasons(contributions, names, top=top, by_stem=by_stem)
    columns = ["row", "rank", "feature", "contribution"]
    assert found[columns].to_numpy().tolist() == by_sorting(contributions, names, top, by_stem)


def test_the_order_of_the_rows_does_not_matter_nor_their_index():
    names = ["a_1m", "a_3m", "b", "c", "d"]
    frame = numbers(names, 100, seed=1)
    contributions = np.round(numbers(names, 100, seed=2).to_numpy(), 1)
    usual = usual_values(frame, names)
    order = np.random.default_rng(3).permutation(100)
    whole = top_reasons(contributions, names, frame, usual)
    other = top_reasons(contributions[order], names, frame.iloc[order], usual)
    other = other.assign(row=order[other["row"]]).sort_values(["row", "rank"], ignore_index=True)
    pd.testing.assert_frame_equal(other, whole)


def test_the_order_of_the_frames_columns_does_not_matter_nor_others_in_it():
    contributions = np.array([[1.0, 2, 3, 4]] * 3)
    usual = usual_values(CUSTOMERS, NAMES)
    pd.testing.assert_frame_equal(
        top_reasons(contributions, NAMES, CUSTOMERS[NAMES[::-1]].assign(secret="x"), usual),
        top_reasons(contributions, NAMES, CUSTOMERS, usual),
    )


def test_no_rows_give_no_reasons_with_the_same_columns_and_types():
    some = reasons(np.ones((1, 2)), ["a", "b"])
    none = reasons(np.ones((0, 2)), ["a", "b"])
    assert len(none) == 0
    assert none.dtypes.to_dict() == some.dtypes.to_dict()
    assert len(reasons(np.zeros((2, 2)), ["a", "b"])) == 0


# The text.


def shown_as(column: pd.Series) -> list[str]:
    frame = pd.DataFrame({"x": column})
    # Nothing of the kind is usual.
    usual = {"x": "-55"}
    return top_reasons(np.ones((len(frame), 1)), ["x"], frame, usual)["value"].tolist()


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (3.0, "3"),
        (-3.25, "-3.25"),
        (1234.0, "1234"),
        (1234567.8, "1235000"),
        (-99999.0, "-100000"),
        (0.123449, "0.1234"),
        (0.3, "0.3"),
        (2 / 3, "0.6667"),
        (0.000123456, "0.0001235"),
        (1e-30, "0"),
        (np.inf, "inf"),
        (np.nan, ""),
    ],
)
def test_numbers_are_rounded_to_four_digits_and_whole_ones_have_no_point(number, text):
    assert shown_as(pd.Series([number])) == [text]


def test_other_columns_are_shown_as_they_are_and_missing_values_as_empty_text():
    assert shown_as(pd.Series(["a", None, "7.00001"])) == ["a", "", "7.00001"]
    assert shown_as(pd.Series(["a", None], dtype=object)) == ["a", ""]
    assert shown_as(pd.Series([10, None, 3], dtype="Int32")) == ["10", "", "3"]
    assert shown_as(pd.Series([True, False])) == ["True", "False"]
    assert shown_as(pd.Series([True, None], dtype="boolean")) == ["True", ""]
    assert shown_as(pd.Categorical(["b", None, "a"])) == ["b", "", "a"]


def test_a_reasons_value_is_the_rows_own_value_of_the_feature():
    n, generator = 300, np.random.default_rng(4)
    frame = pd.DataFrame(
        {
            "balance": generator.lognormal(6, 4, n),
            "debt": -np.where(generator.random(n) < 0.3, np.nan, generator.lognormal(0, 3, n)),
            "segment": generator.choice(["retail", "private"], n),
            "town": generator.choice(["Brno", "Praha", None], n),
            "secret": [f"person {number}" for number in range(n)],
        }
    )
    names = ["balance", "debt", "segment", "town"]
    contributions = generator.normal(size=(n, 4))
    unseen = {"balance": "-1", "debt": "1", "segment": "other", "town": "other"}
    found = top_reasons(contributions, names, frame, unseen)
    assert len(found) == 3 * n
    for reason in found.itertuples():
        given = frame[reason.feature].iloc[reason.row]
        if pd.isna(given):
            assert reason.value == ""
        elif isinstance(given, str):
            assert reason.value == given
        else:
            assert float(reason.value) == pytest.approx(given, rel=5e-4)
            digits = reason.value.split("e")[0].lstrip("-0.").replace(".", "").rstrip("0")
            assert len(digits) <= 4


def test_the_usual_value_is_the_median_or_the_most_frequent():
    frame = pd.DataFrame(
        {
            "balance": [1.0, np.nan, 2.0, 4000.6],
            "loans": pd.array([1, None, None, 2], dtype="Int64"),
            "segment": ["b", "a", "b", None],
            "town": ["y", "x", None, None],
            "has_card": [True, True, False, True],
            "empty": [np.nan] * 4,
            "unread": [1, 2, 3, 4],
        }
    )
    names = ["balance", "loans", "segment", "town", "has_card", "empty"]
    assert usual_values(frame, names) == {
        "balance": "2",
        "loans": "1.5",
        "segment": "b",
        "town": "x",
        "has_card": "True",
        "empty": "",
    }


# What is refused.


def test_shapes_that_do_not_fit_and_names_missing_are_refused():
    usual = usual_values(CUSTOMERS, NAMES)
    with pytest.raises(ValueError, match=r"got \(2, 4\)"):
        top_reasons(np.ones((2, 4)), NAMES, CUSTOMERS, usual)
    with pytest.raises(ValueError, match=r"frame: \['age', 'segment'\]"):
        top_reasons(np.ones((3, 4)), NAMES, CUSTOMERS[["balance", "has_card"]], usual)
    with pytest.raises(ValueError, match=r"usual values: \['has_card'\]"):
        top_reasons(np.ones((3, 4)), NAMES, CUSTOMERS, dict(list(usual.items())[:3]))
    with pytest.raises(ValueError, match=r"frame: \['rent'\]"):
        usual_values(CUSTOMERS, [*NAMES, "rent"])
    with pytest.raises(ValueError, match="each feature once"):
        top_reasons(np.ones((3, 2)), ["age", "age"], CUSTOMERS, usual)
    with pytest.raises(ValueError, match="top is invalid: expected 1 or more"):
        top_reasons(np.ones((3, 4)), NAMES, CUSTOMERS, usual, top=0)


# In a world whose reasons are known.


def test_the_feature_that_drives_a_rows_outcome_is_its_first_reason():
    """Each group has a feature of its own that is 0 for the others; two more are noise."""
    generator = np.random.default_rng(5)
    names = [f"driver_{letter}" for letter in "abcd"]
    slope = np.array([4.0, -3.0, 6.0, 2.0])

    def world(n: int) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
        group = generator.integers(0, 4, n)
        size = generator.choice([-1, 1], n) * generator.uniform(1, 3, n)
        frame = pd.DataFrame(size[:, None] * (group[:, None] == np.arange(4)), columns=names)
        frame["noise"] = generator.normal(size=n)
        frame["gaps"] = np.where(generator.random(n) < 0.5, np.nan, generator.normal(size=n))
        return frame, group, slope[group] * size

    frame, _, moved = world(3000)
    model = HistGradientBoostingRegressor(max_iter=60, early_stopping=False).fit(
        frame.to_numpy(), moved + generator.normal(0, 0.5, 3000)
    )
    frame, group, moved = world(1000)
    _, contributions = path_contributions(model, frame.to_numpy())
    every = [*names, "noise", "gaps"]
    first = top_reasons(contributions, every, frame, usual_values(frame, every), top=1)
    assert len(first) == 1000
    right = first["feature"].to_numpy() == np.array(names)[group]
    assert right.mean() > 0.9
    signs = np.where(first["direction"] == "raises", 1, -1)
    assert (signs[right] == np.sign(moved[right])).mean() > 0.95


# The value of customers.


@pytest.fixture(scope="module")
def past() -> World:
    return World(4000, seed=1)


@pytest.fixture(scope="module")
def later() -> World:
    return World(5000, seed=2)


@pytest.fixture(scope="module")
def learner(past: World) -> TwoPartRegressor:
    return TwoPartRegressor(seed=1).fit(past.frame, past.y)


def of_mean_change(model: TwoPartRegressor, frame: pd.DataFrame) -> np.ndarray:
    """Margin of a customer of the median pace who changes as all do."""
    roots, _ = path_contributions(model.change_, np.full((1, len(model.columns_)), np.nan))
    return model.median_pace_ + (np.abs(frame[PACE]) + model.floor_).to_numpy() * roots


def test_contributions_add_up_to_the_money_where_every_customer_stays(past, later):
    model = TwoPartRegressor(trees=15).fit(past.frame, past.margin)
    assert model.stays_ is None
    contributions, names = model.contributions(later.frame)
    assert names == model.columns_
    assert contributions.shape == (5000, len(names))
    np.testing.assert_allclose(
        contributions.sum(axis=1),
        model.predict(later.frame) - of_mean_change(model, later.frame),
        atol=1e-8,
    )


def test_contributions_add_up_to_the_first_order_of_the_product_otherwise(learner, later):
    contributions, names = learner.contributions(later.frame)
    matrix = learner.binner_.transform(learner.encoder_.transform(later.frame))
    odds = learner.stays_.decision_function(matrix)
    mean_odds, _ = path_contributions(learner.stays_, matrix[:1])
    chance = expit(odds)
    margin = learner.predict(later.frame) / chance
    np.testing.assert_allclose(
        contributions.sum(axis=1),
        chance * (margin - of_mean_change(learner, later.frame))
        + margin * chance * (1 - chance) * (odds - mean_odds),
        atol=1e-8,
    )


def test_each_customers_first_reason_is_its_distinguishing_feature(learner, past, later):
    """Of usual pace but long idle (odds of staying below 1 : 2.7, usual is 1.3 : 1); idle as usual
    and of usual pace, but of the segment that grows; or of a high pace and surely there."""
    contributions, names = learner.contributions(later.frame)
    usual = usual_values(past.frame, names)
    first = top_reasons(contributions, names, later.frame, usual, top=1).set_index("row")
    away = later.frame[PACE] - past.frame[PACE].median()
    idle, segment = later.frame["idle_months"], later.frame["segment"]
    for rows, feature, direction in (
        ((away.abs() < 20) & (idle >= 8), "idle_months", "lowers"),
        ((away.abs() < 30) & idle.between(4, 6) & (segment == "private"), "segment", "raises"),
        ((away > 400) & (idle <= 2), PACE, "raises"),
    ):
        of_feature = first.loc[np.flatnonzero(rows)]
        assert len(of_feature) > 10
        assert (
            (of_feature["feature"] == feature) & (of_feature["direction"] == direction)
        ).mean() > 0.9


def test_the_rules_only_reason_is_the_last_period_against_the_median():
    frame = pd.DataFrame({LAST_PERIOD: [10.0, 1.0, 2.0], "age": [1, 2, 3]})
    contributions, names = LastPeriodAgain().fit(frame, np.zeros(3)).contributions(frame)
    assert names == [LAST_PERIOD]
    assert contributions.tolist() == [[8], [-1], [0]]


# Response to an offer.


@pytest.fixture(scope="module")
def contacts() -> Contacts:
    return Contacts(6000, seed=3)


@pytest.fixture(scope="module")
def response(contacts: Contacts) -> ResponseModel:
    return ResponseModel().fit(contacts.frame, contacts.y)


def test_the_contributions_to_a_response_add_up_to_its_log_odds_for_every_offer(response):
    """With learners, with a base rate for want of responses, and never seen."""
    assert set(response.by_offer_) == {"card", "fund"}
    asked = Contacts(500, seed=4).frame
    asked = pd.concat([asked, asked[:50].assign(offer="mortgage")])
    assert set(asked[OFFER]) == {"card", "fund", "loan", "mortgage"}
    contributions, names = response.contributions(asked)
    assert names == response.columns_
    level, slope = response.line_
    np.testing.assert_allclose(
        level + slope * logit(response.base_.rate_) + contributions.sum(axis=1),
        logit(response.probability(asked)),
        atol=1e-9,
    )
    without_learners = asked[OFFER].isin(["loan", "mortgage"]).to_numpy()
    assert not contributions[without_learners, :-1].any()
    assert not contributions[asked[OFFER] == "mortgage"].any()


def test_age_is_the_first_reason_of_the_young_for_the_card_and_the_old_for_the_fund(
    response, contacts
):
    asked = Contacts(2000, seed=5).frame
    contributions, names = response.contributions(asked)
    found = top_reasons(contributions, names, asked, usual_values(contacts.frame, names), top=1)
    young, old = (asked["age"] < 30).to_numpy(), (asked["age"] > 70).to_numpy()
    for offer, gladly, hardly in (("card", young, old), ("fund", old, young)):
        of_offer = (asked[OFFER] == offer).to_numpy()
        for rows, direction in ((gladly, "raises"), (hardly, "lowers")):
            of_offers = found[found["row"].isin(np.flatnonzero(of_offer & rows))]
            assert len(of_offers) > 50
            right = (of_offers["feature"] == "age") & (of_offers["direction"] == direction)
            assert right.mean() > 0.9


def test_the_rules_only_reason_is_the_offer_against_all_offers():
    """Rates 0.3, 0.1 and, for one not seen, 0.2, that of all: odds 3/7, 1/9 and 1/4."""
    frame = pd.DataFrame({OFFER: ["card"] * 20 + ["fund"] * 20})
    rule = OfferBaseRate(prior=20).fit(frame, np.array([1] * 8 + [0] * 32))
    contributions, names = rule.contributions(pd.DataFrame({OFFER: ["card", "fund", "loan"]}))
    assert names == [OFFER]
    np.testing.assert_allclose(
        contributions[:, 0], [np.log(12 / 7), np.log(4 / 9), 0], rtol=0, atol=1e-12
    )


# In files.


@pytest.mark.parametrize("kind", ["learner", "rule", "response", "base rate"])
def test_a_model_read_back_from_its_file_gives_the_same_contributions(
    kind, learner, response, past, later, contacts
):
    model, frame = {
        "learner": lambda: (learner, later.frame),
        "rule": lambda: (LastPeriodAgain().fit(past.frame, past.y), later.frame),
        "response": lambda: (response, contacts.frame),
        "base rate": lambda: (OfferBaseRate().fit(contacts.frame, contacts.y), contacts.frame),
    }[kind]()
    back = skops.io.loads(skops.io.dumps(model), trusted=TRUSTED_TYPES)
    contributions, names = back.contributions(frame)
    before, names_before = model.contributions(frame)
    assert names == names_before
    np.testing.assert_array_equal(contributions, before)
