"""Level and slope of log-odds by group of customers, shrunk towards the model of all."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import expit
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from ml.evaluation.fairness import LEAST_GROUP, LEAST_OUTCOMES
from ml.evaluation.meta_analysis import pooled_effect
from ml.response.model import LEAST_SLOPE

MOST_STEPS, LONGEST_STEP, LEAST_STEP = 50, 1.0, 1e-10


def recalibrated(
    design: np.ndarray, offset: np.ndarray, y: np.ndarray, weight: np.ndarray, customer: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What a logistic regression adds to log-odds that are given, by maximum likelihood.

    Parameters
    ----------
    design : array of shape (n, k)
    offset : array of shape (n,), the log-odds given
    y, weight : arrays of shape (n,), outcomes of 0 and 1, and how many rows each stands for
    customer : array of shape (n,), whole numbers from 0: rows of one customer are not independent

    Returns
    -------
    coefficients, variances : arrays of shape (k,); the variances are robust to clusters (Liang and
        Zeger, 1986)
    """
    found = np.zeros(design.shape[1])
    for _ in range(MOST_STEPS):
        chance = expit(offset + design @ found)
        information = design.T @ (design * (weight * chance * (1 - chance))[:, None])
        inverse = np.linalg.pinv(information)
        step = inverse @ (design.T @ (weight * (y - chance)))
        found = found + np.clip(step, -LONGEST_STEP, LONGEST_STEP)
        if np.abs(step).max() < LEAST_STEP:
            break
    off = design * (weight * (y - expit(offset + design @ found)))[:, None]
    by_customer = np.array([np.bincount(customer, weights=column) for column in off.T])
    return found, np.diag(inverse @ (by_customer @ by_customer.T) @ inverse)


def credibility(effects: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """Weight of each group's own figure against that of all, 0 to 1, shape (groups,).

    Z = τ² / (τ² + variance), with the variance τ² between groups by moments
    (`ml.evaluation.meta_analysis.pooled_effect`). The variance of a level is about one over the
    events n, so that Z = n / (n + k), k = 1 / τ² (Bühlmann and Straub, 1970). 0 for a single group,
    and where groups differ by no more than chance makes them.
    """
    if len(effects) < 2:
        return np.zeros(len(effects))
    between = pooled_effect(effects, variances).tau_squared
    return between / (between + variances)


class ByGroup(BaseEstimator):
    """Correct the log-odds of a model for groups of customers, as far as each group is credible.

    The model of all customers stays; of each group with enough customers and events its level is
    estimated again, with the model's log-odds as offset, and its slope where events are many
    (recalibration: van Houwelingen and Thorogood, 1995; Steyerberg, 2019, chapter 20). Each
    estimate counts by its credibility (`credibility`), the rest is the model of all: partial
    pooling (Bühlmann and Straub, 1970; Gelman and Hill, 2007, chapter 12). The order of customers
    within a group does not change.

    Groups with too few, unknown ones and those never seen keep the log-odds of the model, and so do
    all customers where fewer than two groups have enough: groups are compared with each other.

    Parameters
    ----------
    least_customers, least_events : int
        Customers with the event, and without it, that a group needs, and customers in all. Rows of
        one customer count once.
    least_events_of_slope : int
        Customers with the event, and without it, that the slope of a group needs (Vergouwe et al.,
        2005).

    Attributes
    ----------
    corrections_ : dict, group → array of level, tilt and centre: corrected log-odds are
        log-odds + level + tilt × (log-odds − centre). Empty where no group differs.
    credibility_ : dict, group → array of the weights of level and tilt; of groups with enough
    """

    def __init__(
        self,
        least_customers: int = LEAST_GROUP,
        least_events: int = LEAST_OUTCOMES,
        least_events_of_slope: int = 100,
    ) -> None:
        self.least_customers = least_customers
        self.least_events = least_events
        self.least_events_of_slope = least_events_of_slope

    def fit(
        self,
        log_odds: ArrayLike,
        y: ArrayLike,
        group: ArrayLike,
        weight: ArrayLike | None = None,
        customer: ArrayLike | None = None,
    ) -> ByGroup:
        """Compare a model's log-odds with what happened.

        Parameters
        ----------
        log_odds : array of shape (n,), of rows that the model was not fitted on (out-of-fold)
        y : array of shape (n,), outcomes of 0 and 1
        group : array of shape (n,), missing where unknown
        weight : array of shape (n,), how many rows each stands for; 1 by default
        customer : array of shape (n,), the customer of each row; by default each row is its own

        Raises
        ------
        ValueError
            For arrays of different length, log-odds or weights that are not finite, outcomes other
            than 0 and 1, and unknown customers.
        """
        score, happened = np.asarray(log_odds, dtype=float), np.asarray(y, dtype=float)
        rows = len(score)
        times = np.ones(rows) if weight is None else np.asarray(weight, dtype=float)
        owner = np.arange(rows) if customer is None else pd.factorize(np.asarray(customer))[0]
        named = _named(group)
        if not score.shape == happened.shape == times.shape == owner.shape == named.shape:
            raise ValueError(
                f"log-odds, outcomes, groups, weights and customers are invalid: expected one each "
                f"for {rows} rows"
            )
        if not (np.isfinite(score).all() and np.isfinite(times).all()):
            raise ValueError("log-odds and weights are invalid: expected finite numbers")
        if not np.isin(happened, (0, 1)).all():
            raise ValueError("outcomes are invalid: expected 0 and 1")
        if (owner < 0).any():
            raise ValueError("customers are invalid: expected a known one for each row")
        # The mean log-odds of the events: hazards are rare, far from log-odds 0.
        of_group: dict[str, tuple[np.ndarray, float]] = {}
        steep: list[str] = []
        for name in sorted(named.dropna().unique()):
            place = np.flatnonzero(named == name)
            events = place[happened[place] == 1]
            customers, eventful = (len(np.unique(owner[one])) for one in (place, events))
            fewest = min(eventful, customers - eventful)
            if customers < self.least_customers or fewest < self.least_events:
                continue
            of_group[name] = place, float(np.average(score[events], weights=times[events]))
            if fewest >= self.least_events_of_slope:
                steep.append(name)

        def estimate(name: str, tilt: float | None) -> tuple[float, float]:
            """The level beside a tilt, or without one the tilt, and its variance."""
            place, centre = of_group[name]
            away, of_row = score[place] - centre, pd.factorize(owner[place])[0]
            design = np.column_stack([np.ones(len(place)), away][: 1 + (tilt is None)])
            offset = score[place] + (tilt or 0.0) * away
            found = recalibrated(design, offset, happened[place], times[place], of_row)
            return float(found[0][-1]), float(found[1][-1])

        tilts, of_tilt = _shrunken({name: estimate(name, None) for name in steep})
        tilts = {name: max(tilt, LEAST_SLOPE - 1) for name, tilt in tilts.items()}
        # The level last: that of the log-odds with the slope that is applied.
        levels, of_level = _shrunken(
            {name: estimate(name, tilts.get(name, 0.0)) for name in of_group}
        )
        self.credibility_ = {
            name: np.array([of_level[name], of_tilt.get(name, 0.0)]) for name in of_group
        }
        self.corrections_ = {
            name: np.array([levels[name], tilts.get(name, 0.0), centre])
            for name, (_, centre) in of_group.items()
            if levels[name] or tilts.get(name)
        }
        return self

    def correct(self, log_odds: np.ndarray, group: ArrayLike) -> np.ndarray:
        """The log-odds corrected for the group of each row; shape (n,) or (n, periods)."""
        level, tilt, centre = (
            part.reshape(-1, *[1] * (np.ndim(log_odds) - 1)) for part in self.lines(group).T
        )
        return log_odds + level + tilt * (log_odds - centre)

    def lines(self, group: ArrayLike) -> np.ndarray:
        """Level, tilt and centre of each row, shape (n, 3); 0 where the model of all is kept."""
        check_is_fitted(self)
        place = {name: number for number, name in enumerate(self.corrections_, 1)}
        found = _named(group).map(place).fillna(0).to_numpy(dtype=int)
        return np.vstack([np.zeros(3), *self.corrections_.values()])[found]


def _named(group: ArrayLike) -> pd.Series:
    values = pd.Series(np.asarray(group, dtype=object))
    return values.where(values.isna(), values.astype(str))


def _shrunken(
    estimates: dict[str, tuple[float, float]],
) -> tuple[dict[str, float], dict[str, float]]:
    """Each estimate times its credibility, and the credibility; 0 for one without a variance."""
    values = np.array(list(estimates.values())).reshape(-1, 2)
    known = np.isfinite(values).all(axis=1) & (values[:, 1] > 0)
    weights, shrunken = np.zeros(len(values)), np.zeros(len(values))
    weights[known] = credibility(*values[known].T)
    shrunken[known] = weights[known] * values[known, 0]
    return tuple(  # type: ignore[return-value]
        dict(zip(estimates, part.tolist(), strict=True)) for part in (shrunken, weights)
    )
