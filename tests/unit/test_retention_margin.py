"""Retention times margin on a simulated bank whose hazards and margins are known."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
import skops.io
from threadpoolctl import threadpool_limits

from ml.clv.retention_margin import (
    LineOutcomes,
    RetentionMarginModel,
    amortisation,
    monthly_discount,
)
from ml.evaluation.metrics import spearman
from ml.lines import contract_months, monthly_pace
from ml.measures import LAST_PERIOD, PACE
from ml.serving import TRUSTED_TYPES

HORIZON, LONG = 12, 36
LOANS = ("lending",)
GROWTH = {"retail": -0.2, "affluent": 0.3}
# Hazards a month.
ACTIVE, IDLE, REPAID_EARLY = 0.004, 0.05, 0.01
RATE = 0.08


class Bank:
    """Customers with deposits, with a loan, with both, or with nothing; months as they went.

    Deposits are lost at a hazard by the days since the last activity, and bring a margin
    that grows by the occupation. Loans are owed along a straight line to the end of their contract
    and may be repaid early. A line lost is lost at a moment of the month drawn at random. Cards,
    which nobody holds at first, are taken by `takers` of the students, in a month of the horizon
    drawn at random, and bring 20 a month from its middle on.
    """

    def __init__(self, n: int, seed: int, takers: float = 0.0) -> None:
        generator = np.random.default_rng(seed)
        self.has_deposits = generator.random(n) < 0.8
        self.has_loan = generator.random(n) < 0.4
        idle = generator.random(n) < 0.4
        occupation = generator.choice(list(GROWTH), n)
        student = generator.random(n) < 0.3
        pace = np.where(self.has_deposits, generator.lognormal(3, 0.8, n) - 5, 0)
        of_loan = np.where(self.has_loan, generator.lognormal(3, 0.5, n), 0)
        remaining = np.where(self.has_loan, generator.integers(2, 120, n), 0).astype(float)
        remaining[~self.has_loan] = np.nan
        self.frame = pd.DataFrame(
            {
                "age": np.where(student, 20, 50),
                "months_observed": 12,
                "occupation": occupation,
                "days_since_active": np.where(idle, 90, 3) + generator.integers(0, 5, n),
                "loans": self.has_loan.astype(int),
                "loan_remaining_months": remaining,
                "accounts_deposits": self.has_deposits.astype(int),
                "average_deposits_3m": 100 * pace,
                "contribution_deposits_3m": 3 * pace,
                "contribution_deposits_12m": 12 * pace,
                "accounts_lending": self.has_loan.astype(int),
                "contribution_lending_3m": 3 * of_loan,
                "accounts_cards": 0,
                "contribution_cards_3m": 0.0,
                LAST_PERIOD: 12 * (pace + of_loan),
                PACE: 12 * (pace + of_loan),
            }
        )
        month = np.arange(1, LONG + 1)
        hazards = {
            "deposits": np.where(idle, IDLE, ACTIVE),
            "lending": np.full(n, REPAID_EARLY),
        }
        growth = pd.Series(occupation).map(GROWTH).to_numpy(dtype=float)
        left = np.clip((remaining[:, None] - month + 0.5) / (remaining[:, None] + 1.5), 0, None)
        margins = {
            "deposits": np.repeat((pace * (1 + growth))[:, None], LONG, axis=1),
            "lending": of_loan[:, None] * np.nan_to_num(left),
        }
        self.held = {"deposits": self.has_deposits, "lending": self.has_loan}
        self.came, self.lost_in, self.expected = {}, {}, {}
        for line, hazard in hazards.items():
            end = generator.geometric(hazard) - generator.random(n)
            if line == "lending":
                # The contract's end closes the account.
                end = np.fmin(end, remaining)
            share = np.clip(end[:, None] - (month - 1), 0, 1)
            noise = generator.normal(1, 0.2, (n, LONG))
            self.came[line] = margins[line] * share * noise * self.held[line][:, None]
            self.lost_in[line] = np.ceil(end).astype(int)
            survival = (1 - hazard[:, None]) ** month
            self.expected[line] = (
                margins[line] * survival * (1 + 1 / (1 - hazard[:, None])) / 2
            ) * self.held[line][:, None]
        start = np.where(
            student & (generator.random(n) < takers),
            generator.integers(1, HORIZON + 1, n),
            LONG + 1,
        )
        on = np.where(month > start[:, None], 1.0, np.where(month == start[:, None], 0.5, 0))
        self.came_other = 20 * on
        self.expected_other = (
            20 * takers * student[:, None] * np.clip((month - 0.5) / HORIZON, 0, 1)
        )

    def realised(self, months: int, rate: float = 0.0) -> np.ndarray:
        came = sum(self.came.values()) + self.came_other
        return came[:, :months] @ (1 + rate) ** -((np.arange(months) + 0.5) / 12)

    def expectation(self, months: int, rate: float = 0.0) -> np.ndarray:
        expected = sum(self.expected.values()) + self.expected_other
        return expected[:, :months] @ (1 + rate) ** -((np.arange(months) + 0.5) / 12)

    def outcomes(self, horizon: int = HORIZON) -> LineOutcomes:
        discount = monthly_discount(RATE, horizon)
        lines, cells = [], []
        for line, came in self.came.items():
            rows = np.flatnonzero(self.held[line])
            lost_in = self.lost_in[line][rows]
            lived = np.minimum(lost_in, horizon)
            lines.append(
                pd.DataFrame(
                    {
                        "row": rows,
                        "customer_id": [f"C{row}" for row in rows],
                        "line": line,
                        "months_held": lived,
                        "is_lost": lost_in <= horizon,
                        "contribution": came[rows, :horizon].sum(axis=1),
                        "contribution_discounted": came[rows, :horizon] @ discount,
                    }
                )
            )
            for month in range(1, horizon + 1):
                at_risk = lived >= month
                lost = at_risk & (lost_in == month)
                pace = monthly_pace(self.frame.iloc[rows], line)
                cells.append(
                    pd.DataFrame(
                        {
                            "line": line,
                            "remaining": contract_months(self.frame.iloc[rows], line, LOANS),
                            "month": month,
                            "at_risk": 1,
                            "lost": lost.astype(int),
                            "pace": pace * np.where(lost, 0.5, 1),
                            "contribution": came[rows, month - 1],
                        }
                    )[at_risk]
                )
        return LineOutcomes(
            lines=pd.concat(lines).sort_values(["row", "line"], ignore_index=True),
            other=self.came_other[:, :horizon].sum(axis=1),
            other_discounted=self.came_other[:, :horizon] @ discount,
            profile=pd.concat(cells)
            .groupby(["line", "remaining", "month"], dropna=False)
            .sum()
            .reset_index(),
            horizon=horizon,
        )


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def past() -> Bank:
    return Bank(6000, seed=1)


@pytest.fixture(scope="module")
def later() -> Bank:
    return Bank(4000, seed=2)


@pytest.fixture(scope="module")
def learner(past: Bank) -> RetentionMarginModel:
    return RetentionMarginModel(seed=1, loan_lines=LOANS).fit(past.frame, past.outcomes())


@pytest.fixture(scope="module")
def with_takers() -> RetentionMarginModel:
    bank = Bank(6000, seed=1, takers=0.5)
    return RetentionMarginModel(seed=1, loan_lines=LOANS).fit(bank.frame, bank.outcomes())


def distance(predicted: np.ndarray, expected: np.ndarray) -> float:
    """Squared distance left, as a share of the expectation's variance."""
    return float(((predicted - expected) ** 2).mean() / expected.var())


# What is known beforehand.


def test_months_are_discounted_from_their_middle_by_hand():
    # 21 % a year: 1.21^(1/12) a month; half a month, one and a half, two and a half.
    monthly = 1.21 ** (1 / 12)
    np.testing.assert_allclose(
        monthly_discount(0.21, 3), [monthly**-0.5, monthly**-1.5, monthly**-2.5], rtol=1e-12
    )
    np.testing.assert_array_equal(monthly_discount(0, 4), np.ones(4))
    with pytest.raises(ValueError, match="above -1, got -1"):
        monthly_discount(-1, 3)


def test_a_loan_is_owed_along_a_straight_line_to_its_end_by_hand():
    # Three months to go: from the middle of the last quarter, four and a half months before the
    # end, on average 4.5 parts were owed; 2.5, 1.5 and 0.5 parts are in the months to come.
    np.testing.assert_allclose(
        amortisation(np.array([3.0, np.nan, 0.0, -2.0]), 5),
        [[2.5 / 4.5, 1.5 / 4.5, 0.5 / 4.5, 0, 0], [1] * 5, [0] * 5, [0] * 5],
    )


def test_the_contract_is_known_where_lending_is_loans_only():
    frame = pd.DataFrame(
        {
            "loans": pd.array([1, 1, 0, None], dtype="Int64"),
            "loan_remaining_months": pd.array([7, 7, None, None], dtype="Int64"),
            "accounts_lending": [1, 2, 1, 0],
        }
    )
    nothing = np.nan
    np.testing.assert_array_equal(
        contract_months(frame, "lending", LOANS), [7, nothing, nothing, nothing]
    )
    assert np.isnan(contract_months(frame, "deposits", LOANS)).all()
    assert np.isnan(contract_months(frame[["accounts_lending"]], "lending", LOANS)).all()


def test_the_pace_is_the_mean_of_the_last_quarter_or_of_the_observed_months():
    frame = pd.DataFrame(
        {"months_observed": [12, 3, 2, 1], "contribution_cards_3m": [9, 9, 9, 9.0]}
    )
    np.testing.assert_array_equal(monthly_pace(frame, "cards"), [3, 3, 4.5, 9])
    np.testing.assert_array_equal(monthly_pace(frame[["contribution_cards_3m"]], "cards"), [3] * 4)


# Where all is certain.


def certain(remaining: float = np.nan) -> tuple[pd.DataFrame, LineOutcomes]:
    """Nobody leaves and each month brings what the last ones brought; of a loan, what is owed."""
    n = 400
    line = "deposits" if np.isnan(remaining) else "lending"
    pace = np.linspace(-20, 100, n)
    frame = pd.DataFrame(
        {
            f"accounts_{line}": 1,
            f"contribution_{line}_3m": 3 * pace,
            "loans": 1,
            "loan_remaining_months": remaining,
            LAST_PERIOD: 12 * pace,
            PACE: 12 * pace,
        }
    )
    owed = np.ones(HORIZON)
    if line == "lending":
        owed = np.clip((remaining - np.arange(HORIZON) - 0.5) / (remaining + 1.5), 0, None)
    months = np.arange(1, HORIZON + 1)
    lines = pd.DataFrame(
        {
            "row": np.arange(n),
            "customer_id": [str(row) for row in range(n)],
            "line": line,
            "months_held": HORIZON,
            "is_lost": False,
            "contribution": pace * owed.sum(),
        }
    )
    profile = pd.DataFrame(
        {
            "line": line,
            "remaining": remaining,
            "month": months,
            "at_risk": n,
            "lost": 0,
            "pace": pace.sum(),
            "contribution": pace.sum() * owed,
        }
    )
    none = np.zeros(n)
    return frame, LineOutcomes(lines, none, none, profile, HORIZON)


def test_with_nobody_leaving_and_margins_constant_the_value_is_an_annuity():
    frame, outcomes = certain()
    model = RetentionMarginModel(annual_discount_rate=0.1, loan_lines=LOANS).fit(frame, outcomes)
    monthly = 1.1 ** (-1 / 12)
    pace = frame["contribution_deposits_3m"] / 3
    for months, predicted in (
        (12, model.predict(frame)),
        (36, model.predict_months(frame)),
        (5, model.predict_months(frame, 5)),
    ):
        annuity = monthly**0.5 * (1 - monthly**months) / (1 - monthly)
        np.testing.assert_allclose(predicted, pace * annuity, rtol=1e-9)
    # By hand: 0.797414 % a month; (1 − 1/1.1) / 0.00797414 × √1.00797414 payments for a year, and
    # (1 − 1/1.331) / 0.00797414 × √1.00797414 for three.
    hundred = frame.tail(1)
    assert model.predict(hundred)[0] == pytest.approx(100 * 11.4459, abs=0.01)
    assert model.predict_months(hundred)[0] == pytest.approx(100 * 31.3106, abs=0.01)


def test_without_a_rate_the_value_is_the_plain_sum():
    frame, outcomes = certain()
    model = RetentionMarginModel(loan_lines=LOANS).fit(frame, outcomes)
    np.testing.assert_allclose(model.predict(frame), frame[PACE], rtol=1e-9)


def test_a_loan_contributes_zero_after_its_end():
    frame, outcomes = certain(remaining=30.0)
    model = RetentionMarginModel(loan_lines=LOANS).fit(frame, outcomes)
    short = frame.assign(loan_remaining_months=5.0)
    by_month = np.diff(
        [model.predict_months(short, months)[-1] for months in range(1, 13)], prepend=0
    )
    # 4.5, 3.5 … of the 6.5 parts that were owed before, of 100 a month.
    np.testing.assert_allclose(by_month[:5], 100 * np.array([4.5, 3.5, 2.5, 1.5, 0.5]) / 6.5)
    np.testing.assert_allclose(by_month[5:], 0, atol=1e-9)
    np.testing.assert_allclose(model.predict_months(short, 36), model.predict_months(short, 5))


# What is to be learned.


def test_the_expected_value_of_the_horizon_is_recovered(learner, later):
    predicted, expected = learner.predict(later.frame), later.expectation(HORIZON)
    assert distance(predicted, expected) < 0.005
    assert spearman(expected, predicted) > 0.99
    assert predicted.sum() == pytest.approx(expected.sum(), rel=0.015)
    assert predicted.sum() == pytest.approx(later.realised(HORIZON).sum(), rel=0.02)


def test_the_value_of_three_years_is_recovered_from_one(learner, later):
    predicted, expected = learner.predict_months(later.frame, LONG), later.expectation(LONG)
    assert distance(predicted, expected) < 0.01
    assert spearman(expected, predicted) > 0.99
    assert predicted.sum() == pytest.approx(expected.sum(), rel=0.025)
    assert predicted.sum() == pytest.approx(later.realised(LONG).sum(), rel=0.03)
    # Three times the first year would be far off.
    assert 3 * learner.predict(later.frame).sum() > 1.2 * expected.sum()


@pytest.mark.parametrize("months", [HORIZON, LONG])
def test_the_discounted_value_is_recovered_with_the_same_model(learner, later, months):
    learner.set_params(annual_discount_rate=RATE)
    predicted = learner.predict_months(later.frame, months)
    learner.set_params(annual_discount_rate=0.0)
    expected = later.expectation(months, RATE)
    assert distance(predicted, expected) < 0.01
    assert predicted.sum() == pytest.approx(expected.sum(), rel=0.025)


def test_each_kind_of_customer_is_taken_at_its_own_hazard_and_growth(learner, later):
    """The total of each cell within three standard errors of what the luck of the months does."""
    cells = pd.DataFrame(
        {
            "idle": later.frame["days_since_active"] > 30,
            "occupation": later.frame["occupation"],
            "loan": later.has_loan,
            "apart": learner.predict(later.frame) - later.expectation(HORIZON),
            "luck": later.realised(HORIZON) - later.expectation(HORIZON),
        }
    ).groupby(["idle", "occupation", "loan"])
    error = cells["luck"].std() * np.sqrt(cells.size())
    assert len(error) == 8
    # Training has luck of its own, of about the same size.
    assert (cells["apart"].sum().abs() < 3 * np.sqrt(2) * error).all()


def test_the_total_over_the_training_cutoffs_is_right(learner, with_takers, past):
    assert learner.predict(past.frame).sum() == pytest.approx(past.realised(HORIZON).sum())
    bank = Bank(6000, seed=1, takers=0.5)
    assert with_takers.predict(bank.frame).sum() == pytest.approx(bank.realised(HORIZON).sum())


def test_new_business_is_the_mean_of_like_customers_also_for_those_without_a_line(with_takers):
    bank = Bank(4000, seed=3, takers=0.5)
    matrix, names = with_takers.contributions(bank.frame)
    found = matrix[:, names.index("new_business")]
    # A card taken in a random month brings half of twelve times 20: 120, taken by every other.
    students = (bank.frame["age"] == 20).to_numpy()
    assert found[students].mean() == pytest.approx(60, rel=0.1)
    assert abs(found[~students].mean()) < 3
    nothing = students & ~bank.has_deposits & ~bank.has_loan
    assert nothing.sum() > 50
    assert with_takers.predict(bank.frame[nothing]).mean() == pytest.approx(60, rel=0.2)
    assert distance(with_takers.predict(bank.frame), bank.expectation(HORIZON)) < 0.01


def test_new_business_beyond_the_horizon_is_no_more_than_its_mean_month_and_fades(with_takers):
    bank = Bank(4000, seed=3, takers=0.5)
    students = bank.frame[(bank.frame["age"] == 20) & ~bank.has_loan]
    nothing = students.assign(accounts_deposits=0, contribution_deposits_3m=0.0)
    year, three = with_takers.predict(nothing), with_takers.predict_months(nothing, 36)
    assert (three > 2 * year).all() and (three < 3 * year).all()


def test_a_profile_is_the_course_of_the_margins_of_remaining_customers():
    """Every third month brings all of the quarter's: as fund fees do."""
    frame, outcomes = certain()
    quarterly = np.tile([0.0, 0.0, 3.0], 4)
    course = 0.3 + 0.7 * quarterly
    profile = outcomes.profile.assign(
        contribution=outcomes.profile["pace"] * course, at_risk=1_000_000
    )
    outcomes = LineOutcomes(
        outcomes.lines, outcomes.other, outcomes.other_discounted, profile, HORIZON
    )
    model = RetentionMarginModel(loan_lines=LOANS).fit(frame, outcomes)
    np.testing.assert_allclose(model.profile_["deposits"], course / course.mean(), rtol=1e-3)
    assert model.run_off_["deposits"] == pytest.approx(1)


@pytest.mark.parametrize(("slope", "kept"), [(0.98, 0.98), (1.02, 1.0)])
def test_margins_that_fall_go_on_falling_and_those_that_grow_stop(slope, kept):
    frame, outcomes = certain()
    course = slope ** np.arange(HORIZON)
    lines = outcomes.lines.assign(contribution=outcomes.lines["contribution"] * course.mean())
    profile = outcomes.profile.assign(
        contribution=outcomes.profile["pace"] * course, at_risk=1_000_000
    )
    outcomes = LineOutcomes(lines, outcomes.other, outcomes.other_discounted, profile, HORIZON)
    model = RetentionMarginModel(loan_lines=LOANS).fit(frame, outcomes)
    assert model.run_off_["deposits"] == pytest.approx(kept, abs=1e-4)
    value = [model.predict_months(frame, months).sum() for months in (12, 24, 36)]
    second, third = value[1] - value[0], value[2] - value[1]
    assert third / second == pytest.approx(kept**12, abs=1e-3)
    if slope < 1:
        # The mean of a half year is that of its middle but for some hundredths of a percent; half a
        # month elsewhere would be one percent.
        assert second / value[0] == pytest.approx(slope**12, rel=0.002)


# The parts.


def test_the_parts_add_up_to_the_value_and_match_their_names(with_takers):
    bank = Bank(1000, seed=4, takers=0.5)
    matrix, names = with_takers.contributions(bank.frame)
    assert matrix.shape == (1000, len(names))
    assert len(set(names)) == len(names) == 4 * 3 + 1
    np.testing.assert_allclose(
        matrix.sum(axis=1), with_takers.predict(bank.frame), rtol=1e-9, atol=1e-9
    )
    parts = pd.DataFrame(matrix, columns=names)
    pace = bank.frame["contribution_deposits_3m"] / 3
    np.testing.assert_allclose(
        parts["pace_deposits"], with_takers.factor_ * 12 * pace, rtol=1e-9, atol=1e-9
    )
    # Nothing of a line not held; losses only from repayment and from attrition of what brings.
    assert (parts.loc[~bank.has_loan, [name for name in names if "lending" in name]] == 0).all(None)
    assert (parts["run_off_lending"] <= 0).all()
    assert (parts["attrition_lending"] <= 0).all()
    idle = (bank.frame["days_since_active"] > 30) & (pace > 0)
    lost = parts["attrition_deposits"] / parts["pace_deposits"]
    assert lost[idle].median() < 3 * lost[~idle & (pace > 0)].median() < 0


# How it behaves.


def test_a_stored_model_gives_the_same_predictions(with_takers, later, tmp_path):
    skops.io.dump(with_takers, tmp_path / "model.skops")
    trusted = [*TRUSTED_TYPES, "ml.clv.retention_margin.RetentionMarginModel"]
    loaded = skops.io.load(tmp_path / "model.skops", trusted=trusted)
    for months in (HORIZON, LONG):
        np.testing.assert_array_equal(
            loaded.predict_months(later.frame, months),
            with_takers.predict_months(later.frame, months),
        )


def test_the_same_seed_gives_the_same_model(past, later):
    part = Bank(1500, seed=6, takers=0.5)
    one, other = (
        RetentionMarginModel(seed=7, trees=10, most_rows=1000, loan_lines=LOANS)
        .fit(part.frame, part.outcomes())
        .predict(later.frame)
        for _ in range(2)
    )
    np.testing.assert_array_equal(one, other)


def test_a_customers_value_depends_on_no_order_and_on_no_other_customer(with_takers, later):
    whole = with_takers.predict_months(later.frame)
    order = np.random.default_rng(4).permutation(len(later.frame))
    shuffled = later.frame.iloc[order][later.frame.columns[::-1]]
    np.testing.assert_array_equal(with_takers.predict_months(shuffled), whole[order])
    np.testing.assert_array_equal(with_takers.predict_months(later.frame[10:11]), whole[10:11])
    assert with_takers.predict(later.frame[:0]).shape == (0,)


def test_lines_whose_columns_are_missing_are_left_out(past, later):
    lending = [name for name in past.frame if "lending" in name or "cards" in name]
    model = RetentionMarginModel(loan_lines=LOANS).fit(
        past.frame.drop(columns=lending), past.outcomes()
    )
    assert model.lines_ == ["deposits"]
    _, names = model.contributions(later.frame)
    assert not any("lending" in name or "cards" in name for name in names)
    assert not set(lending) & set(model.columns_)


def test_only_the_least_columns_of_a_line_are_needed(past, later):
    least = [
        name
        for name in past.frame
        if name.startswith("accounts_") or name.endswith("_3m") and "average" not in name
    ]
    model = RetentionMarginModel(loan_lines=LOANS).fit(past.frame[least], past.outcomes())
    assert set(model.columns_) == set(least)
    predicted = model.predict(later.frame[least])
    assert spearman(later.expectation(HORIZON), predicted) > 0.8


def test_the_learner_names_every_feature_that_is_missing(learner, later):
    with pytest.raises(ValueError, match=r"\['occupation', 'average_deposits_3m'\]"):
        learner.predict(later.frame.drop(columns=["average_deposits_3m", "occupation"]))


def test_invalid_training_data_and_requests_are_refused(learner, past, later):
    outcomes = past.outcomes()
    with pytest.raises(ValueError, match="expected 10 customers, got 6000"):
        RetentionMarginModel(loan_lines=LOANS).fit(past.frame[:10], outcomes)
    with pytest.raises(ValueError, match="no line has its columns"):
        RetentionMarginModel(loan_lines=LOANS).fit(past.frame[["age"]], outcomes)
    empty = LineOutcomes(outcomes.lines[:0], outcomes.other, outcomes.other, outcomes.profile, 12)
    with pytest.raises(ValueError, match="expected a line held"):
        RetentionMarginModel(loan_lines=LOANS).fit(past.frame, empty)
    with pytest.raises(ValueError, match="months is invalid: expected 1 or more, got 0"):
        learner.predict_months(later.frame, 0)


def test_a_short_history_gives_the_value_of_half_a_year():
    bank, later = Bank(5000, seed=8), Bank(3000, seed=9)
    model = RetentionMarginModel(seed=1, loan_lines=LOANS).fit(bank.frame, bank.outcomes(6))
    assert model.horizon_ == 6
    expected = later.expectation(6)
    assert distance(model.predict(later.frame), expected) < 0.005
    assert model.predict(later.frame).sum() == pytest.approx(expected.sum(), rel=0.02)


def test_intervals_set_on_one_period_cover_the_next_one(learner, later):
    learner.calibrate(later.frame, later.realised(HORIZON))
    after = Bank(4000, seed=5)
    point, low, high = learner.predict_interval(after.frame).T
    np.testing.assert_array_equal(point, learner.predict(after.frame))
    y = after.realised(HORIZON)
    error = np.sqrt(0.9 * 0.1 * 2 / 4000)
    assert abs(((low <= y) & (y <= high)).mean() - 0.9) < 3 * error
