"""Drift of features between the training customers and today's."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import chi2

BINS = 10
LEAST_SHARE = 1e-4
# A level with fewer customers is part of `other`: a stored profile must not identify a customer.
LEAST_MEMBERS = 10
# Usual bounds of the index (Siddiqi, 2006): below the first no relevant change, above the second a
# different population.
SOME_DRIFT, MUCH_DRIFT = 0.1, 0.25
MISSING, OTHER = "missing", "other"
PROFILE = ["feature", "bin", "lower", "level", "share"]
BESIDE, SMALLEST = 1e-9, 1e-300


def _is_numeric(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column)


def _numbers(column: pd.Series) -> np.ndarray:
    return pd.to_numeric(column).to_numpy(dtype=float, na_value=np.nan)


@dataclass(frozen=True)
class _Numbers:
    """Bins up to each edge, above the last one, and of missing and infinite values."""

    edges: np.ndarray

    @property
    def names(self) -> list[str]:
        return [*(str(number + 1) for number in range(len(self.edges) + 1)), MISSING]

    @property
    def lower(self) -> list[float]:
        return [-np.inf, *(float(edge) for edge in self.edges)]

    @property
    def quoted(self) -> list[str]:
        return []

    def counts(self, column: pd.Series) -> np.ndarray:
        values = _numbers(column)
        places = np.searchsorted(self.edges, values, side="left")
        places[~np.isfinite(values)] = len(self.edges) + 1
        return np.bincount(places, minlength=len(self.edges) + 2)


@dataclass(frozen=True)
class _Levels:
    """A bin for each level, for all other levels, and for missing values."""

    levels: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        return [*(str(number + 1) for number in range(len(self.levels))), OTHER, MISSING]

    @property
    def lower(self) -> list[float]:
        return []

    @property
    def quoted(self) -> list[str]:
        return [json.dumps(level) for level in self.levels]

    def counts(self, column: pd.Series) -> np.ndarray:
        found = column.dropna().astype(str).value_counts()
        own = found.reindex(list(self.levels), fill_value=0).to_numpy()
        return np.array([*own, found.sum() - own.sum(), len(column) - found.sum()], dtype=int)


def _margin(values: np.ndarray) -> np.ndarray:
    return np.maximum(np.abs(values) * BESIDE, SMALLEST)


def _edges(values: np.ndarray, bins: int) -> np.ndarray:
    """Edges between the values at the quantiles and the next values, so that no edge is a value: a
    profile read from text may differ in the last digit. A value that several quantiles share has a
    bin of its own: otherwise a flag that nearly all customers have would share its only bin with
    the others.
    """
    ordered = np.sort(values)
    if not len(ordered):
        return ordered
    distinct = ordered[np.concatenate([[True], np.diff(ordered) > 0])]
    places = -(-np.arange(1, bins) * len(ordered) // bins) - 1
    at, times = np.unique(np.searchsorted(distinct, ordered[places]), return_counts=True)
    shared, alone = distinct[at[times > 1]], at[times == 1]
    alone = alone[alone + 1 < len(distinct)]
    before, after = distinct[alone], distinct[alone + 1]
    middle = before + (after - before) / 2
    between = np.where(np.isin(after, shared), after - _margin(after), middle)
    return np.unique(np.concatenate([between, shared - _margin(shared), shared + _margin(shared)]))


def _bins_of(column: pd.Series, bins: int) -> _Numbers | _Levels:
    if _is_numeric(column):
        values = _numbers(column)
        return _Numbers(_edges(values[np.isfinite(values)], bins))
    found = column.dropna().astype(str).value_counts()
    return _Levels(tuple(sorted(found.index[found >= LEAST_MEMBERS])))


def _index(expected: np.ndarray, actual: np.ndarray) -> float:
    expected, actual = np.maximum(expected, LEAST_SHARE), np.maximum(actual, LEAST_SHARE)
    return float(np.sum((actual - expected) * np.log(actual / expected)))


def _share(counts: np.ndarray) -> np.ndarray:
    total = counts.sum()
    if not total:
        raise ValueError("data are invalid: expected at least one row")
    return counts / total


def population_stability_index(
    expected: ArrayLike | pd.Series, actual: ArrayLike | pd.Series, bins: int = BINS
) -> float:
    """Σ (a − e) ln(a / e) over the shares e and a of each bin (Siddiqi, 2006, Credit Risk
    Scorecards).

    Numbers are binned at the quantiles of `expected`, categories by level. Missing and infinite
    values have a bin of their own, and so have, together, levels with fewer than 10 rows in
    `expected`. Shares are at least 1e-4. Below 0.1 means no relevant change, above 0.25 a different
    population; in small samples chance alone exceeds the first: `psi_noise`.

    Parameters
    ----------
    expected, actual : arrays or columns of any lengths, numbers or categories
    bins : int, the most bins of numbers (besides missing)

    Raises
    ------
    ValueError
        For no rows, or text where `expected` has numbers.
    """
    before, after = pd.Series(expected), pd.Series(actual)
    found = _bins_of(before, bins)
    return _index(_share(found.counts(before)), _share(found.counts(after)))


def psi_noise(bins: int, n_expected: int, n_actual: int) -> float:
    """The 95 % quantile of the index for pairs of samples without drift.

    Without drift it is about (1/n + 1/m) times a chi-square of bins − 1 degrees of freedom
    (Yurdakul and Naranjo, 2020, Journal of Risk Model Validation 14(4)), for independent customers;
    0 for a single bin.
    """
    if bins < 2:
        return 0.0
    return float(chi2.ppf(0.95, bins - 1) * (1 / n_expected + 1 / n_actual))


def profile_of(frame: pd.DataFrame, bins: int = BINS) -> pd.DataFrame:
    """The profile of a frame for the index, which a model stores instead of its customers.

    It contains no value of a single customer: levels of fewer than 10 customers are part of
    `other`, and an edge is a value only if a tenth of the customers share it. `to_csv` and
    `read_csv` preserve it.

    Returns
    -------
    frame with columns
        feature
        bin : '1', '2', …, 'missing', and 'other' for categories
        lower : edge below a bin of numbers, itself not in it
        level : of a category, in JSON's quotes, so that no reader takes '001' for a number or
            'NA' for missing
        share : of the customers
    """
    rows: list[tuple[str, str, float, str | None, float]] = []
    for name in frame.columns:
        column = frame[name]
        found = _bins_of(column, bins)
        shares = _share(found.counts(column))
        lower = dict(zip(found.names, found.lower, strict=False))
        level = dict(zip(found.names, found.quoted, strict=False))
        rows += [
            (str(name), one, lower.get(one, np.nan), level.get(one), float(share))
            for one, share in zip(found.names, shares, strict=True)
        ]
    return pd.DataFrame(rows, columns=PROFILE)


def _compared(profile: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """Index of each feature of the profile, and the number of bins with customers."""
    wanted = [str(name) for name in profile["feature"].unique()]
    missing = [name for name in wanted if name not in frame.columns]
    if missing:
        raise ValueError(f"features are invalid: missing {missing}, which the profile has")
    bins, lower, level, share = (profile[name].to_numpy() for name in PROFILE[1:])
    rows = []
    for name, places in profile.groupby("feature", sort=False).indices.items():
        found: _Numbers | _Levels
        if OTHER in bins[places]:
            found = _Levels(tuple(json.loads(text) for text in level[places[:-2]]))
        else:
            found = _Numbers(lower[places[1:-1]].astype(float))
        expected = share[places].astype(float)
        actual = _share(found.counts(frame[name]))
        occupied = int(((expected > 0) | (actual > 0)).sum())
        rows.append((name, _index(expected, actual), occupied))
    return pd.DataFrame(rows, columns=["feature", "psi", "occupied"])


def _with_noise(table: pd.DataFrame, n_expected: int, n_actual: int) -> pd.DataFrame:
    """The table with the column `noise`, greatest index first."""
    noise = [psi_noise(int(occupied), n_expected, n_actual) for occupied in table.pop("occupied")]
    ordered = table.assign(noise=noise)
    return ordered.sort_values("psi", ascending=False, kind="stable", ignore_index=True)


def drift_from_profile(profile: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """Index of each feature of a stored profile (`profile_of`) in a frame of today.

    Returns a frame with columns feature, psi, noise, greatest index first; further columns of the
    frame are not read. `noise` is `psi_noise` for as many profiled customers as there are today: a
    profile does not contain their number.

    Raises
    ------
    ValueError
        When features of the profile are missing (names all of them), there are no rows, or a
        feature of numbers is text.
    """
    return _with_noise(_compared(profile, frame), len(frame), len(frame))


def drift_table(
    expected_frame: pd.DataFrame, actual_frame: pd.DataFrame, bins: int = BINS
) -> pd.DataFrame:
    """Index of each feature of the first frame in the second, with the noise of the index.

    Returns a frame with columns feature, psi, noise (`psi_noise` of the bins with customers),
    greatest index first. Errors as of `drift_from_profile`.
    """
    compared = _compared(profile_of(expected_frame, bins), actual_frame)
    return _with_noise(compared, len(expected_frame), len(actual_frame))
