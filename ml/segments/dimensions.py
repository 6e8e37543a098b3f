"""The dimensions by which customers are compared: three views, each dimension with its scale."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from ml.estimator import check_frame

VALUE, BEHAVIOUR, LIFE_STAGE = "value", "behaviour", "life stage"
VIEWS = (VALUE, BEHAVIOUR, LIFE_STAGE)
MONTHS = "months_observed"
YEAR = 12
# Shares are smoothed by one booking either way: one payment at the counter is not a habit.
SMOOTHING = 1.0
TAIL = 0.005


@dataclass(frozen=True)
class Dimension:
    """One comparable property of a customer, made of columns of `features.customer_month`.

    Parameters
    ----------
    name : str
    view : one of VIEWS
    columns : names that are summed; those a bank does not have are left out
    kind : transformation of the sum: a signed logarithm in units of the bank's typical amount
        (money, its negative for debt), log(1 + x) (count), none (number), or the share of itself
        and `others` (share)
    others : further names of the denominator of a share
    is_flow : a sum of up to twelve months, scaled to a yearly pace by `months_observed`
    missing : value of missing entries; None if unknown (the median is used)
    low, high : words for segments below and above the population; None if uninformative
    very_low, very_high : words for segments far from it, if better ones exist
    theme : of dimensions of one theme, only one contributes a word to a name
    low_theme : the theme of the low word, if different
    """

    name: str
    view: str
    columns: tuple[str, ...]
    kind: Literal["money", "debt", "count", "number", "share"]
    low: str | None = None
    high: str | None = None
    others: tuple[str, ...] = ()
    is_flow: bool = False
    missing: float | None = None
    very_low: str | None = None
    very_high: str | None = None
    theme: str = ""
    low_theme: str | None = None


DIMENSIONS = (
    Dimension(
        "value",
        VALUE,
        ("contribution_margin_12m",),
        "money",
        low="low value",
        high="good value",
        very_high="top value",
        is_flow=True,
        theme="value",
    ),
    Dimension(
        "bookings",
        BEHAVIOUR,
        ("bookings_12m",),
        "count",
        low="few bookings",
        high="many bookings",
        very_low="dormant",
        is_flow=True,
        theme="activity",
    ),
    Dimension(
        "days_since_active",
        BEHAVIOUR,
        ("days_since_active",),
        "count",
        high="inactive",
        theme="activity",
    ),
    Dimension(
        "digital_share",
        BEHAVIOUR,
        ("bookings_online_12m", "bookings_mobile_12m"),
        "share",
        low="branch user",
        high="digital",
        others=("bookings_branch_12m", "bookings_telephone_12m"),
        theme="channel",
    ),
    Dimension(
        "card_payments",
        BEHAVIOUR,
        ("bookings_card_payment_12m",),
        "count",
        low="little card use",
        high="card payer",
        is_flow=True,
        theme="card",
        low_theme="activity",
    ),
    Dimension(
        "cash",
        BEHAVIOUR,
        ("bookings_cash_out_12m", "bookings_cash_in_12m"),
        "count",
        low="little cash",
        high="cash user",
        is_flow=True,
        theme="cash",
        low_theme="activity",
    ),
    Dimension(
        "income",
        BEHAVIOUR,
        ("income_12m",),
        "money",
        low="no income here",
        high="good income here",
        is_flow=True,
        theme="income",
    ),
    Dimension(
        "deposits",
        BEHAVIOUR,
        ("average_deposits_3m",),
        "money",
        low="little balance",
        high="good balance",
        very_high="large balance",
        theme="balance",
    ),
    Dimension(
        "lending",
        BEHAVIOUR,
        ("average_lending_3m",),
        "debt",
        low="little debt",
        high="borrower",
        very_high="large loan",
        theme="borrowing",
    ),
    Dimension(
        "wealth",
        BEHAVIOUR,
        ("average_wealth_3m",),
        "money",
        high="investor",
        theme="wealth",
    ),
    Dimension(
        "wealth_accounts",
        BEHAVIOUR,
        ("accounts_wealth",),
        "count",
        high="investor",
        theme="wealth",
    ),
    Dimension("age", LIFE_STAGE, ("age",), "number", low="younger", high="older", theme="age"),
    Dimension(
        "tenure",
        LIFE_STAGE,
        ("tenure_months",),
        "number",
        low="newer customer",
        high="long-standing",
        theme="tenure",
    ),
    Dimension(
        "household",
        LIFE_STAGE,
        ("household_size",),
        "number",
        low="single",
        high="couple or family",
        theme="household",
    ),
    Dimension(
        "loan_term",
        LIFE_STAGE,
        ("loan_remaining_months",),
        "count",
        low="no loan",
        high="repaying a loan",
        missing=0.0,
        theme="borrowing",
    ),
)
DIMENSION = {dimension.name: dimension for dimension in DIMENSIONS}


def _numbers(frame: pd.DataFrame, name: str) -> np.ndarray:
    column = pd.to_numeric(frame[name]).to_numpy(dtype=float, na_value=np.nan)
    return np.where(np.isfinite(column), column, np.nan)


def _sum(frame: pd.DataFrame, names: Iterable[str]) -> np.ndarray:
    """Row sums; missing only where all are."""
    columns = np.column_stack([_numbers(frame, name) for name in names])
    total = np.nansum(columns, axis=1)
    return np.where(np.isnan(columns).all(axis=1), np.nan, total)


class DimensionScaler(TransformerMixin, BaseEstimator):
    """Transform features to dimensions on one scale, each view with the same weight.

    Every dimension is transformed by its kind, winsorised at half a per cent of either end, centred
    at the mean and divided by the standard deviation of the result (quartiles do not work for
    balances that most customers do not have); missing values get the median. Each is then weighted
    by 1/√(dimensions of its view kept), so that the views have the same total variance, whatever
    the number of their columns.

    A dimension is left out if the bank has none of its columns, or they are constant except for the
    half per cent at either end.

    Attributes
    ----------
    dimensions_ : list of str, those kept, in the order of DIMENSIONS
    columns_ : list of str, the features read
    unit_ : dict, dimension of money → its typical amount (median of those that are not 0)
    low_, high_, middle_, mean_, spread_, weight_ : arrays of shape (dimensions,); the first four on
        the scale of the dimension's kind
    """

    def fit(self, frame: pd.DataFrame) -> DimensionScaler:
        """Scales from a frame of features.

        Raises
        ------
        ValueError
            When no dimension is left.
        """
        check_frame(frame)
        present = {str(name) for name in frame.columns}
        self.parts_: dict[str, list[str]] = {}
        self.others_: dict[str, list[str]] = {}
        self.unit_: dict[str, float] = {}
        self.paced_ = MONTHS in present
        self.dimensions_: list[str] = []
        scales = []
        for dimension in DIMENSIONS:
            name = dimension.name
            self.parts_[name] = [part for part in dimension.columns if part in present]
            self.others_[name] = [part for part in dimension.others if part in present]
            scale = self._scale(frame, dimension)
            if scale is not None:
                self.dimensions_.append(name)
                scales.append(scale)
        if not scales:
            raise ValueError(
                "features are invalid: expected one that differs between customers among "
                f"{sorted({part for dimension in DIMENSIONS for part in dimension.columns})}"
            )
        kept = self.dimensions_
        self.parts_ = {name: self.parts_[name] for name in kept}
        self.others_ = {name: self.others_[name] for name in kept if self.others_[name]}
        self.unit_ = {name: unit for name, unit in self.unit_.items() if name in kept}
        self.low_, self.high_, self.middle_, self.mean_, self.spread_ = np.array(scales).T
        views = [DIMENSION[name].view for name in kept]
        self.weight_ = np.array([1 / np.sqrt(views.count(view)) for view in views])
        read = [*sum(self.parts_.values(), []), *sum(self.others_.values(), [])]
        self.paced_ = self.paced_ and any(DIMENSION[name].is_flow for name in kept)
        self.columns_ = list(dict.fromkeys([*read, *([MONTHS] if self.paced_ else [])]))
        return self

    def _scale(
        self, frame: pd.DataFrame, dimension: Dimension
    ) -> tuple[float, float, float, float, float] | None:
        name = dimension.name
        if not self.parts_[name]:
            return None
        if dimension.kind == "share":
            # For channels that nobody uses, smoothing would give a share that follows the activity.
            others = self.others_[name]
            if not others or not all(
                np.nansum(_sum(frame, parts)) > 0 for parts in (self.parts_[name], others)
            ):
                return None
        values = self._natural(frame, dimension)
        if dimension.kind in ("money", "debt"):
            amounts = np.abs(values[~np.isnan(values) & (values != 0)])
            if not len(amounts):
                return None
            self.unit_[name] = float(np.median(amounts))
        values = self._by_kind(values, dimension)
        known = values[~np.isnan(values)]
        if not len(known):
            return None
        low, high = np.quantile(known, [TAIL, 1 - TAIL])
        middle = float(np.median(known))
        values = np.clip(np.where(np.isnan(values), middle, values), low, high)
        # Equal numbers have a spread of rounding errors.
        spread = float(values.std()) if high > low else 0.0
        return (low, high, middle, float(values.mean()), spread) if spread > 0 else None

    def _natural(self, frame: pd.DataFrame, dimension: Dimension) -> np.ndarray:
        """A dimension in its own unit, yearly for flows; missing is NaN."""
        values = _sum(frame, self.parts_[dimension.name])
        if dimension.kind == "share":
            others = np.nan_to_num(_sum(frame, self.others_[dimension.name]))
            all_ = values + others
            share = (values + SMOOTHING) / (all_ + 2 * SMOOTHING)
            return np.where(all_ > 0, share, np.nan)
        if dimension.kind == "debt":
            values = np.maximum(-values, 0)
        if dimension.is_flow and self.paced_:
            months = np.nan_to_num(_numbers(frame, MONTHS), nan=YEAR)
            values = values * YEAR / np.clip(months, 1, YEAR)
        if dimension.missing is not None:
            values = np.nan_to_num(values, nan=dimension.missing)
        return values

    def _by_kind(self, values: np.ndarray, dimension: Dimension) -> np.ndarray:
        if dimension.kind in ("money", "debt"):
            return np.sign(values) * np.log1p(np.abs(values) / self.unit_[dimension.name])
        if dimension.kind == "count":
            return np.log1p(np.maximum(values, 0))
        return values

    def _check(self, frame: pd.DataFrame) -> None:
        check_is_fitted(self)
        check_frame(frame, self.columns_)

    def natural(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The dimensions in their own units (currency a year, bookings a year, years, months,
        shares from 0 to 1), a column each; missing is NaN.

        Raises
        ------
        ValueError
            When columns known when fitting are missing; names all of them.
        """
        self._check(frame)
        return pd.DataFrame(
            {name: self._natural(frame, DIMENSION[name]) for name in self.dimensions_}
        )

    def transform(self, frame: pd.DataFrame) -> np.ndarray:
        """Weighted dimensions, shape (n, dimensions); the population's mean is 0.

        Raises
        ------
        ValueError
            As `natural`.
        """
        natural = self.natural(frame)
        matrix = np.empty(natural.shape)
        for number, name in enumerate(self.dimensions_):
            values = self._by_kind(natural[name].to_numpy(), DIMENSION[name])
            values = np.where(np.isnan(values), self.middle_[number], values)
            matrix[:, number] = np.clip(values, self.low_[number], self.high_[number])
        return (matrix - self.mean_) / self.spread_ * self.weight_
