"""Meta-analysis of several measured effects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2, norm

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A figure with the ends of its interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, value: float, variance: float, level: float = LEVEL) -> Interval:
        reach = float(norm.ppf((1 + level) / 2)) * variance**0.5
        return cls(value, value - reach, value + reach)


@dataclass(frozen=True)
class PooledEffect:
    """Effects pooled as one common effect (fixed), and as draws from a distribution (random).

    `tau_squared` is their variance beyond the chance of each, `q` Cochran's heterogeneity with its
    p-value, `i_squared` the share of it that chance does not explain. Heterogeneity of a single
    effect is unknown: NaN, and both means are that effect.
    """

    fixed: Interval
    random: Interval
    tau_squared: float
    q: float
    q_p_value: float
    i_squared: float


def pooled_effect(effects: np.ndarray, variances: np.ndarray) -> PooledEffect:
    """Inverse-variance means of independent effects; tau² by moments (DerSimonian and Laird, 1986).

    Parameters
    ----------
    effects, variances : arrays of shape (n,)

    Raises
    ------
    ValueError
        Without an effect, or for a variance that is not positive and finite.
    """
    effects, variances = np.asarray(effects, dtype=float), np.asarray(variances, dtype=float)
    if not len(effects) or effects.shape != variances.shape:
        raise ValueError(
            f"effects are invalid: expected one per variance, got shape {effects.shape}"
        )
    if not (np.isfinite(effects).all() and np.isfinite(variances).all() and (variances > 0).all()):
        raise ValueError("expected finite effects and positive, finite variances")
    weight = 1 / variances
    mean = float(weight @ effects / weight.sum())
    fixed = Interval.of(mean, float(1 / weight.sum()))
    degrees = len(effects) - 1
    if not degrees:
        return PooledEffect(fixed, fixed, *[float("nan")] * 4)
    q = float(weight @ (effects - mean) ** 2)
    scale = float(weight.sum() - (weight**2).sum() / weight.sum())
    tau_squared = max(0.0, (q - degrees) / scale)
    spread = 1 / (variances + tau_squared)
    return PooledEffect(
        fixed,
        Interval.of(float(spread @ effects / spread.sum()), float(1 / spread.sum())),
        tau_squared,
        q,
        float(chi2.sf(q, degrees)),
        max(0.0, 1 - degrees / q) if q > 0 else 0.0,
    )


def slope_on(predicted: np.ndarray, effects: np.ndarray, variances: np.ndarray) -> Interval:
    """Slope of the measured effects on the predicted ones: 1 if predictions are right.

    Least squares with weights of one over the known variances (fixed-effects meta-regression);
    unknown (NaN) for less than two different predictions.
    """
    weight = 1 / np.asarray(variances, dtype=float)
    if len(weight) < 2:
        return Interval(*[float("nan")] * 3)
    off = predicted - weight @ predicted / weight.sum()
    spread = float(weight @ off**2)
    if not spread > 0:
        return Interval(*[float("nan")] * 3)
    return Interval.of(float(weight @ (off * effects)) / spread, 1 / spread)


def holm(p_values: np.ndarray) -> np.ndarray:
    """p-values adjusted for their number, shape (n,): of all that are below a level, the chance of
    a single false one is at most that level, whatever depends on what (Holm, 1979).
    """
    order = np.argsort(p_values)
    times = np.arange(len(order), 0, -1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(np.asarray(p_values)[order] * times), 1.0)
    return adjusted


def shrunken(effects: np.ndarray, variances: np.ndarray, family: np.ndarray) -> list[Interval]:
    """Each effect drawn towards the mean of its family, as far as chance explains its distance.

    τ², the variance of true effects around the means of their families, is one figure by moments
    over all families (DerSimonian and Laird, 1986); the weight of an effect of its own is
    Z = τ² / (τ² + variance), and the variance of the result Z variance + (1 - Z)² that of the mean
    (Morris, 1983). The highest of many such figures owes less to luck than that of the effects.

    Parameters
    ----------
    effects, variances, family : arrays of shape (n,); variances positive and finite
    """
    groups = [np.flatnonzero(family == name) for name in dict.fromkeys(family)]
    excess = scale = 0.0
    for places in groups:
        weight = 1 / variances[places]
        mean = weight @ effects[places] / weight.sum()
        excess += float(weight @ (effects[places] - mean) ** 2) - (len(places) - 1)
        scale += float(weight.sum() - (weight**2).sum() / weight.sum())
    between = max(0.0, excess / scale) if scale > 0 else 0.0
    found: dict[int, Interval] = {}
    for places in groups:
        spread = 1 / (variances[places] + between)
        mean = float(spread @ effects[places] / spread.sum())
        for place in places:
            own = between / (between + variances[place])
            value = mean + own * (effects[place] - mean)
            variance = own * variances[place] + (1 - own) ** 2 / spread.sum()
            found[int(place)] = Interval.of(float(value), float(variance))
    return [found[place] for place in range(len(effects))]
