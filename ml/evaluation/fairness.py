"""Fairness of a model: its calibration and selection by groups of customers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import norm

from ml.evaluation.metrics import LEVEL, ROUNDS, bootstrap, gini

# In smaller groups the gap of a fair model is chance, and a figure may identify a customer.
LEAST_GROUP, LEAST_OUTCOMES = 100, 10
MOST_GAP = 0.25
UNKNOWN = "unknown"
AGE_BORDERS = (25, 35, 45, 55, 65)
AGE_BANDS = ("under 25", "25-34", "35-44", "45-54", "55-64", "65 and over", UNKNOWN)
FIGURES = [
    "mean_score",
    "mean_outcome",
    "calibration_gap",
    "gap_low",
    "gap_high",
    "selection_rate",
    "selection_ratio",
    "discrimination",
]


def age_band(age: ArrayLike | pd.Series) -> np.ndarray:
    """The band of each age in years, shape (n,); 'unknown' where it is missing or negative."""
    years = pd.to_numeric(pd.Series(age)).to_numpy(dtype=float, na_value=np.nan)
    place = np.searchsorted(AGE_BORDERS, years, side="right")
    return np.array(AGE_BANDS)[np.where(years >= 0, place, len(AGE_BANDS) - 1)]


def _selected(score: np.ndarray) -> np.ndarray:
    """Part of each customer in the top tenth: those tied at its edge share the remaining places."""
    size = int(np.ceil(len(score) / 10))
    edge = np.sort(score)[-size]
    above, tied = score > edge, score == edge
    return above + tied * ((size - above.sum()) / tied.sum())


def _values(column: ArrayLike, rows: int, attribute: str) -> np.ndarray:
    found = pd.Series(np.asarray(column, dtype=object))
    if found.shape != (rows,):
        raise ValueError(f"{attribute} is invalid: expected a group of each of {rows} customers")
    found = found.where(found.notna(), "").astype(str).str.strip()
    return found.where(found != "", UNKNOWN).to_numpy(dtype=object)


def _ordered(values: np.ndarray) -> list[str]:
    """Groups in order of age if they are age bands, else by name; unknown last."""
    found = set(values)
    if found <= set(AGE_BANDS):
        return [band for band in AGE_BANDS if band in found]
    return sorted(found, key=lambda value: (value == UNKNOWN, value))


def _checked(y: np.ndarray, score: np.ndarray, kind: str) -> tuple[np.ndarray, np.ndarray]:
    y, score = np.asarray(y, dtype=float), np.asarray(score, dtype=float)
    if y.shape != score.shape or y.ndim != 1 or not len(y):
        raise ValueError(
            "outcomes and scores are invalid: expected non-empty vectors of one length, got "
            f"{y.shape} and {score.shape}"
        )
    if not (np.isfinite(y).all() and np.isfinite(score).all()):
        raise ValueError("outcomes and scores are invalid: expected finite numbers")
    if kind not in ("value", "probability"):
        raise ValueError(f"kind is invalid: expected value or probability, got {kind!r}")
    if kind == "probability" and not (np.isin(y, (0, 1)).all() and (abs(score - 0.5) <= 0.5).all()):
        raise ValueError("expected outcomes of 0 or 1 and scores from 0 to 1 for probabilities")
    return y, score


def fairness_table(
    y: np.ndarray,
    score: np.ndarray,
    groups: Mapping[str, np.ndarray],
    *,
    kind: Literal["value", "probability"],
    seed: int,
    clusters: np.ndarray | None = None,
    rounds: int = ROUNDS,
    level: float = LEVEL,
) -> pd.DataFrame:
    """Calibration, selection and ranking of each group of customers.

    Fair decisions by expected value require calibration within groups. It is incompatible with
    equal selection if the groups' outcomes differ (Kleinberg, Mullainathan and Raghavan, 2017;
    Chouldechova, 2017): both are reported, and only the first is judged (`unfair`).

    Parameters
    ----------
    y, score : arrays of shape (n,)
        Outcomes and predictions, of an amount (`kind` value) or of 0/1 (probability).
    groups : attribute, such as sex → array of shape (n,)
        Each customer's group; empty or missing is 'unknown'.
    clusters : array of shape (n,), optional
        Rows of the same customer, resampled together.

    Returns
    -------
    frame with a row for each attribute and group, and columns
        attribute, group, customers
        mean_score, mean_outcome : in the outcome's unit
        calibration_gap : mean score less mean outcome, over the size of all customers' mean outcome
        gap_low, gap_high : its percentile bootstrap interval, 90 % by default
        selection_rate : share of the group in the tenth of all customers with the highest scores;
            those tied at its edge share the remaining places
        selection_ratio : that over the share of all customers
        discrimination : normalised Gini within the group, NaN where all outcomes are the same

    Of groups with fewer than 100 customers or 10 outcomes other than 0, figures are NaN.

    Raises
    ------
    ValueError
        For vectors of different length, values that are not finite, and, of probabilities, outcomes
        other than 0 and 1 or scores outside them.
    """
    y, score = _checked(y, score, kind)
    attributes = {name: _values(column, len(y), name) for name, column in groups.items()}
    order = {name: _ordered(values) for name, values in attributes.items()}
    codes = {
        name: pd.Categorical(values, categories=order[name]).codes.astype(np.intp)
        for name, values in attributes.items()
    }
    error = score - y

    def gaps(rows: np.ndarray) -> np.ndarray:
        times = np.bincount(rows, minlength=len(y))
        # No product of vectors: its threads would stall those of the bootstrap.
        overall = abs(y[rows].mean())
        found = [np.zeros(0)]
        with np.errstate(divide="ignore", invalid="ignore"):
            for name, code in codes.items():
                size = len(order[name])
                members = np.bincount(code, weights=times, minlength=size)
                off = np.bincount(code, weights=times * error, minlength=size)
                found.append(off / members / overall)
        together = np.concatenate(found)
        return np.where(np.isfinite(together), together, np.nan)

    value = gaps(np.arange(len(y)))
    by_round = bootstrap(gaps, len(y), seed=seed, groups=clusters, rounds=rounds)
    selected = _selected(score)
    rows: list[dict[str, object]] = []
    for name, values in attributes.items():
        for group in order[name]:
            number, members = len(rows), values == group
            row: dict[str, object] = {
                "attribute": name,
                "group": group,
                "customers": int(members.sum()),
            }
            if members.sum() >= LEAST_GROUP and (y[members] != 0).sum() >= LEAST_OUTCOMES:
                known = by_round[~np.isnan(by_round[:, number]), number]
                ends = [(1 - level) / 2, (1 + level) / 2]
                low, high = np.quantile(known, ends) if len(known) else (np.nan, np.nan)
                rate = selected[members].mean()
                alike = np.ptp(y[members]) == 0
                row |= {
                    "mean_score": score[members].mean(),
                    "mean_outcome": y[members].mean(),
                    "calibration_gap": value[number],
                    "gap_low": low,
                    "gap_high": high,
                    "selection_rate": rate,
                    "selection_ratio": rate / selected.mean(),
                    "discrimination": np.nan if alike else gini(y[members], score[members]),
                }
            rows.append(row)
    table = pd.DataFrame(rows, columns=["attribute", "group", "customers", *FIGURES])
    return table.astype(dict.fromkeys(FIGURES, float))


def unfair(
    table: pd.DataFrame, most_gap: float = MOST_GAP, standing: pd.DataFrame | None = None
) -> list[str]:
    """A sentence for each group whose calibration gap exceeds the bound beyond chance: the whole
    interval lies outside ± `most_gap`. The unknown are not judged: firms are among them.

    The more groups are judged, the wider is the interval of each (Bonferroni), so that of a fair
    model any group is named as seldom as that of one group would be.

    Parameters
    ----------
    table : frame of `fairness_table`, its intervals of 90 %
    most_gap : float, share of the mean outcome of all customers
    standing : frame of `fairness_table`, optional
        Of what scores otherwise, on the same outcomes. A group from whose outcomes that one is at
        least as far off, in the same direction, is not named: whoever keeps it helps nobody.
    """
    judged = table[(table["group"] != UNKNOWN) & table["calibration_gap"].notna()]
    wider = norm.ppf((1 - LEVEL) / 2 / max(len(judged), 1)) / norm.ppf((1 - LEVEL) / 2)
    before: dict[tuple[str, str], float] = {}
    if standing is not None:
        keys = zip(standing["attribute"], standing["group"], strict=True)
        before = dict(zip(keys, standing["calibration_gap"], strict=True))
    sentences = []
    for row in judged.to_dict("records"):
        gap = row["calibration_gap"]
        if before.get((row["attribute"], row["group"]), 0.0) * np.sign(gap) >= abs(gap):
            continue
        # The end of the interval that is nearer to no gap.
        end = row["gap_low"] if gap > 0 else row["gap_high"]
        if (gap + wider * (end - gap)) * np.sign(gap) > most_gap:
            way = "above" if row["calibration_gap"] > 0 else "below"
            gap, low, high, most = (
                100 * share
                for share in (row["calibration_gap"], row["gap_low"], row["gap_high"], most_gap)
            )
            sentences.append(
                f"{row['attribute'].replace('_', ' ')} {row['group']} ({row['customers']:,} "
                f"customers): predictions lie {way} outcomes by {abs(gap):.0f} % of the mean "
                f"outcome of all customers [{low:+.0f} %, {high:+.0f} %], more than {most:.0f} %"
            )
    return sentences
