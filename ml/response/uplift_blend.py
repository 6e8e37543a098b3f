"""Uplift as the mean of a learner of effects and the response score."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import expit, logit
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.utils.validation import check_is_fitted

from ml.estimator import check_frame, score_of
from ml.response.model import OFFER
from ml.response.uplift import UpliftModel, offers_of
from ml.response.uplift_rules import ResponseScoreRule

TINY = 1e-9


class UpliftBlend(RegressorMixin, BaseEstimator):
    """The mean of a learner of effects and of the response score at the level of the effect.

    A learner of effects has little bias and much variance: an effect is a difference of two small
    rates. The response score is learned from ten times the signal, and is biased where those who
    respond would have come anyway. Their errors differ, and the mean has less error than either.
    Weights are equal: estimated ones add their own variance, and seldom do better (the forecast
    combination puzzle; Claeskens, Magnus, Vasnev and Wang, 2016).

    Parameters
    ----------
    uplift : UpliftModel
        Unfitted.
    response : estimator
        Of the `ResponseScoreRule`, unfitted.
    """

    def __init__(self, uplift: UpliftModel, response: BaseEstimator) -> None:
        self.uplift = uplift
        self.response = response

    def fit(
        self,
        frame: pd.DataFrame,
        y: np.ndarray,
        treatment: np.ndarray,
        probability: np.ndarray,
    ) -> UpliftBlend:
        """Learn from randomised contacts; parameters and errors as in `UpliftModel.fit`, and
        outcomes other than 0 and 1 are refused."""
        self.uplift_ = clone(self.uplift).fit(frame, y, treatment, probability)
        self.rule_ = ResponseScoreRule(self.response).fit(frame, y, treatment, probability)
        read = {*self.uplift_.columns_, *self.rule_.columns_}
        self.columns_ = [str(name) for name in frame.columns if name in read]
        self.usual_ = (self.uplift_.usual_ + self.rule_.usual_) / 2
        return self

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """Effect of contacting, shape (n,), in the outcome's unit; raises ValueError when a column
        known when fitting is missing."""
        check_is_fitted(self)
        check_frame(frame, self.columns_)
        return (self.uplift_.predict(frame) + self.rule_.predict(frame)) / 2

    def contributions(self, frame: pd.DataFrame) -> tuple[np.ndarray, list[str]]:
        """What each feature adds to the effect, and the features' names.

        Half of what it adds by the learner of effects, and half of what by the response score: its
        share of the log-odds of a response, times the effect by which the score's differs from that
        of the usual response (the rescale rule of DeepLIFT, Shrikumar et al., 2017). The offer adds
        the rest. Together they add up to the effect less `usual_`.

        Returns
        -------
        contributions : array of shape (n, features + 1)
        names : list of str, the features and `offer`
        """
        effect = self.predict(frame)
        names = [*(name for name in self.columns_ if name != OFFER), OFFER]
        added = np.zeros((len(frame), len(names)))
        by_effect, own = self.uplift_.contributions(frame)
        by_odds, others = self._of_response(frame)
        for part, columns in ((by_effect, own), (by_odds, others)):
            added[:, [names.index(name) for name in columns]] += part / 2
        added[:, -1] = 0
        added[:, -1] = effect - self.usual_ - added.sum(axis=1)
        return added, names

    def _of_response(self, frame: pd.DataFrame) -> tuple[np.ndarray, list[str]]:
        """The contributions of the response score as effects."""
        moved, names = self.rule_.contributions(frame)
        odds = moved.sum(axis=1)
        response = score_of(self.rule_.response_, frame)
        usual = expit(logit(np.clip(response, TINY, 1 - TINY)) - odds)
        near = np.abs(odds) < TINY
        # Where nothing moves the response, the slope of the probability at the usual response.
        slope = np.where(near, usual * (1 - usual), (response - usual) / np.where(near, 1, odds))
        rule = self.rule_
        scale = [rule.scale_.get(str(one), rule.usual_scale_) for one in offers_of(frame)]
        return moved * (slope * np.array(scale))[:, None], names
