"""Learners of the effect of a treatment: S, T, X and class transformation.

All learn the conditional average treatment effect E[Y(k) − Y(0) | x] from randomised contacts whose
assignment probabilities are known, and weight by their inverses: chances of treatment that differ
between customers then bias nothing. They take 0/1 and continuous outcomes, and several treatments
against one control.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import threadpool_limits

from ml.encoding import MOST_BINS, Binner, FrameEncoder
from ml.estimator import check_frame
from ml.tree_paths import path_contributions

Base = Literal["boosting", "linear"]
BASES = ("boosting", "linear")
MISSING = -1
LEAST_SPREAD = 1e-9
LEAST_COLUMNS = 8
# Scales the treatment's column, so that the penalty does not shrink the mean effect.
MARK_SCALE = 10.0
MOST_ITERATIONS = 300
# Exceeded by chance in fewer than one of a million samples.
MOST_ERRORS = 5.0


def pseudo_outcome(
    y: np.ndarray,
    treatment: np.ndarray,
    probability: np.ndarray,
    expected: np.ndarray | float = 0.0,
) -> np.ndarray:
    """An outcome for each contact whose conditional mean is the effect of the treatment.

        ψ = (W / p − (1 − W) / (1 − p)) (Y − m(x)),   p = P(W = 1 | x)

    the inverse-probability transformed outcome (Athey and Imbens, 2016), its variance reduced by
    `expected`, any function m of data known before the contact. With p = 1/2, a 0/1 outcome and
    m = 1/2 it is 2Z − 1 of class transformation (Jaskowski and Jaroszewicz, 2012); with
    m = (1 − p) μ₁(x) + p μ₀(x) it is the doubly robust score (Robins, Rotnitzky and Zhao, 1994),
    the least variance there is.

    Unbiased whatever m is, right or wrong: given x, E[W / p − (1 − W) / (1 − p)] = 1 − 1 = 0 and m
    is fixed, so that m adds nothing; and W Y = W Y(1) with W independent of Y(1), so that
    E[W Y / p | x] = E[Y(1) | x], likewise for the control. m must not have seen the contact's own
    outcome: fit it on others (cross-fitting).

    Parameters
    ----------
    y : array of shape (n,)
    treatment : array of shape (n,), 1 treated, 0 control
    probability : array of shape (n,)
        Of the arm actually assigned: p for the treated, 1 − p for the control.
    expected : array of shape (n,) or float

    Returns
    -------
    array of shape (n,), in the outcome's unit

    Raises
    ------
    ValueError
        For vectors of different length, another arm than 0 and 1, probabilities outside (0, 1).
    """
    y, treatment, probability = checked(y, treatment, probability)
    if not np.isin(treatment, (0, 1)).all():
        raise ValueError("one treatment (1) against control (0) is needed")
    return (2 * treatment - 1) / probability * (y - expected)


def checked(
    y: np.ndarray, treatment: np.ndarray, probability: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Outcomes, arms and probabilities as arrays that fit together.

    Raises
    ------
    ValueError
        For vectors of different length, outcomes that are not finite, arms that are not whole
        numbers from 0, probabilities outside (0, 1).
    """
    y, probability = np.asarray(y, dtype=float), np.asarray(probability, dtype=float)
    arms = np.asarray(treatment, dtype=float)
    if y.ndim != 1 or not len(y) or not y.shape == arms.shape == probability.shape:
        raise ValueError(
            "outcomes, treatments and probabilities must be equal, non-empty vectors, not "
            f"{y.shape}, {arms.shape} and {probability.shape}"
        )
    if not np.isfinite(y).all():
        raise ValueError("outcomes must be finite")
    if not (np.isfinite(arms).all() and (arms >= 0).all() and (arms == arms.round()).all()):
        raise ValueError("treatments must be 0 (control) or whole numbers from 1")
    outside = ~((probability > 0) & (probability < 1))
    if outside.any():
        raise ValueError(
            f"assignment probabilities must lie within (0, 1); {int(outside.sum())} do not"
        )
    return y, arms.astype(int), probability


def randomised(
    frame: pd.DataFrame, y: np.ndarray, treatment: np.ndarray, probability: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`checked`, and that the probabilities can be those of the arms assigned.

    Of each arm Σ 1 / p over its contacts, divided by all contacts, has the mean 1: with the
    probability of treatment in place of the own arm's it has not, and every effect is wrong.

    Raises
    ------
    ValueError
        As `checked` and `arms_of`; for features that are no frame or of another number of rows;
        and where a sum lies more than MOST_ERRORS standard errors from 1.
    """
    y, treatment, probability = checked(y, treatment, probability)
    check_frame(frame)
    if len(frame) != len(y):
        raise ValueError(f"{len(frame)} rows of features, {len(y)} outcomes")
    for arm in range(arms_of(treatment) + 1):
        weight = np.where(treatment == arm, 1 / probability, 0.0)
        error = np.sqrt(((weight - 1) ** 2).mean() / len(weight))
        if abs(weight.mean() - 1) > MOST_ERRORS * error:
            raise ValueError(
                f"assignment probabilities are invalid: expected those of the arm assigned, whose "
                f"inverses sum to the number of contacts in each arm; in arm {arm} they sum to "
                f"{weight.mean():.2f} of it (standard error {error:.2f}). Give 1 - p for the "
                f"control where p is the probability of treatment"
            )
    return y, treatment, probability


def arms_of(treatment: np.ndarray) -> int:
    """Number of treatments; raises ValueError where an arm from 0 to the last has no contact."""
    last = int(treatment.max())
    empty = sorted(set(range(max(last, 1) + 1)) - set(treatment.tolist()))
    if empty:
        raise ValueError(f"every arm needs contacts; none in {empty} (0 is the control)")
    return last


def deal(seed: int, folds: int, *strata: np.ndarray) -> np.ndarray:
    """Fold of each row, dealt at random so that each has its share of every stratum; shape (n,)."""
    generator = np.random.default_rng(seed)
    size = len(strata[0])
    order = np.lexsort((generator.random(size), *strata))
    fold = np.empty(size, dtype=int)
    fold[order] = np.arange(size) % folds
    return fold


class Design(TransformerMixin, BaseEstimator):
    """Transform a frame to the matrix of a base learner.

    boosting: numbers of quantile bins; missing values have a bin of their own below all others.
    linear: the same numbers, that is ranks, standardised (so that a balance of millions has no
    leverage); a missing value is average and marked in a column of its own; levels of categories
    are columns.

    Attributes
    ----------
    columns_ : list of str, columns read of the frame
    source_ : array, which of `columns_` each column of the matrix comes from
    """

    def __init__(self, base: Base = "boosting") -> None:
        self.base = base

    def fit(self, frame: pd.DataFrame) -> Design:
        """Raises ValueError for an unknown base."""
        if self.base not in BASES:
            raise ValueError(f"base {self.base!r} is not known; there are {', '.join(BASES)}")
        self.encoder_ = FrameEncoder().fit(frame)
        self.columns_ = list(self.encoder_.columns_)
        self.binner_ = Binner().fit(self.encoder_.transform(frame))
        self.source_ = np.arange(len(self.columns_))
        if self.base == "linear":
            bins = self.bins(frame)
            known = (~np.isnan(bins)).sum(axis=0)
            self.centre_ = np.nansum(bins, axis=0) / np.maximum(known, 1)
            wide = self._wide(bins)
            self.mean_, spread = wide.mean(axis=0), wide.std(axis=0)
            # A constant column (the mark of a column without missing values) has weight 0.
            self.spread_ = np.where(spread > LEAST_SPREAD, spread, np.inf)
            self.source_ = np.repeat(self.source_, [self._width(name) for name in self.columns_])
        return self

    def bins(self, frame: pd.DataFrame) -> np.ndarray:
        """Numbers of the bins, shape (n, columns); missing stays missing."""
        return self.binner_.transform(self.encoder_.transform(frame))

    def _width(self, name: str) -> int:
        return len(self.encoder_.levels_[name]) if name in self.encoder_.levels_ else 2

    def _wide(self, bins: np.ndarray) -> np.ndarray:
        wide = []
        for name, centre, column in zip(self.columns_, self.centre_, bins.T, strict=True):
            if name in self.encoder_.levels_:
                wide += [column == level for level in range(self._width(name))]
            else:
                missing = np.isnan(column)
                wide += [np.where(missing, centre, column), missing]
        return np.column_stack(wide).astype(float) if wide else np.empty((len(bins), 0))

    def keep(self, places: np.ndarray) -> None:
        """Keep only the columns of the frame at these places; the others are no longer read."""
        columns = np.isin(self.source_, places)
        self.source_ = np.searchsorted(places, self.source_[columns])
        self.encoder_.keep(places)
        self.binner_.keep(places)
        self.columns_ = list(self.encoder_.columns_)
        if self.base == "linear":
            self.centre_ = self.centre_[places]
            self.mean_, self.spread_ = self.mean_[columns], self.spread_[columns]

    def transform(self, frame: pd.DataFrame) -> np.ndarray:
        """Matrix of shape (n, width); raises ValueError where a column is missing."""
        bins = self.bins(frame)
        if self.base == "boosting":
            return np.nan_to_num(bins, nan=MISSING)
        return (self._wide(bins) - self.mean_) / self.spread_

    def by_column(self, added: np.ndarray) -> np.ndarray:
        """Figures of the matrix' columns summed by those of the frame, shape (n, columns)."""
        summed = np.zeros((len(added), len(self.columns_)))
        for place, source in enumerate(self.source_):
            summed[:, source] += added[:, place]
        return summed


class Outcome(BaseEstimator):
    """Expected outcome of a row: a probability if outcomes are 0 and 1, else a mean.

    Strongly regularised: boosting of few small trees with large leaves, or a line with an L2
    penalty (logistic if outcomes are 0 and 1).

    Parameters
    ----------
    least_leaf : int
        The least rows of a leaf.
    max_features : float
        Share of the columns, drawn for each split, that a split chooses from (but at least
        LEAST_COLUMNS): among many similar columns, one that fits the sample by chance is then not
        chosen repeatedly.
    ridge : float
        Strength of the linear penalty as a number of rows: with about so many rows, the data have
        as much weight for a standardised column as the prior.
    """

    def __init__(
        self,
        base: Base = "boosting",
        seed: int = 0,
        trees: int = 100,
        leaves: int = 3,
        least_leaf: int = 80,
        rate: float = 0.05,
        penalty: float = 10.0,
        max_features: float = 0.2,
        ridge: float = 20000.0,
    ) -> None:
        self.base = base
        self.seed = seed
        self.trees = trees
        self.leaves = leaves
        self.least_leaf = least_leaf
        self.rate = rate
        self.penalty = penalty
        self.max_features = max_features
        self.ridge = ridge

    def fit(
        self, matrix: np.ndarray, y: np.ndarray, weight: np.ndarray, *, squared: bool = False
    ) -> Outcome:
        """Learn from a matrix of shape (n, width); weights count relative to their mean.

        With `squared` a mean is fitted whatever the outcomes are.
        """
        weight = weight / weight.mean()
        self.mean_ = float(np.average(y, weights=weight))
        self.is_binary_ = bool(np.isin(y, (0, 1)).all()) and not squared
        self.is_constant_ = bool((y == y[0]).all()) or not matrix.shape[1]
        if not self.is_constant_:
            # For such small samples, several threads cost more than they gain.
            with threadpool_limits(1):
                self.model_ = self._model(matrix.shape[1]).fit(matrix, y, sample_weight=weight)
        return self

    def _model(self, width: int) -> BaseEstimator:
        if self.base == "linear":
            if not self.is_binary_:
                return Ridge(alpha=self.ridge)
            # The curvature of the likelihood is p (1 − p) a row.
            strength = self.ridge * self.mean_ * (1 - self.mean_)
            return LogisticRegression(C=1 / strength, max_iter=MOST_ITERATIONS)
        boosting = (
            HistGradientBoostingClassifier if self.is_binary_ else HistGradientBoostingRegressor
        )
        return boosting(
            max_iter=self.trees,
            max_leaf_nodes=self.leaves,
            min_samples_leaf=self.least_leaf,
            learning_rate=self.rate,
            l2_regularization=self.penalty,
            max_features=min(1.0, max(self.max_features, LEAST_COLUMNS / width)),
            max_bins=MOST_BINS + 2,
            early_stopping=False,
            random_state=self.seed,
        )

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        """Expected outcome, shape (n,)."""
        if self.is_constant_:
            return np.full(len(matrix), self.mean_)
        if self.is_binary_:
            return self.model_.predict_proba(matrix)[:, 1]
        return self.model_.predict(matrix)

    def contributions(self, matrix: np.ndarray) -> tuple[float, np.ndarray]:
        """A usual outcome and what each column adds to it; together they are the prediction.

        For trees the paths (`path_contributions`), for a line its terms, which are 0 for the
        average row. For a probability they split the log-odds, and each column gets its share of
        the difference in probability (the rescale rule of DeepLIFT, Shrikumar et al., 2017).

        Returns
        -------
        usual : float
        added : array of shape (n, width)
        """
        if self.is_constant_:
            return self.mean_, np.zeros(matrix.shape)
        if self.base == "linear":
            usual = float(np.ravel(self.model_.intercept_)[0])
            added = matrix * np.ravel(self.model_.coef_)
        else:
            usual, added = path_contributions(self.model_, matrix)
        if not self.is_binary_:
            return usual, added
        moved = added.sum(axis=1)
        steep = np.where(np.abs(moved) > LEAST_SPREAD, moved, 1.0)
        by_log_odds = np.where(
            np.abs(moved) > LEAST_SPREAD,
            (expit(usual + moved) - expit(usual)) / steep,
            expit(usual) * (1 - expit(usual)),
        )
        return float(expit(usual)), added * by_log_odds[:, None]


class Learner(BaseEstimator, ABC):
    """Base class of the learners: encoding, checks, and the parameters of their base (`Outcome`).

    Parameters
    ----------
    base : "boosting" or "linear"
    seed : int
    folds : int
        Of the cross-fitting of nuisance functions.
    """

    def __init__(
        self,
        base: Base = "boosting",
        seed: int = 0,
        trees: int = 100,
        leaves: int = 3,
        least_leaf: int = 80,
        rate: float = 0.05,
        penalty: float = 10.0,
        max_features: float = 0.2,
        ridge: float = 20000.0,
        folds: int = 3,
    ) -> None:
        self.base = base
        self.seed = seed
        self.trees = trees
        self.leaves = leaves
        self.least_leaf = least_leaf
        self.rate = rate
        self.penalty = penalty
        self.max_features = max_features
        self.ridge = ridge
        self.folds = folds

    def fit(
        self,
        frame: pd.DataFrame,
        y: np.ndarray,
        treatment: np.ndarray,
        probability: np.ndarray,
    ) -> Learner:
        """Learn from randomised contacts.

        Parameters
        ----------
        frame : frame of shape (n, features), known before the contact
        y : array of shape (n,), 0/1 or continuous
        treatment : array of shape (n,), 0 control, 1 … K
        probability : array of shape (n,), of the arm actually assigned

        Raises
        ------
        ValueError
            For an arm without contacts, an unknown base, and as `randomised`.
        """
        y, treatment, probability = randomised(frame, y, treatment, probability)
        self.design_ = Design(self.base).fit(frame)
        self.columns_ = self.design_.columns_
        return self.fit_matrix(self.design_.transform(frame), y, treatment, probability)

    def fit_matrix(
        self, matrix: np.ndarray, y: np.ndarray, treatment: np.ndarray, probability: np.ndarray
    ) -> Learner:
        """Fit on the matrix of a `Design` of this base; the other arguments are as in `fit`, and
        already checked."""
        self.treatments_ = int(treatment.max())
        self._learn(matrix, y, treatment, 1 / probability)
        return self

    def effects(self, frame: pd.DataFrame) -> np.ndarray:
        """Effect of each treatment against the control, shape (n, K), in the outcome's unit."""
        check_is_fitted(self)
        check_frame(frame, self.columns_)
        return self.effects_of(self.design_.transform(frame))

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """Effect of the treatment, shape (n,); raises ValueError where there are several."""
        effects = self.effects(frame)
        if effects.shape[1] != 1:
            raise ValueError(f"{effects.shape[1]} treatments have no one effect; see `effects`")
        return effects[:, 0]

    def _outcome(self) -> Outcome:
        return Outcome(
            self.base,
            self.seed,
            self.trees,
            self.leaves,
            self.least_leaf,
            self.rate,
            self.penalty,
            self.max_features,
            self.ridge,
        )

    @abstractmethod
    def _learn(
        self, matrix: np.ndarray, y: np.ndarray, treatment: np.ndarray, weight: np.ndarray
    ) -> None:
        """Learn the effects from the matrix, outcomes, arms and weights."""

    @abstractmethod
    def effects_of(self, matrix: np.ndarray) -> np.ndarray:
        """`effects` from the design's matrix of a frame."""

    @abstractmethod
    def contributions_of(self, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What each column of the matrix adds to the effect of the first treatment: the difference
        of its contributions to the two outcomes of the effect (see `Outcome.contributions`).

        Returns
        -------
        rest : array of shape (n,), the part of no column
        added : array of shape (n, width); rest + added.sum(axis=1) is the effect
        """


class SLearner(Learner):
    """A single model of the outcome with the treatment among its features (Künzel et al., 2019,
    section 2): the effect is the change of the prediction with the treatment.

    The linear base also has the products of the treatments with all features; without them the
    effect would be the same for all.
    """

    def _with(self, matrix: np.ndarray, arm: np.ndarray) -> np.ndarray:
        marks = (arm[:, None] == np.arange(1, self.treatments_ + 1)).astype(float)
        if self.base == "boosting":
            return np.column_stack([matrix, marks])
        # About their mean with equal weights of the arms, so that products differ from features.
        marks -= 1 / (1 + self.treatments_)
        products = [matrix * mark[:, None] for mark in marks.T]
        return np.column_stack([matrix, *products, marks * MARK_SCALE])

    def _learn(
        self, matrix: np.ndarray, y: np.ndarray, treatment: np.ndarray, weight: np.ndarray
    ) -> None:
        self.model_ = self._outcome().fit(self._with(matrix, treatment), y, weight)

    def effects_of(self, matrix: np.ndarray) -> np.ndarray:
        def expected(arm: int) -> np.ndarray:
            return self.model_.predict(self._with(matrix, np.full(len(matrix), arm)))

        control = expected(0)
        return np.column_stack([expected(k + 1) - control for k in range(self.treatments_)])

    def contributions_of(self, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        size, width = matrix.shape
        rest, added = np.zeros(size), np.zeros((size, width))
        for arm, sign in ((1, 1), (0, -1)):
            wide = self.model_.contributions(self._with(matrix, np.full(size, arm)))[1]
            marks = width if self.base == "boosting" else width * (1 + self.treatments_)
            rest += sign * wide[:, marks:].sum(axis=1)
            for first in range(0, marks, width):
                added += sign * wide[:, first : first + width]
        return rest, added


class TLearner(Learner):
    """Two models of the outcome, one an arm (Künzel et al., 2019, section 2): the effect is their
    difference."""

    def _learn(
        self, matrix: np.ndarray, y: np.ndarray, treatment: np.ndarray, weight: np.ndarray
    ) -> None:
        self.models_ = []
        for arm in range(self.treatments_ + 1):
            rows = treatment == arm
            self.models_.append(self._outcome().fit(matrix[rows], y[rows], weight[rows]))

    def effects_of(self, matrix: np.ndarray) -> np.ndarray:
        control, *treated = (model.predict(matrix) for model in self.models_)
        return np.column_stack([expected - control for expected in treated])

    def contributions_of(self, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        (control, without), (treated, with_it) = (
            model.contributions(matrix) for model in self.models_[:2]
        )
        return np.full(len(matrix), treated - control), with_it - without


class XLearner(Learner):
    """Effects imputed to each contact with the other arm's model, then learned (Künzel et al.,
    2019, section 2.2).

    The treated are imputed Y − μ₀(x), the control μₖ(x) − Y; the model of these that is fitted on
    more contacts has more weight: τ(x) = g τ₀(x) + (1 − g) τₖ(x), g the share of the treated.
    Chances of assignment are not features of a customer here, so that g is one number: any g
    between 0 and 1 is valid.

    The model that imputes a contact's effect is fitted on the other arm and never contains its own
    outcome: the imputed effects are out of sample without further cross-fitting.
    """

    def _learn(
        self, matrix: np.ndarray, y: np.ndarray, treatment: np.ndarray, weight: np.ndarray
    ) -> None:
        def fitted(rows: np.ndarray, outcomes: np.ndarray, *, squared: bool) -> Outcome:
            return self._outcome().fit(matrix[rows], outcomes, weight[rows], squared=squared)

        control = treatment == 0
        usual = fitted(control, y[control], squared=False)
        self.pairs_ = []
        for arm in range(1, self.treatments_ + 1):
            rows = treatment == arm
            contacted = fitted(rows, y[rows], squared=False)
            of_treated = y[rows] - usual.predict(matrix[rows])
            of_control = contacted.predict(matrix[control]) - y[control]
            self.pairs_.append(
                (
                    fitted(rows, of_treated, squared=True),
                    fitted(control, of_control, squared=True),
                    float(rows.sum() / (rows.sum() + control.sum())),
                )
            )

    def effects_of(self, matrix: np.ndarray) -> np.ndarray:
        return np.column_stack(
            [
                share * by_control.predict(matrix) + (1 - share) * by_treated.predict(matrix)
                for by_treated, by_control, share in self.pairs_
            ]
        )

    def contributions_of(self, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        by_treated, by_control, share = self.pairs_[0]
        one, of_treated = by_treated.contributions(matrix)
        other, of_control = by_control.contributions(matrix)
        rest = np.full(len(matrix), share * other + (1 - share) * one)
        return rest, share * of_control + (1 - share) * of_treated


class ClassTransformation(Learner):
    """Regression of the transformed outcome (Jaskowski and Jaroszewicz, 2012, in its general form).

    Class transformation learns Z = W Y + (1 − W)(1 − Y), 1 for treated contacts that responded and
    controls that did not; with assignment at 1/2, E[2 Z − 1 | x] is the effect. 2 Z − 1 is
    `pseudo_outcome` with an expected outcome of 1/2: with inverse probabilities it holds for any
    assignment (Athey and Imbens, 2016), and with the expected outcome given x instead of 1/2 its
    variance is a fraction if responses are few. That outcome is cross-fitted, and weighted by
    P(other arm) / P(arm): the mean so weighted is (1 − p) μ₁ + p μ₀.

    With several treatments each is compared with the control; contacts of the others count 0 in the
    mean, as in Horvitz and Thompson (1952).
    """

    def _learn(
        self, matrix: np.ndarray, y: np.ndarray, treatment: np.ndarray, weight: np.ndarray
    ) -> None:
        self.models_ = []
        fold = deal(self.seed, self.folds, y, treatment)
        for arm in range(1, self.treatments_ + 1):
            pair = (treatment == 0) | (treatment == arm)
            expected = np.zeros(len(y))
            for number in range(self.folds):
                held, others = fold == number, pair & (fold != number)
                nuisance = self._outcome().fit(matrix[others], y[others], weight[others] - 1)
                expected[held] = nuisance.predict(matrix[held])
            sign = (treatment == arm).astype(float) - (treatment == 0)
            transformed = sign * weight * (y - expected)
            even = np.ones(len(y))
            self.models_.append(self._outcome().fit(matrix, transformed, even, squared=True))

    def effects_of(self, matrix: np.ndarray) -> np.ndarray:
        return np.column_stack([model.predict(matrix) for model in self.models_])

    def contributions_of(self, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rest, added = self.models_[0].contributions(matrix)
        return np.full(len(matrix), rest), added


# The best numbers of trees on newly drawn contacts of the synthetic bank. Most trees of an S
# learner fit the common part of both arms; with so many trees the others would fit noise.
TREES = {"s": 120, "t": 40, "x": 40, "class_transformation": 20}
LEARNERS: dict[str, type[Learner]] = {
    "s": SLearner,
    "t": TLearner,
    "x": XLearner,
    "class_transformation": ClassTransformation,
}
