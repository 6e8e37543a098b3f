"""Fairness: figures by hand, groups that a model wrongs are found and others are not."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import MetricFrame, selection_rate
from scipy import stats
from sklearn.metrics import roc_auc_score

from ml.evaluation.fairness import FIGURES, age_band, fairness_table, unfair


def simulated(seed: int, wronged: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """0/1 outcomes, probabilities that are true but for those of F, and the groups, whose rates
    differ: the true rate of M is twice that of F."""
    generator = np.random.default_rng(seed)
    sex = np.where(generator.random(4000) < 0.5, "F", "M")
    probability = generator.beta(2, 8, 4000) * np.where(sex == "F", 0.5, 1.0)
    y = (generator.random(4000) < probability).astype(float)
    return y, probability * np.where(sex == "F", wronged, 1.0), sex


def table_of(y, score, sex, **settings) -> pd.DataFrame:
    chosen = {"kind": "probability", "seed": 1, "rounds": 100, **settings}
    return fairness_table(y, score, {"sex": sex}, **chosen)


def test_the_fairness_table_worked_by_hand():
    y = np.concatenate([np.repeat([1, 0], [50, 50]), np.repeat([1, 0], [25, 75])])
    score, sex = np.repeat([0.6, 0.3], 100), np.repeat(["F", "M"], 100)
    table = table_of(y, score, sex)
    assert table["attribute"].tolist() == ["sex", "sex"]
    assert table["group"].tolist() == ["F", "M"]
    assert table["customers"].tolist() == [100, 100]
    assert table["mean_score"].to_numpy() == pytest.approx([0.6, 0.3])
    assert table["mean_outcome"].to_numpy() == pytest.approx([0.5, 0.25])
    # The mean outcome of all is 75 of 200.
    assert table["calibration_gap"].to_numpy() == pytest.approx([0.1 / 0.375, 0.05 / 0.375])
    # The best tenth are twenty of the hundred F, all tied.
    assert table["selection_rate"].to_numpy() == pytest.approx([0.2, 0])
    assert table["selection_ratio"].to_numpy() == pytest.approx([2, 0])
    assert table["discrimination"].tolist() == [0, 0]


def test_selection_rates_are_those_of_a_second_implementation():
    y, score, sex = simulated(5)
    chosen = (score >= np.sort(score)[-400]).astype(int)
    peer = MetricFrame(metrics=selection_rate, y_true=y, y_pred=chosen, sensitive_features=sex)
    table = table_of(y, score, sex).set_index("group")
    assert table["selection_rate"].to_dict() == pytest.approx(peer.by_group.to_dict(), rel=1e-12)
    assert table["selection_ratio"].to_dict() == pytest.approx(
        (peer.by_group / peer.overall).to_dict(), rel=1e-12
    )


def test_the_tenth_is_rounded_up_and_ties_at_its_edge_share_the_remaining_places():
    # 21 of 201: one F above, twenty places for the hundred F and hundred M tied.
    y, sex = np.arange(201) % 2, np.repeat(["F", "M"], [101, 100])
    score = np.concatenate([[0.9], np.full(200, 0.5)])
    table = table_of(y, score, sex)
    assert table["selection_rate"].to_numpy() == pytest.approx([(1 + 10) / 101, 10 / 100])
    assert table["selection_ratio"].to_numpy() == pytest.approx([11 / 101 * 201 / 21, 201 / 210])


def test_gaps_of_amounts_are_shares_of_the_size_of_the_mean_outcome():
    y, segment = np.repeat([-30.0, 10.0], [100, 100]), np.repeat(["a", "b"], 100)
    table = fairness_table(y, y + 2, {"segment": segment}, kind="value", seed=1)
    # All bring -10 on average, and each prediction is 2 more than that.
    assert table["calibration_gap"].to_numpy() == pytest.approx([0.2, 0.2])
    # Outcomes are all the same within a group: there is no order to find.
    assert table["discrimination"].isna().all()
    balanced = fairness_table(
        np.repeat([-1.0, 1.0], 100), y, {"segment": segment}, kind="value", seed=1
    )
    assert balanced["calibration_gap"].isna().all() and balanced["mean_score"].notna().all()


def test_discrimination_is_that_within_the_group():
    y, probability, sex = simulated(3)
    table = table_of(y, probability, sex)
    for group, found in zip(table["group"], table["discrimination"], strict=True):
        members = sex == group
        auc = roc_auc_score(y[members], probability[members])
        assert found == pytest.approx(2 * auc - 1)


def test_groups_make_up_the_whole():
    y, probability, sex = simulated(4, wronged=1.3)
    table = table_of(y, probability, sex)
    share = table["customers"] / len(y)
    assert share @ table["selection_rate"] == pytest.approx(0.1)
    assert share @ table["selection_ratio"] == pytest.approx(1)
    assert share @ table["calibration_gap"] == pytest.approx(probability.sum() / y.sum() - 1)


def test_the_order_of_the_rows_does_not_matter_even_where_scores_are_tied():
    y, probability, sex = simulated(5)
    score = np.round(probability, 1)
    order = np.argsort(sex, kind="stable")
    figures = ["mean_score", "calibration_gap", "selection_rate", "discrimination"]
    one, other = table_of(y, score, sex), table_of(y[order], score[order], sex[order])
    assert one[figures].to_numpy() == pytest.approx(other[figures].to_numpy())


@pytest.mark.parametrize("wronged", [0.3, 2.2])
def test_a_group_that_is_wronged_is_found_at_any_seed_and_alone(wronged):
    # F bring a third of the outcomes: their gap is (wronged - 1) · 2/3 of the mean outcome.
    for seed in range(10):
        y, score, sex = simulated(seed, wronged)
        table = table_of(y, score, sex)
        assert table["calibration_gap"].iloc[0] == pytest.approx((wronged - 1) * 2 / 3, abs=0.15)
        (sentence,) = unfair(table)
        assert sentence.startswith("sex F (") and str(table["customers"].iloc[0])[-3:] in sentence
        assert ("below" if wronged < 1 else "above") in sentence


def test_a_group_from_which_what_scores_otherwise_is_as_far_off_is_not_named():
    y, score, sex = simulated(1, 0.3)
    table = table_of(y, score, sex)
    (sentence,) = unfair(table)
    _, worse, _ = simulated(1, 0.2)
    _, better, _ = simulated(1, 0.6)
    assert unfair(table, standing=table_of(y, worse, sex)) == []
    assert unfair(table, standing=table) == []
    assert unfair(table, standing=table_of(y, better, sex)) == [sentence]
    # Too much for the group is not as good as too little.
    _, above, _ = simulated(1, 2.2)
    assert unfair(table, standing=table_of(y, above, sex)) == [sentence]
    # A group that the other was not judged on counts.
    missing = table.assign(calibration_gap=math.nan)
    assert unfair(table, standing=missing) == [sentence]


def test_of_many_fair_groups_one_is_named_as_seldom_as_of_one():
    """Twelve groups alike; every gap is chance, and each interval alone would miss one in ten."""
    named = []
    for seed in range(120):
        generator = np.random.default_rng(seed)
        y = (generator.random(3600) < 0.1).astype(float)
        town = generator.integers(0, 12, 3600).astype(str)
        table = fairness_table(y, np.full(3600, 0.1), {"town": town}, kind="probability", seed=seed)
        named.append(bool(unfair(table, most_gap=0.0)))
    assert np.mean(named) <= stats.binom.ppf(0.999, 120, 0.1) / 120
    assert np.mean(named) > 0


def test_true_probabilities_are_fair_at_any_seed_though_groups_differ_in_rate_and_selection():
    for seed in range(20):
        table = table_of(*simulated(seed))
        assert unfair(table) == []
        assert table["selection_ratio"].iloc[0] < 0.5 < 1.3 < table["selection_ratio"].iloc[1]


@pytest.mark.slow
def test_intervals_of_the_gap_cover_none_at_their_level():
    hits = []
    for seed in range(60):
        table = table_of(*simulated(seed), seed=seed + 1000)
        hits.append(bool(table["gap_low"].iloc[0] <= 0 <= table["gap_high"].iloc[0]))
    low, high = stats.binom.interval(0.998, 60, 0.9)
    assert low <= sum(hits) <= high


def test_rows_of_the_same_customer_widen_the_interval():
    y, score, sex = (np.repeat(values[:2000], 9) for values in simulated(6))
    customer = np.repeat(np.arange(2000), 9)
    plain, clustered = (
        table_of(y, score, sex, clusters=clusters, rounds=300) for clusters in (None, customer)
    )
    wider = (clustered["gap_high"] - clustered["gap_low"]) / (plain["gap_high"] - plain["gap_low"])
    assert wider.to_numpy() == pytest.approx([3, 3], rel=0.25)


def test_a_gap_near_the_bound_is_not_named_until_its_whole_interval_is_beyond():
    row = {"attribute": "age_band", "group": "under 25", "customers": 1200}

    def named(gap, low, high, bound=0.25):
        figures = {"calibration_gap": gap, "gap_low": low, "gap_high": high}
        return unfair(pd.DataFrame([row | figures]), bound)

    assert named(0.4, 0.2, 0.6) == [] == named(-0.4, -0.6, -0.2) == named(0.0, -0.6, 0.6)
    assert named(math.nan, math.nan, math.nan) == []
    assert named(0.4, 0.3, 0.5) == [
        "age band under 25 (1,200 customers): predictions lie above outcomes by 40 % of the mean "
        "outcome of all customers [+30 %, +50 %], more than 25 %"
    ]
    assert len(named(-0.4, -0.5, -0.3)) == 1 and named(-0.4, -0.5, -0.3, 0.35) == []
    row["group"] = "unknown"
    assert named(0.4, 0.3, 0.5) == []


def test_small_groups_and_groups_of_few_outcomes_are_counted_only():
    sex = np.repeat(["few", "none", "large"], [99, 200, 300])
    y = np.concatenate([np.ones(99), np.repeat([1, 0], [9, 191]), np.repeat([1, 0], 150)])
    table = table_of(y, np.full(599, 0.5), sex).set_index("group")
    assert table["customers"].to_dict() == {"few": 99, "large": 300, "none": 200}
    assert table.loc[["few", "none"], FIGURES].isna().all(axis=None)
    assert table.loc["large", FIGURES].notna().all()


def test_no_group_is_the_unknown_one_and_comes_last():
    y, probability, sex = simulated(7)
    values = sex.astype(object)
    values[:200], values[200:400], values[400:600], values[600:800] = None, "", " ", np.nan
    table = table_of(y, probability, values)
    assert table["group"].tolist() == ["F", "M", "unknown"]
    assert table["customers"].iloc[2] == 800 and table["calibration_gap"].notna().all()


def test_each_attribute_has_its_groups_and_age_bands_go_by_age():
    y, probability, sex = simulated(8)
    band = age_band(np.random.default_rng(8).uniform(18, 90, 4000))
    both = {"age_band": band, "sex": sex}
    table = fairness_table(y, probability, both, kind="probability", seed=1)
    assert table["group"].tolist() == [
        "under 25",
        "25-34",
        "35-44",
        "45-54",
        "55-64",
        "65 and over",
        "F",
        "M",
    ]
    alone = fairness_table(y, probability, {"sex": sex}, kind="probability", seed=1)
    pd.testing.assert_frame_equal(table.iloc[6:].reset_index(drop=True), alone)


def test_ages_at_the_borders_of_their_bands():
    ages = pd.Series([0, 24.9, 25, 34, 35, 45, 55, 64, 65, 101, None, -1])
    assert age_band(ages).tolist() == [
        "under 25",
        "under 25",
        "25-34",
        "25-34",
        "35-44",
        "45-54",
        "55-64",
        "55-64",
        "65 and over",
        "65 and over",
        "unknown",
        "unknown",
    ]
    assert age_band(pd.array([30, pd.NA], dtype="Int32")).tolist() == ["25-34", "unknown"]


@pytest.mark.parametrize(
    ("y", "score", "sex", "kind", "words"),
    [
        ([0, 1], [0.1], ["F", "M"], "probability", r"\(2,\) and \(1,\)"),
        ([], [], [], "value", "non-empty"),
        ([0, np.nan], [1, 2], ["F", "M"], "value", "finite"),
        ([0, 1], [1, 2], ["F"], "value", "sex is invalid: expected a group of each of 2"),
        ([0, 1], [1, 2], ["F", "M"], "amount", "'amount'"),
        ([0, 1], [0.1, 1.2], ["F", "M"], "probability", "from 0 to 1"),
        ([0, 3], [0.1, 0.2], ["F", "M"], "probability", "0 or 1"),
    ],
)
def test_invalid_outcomes_scores_and_groups_are_refused(y, score, sex, kind, words):
    with pytest.raises(ValueError, match=words):
        table_of(np.array(y), np.array(score), sex, kind=kind)
