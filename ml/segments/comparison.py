"""Compare segmentations: explained variance of outcomes, migration, stability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from sklearn.metrics import adjusted_rand_score

if TYPE_CHECKING:
    from ml.segments.model import SegmentModel

NEW, LEFT = "new", "left"
MOST_COUNTED = 10_000


@dataclass(frozen=True)
class ExplainedShare:
    """Shares of the variance of an outcome that labels explain.

    `eta_squared` is the plain share; `epsilon_squared` subtracts the share that as many random
    labels explain. The same of ranks for outcomes with heavy tails.
    """

    labels: int
    eta_squared: float
    epsilon_squared: float
    rank_eta_squared: float
    rank_epsilon_squared: float


def _shares(y: np.ndarray, place: np.ndarray, labels: int) -> tuple[float, float]:
    centred = y - y.mean()
    total = float(centred @ centred)
    if total == 0:
        return 0.0, 0.0
    sums = np.bincount(place, weights=centred)
    eta = float((sums**2 / np.bincount(place)).sum()) / total
    return eta, 1 - (1 - eta) * (len(y) - 1) / (len(y) - labels)


def explained_share(y: np.ndarray, labels: np.ndarray) -> ExplainedShare:
    """Share of the variance of an outcome explained by labels (one-way analysis of variance).

    η² = SS between / SS total grows with the number of labels, even of random ones. Kelley's (1935)
    ε² = 1 − (1 − η²)(n − 1)/(n − k) subtracts the share that k random labels explain (0 on average;
    may be negative). On ranks, ties at their mean, η² is H/(n − 1), ε² is (H − k + 1)/(n − k), H of
    Kruskal and Wallis (1952). Tomczak and Tomczak (2014) call these two ε² and η² of H; the names
    here are those of the same formulas on money.

    Parameters
    ----------
    y : array of shape (n,), the outcome
    labels : array of shape (n,), any values that compare

    Raises
    ------
    ValueError
        For vectors of different length, outcomes that are not finite, or as many labels as rows.
    """
    y, labels = _checked(y, labels)
    kinds, place = np.unique(labels, return_inverse=True)
    _check_labels(len(kinds), len(y))
    return ExplainedShare(
        len(kinds),
        *_shares(y, place, len(kinds)),
        *_shares(rankdata(y), place, len(kinds)),
    )


def epsilon_squared(y: np.ndarray, labels: np.ndarray) -> float:
    """The `epsilon_squared` of `explained_share` alone, equal to the last digit, for many draws.

    Labels that are small whole numbers from 0 are counted instead of sorted. Parameters and errors
    are those of `explained_share`.
    """
    y, labels = _checked(y, labels)
    number = labels.astype(np.intp)
    if (number == labels).all() and number.min() >= 0 and number.max() < MOST_COUNTED:
        present = np.bincount(number) > 0
        kinds, place = int(present.sum()), (np.cumsum(present) - 1)[number]
    else:
        different, place = np.unique(labels, return_inverse=True)
        kinds = len(different)
    _check_labels(kinds, len(y))
    return _shares(y, place, kinds)[1]


def _checked(y: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    y, labels = np.asarray(y, dtype=float), np.asarray(labels)
    if y.shape != labels.shape or y.ndim != 1 or not len(y):
        raise ValueError(f"two equal, non-empty vectors are needed: {y.shape} and {labels.shape}")
    if not np.isfinite(y).all():
        raise ValueError("outcomes must be finite")
    return y, labels


def _check_labels(kinds: int, rows: int) -> None:
    if kinds >= rows:
        raise ValueError(f"{kinds} labels for {rows} rows: every row explains itself")


def migration(before: pd.Series, after: pd.Series) -> pd.DataFrame:
    """Moves of customers between segments, including new and lost customers.

    Parameters
    ----------
    before, after : segments by customer (the index), without customers who have no segment

    Returns
    -------
    frame with columns from_segment ("new" for customers missing in `before`), to_segment ("left"
    for those missing in `after`), customers, share (of the from_segment's); existing pairs, sorted

    Raises
    ------
    ValueError
        When a customer is repeated, or a segment is called "new" or "left".
    """
    before, after = before.dropna(), after.dropna()
    for name, side in (("before", before), ("after", after)):
        twice = side.index[side.index.duplicated()]
        if len(twice):
            raise ValueError(
                f"segments {name} are invalid: expected each customer once, {len(twice)} repeat"
            )
        if side.isin([NEW, LEFT]).any():
            raise ValueError(f"segments {name} are invalid: {NEW!r} and {LEFT!r} are reserved")
    moves = pd.DataFrame({"from_segment": before, "to_segment": after})
    moves["from_segment"] = moves["from_segment"].astype(object).fillna(NEW)
    moves["to_segment"] = moves["to_segment"].astype(object).fillna(LEFT)
    counts = moves.groupby(["from_segment", "to_segment"]).size().rename("customers").reset_index()
    of = counts.groupby("from_segment")["customers"].transform("sum")
    return counts.assign(share=counts["customers"] / of)


def stability_between(model_a: SegmentModel, model_b: SegmentModel, frame: pd.DataFrame) -> float:
    """Adjusted Rand index (Hubert and Arabie, 1985) of two models' segments of the same customers:
    1 for the same segments whatever their names, 0 for chance."""
    return float(adjusted_rand_score(model_a.predict(frame), model_b.predict(frame)))
