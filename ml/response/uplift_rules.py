"""The rules that a model of uplift must beat."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.utils.validation import check_is_fitted

from ml.estimator import check_binary, check_frame, score_of
from ml.evaluation.uplift import area_under_gain, area_under_gain_of_ranks
from ml.response.model import OFFER
from ml.response.uplift import centred_outcome, mean_effects, offers_of, shrunken
from ml.response.uplift_learners import arms_of, deal, randomised

LEAST_LEVEL = 1e-9
BEST_COLUMN, RESPONSE_SCORE = "best_column", "response_score"


def _one_treatment(
    frame: pd.DataFrame, y: np.ndarray, treatment: np.ndarray, probability: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    y, treatment, probability = randomised(frame, y, treatment, probability)
    if arms_of(treatment) > 1:
        raise ValueError("one treatment against control is needed")
    return y, treatment, probability


def _numbers(frame: pd.DataFrame, name: str) -> np.ndarray:
    return pd.to_numeric(frame[name]).to_numpy(dtype=float, na_value=np.nan)


class _Outcomes:
    """Transformed outcomes of some contacts, with their mean and variance."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values
        self.mean = values.mean()
        self.variance = values.var()


class BestColumnRule(RegressorMixin, BaseEstimator):
    """The simple rule: for each offer the one column whose bins differ most in effect.

    A column's bins hold about equal numbers of the offer's contacts; missing values are a bin of
    their own. The effect of a bin is its mean pseudo-outcome, `shrunken` towards that of the offer.
    The column is the one whose cross-fitted effects order contacts best (`area_under_gain`); where
    none does better than chance, all have the offer's mean effect.

    Parameters
    ----------
    bins : int
    folds : int
    seed : int

    Attributes
    ----------
    chosen_ : dict, offer → name of the column
    """

    def __init__(self, bins: int = 3, folds: int = 5, seed: int = 0) -> None:
        self.bins = bins
        self.folds = folds
        self.seed = seed

    def fit(
        self,
        frame: pd.DataFrame,
        y: np.ndarray,
        treatment: np.ndarray,
        probability: np.ndarray,
    ) -> BestColumnRule:
        """Learn from randomised contacts; parameters and errors as in `UpliftModel.fit`."""
        y, treatment, probability = _one_treatment(frame, y, treatment, probability)
        offers = offers_of(frame)
        transformed = centred_outcome(y, treatment, probability, offers)
        self.effects_, self.usual_ = mean_effects(y, treatment, probability, offers)
        numeric = [
            str(name)
            for name in frame.columns
            if name != OFFER and pd.api.types.is_numeric_dtype(frame[name])
        ]
        self.chosen_: dict[str, str] = {}
        self.borders_: dict[str, np.ndarray] = {}
        self.found_: dict[str, np.ndarray] = {}
        fold = deal(self.seed, self.folds, (y > np.median(y)), treatment, offers.astype(str))
        numbers = {name: _numbers(frame, name) for name in numeric}
        for offer in np.unique(offers):
            rows = np.flatnonzero(offers == offer)
            own = _Outcomes(transformed[rows])
            parts = self._parts(own.values, fold[rows])
            best = 0.0
            for name in numeric:
                values = numbers[name][rows]
                borders = self._borders(values)
                place = _bin(values, borders)
                if place.min() == place.max():
                    continue
                score = self._score(place, own.values, fold[rows], parts)
                if score > best:
                    best = score
                    self.chosen_[str(offer)], self.borders_[str(offer)] = name, borders
                    self.found_[str(offer)] = self._effects(place, own)
        self.columns_ = [
            str(name)
            for name in frame.columns
            if name == OFFER or name in set(self.chosen_.values())
        ]
        return self

    def _borders(self, values: np.ndarray) -> np.ndarray:
        known = values[~np.isnan(values)]
        if not len(known):
            return np.empty(0)
        return np.unique(np.quantile(known, np.arange(1, self.bins) / self.bins))

    def _effects(self, place: np.ndarray, outcomes: _Outcomes) -> np.ndarray:
        """Of each bin the difference from the offer's mean effect, shape (bins + 1,)."""
        size = self.bins + 1
        count = np.bincount(place, minlength=size)
        total = np.bincount(place, weights=outcomes.values, minlength=size)
        some = count > 0
        found = np.zeros(size)
        variance = outcomes.variance / count[some]
        means = total[some] / count[some]
        found[some] = shrunken(means, variance, outcomes.mean)[0] - outcomes.mean
        return found

    def _parts(
        self, transformed: np.ndarray, fold: np.ndarray
    ) -> list[tuple[np.ndarray, _Outcomes]]:
        """Of each fold the rows outside of it and their outcomes, the same for every column."""
        others = [np.flatnonzero(fold != number) for number in range(self.folds)]
        return [(rows, _Outcomes(transformed[rows])) for rows in others]

    def _score(
        self,
        place: np.ndarray,
        transformed: np.ndarray,
        fold: np.ndarray,
        parts: list[tuple[np.ndarray, _Outcomes]],
    ) -> float:
        found = np.concatenate([self._effects(place[rows], own) for rows, own in parts])
        # One of few values for each row: its average rank is counted, not sorted.
        cell = fold * (self.bins + 1) + place
        different, number = np.unique(found, return_inverse=True)
        times = np.bincount(number[cell], minlength=len(different))
        rank = (np.cumsum(times) - (times - 1) / 2)[number[cell]]
        return area_under_gain_of_ranks(transformed, rank)

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """Effect of contacting, shape (n,), in the outcome's unit."""
        check_is_fitted(self)
        offers = offers_of(check_frame(frame, self.columns_))
        effect = np.array([self.effects_.get(str(offer), self.usual_) for offer in offers])
        for offer, name in self.chosen_.items():
            rows = np.flatnonzero(offers == offer)
            place = _bin(_numbers(frame.iloc[rows], name), self.borders_[offer])
            effect[rows] += self.found_[offer][place]
        return effect

    def contributions(self, frame: pd.DataFrame) -> tuple[np.ndarray, list[str]]:
        """What the offer's column adds to the effect, and what the offer does: its mean effect less
        `usual_`. Together they add up to the effect less `usual_`.

        Returns
        -------
        contributions : array of shape (n, columns + 1)
        names : list of str, the chosen columns and `offer`
        """
        check_is_fitted(self)
        names = [*(name for name in self.columns_ if name != OFFER), OFFER]
        offers = offers_of(frame)
        added = np.zeros((len(frame), len(names)))
        added[:, -1] = [self.effects_.get(str(one), self.usual_) - self.usual_ for one in offers]
        moved = self.predict(frame) - self.usual_ - added[:, -1]
        for offer, name in self.chosen_.items():
            rows = offers == offer
            added[rows, names.index(name)] = moved[rows]
        return added, names


def _bin(values: np.ndarray, borders: np.ndarray) -> np.ndarray:
    """Number of each value's bin; missing values come last."""
    place = np.searchsorted(borders, values, side="right")
    return np.where(np.isnan(values), len(borders) + 1, place)


class ResponseScoreRule(RegressorMixin, BaseEstimator):
    """The rule of most marketing: treat those most likely to respond.

    The effect is taken to be in proportion to the probability of a response when contacted, so
    that its mean over an offer's contacts is the offer's mean effect.

    Parameters
    ----------
    response : estimator
        Unfitted classifier of the outcome 0 or 1 of treated contacts. A copy of it is fitted, on
        rows in the order given.
    """

    def __init__(self, response: BaseEstimator) -> None:
        self.response = response

    def fit(
        self,
        frame: pd.DataFrame,
        y: np.ndarray,
        treatment: np.ndarray,
        probability: np.ndarray,
    ) -> ResponseScoreRule:
        """Learn from randomised contacts; parameters and errors as in `UpliftModel.fit`."""
        y, treatment, probability = _one_treatment(frame, y, treatment, probability)
        check_binary(frame, y)
        treated = treatment == 1
        self.response_ = clone(self.response).fit(frame[treated], y[treated])
        self.columns_ = list(getattr(self.response_, "columns_", frame.columns))
        offers = offers_of(frame)
        self.effects_, self.usual_ = mean_effects(y, treatment, probability, offers)
        score = score_of(self.response_, frame)
        self.scale_ = {
            offer: effect / max(float(score[offers == offer].mean()), LEAST_LEVEL)
            for offer, effect in self.effects_.items()
        }
        self.usual_scale_ = self.usual_ / max(float(score.mean()), LEAST_LEVEL)
        return self

    def contributions(self, frame: pd.DataFrame) -> tuple[np.ndarray, list[str]]:
        """What raises or lowers the response, with which the effect rises and falls: contributions
        and names as those of the response model, in log-odds of the response."""
        check_is_fitted(self)
        added, names = self.response_.contributions(frame)
        return np.asarray(added), list(names)

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """Effect of contacting, shape (n,), in the outcome's unit."""
        check_is_fitted(self)
        scale = [self.scale_.get(str(offer), self.usual_scale_) for offer in offers_of(frame)]
        return np.array(scale) * score_of(self.response_, frame)


class StrongerRule(RegressorMixin, BaseEstimator):
    """The stronger of the simple rules on what was known: the one column, or the response score.

    Each orders contacts that it has not learned from (cross-fitting, dealt by customers' contacts
    within offer, arm and outcome); the one with the larger area under the gain is followed.

    Parameters
    ----------
    response : estimator
        Of the `ResponseScoreRule`.
    folds : int
    seed : int

    Attributes
    ----------
    rules_ : dict, name → fitted rule, both of them
    areas_ : dict, name → area under the gain of contacts not learned from
    chosen_ : the name of the one that is followed
    """

    def __init__(self, response: BaseEstimator, folds: int = 2, seed: int = 0) -> None:
        self.response = response
        self.folds = folds
        self.seed = seed

    def _rules(self) -> dict[str, RegressorMixin]:
        return {
            BEST_COLUMN: BestColumnRule(seed=self.seed),
            RESPONSE_SCORE: ResponseScoreRule(self.response),
        }

    def fit(
        self,
        frame: pd.DataFrame,
        y: np.ndarray,
        treatment: np.ndarray,
        probability: np.ndarray,
    ) -> StrongerRule:
        """Learn from randomised contacts; parameters and errors as in `UpliftModel.fit`."""
        y, treatment, probability = _one_treatment(frame, y, treatment, probability)
        offers = offers_of(frame)
        transformed = centred_outcome(y, treatment, probability, offers)
        fold = deal(self.seed, self.folds, offers, treatment, y)
        self.areas_ = {}
        for name, rule in self._rules().items():
            predicted = np.empty(len(y))
            for number in range(self.folds):
                held = fold == number
                rule.fit(frame[~held], y[~held], treatment[~held], probability[~held])
                predicted[held] = rule.predict(frame[held])
            self.areas_[name] = area_under_gain(transformed, predicted)
        self.rules_ = {
            name: rule.fit(frame, y, treatment, probability) for name, rule in self._rules().items()
        }
        self.chosen_ = max(self.areas_, key=lambda name: self.areas_[name])
        self.columns_ = list(self.rules_[self.chosen_].columns_)
        return self

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """Effect of contacting by the rule chosen, shape (n,), in the outcome's unit."""
        check_is_fitted(self)
        return np.asarray(self.rules_[self.chosen_].predict(frame))

    def contributions(self, frame: pd.DataFrame) -> tuple[np.ndarray, list[str]]:
        """Contributions and names of the rule chosen, on its own scale."""
        check_is_fitted(self)
        added, names = self.rules_[self.chosen_].contributions(frame)
        return np.asarray(added), list(names)
