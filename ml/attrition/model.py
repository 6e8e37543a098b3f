"""Attrition of customers, and of each product line that they hold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from ml.estimator import ProbabilityClassifier, check_frame
from ml.hazard import DiscreteTimeHazard
from ml.lines import STORED_LOAN_LINES, LineHazard, held_rows, monthly_pace
from ml.measures import PACE

# Increase it when this code can no longer read stored models: champions are then trained again.
FORMAT = "3"
OF_A_LINE_LOST = ("row", "line", "p_attrition", "value_at_risk")


class AttritionModel(ProbabilityClassifier):
    """Monthly hazard that the customer leaves, and that each product line held is lost.

    A customer leaves by closing the last account: the discrete-time hazard of `ml.hazard`. If the
    outcomes of lines are known, `ml.lines.LineHazard` models the loss of a line.

    A customer who leaves loses every line, so that no line can be safer than the customer: a line
    is lost by leaving or, as a competing risk, by a customer who stays. `LineHazard` models the
    second, with leaving as censoring; the survival of a line is the product of both. (The larger of
    two separate hazards would be coherent, too, but too high where both estimate one event.)

    Parameters
    ----------
    seed : int
    periods : int
        Months of the horizon.
    loan_lines : sequence of str
        Lines whose accounts are loans, which end with their contract.
    by : str, optional
        Column of the groups that the hazard of leaving is corrected for (`ml.by_group.ByGroup`).

    Attributes
    ----------
    customer_ : DiscreteTimeHazard
    line_ : LineHazard or None, of losses by customers who stay
    columns_ : list of str, the columns that either reads, in the frame's order; with the pace of
        the customer's contribution, where the frame has it
    classes_ : array of 0 and 1
    """

    loan_lines: Sequence[str] = STORED_LOAN_LINES

    def __init__(
        self,
        seed: int = 0,
        periods: int = 12,
        loan_lines: Sequence[str] = (),
        by: str | None = None,
    ) -> None:
        self.seed = seed
        self.periods = periods
        self.loan_lines = loan_lines
        self.by = by

    def fit(
        self,
        frame: pd.DataFrame,
        time: np.ndarray,
        event: np.ndarray,
        groups: np.ndarray | None = None,
        lines: pd.DataFrame | None = None,
    ) -> AttritionModel:
        """Learn from features at past cut-offs, oldest first, and what happened after them.

        Parameters
        ----------
        frame : frame of shape (n, features), as known at the cut-offs
        time : array of shape (n,), 1 to `periods`: the month in which the customer left, or the
            last one observed without it
        event : array of shape (n,), whether the customer left
        groups : array of shape (n,), the customer of each row; None where each row is its own
        lines : one row for each row of the frame and line held, ordered by both, with row, line,
            customer_id, months_held and is_lost within `periods` (as
            `ml.clv.retention_margin.LineOutcomes.lines`); None or empty if unknown: lines are then
            not modelled

        Raises
        ------
        ValueError
            As `DiscreteTimeHazard.fit` and `LineHazard.fit`.
        """
        self.customer_ = DiscreteTimeHazard(seed=self.seed, periods=self.periods, by=self.by).fit(
            frame, time, event, groups
        )
        self.classes_ = self.customer_.classes_
        self.line_: LineHazard | None = None
        if lines is not None and len(lines):
            self.line_ = LineHazard(seed=self.seed, loan_lines=self.loan_lines).fit(
                frame,
                _lost_by_those_who_stay(lines, np.asarray(time), np.asarray(event)),
                self.periods,
            )
        read = {PACE, *self.customer_.columns_, *(self.line_.columns_ if self.line_ else ())}
        self.columns_ = [str(name) for name in frame.columns if name in read]
        return self

    def survival(self, frame: pd.DataFrame) -> np.ndarray:
        """Probability that the customer is still there at the end of each month; (n, periods)."""
        check_is_fitted(self)
        return self.customer_.survival(frame)

    def probability(self, frame: pd.DataFrame) -> np.ndarray:
        """Probability that the customer leaves within the horizon, shape (n,)."""
        check_is_fitted(self)
        return self.customer_.probability(frame)

    def expected_lead_time(self, frame: pd.DataFrame) -> np.ndarray:
        """Expected month of leaving, given that it is within the horizon; shape (n,)."""
        check_is_fitted(self)
        return self.customer_.expected_lead_time(frame)

    def contributions(self, frame: pd.DataFrame) -> tuple[np.ndarray, list[str]]:
        """What each feature adds to the customer's log-odds, shape (n, features), and the names."""
        check_is_fitted(self)
        return self.customer_.contributions(frame)

    def value_at_risk(self, frame: pd.DataFrame) -> np.ndarray:
        """Probability of leaving × what the customer brings at the present pace; shape (n,).

        In currency units over the horizon, to which the column `ml.measures.PACE` must be scaled.
        0 for customers of negative value.

        Raises
        ------
        ValueError
            When the pace or a feature that was there when fitting is missing.
        """
        check_is_fitted(self)
        check_frame(frame)
        if PACE not in frame.columns:
            raise ValueError(f"features are invalid: missing {PACE}, which the value at risk needs")
        pace = np.nan_to_num(frame[PACE].to_numpy(dtype=float))
        return self.probability(frame) * np.maximum(pace, 0)

    def line_attrition(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The probability of losing each line held within the horizon, and the value at risk.

        The probability is at least the customer's own. The values at risk of the lines need not add
        up to the customer's: lines are lost by customers who stay.

        Returns
        -------
        frame ordered by row and line, empty where nothing was learned of lines:
            row : int, place in the frame
            line
            p_attrition : float
            value_at_risk : float, currency units: p_attrition × the line's monthly pace × periods,
                0 where the line costs more than it brings

        Raises
        ------
        ValueError
            When a feature that was there when fitting is missing.
        """
        check_is_fitted(self)
        parts = [] if self.line_ is None else self._of_lines(frame, self.line_)
        if not parts:
            nothing = pd.DataFrame({name: np.empty(0) for name in OF_A_LINE_LOST})
            return nothing.astype({"row": int, "line": str})
        return pd.concat(parts).sort_values(["row", "line"], ignore_index=True)

    def _of_lines(self, frame: pd.DataFrame, model: LineHazard) -> list[pd.DataFrame]:
        parts = []
        leaves = self.probability(frame)
        for line in model.lines_:
            rows = held_rows(frame, line)
            if not len(rows):
                continue
            held = frame.iloc[rows]
            kept = model.survival(held, line, self.periods)[:, -1]
            probability = 1 - (1 - leaves[rows]) * kept
            brings = np.maximum(monthly_pace(held, line) * self.periods, 0)
            parts.append(
                pd.DataFrame(
                    {
                        "row": rows,
                        "line": line,
                        "p_attrition": probability,
                        "value_at_risk": probability * brings,
                    }
                )
            )
        return parts


def _lost_by_those_who_stay(
    lines: pd.DataFrame, time: np.ndarray, event: np.ndarray
) -> pd.DataFrame:
    """The lines held; those lost by leaving are censored in that month."""
    row = lines["row"].to_numpy()
    by_leaving = event.astype(bool)[row] & (lines["months_held"].to_numpy() >= time[row])
    return lines.assign(is_lost=lines["is_lost"].to_numpy(dtype=bool) & ~by_leaving)
