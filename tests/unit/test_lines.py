"""Lines: what is read of them, worked by hand, and hazards of a bank whose hazards are known."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
import skops.io

from ml.evaluation.metrics import spearman
from ml.lines import (
    LineHazard,
    contract_months,
    held_rows,
    line_columns,
    line_frame,
    line_rows,
    lines_of,
    monthly_pace,
)
from ml.measures import LAST_PERIOD, PACE
from ml.serving import TRUSTED_TYPES

HORIZON = 12
# In the order in which models number them, and those of loans.
LINES = ("deposits", "wealth", "cards", "agency", "lending")
LOANS = ("lending",)
# Hazards a month of lines held by customers who are active, and who are idle.
HAZARDS = {"deposits": (0.005, 0.04), "wealth": (0.02, 0.02), "cards": (0.002, 0.03)}


class Bank:
    """Customers who each hold a line with probability one half and lose it at a known hazard."""

    def __init__(self, n: int, seed: int) -> None:
        generator = np.random.default_rng(seed)
        idle = generator.random(n) < 0.3
        columns: dict[str, object] = {
            "age": generator.integers(18, 90, n),
            "occupation": generator.choice(["retail", "affluent"], n),
            "days_since_active": np.where(idle, 60, 2) + generator.integers(0, 9, n),
            "months_observed": 12,
            "of_no_line": generator.normal(size=n),
        }
        parts = []
        for line, hazard in HAZARDS.items():
            held = generator.random(n) < 0.6
            columns[f"accounts_{line}"] = held.astype(int)
            columns[f"contribution_{line}_3m"] = held * generator.normal(30, 5, n)
            monthly = np.where(idle, hazard[1], hazard[0])
            lost_in = generator.geometric(monthly)
            parts.append(
                pd.DataFrame(
                    {
                        "row": np.arange(n),
                        "line": line,
                        "customer_id": [f"C{number}" for number in range(n)],
                        "months_held": np.minimum(lost_in, HORIZON),
                        "is_lost": lost_in <= HORIZON,
                        "idle": idle,
                        "hazard": monthly,
                    }
                )[held]
            )
        self.frame = pd.DataFrame(columns)
        self.held = pd.concat(parts).sort_values(["row", "line"], ignore_index=True)

    def with_probability(self, model: LineHazard, months: int = HORIZON) -> pd.DataFrame:
        """The lines held, with the probability of a loss that the model gives."""
        held = self.held.assign(predicted=np.nan)
        for line, of_line in held.groupby("line"):
            survival = model.survival(self.frame.iloc[of_line["row"]], str(line), months)
            held.loc[of_line.index, "predicted"] = 1 - survival[:, -1]
        return held.assign(true=1 - (1 - held["hazard"]) ** months)


@cache
def past() -> Bank:
    return Bank(6000, seed=1)


@cache
def later() -> Bank:
    return Bank(3000, seed=2)


@cache
def model() -> LineHazard:
    return LineHazard(seed=1).fit(past().frame, past().held, HORIZON)


# What is read of a line.


def test_the_pace_is_the_mean_month_of_the_last_quarter_or_of_the_observed_months():
    frame = pd.DataFrame(
        {
            "months_observed": [30, 3, 2, 1, 0, None],
            "contribution_cards_3m": [60.0, -9.0, 10.0, 7.0, 4.0, 3.0],
        }
    )
    np.testing.assert_allclose(monthly_pace(frame, "cards"), [20, -3, 5, 7, 4, 1])
    np.testing.assert_array_equal(monthly_pace(frame, "wealth"), np.zeros(6))
    whole = frame.drop(columns="months_observed")
    np.testing.assert_allclose(monthly_pace(whole, "cards")[0], 20)


def test_the_end_of_a_contract_is_known_of_lending_that_is_loans_only():
    frame = pd.DataFrame(
        {
            "loans": [1, 1, 0],
            "accounts_lending": [1, 2, 1],
            "loan_remaining_months": [7.0, 7.0, None],
        }
    )
    np.testing.assert_array_equal(contract_months(frame, "lending", LOANS), [7, np.nan, np.nan])
    assert np.isnan(contract_months(frame, "cards", LOANS)).all()
    assert np.isnan(contract_months(frame[["accounts_lending"]], "lending", LOANS)).all()


def test_a_lines_own_columns_are_put_under_common_names():
    frame = pd.DataFrame(
        {
            "months_observed": [4],
            "accounts_wealth": [2],
            "balance_wealth": [90.0],
            "average_wealth_3m": [99.0],
            "contribution_wealth_3m": [30.0],
            "contribution_wealth_12m": [20.0],
            "balance_cards": [-1.0],
            "age": [40],
            PACE: [77.0],
            "of_no_line": [5.0],
        },
        index=[8],
    )
    row = line_frame(frame, "wealth", LINES, LOANS).iloc[0]
    assert row["line_accounts"] == 2
    assert row["line_balance"] == 90
    assert row["line_average_3m"] == 99
    # A pace of 10 a month against 5 over the four months observed: 5 of 10 + 5 + 1.
    assert row["line_pace"] == 10
    assert row["line_turn"] == pytest.approx(5 / 16)
    assert row["line_yield"] == pytest.approx(10 / 100)
    assert row["line_drift"] == pytest.approx(-9 / 100)
    assert row["age"] == 40 and row[PACE] == 77
    assert "of_no_line" not in row and not any("cards" in name for name in row.index)
    # A line of which the frame has nothing has the same columns.
    assert list(line_frame(frame, "agency", LINES, LOANS).columns) == list(row.index)


def test_the_rows_of_lines_held_are_their_frames_one_by_one_in_the_same_order():
    bank = Bank(40, seed=3)
    held = bank.held.sample(frac=1, random_state=0)
    rows = line_rows(bank.frame, held, LINES, LOANS)
    single = pd.concat(
        [
            line_frame(bank.frame.iloc[[row]], line, LINES, LOANS)
            for row, line in zip(held["row"], held["line"], strict=True)
        ],
        ignore_index=True,
    )
    pd.testing.assert_frame_equal(rows, single)


def test_lines_and_columns_are_those_that_the_frame_has():
    frame = Bank(5, seed=1).frame
    assert lines_of(frame) == ["deposits", "wealth", "cards"]
    assert lines_of(frame.drop(columns="contribution_cards_3m")) == ["deposits", "wealth"]
    with pytest.raises(ValueError, match="no line has its columns"):
        lines_of(frame[["age", "accounts_cards"]])
    read = line_columns(frame, ["cards"])
    assert read == [
        *("age", "occupation", "days_since_active", "months_observed"),
        *("accounts_cards", "contribution_cards_3m"),
    ]
    assert line_columns(frame.assign(**{LAST_PERIOD: 1.0}), ["cards"]) == [*read, LAST_PERIOD]


def test_a_line_is_held_with_at_least_one_account():
    frame = pd.DataFrame({"accounts_cards": [0, 2, None, 1]})
    np.testing.assert_array_equal(held_rows(frame, "cards"), [1, 3])
    assert held_rows(frame, "wealth").size == 0


# What is learned.


def test_each_line_and_kind_of_customer_is_taken_at_its_own_hazard():
    """The losses expected in each cell are within three standard errors of the true number."""
    found = later().with_probability(model())
    cells = found.groupby(["line", "idle"])[["predicted", "true"]].agg(["sum", "size"])
    assert len(cells) == 6
    true, size = cells["true", "sum"], cells["true", "size"]
    # The luck of the training, twice as many, is what sets the two apart.
    error = np.sqrt(true * (1 - true / size) / 2)
    assert ((cells["predicted", "sum"] - true).abs() < 3 * error).all()


def test_lines_are_ordered_as_their_true_probabilities_are():
    found = later().with_probability(model())
    assert spearman(found["true"].to_numpy(), found["predicted"].to_numpy()) > 0.9
    # Wealth is lost by the idle no more than by others: what is learned of one line is not laid on
    # another.
    wealth = found[found["line"] == "wealth"].groupby("idle")["predicted"].mean()
    assert wealth[True] / wealth[False] < 1.3


def test_survival_beyond_the_horizon_is_that_of_the_last_hazards_going_on():
    found = later().with_probability(model(), 36)
    assert found["predicted"].sum() == pytest.approx(found["true"].sum(), rel=0.1)
    survival = model().survival(later().frame, "deposits", 36)
    hazard = 1 - survival[:, 1:] / survival[:, :-1]
    for month in (12, 20, 34):
        np.testing.assert_allclose(hazard[:, month], hazard[:, 5:11].mean(axis=1), rtol=1e-9)


def test_a_quarters_hazard_is_the_same_in_its_months_and_shorter_courses_are_the_same():
    survival = model().survival(later().frame, "cards", HORIZON)
    assert survival.shape == (3000, HORIZON)
    assert ((survival > 0) & (survival < 1)).all() and (np.diff(survival) < 0).all()
    before = np.column_stack([np.ones(3000), survival[:, :-1]])
    hazard = (1 - survival / before).reshape(3000, 4, 3)
    np.testing.assert_allclose(hazard, hazard[:, :, :1].repeat(3, axis=2), rtol=1e-9)
    np.testing.assert_array_equal(model().survival(later().frame, "cards", 5), survival[:, :5])


def test_a_horizon_not_made_of_quarters_is_learned_month_by_month():
    held = past().held
    short = held.assign(
        is_lost=held["is_lost"] & (held["months_held"] <= 4),
        months_held=held["months_held"].clip(upper=4),
    )
    monthly = LineHazard().fit(past().frame, short, 4)
    assert monthly.step_ == 1
    found = later().with_probability(monthly, 4)
    assert found["predicted"].sum() == pytest.approx(found["true"].sum(), rel=0.1)


def test_with_too_few_losses_the_rate_of_all_lines_holds_for_every_customer():
    frame = Bank(10, seed=1).frame
    held = pd.DataFrame(
        {
            "row": range(10),
            "line": "cards",
            "customer_id": [f"C{number}" for number in range(10)],
            "months_held": [4] + [12] * 9,
            "is_lost": [True] + [False] * 9,
        }
    )
    rare = LineHazard().fit(frame, held, HORIZON)
    # One loss in 9 × 4 + 2 quarters at risk.
    survival = rare.survival(frame, "cards", 24)
    np.testing.assert_allclose(survival[:, 2], 37 / 38)
    np.testing.assert_allclose(survival[:, 23], (37 / 38) ** 8)
    never = LineHazard().fit(frame, held.assign(is_lost=False, months_held=12), HORIZON)
    np.testing.assert_array_equal(never.survival(frame, "wealth", 36), np.ones((10, 36)))


def test_a_sample_of_the_lines_teaches_the_same_rates():
    part = LineHazard(seed=2, most_rows=4000).fit(past().frame, past().held, HORIZON)
    found = later().with_probability(part)
    assert found["predicted"].sum() == pytest.approx(found["true"].sum(), rel=0.1)
    assert part.steady_hazard_ != model().steady_hazard_


def test_the_newest_rows_set_the_level_also_of_a_sample():
    """Nobody lost a line before: what is expected is what happened of late."""
    before, since = Bank(3000, seed=5), past()
    quiet = before.held.assign(is_lost=False, months_held=HORIZON)
    frame = pd.concat([before.frame, since.frame[:3000]], ignore_index=True)
    newest = since.held[since.held["row"] < 3000]
    held = pd.concat([quiet, newest.assign(row=newest["row"] + 3000)], ignore_index=True)
    part = LineHazard(seed=2, most_rows=5000).fit(frame, held, HORIZON)
    found = later().with_probability(part)
    assert found["predicted"].sum() == pytest.approx(found["true"].sum(), rel=0.15)


# How it behaves.


def test_a_customers_line_depends_on_no_order_and_on_no_other_customer():
    frame = later().frame
    whole = model().survival(frame, "deposits", 36)
    order = np.random.default_rng(4).permutation(len(frame))
    shuffled = frame.iloc[order][frame.columns[::-1]]
    np.testing.assert_array_equal(model().survival(shuffled, "deposits", 36), whole[order])
    np.testing.assert_array_equal(model().survival(frame[7:8], "deposits", 36), whole[7:8])
    assert model().survival(frame[:0], "deposits", 36).shape == (0, 36)


def test_a_stored_hazard_gives_the_same_survival(tmp_path):
    skops.io.dump(model(), tmp_path / "model.skops")
    loaded = skops.io.load(tmp_path / "model.skops", trusted=TRUSTED_TYPES)
    np.testing.assert_array_equal(
        loaded.survival(later().frame, "wealth", 36), model().survival(later().frame, "wealth", 36)
    )


def test_a_hazard_stored_before_loan_lines_were_an_argument_gives_the_same_survival(tmp_path):
    frame = past().frame.assign(
        accounts_lending=past().frame["accounts_wealth"],
        contribution_lending_3m=past().frame["contribution_wealth_3m"],
        loans=1,
        loan_remaining_months=np.arange(len(past().frame)) % 40,
    )
    held = past().held.replace({"line": {"wealth": "lending"}})
    fitted = LineHazard(seed=1, loan_lines=LOANS).fit(frame, held, HORIZON)
    expected = fitted.survival(frame, "lending", HORIZON)
    del fitted.__dict__["loan_lines"]
    skops.io.dump(fitted, tmp_path / "model.skops")
    loaded = skops.io.load(tmp_path / "model.skops", trusted=TRUSTED_TYPES)
    np.testing.assert_array_equal(loaded.survival(frame, "lending", HORIZON), expected)
    fitted.loan_lines = ()
    assert (fitted.survival(frame, "lending", HORIZON) != expected).any()


def test_only_the_columns_named_are_read_and_all_that_are_missing_are_named():
    frame = later().frame
    np.testing.assert_array_equal(
        model().survival(frame[model().columns_], "cards", HORIZON),
        model().survival(frame, "cards", HORIZON),
    )
    assert "of_no_line" not in model().columns_
    with pytest.raises(ValueError, match=r"\['age', 'accounts_wealth'\]"):
        model().survival(frame.drop(columns=["age", "accounts_wealth"]), "cards", HORIZON)


def test_invalid_training_data_are_refused():
    frame, held = past().frame, past().held
    with pytest.raises(ValueError, match="no line has its columns"):
        LineHazard().fit(frame[["age"]], held, HORIZON)
    with pytest.raises(ValueError, match="nobody held a line"):
        LineHazard().fit(frame, held[:0], HORIZON)
    with pytest.raises(ValueError, match="of other customers than the 10 rows"):
        LineHazard().fit(frame[:10], held, HORIZON)
    with pytest.raises(ValueError, match="from 1 to the horizon of 6"):
        LineHazard().fit(frame, held, 6)
