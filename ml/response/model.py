"""Probability of response to an offer when contacted, and the rule it must beat."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from ml.encoding import MOST_BINS, Binner, FrameEncoder
from ml.tree_paths import path_contributions

OFFER = "offer"
# Raise it when a stored model can no longer be read by this code: champions are then trained anew.
FORMAT = "1"
TINY = 1e-6
MISSING = -1
SLOPE_SPREAD, LEAST_SLOPE = 0.5, 0.05


def _logit(probability: np.ndarray) -> np.ndarray:
    kept = np.clip(probability, TINY, 1 - TINY)
    return np.log(kept / (1 - kept))


def calibration_line(raw: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Level and slope of a line in log-odds (Platt, 1999) by penalised maximum likelihood.

    The slope has a normal prior about 1, the model as it is, and stays above 0: out-of-fold scores
    of a weak signal are noise, and a free line then turns the order of the customers round.

    Parameters
    ----------
    raw : array of shape (n,), out-of-fold log-odds
    y : array of shape (n,), 1 for a response
    """

    def loss(line: np.ndarray) -> tuple[float, np.ndarray]:
        level, slope = line
        score = level + slope * raw
        off = expit(score) - y
        away = (slope - 1) / SLOPE_SPREAD**2
        return (
            np.logaddexp(0, score).sum() - (y * score).sum() + away * (slope - 1) / 2,
            np.array([off.sum(), (off * raw).sum() + away]),
        )

    bounds = [(None, None), (LEAST_SLOPE, None)]
    return minimize(loss, [0.0, 1.0], jac=True, bounds=bounds).x


class OfferBaseRate(ClassifierMixin, BaseEstimator):
    """The simple rule: everyone responds to an offer as often as those contacted before did.

    An offer not seen gets the rate of all offers. Rates are shrunk towards it by the weight of
    `prior` contacts, so that a small campaign does not say 0 or 1.
    """

    def __init__(self, prior: float = 20.0) -> None:
        self.prior = prior

    def fit(self, frame: pd.DataFrame, y: np.ndarray) -> OfferBaseRate:
        y = np.asarray(y, dtype=float)
        self.columns_ = [OFFER]
        self.classes_ = np.array([0, 1])
        self.rate_ = float(y.mean())
        offers = frame[OFFER].astype(str).to_numpy()
        self.rates_ = {
            str(offer): float(
                (y[offers == offer].sum() + self.prior * self.rate_)
                / ((offers == offer).sum() + self.prior)
            )
            for offer in np.unique(offers)
        }
        return self

    def predict_proba(self, frame: pd.DataFrame) -> np.ndarray:
        """Columns no, yes; shape (n, 2)."""
        rate = frame[OFFER].astype(str).map(self.rates_).fillna(self.rate_).to_numpy(dtype=float)
        return np.column_stack([1 - rate, rate])

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """Probability of response, shape (n,)."""
        return self.predict_proba(frame)[:, 1]

    def contributions(self, frame: pd.DataFrame) -> tuple[np.ndarray, list[str]]:
        """Log-odds of the offer's rate less that of all offers, shape (n, 1), and `offer`."""
        usual = _logit(np.array([self.rate_]))
        return _logit(self.predict(frame))[:, None] - usual, [OFFER]


class ResponseModel(ClassifierMixin, BaseEstimator):
    """Gradient boosting for each offer, calibrated together on the newest matured contacts.

    Who takes an offer depends on the offer (a card goes to the young, a fund to the saver), more
    than trees find that must first split on it: each offer has small trees of its own. An offer
    with fewer than `least_responses` gets its base rate. The calibration is a line in log-odds
    (`calibration_line`), fitted on out-of-fold predictions of the newest contacts: rates drift, and
    an older sample would calibrate to the past.

    Parameters
    ----------
    seed : int
    folds : int
        Of the cross-fitting; contacts are dealt at random within offer and outcome.
    calibration_share : float
        Share of the contacts, the newest, that calibrate.
    """

    def __init__(
        self,
        seed: int = 0,
        trees: int = 25,
        leaves: int = 4,
        least_leaf: int = 40,
        rate: float = 0.06,
        penalty: float = 10.0,
        least_responses: int = 20,
        folds: int = 3,
        calibration_share: float = 0.5,
    ) -> None:
        self.seed = seed
        self.trees = trees
        self.leaves = leaves
        self.least_leaf = least_leaf
        self.rate = rate
        self.penalty = penalty
        self.least_responses = least_responses
        self.folds = folds
        self.calibration_share = calibration_share

    def _fit_offers(
        self, matrix: np.ndarray, offers: np.ndarray, y: np.ndarray
    ) -> dict[str, HistGradientBoostingClassifier]:
        fitted = {}
        for offer in np.unique(offers):
            rows = offers == offer
            responses = int(y[rows].sum())
            if min(responses, int(rows.sum()) - responses) < self.least_responses:
                continue
            boosting = HistGradientBoostingClassifier(
                max_iter=self.trees,
                max_leaf_nodes=self.leaves,
                min_samples_leaf=self.least_leaf,
                learning_rate=self.rate,
                l2_regularization=self.penalty,
                max_bins=MOST_BINS,
                early_stopping=False,
                random_state=self.seed,
            )
            # Contacts of one offer are few: threads waiting for each other took a third of the fit.
            with threadpool_limits(1):
                fitted[str(offer)] = boosting.fit(matrix[rows], y[rows])
        return fitted

    @staticmethod
    def _raw(
        trees: dict[str, HistGradientBoostingClassifier],
        base: np.ndarray,
        matrix: np.ndarray,
        offers: np.ndarray,
    ) -> np.ndarray:
        probability = base.copy()
        for offer, model in trees.items():
            rows = offers == offer
            if rows.any():
                probability[rows] = model.predict_proba(matrix[rows])[:, 1]
        return _logit(probability)

    def fit(self, frame: pd.DataFrame, y: np.ndarray) -> ResponseModel:
        """Learn from contacts in the order of their dates, oldest first.

        Parameters
        ----------
        frame : frame of shape (n, features), with the column `offer`
        y : array of shape (n,), 1 for a response

        Raises
        ------
        ValueError
            When the newer contacts, which calibrate, are all of one kind.
        """
        y = np.asarray(y, dtype=int)
        newest = np.arange(len(y)) >= int(len(y) * (1 - self.calibration_share))
        if len(np.unique(y[newest])) < 2:
            raise ValueError("responses and others are needed among the newest contacts")
        self.classes_ = np.array([0, 1])
        self.encoder_ = FrameEncoder().fit(frame.drop(columns=OFFER))
        self.columns_ = [*self.encoder_.columns_, OFFER]
        self.binner_ = Binner().fit(self.encoder_.transform(frame))
        matrix = self._matrix(frame)
        offers = frame[OFFER].astype(str).to_numpy()
        # Dealt so that each fold has its share of every offer's responses: an out-of-fold base rate
        # otherwise runs against the outcomes held out.
        generator = np.random.default_rng(self.seed)
        order = np.lexsort((generator.random(len(y)), newest, y, offers))
        fold = np.empty(len(y), dtype=int)
        fold[order] = np.arange(len(y)) % self.folds
        raw = np.empty(len(y))
        for number in range(self.folds):
            held = fold == number
            base = OfferBaseRate().fit(frame[~held], y[~held]).predict(frame[held])
            trees = self._fit_offers(matrix[~held], offers[~held], y[~held])
            raw[held] = self._raw(trees, base, matrix[held], offers[held])
        self.line_ = calibration_line(raw[newest], y[newest])
        self.base_ = OfferBaseRate().fit(frame, y)
        self.trees_ = self._fit_offers(matrix, offers, y)
        return self

    def _matrix(self, frame: pd.DataFrame) -> np.ndarray:
        # A column may be empty for all contacts of one offer, which the trees' binning refuses:
        # a missing value is a place of its own below all others.
        bins = self.binner_.transform(self.encoder_.transform(frame))
        return np.nan_to_num(bins, nan=MISSING)

    def predict_proba(self, frame: pd.DataFrame) -> np.ndarray:
        """Columns no, yes; shape (n, 2)."""
        offers = frame[OFFER].astype(str).to_numpy()
        base = self.base_.predict(frame)
        raw = self._raw(self.trees_, base, self._matrix(frame), offers)
        level, slope = self.line_
        probability = expit(level + slope * raw)
        return np.column_stack([1 - probability, probability])

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """Probability of response, shape (n,): what a served model answers."""
        return self.predict_proba(frame)[:, 1]

    def contributions(self, frame: pd.DataFrame) -> tuple[np.ndarray, list[str]]:
        """What each feature adds to the log-odds of a response, and the features' names.

        The paths (`path_contributions`) through the trees of the contact's offer, times the slope
        of the calibration. The offer itself adds the expectation of its trees, or its base rate
        where it has none, less the rate of all offers. Together they add up to the log-odds of the
        prediction less what the calibration makes of the rate of all offers.

        Returns
        -------
        contributions : array of shape (n, len(columns_))
        names : list of str, `columns_`
        """
        offers = frame[OFFER].astype(str).to_numpy()
        matrix = self._matrix(frame)
        added = np.zeros((len(frame), len(self.columns_)))
        own = _logit(self.base_.predict(frame))
        for offer, model in self.trees_.items():
            rows = offers == offer
            if rows.any():
                own[rows], added[rows, :-1] = path_contributions(model, matrix[rows])
        added[:, -1] = own - _logit(np.array([self.base_.rate_]))
        return added * self.line_[1], list(self.columns_)
