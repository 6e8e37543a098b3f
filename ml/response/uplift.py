"""Uplift of contacting a customer: effects of offers, as far as they exceed chance."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from ml.estimator import check_frame
from ml.measures import stem
from ml.response.model import OFFER
from ml.response.uplift_learners import (
    LEARNERS,
    TREES,
    Base,
    Design,
    Learner,
    arms_of,
    deal,
    pseudo_outcome,
    randomised,
)
from ml.screening import informative

__all__ = ["FORMAT", "UpliftModel", "mean_effects", "pseudo_outcome", "shrunken"]

# Increase it when this code can no longer read stored models: champions are then trained again.
FORMAT = "2"
ANY = ""
LEAST_VARIANCE = 1e-18


def shrunken(
    estimates: np.ndarray, variances: np.ndarray, centre: float | None = None
) -> tuple[np.ndarray, float, float]:
    """Estimates of several means, shrunk towards their common mean (empirical Bayes).

    Their true spread A is the excess of their scatter over their own variances (the moments of
    DerSimonian and Laird, 1986); each becomes (A x + v c) / (A + v) (Morris, 1983).

    Parameters
    ----------
    estimates, variances : arrays of shape (k,)
    centre : float, optional
        The common mean if known; else the mean weighted by 1 / (A + v).

    Returns
    -------
    shrunken : array of shape (k,)
    centre, spread : floats, the common mean and A
    """
    variances = np.maximum(variances, LEAST_VARIANCE)
    weight = 1 / variances
    fixed = float(np.average(estimates, weights=weight)) if centre is None else centre
    scatter = float((weight * (estimates - fixed) ** 2).sum())
    if centre is None:
        lost, scale = 1.0, weight.sum() - (weight**2).sum() / weight.sum()
    else:
        lost, scale = 0.0, weight.sum()
    spread = max(0.0, (scatter - (len(estimates) - lost)) / scale) if scale > 0 else 0.0
    if centre is None:
        fixed = float(np.average(estimates, weights=1 / (spread + variances)))
    return (spread * estimates + variances * fixed) / (spread + variances), fixed, spread


def offers_of(frame: pd.DataFrame) -> np.ndarray:
    """The offer of each row as text; the same for all if the frame has no column of offers."""
    if OFFER not in check_frame(frame).columns:
        return np.full(len(frame), ANY, dtype=object)
    return frame[OFFER].astype(str).to_numpy(dtype=object)


def centred_outcome(
    y: np.ndarray, treatment: np.ndarray, probability: np.ndarray, offers: np.ndarray
) -> np.ndarray:
    """`pseudo_outcome` about the expectation of each offer: its mean weighted by P(other arm) /
    P(arm), which is (1 − p) μ₁ + p μ₀; shape (n,)."""
    other = 1 / probability - 1
    expected = np.empty(len(y))
    for offer in np.unique(offers):
        rows = offers == offer
        expected[rows] = np.average(y[rows], weights=other[rows])
    return pseudo_outcome(y, treatment, probability, expected)


def mean_effects(
    y: np.ndarray, treatment: np.ndarray, probability: np.ndarray, offers: np.ndarray
) -> tuple[dict[str, float], float]:
    """Each offer's mean effect, inverse-probability weighted and `shrunken`, and that of an unknown
    offer."""
    transformed = centred_outcome(y, treatment, probability, offers)
    names, place = np.unique(offers.astype(str), return_inverse=True)
    count = np.bincount(place)
    mean = np.bincount(place, weights=transformed) / count
    variance = np.bincount(place, weights=(transformed - mean[place]) ** 2) / count**2
    means, usual, _ = shrunken(mean, variance)
    return dict(zip(names.tolist(), means.tolist(), strict=True)), usual


class UpliftModel(RegressorMixin, BaseEstimator):
    """Effect of contacting a customer with an offer, shrunk towards the offer's mean.

        τ(x, offer) = τ̄(offer) + s(offer) (h(x) − h̄(offer)),   0 ≤ s ≤ 1

    τ̄ is the offer's mean effect, inverse-probability weighted and shrunk towards that of all
    offers (empirical Bayes). h is a learner for each offer: the customers whom an offer influences
    depend on the offer, even in opposite ways. s is the slope of the best linear predictor
    (Chernozhukov, Demirer, Duflo and Fernández-Val, 2018): the regression of the pseudo-outcome on
    out-of-fold predictions, both about their means. 1 means that the differences between customers
    are as predicted, 0 that they are chance. Slopes of offers are shrunk towards each other, all of
    them towards 0 as far as their common slope may be chance, and kept within [0, 1].

    h reads the features that predict the offer's outcome best one by one, of each measure one
    (`ml.screening`), and half as many that predict its pseudo-outcome best, which are chosen anew
    for each fold.

    An offer whose arms have fewer than `least_contacts`, or fewer than `least_responses` contacts
    of the rarer outcome of 0/1 outcomes, has only its mean effect.

    Parameters
    ----------
    learner : "s", "t", "x" or "class_transformation"
    base : "boosting" or "linear"
    seed : int
    folds : int
        Of the cross-fitting, split at random within offer, arm and outcome.
    most_features : int
        That predict the outcome of an offer.
    trees, leaves, least_leaf, rate, penalty, max_features, ridge
        Of the base (see `Outcome`); without `trees` as many as suit the learner (`TREES`).
    """

    def __init__(
        self,
        learner: str = "s",
        base: Base = "boosting",
        seed: int = 0,
        folds: int = 4,
        most_features: int = 40,
        trees: int | None = None,
        leaves: int = 3,
        least_leaf: int = 80,
        rate: float = 0.05,
        penalty: float = 10.0,
        max_features: float = 0.2,
        ridge: float = 20000.0,
        least_contacts: int = 200,
        least_responses: int = 30,
    ) -> None:
        self.learner = learner
        self.base = base
        self.seed = seed
        self.folds = folds
        self.most_features = most_features
        self.trees = trees
        self.leaves = leaves
        self.least_leaf = least_leaf
        self.rate = rate
        self.penalty = penalty
        self.max_features = max_features
        self.ridge = ridge
        self.least_contacts = least_contacts
        self.least_responses = least_responses

    def _learner(self) -> Learner:
        return LEARNERS[self.learner](
            base=self.base,
            seed=self.seed,
            trees=TREES[self.learner] if self.trees is None else self.trees,
            leaves=self.leaves,
            least_leaf=self.least_leaf,
            rate=self.rate,
            penalty=self.penalty,
            max_features=self.max_features,
            ridge=self.ridge,
        )

    def fit(
        self,
        frame: pd.DataFrame,
        y: np.ndarray,
        treatment: np.ndarray,
        probability: np.ndarray,
    ) -> UpliftModel:
        """Learn from randomised contacts of one treatment and control.

        Parameters
        ----------
        frame : frame of shape (n, features), known before the contact, with the column `offer`
            where there are several
        y : array of shape (n,), 0/1 or continuous
        treatment : array of shape (n,), 1 treated, 0 control
        probability : array of shape (n,), of the arm actually assigned

        Raises
        ------
        ValueError
            For an unknown learner or base, one arm only, and as `randomised`.
        """
        if self.learner not in LEARNERS:
            known = ", ".join(LEARNERS)
            raise ValueError(f"learner {self.learner!r} is not known; there are {known}")
        y, treatment, probability = randomised(frame, y, treatment, probability)
        if arms_of(treatment) > 1:
            raise ValueError("one treatment against control is needed; a learner takes several")
        offers = offers_of(frame)
        features = frame.drop(columns=OFFER, errors="ignore")
        self.effects_, self.usual_ = mean_effects(y, treatment, probability, offers)
        transformed = centred_outcome(y, treatment, probability, offers)
        self.design_ = Design(self.base).fit(features)
        bins, matrix = self.design_.bins(features), self.design_.transform(features)
        self.kept_: dict[str, np.ndarray] = {}
        self.learners_: dict[str, Learner] = {}
        self.means_: dict[str, float] = {}
        slopes, variances = [], []
        for offer in np.unique(offers):
            rows = np.flatnonzero(offers == offer)
            if not self._enough(y[rows], treatment[rows]):
                continue
            kept = self._informative(bins[rows], y[rows], transformed[rows])
            own = matrix[np.ix_(rows, kept)]
            data = (y[rows], treatment[rows], probability[rows])
            fitted = self._learner().fit_matrix(own, *data)
            self.kept_[str(offer)], self.learners_[str(offer)] = kept, fitted
            self.means_[str(offer)] = float(fitted.effects_of(own).mean())
            slope, variance = self._slope(bins[rows], matrix[rows], *data, transformed[rows])
            slopes.append(slope)
            variances.append(variance)
        self.slopes_ = dict(
            zip(self.learners_, _real(np.array(slopes), np.array(variances)), strict=True)
        )
        self._keep_read()
        self.columns_ = [*self.design_.columns_, *([OFFER] if OFFER in frame.columns else [])]
        return self

    def _informative(self, bins: np.ndarray, y: np.ndarray, transformed: np.ndarray) -> np.ndarray:
        """Columns of the matrix that a learner of these contacts reads."""
        measures = [stem(name) for name in self.design_.columns_]
        chosen = [
            informative(bins, y, self.most_features, measures),
            informative(bins, transformed, self.most_features // 2, measures),
        ]
        return np.flatnonzero(np.isin(self.design_.source_, np.concatenate(chosen)))

    def _keep_read(self) -> None:
        """Forget the features that no learner reads; `kept_` then counts the columns left."""
        source = self.design_.source_
        read = np.unique([source[one] for kept in self.kept_.values() for one in kept]).astype(int)
        left = np.flatnonzero(np.isin(source, read))
        self.kept_ = {offer: np.searchsorted(left, kept) for offer, kept in self.kept_.items()}
        self.design_.keep(read)

    def _enough(self, y: np.ndarray, treatment: np.ndarray) -> bool:
        if np.bincount(treatment, minlength=2).min() < self.least_contacts:
            return False
        if not np.isin(y, (0, 1)).all():
            return True
        return bool(min(y.sum(), (1 - y).sum()) >= self.least_responses)

    def _slope(
        self,
        bins: np.ndarray,
        matrix: np.ndarray,
        y: np.ndarray,
        treatment: np.ndarray,
        probability: np.ndarray,
        transformed: np.ndarray,
    ) -> tuple[float, float]:
        """Slope of the pseudo-outcome on out-of-fold effects, and its variance (White, 1980)."""
        fold = deal(self.seed, self.folds, y, treatment)
        found, residual = np.empty(len(y)), np.empty(len(y))
        for number in range(self.folds):
            held = fold == number
            others = ~held
            kept = self._informative(bins[others], y[others], transformed[others])
            learner = self._learner().fit_matrix(
                matrix[np.ix_(others, kept)], y[others], treatment[others], probability[others]
            )
            effect = learner.effects_of(matrix[np.ix_(held, kept)])[:, 0]
            # About the fold's own mean: levels of folds differ only by chance.
            found[held] = effect - effect.mean()
            residual[held] = transformed[held] - transformed[held].mean()
        squares = float(found @ found)
        if squares <= LEAST_VARIANCE * len(y):
            return 0.0, 1.0
        slope = float(found @ residual) / squares
        return slope, float((found**2) @ ((residual - slope * found) ** 2)) / squares**2

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """Effect of contacting, shape (n,), in the outcome's unit; an unknown offer has the mean
        effect of all offers.

        Raises
        ------
        ValueError
            When a column known when fitting is missing.
        """
        offers = self._offers(frame)
        effect = np.array([self.effects_.get(str(offer), self.usual_) for offer in offers])
        matrix = self.design_.transform(frame)
        for offer, rows in self._moved(offers):
            own = matrix[np.ix_(rows, self.kept_[offer])]
            found = self.learners_[offer].effects_of(own)[:, 0] - self.means_[offer]
            effect[rows] += self.slopes_[offer] * found
        return effect

    def _moved(self, offers: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
        """Offers whose effect differs between customers, and their rows if there are any."""
        for offer, slope in self.slopes_.items():
            rows = np.flatnonzero(offers == offer)
            if slope > 0 and len(rows):
                yield offer, rows

    def _offers(self, frame: pd.DataFrame) -> np.ndarray:
        check_is_fitted(self)
        check_frame(frame, self.columns_)
        return offers_of(frame)

    def contributions(self, frame: pd.DataFrame) -> tuple[np.ndarray, list[str]]:
        """What each feature adds to the effect, and the features' names.

        Features add as in `Learner.contributions_of`, times the slope; the offer adds the rest: its
        mean effect less that of all offers, and the features' contributions for its mean customer.
        Together they add up to the effect less `usual_`.

        Returns
        -------
        contributions : array of shape (n, features + 1)
        names : list of str, the features and `offer`
        """
        offers = self._offers(frame)
        matrix = self.design_.transform(frame)
        names = [*self.design_.columns_, OFFER]
        added = np.zeros((len(frame), len(names)))
        for offer, rows in self._moved(offers):
            kept = self.kept_[offer]
            wide = np.zeros((len(rows), matrix.shape[1]))
            _, wide[:, kept] = self.learners_[offer].contributions_of(matrix[np.ix_(rows, kept)])
            added[rows, :-1] = self.slopes_[offer] * self.design_.by_column(wide)
        added[:, -1] = self.predict(frame) - self.usual_ - added.sum(axis=1)
        return added, names


def _real(slopes: np.ndarray, variances: np.ndarray) -> list[float]:
    """Slopes of several offers as far as they exceed chance, within [0, 1].

    Each is shrunk towards their common slope, and that towards 0 by the factor 1 − 1 / t² (James
    and Stein, 1961, positive part), t the common slope over its standard error.
    """
    if not len(slopes):
        return []
    drawn, common, spread = shrunken(slopes, variances)
    square = common**2 * (1 / (spread + variances)).sum()
    kept = common * (1 - 1 / square) if common > 0 and square > 1 else 0.0
    return np.clip(drawn - common + kept, 0, 1).tolist()
