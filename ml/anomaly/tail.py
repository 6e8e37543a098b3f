"""The rarity of a score, on a scale that makes two scores comparable."""

from __future__ import annotations

from typing import Self

import numpy as np

# In this upper share the sample is sparse, and an exponential tail replaces it.
TAIL_SHARE = 0.02


class TailSurprise:
    """−log10 P(S ≥ s) of scores, from a sample of ordinary ones.

    Below the threshold u, the upper `TAIL_SHARE` of the sample, P is the share of the sample that
    is at least as high. Above it the excesses are exponential, P = P(S ≥ u) e^(−(s − u)/β) with β
    their mean, the generalised Pareto distribution with shape 0 (Pickands, 1975): what lies beyond
    everything in the sample still has an order.

    Attributes
    ----------
    threshold_ : float
    mean_excess_ : float
    tail_share_ : float, P(S ≥ u) in the sample
    """

    def fit(self, scores: np.ndarray) -> Self:
        """Learn from a sample of shape (n,).

        Raises
        ------
        ValueError
            For an empty sample or scores that are not finite.
        """
        ordered = np.sort(np.asarray(scores, dtype=float))
        if ordered.ndim != 1 or not len(ordered) or not np.isfinite(ordered).all():
            raise ValueError("scores are invalid: expected finite numbers, at least one")
        self._ordered = ordered
        place = len(ordered) - max(1, int(TAIL_SHARE * len(ordered)))
        self.threshold_ = float(ordered[place])
        above = ordered[ordered >= self.threshold_]
        self.tail_share_ = len(above) / len(ordered)
        excess = float((above - self.threshold_).mean())
        # Equal scores at the top have no tail.
        spread = float(ordered.std())
        self.mean_excess_ = excess or spread or 1.0
        return self

    def surprise(self, scores: np.ndarray) -> np.ndarray:
        """Shape (n,): 1 is one in ten, 2 one in a hundred, 3 one in a thousand …"""
        scores = np.asarray(scores, dtype=float)
        size = len(self._ordered)
        at_least = size - np.searchsorted(self._ordered, scores, side="left")
        empirical = -np.log10(np.maximum(at_least, 1) / size)
        beyond = (scores - self.threshold_) / self.mean_excess_ / np.log(10)
        return np.where(scores >= self.threshold_, beyond - np.log10(self.tail_share_), empirical)
