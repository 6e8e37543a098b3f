"""Leaving and losing lines, on a bank whose hazards are known: who leaves loses every line."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
import skops.io

from ml.attrition.model import AttritionModel
from ml.evaluation.metrics import spearman
from ml.hazard import DiscreteTimeHazard
from ml.measures import PACE
from ml.serving import TRUSTED_TYPES

PERIODS = 12
# Hazards a month: of leaving, by idleness; of giving up wealth while staying, by its trend.
LEAVES = {False: 0.004, True: 0.03}
GIVES_UP = {False: 0.01, True: 0.06}


class Bank:
    """All hold deposits, half hold wealth too; deposits are lost by leaving only."""

    def __init__(self, n: int, seed: int) -> None:
        generator = np.random.default_rng(seed)
        self.idle = generator.random(n) < 0.4
        self.falling = generator.random(n) < 0.4
        wealth = generator.random(n) < 0.5
        of_deposits, of_wealth = generator.normal(10, 8, n), wealth * generator.normal(20, 5, n)
        self.frame = pd.DataFrame(
            {
                "age": generator.integers(18, 90, n),
                "days_since_active": np.where(self.idle, 90, 3) + generator.integers(0, 9, n),
                "months_observed": 12,
                "accounts_deposits": 1,
                "contribution_deposits_3m": 3 * of_deposits,
                "accounts_wealth": wealth.astype(int),
                "trend_wealth": np.where(wealth, np.where(self.falling, -0.3, 0.1), np.nan),
                "contribution_wealth_3m": 3 * of_wealth,
                "noise": generator.normal(size=n),
                PACE: 12 * (of_deposits + of_wealth),
            }
        )
        leaves = pd.Series(self.idle).map(LEAVES).to_numpy()
        gives_up = pd.Series(self.falling).map(GIVES_UP).to_numpy()
        left_in, given_in = generator.geometric(leaves), generator.geometric(gives_up)
        self.time, self.event = np.minimum(left_in, PERIODS), left_in <= PERIODS
        self.groups = np.array([f"C{number}" for number in range(n)])
        self.true = 1 - (1 - leaves) ** PERIODS
        self.true_of = {
            "deposits": self.true,
            "wealth": 1 - ((1 - leaves) * (1 - gives_up)) ** PERIODS,
        }
        parts = [
            pd.DataFrame(
                {
                    "row": rows,
                    "line": line,
                    "customer_id": self.groups[rows],
                    "months_held": np.minimum(lost_in[rows], PERIODS),
                    "is_lost": lost_in[rows] <= PERIODS,
                }
            )
            for line, rows, lost_in in (
                ("deposits", np.arange(n), left_in),
                ("wealth", np.flatnonzero(wealth), np.minimum(left_in, given_in)),
            )
        ]
        self.lines = pd.concat(parts).sort_values(["row", "line"], ignore_index=True)

    def found(self, model: AttritionModel) -> pd.DataFrame:
        found = model.line_attrition(self.frame)
        return found.assign(
            true=[
                self.true_of[line][row]
                for row, line in zip(found["row"], found["line"], strict=True)
            ],
            idle=self.idle[found["row"]],
            falling=self.falling[found["row"]],
        )


@cache
def past() -> Bank:
    return Bank(8000, seed=1)


@cache
def later() -> Bank:
    return Bank(4000, seed=2)


@cache
def model() -> AttritionModel:
    bank = past()
    return AttritionModel(seed=1).fit(
        bank.frame, bank.time, bank.event, bank.groups, lines=bank.lines
    )


@cache
def without_lines() -> AttritionModel:
    bank = past()
    return AttritionModel(seed=1).fit(bank.frame, bank.time, bank.event, bank.groups)


# The customer.


@pytest.mark.slow
def test_the_customer_is_the_hazard_by_itself_whether_lines_are_known_or_not():
    bank = past()
    alone = DiscreteTimeHazard(seed=1).fit(bank.frame, bank.time, bank.event, bank.groups)
    frame = later().frame
    for fitted in (model(), without_lines()):
        np.testing.assert_array_equal(fitted.probability(frame), alone.probability(frame))
        np.testing.assert_array_equal(fitted.survival(frame), alone.survival(frame))
        np.testing.assert_array_equal(
            fitted.expected_lead_time(frame), alone.expected_lead_time(frame)
        )
        np.testing.assert_array_equal(fitted.contributions(frame)[0], alone.contributions(frame)[0])
        assert fitted.contributions(frame)[1] == alone.columns_
        np.testing.assert_array_equal(fitted.predict_proba(frame)[:, 1], alone.probability(frame))
        np.testing.assert_array_equal(fitted.classes_, [0, 1])


def test_customers_are_predicted_to_leave_at_their_true_probability():
    predicted = model().probability(later().frame)
    assert spearman(later().true, predicted) > 0.7
    for idle in (False, True):
        of = later().idle == idle
        # Within three standard errors of the training, of twice the customers.
        error = np.sqrt(later().true[of].mean() * (1 - later().true[of].mean()) / of.sum() / 2)
        assert abs(predicted[of].mean() - later().true[of].mean()) < 3 * error


def test_the_value_at_risk_is_the_probability_times_what_the_customer_brings():
    frame = later().frame.head(4).assign(**{PACE: [100.0, -50.0, 0.0, np.nan]})
    probability = model().probability(frame)
    np.testing.assert_allclose(model().value_at_risk(frame), [100 * probability[0], 0, 0, 0])
    whole = model().value_at_risk(later().frame)
    expected = later().true @ later().frame[PACE].clip(lower=0)
    assert whole.sum() == pytest.approx(expected, rel=0.1)


# The lines.


def test_every_line_held_is_scored_once_and_no_other():
    found = model().line_attrition(later().frame)
    assert list(found.columns) == ["row", "line", "p_attrition", "value_at_risk"]
    held = later().lines[["row", "line"]]
    pd.testing.assert_frame_equal(found[["row", "line"]], held, check_dtype=False)
    assert found["p_attrition"].between(0, 1).all()


def test_lines_are_lost_at_their_true_rates_in_each_kind_of_customer():
    """Within three standard errors of the training, which is twice the customers."""
    found = later().found(model())
    wealth = found[found["line"] == "wealth"].groupby(["idle", "falling"])
    assert len(wealth) == 4
    true, predicted = wealth["true"].mean(), wealth["p_attrition"].mean()
    error = np.sqrt(true * (1 - true) / wealth.size() / 2)
    assert ((predicted - true).abs() < 3 * error).all()
    assert spearman(found["true"].to_numpy(), found["p_attrition"].to_numpy()) > 0.85


def test_a_line_lost_only_by_leaving_has_nearly_the_customers_probability():
    found = later().found(model())
    deposits = found[found["line"] == "deposits"]
    np.testing.assert_array_equal(deposits["row"], np.arange(len(later().frame)))
    leaves = model().probability(later().frame)
    # The larger of two estimates of one figure: high, by no more than this.
    assert 1 <= deposits["p_attrition"].sum() / leaves.sum() < 1.15


def test_no_line_is_safer_than_the_customer_who_holds_it():
    found = model().line_attrition(later().frame)
    leaves = model().probability(later().frame)[found["row"]]
    assert (found["p_attrition"] >= leaves).all()
    # Wealth that falls is given up by customers who stay.
    falling = later().falling[found["row"]] & (found["line"] == "wealth")
    assert (found["p_attrition"] > leaves + 0.2)[falling].mean() > 0.95


def test_the_value_at_risk_of_a_line_is_its_pace_over_the_horizon_times_its_probability():
    frame = later().frame[later().frame["accounts_wealth"] == 1].head(2)
    frame = frame.assign(contribution_wealth_3m=[30.0, -6.0], contribution_deposits_3m=[0.0, 9.0])
    found = model().line_attrition(frame)
    brings = np.array([0, 120, 36, 0])
    assert list(found["line"]) == ["deposits", "wealth"] * 2
    np.testing.assert_allclose(found["value_at_risk"], found["p_attrition"] * brings)


def test_a_horizon_of_half_a_year_is_learned_as_well():
    bank, half = past(), 6
    lines = bank.lines.assign(
        is_lost=bank.lines["is_lost"] & (bank.lines["months_held"] <= half),
        months_held=bank.lines["months_held"].clip(upper=half),
    )
    short = AttritionModel(seed=1, periods=half).fit(
        bank.frame,
        np.minimum(bank.time, half),
        bank.event & (bank.time <= half),
        bank.groups,
        lines=lines,
    )
    assert short.survival(later().frame).shape == (4000, half)
    found = short.line_attrition(later().frame)
    of_wealth = later().true_of["wealth"][found["row"]]
    wealth = (found["line"] == "wealth").to_numpy()
    true = (1 - (1 - of_wealth) ** (half / PERIODS))[wealth]
    assert found["p_attrition"][wealth].sum() == pytest.approx(true.sum(), rel=0.1)


# Off, and none.


def test_without_lines_no_line_is_scored():
    bank = past()
    none = AttritionModel(seed=1).fit(
        bank.frame, bank.time, bank.event, bank.groups, lines=bank.lines[:0]
    )
    for fitted in (without_lines(), none):
        found = fitted.line_attrition(later().frame)
        pd.testing.assert_frame_equal(found, model().line_attrition(later().frame)[:0])
        np.testing.assert_array_equal(
            fitted.value_at_risk(later().frame), model().value_at_risk(later().frame)
        )


def test_customers_who_hold_no_line_and_no_customers_have_no_lines():
    nothing = later().frame.head(3).assign(accounts_deposits=0, accounts_wealth=np.nan)
    full = model().line_attrition(later().frame)
    for frame in (nothing, later().frame[:0]):
        pd.testing.assert_frame_equal(model().line_attrition(frame), full[:0])
        assert model().value_at_risk(frame).shape == (len(frame),)


# How it behaves.


@pytest.mark.parametrize("fitted", [model, without_lines])
def test_a_stored_model_gives_the_same_predictions(fitted, tmp_path):
    skops.io.dump(fitted(), tmp_path / "model.skops")
    loaded = skops.io.load(tmp_path / "model.skops", trusted=TRUSTED_TYPES)
    frame = later().frame
    np.testing.assert_array_equal(loaded.probability(frame), fitted().probability(frame))
    np.testing.assert_array_equal(loaded.value_at_risk(frame), fitted().value_at_risk(frame))
    pd.testing.assert_frame_equal(loaded.line_attrition(frame), fitted().line_attrition(frame))


def test_the_columns_named_are_all_that_is_read():
    frame = later().frame.assign(never_seen=1.0)
    read = frame[model().columns_]
    assert "months_observed" in model().columns_ and "months_observed" not in (
        without_lines().columns_
    )
    # Read for the value at risk, also where the learner makes no use of it.
    same = past().frame.assign(**{PACE: 12.0})
    untaught = AttritionModel().fit(same, past().time, past().event)
    assert PACE in untaught.columns_ and PACE not in untaught.customer_.columns_
    np.testing.assert_array_equal(model().value_at_risk(read), model().value_at_risk(frame))
    pd.testing.assert_frame_equal(model().line_attrition(read), model().line_attrition(frame))


def test_a_line_depends_on_no_order_and_on_no_other_customer():
    frame = later().frame
    found = model().line_attrition(frame)
    single = model().line_attrition(frame[5:6])
    of_five = found[found["row"] == 5].reset_index(drop=True).assign(row=0)
    pd.testing.assert_frame_equal(single, of_five)
    order = np.random.default_rng(4).permutation(len(frame))
    shuffled = model().line_attrition(frame.iloc[order][frame.columns[::-1]])
    back = shuffled.assign(row=order[shuffled["row"]]).sort_values(
        ["row", "line"], ignore_index=True
    )
    pd.testing.assert_frame_equal(back, found)


def test_missing_columns_and_invalid_input_are_named():
    frame = later().frame
    with pytest.raises(ValueError, match="trend_wealth"):
        model().probability(frame.drop(columns="trend_wealth"))
    with pytest.raises(ValueError, match="months_observed"):
        model().line_attrition(frame.drop(columns="months_observed"))
    bank = past()
    unpriced = AttritionModel().fit(bank.frame.drop(columns=PACE), bank.time, bank.event)
    with pytest.raises(ValueError, match=PACE):
        unpriced.value_at_risk(frame.drop(columns=PACE))
    with pytest.raises(ValueError, match="from 1 to the horizon of 12"):
        AttritionModel().fit(
            bank.frame, bank.time, bank.event, bank.groups, bank.lines.assign(months_held=13)
        )
