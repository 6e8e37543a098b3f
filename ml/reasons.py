"""The features that moved a prediction most, as text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from ml.measures import stem

COLUMNS = ["row", "rank", "feature", "value", "usual", "before", "contribution", "direction"]
RAISES, LOWERS = "raises", "lowers"
DIGITS = 4
# A contribution below this share of a row's total is a rounding error.
NEGLIGIBLE = 1e-9
# The most decimals by which a number of four digits can be divided exactly.
MOST_DECIMALS = 22
# Of two numbers within this share of the larger, nobody would say that one is unusual.
ALIKE = 0.1
# A sum or an average over fewer months than a year, which the year's can be compared with.
SPAN = re.compile(r"(?P<measure>.+)(?<!_max)(?<!_deepest)_(?P<months>\d+)m")
YEAR, OBSERVED, AVERAGE = 12, "months_observed", "average_"


def _is_number(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def _numbers(column: pd.Series) -> np.ndarray:
    return column.to_numpy(dtype=float, na_value=np.nan)


def _number_text(numbers: np.ndarray) -> np.ndarray:
    """Numbers to four significant digits, whole ones without a point; missing as an empty text."""
    there = np.isfinite(numbers) & (numbers != 0)
    places = np.zeros(len(numbers))
    places[there] = DIGITS - 1 - np.floor(np.log10(np.abs(numbers[there])))
    # Powers of ten above 1 only: smaller ones are not exact and would leave extra digits.
    up = 10.0 ** np.clip(places, 0, MOST_DECIMALS)
    down = 10.0 ** np.clip(-places, 0, None)
    rounded = np.where(there, np.round(numbers * up / down) * down / up, numbers)
    text = rounded.astype(str).astype(object)
    whole = np.isfinite(rounded) & (np.abs(rounded) < 1e15) & (rounded == np.trunc(rounded))
    text[whole] = rounded[whole].astype(np.int64).astype(str)
    text[np.isnan(numbers)] = ""
    return text


def _text(column: pd.Series) -> np.ndarray:
    """Values as text, array of shape (n,) of str; missing is an empty text."""
    if _is_number(column):
        return _number_text(_numbers(column))
    text = column.astype(str).to_numpy(dtype=object)
    text[column.isna().to_numpy()] = ""
    return text


def usual_values(frame: pd.DataFrame, names: Sequence[str]) -> dict[str, str]:
    """The median of each number and the most frequent of each category, as text.

    Missing values do not count; a feature without values is an empty text. Of equally frequent
    categories the first by name.

    Raises
    ------
    ValueError
        When features are not in the frame; names all of them.
    """
    _refuse_missing(frame.columns, names, "the frame")
    usual = {}
    for name in names:
        column = frame[name].dropna()
        if column.empty:
            usual[name] = ""
        elif _is_number(column):
            usual[name] = str(_number_text(np.array([np.median(_numbers(column))]))[0])
        else:
            levels, counts = np.unique(column.astype(str).to_numpy(dtype=str), return_counts=True)
            usual[name] = str(levels[counts.argmax()])
    return usual


def alike(values: np.ndarray, usual: np.ndarray | float) -> np.ndarray:
    """Whether numbers are the same to a person: within 10 % of the larger, or both missing."""
    values, usual = np.broadcast_arrays(np.asarray(values, float), np.asarray(usual, float))
    near = np.abs(values - usual) <= ALIKE * np.maximum(np.abs(values), np.abs(usual))
    near &= np.isfinite(values)
    return np.asarray(near | (np.isnan(values) & np.isnan(usual)))


def _is_usual(column: pd.Series, usual: str) -> np.ndarray:
    if _is_number(column):
        return alike(_numbers(column), float(usual) if usual else np.nan)
    return _text(column) == usual


def _before(frame: pd.DataFrame, rows: np.ndarray, name: str) -> np.ndarray:
    """The row's own value over a span as long as the feature's, by the mean of a year, as text;
    empty where the frame has no such measure over a year."""
    span = SPAN.fullmatch(name)
    year = f"{span['measure']}_{YEAR}m" if span else ""
    if not span or int(span["months"]) >= YEAR or year not in frame:
        return np.full(len(rows), "", dtype=object)
    past = _numbers(frame[year].iloc[rows])
    if not name.startswith(AVERAGE):
        observed = np.full(len(rows), float(YEAR))
        if OBSERVED in frame:
            known = np.nan_to_num(_numbers(frame[OBSERVED].iloc[rows]), nan=YEAR)
            observed = np.clip(known, 1, YEAR)
        past = past * np.minimum(int(span["months"]), observed) / observed
    return _number_text(past)


def _refuse_missing(there: Iterable[str], names: Sequence[str], where: str) -> None:
    known = set(there)
    missing = [name for name in names if name not in known]
    if missing:
        raise ValueError(f"features are invalid: missing in {where}: {missing}")


def _strongest(strength: np.ndarray, top: int) -> np.ndarray:
    """Flags of the `top` largest values of each row that are above 0; of equal ones, the first."""
    if top >= strength.shape[1]:
        return strength > 0
    least = np.partition(strength, -top, axis=1)[:, [-top]]
    above = strength > least
    level = (strength == least) & (strength > 0)
    free = top - above.sum(axis=1, keepdims=True)
    return above | (level & (np.cumsum(level, axis=1, dtype=np.int32) <= free))


def _groups(stems: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Start and length of the runs of equal names in a sorted list."""
    starts = np.flatnonzero([n == 0 or stems[n] != stems[n - 1] for n in range(len(stems))])
    return starts, np.diff(np.append(starts, len(stems)))


def top_reasons(
    contributions: np.ndarray,
    names: Sequence[str],
    frame: pd.DataFrame,
    usual: Mapping[str, str],
    top: int = 3,
    by_stem: bool = True,
) -> pd.DataFrame:
    """The features that moved each row's prediction most, in long form.

    Parameters
    ----------
    contributions : array of shape (n, features)
        What each feature adds to each prediction, as from `ml.tree_paths.path_contributions`.
    names : features, in the order of the contributions' columns
    frame : frame of n rows
        The input of the model; columns are found by name.
    usual : mapping, feature → its usual value, as from `usual_values`
    top : int
        The most reasons per row.
    by_stem : bool
        Features of one stem (`stem`: the same measure over several windows) are one reason. Its
        contribution is the stem's sum; its feature is the one that adds most in that direction
        among those whose value is not usual.

    Returns
    -------
    DataFrame
        Ordered by row and rank. Columns: row (position in the frame), rank (from 1), feature, value
        and usual (text: numbers to four significant digits, an empty text where missing), before
        (text: where the frame has the same measure over twelve months, the row's own value over as
        many months as the feature covers, by the mean of those twelve; otherwise empty),
        contribution (in the unit of the contributions), direction ('raises' or 'lowers').
        What is usual is not a reason: a number that is `alike` the usual one, the same category,
        or both missing. Nor are rounding errors and unknown contributions (NaN): a row may have
        fewer than `top`, or none. Of equally strong reasons the first has the first name (with
        `by_stem`, of the stem) in the alphabet.

    Raises
    ------
    ValueError
        When `top` is below 1, shapes do not fit, a name appears twice, or features are missing in
        the frame or in `usual`; names all of them.
    """
    contributions = np.asarray(contributions, dtype=float)
    if top < 1:
        raise ValueError(f"top is invalid: expected 1 or more, got {top}")
    if contributions.shape != (len(frame), len(names)):
        raise ValueError(
            f"contributions are invalid: expected shape {(len(frame), len(names))}, got "
            f"{contributions.shape}"
        )
    if len(set(names)) < len(names):
        raise ValueError("names are invalid: expected each feature once")
    _refuse_missing(frame.columns, names, "the frame")
    _refuse_missing(usual, names, "the usual values")
    if not contributions.size:
        return _long_form(np.empty(0, int), np.empty(0, int), np.empty(0), [], frame, usual)

    keys = [(stem(name) if by_stem else name, name) for name in names]
    order = sorted(range(len(names)), key=lambda number: keys[number])
    ordered = [names[number] for number in order]
    starts, lengths = _groups([keys[number][0] for number in order])
    moved = np.nan_to_num(contributions[:, order], posinf=0.0, neginf=0.0)
    sums = np.add.reduceat(moved, starts, axis=1)
    strength = np.abs(sums)
    strength[strength <= NEGLIGIBLE * np.abs(moved).sum(axis=1, keepdims=True)] = 0
    # What each feature adds in the direction of its stem, nothing where its value is usual.
    added = moved * np.repeat(np.sign(sums), lengths, axis=1)
    for place, name in enumerate(ordered):
        added[_is_usual(frame[name], usual[name]), place] = 0
    strength[np.maximum.reduceat(added, starts, axis=1) <= 0] = 0
    row, group = np.nonzero(_strongest(strength, top))
    first = np.lexsort((group, -strength[row, group], row))
    row, group = row[first], group[first]
    contribution = sums[row, group]

    places = np.arange(lengths.max())
    member = np.minimum(starts[group, None] + places, len(names) - 1)
    along = added[row[:, None], member]
    along[places >= lengths[group, None]] = -np.inf
    shown = starts[group] + along.argmax(axis=1)
    return _long_form(row, shown, contribution, ordered, frame, usual)


def _long_form(
    row: np.ndarray,
    shown: np.ndarray,
    contribution: np.ndarray,
    names: list[str],
    frame: pd.DataFrame,
    usual: Mapping[str, str],
) -> pd.DataFrame:
    value, before = (np.full(len(row), "", dtype=object) for _ in range(2))
    for number in np.unique(shown):
        at = shown == number
        value[at] = _text(frame[names[number]].iloc[row[at]])
        before[at] = _before(frame, row[at], names[number])
    begins = np.searchsorted(row, row)
    feature = np.array(names, dtype=object)[shown]
    expected = np.array([usual[name] for name in names], dtype=object)[shown]
    return pd.DataFrame(
        {
            "row": row,
            "rank": np.arange(len(row)) - begins + 1,
            "feature": pd.Series(feature, dtype=str),
            "value": pd.Series(value, dtype=str),
            "usual": pd.Series(expected, dtype=str),
            "before": pd.Series(before, dtype=str),
            "contribution": contribution,
            "direction": pd.Series(np.where(contribution > 0, RAISES, LOWERS), dtype=str),
        },
        columns=COLUMNS,
    )
