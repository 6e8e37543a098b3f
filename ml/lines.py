"""Product lines of a customer: what a line brings, what precedes its end, and when it is lost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from ml.estimator import check_frame
from ml.hazard import DiscreteTimeHazard
from ml.measures import ANCHORS

# Months of the recent past whose mean is a line's pace: interest and fees come by the quarter.
SPAN = 3
# Columns of a line, less its name: accounts_deposits is accounts of the line deposits.
OF_A_LINE = (
    *("accounts", "balance", "average_{}_3m", "average_{}_12m", "trend"),
    *("contribution_{}_3m", "contribution_{}_12m"),
    *("opened_{}_1m", "opened_{}_3m", "opened_{}_12m"),
)
OF_A_CUSTOMER = (
    *("age", "tenure_months", "months_observed", "occupation", "monthly_income"),
    *("accounts", "joint_accounts", "accounts_opened_3m", "accounts_closed_12m"),
    *("days_since_active", "months_since_income", "trend_income", "trend_inflow"),
    *("trend_bookings", "trend_contribution_margin", "bookings_3m", "income_3m"),
    *("net_flow_3m", "net_flow_12m", "overdraft", "limit_used_share", "months_to_maturity"),
    *("credit_rate", "debit_rate", "loans", "loan_principal", "loan_remaining_months"),
    *("loan_outstanding_share", "days_past_due", "days_past_due_max_12m", "is_defaulted"),
    *("sentiment_12m", "complaints_3m", "complaints_12m", "interactions_3m", "contacts_3m"),
    *("wealth_invested_3m", "expected_loss_1m", "expected_loss_3m", "contribution_margin_1m"),
    *("fee_income_3m", "fee_income_12m", "loan_repayments_3m", "loan_instalment"),
)
LOANS = ("loans", "loan_remaining_months")
# What models go by that were stored before the lines of loans were an argument.
STORED_LOAN_LINES = ("lending",)
# Periods without a loss that the hazard learns from: the losses, fewer, carry the information.
MOST_PERIODS = 20_000
# Share of the lines held that calibrate: losses are many, and the newest give their level.
NEWEST = 0.5


def numbers(frame: pd.DataFrame, name: str) -> np.ndarray:
    """A column as floats, shape (n,); missing throughout where the frame does not have it."""
    if name not in frame.columns:
        return np.full(len(frame), np.nan)
    return pd.to_numeric(frame[name]).to_numpy(dtype=float, na_value=np.nan)


def monthly_pace(frame: pd.DataFrame, line: str) -> np.ndarray:
    """Monthly contribution of a line over the last quarter before the cut-off, shape (n,).

    Of customers with a shorter history, over that.
    """
    observed = numbers(frame, "months_observed")
    months = np.clip(np.where(np.isnan(observed), SPAN, observed), 1, SPAN)
    return np.nan_to_num(numbers(frame, f"contribution_{line}_{SPAN}m")) / months


def contract_months(frame: pd.DataFrame, line: str, loan_lines: Sequence[str]) -> np.ndarray:
    """Months after which the contract of a line ends, shape (n,); NaN where that is not known.

    Known of a line of loans where the customer has nothing but loans on such lines: a credit line
    beside them goes on.
    """
    if line not in loan_lines or any(name not in frame.columns for name in LOANS):
        return np.full(len(frame), np.nan)
    remaining = numbers(frame, "loan_remaining_months")
    held = [f"accounts_{one}" for one in loan_lines if f"accounts_{one}" in frame.columns]
    only_loans = numbers(frame, "loans") >= sum(numbers(frame, name) for name in held)
    return np.where(only_loans, remaining, np.nan)


def lines_of(frame: pd.DataFrame) -> list[str]:
    """Lines of which the frame has the least: accounts_<line> and contribution_<line>_3m.

    In the order of the frame's columns.

    Raises
    ------
    ValueError
        When there is none.
    """
    held = [str(name) for name in frame.columns if str(name).startswith("accounts_")]
    named = [name.removeprefix("accounts_") for name in held]
    lines = [line for line in named if f"contribution_{line}_{SPAN}m" in frame.columns]
    if not lines:
        raise ValueError("no line has its columns accounts_<line> and contribution_<line>_3m")
    return lines


def line_columns(frame: pd.DataFrame, lines: Sequence[str]) -> list[str]:
    """Columns of the frame that `line_frame` reads for these lines, in the frame's order."""
    wanted = {*ANCHORS, *OF_A_CUSTOMER}
    wanted |= {_column(name, line) for line in lines for name in OF_A_LINE}
    return [str(name) for name in frame.columns if name in wanted]


def held_rows(frame: pd.DataFrame, line: str) -> np.ndarray:
    """Places of the customers who hold a line, ascending."""
    return np.flatnonzero(np.nan_to_num(numbers(frame, f"accounts_{line}")) > 0)


def line_frame(
    frame: pd.DataFrame, line: str, lines: Sequence[str], loan_lines: Sequence[str]
) -> pd.DataFrame:
    """The compact frame of one line: columns that mean the same for every line, and the customer's.

    One row for each row of the frame, whether the line is held or not. A line is known by its place
    among `lines`.
    """
    columns: dict[str, np.ndarray | pd.Series] = {
        "line": np.full(len(frame), lines.index(line), dtype=np.float32)
    }
    for name in OF_A_LINE:
        values = numbers(frame, _column(name, line))
        columns["line_" + name.replace("{}_", "")] = values.astype(np.float32)
    pace, average = monthly_pace(frame, line), numbers(frame, f"average_{line}_3m")
    observed = numbers(frame, "months_observed")
    months = np.clip(np.where(np.isnan(observed), 12, observed), 1, 12)
    long = numbers(frame, f"contribution_{line}_12m") / months
    size = np.abs(average) + 1
    columns["contract_months"] = contract_months(frame, line, loan_lines)
    columns["line_pace"] = pace
    columns["line_turn"] = (pace - long) / (np.abs(pace) + np.abs(long) + 1)
    columns["line_yield"] = pace / size
    columns["line_drift"] = (numbers(frame, f"balance_{line}") - average) / size
    for name in (*OF_A_CUSTOMER, *ANCHORS):
        if name in frame.columns:
            columns[name] = (
                numbers(frame, name).astype(np.float32)
                if pd.api.types.is_numeric_dtype(frame[name])
                else frame[name].reset_index(drop=True)
            )
    return pd.DataFrame(columns)


def line_rows(
    frame: pd.DataFrame, held: pd.DataFrame, lines: Sequence[str], loan_lines: Sequence[str]
) -> pd.DataFrame:
    """The compact frame of the lines held (columns row, line), in the order of `held`."""
    held = held.reset_index(drop=True)
    parts = []
    for line, of_line in held.groupby("line", sort=False):
        rows = line_frame(frame.iloc[of_line["row"]], str(line), lines, loan_lines)
        parts.append(rows.set_index(of_line.index))
    return pd.concat(parts).loc[held.index].reset_index(drop=True)


class LineHazard(BaseEstimator):
    """When a product line that a customer holds is lost: one hazard for all lines, by quarter.

    A boosted discrete-time hazard (`ml.hazard`) on the compact frame of customer and line, in which
    a column means the same whatever the line: lines held by few borrow from the others what an idle
    customer or a falling balance means. The hazard of a quarter is spread evenly, as a constant
    one, over its months; where the horizon is not made of quarters the periods are months.

    Where fewer customers lost a line than there are folds, or every line was lost, the common rate
    of all lines is used for everybody.

    Parameters
    ----------
    seed : int
    most_rows : int
        Customers and lines from which is learned; of more, a fixed sample.
    loan_lines : sequence of str
        Lines whose accounts are loans, which end with their contract.

    Attributes
    ----------
    columns_ : list of str, the columns of the frame that are read
    lines_ : list of str
    horizon_ : int, months
    step_ : int, months of a period
    steady_hazard_ : float, of a period: losses by periods at risk, all lines together
    hazard_ : DiscreteTimeHazard or None, by period
    """

    loan_lines: Sequence[str] = STORED_LOAN_LINES

    def __init__(
        self, seed: int = 0, most_rows: int = 300_000, loan_lines: Sequence[str] = ()
    ) -> None:
        self.seed = seed
        self.most_rows = most_rows
        self.loan_lines = loan_lines

    def fit(self, frame: pd.DataFrame, held: pd.DataFrame, horizon: int) -> LineHazard:
        """Learn from features at past cut-offs, oldest first, and when the lines held were lost.

        Parameters
        ----------
        frame : frame of shape (n, features); of the columns of a line only accounts_<line> and
            contribution_<line>_3m must be there
        held : one row for each row of the frame and line held, ordered by both: row (place in the
            frame), line, customer_id, months_held (the month in which the line was lost, else the
            horizon), is_lost; as `ml.clv.retention_margin.LineOutcomes.lines`
        horizon : int, months

        Raises
        ------
        ValueError
            When no line's columns are in the frame, no line was held, a place is not in the frame,
            or months held lie outside the horizon.
        """
        self.lines_ = lines_of(check_frame(frame))
        held = held[held["line"].isin(self.lines_)].reset_index(drop=True)
        if held.empty:
            raise ValueError("nobody held a line at the cut-offs; there is nothing to learn")
        if not held["row"].between(0, len(frame) - 1).all():
            raise ValueError(f"lines held are of other customers than the {len(frame)} rows")
        if not held["months_held"].between(1, horizon).all():
            raise ValueError(f"months held must be from 1 to the horizon of {horizon}")
        if len(held) > self.most_rows:
            held = held.sample(self.most_rows, random_state=self.seed).sort_index()
        self.horizon_ = int(horizon)
        self.step_ = SPAN if self.horizon_ % SPAN == 0 else 1
        self.columns_ = line_columns(frame, self.lines_)
        time = -(-held["months_held"].to_numpy(dtype=int) // self.step_)
        event = held["is_lost"].to_numpy(dtype=bool)
        groups = held["customer_id"].to_numpy()
        self.steady_hazard_ = float(event.sum() / time.sum())
        self.hazard_: DiscreteTimeHazard | None = None
        model = DiscreteTimeHazard(
            seed=self.seed,
            periods=self.horizon_ // self.step_,
            most_rows=MOST_PERIODS,
            newest_share=NEWEST,
        )
        if not event.all() and len(pd.unique(groups[event])) >= model.folds:
            rows = line_rows(frame[self.columns_], held, self.lines_, self.loan_lines)
            self.hazard_ = model.fit(rows, time, event, groups=groups)
        return self

    def survival(self, frame: pd.DataFrame, line: str, months: int) -> np.ndarray:
        """Probability that a line is still held at the end of months 1, 2, …; (n, months).

        Of every row of the frame as of one who holds the line. Beyond the horizon the mean hazard
        of its last two periods persists.

        Raises
        ------
        ValueError
            When columns that were there when fitting are missing.
        """
        check_is_fitted(self)
        check_frame(frame, self.columns_)
        hazard = np.full((len(frame), self.horizon_ // self.step_), self.steady_hazard_)
        if self.hazard_ is not None:
            rows = line_frame(frame[self.columns_], line, self.lines_, self.loan_lines)
            hazard = self.hazard_.hazard(rows)
        by_month = np.repeat(1 - (1 - hazard) ** (1 / self.step_), self.step_, axis=1)[:, :months]
        last = by_month[:, -2 * self.step_ :].mean(axis=1, keepdims=True)
        later = np.repeat(last, max(0, months - self.horizon_), axis=1)
        return np.cumprod(1 - np.column_stack([by_month, later]), axis=1)


def _column(name: str, line: str) -> str:
    return name.format(line) if "{}" in name else f"{name}_{line}"
