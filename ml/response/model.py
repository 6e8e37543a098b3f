"""Probability of response to an offer when contacted, and the rule it must beat."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import threadpool_limits

from ml.encoding import MOST_BINS, Binner, FrameEncoder, with_values
from ml.estimator import ProbabilityClassifier, check_binary, check_frame
from ml.measures import stem
from ml.response.additive import additive_logistic, parts, score
from ml.screening import informative
from ml.tree_paths import path_contributions, raw_of_bins

OFFER = "offer"
# The product line of the offer: offers with little data use those of their line.
OFFER_LINE = "offer_line"
# Increase it when this code can no longer read stored models: champions are then trained again.
FORMAT = "3"
TINY = 1e-6
MISSING = -1
SLOPE_SPREAD, LEAST_SLOPE = 0.5, 0.05
LEAST_TREES, LEAST_LEAVES = 25, 4
RESPONSES_PER_TREE, RESPONSES_PER_LEAF = 6, 40
TREES_WEIGHT = 2 / 3

# The columns that a group's learners read (`kept`), its trees, and its logistic regression as a
# level and a table of values for each column. A plain mapping, since stored models may hold few
# types only.
Learner: TypeAlias = dict[str, Any]


def _logit(probability: np.ndarray) -> np.ndarray:
    kept = np.clip(probability, TINY, 1 - TINY)
    return np.log(kept / (1 - kept))


def calibration_line(raw: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Level and slope of a line in log-odds (Platt, 1999) by penalised maximum likelihood.

    The slope has a normal prior about 1, the uncalibrated model, and stays above 0: out-of-fold
    scores of a weak signal are noise, and an unconstrained line could reverse the ranking.

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


def _named(frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Offer and product line of each contact; an empty text for an unknown line."""
    offers = frame[OFFER].astype(str).to_numpy()
    if OFFER_LINE not in frame:
        return offers, np.full(len(frame), "", dtype=object)
    lines = frame[OFFER_LINE].astype(object)
    return offers, lines.where(lines.notna(), "").astype(str).to_numpy()


class OfferBaseRate(ProbabilityClassifier):
    """The simple rule: the response rate of an offer's past contacts.

    The rate of an offer is shrunk towards that of its product line (column `offer_line`, if there
    is one), the line's towards that of all offers, each with the weight of `prior` contacts, so
    that a small campaign does not have rate 0 or 1. An unknown offer has the rate of its line, or
    else of all.
    """

    def __init__(self, prior: float = 20.0) -> None:
        self.prior = prior

    def fit(self, frame: pd.DataFrame, y: np.ndarray) -> OfferBaseRate:
        """Learn from contacts and whether each responded, shape (n,), 0 or 1.

        Raises
        ------
        ValueError
            For outcomes other than 0 and 1, or without the column `offer`.
        """
        y = check_binary(frame, y, [OFFER])
        self.columns_ = [OFFER]
        self.classes_ = np.array([0, 1])
        self.rate_ = float(y.mean())
        offers, lines = _named(frame)
        self.line_rates_ = {
            str(line): self._shrunk(y[lines == line], self.rate_)
            for line in np.unique(lines)
            if line
        }
        self.rates_ = {}
        for offer in np.unique(offers):
            rows = offers == offer
            above = self.line_rates_.get(str(lines[rows][-1]), self.rate_)
            self.rates_[str(offer)] = self._shrunk(y[rows], above)
        return self

    def _shrunk(self, y: np.ndarray, above: float) -> float:
        return float((y.sum() + self.prior * above) / (len(y) + self.prior))

    def line_rate(self, frame: pd.DataFrame) -> np.ndarray:
        """The rate of each contact's product line, or of all if it has none, shape (n,)."""
        check_is_fitted(self)
        _, lines = _named(frame)
        return pd.Series(lines).map(self.line_rates_).fillna(self.rate_).to_numpy(dtype=float)

    def probability(self, frame: pd.DataFrame) -> np.ndarray:
        """Probability of response, shape (n,)."""
        check_is_fitted(self)
        offers, _ = _named(check_frame(frame, [OFFER]))
        own = pd.Series(offers).map(self.rates_).to_numpy(dtype=float)
        return np.where(np.isnan(own), self.line_rate(frame), own)

    def contributions(self, frame: pd.DataFrame) -> tuple[np.ndarray, list[str]]:
        """Log-odds of the offer's rate less that of all offers, shape (n, 1), and `offer`."""
        check_is_fitted(self)
        usual = _logit(np.array([self.rate_]))
        return _logit(self.probability(frame))[:, None] - usual, [OFFER]


class ResponseModel(ProbabilityClassifier):
    """For each offer boosted trees and a logistic regression, calibrated on the newest contacts.

    The customers who take an offer depend on the offer (the young take cards, savers take funds)
    more than a model of all offers captures: each offer has its own learners. An offer with fewer
    than `least_responses` uses those of its product line, adjusted to its own rate; if the line has
    too few as well, it gets its rate, shrunk towards the line's and that of all offers
    (`OfferBaseRate`). An unknown offer is scored like its line.

    The learners are averaged in log-odds, two parts trees to one part regression: trees find
    interactions, but a leaf does not extrapolate, and the shrunken regression is more robust to
    changes over time. Trees and leaves grow with the number of responses. They read the features
    that predict the group's responses best one by one, of each measure one (`ml.screening`).

    The calibration is a line in log-odds (`calibration_line`), fitted on out-of-fold predictions of
    the newest contacts: rates drift, and an older sample would calibrate to the past.

    Parameters
    ----------
    seed : int
    trees, leaves : int
        The largest numbers; there are at least 25 and 4, else one per 6 and 40 responses.
    least_leaf : int
        Contacts in a leaf.
    rate, penalty : float
        Learning rate and L2 penalty of the trees.
    most_features : int
        That learners of a group read.
    shrinkage : float
        Ridge penalty of the logistic regression: one over the variance of the coefficients' prior.
    folds : int
        Of the cross-fitting; contacts are split at random within offer and outcome.
    calibration_share : float
        Share of the contacts, the newest, used for calibration.
    """

    def __init__(
        self,
        seed: int = 0,
        trees: int = 120,
        leaves: int = 16,
        least_leaf: int = 40,
        rate: float = 0.06,
        penalty: float = 10.0,
        most_features: int = 30,
        shrinkage: float = 10.0,
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
        self.most_features = most_features
        self.shrinkage = shrinkage
        self.least_responses = least_responses
        self.folds = folds
        self.calibration_share = calibration_share

    def _learn(self, bins: np.ndarray, y: np.ndarray) -> Learner:
        responses = int(y.sum())
        kept = informative(bins, y, self.most_features, self.measures_)
        bins = bins[:, kept]
        boosting = HistGradientBoostingClassifier(
            max_iter=min(self.trees, max(LEAST_TREES, responses // RESPONSES_PER_TREE)),
            max_leaf_nodes=min(self.leaves, max(LEAST_LEAVES, responses // RESPONSES_PER_LEAF)),
            min_samples_leaf=self.least_leaf,
            learning_rate=self.rate,
            l2_regularization=self.penalty,
            max_bins=MOST_BINS,
            early_stopping=False,
            random_state=self.seed,
        ).fit(with_values(bins), y)
        level, tables = additive_logistic(
            bins,
            [self.sizes_[place] for place in kept],
            [self.is_category_[place] for place in kept],
            y,
            penalty=self.shrinkage,
        )
        return {"kept": kept, "trees": boosting, "level": level, "tables": tables}

    def _learn_each(
        self, bins: np.ndarray, groups: np.ndarray, y: np.ndarray
    ) -> dict[str, Learner]:
        """A learner for each named group with enough of both outcomes."""
        learned = {}
        for group in np.unique(groups):
            rows = groups == group
            responses = int(y[rows].sum())
            if group and min(responses, int(rows.sum()) - responses) >= self.least_responses:
                learned[str(group)] = self._learn(bins[rows], y[rows])
        return learned

    def _learn_lines(
        self,
        bins: np.ndarray,
        offers: np.ndarray,
        lines: np.ndarray,
        y: np.ndarray,
        by_offer: dict[str, Learner],
    ) -> dict[str, Learner]:
        """A learner for each line; that of the offer if the line has only one."""
        alone = {
            str(line): str(own[0])
            for line in np.unique(lines)
            if line and len(own := np.unique(offers[lines == line])) == 1
        }
        shared = np.where(np.isin(lines, list(alone)), "", lines)
        learned = self._learn_each(bins, shared, y)
        return learned | {
            line: by_offer[offer] for line, offer in alone.items() if offer in by_offer
        }

    @staticmethod
    def _score(learner: Learner, bins: np.ndarray) -> np.ndarray:
        bins = bins[:, learner["kept"]]
        trees = raw_of_bins(learner["trees"], bins)[:, 0]
        regression = score(learner["level"], learner["tables"], bins)
        return TREES_WEIGHT * trees + (1 - TREES_WEIGHT) * regression

    @staticmethod
    def _places(
        offers: np.ndarray,
        lines: np.ndarray,
        by_offer: dict[str, Learner],
        by_line: dict[str, Learner],
    ) -> list[tuple[Learner, np.ndarray, bool]]:
        """Each learner with the rows that it scores, and whether it is the line's."""
        own = np.isin(offers, list(by_offer))
        found = [(learner, offers == offer, False) for offer, learner in by_offer.items()]
        found += [(learner, (lines == line) & ~own, True) for line, learner in by_line.items()]
        return [(learner, rows, borrowed) for learner, rows, borrowed in found if rows.any()]

    def _raw(
        self,
        frame: pd.DataFrame,
        bins: np.ndarray,
        base: OfferBaseRate,
        by_offer: dict[str, Learner],
        by_line: dict[str, Learner],
    ) -> np.ndarray:
        raw = _logit(base.probability(frame))
        beside_line = raw - _logit(base.line_rate(frame))
        for learner, rows, borrowed in self._places(*_named(frame), by_offer, by_line):
            raw[rows] = self._score(learner, bins[rows])
            if borrowed:
                raw[rows] += beside_line[rows]
        return raw

    def fit(self, frame: pd.DataFrame, y: np.ndarray) -> ResponseModel:
        """Learn from contacts in the order of their dates, oldest first.

        Parameters
        ----------
        frame : frame of shape (n, features), with the column `offer` and, if known, `offer_line`
        y : array of shape (n,), 1 for a response

        Raises
        ------
        ValueError
            For outcomes other than 0 and 1, without the column `offer`, or when all outcomes of the
            newer contacts, which calibrate, are equal.
        """
        y = check_binary(frame, y, [OFFER])
        newest = np.arange(len(y)) >= int(len(y) * (1 - self.calibration_share))
        if len(np.unique(y[newest])) < 2:
            raise ValueError("responses and others are needed among the newest contacts")
        self.classes_ = np.array([0, 1])
        features = frame.drop(columns=[OFFER, OFFER_LINE], errors="ignore")
        self.encoder_ = FrameEncoder().fit(features)
        self.binner_ = Binner().fit(self.encoder_.transform(frame))
        self.measures_ = [stem(name) for name in self.encoder_.columns_]
        self.sizes_ = [len(borders) + 1 for borders in self.binner_.borders_]
        self.is_category_ = [name in self.encoder_.levels_ for name in self.encoder_.columns_]
        bins = self._bins(frame)
        # Offers have few contacts: threads waiting for each other took a third of the fit.
        with threadpool_limits(1):
            self.line_ = self._calibrated(frame, bins, y, newest)
            self.base_ = OfferBaseRate().fit(frame, y)
            offers, lines = _named(frame)
            self.by_offer_ = self._learn_each(bins, offers, y)
            self.by_line_ = self._learn_lines(bins, offers, lines, y, self.by_offer_)
        self._keep_read()
        return self

    def _keep_read(self) -> None:
        """Forget the features that no learner reads; `kept` then counts those that are left."""
        learners = {id(one): one for one in (*self.by_offer_.values(), *self.by_line_.values())}
        read = np.unique([place for one in learners.values() for place in one["kept"]]).astype(int)
        for learner in learners.values():
            learner["kept"] = np.searchsorted(read, learner["kept"])
        self.encoder_.keep(read)
        self.binner_.keep(read)
        self.measures_ = [self.measures_[place] for place in read]
        self.sizes_ = [self.sizes_[place] for place in read]
        self.is_category_ = [self.is_category_[place] for place in read]
        self.columns_ = [*self.encoder_.columns_, OFFER]

    def _calibrated(
        self, frame: pd.DataFrame, bins: np.ndarray, y: np.ndarray, newest: np.ndarray
    ) -> np.ndarray:
        offers, lines = _named(frame)
        # Stratified, so that each fold has its share of every offer's responses: otherwise an
        # out-of-fold base rate is negatively correlated with the outcomes held out.
        generator = np.random.default_rng(self.seed)
        order = np.lexsort((generator.random(len(y)), newest, y, offers))
        fold = np.empty(len(y), dtype=int)
        fold[order] = np.arange(len(y)) % self.folds
        raw = np.empty(len(y))
        for number in range(self.folds):
            seen, held = fold != number, (fold == number) & newest
            base = OfferBaseRate().fit(frame[seen], y[seen])
            by_offer = self._learn_each(bins[seen], offers[seen], y[seen])
            borrowing = seen & np.isin(lines, np.unique(lines[~np.isin(offers, list(by_offer))]))
            by_line = self._learn_lines(
                bins[borrowing], offers[borrowing], lines[borrowing], y[borrowing], by_offer
            )
            raw[held] = self._raw(frame[held], bins[held], base, by_offer, by_line)
        return calibration_line(raw[newest], y[newest])

    def _bins(self, frame: pd.DataFrame) -> np.ndarray:
        # A column may be empty for all contacts of one offer, which the trees' binning rejects:
        # missing values have a bin of their own below all others.
        bins = self.binner_.transform(self.encoder_.transform(frame))
        return np.nan_to_num(bins, nan=MISSING)

    def probability(self, frame: pd.DataFrame) -> np.ndarray:
        """Probability of response, shape (n,)."""
        check_is_fitted(self)
        check_frame(frame, self.columns_)
        raw = self._raw(frame, self._bins(frame), self.base_, self.by_offer_, self.by_line_)
        level, slope = self.line_
        return expit(level + slope * raw)

    def contributions(self, frame: pd.DataFrame) -> tuple[np.ndarray, list[str]]:
        """What each feature adds to the log-odds of a response, and the features' names.

        The weighted mean of the paths through the trees (`path_contributions`) and of the logistic
        regression's values of the contact's offer, or of its line, times the slope of the
        calibration. The offer itself adds its learners' mean expectation, or its base rate without
        learners, less the rate of all offers. Together they add up to the log-odds of the
        prediction less the calibrated rate of all offers.

        Returns
        -------
        contributions : array of shape (n, len(columns_))
        names : list of str, `columns_`
        """
        check_is_fitted(self)
        check_frame(frame, self.columns_)
        bins = self._bins(frame)
        added = np.zeros((len(frame), len(self.columns_)))
        own = _logit(self.base_.probability(frame))
        beside_line = own - _logit(self.base_.line_rate(frame))
        for learner, rows, borrowed in self._places(*_named(frame), self.by_offer_, self.by_line_):
            own_bins = bins[np.ix_(rows, learner["kept"])]
            expected, paths = path_contributions(learner["trees"], own_bins)
            values = parts(learner["tables"], own_bins)
            added[np.ix_(rows, learner["kept"])] = (
                TREES_WEIGHT * paths + (1 - TREES_WEIGHT) * values
            )
            own[rows] = TREES_WEIGHT * expected + (1 - TREES_WEIGHT) * learner["level"]
            if borrowed:
                own[rows] += beside_line[rows]
        added[:, -1] = own - _logit(np.array([self.base_.rate_]))
        return added * self.line_[1], list(self.columns_)
