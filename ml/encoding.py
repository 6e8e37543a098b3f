"""Encode a frame of features as the matrix of gradient boosting."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from ml.estimator import check_frame

MOST_LEVELS = 60
MOST_BINS = 63


def _levels(column: pd.Series) -> list[str]:
    """The most frequent values, in alphabetical order."""
    counts = column.dropna().astype(str).value_counts()
    return sorted(sorted(counts.index, key=lambda level: (-counts[level], level))[:MOST_LEVELS])


class FrameEncoder(TransformerMixin, BaseEstimator):
    """Encode numbers unchanged (missing stays missing), categories as the codes of their levels.

    Trees use the codes as numbers: scikit-learn's own handling of categories stores functions in
    the model, which a file that runs no code on load cannot hold.

    Columns that are constant or empty when fitting are left out.

    Columns are found by name when transforming: their order in the frame does not matter, and
    columns unknown when fitting are not read. An unknown level is a missing value.

    Attributes
    ----------
    columns_ : list of str
    levels_ : dict, category column → its levels in order
    """

    def fit(self, frame: pd.DataFrame) -> FrameEncoder:
        check_frame(frame)
        self.columns_ = [
            str(name) for name in frame.columns if frame[name].nunique(dropna=False) > 1
        ]
        self.levels_ = {
            name: _levels(frame[name])
            for name in self.columns_
            if not (
                pd.api.types.is_numeric_dtype(frame[name])
                or pd.api.types.is_bool_dtype(frame[name])
            )
        }
        return self

    def keep(self, places: np.ndarray) -> None:
        """Keep only the columns at these places; the others are no longer read."""
        self.columns_ = [self.columns_[place] for place in places]
        self.levels_ = {name: self.levels_[name] for name in self.columns_ if name in self.levels_}

    def transform(self, frame: pd.DataFrame) -> np.ndarray:
        """Matrix of shape (n, columns), float64.

        Raises
        ------
        ValueError
            When columns known when fitting are missing; names all of them.
        """
        check_is_fitted(self)
        check_frame(frame, self.columns_)
        # Columns lie together: both are filled, and trees are walked, column by column.
        matrix = np.empty((len(frame), len(self.columns_)), order="F")
        for number, name in enumerate(self.columns_):
            if name in self.levels_:
                codes = {level: code for code, level in enumerate(self.levels_[name])}
                matrix[:, number] = frame[name].astype(str).map(codes).astype(float)
            else:
                matrix[:, number] = pd.to_numeric(frame[name]).to_numpy(
                    dtype=float, na_value=np.nan
                )
        return matrix


class Binner(TransformerMixin, BaseEstimator):
    """Replace values by the numbers of their bins: bins of about equal count, or one bin per value
    if there are few values.

    Gradient boosting bins its input itself, but again for every model of the same customers, and
    three times slower, by weighted quantiles, if customers have weights.

    Attributes
    ----------
    borders_ : list of arrays, the borders between the bins of each column
    """

    def fit(self, matrix: np.ndarray) -> Binner:
        """Borders from a matrix of shape (n, columns); NaN is missing."""
        self.borders_ = [_borders(column[~np.isnan(column)]) for column in matrix.T]
        return self

    def keep(self, places: np.ndarray) -> None:
        """Keep only the columns at these places."""
        self.borders_ = [self.borders_[place] for place in places]

    def transform(self, matrix: np.ndarray) -> np.ndarray:
        """Numbers of the bins, from 0, shape (n, columns), float64; missing stays missing."""
        check_is_fitted(self)
        bins = np.empty(matrix.shape, order="F")
        for number, borders in enumerate(self.borders_):
            column = matrix[:, number]
            bins[:, number] = np.searchsorted(borders, column, side="right")
            bins[np.isnan(column), number] = np.nan
        return bins


def with_values(bins: np.ndarray) -> np.ndarray:
    """The matrix to fit trees on: a column without a value in any row becomes 0, which no tree
    splits. scikit-learn's binning fails on an empty column."""
    empty = np.isnan(bins).all(axis=0)
    return np.where(empty, 0.0, bins) if empty.any() else bins


def _borders(values: np.ndarray) -> np.ndarray:
    """Borders halfway between two values: a value that is rounded, as JSON does in its last
    digits, stays in its bin. A value that many rows share has a bin of its own."""
    distinct, counts = np.unique(values, return_counts=True)
    halfway = (distinct[:-1] + distinct[1:]) / 2
    if len(distinct) <= MOST_BINS:
        return halfway
    middle = np.cumsum(counts) - counts / 2
    return halfway[np.diff((MOST_BINS * middle / len(values)).astype(int)) > 0]
