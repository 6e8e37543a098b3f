"""Which days of customers are abnormal: an isolation forest and a rule's score, as one."""

from __future__ import annotations

from typing import Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.ensemble import IsolationForest
from sklearn.utils.validation import check_is_fitted

from ml.anomaly.tail import TailSurprise
from ml.estimator import check_frame, check_outcomes

# Of a customer's day. Amounts, counts and days are taken by their logarithm: the forest cuts a
# feature's range evenly, and one very large value would leave the others in one piece.
LOGARITHMIC = (
    "bookings",
    "amount_in",
    "amount_out",
    "largest_ratio",
    "count_surprise",
    "new_counterparties",
    "cash_deposits_10d",
    "days_silent",
)
LINEAR = ("amount_z", "channels", "new_channels", "cash_share", "swept_share", "passed_share")
FEATURES = (*LOGARITHMIC, *LINEAR)

TREES = 100
# Liu, Ting and Zhou (2008): more rows a tree do not isolate better.
ROWS_A_TREE = 256
# Both scores have equal weight: the rule covers the account, the forest the whole day.
RULE_WEIGHT = 0.5


def matrix(days: pd.DataFrame) -> np.ndarray:
    """The forest's view of days, shape (n, len(FEATURES))."""
    logarithms = np.log1p(np.maximum(days[list(LOGARITHMIC)].to_numpy(dtype=float), 0))
    return np.hstack([logarithms, days[list(LINEAR)].to_numpy(dtype=float)]).astype(np.float32)


class AbnormalDays(BaseEstimator):
    """Isolation forest (Liu, Ting and Zhou, 2008) beside a rule's score.

    Both are brought to −log10 of the share of ordinary days that score as high
    (`TailSurprise`), and averaged: a geometric mean of two tail probabilities.

    Parameters
    ----------
    seed : int
    rule_weight : float, the rule's weight in the average
    """

    def __init__(self, seed: int, rule_weight: float = RULE_WEIGHT) -> None:
        self.seed = seed
        self.rule_weight = rule_weight

    def fit(self, days: pd.DataFrame, rule: np.ndarray) -> Self:
        """Learn from a sample of days, columns `FEATURES`, and the rule's score of each."""
        check_outcomes(days, rule, FEATURES)
        self.forest_ = IsolationForest(
            n_estimators=TREES,
            max_samples=min(ROWS_A_TREE, len(days)),
            random_state=self.seed,
        )
        rows = matrix(days)
        self.forest_.fit(rows)
        self.forest_tail_ = TailSurprise().fit(self._isolated(rows))
        self.rule_tail_ = TailSurprise().fit(rule)
        return self

    def score(self, days: pd.DataFrame, rule: np.ndarray) -> pd.DataFrame:
        """Columns score, rule_score, forest_score, all −log10 of a share; index of `days`."""
        check_is_fitted(self)
        check_frame(days, FEATURES)
        by_rule = self.rule_tail_.surprise(np.asarray(rule, dtype=float))
        by_forest = self.forest_tail_.surprise(self._isolated(matrix(days)))
        weight = self.rule_weight
        return pd.DataFrame(
            {
                "score": weight * by_rule + (1 - weight) * by_forest,
                "rule_score": by_rule,
                "forest_score": by_forest,
            },
            index=days.index,
        )

    def _isolated(self, rows: np.ndarray) -> np.ndarray:
        """Anomaly score in (0, 1]: 2^(−E(path length)/c(n)), equation 2 of the paper."""
        return -np.asarray(self.forest_.score_samples(rows))
