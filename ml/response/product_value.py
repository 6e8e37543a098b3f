"""Value of a product in the first twelve months after a customer took it, and the simple rule."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import RidgeCV
from sklearn.utils.validation import check_is_fitted

from ml.estimator import check_frame, check_outcomes
from ml.response.model import OFFER
from ml.response.model import OFFER_LINE as LINE

# Increase it when this code can no longer read stored models: champions are then trained again.
FORMAT = "1"
# The size of a customer's business and the stage of life. With hundreds of further features, the
# ranking is worse, since a product has only some hundred accounts.
SIZES = (
    *("monthly_income", "income_12m", "income_max_12m", "inflow_12m", "outflow_12m"),
    *("card_payments_12m", "balance_deposits", "average_deposits_12m", "average_wealth_12m"),
    *("average_lending_12m", "credit_limit", "contribution_margin_12m", "age", "tenure_months"),
)
PENALTIES = np.logspace(-1, 4, 11)
# Amounts are clipped to these quantiles of the product: one merchant is not a pattern.
LOWEST, HIGHEST = 0.01, 0.99
# Currency units added to an amount, above the product's lower quantile, before the logarithm.
OFFSET = 20.0


class ProductMeanValue(RegressorMixin, BaseEstimator):
    """The simple rule: the mean value of the product's past accounts.

    Means are shrunk towards the product line's, and these towards that of all, with the weight of
    `prior` accounts; an unknown product has the mean of its line, an unknown line that of all.
    """

    def __init__(self, prior: float = 20.0) -> None:
        self.prior = prior

    def fit(self, frame: pd.DataFrame, y: np.ndarray) -> ProductMeanValue:
        """Learn from a frame of shape (n, features) with `offer` and `offer_line`, and what each
        account brought, shape (n,), currency units.

        Raises
        ------
        ValueError
            When lengths differ, there is no row, an amount is not finite, or the column `offer` is
            missing.
        """
        y = check_outcomes(frame, y, [OFFER])
        self.columns_ = [OFFER]
        self.mean_ = float(y.mean())
        lines, products = _names(frame, LINE), _names(frame, OFFER)
        self.lines_ = self._means(lines, y, {})
        above = dict(zip(products, lines, strict=True))
        self.products_ = self._means(
            products, y, {product: self.lines_[line] for product, line in above.items()}
        )
        return self

    def _means(self, names: np.ndarray, y: np.ndarray, above: dict[str, float]) -> dict[str, float]:
        found = {}
        for name in np.unique(names):
            own = y[names == name]
            towards = above.get(str(name), self.mean_)
            found[str(name)] = float((own.sum() + self.prior * towards) / (len(own) + self.prior))
        return found

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """Currency units of the first twelve months, shape (n,)."""
        check_is_fitted(self)
        check_frame(frame, [OFFER])
        lines = pd.Series(_names(frame, LINE)).map(self.lines_).fillna(self.mean_)
        products = pd.Series(_names(frame, OFFER)).map(self.products_)
        return products.fillna(lines).to_numpy(dtype=float, copy=True)


class ProductValueModel(RegressorMixin, BaseEstimator):
    """Ridge regression and boosting of the logarithm of an account's value, by product.

    Sizes are multiplicative: a customer who earns twice as much borrows twice as much. The
    available features of `SIZES` enter by their signed logarithm, too. Small trees find the
    nonlinear part; the two predictions of the logarithm are averaged. The mean of the exponentiated
    prediction is scaled to the mean of the amounts (Duan, 1983, smearing estimate: a factor). A
    product with fewer than `least_accounts` has its mean by `ProductMeanValue`.

    Parameters
    ----------
    least_accounts : int
    seed : int
    """

    def __init__(self, least_accounts: int = 60, seed: int = 0) -> None:
        self.least_accounts = least_accounts
        self.seed = seed

    def fit(self, frame: pd.DataFrame, y: np.ndarray) -> ProductValueModel:
        """Learn from a frame of shape (n, features) with `offer` and `offer_line`, and what each
        account brought in its first twelve months, shape (n,), currency units.

        Raises
        ------
        ValueError
            When lengths differ, there is no row, an amount is not finite, or `offer` or
            `offer_line` is missing.
        """
        y = check_outcomes(frame, y, [OFFER, LINE])
        self.mean_value_ = ProductMeanValue().fit(frame, y)
        self.numeric_ = [
            name
            for name in SIZES
            if name in frame.columns and pd.api.types.is_numeric_dtype(frame[name])
        ]
        self.columns_ = [*self.numeric_, OFFER, LINE]
        size = _sizes(frame, self.numeric_)
        self.centre_ = np.array([_mean_known(column) for column in size.T])
        filled = np.where(np.isnan(size), self.centre_, size)
        spread = filled.std(axis=0)
        self.spread_ = np.where(spread > 1e-9, spread, np.inf)
        matrix = self._matrix(frame)
        products = _names(frame, OFFER)
        self.figures_: dict[str, np.ndarray] = {}
        self.weights_: dict[str, np.ndarray] = {}
        self.trees_: dict[str, HistGradientBoostingRegressor] = {}
        for product in np.unique(products):
            rows = products == product
            if rows.sum() >= self.least_accounts:
                self._fit_product(str(product), matrix[rows], y[rows])
        return self

    def _fit_product(self, product: str, matrix: np.ndarray, y: np.ndarray) -> None:
        low, high = np.quantile(y, [LOWEST, HIGHEST])
        above = y.clip(low, high) - low + OFFSET
        logarithm = np.log(above)
        ridge = RidgeCV(PENALTIES).fit(matrix, logarithm)
        trees = HistGradientBoostingRegressor(
            max_iter=80,
            max_leaf_nodes=6,
            min_samples_leaf=20,
            learning_rate=0.06,
            l2_regularization=5.0,
            early_stopping=False,
            random_state=self.seed,
        ).fit(matrix, logarithm)
        self.weights_[product] = np.append(np.asarray(ridge.coef_, dtype=float), ridge.intercept_)
        self.trees_[product] = trees
        factor = above.mean() / np.exp(self._logarithm(product, matrix)).mean()
        self.figures_[product] = np.array([low, high, factor])

    def _logarithm(self, product: str, matrix: np.ndarray) -> np.ndarray:
        *weights, level = self.weights_[product]
        by_line = matrix @ np.array(weights) + level
        return (by_line.clip(-30, 30) + self.trees_[product].predict(matrix)) / 2

    def _matrix(self, frame: pd.DataFrame) -> np.ndarray:
        size = _sizes(frame, self.numeric_)
        return (np.where(np.isnan(size), self.centre_, size) - self.centre_) / self.spread_

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """Currency units of the first twelve months, shape (n,).

        Raises
        ------
        ValueError
            When a column known when fitting is missing.
        """
        check_is_fitted(self)
        check_frame(frame, self.columns_)
        amount = self.mean_value_.predict(frame)
        matrix, products = self._matrix(frame), _names(frame, OFFER)
        for product, (low, high, factor) in self.figures_.items():
            rows = products == product
            if rows.any():
                scored = np.exp(self._logarithm(product, matrix[rows]))
                amount[rows] = np.clip(factor * scored + low - OFFSET, low, high)
        return amount


def _names(frame: pd.DataFrame, column: str) -> np.ndarray:
    if column not in frame:
        return np.full(len(frame), "")
    return frame[column].astype(str).to_numpy(dtype=object)


def _sizes(frame: pd.DataFrame, names: list[str]) -> np.ndarray:
    values = frame[names].apply(pd.to_numeric).to_numpy(dtype=float, na_value=np.nan)
    return np.sign(values) * np.log1p(np.abs(values))


def _mean_known(column: np.ndarray) -> float:
    known = column[~np.isnan(column)]
    return float(known.mean()) if len(known) else 0.0
