"""When an event comes: its probability in each of the coming periods, boosted."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import threadpool_limits

from ml.by_group import ByGroup
from ml.encoding import MOST_BINS, Binner, FrameEncoder
from ml.estimator import ProbabilityClassifier, check_binary, check_frame
from ml.response.model import LEAST_SLOPE, MISSING, SLOPE_SPREAD
from ml.screening import informative
from ml.tree_paths import path_contributions, raw_of_bins

# Raise it when a stored model can no longer be read by this code: champions are then trained anew.
FORMAT = "3"
# In log-odds, wide against what some tens of events show: it only keeps the level finite where the
# newest rows hold no event at all.
LEVEL_SPREAD = 2.0


def hazard_line(raw: np.ndarray, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Level and slope of a line in log-odds, as `calibration_line`, for weighted periods at risk.

    The slope has a normal prior about 1 and stays above 0. The level has a wide one about 0 at the
    mean log-odds of the events: hazards are rare, far from log-odds 0, where a level would stand
    for the slope.

    Parameters
    ----------
    raw : array of shape (n,), out-of-fold log-odds of periods at risk
    y : array of shape (n,), 1 where the event happened in the period
    weight : array of shape (n,), how many periods at risk each stands for

    Returns
    -------
    array of level and slope: calibrated log-odds are level + slope × raw
    """
    centre = float(raw[y == 1].mean() if y.any() else np.average(raw, weights=weight))
    away = raw - centre

    def loss(line: np.ndarray) -> tuple[float, np.ndarray]:
        level, slope = line
        score = centre + level + slope * away
        off = weight * (expit(score) - y)
        level_pull, slope_pull = level / LEVEL_SPREAD**2, (slope - 1) / SLOPE_SPREAD**2
        return (
            (weight * (np.logaddexp(0, score) - y * score)).sum()
            + (level_pull * level + slope_pull * (slope - 1)) / 2,
            np.array([off.sum() + level_pull, (off * away).sum() + slope_pull]),
        )

    bounds = [(None, None), (LEAST_SLOPE, None)]
    level, slope = minimize(loss, [0.0, 1.0], jac=True, bounds=bounds).x
    return np.array([level + centre * (1 - slope), slope])


class DiscreteTimeHazard(ProbabilityClassifier):
    """Probability of an event in each of the coming periods, given that it has not happened yet.

    The discrete-time hazard (Singer and Willett, 1993; grouped survival times: Prentice and
    Gloeckler, 1978) on histogram gradient boosting: a customer is one row for each period at risk,
    up to the event or to the last period observed, with the period as one more feature. Customers
    who are censored therefore count for the periods observed and for none after them.

    Periods at risk are many and events few: every event is learned from, the others are drawn, one
    from each of `most_rows` equal stretches, and weighted to stand for all of them (case-control
    sampling within the cohort; Prentice and Breslow, 1978). The expansion is never made: what is
    drawn are places in it.

    One ensemble is fitted without each fold, and the mean of their log-odds is used (bagging by
    cross-fitting; Breiman, 1996). The calibration is a line in log-odds (`hazard_line`) on
    out-of-fold hazards of the periods at risk, with their weights, and is applied to that mean. An
    ensemble fitted on all rows would be more certain than those that the line was fitted on, and
    its level too high where events are few. Hazards within the horizon, being products of uncertain
    factors, come out low by up to a hundredth.

    `by` corrects the calibrated log-odds of groups of customers on the same out-of-fold hazards, as
    far as each group is credible (`ml.by_group.ByGroup`). Where there is nothing to correct, such
    as one group only, the model equals that without `by`.

    Parameters
    ----------
    seed : int
    periods : int
        Of the horizon. With one period the learner is a plain classifier.
    trees, leaves, least_leaf, rate, penalty
        Of the boosting.
    folds : int
        Of the cross-fitting, an ensemble each; all rows of a group are in the same.
    most_rows : int
        Periods at risk without the event that are learned from; as many as there are events, where
        those are more.
    most_features : int
        Of more, those that predict the event best one by one (`ml.screening`) are learned from.
    newest_share : float
        Share of the rows, the newest, that calibrate.
    by : str, optional
        Column of the groups to correct for.

    Attributes
    ----------
    columns_ : list of str, the features learned from, and `by` where groups are corrected
    classes_ : array of 0 and 1
    trees_ : list of ensembles, one fitted without each fold
    line_ : array of level and slope
    by_ : ByGroup or None where no group is corrected
    """

    def __init__(
        self,
        seed: int = 0,
        periods: int = 12,
        trees: int = 40,
        leaves: int = 8,
        least_leaf: int = 40,
        rate: float = 0.1,
        penalty: float = 10.0,
        folds: int = 3,
        most_rows: int = 20_000,
        most_features: int = 60,
        newest_share: float = 1.0,
        by: str | None = None,
    ) -> None:
        self.seed = seed
        self.periods = periods
        self.trees = trees
        self.leaves = leaves
        self.least_leaf = least_leaf
        self.rate = rate
        self.penalty = penalty
        self.folds = folds
        self.most_rows = most_rows
        self.most_features = most_features
        self.newest_share = newest_share
        self.by = by

    def fit(
        self,
        frame: pd.DataFrame,
        time: np.ndarray,
        event: np.ndarray,
        groups: np.ndarray | None = None,
    ) -> DiscreteTimeHazard:
        """Learn from features at past cut-offs, oldest first, and what happened after them.

        Parameters
        ----------
        frame : frame of shape (n, features), as known at the cut-offs
        time : array of shape (n,), 1 to `periods`: the period in which the event happened, or the
            last one observed without it
        event : array of shape (n,), whether it happened
        groups : array of shape (n,), the customer of each row; None where each row is its own

        Raises
        ------
        ValueError
            When lengths differ, the column `by`, a time or an event is missing, a time is not one
            of the periods, nothing or everything is an event, events are of fewer groups than there
            are folds, or no feature differs.
        """
        time, event = self._checked(frame, time, event)
        groups = np.arange(len(event)) if groups is None else np.asarray(groups)
        fold = self._dealt(event, groups)
        self.classes_ = np.array([0, 1])
        self.encoder_ = FrameEncoder().fit(frame)
        if not self.encoder_.columns_ and self.periods == 1:
            raise ValueError("no feature differs between the rows; there is nothing to learn from")
        matrix = self.encoder_.transform(frame)
        self.binner_ = Binner().fit(matrix)
        rows, period, y, weight = self._at_risk(time, event)
        bins = self.binner_.transform(matrix[rows])
        kept = informative(bins, y, self.most_features)
        self.encoder_.keep(kept)
        self.binner_.keep(kept)
        self.columns_ = self.encoder_.columns_
        cells = self._with_period(np.nan_to_num(bins[:, kept], nan=MISSING), period)
        raw = np.empty(len(rows))
        # Where cores are shared, threads that wait for one another made a fit of one second ten.
        with threadpool_limits(1):
            self.trees_ = []
            for number in range(self.folds):
                held = fold[rows] == number
                self.trees_.append(self._boosted(cells[~held], y[~held], weight[~held]))
                raw[held] = self.trees_[-1].decision_function(cells[held])
        newest = rows >= int(len(event) * (1 - self.newest_share))
        self.line_ = hazard_line(raw[newest], y[newest], weight[newest])
        self.by_: ByGroup | None = None
        if self.by is not None:
            row, (level, slope) = rows[newest], self.line_
            found = ByGroup().fit(
                level + slope * raw[newest],
                y[newest],
                frame[self.by].to_numpy(dtype=object)[row],
                weight[newest],
                groups[row],
            )
            if found.corrections_:
                self.by_ = found
                self.columns_ = list(dict.fromkeys([*self.columns_, self.by]))
        return self

    def _checked(
        self, frame: pd.DataFrame, time: np.ndarray, event: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        check_frame(frame, () if self.by is None else (self.by,))
        time, event = np.asarray(time), np.asarray(event)
        if not time.shape == event.shape == (len(frame),):
            raise ValueError(
                f"one time and one event are needed for each of {len(frame)} rows, "
                f"not {time.shape} and {event.shape}"
            )
        if pd.isna(time).any() or pd.isna(event).any():
            raise ValueError("times and events must not be missing")
        time = time.astype(float)
        outside = ~np.isin(time, np.arange(1, self.periods + 1))
        if outside.any():
            place = int(np.argmax(outside))
            raise ValueError(
                f"times must be whole periods from 1 to {self.periods}; "
                f"row {place} has {time[place]:g} ({int(outside.sum())} such rows)"
            )
        happened = check_binary(frame, event).astype(bool)
        if happened.all() or not happened.any():
            raise ValueError(
                f"rows with the event and without it are needed; "
                f"{int(happened.sum())} of {len(happened)} have it"
            )
        return time.astype(int), happened

    def _dealt(self, event: np.ndarray, groups: np.ndarray) -> np.ndarray:
        """Fold of each row: groups at random, those with an event shared out evenly."""
        if groups.shape != event.shape:
            raise ValueError(f"one group is needed for each row, not {groups.shape}")
        if pd.isna(groups).any():
            raise ValueError("groups must not be missing")
        number, names = pd.factorize(groups)
        has_event = np.zeros(len(names), dtype=bool)
        has_event[number[event]] = True
        if has_event.sum() < self.folds:
            raise ValueError(
                f"events of {int(has_event.sum())} groups cannot be shared out over "
                f"{self.folds} folds"
            )
        generator = np.random.default_rng(self.seed)
        order = np.lexsort((generator.random(len(names)), has_event))
        fold = np.empty(len(names), dtype=int)
        fold[order] = np.arange(len(names)) % self.folds
        return fold[number]

    def _at_risk(
        self, time: np.ndarray, event: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Periods at risk to learn from: row, period, whether the event happened, and weight."""
        ends = np.cumsum(time - event)
        total = int(ends[-1])
        drawn = min(total, max(self.most_rows, int(event.sum())))
        places = np.arange(drawn, dtype=float)
        if drawn < total:
            # One from each stretch: every row and period has the same chance, and equal steps,
            # which could meet the same period of each customer, are not taken.
            places += np.random.default_rng(self.seed).random(drawn)
        place = np.minimum((places * (total / drawn)).astype(np.int64), total - 1)
        without = np.searchsorted(ends, place, side="right")
        period = place - (ends - (time - event))[without] + 1
        happened = np.flatnonzero(event)
        return (
            np.concatenate([without, happened]),
            np.concatenate([period, time[happened]]),
            np.repeat([0, 1], [drawn, len(happened)]),
            np.repeat([total / drawn, 1.0], [drawn, len(happened)]),
        )

    def _boosted(
        self, cells: np.ndarray, y: np.ndarray, weight: np.ndarray
    ) -> HistGradientBoostingClassifier:
        return HistGradientBoostingClassifier(
            max_iter=self.trees,
            max_leaf_nodes=self.leaves,
            min_samples_leaf=self.least_leaf,
            learning_rate=self.rate,
            l2_regularization=self.penalty,
            max_bins=MOST_BINS,
            early_stopping=False,
            random_state=self.seed,
        ).fit(cells, y, sample_weight=weight)

    def _binned(self, matrix: np.ndarray) -> np.ndarray:
        # A column may be empty for all rows of a fold, which the trees' binning refuses: a missing
        # value is a place of its own below all others.
        return np.nan_to_num(self.binner_.transform(matrix), nan=MISSING)

    def _with_period(self, bins: np.ndarray, period: np.ndarray | int) -> np.ndarray:
        if self.periods == 1:
            return bins
        return np.column_stack([bins, np.broadcast_to(period, len(bins))])

    def _matrix(self, frame: pd.DataFrame) -> np.ndarray:
        """Bins of the features and, with more than one period, a last column for the period."""
        check_is_fitted(self)
        return self._with_period(self._binned(self.encoder_.transform(frame)), 1)

    def hazard(self, frame: pd.DataFrame) -> np.ndarray:
        """Probability of the event in each period, given none before it; shape (n, periods)."""
        matrix = self._matrix(frame)
        bins = matrix if self.periods == 1 else matrix[:, :-1]
        raw = np.mean([raw_of_bins(trees, bins, self.periods) for trees in self.trees_], axis=0)
        level, slope = self.line_
        score = level + slope * raw
        return expit(score if self.by_ is None else self.by_.correct(score, self._group(frame)))

    def _group(self, frame: pd.DataFrame) -> np.ndarray:
        return check_frame(frame, (str(self.by),))[str(self.by)].to_numpy(dtype=object)

    def survival(self, frame: pd.DataFrame) -> np.ndarray:
        """Probability that the event has not happened by the end of each period; (n, periods)."""
        return np.cumprod(1 - self.hazard(frame), axis=1)

    def probability(self, frame: pd.DataFrame) -> np.ndarray:
        """Probability of the event within all periods, shape (n,)."""
        return 1 - self.survival(frame)[:, -1]

    def expected_lead_time(self, frame: pd.DataFrame) -> np.ndarray:
        """Expected period of the event, given that it happens within the horizon; shape (n,).

        In periods, 1 to `periods`: 1 is an event in the first period after the cut-off.
        """
        survival = self.survival(frame)
        before = np.column_stack([np.ones(len(survival)), survival[:, :-1]])
        chance = before - survival
        return chance @ np.arange(1, self.periods + 1) / chance.sum(axis=1)

    def contributions(self, frame: pd.DataFrame) -> tuple[np.ndarray, list[str]]:
        """What each feature adds to the log-odds of the hazard (Saabas, 2014).

        The mean over the first, the middle and the last period, by the calibrated slope; what the
        period itself adds is left out. The level that corrects a group counts to the column `by`.

        Returns
        -------
        contributions : array of shape (n, features), in log-odds
        columns : list of str, the features
        """
        matrix = self._matrix(frame)
        looked_at = sorted({1, (self.periods + 1) // 2, self.periods})
        learned = self.encoder_.columns_
        total = np.zeros((len(frame), len(self.columns_)))
        for period in looked_at:
            if self.periods > 1:
                matrix[:, -1] = period
            for trees in self.trees_:
                moved = path_contributions(trees, matrix)[1]
                total[:, : len(learned)] += moved[:, : len(learned)]
        total *= self.line_[1] / (len(looked_at) * len(self.trees_))
        if self.by_ is not None:
            level, tilt, _ = self.by_.lines(self._group(frame)).T
            total *= 1 + tilt[:, None]
            total[:, self.columns_.index(str(self.by))] += level
        return total, list(self.columns_)
