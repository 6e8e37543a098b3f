"""Like customers: whom a customer is compared with where a score is explained."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

import numpy as np
import pandas as pd

from ml.reasons import top_reasons, usual_values
from ml.serving import TIER

KIND, PERSON = "customer_kind", "person"
# Whom the sentences name. A customer without a tier, or with few of the same kind and tier, is
# compared with all others.
OTHERS = "other customers"
SAME_TIER = "customers of the same tier"
SAME_BUSINESS = "businesses of the same kind and tier"
# A median of fewer customers is theirs rather than what is usual.
LEAST = 50


class LikeCustomers:
    """What is usual among customers of the same kind and tier, and what is usual in their scores.

    Parameters
    ----------
    frame : frame of n customers as of the date scored, with the tier and, where the bank delivers
        it, the kind of customer
    shown : frame of n rows, the values that the reasons show
    contributions : array of shape (n, names)
        What each name adds to each score. The median of the like customers is taken off, as their
        median value is the usual one: what moves all of them alike explains no difference.
    """

    def __init__(
        self,
        frame: pd.DataFrame,
        shown: pd.DataFrame,
        contributions: np.ndarray,
        names: Sequence[str],
    ) -> None:
        self._names = list(names)
        groups = _groups(frame)
        found, size = np.unique(groups, return_counts=True)
        every = np.ones(len(frame), dtype=bool)
        members = {"": every} | {
            str(group): groups == group
            for group, number in zip(found, size, strict=True)
            if group and number >= LEAST
        }
        self._members = members
        self._usual = {group: usual_values(shown[of], names) for group, of in members.items()}
        self._middle = self._middle_of(contributions)

    def _middle_of(self, contributions: np.ndarray) -> dict[str, np.ndarray]:
        return {group: np.median(contributions[of], axis=0) for group, of in self._members.items()}

    def moved_by(self, contributions: np.ndarray) -> LikeCustomers:
        """The same customers, whose scores are moved by other contributions of the same names."""
        others = copy(self)
        others._middle = others._middle_of(contributions)
        return others

    def reasons(
        self, frame: pd.DataFrame, shown: pd.DataFrame, contributions: np.ndarray, top: int = 3
    ) -> pd.DataFrame:
        """Reasons as of `ml.reasons.top_reasons`, with `usual_of`: whose value is the usual one."""
        groups = _groups(frame)
        groups[~np.isin(groups, list(self._usual))] = ""
        found = []
        for group in np.unique(groups):
            rows = np.flatnonzero(groups == group)
            moved = contributions[rows] - self._middle[group]
            reasons = top_reasons(moved, self._names, shown.iloc[rows], self._usual[group], top)
            whose = _words(group)
            found.append(reasons.assign(row=rows[reasons["row"].to_numpy()], usual_of=whose))
        return pd.concat(found).sort_values(["row", "rank"], ignore_index=True)


def _groups(frame: pd.DataFrame) -> np.ndarray:
    """Kind and tier as text, an array of shape (n,) of str; empty without a tier."""
    if TIER not in frame:
        return np.full(len(frame), "", dtype=object)
    tier = frame[TIER].astype("Int64").astype(str)
    kind = frame[KIND].fillna(PERSON).astype(str) if KIND in frame else PERSON
    return np.where(frame[TIER].isna(), "", kind + " " + tier).astype(object)


def _words(group: str) -> str:
    if not group:
        return OTHERS
    return SAME_TIER if group.startswith(f"{PERSON} ") else SAME_BUSINESS
