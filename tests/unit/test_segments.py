"""Segments: planted groups found, ids that last, names from the data, and what segments explain."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

import numpy as np
import pandas as pd
import pytest
import skops.io
from scipy.stats import f_oneway, kruskal
from sklearn.metrics import adjusted_rand_score
from threadpoolctl import threadpool_limits

from ml.segments.comparison import (
    LEFT,
    NEW,
    epsilon_squared,
    explained_share,
    migration,
    stability_between,
)
from ml.segments.dimensions import DIMENSION, DIMENSIONS, VIEWS, DimensionScaler
from ml.segments.model import RuleTiering, SegmentModel, matched
from ml.segments.naming import AVERAGE, name_segments

# Group → contribution, bookings, share of them online, income, deposits, age, tenure, loan months.
GROUPS = {
    "saver": (2500, 90, 0.5, 30_000, 90_000, 62, 150, 0),
    "builder": (1200, 130, 0.9, 45_000, 4_000, 38, 90, 200),
    "student": (20, 60, 0.95, 6_000, 300, 23, 15, 0),
    "pensioner": (300, 50, 0.05, 14_000, 9_000, 76, 200, 0),
    "gone": (0, 2, 0.5, 0, 0, 45, 120, 0),
    "struggling": (-900, 70, 0.6, 12_000, 100, 47, 60, 40),
}
NEWCOMER = (-3000, 15, 0.95, 3_000, 20, 33, 5, 0)
HEIR = (6000, 90, 0.5, 30_000, 400_000, 40, 150, 0)
FEW = {"resamples": 4, "starts": 6}


def world(
    size: int, seed: int, groups: dict[str, tuple[float, ...]] | None = None, spread: float = 0.15
) -> tuple[pd.DataFrame, np.ndarray]:
    """Features of customers of known groups of very different size, and their groups."""
    generator = np.random.default_rng(seed)
    groups = GROUPS if groups is None else groups
    shares = np.arange(3, 3 + len(groups), dtype=float)
    group = generator.choice(list(groups), size, p=shares / shares.sum())
    value, bookings, online, income, deposits, age, tenure, loan = np.array(
        [groups[name] for name in group]
    ).T

    def around(centre: np.ndarray) -> np.ndarray:
        return centre * generator.lognormal(0, spread, size)

    bookings = generator.poisson(bookings)
    digital = generator.binomial(bookings, online)
    frame = pd.DataFrame(
        {
            "customer_id": [f"C{number:05d}" for number in range(size)],
            "contribution_margin_12m": around(value) + generator.normal(0, 20, size),
            "bookings_12m": bookings,
            "bookings_online_12m": digital,
            "bookings_branch_12m": bookings - digital,
            "days_since_active": np.where(bookings > 10, 5, 400) + generator.poisson(5, size),
            "income_12m": around(income),
            "average_deposits_3m": around(deposits),
            "age": np.round(generator.normal(age, 2)),
            "tenure_months": np.round(around(tenure)),
            "loan_remaining_months": np.where(loan > 0, np.round(around(loan)), np.nan),
        }
    )
    return frame, group


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def planted() -> tuple[pd.DataFrame, np.ndarray]:
    return world(1500, seed=1)


@pytest.fixture(scope="module")
def model(planted: tuple[pd.DataFrame, np.ndarray]) -> SegmentModel:
    return SegmentModel(seed=3).fit(planted[0])


def of_group(model: SegmentModel, frame: pd.DataFrame, group: np.ndarray) -> dict[str, str]:
    """Group → the segment that most of its customers are in."""
    predicted = pd.Series(model.predict(frame))
    return predicted.groupby(group).agg(lambda ids: ids.mode()[0]).to_dict()


# Groups and their number.


def test_planted_groups_are_found_and_their_number_is_chosen(model, planted):
    frame, group = planted
    assert len(model.segments_) == len(GROUPS)
    assert adjusted_rand_score(group, model.predict(frame)) > 0.95


def test_other_customers_of_the_same_groups_get_the_same_segments(model):
    frame, group = world(800, seed=2)
    assert adjusted_rand_score(group, model.predict(frame)) > 0.95


def test_the_number_chosen_is_the_most_stable_one_or_as_good(model):
    found = {int(number): mean for number, mean in model.stability_["by_number"].items()}
    chosen = model.stability_["segments"]
    assert sorted(found) == [5, 6, 7, 8, 9, 10]
    assert found[chosen] == model.stability_["mean"] > 0.95
    assert model.stability_["low"] <= model.stability_["mean"] <= model.stability_["high"]
    # Planted groups must be split at random for more segments than there are groups.
    assert found[chosen] > max(mean for number, mean in found.items() if number > chosen)


def test_stability_is_lower_without_groups(model, planted):
    generator = np.random.default_rng(4)
    mixed = planted[0].apply(lambda column: generator.permutation(column.to_numpy()))
    shapeless = SegmentModel(segments=6, **FEW).fit(mixed)
    assert shapeless.stability_["high"] < model.stability_["low"]


def test_a_fixed_number_of_segments_is_kept(planted):
    assert len(SegmentModel(segments=4, **FEW).fit(planted[0]).segments_) == 4


def test_numbers_with_tiny_segments_are_not_chosen():
    few = pd.concat([world(1000, seed=5)[0], world(15, seed=6, groups={"heir": HEIR})[0]])
    any_size = SegmentModel(seed=1, most=7, least_share=0, **FEW).fit(few)
    assert any_size.profile_["share"].min() < 0.02
    large = SegmentModel(seed=1, most=7, least_share=0.03, **FEW).fit(few)
    assert large.profile_["share"].min() > 0.03


def test_more_segments_than_different_customers_are_refused(planted):
    three = planted[0].drop_duplicates("age").head(3)
    with pytest.raises(ValueError, match="expected 5 or more different customers, got 3"):
        SegmentModel().fit(pd.concat([three] * 10))


def test_the_same_seed_gives_the_same_model_and_the_order_of_columns_does_not_matter(planted):
    frame = planted[0]
    one = SegmentModel(seed=3, segments=6, **FEW).fit(frame)
    again = SegmentModel(seed=3, segments=6, **FEW).fit(frame)
    turned = SegmentModel(seed=3, segments=6, **FEW).fit(frame[frame.columns[::-1]])
    for other in (again, turned):
        np.testing.assert_array_equal(one.centres_, other.centres_)
        assert one.names_ == other.names_
        pd.testing.assert_frame_equal(one.profile_, other.profile_)
    np.testing.assert_array_equal(one.predict(frame), one.predict(frame[frame.columns[::-1]]))


# Ids.


def test_first_ids_go_by_descending_mean_value(model, planted):
    frame = planted[0]
    means = frame["contribution_margin_12m"].groupby(model.predict(frame)).mean()
    assert list(means.sort_values(ascending=False).index) == ["S1", "S2", "S3", "S4", "S5", "S6"]
    assert list(model.names_) == model.segments_ == list(model.profile_["segment"])


def test_ids_and_names_survive_a_resample(model, planted):
    frame = planted[0]
    drawn = frame.sample(len(frame), replace=True, random_state=9)
    again = SegmentModel(seed=77, **FEW).fit(drawn, previous=model)
    assert again.names_ == model.names_
    assert again.retired_ == []
    assert min(again.overlap_.values()) > 0.9
    assert stability_between(model, again, frame) > 0.95


def test_ids_survive_a_later_month_in_which_the_order_of_values_turned(model, planted):
    later_groups = {
        # A year older; the builders now bring more than the savers, the students most of all.
        name: (value, bookings, online, income * 1.1, deposits, age + 1, tenure + 12, loan)
        for name, (value, bookings, online, income, deposits, age, tenure, loan) in GROUPS.items()
    }
    later_groups["builder"] = (4000, *later_groups["builder"][1:])
    later, group = world(1500, seed=6, groups=later_groups)
    again = SegmentModel(seed=8, **FEW).fit(later, previous=model)
    assert of_group(again, later, group) == of_group(model, *planted)
    assert {segment: again.names_[segment] for segment in model.segments_} == model.names_
    # The table still starts with what is worth most.
    assert again.profile_["value_mean"].is_monotonic_decreasing
    assert again.segments_ != model.segments_


def test_a_vanished_group_retires_its_id_and_a_new_one_gets_an_id_never_used(model, planted):
    stayed = {name: of for name, of in GROUPS.items() if name != "pensioner"}
    changed = {"newcomer": NEWCOMER, **stayed}
    before = of_group(model, *planted)
    frame, group = world(1500, seed=7, groups=changed)
    second = SegmentModel(seed=1, segments=6, **FEW).fit(frame, previous=model)
    now = of_group(second, frame, group)
    assert {name: now[name] for name in stayed} == {name: before[name] for name in stayed}
    assert now["newcomer"] == "S7"
    assert second.retired_ == [before["pensioner"]]
    assert len(set(second.names_.values())) == 6
    # The pensioners come back, and outnumber those whose segment was the nearest to them: they get
    # neither that one's id nor the one that pensioners had.
    third = SegmentModel(seed=1, segments=6, **FEW).fit(planted[0], previous=second)
    back = of_group(third, *planted)
    assert back["pensioner"] not in {*model.segments_, *second.segments_}
    assert {"S7", before["pensioner"]} <= set(third.retired_)
    assert not set(third.retired_) & set(third.segments_)
    assert back["student"] == before["student"]


def test_a_refresh_keeps_the_number_of_segments_unless_another_is_clearly_more_stable():
    frame, _ = world(800, seed=1)
    # Two of the six groups together are as stable as the six; a group split in two is not.
    for before, after in ((None, 6), (5, 5), (9, 6)):
        previous = None
        if before is not None:
            previous = SegmentModel(seed=1, segments=before, **FEW).fit(frame)
        refreshed = SegmentModel(seed=1, fewest=5, most=9, resamples=6, starts=6)
        assert len(refreshed.fit(frame, previous=previous).segments_) == after


def test_a_column_that_the_bank_no_longer_has_does_not_stop_a_refresh(model, planted):
    frame = planted[0].drop(columns="income_12m")
    again = SegmentModel(seed=1, segments=6, **FEW).fit(frame, previous=model)
    assert set(again.segments_) == set(model.segments_)
    assert "income" not in again.dimensions_


def test_matching_takes_the_pairs_that_brute_force_finds_and_drops_those_that_overlap_little():
    generator = np.random.default_rng(0)
    checked = 0
    for _ in range(60):
        before = generator.choice(["S1", "S2", "S3", "S9"], 40)
        number = np.array([{"S1": 2, "S2": 0, "S3": 3, "S9": 1}[one] for one in before])
        after = np.where(generator.random(40) < 0.3, generator.integers(0, 4, 40), number)
        ids = ["S1", "S2", "S3", "S9"]
        best = max(
            permutations(range(4)),
            key=lambda order: sum(
                np.sum((before == one) & (after == place))
                for one, place in zip(ids, order, strict=True)
            ),
        )
        expected = {}
        for one, place in zip(ids, best, strict=True):
            both = np.sum((before == one) & (after == place))
            if both / np.sum((before == one) | (after == place)) >= 0.5:
                expected[place] = one
        assert matched(before, after) == expected
        checked += 0 < len(expected) < 4
    assert checked > 5


def test_half_of_a_segment_keeps_the_id_and_less_does_not():
    before = np.array(["S1"] * 4)
    assert matched(before, np.array([0, 0, 1, 2])) == {0: "S1"}
    assert matched(np.array(["S1"] * 5), np.array([0, 0, 1, 2, 3])) == {}


# Names.


def test_names_are_unique_and_describe_the_planted_groups(model, planted):
    names = {name: model.names_[of] for name, of in of_group(model, *planted).items()}
    assert len(set(names.values())) == 6
    assert "younger" in names["student"]
    assert "older" in names["pensioner"]
    assert "branch user" in names["pensioner"]
    assert "repaying a loan" in names["builder"]
    assert "large balance" in names["saver"] or "top value" in names["saver"]
    assert "dormant" in names["gone"] or "inactive" in names["gone"]
    assert "loss-making" in names["struggling"]


def test_when_the_data_change_the_names_follow():
    swapped = dict(GROUPS)
    swapped["student"] = (*GROUPS["student"][:5], 76, 200, 0)
    swapped["pensioner"] = (*GROUPS["pensioner"][:5], 23, 15, 0)
    frame, group = world(1200, seed=3, groups=swapped)
    turned = SegmentModel(segments=6, **FEW).fit(frame)
    names = {name: turned.names_[of] for name, of in of_group(turned, frame, group).items()}
    assert "older" in names["student"]
    assert "younger" not in names["student"]
    assert "younger" in names["pensioner"]


def test_the_largest_deviations_are_named_one_a_theme_in_the_order_of_the_views():
    names = name_segments(
        {
            "S1": {"value": 0.9, "digital_share": 1.2, "age": -0.8, "cash": -0.1},
            # Lending and loan term are one theme; of the two the larger is named.
            "S2": {"value": 0.7, "lending": 1.0, "loan_term": 1.2, "age": 0.0},
            # Value is the largest but one; the fourth is left out.
            "S3": {"value": -1.7, "deposits": 1.6, "age": 1.8, "cash": 1.5},
        }
    )
    assert names == {
        "S1": "younger, digital, good value",
        "S2": "repaying a loan, good value",
        "S3": "older, large balance, low value",
    }


def test_small_deviations_are_named_with_a_mark_where_few_are_large():
    names = name_segments({"S1": {"age": 0.2, "value": 0.6, "cash": 0.1}, "S2": {"age": 0.0}})
    assert names == {"S1": "rather older, good value", "S2": AVERAGE}


def test_a_losing_segment_is_named_loss_making():
    deviation = {"value": -0.3, "age": 0.6}
    assert name_segments({"S1": deviation}) == {"S1": "older, rather low value"}
    assert name_segments({"S1": deviation}, losing=["S1"]) == {"S1": "older, loss-making"}


def test_equal_names_get_further_words_and_at_last_the_id():
    alike = {"age": 0.9, "value": 0.8, "deposits": 0.7, "cash": 0.3}
    names = name_segments({"S1": alike, "S2": {**alike, "cash": -0.3, "digital_share": 0.31}})
    assert names == {
        "S1": "older, rather cash user, good balance, good value",
        "S2": "older, rather little cash, good balance, good value",
    }
    same = name_segments({"S1": alike, "S2": alike})
    assert len(set(same.values())) == 2
    assert same == {
        "S1": "older, good balance, good value",
        "S2": "older, good balance, good value (S2)",
    }


def test_a_name_that_another_segment_keeps_is_not_given_again():
    deviation = {"age": 0.9, "value": 0.8}
    taken = "older, good value"
    assert name_segments({"S4": deviation}) == {"S4": taken}
    assert name_segments({"S4": deviation}, taken=[taken]) == {"S4": f"{taken} (S4)"}


def test_every_dimension_has_a_view_and_a_word():
    for dimension in DIMENSIONS:
        assert dimension.view in VIEWS
        assert dimension.high
        assert dimension.theme
    assert len(DIMENSION) == len(DIMENSIONS)


# Dimensions.


def test_views_have_the_same_variance_for_any_number_of_columns(planted):
    frame = planted[0]
    for columns in (list(frame), ["contribution_margin_12m", "income_12m", "age", "bookings_12m"]):
        scaler = DimensionScaler().fit(frame[columns])
        variance = scaler.transform(frame).var(axis=0)
        views = [DIMENSION[name].view for name in scaler.dimensions_]
        by_view = pd.Series(variance).groupby(views).sum()
        np.testing.assert_allclose(by_view[list(VIEWS)], 1)


def test_the_currency_does_not_matter(planted):
    frame = planted[0]
    money = ["contribution_margin_12m", "income_12m", "average_deposits_3m"]
    other = frame.assign(**{name: frame[name] * 25 for name in money})
    np.testing.assert_allclose(
        DimensionScaler().fit(frame).transform(frame),
        DimensionScaler().fit(other).transform(other),
        atol=1e-9,
    )


def test_flows_of_a_shorter_history_count_at_their_yearly_pace(planted):
    frame = planted[0].assign(months_observed=12)
    scaler = DimensionScaler().fit(frame)
    flows = ["contribution_margin_12m", "bookings_12m", "income_12m"]
    quarter = frame.assign(months_observed=3, **{name: frame[name] / 4 for name in flows})
    np.testing.assert_allclose(scaler.transform(quarter), scaler.transform(frame), atol=1e-9)


def test_natural_units_are_those_worked_by_hand():
    frame = pd.DataFrame(
        {
            "bookings_online_12m": [3, 0, 0],
            "bookings_mobile_12m": [4, 1, 0],
            "bookings_branch_12m": [1, 2, 0],
            "average_lending_3m": [-500.0, 0.0, 20.0],
            "loan_remaining_months": [24, None, None],
            "bookings_12m": [10, 6, 3],
            "months_observed": [12, 6, 1],
        }
    )
    natural = DimensionScaler().fit(frame).natural(frame)
    np.testing.assert_allclose(natural["digital_share"], [8 / 10, 2 / 5, np.nan])
    np.testing.assert_allclose(natural["lending"], [500, 0, 0])
    np.testing.assert_allclose(natural["loan_term"], [24, 0, 0])
    np.testing.assert_allclose(natural["bookings"], [10, 12, 36])


def test_missing_values_stand_at_the_median_and_extremes_at_the_tails(planted):
    frame = planted[0]
    scaler = DimensionScaler().fit(frame)
    place = scaler.dimensions_.index("age")
    low, high = np.quantile(frame["age"], [0.005, 0.995])
    ages = [np.nan, frame["age"].median(), 1e6, high, -1e6, low, np.inf]
    rows = frame.iloc[: len(ages)].assign(age=ages)
    column = scaler.transform(rows)[:, place]
    assert column[0] == column[1] == column[6]
    assert column[2] == column[3]
    assert column[4] == column[5]


def test_one_extreme_customer_does_not_move_others(model, planted):
    frame, group = planted
    absurd = frame.copy()
    absurd.loc[0, ["contribution_margin_12m", "average_deposits_3m", "age"]] = [1e12, -1e12, 900]
    again = SegmentModel(seed=3, segments=6, **FEW).fit(absurd)
    assert adjusted_rand_score(group, again.predict(frame)) > 0.95


def test_columns_absent_empty_or_constant_are_left_out_and_the_rest_works(planted):
    frame, group = planted
    poor = frame.drop(columns=["income_12m", "bookings_12m"]).assign(
        tenure_months=np.nan, household_size=1, average_wealth_3m=0.0, accounts_wealth=None
    )
    poor["accounts_wealth"] = poor["accounts_wealth"].astype("Int64")
    found = SegmentModel(segments=6, **FEW).fit(poor)
    assert not {"tenure", "household", "wealth", "wealth_accounts", "income", "bookings"} & set(
        found.dimensions_
    )
    assert set(found.columns_) <= set(frame.columns)
    assert adjusted_rand_score(group, found.predict(poor)) > 0.95
    assert np.isfinite(found.centres_).all()


def test_unused_channels_have_no_share(planted):
    unused = planted[0].assign(bookings_online_12m=0)
    assert "digital_share" not in DimensionScaler().fit(unused).dimensions_
    only = planted[0].drop(columns="bookings_branch_12m")
    assert "digital_share" not in DimensionScaler().fit(only).dimensions_


def test_a_bank_without_values_still_has_segments(planted):
    frame = planted[0].drop(columns="contribution_margin_12m")
    found = SegmentModel(segments=5, **FEW).fit(frame)
    assert found.segments_ == ["S1", "S2", "S3", "S4", "S5"]
    assert found.profile_["value_mean"].isna().all()
    assert found.profile_["customers"].is_monotonic_decreasing


def test_a_frame_without_a_varying_column_is_refused(planted):
    with pytest.raises(ValueError, match="expected one that differs"):
        SegmentModel().fit(planted[0][["customer_id"]].assign(age=40))


def test_a_feature_missing_when_predicting_is_named(model, planted):
    with pytest.raises(ValueError, match=r"\['income_12m', 'age'\]"):
        model.predict(planted[0].drop(columns=["age", "income_12m"]))


# Customers and profiles.


def test_the_profile_is_that_of_the_customers_of_each_segment(model, planted):
    frame = planted[0]
    groups = frame.groupby(model.predict(frame))
    profile = model.profile_.set_index("segment")
    assert profile["customers"].to_dict() == groups.size().to_dict()
    assert profile["share"].sum() == pytest.approx(1)
    for column, features in (("value", "contribution_margin_12m"), ("age", "age")):
        pairs = pd.DataFrame({"mean": groups[features].mean(), "median": groups[features].median()})
        for kind in ("mean", "median"):
            np.testing.assert_allclose(
                profile[f"{column}_{kind}"].sort_index(), pairs[kind].sort_index()
            )
        np.testing.assert_allclose(profile[f"{column}_population_mean"], frame[features].mean())
        np.testing.assert_allclose(profile[f"{column}_population_median"], frame[features].median())
    np.testing.assert_allclose(profile["value_mean"].sort_index(), pairs_of(frame, model))
    # Deviations of age: a difference of means in standard deviations, but for the tails.
    by_hand = (groups["age"].mean() - frame["age"].mean()) / frame["age"].std()
    np.testing.assert_allclose(profile["age_deviation"].sort_index(), by_hand, atol=0.02)


def pairs_of(frame: pd.DataFrame, model: SegmentModel) -> np.ndarray:
    return frame["contribution_margin_12m"].groupby(model.predict(frame)).mean().to_numpy()


def test_distances_and_contributions_are_those_of_brute_force(model, planted):
    frame = planted[0].head(50)
    matrix = model.scaler_.transform(frame)
    every = np.sqrt(((matrix[:, None, :] - model.centres_[None]) ** 2).sum(axis=2))
    np.testing.assert_allclose(model.distance(frame), np.sort(every, axis=1)[:, :2], atol=1e-6)
    own = model.centres_[every.argmin(axis=1)]
    assert list(model.predict(frame)) == [model.segments_[place] for place in every.argmin(axis=1)]
    contributions, names = model.contributions(frame)
    assert names == model.dimensions_
    assert contributions.shape == (50, len(names))
    np.testing.assert_allclose(
        contributions.sum(axis=1), (matrix**2).sum(axis=1) - ((matrix - own) ** 2).sum(axis=1)
    )


def test_the_largest_contribution_is_the_feature_that_distinguishes_the_group(model, planted):
    frame, group = planted
    contributions, names = model.contributions(frame)
    means = pd.DataFrame(contributions, columns=names).groupby(group).mean()
    # Value has a view of its own and outweighs each of the others.
    largest = means.drop(columns="value").idxmax(axis=1)
    assert largest["builder"] == "loan_term"
    assert largest["student"] in {"age", "tenure"}
    assert largest["struggling"] in {"tenure", "loan_term"}


def test_a_model_stored_and_loaded_answers_the_same_and_continues(model, planted):
    frame = planted[0]
    data = skops.io.dumps(model)
    untrusted = skops.io.get_untrusted_types(data=data)
    assert set(untrusted) == {
        "ml.segments.dimensions.DimensionScaler",
        "ml.segments.model.SegmentModel",
    }
    loaded = skops.io.loads(data, trusted=untrusted)
    np.testing.assert_array_equal(loaded.predict(frame), model.predict(frame))
    pd.testing.assert_frame_equal(loaded.profile_, model.profile_)
    again = SegmentModel(seed=5, segments=6, **FEW).fit(frame, previous=loaded)
    assert again.names_ == model.names_


def test_the_file_holds_no_data_of_a_single_customer():
    sizes = []
    for count in (400, 1600):
        fitted = SegmentModel(segments=5, **FEW).fit(world(count, seed=1)[0])
        assert b"C00007" not in skops.io.dumps(fitted)
        held = [*vars(fitted).values(), *vars(fitted.scaler_).values(), *fitted.means_.values()]
        sizes.append([np.size(one) for one in held if isinstance(one, np.ndarray | list)])
    assert sizes[0] == sizes[1]
    assert max(sizes[0]) < 400


# The rule.


def test_tiers_are_those_worked_by_hand():
    frame = pd.DataFrame(
        {
            # Of eleven values the borders are the seventh and the tenth.
            "contribution_margin_12m": [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100.0],
            "age": [29, 30, 44, 45, 61, 62, 90, 18, None, 44, 45],
        }
    )
    rule = RuleTiering().fit(frame)
    np.testing.assert_allclose(rule.borders_, [60, 90])
    assert list(rule.predict(frame)) == [
        "low value · under 30",
        "low value · 30–44",
        "low value · 30–44",
        "low value · 45–61",
        "low value · 45–61",
        "low value · 62+",
        "medium value · 62+",
        "medium value · under 30",
        "medium value · age unknown",
        "high value · 30–44",
        "high value · 45–61",
    ]
    other = pd.DataFrame({"contribution_margin_12m": [-0.01, None]})
    assert list(rule.predict(other)) == ["loss-making · age unknown", "value unknown · age unknown"]


def test_a_loss_is_named_loss_making_even_where_most_customers_lose():
    frame = pd.DataFrame({"contribution_margin_12m": np.arange(-99.0, 1.0), "age": 40})
    labels = pd.Series(RuleTiering().fit(frame).predict(frame))
    assert (labels == "loss-making · 30–44").sum() == 99


def test_tiers_without_values_are_refused_and_the_rule_can_be_stored(planted):
    with pytest.raises(ValueError, match="contribution_margin_12m"):
        RuleTiering().fit(planted[0][["age"]])
    rule = RuleTiering().fit(planted[0])
    loaded = skops.io.loads(skops.io.dumps(rule), trusted=["ml.segments.model.RuleTiering"])
    np.testing.assert_array_equal(loaded.predict(planted[0]), rule.predict(planted[0]))


# What labels explain.


def test_explained_shares_are_those_worked_by_hand():
    # Means 2 and 5 about 3.5: 13.5 of 17.5 between; within 4 on 4 degrees of freedom, so that two
    # labels at random would explain 1: 12.5 of 17.5. The values are their own ranks.
    share = explained_share(np.array([1, 2, 3, 4, 5, 6]), np.array(["a", "a", "a", "b", "b", "b"]))
    assert share.labels == 2
    assert share.eta_squared == share.rank_eta_squared == pytest.approx(13.5 / 17.5)
    assert share.epsilon_squared == share.rank_epsilon_squared == pytest.approx(12.5 / 17.5)


def test_explained_shares_agree_with_scipys_f_and_h():
    generator = np.random.default_rng(1)
    labels = generator.integers(0, 4, 200)
    # Rounded, so that there are ties.
    y = np.round(generator.lognormal(labels / 3, 1), 1)
    groups = [y[labels == one] for one in range(4)]
    f, h = f_oneway(*groups).statistic, kruskal(*groups).statistic
    share = explained_share(y, labels)
    assert share.eta_squared == pytest.approx(f * 3 / (f * 3 + 196))
    assert share.epsilon_squared == pytest.approx((f - 1) * 3 / (f * 3 + 196))
    assert share.rank_eta_squared == pytest.approx(h / 199)
    assert share.rank_epsilon_squared == pytest.approx((h - 3) / 196)


@pytest.mark.parametrize("step", [1.0, 1_000.0, -0.5, 1e6])
def test_the_share_that_is_counted_equals_the_share_that_is_sorted(step):
    generator = np.random.default_rng(3)
    labels = generator.choice([0, 2, 3, 7], 500) * step
    y = generator.lognormal(0, 1, 500) + labels
    assert epsilon_squared(y, labels) == explained_share(y, labels).epsilon_squared
    with pytest.raises(ValueError, match="explains itself"):
        epsilon_squared(np.arange(3.0), np.arange(3) * step)


def test_random_labels_explain_nothing_after_correction_for_their_number():
    generator = np.random.default_rng(2)
    y = generator.lognormal(0, 1, 100)
    shares = [explained_share(y, generator.integers(0, 20, 100)) for _ in range(300)]
    eta = np.mean([share.eta_squared for share in shares])
    epsilon = np.array([[one.epsilon_squared, one.rank_epsilon_squared] for one in shares])
    assert eta == pytest.approx(19 / 99, abs=0.02)
    error = epsilon.std(axis=0) / np.sqrt(len(shares))
    assert (np.abs(epsilon.mean(axis=0)) < 4 * error).all()


def test_one_windfall_hardly_moves_the_share_on_ranks():
    y = np.array([1.0, 2, 3, 4, 5, 6, 7, 8] * 5)
    labels = np.array(["a"] * 4 + ["b"] * 4)[np.arange(40) % 8]
    plain = explained_share(y, labels)
    y[0] = 1e6
    windfall = explained_share(y, labels)
    assert windfall.eta_squared < 0.1 < 0.6 < plain.eta_squared
    assert windfall.rank_eta_squared > 0.6


def test_a_constant_outcome_has_no_explained_share_and_bad_input_is_refused():
    assert explained_share(np.ones(4), np.array([1, 1, 2, 2])).epsilon_squared == 0
    with pytest.raises(ValueError, match="equal"):
        explained_share(np.ones(3), np.ones(4))
    with pytest.raises(ValueError, match="finite"):
        explained_share(np.array([1, np.nan, 2]), np.ones(3))
    with pytest.raises(ValueError, match="explains itself"):
        explained_share(np.arange(3.0), np.arange(3))


# Moves.


def test_moves_include_customers_who_joined_or_left():
    before = pd.Series({"a": "S1", "b": "S1", "c": "S1", "d": "S2", "e": "S2", "f": None})
    after = pd.Series({"f": "S2", "e": "S2", "c": "S2", "b": "S1", "a": "S1", "g": "S3"})
    expected = pd.DataFrame(
        [
            ("S1", "S1", 2, 2 / 3),
            ("S1", "S2", 1, 1 / 3),
            ("S2", "S2", 1, 1 / 2),
            ("S2", LEFT, 1, 1 / 2),
            (NEW, "S2", 1, 1 / 2),
            (NEW, "S3", 1, 1 / 2),
        ],
        columns=["from_segment", "to_segment", "customers", "share"],
    )
    pd.testing.assert_frame_equal(migration(before, after), expected, check_dtype=False)


def test_moves_add_up_to_the_customers_of_both_months(model):
    first, _ = world(600, seed=11)
    second = world(700, seed=12)[0].iloc[100:]
    before = pd.Series(model.predict(first), index=first["customer_id"])
    after = pd.Series(model.predict(second), index=second["customer_id"])
    moves = migration(before, after)
    assert moves["customers"].sum() == len(set(before.index) | set(after.index)) == 700
    gone_to = moves[moves["to_segment"] != LEFT].groupby("to_segment")["customers"].sum()
    come_from = moves[moves["from_segment"] != NEW].groupby("from_segment")["customers"].sum()
    assert gone_to.to_dict() == after.value_counts().to_dict()
    assert come_from.to_dict() == before.value_counts().to_dict()
    np.testing.assert_allclose(moves.groupby("from_segment")["share"].sum(), 1)


def test_moves_of_a_customer_twice_or_of_reserved_names_are_refused():
    once = pd.Series({"a": "S1"})
    with pytest.raises(
        ValueError, match="segments after are invalid: expected each customer once, 1 repeat"
    ):
        migration(once, pd.Series(["S1", "S2"], index=["a", "a"]))
    with pytest.raises(ValueError, match="'new' and 'left' are reserved"):
        migration(pd.Series({"a": "left"}), once)


def test_models_with_other_ids_for_the_same_groups_agree_wholly(model, planted):
    frame = planted[0]
    other = skops.io.loads(
        skops.io.dumps(model),
        trusted=["ml.segments.model.SegmentModel", "ml.segments.dimensions.DimensionScaler"],
    )
    other.segments_ = [f"S{number + 20}" for number in range(6)]
    assert stability_between(model, other, frame) == 1
    coarse = SegmentModel(segments=2, **FEW).fit(frame)
    assert 0 < stability_between(model, coarse, frame) < 0.8
