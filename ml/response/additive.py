"""Logistic regression of binned columns, kept as a table of values for each column.

A column's contribution depends on its bin only, so that a prediction is a sum of table values: it
does not depend on the batch of a row, and shows the contribution of each column.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import expit

MISSING = -1
MOST_STEPS, LEAST_STEP = 50, 1e-6


def _codes(size: int, is_category: bool) -> np.ndarray:
    """The design of each bin of a column, and last of a missing value: shape (size + 1, k).

    A category has an indicator for each level. A number is the rank of its bin, of variance one for
    equal bins: amounts of money are too skewed to use directly. A missing number has an indicator
    of its own.
    """
    if is_category:
        return np.eye(size + 1)
    ranks = np.zeros((size + 1, 2))
    ranks[:-1, 0] = (np.arange(size) - (size - 1) / 2) * np.sqrt(12) / max(size, 2)
    ranks[MISSING, 1] = 1.0
    return ranks


def _ridge(design: np.ndarray, y: np.ndarray, penalty: float) -> tuple[float, np.ndarray]:
    """Level and coefficients of a logistic regression with a ridge penalty (le Cessie and van
    Houwelingen, 1992) by Newton's method; the level is not penalised."""
    shrink = np.full(design.shape[1] + 1, penalty)
    shrink[0] = 0.0
    columns = np.column_stack([np.ones(len(y)), design])

    def loss(line: np.ndarray) -> float:
        at = columns @ line
        return float(np.logaddexp(0, at).sum() - y @ at + (shrink * line) @ line / 2)

    rate = y.mean()
    line = np.zeros(len(shrink))
    line[0] = np.log(rate / (1 - rate))
    current = loss(line)
    for _ in range(MOST_STEPS):
        p = expit(columns @ line)
        curvature = columns.T @ (columns * (p * (1 - p))[:, None]) + np.diag(shrink)
        step = np.linalg.solve(curvature, columns.T @ (y - p) - shrink * line)
        # A full step may overshoot if few outcomes lie on the wrong side.
        while (following := loss(line + step)) > current and np.abs(step).max() > LEAST_STEP:
            step = step / 2
        line, current = line + step, following
        if np.abs(step).max() <= LEAST_STEP:
            break
    return float(line[0]), line[1:]


def additive_logistic(
    bins: np.ndarray,
    sizes: Sequence[int],
    is_category: Sequence[bool],
    y: np.ndarray,
    penalty: float,
) -> tuple[float, list[np.ndarray]]:
    """Fit; returns the level and the tables.

    Parameters
    ----------
    bins : array of shape (n, columns), number of the bin from 0, MISSING for a missing value
    sizes : bins of each column
    is_category : whether each column's bins have no order
    y : array of shape (n,), 0 or 1, both of them
    penalty : ridge penalty of coefficients of columns of variance one, above 0

    Returns
    -------
    level : float, expected log-odds of the training rows
    tables : list of arrays of shape (size + 1,), log-odds that each bin of a column adds, last a
        missing value; of mean 0 over the training rows. A bin without rows adds the value of its
        rank, for a category 0.
    """
    places = bins.astype(int)
    codes = [_codes(size, kind) for size, kind in zip(sizes, is_category, strict=True)]
    blocks = [code[places[:, number]] for number, code in enumerate(codes)]
    design = np.concatenate(blocks, axis=1) if blocks else np.empty((len(y), 0))
    # With a centred design the level is the expectation of the rows; shrinkage hardly changes it.
    centre = design.mean(axis=0)
    used = np.flatnonzero((design != centre).any(axis=0))
    coefficients = np.zeros(design.shape[1])
    level, coefficients[used] = _ridge(design[:, used] - centre[used], np.asarray(y), penalty)
    tables, first = [], 0
    for number, code in enumerate(codes):
        own = coefficients[first : first + code.shape[1]]
        first += code.shape[1]
        values = code @ own
        seen = np.bincount(places[:, number] % len(values), minlength=len(values)) > 0
        mean = values[places[:, number]].mean()
        unseen = ~seen if is_category[number] else ~seen & (np.arange(len(values)) == sizes[number])
        tables.append(np.where(unseen, 0.0, values - mean))
    return level, tables


def parts(tables: Sequence[np.ndarray], bins: np.ndarray) -> np.ndarray:
    """The contribution of each column to the log-odds of each row, shape (n, columns)."""
    places = bins.astype(int)
    added = np.empty(bins.shape)
    for number, table in enumerate(tables):
        added[:, number] = table[places[:, number]]
    return added


def score(level: float, tables: Sequence[np.ndarray], bins: np.ndarray) -> np.ndarray:
    """Log-odds of each row, shape (n,), summed by column, so that the batch does not matter."""
    total = np.full(len(bins), level)
    places = bins.astype(int)
    for number, table in enumerate(tables):
        total += table[places[:, number]]
    return total
