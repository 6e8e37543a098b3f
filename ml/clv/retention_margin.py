"""Customer lifetime value as retention times margin: by product line, month by month."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import threadpool_limits

from ml.clv.interval import ConformalInterval
from ml.encoding import MOST_BINS, Binner, FrameEncoder, with_values
from ml.estimator import check_frame
from ml.lines import (
    OF_A_CUSTOMER,
    SPAN,
    STORED_LOAN_LINES,
    LineHazard,
    held_rows,
    line_columns,
    line_frame,
    line_rows,
    lines_of,
)
from ml.measures import ANCHORS

# Weight, in customers, of a flat profile against the observed one.
FLAT = 100
# Increase it when this code can no longer read stored models: champions are then trained again.
FORMAT = "2"


def monthly_discount(annual_rate: float, months: int) -> np.ndarray:
    """Discount factors of months 1, 2, …, shape (months,): (1 + annual_rate)^−((t − ½) / 12).

    Of the middle of the month: margin accrues over it.

    Raises
    ------
    ValueError
        For a rate of −1 or less.
    """
    if not annual_rate > -1:
        raise ValueError(f"annual_rate is invalid: expected a number above -1, got {annual_rate}")
    return (1 + annual_rate) ** -((np.arange(months) + 0.5) / 12)


def amortisation(remaining: np.ndarray, months: int) -> np.ndarray:
    """The share of a loan's recent balance owed on average in months 1, 2, …; (n, months).

    A straight line to 0 at the end of the contract, from the quarter before the cut-off, whose mean
    is the pace; 1 throughout if the end is unknown. The margin learns the later repayment of equal
    instalments.
    """
    middle = np.arange(months) + 0.5
    left = np.asarray(remaining, dtype=float)[:, None]
    share = np.clip((left - middle) / (np.maximum(left, 0) + SPAN / 2), 0, 1)
    return np.where(np.isnan(left), 1.0, share)


@dataclass(frozen=True)
class LineOutcomes:
    """The outcomes of the lines that the customers of a frame held at its cut-offs.

    Attributes
    ----------
    lines : one row for each row of the frame and line held, ordered by both:
        row : int, place in the frame
        customer_id, cutoff, line
        months_held : int, the month after the cut-off in which the line was lost, else the horizon
        is_lost : bool
        contribution, contribution_discounted : float, of months 1 to months_held
    other : array of shape (rows of the frame,), contribution of the horizon from what was not held:
        lines not held at the cut-off, and lines taken up again after they were lost
    other_discounted : the same, discounted
    profile : one row a line, remaining contract and month, all cut-offs together:
        line
        remaining : float, `contract_months` at the cut-off
        month : int, 1 to the horizon
        at_risk, lost : int, customers with the line as the month begins, and who lose it in it
        pace : float, the sum of their `monthly_pace`; of those who lose the line, half of it
        contribution : float, what they brought in the month
    horizon : int, months
    """

    lines: pd.DataFrame
    other: np.ndarray
    other_discounted: np.ndarray
    profile: pd.DataFrame
    horizon: int


@dataclass(frozen=True)
class _Expected:
    """Of one line's rows: pace and margin in money a month, the others of shape (n, months)."""

    line: str
    rows: np.ndarray
    pace: np.ndarray
    margin: np.ndarray
    shape: np.ndarray
    exposure: np.ndarray


class RetentionMarginModel(RegressorMixin, BaseEstimator):
    """Retention × margin given retention, summed over product lines and months, plus new business.

        CLV = Σ_t discount(t) · [ Σ_line exposure(t) · margin · profile(t) + new business(t) ]

    The contractual model of customer value (Berger and Nasr, 1998; with covariates and by product:
    Donkers, Verhoef and de Jong, 2007; Fader and Hardie, 2007, on discrete-time retention):

    - *exposure(t)* is the expected share of month t in which the line is held, the mean of survival
      at its beginning and at its end (central exposure; lines are lost in mid-month on average).
      Survival is that of `ml.lines.LineHazard`.
    - *margin* is the monthly margin while held. Gradient boosting learns the change against the
      line's own pace as a share of its size, weighted by size and exposure (as `TwoPartRegressor`).
    - *profile(t)* is the line's course over the months, of mean 1 over the horizon, as the lines
      still held went; for a loan times the straight line to the end of its contract
      (`amortisation`), after which it brings nothing.
    - *new business* is what lines not held at the cut-off bring, learned by customer. It accrues in
      proportion to t − ½ over the horizon, as customers come to hold more.

    One factor makes the total over the training cut-offs right.

    Nothing was observed beyond the horizon, and the assumptions are cautious: the mean hazard of
    the customer's last two quarters persists; a falling margin keeps falling at the line's learned
    rate (from the first half of the horizon to the second), a growing one stays constant; loans end
    with their contracts; new business stays at its monthly mean of the horizon, without growth from
    later lines, and fades as the customer's lines are lost (by the mean of all lines for customers
    without one), since customers who left take up nothing.

    Parameters
    ----------
    seed : int
    annual_discount_rate : float
        For amounts in the middle of each month; read when predicting only.
    trees, leaves, least_leaf, rate, penalty
        Of the boosting of margins.
    most_rows : int
        Customers and lines from which is learned; of more, a fixed sample.
    loan_lines : sequence of str
        Lines whose accounts are loans, which end with their contract.

    Attributes
    ----------
    columns_ : list of str, the columns of the frame that are read
    lines_ : list of str
    horizon_ : int, months
    hazard_ : LineHazard
    profile_ : dict, line → array of shape (horizon,)
    run_off_ : dict, line → factor by which margins of the line change a month beyond the horizon
    factor_ : float
    """

    loan_lines: Sequence[str] = STORED_LOAN_LINES

    def __init__(
        self,
        seed: int = 0,
        annual_discount_rate: float = 0.0,
        trees: int = 60,
        leaves: int = 15,
        least_leaf: int = 60,
        rate: float = 0.1,
        penalty: float = 5.0,
        most_rows: int = 300_000,
        loan_lines: Sequence[str] = (),
    ) -> None:
        self.seed = seed
        self.annual_discount_rate = annual_discount_rate
        self.trees = trees
        self.leaves = leaves
        self.least_leaf = least_leaf
        self.rate = rate
        self.penalty = penalty
        self.most_rows = most_rows
        self.loan_lines = loan_lines

    def fit(self, frame: pd.DataFrame, outcomes: LineOutcomes) -> RetentionMarginModel:
        """Fit on features at past cut-offs, oldest first, and the outcomes of the lines held.

        Parameters
        ----------
        frame : frame of shape (n, features), with the two anchors; of the columns of a line only
            accounts_<line> and contribution_<line>_3m must be there
        outcomes : outcomes of its rows

        Raises
        ------
        ValueError
            When no line's columns are in the frame, the outcomes are of another frame, or no line
            was held.
        """
        check_frame(frame)
        if len(outcomes.other) != len(frame):
            raise ValueError(
                f"outcomes are invalid: expected {len(frame)} customers, got {len(outcomes.other)}"
            )
        self.lines_ = lines_of(frame)
        held = outcomes.lines[outcomes.lines["line"].isin(self.lines_)].reset_index(drop=True)
        if held.empty:
            raise ValueError("outcomes are invalid: expected a line held at the cut-offs")
        total = float(outcomes.other.sum() + held["contribution"].sum())
        self.horizon_ = int(outcomes.horizon)
        self.columns_ = line_columns(frame, self.lines_)
        frame = frame[self.columns_]
        self._fit_profiles(outcomes.profile)
        if len(held) > self.most_rows:
            held = held.sample(self.most_rows, random_state=self.seed).sort_index()
            held = held.reset_index(drop=True)
        self.hazard_ = LineHazard(
            seed=self.seed, most_rows=self.most_rows, loan_lines=self.loan_lines
        ).fit(frame, held, self.horizon_)
        # Where cores are shared, threads that wait for one another take four times as long.
        with threadpool_limits(1):
            self._fit_margin(line_rows(frame, held, self.lines_, self.loan_lines), held)
            self._fit_new_business(frame, outcomes.other)
        self.factor_ = 1.0
        predicted = float(self._components(frame, self.horizon_, 0.0)[0].sum())
        if total * predicted > 0:
            self.factor_ = total / predicted
        return self

    def _fit_profiles(self, profile: pd.DataFrame) -> None:
        self.profile_, self.run_off_ = {}, {}
        half = self.horizon_ // 2
        for line in self.lines_:
            cells = profile[profile["line"] == line]
            month = cells["month"].to_numpy(dtype=int) - 1
            left = amortisation(cells["remaining"].to_numpy(dtype=float), self.horizon_)
            planned = self._by_month(month, cells["pace"] * left[np.arange(len(cells)), month])
            came = self._by_month(month, cells["contribution"])
            course = np.ones(self.horizon_)
            if (planned * came > 0).all():
                course = came / planned
                course /= course.mean()
            customers = cells.loc[cells["month"] == 1, "at_risk"].sum()
            course = 1 + (course - 1) * customers / (customers + FLAT)
            self.profile_[line], self.run_off_[line] = course, 1.0
            if half:
                kept = course[-half:].mean() / course[:half].mean()
                self.run_off_[line] = float(min(kept, 1.0) ** (1 / (self.horizon_ - half)))

    def _by_month(self, month: np.ndarray, amounts: pd.Series) -> np.ndarray:
        return np.bincount(month, weights=amounts.to_numpy(dtype=float), minlength=self.horizon_)

    def _settings(self) -> dict[str, object]:
        return {
            "max_iter": self.trees,
            "max_leaf_nodes": self.leaves,
            "min_samples_leaf": self.least_leaf,
            "learning_rate": self.rate,
            "l2_regularization": self.penalty,
            "max_bins": MOST_BINS,
            "early_stopping": False,
            "random_state": self.seed,
        }

    def _fit_margin(self, rows: pd.DataFrame, held: pd.DataFrame) -> None:
        months = held["months_held"].to_numpy(dtype=int)[:, None]
        lost = held["is_lost"].to_numpy(dtype=bool)[:, None]
        number = np.arange(1, self.horizon_ + 1)
        exposure = np.where(number < months, 1.0, np.where(number == months, 1 - lost / 2, 0.0))
        shape = amortisation(rows["contract_months"].to_numpy(), self.horizon_) * np.stack(
            [self.profile_[line] for line in held["line"]]
        )
        lived = (exposure * shape).sum(axis=1)
        taught = lived > 0
        margin = held["contribution"].to_numpy(dtype=float)[taught] / lived[taught]
        pace = rows["line_pace"].to_numpy()[taught]
        line = held["line"].to_numpy()[taught]
        self.floor_ = {
            name: float(np.median(np.abs(margin[line == name])) or 1.0)
            if (line == name).any()
            else 1.0
            for name in self.lines_
        }
        size = np.abs(pace) + np.array([self.floor_[name] for name in line])
        change = (margin - pace) / size
        # Clip a thousandth at each end: single windfalls carry no information.
        low, high = np.quantile(change, [0.001, 0.999])
        self.encoder_ = FrameEncoder().fit(rows)
        matrix = self.encoder_.transform(rows)
        self.binner_ = Binner().fit(matrix)
        self.change_ = HistGradientBoostingRegressor(**self._settings()).fit(
            with_values(self.binner_.transform(matrix[taught])),
            np.clip(change, low, high),
            sample_weight=size * lived[taught] / self.horizon_,
        )

    def _customer_frame(self, frame: pd.DataFrame) -> pd.DataFrame:
        names = [
            name
            for name in self.columns_
            if name in (*OF_A_CUSTOMER, *ANCHORS)
            or name.startswith("accounts_")
            or name.startswith("balance_")
        ]
        return frame[names]

    def _fit_new_business(self, frame: pd.DataFrame, other: np.ndarray) -> None:
        self.new_business_: HistGradientBoostingRegressor | None = None
        if not other.any():
            return
        customers = self._customer_frame(frame)
        self.new_encoder_ = FrameEncoder().fit(customers)
        matrix = self.new_encoder_.transform(customers)
        self.new_binner_ = Binner().fit(matrix)
        low, high = np.quantile(other, [0.001, 0.999])
        kept = np.clip(other, low, high)
        self.new_scale_ = float(other.sum() / kept.sum()) if other.sum() * kept.sum() > 0 else 1.0
        settings = self._settings() | {"max_iter": 40, "max_leaf_nodes": 8, "min_samples_leaf": 100}
        self.new_business_ = HistGradientBoostingRegressor(**settings).fit(
            with_values(self.new_binner_.transform(matrix)), kept
        )

    def _expected(self, frame: pd.DataFrame, months: int) -> Iterator[_Expected]:
        for line in self.lines_:
            rows = held_rows(frame, line)
            if not len(rows):
                continue
            held = frame.iloc[rows]
            of_line = line_frame(held, line, self.lines_, self.loan_lines)
            pace = of_line["line_pace"].to_numpy()
            matrix = self.binner_.transform(self.encoder_.transform(of_line))
            with threadpool_limits(1):
                change = self.change_.predict(matrix)
            margin = pace + (np.abs(pace) + self.floor_[line]) * change
            contract = of_line["contract_months"].to_numpy()
            shape = amortisation(contract, months) * self._course(line, months)
            survival = self.hazard_.survival(held, line, months)
            before = np.column_stack([np.ones(len(rows)), survival[:, :-1]])
            yield _Expected(line, rows, pace, margin, shape, (before + survival) / 2)

    def _course(self, line: str, months: int) -> np.ndarray:
        profile, rate = self.profile_[line], self.run_off_[line]
        half = self.horizon_ // 2
        later = np.arange(self.horizon_ + 1, months + 1)
        # From the middle of the second half on: its mean does not vary with single quarters.
        middle = self.horizon_ - (half - 1) / 2
        level = profile[-half:].mean() if half else profile[-1]
        return np.concatenate([profile[:months], level * rate ** (later - middle)])

    def _components(
        self, frame: pd.DataFrame, months: int, rate: float
    ) -> tuple[np.ndarray, list[str]]:
        if months < 1:
            raise ValueError(f"months is invalid: expected 1 or more, got {months}")
        missing = [name for name in self.columns_ if name not in frame.columns]
        if missing:
            raise ValueError(
                f"features are invalid: missing {missing}, which the model was trained on"
            )
        frame = frame[self.columns_]
        discount = monthly_discount(rate, months)
        kinds = ("pace", "change", "run_off", "attrition")
        names = [f"{kind}_{line}" for line in self.lines_ for kind in kinds] + ["new_business"]
        matrix = np.zeros((len(frame), len(names)))
        held, kept = np.zeros(len(frame)), np.zeros((len(frame), months))
        for part in self._expected(frame, months):
            place = names.index(f"pace_{part.line}")
            whole = discount.sum()
            shaped = _discounted(part.shape, discount)
            lived = _discounted(part.exposure * part.shape, discount)
            matrix[part.rows, place] = part.pace * whole
            matrix[part.rows, place + 1] = (part.margin - part.pace) * whole
            matrix[part.rows, place + 2] = part.margin * (shaped - whole)
            matrix[part.rows, place + 3] = part.margin * (lived - shaped)
            held[part.rows] += 1
            kept[part.rows] += part.exposure
        if self.new_business_ is not None and len(frame):
            matrix[:, -1] = self._new_business(frame) * _discounted(
                self._accrual(held, kept), discount
            )
        return self.factor_ * matrix, names

    def _new_business(self, frame: pd.DataFrame) -> np.ndarray:
        assert self.new_business_ is not None
        matrix = self.new_encoder_.transform(self._customer_frame(frame))
        with threadpool_limits(1):
            found = self.new_business_.predict(self.new_binner_.transform(matrix))
        return self.new_scale_ * found

    def _accrual(self, held: np.ndarray, kept: np.ndarray) -> np.ndarray:
        """Share of the horizon's new business that each month brings; (n, months)."""
        months = kept.shape[1]
        share = np.full(kept.shape, 1 / self.horizon_)
        first = np.arange(1, min(self.horizon_, months) + 1)
        share[:, : len(first)] = (2 * first - 1) / self.horizon_**2
        if months > self.horizon_:
            steady = (1 - self.hazard_.steady_hazard_) ** (1 / self.hazard_.step_)
            number = np.arange(1, months - self.horizon_ + 1)
            fade = np.repeat(steady ** number[None, :], len(kept), axis=0)
            some = held > 0
            fade[some] = kept[some, self.horizon_ :] / kept[some, self.horizon_ - 1, None]
            share[:, self.horizon_ :] *= fade
        return share

    def calibrate(self, frame: pd.DataFrame, y: np.ndarray) -> RetentionMarginModel:
        """Set the intervals from a later period's outcomes, discounted at the same rate."""
        self.interval_ = ConformalInterval().fit(self.predict(frame), y)
        return self

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """Expected discounted contribution over the horizon of the training, shape (n,)."""
        check_is_fitted(self)
        return self.predict_months(frame, self.horizon_)

    def predict_months(self, frame: pd.DataFrame, months: int = 36) -> np.ndarray:
        """Expected discounted contribution over so many months, shape (n,).

        Beyond the horizon by the assumptions stated for the class.

        Raises
        ------
        ValueError
            For less than one month, or when columns that were there when fitting are missing.
        """
        check_is_fitted(self)
        return self._components(frame, months, self.annual_discount_rate)[0].sum(axis=1)

    def predict_interval(self, frame: pd.DataFrame) -> np.ndarray:
        """Columns point, low, high; shape (n, 3); raises NotFittedError before `calibrate`."""
        check_is_fitted(self, "interval_")
        return self.interval_.around(self.predict(frame))

    def contributions(self, frame: pd.DataFrame) -> tuple[np.ndarray, list[str]]:
        """The prediction in its parts, which add up to `predict`.

        Returns
        -------
        contributions : array of shape (n, k), in money, discounted
        names : list of str; for each line its contribution at its pace over the whole horizon
            (pace_<line>), the expected change of its margin while held (change_<line>), the
            reduction by repayment of loans (run_off_<line>) and by the risk of losing the line
            (attrition_<line>); and new_business
        """
        check_is_fitted(self)
        return self._components(frame, self.horizon_, self.annual_discount_rate)


def _discounted(by_month: np.ndarray, discount: np.ndarray) -> np.ndarray:
    # Not a matrix product: its rounding of a row depends on how many others there are.
    return (by_month * discount).sum(axis=1)
