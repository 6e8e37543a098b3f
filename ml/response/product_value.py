"""What a product brings in the first twelve months after a customer took it, and the rule."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import RidgeCV

from ml.response.model import OFFER
from ml.response.model import OFFER_LINE as LINE

# Raise it when a stored model can no longer be read by this code: champions are then trained anew.
FORMAT = "1"
PENALTIES = np.logspace(0, 5, 11)
# Amounts beyond these quantiles of a product's are drawn in: one merchant is not a pattern.
LOWEST, HIGHEST = 0.01, 0.99
# What the logarithm is taken of starts so many currency units above nothing.
OFFSET = 20.0


class ProductMeanValue(RegressorMixin, BaseEstimator):
    """The simple rule: a product brings from everybody what it brought from those who took it.

    Means are shrunk towards the product line's, and these towards that of all, by the weight of
    `prior` accounts; a product or line not seen has the mean of what lies above it.
    """

    def __init__(self, prior: float = 20.0) -> None:
        self.prior = prior

    def fit(self, frame: pd.DataFrame, y: np.ndarray) -> ProductMeanValue:
        """Learn from a frame of shape (n, features) with `offer` and `offer_line`, and what each
        account brought, shape (n,), currency units.

        Raises
        ------
        ValueError
            When lengths differ or there is no row.
        """
        y = np.asarray(y, dtype=float)
        if y.shape != (len(frame),) or not len(frame):
            raise ValueError(f"one amount is needed for each of {len(frame)} rows")
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
        lines = pd.Series(_names(frame, LINE)).map(self.lines_).fillna(self.mean_)
        products = pd.Series(_names(frame, OFFER)).map(self.products_)
        return products.fillna(lines).to_numpy(dtype=float, copy=True)


class ProductValueModel(RegressorMixin, BaseEstimator):
    """Ridge regression of the logarithm of what an account brought, product by product.

    Sizes multiply: who earns twice as much borrows twice as much. Amounts among the features enter
    by their signed logarithm, too. The mean of the exponentiated prediction is brought to the mean
    of the amounts (Duan, 1983, smearing estimate: a factor). A product with fewer than
    `least_accounts` has its mean by `ProductMeanValue`.

    Parameters
    ----------
    least_accounts : int
    """

    def __init__(self, least_accounts: int = 60) -> None:
        self.least_accounts = least_accounts

    def fit(self, frame: pd.DataFrame, y: np.ndarray) -> ProductValueModel:
        """Learn from a frame of shape (n, features) with `offer` and `offer_line`, and what each
        account brought in its first twelve months, shape (n,), currency units.

        Raises
        ------
        ValueError
            When lengths differ or there is no row.
        """
        y = np.asarray(y, dtype=float)
        self.mean_value_ = ProductMeanValue().fit(frame, y)
        self.numeric_ = [
            str(name)
            for name in frame.columns
            if name not in (OFFER, LINE) and pd.api.types.is_numeric_dtype(frame[name])
        ]
        self.columns_ = [*self.numeric_, OFFER, LINE]
        size = _sizes(frame, self.numeric_)
        self.centre_ = np.array([_mean_known(column) for column in size.T])
        filled = np.where(np.isnan(size), self.centre_, size)
        spread = filled.std(axis=0)
        self.spread_ = np.where(spread > 1e-9, spread, np.inf)
        matrix = self._matrix(frame)
        products = _names(frame, OFFER)
        self.parts_: dict[str, dict[str, np.ndarray]] = {}
        for product in np.unique(products):
            rows = products == product
            if rows.sum() >= self.least_accounts:
                self.parts_[str(product)] = _fitted(matrix[rows], y[rows])
        return self

    def _matrix(self, frame: pd.DataFrame) -> np.ndarray:
        size = _sizes(frame, self.numeric_)
        return (np.where(np.isnan(size), self.centre_, size) - self.centre_) / self.spread_

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """Currency units of the first twelve months, shape (n,).

        Raises
        ------
        ValueError
            When a column is missing that was there when fitting.
        """
        missing = [name for name in self.columns_ if name not in frame.columns]
        if missing:
            raise ValueError(f"features missing that the model was trained on: {missing}")
        amount = self.mean_value_.predict(frame)
        matrix, products = self._matrix(frame), _names(frame, OFFER)
        for product, part in self.parts_.items():
            rows = products == product
            if rows.any():
                low, high, factor, level = part["figures"]
                told = np.exp((matrix[rows] @ part["weights"] + level).clip(-30, 30))
                amount[rows] = np.clip(factor * told + low - OFFSET, low, high)
        return amount


def _fitted(matrix: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    low, high = np.quantile(y, [LOWEST, HIGHEST])
    above = y.clip(low, high) - low + OFFSET
    ridge = RidgeCV(PENALTIES).fit(matrix, np.log(above))
    told = np.exp(ridge.predict(matrix))
    factor = above.mean() / told.mean()
    return {
        "weights": np.asarray(ridge.coef_, dtype=float),
        "figures": np.array([low, high, factor, float(ridge.intercept_)]),
    }


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
