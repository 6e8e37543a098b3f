"""The effect of a randomised campaign, from sums by stratum and arm.

Intention to treat: customers count with their assigned arm. All customers of a stratum have the
same chance of treatment, so that the difference of its means is unbiased; strata count by their
size (Imbens and Rubin, 2015, chapter 9). If nearly every customer has a different chance, a stratum
has means weighted by one over the chance of the arm instead (Hájek, 1971). A covariate from before
the assignment reduces the variance (CUPED; Deng, Xu, Kohavi and Walker, 2013).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import chi2, norm
from scipy.stats import t as student

TREATMENT, CONTROL = "treatment", "control"
ARMS = (TREATMENT, CONTROL)
# Of the customers of a stratum and arm with outcome y, covariate x and weight w: their number, and
# sums of w, w y, w x, w², w² y, w² x, w² y², w² x², w² x y.
SUMS = ("n", "w", "wy", "wx", "ww", "wwy", "wwx", "wwyy", "wwxx", "wwxy")
# Sums of p and p (1 − p), where p is the chance of treatment.
CHANCE = ("p", "pq")
LEVEL = 0.95
MISMATCH = 0.001
# The least variance of a count for its own term in a chi-square: below, it is not normal enough.
LEAST_VARIANCE = 5.0
LEAST_OF_ARM = 2
# A variance below this share of the mean square is a rounding error.
ROUNDING = 1e-12


@dataclass(frozen=True)
class Strata:
    """Sums by stratum and arm.

    Attributes
    ----------
    sums : array of shape (strata, 2, 10), arms as in `ARMS`, columns as in `SUMS`
    chance : array of shape (strata, 2), columns as in `CHANCE`, both arms together; NaN where the
        chance of treatment is unknown
    """

    sums: np.ndarray
    chance: np.ndarray

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Strata:
        """Strata of a frame with a row for each stratum and arm.

        Parameters
        ----------
        frame : columns stratum, arm, those of `SUMS` and of `CHANCE`; an arm that a stratum lacks
            needs no row

        Raises
        ------
        ValueError
            For an arm of another name, or an arm twice in a stratum.
        """
        unknown = set(frame["arm"]) - set(ARMS)
        if unknown:
            raise ValueError(
                f"arms are invalid: expected {' or '.join(ARMS)}, got {sorted(unknown)}"
            )
        if frame.duplicated(["stratum", "arm"]).any():
            raise ValueError("frame is invalid: expected one row of each stratum and arm")
        names = sorted(frame["stratum"].unique())
        sums = np.zeros((len(names), len(ARMS), len(SUMS)))
        chance = np.zeros((len(names), len(CHANCE)))
        values = frame[[*SUMS, *CHANCE]].to_numpy(dtype=float)
        for stratum, arm, row in zip(frame["stratum"], frame["arm"], values, strict=True):
            place = names.index(stratum)
            sums[place, ARMS.index(arm)] = row[: len(SUMS)]
            chance[place] += row[len(SUMS) :]
        return cls(sums, chance)

    @property
    def counts(self) -> np.ndarray:
        """Customers by stratum and arm, shape (strata, 2)."""
        return self.sums[:, :, SUMS.index("n")]

    @property
    def share(self) -> np.ndarray:
        """Mean chance of treatment by stratum, shape (strata,); NaN where unknown."""
        return self.chance[:, 0] / self.counts.sum(axis=1)

    @property
    def is_weighted(self) -> np.ndarray:
        """By stratum: whether its customers have weights other than 1, shape (strata,)."""
        different = self.sums[:, :, SUMS.index("w")] != self.counts
        return np.asarray(different.any(axis=1))

    def taken(self, places: np.ndarray) -> Strata:
        return Strata(self.sums[places], self.chance[places])

    def beside(self, other: Strata) -> Strata:
        """The strata of both, of different customers or campaigns."""
        return Strata(
            np.concatenate([self.sums, other.sums]), np.concatenate([self.chance, other.chance])
        )


@dataclass(frozen=True)
class Effect:
    """A difference of means, treatment less control, in the outcome's unit.

    Means are of the strata, with the weights of the effect: their difference is the effect. `theta`
    is the covariate's coefficient, 0 without one. Unknown figures are NaN: the interval of an
    outcome without variation, all figures of a campaign without two customers in each arm.
    """

    treated_mean: float
    control_mean: float
    value: float
    variance: float
    degrees: float
    low: float
    high: float
    p_value: float
    theta: float = 0.0


NO_EFFECT = Effect(*[float("nan")] * 9)


@dataclass(frozen=True)
class SampleRatio:
    """Designed and actual share of treatment, with the p-value of the difference."""

    expected: float
    observed: float
    p_value: float

    @property
    def is_mismatch(self) -> bool:
        return self.p_value < MISMATCH


def strata_of_rows(
    y: np.ndarray,
    treated: np.ndarray,
    share: np.ndarray,
    x: np.ndarray | None = None,
    *,
    weighted: bool = False,
) -> Strata:
    """Sums of rows in memory: a stratum for each share, or one weighted stratum of all.

    Parameters
    ----------
    y, x : arrays of shape (n,)
        Outcome, and covariate from before the assignment.
    treated : array of shape (n,) of bool
    share : array of shape (n,)
        Chance of treatment, within (0, 1).
    """
    known = np.zeros(len(y)) if x is None else np.asarray(x, dtype=float)
    w = np.where(treated, 1 / share, 1 / (1 - share)) if weighted else np.ones(len(y))
    _, stratum = np.unique(share, return_inverse=True)
    stratum = np.zeros(len(y), dtype=int) if weighted else stratum
    cell = 2 * stratum + np.where(treated, 0, 1)
    size = int(stratum.max()) + 1
    terms = (
        *(np.ones(len(y)), w, w * y, w * known, w**2, w**2 * y, w**2 * known),
        *((w * y) ** 2, (w * known) ** 2, w**2 * known * y),
    )
    sums = [np.bincount(cell, term, minlength=2 * size).reshape(size, 2) for term in terms]
    chance = [np.bincount(stratum, term, minlength=size) for term in (share, share * (1 - share))]
    return Strata(np.stack(sums, axis=2), np.stack(chance, axis=1))


def without_certainty(strata: Strata) -> tuple[Strata, int]:
    """Strata in which either arm was possible, and the number of customers in the others.

    Customers with a certain arm carry no information on the effect.
    """
    certain = strata.chance[:, 1] <= 0
    return strata.taken(~certain), int(strata.counts[certain].sum())


def pool_small_strata(strata: Strata) -> tuple[Strata, int]:
    """Strata of at least two customers in each arm, and the number of smaller, pooled ones.

    The smallest is pooled with the one of the nearest chance, both weighted by one over the chance
    of the arm, so that different chances do not bias the pool.
    """
    pooled = 0
    while len(strata.sums) > 1 and (strata.counts.min(axis=1) < LEAST_OF_ARM).any():
        counts = strata.counts
        small = int(np.argmin(np.where(counts.min(axis=1) < LEAST_OF_ARM, counts.sum(1), np.inf)))
        of_all = counts[:, 0].sum() / counts.sum()
        share = np.where(np.isnan(strata.share), of_all, strata.share)
        distance = np.abs(share - share[small])
        distance[small] = np.inf
        both = np.array([small, int(np.argmin(distance))])
        sums = _inversely_weighted(strata.taken(both), share[both]).sum(axis=0, keepdims=True)
        chance = strata.chance[both].sum(axis=0, keepdims=True)
        rest = strata.taken(np.delete(np.arange(len(counts)), both))
        strata = Strata(np.concatenate([rest.sums, sums]), np.concatenate([rest.chance, chance]))
        pooled += 1
    return strata, pooled


def _inversely_weighted(strata: Strata, share: np.ndarray) -> np.ndarray:
    """Sums with each customer weighted by one over the chance of the arm; weighted strata stay."""
    weight = np.stack([1 / share, 1 / (1 - share)], axis=1)
    weight[strata.is_weighted] = 1.0
    power = np.array([name.count("w") for name in SUMS])
    return np.asarray(strata.sums * weight[:, :, None] ** power)


@dataclass(frozen=True)
class _Arms:
    """Means of an outcome and a covariate by stratum and arm, with their variances."""

    y: np.ndarray
    x: np.ndarray
    yy: np.ndarray
    xx: np.ndarray
    xy: np.ndarray

    @classmethod
    def of(cls, strata: Strata) -> _Arms:
        n, w, wy, wx, ww, wwy, wwx, wwyy, wwxx, wwxy = np.moveaxis(strata.sums, 2, 0)
        y, x = wy / w, wx / w
        # For weights of 1 the mean's variance s²/n with its n − 1; else by linearisation.
        scale = n / (n - 1) / w**2

        def spread(square: np.ndarray, centred: np.ndarray) -> np.ndarray:
            kept = np.where(centred > ROUNDING * square, centred, 0.0)
            return np.asarray(scale * kept)

        return cls(
            y,
            x,
            spread(wwyy, wwyy - 2 * y * wwy + y**2 * ww),
            spread(wwxx, wwxx - 2 * x * wwx + x**2 * ww),
            scale * (wwxy - x * wwy - y * wwx + x * y * ww),
        )


def effect(
    strata: Strata, *, of_treated: bool = False, adjusted: bool = False, level: float = LEVEL
) -> Effect:
    """The effect over all strata, weighted by size, with the interval of Neyman's variance.

    Effects may differ between strata: the result is that of all customers, or of the treated alone
    (the total of a campaign is the latter times their number). Degrees of freedom after
    Satterthwaite (1946): one stratum gives Welch's test.

    With `adjusted`, the covariate's difference times theta is subtracted. Theta is one figure for
    all strata, from moments within strata and arms, and minimises the variance; with one stratum
    this is the regression with interactions of Lin (2013, Annals of Applied Statistics 7, p. 295).

    Raises
    ------
    ValueError
        For a stratum with fewer than two customers in an arm (see `pool_small_strata`), unless it
        is the only one: then all figures are NaN.
    """
    counts = strata.counts
    if not len(counts) or (len(counts) == 1 and counts.min() < LEAST_OF_ARM):
        return NO_EFFECT
    if counts.min() < LEAST_OF_ARM:
        raise ValueError(
            "strata are invalid: expected two customers or more in each arm. Pool them first."
        )
    size = counts[:, 0] if of_treated else counts.sum(axis=1)
    weight = (size / size.sum())[:, None]
    arms = _Arms.of(strata)
    spread = float((weight**2 * arms.xx).sum())
    theta = float((weight**2 * arms.xy).sum()) / spread if adjusted and spread > 0 else 0.0
    mean = (weight * (arms.y - theta * arms.x)).sum(axis=0)
    terms = weight**2 * (arms.yy - 2 * theta * arms.xy + theta**2 * arms.xx)
    return _with_interval(mean, terms, counts, theta, level)


def score_p_value(strata: Strata) -> float:
    """p-value of no effect on an outcome of 0 and 1; NaN without an effect or variation.

    `effect` takes the variance of each arm by itself, 0 for an arm without a response: among rare
    responses of small groups it finds too many effects. Here both arms of a stratum have the share
    of all, as they have without an effect (score test; Agresti, 2013, Categorical Data Analysis,
    chapter 3).

    Raises
    ------
    ValueError
        As `effect` does.
    """
    found = effect(strata)
    if not np.isfinite(found.value):
        return float("nan")
    w, wy, ww = (strata.sums[:, :, SUMS.index(name)] for name in ("w", "wy", "ww"))
    share = wy.sum(axis=1) / w.sum(axis=1)
    size = strata.counts.sum(axis=1)
    of_mean = share * (1 - share) * (ww / w**2).sum(axis=1)
    variance = float(((size / size.sum()) ** 2 * of_mean).sum())
    if not variance > ROUNDING:
        return float("nan")
    return float(2 * norm.sf(abs(found.value) / variance**0.5))


def _with_interval(
    mean: np.ndarray, terms: np.ndarray, counts: np.ndarray, theta: float, level: float
) -> Effect:
    value, variance = float(mean[0] - mean[1]), float(terms.sum())
    degrees = reach = p_value = float("nan")
    if variance > 0:
        degrees = variance**2 / float((terms**2 / (counts - 1)).sum())
        error = variance**0.5
        reach = float(student.ppf((1 + level) / 2, degrees)) * error
        p_value = float(2 * student.sf(abs(value) / error, degrees))
    return Effect(
        treated_mean=float(mean[0]),
        control_mean=float(mean[1]),
        value=value,
        variance=variance,
        degrees=degrees,
        low=value - reach,
        high=value + reach,
        p_value=p_value,
        theta=theta,
    )


def variance_reduction(plain: Effect, adjusted: Effect) -> float:
    """Share of the variance that the covariate removes."""
    return 1 - adjusted.variance / plain.variance if plain.variance > 0 else float("nan")


def sample_ratio(strata: Strata) -> SampleRatio:
    """Treated customers against their chances of treatment, over strata whose chances are known.

    Chi-square with one degree of freedom per stratum; strata that are too small are combined. A
    mismatch shows that the assignment, or its record, is faulty, and the effect is not reliable
    (Fabijan and others, 2019).
    """
    known = strata.taken(np.asarray(strata.chance[:, 1] > 0))
    if not len(known.sums):
        return SampleRatio(*[float("nan")] * 3)
    treated, (expected, variance) = known.counts[:, 0], known.chance.T
    term = np.where(variance < LEAST_VARIANCE, -1, np.arange(len(variance)))
    _, group = np.unique(term, return_inverse=True)
    off, spread = np.bincount(group, treated - expected), np.bincount(group, variance)
    customers = known.counts.sum()
    return SampleRatio(
        expected=float(expected.sum() / customers),
        observed=float(treated.sum() / customers),
        p_value=float(chi2.sf((off**2 / spread).sum(), len(off))),
    )


@dataclass(frozen=True)
class Experiment:
    """One outcome of one campaign, measured."""

    treated: int
    control: int
    plain: Effect
    adjusted: Effect
    of_treated: Effect
    adjusted_of_treated: Effect
    method: str
    notes: tuple[str, ...]


def measure(
    strata: Strata, *, treated_strata: Strata | None = None, has_covariate: bool = True
) -> Experiment:
    """All effects of one outcome, with the method and notes as text.

    Strata with a certain arm are left out, small ones pooled, unknown chances assumed equal.

    Parameters
    ----------
    treated_strata : the same customers with weights for the effect on the treated: p / (1 − p) for
        controls, 1 for the treated (Hirano and Imbens, 2001). Not needed without weights: strata
        then count by their treated.
    """
    treated, control = (int(count) for count in strata.counts.sum(axis=0))
    usable, certain = without_certainty(strata)
    usable, pooled = pool_small_strata(usable)
    of_treated = usable
    if treated_strata is not None:
        of_treated, _ = pool_small_strata(without_certainty(treated_strata)[0])
    return Experiment(
        treated=treated,
        control=control,
        plain=effect(usable),
        adjusted=effect(usable, adjusted=True) if has_covariate else NO_EFFECT,
        of_treated=effect(of_treated, of_treated=True),
        adjusted_of_treated=(
            effect(of_treated, of_treated=True, adjusted=True) if has_covariate else NO_EFFECT
        ),
        method=_method(usable),
        notes=tuple(_notes(strata, usable, certain, pooled)),
    )


def _method(strata: Strata) -> str:
    if not len(strata.sums):
        return "none"
    if strata.is_weighted.all():
        return "inverse probability weights"
    if np.isnan(strata.share).all():
        return "difference of means"
    return "stratified" if len(strata.sums) > 1 else "difference of means"


def _notes(strata: Strata, usable: Strata, certain: int, pooled: int) -> Iterable[str]:
    treated, control = strata.counts.sum(axis=0)
    unknown = strata.counts[np.isnan(strata.chance[:, 1])].sum()
    if not control:
        yield "no control group"
    elif not treated:
        yield "nobody treated"
    if unknown == treated + control:
        yield "no assignment probabilities: taken as equal for all"
    elif unknown:
        yield f"{int(unknown)} customers without an assignment probability: a stratum of their own"
    if certain:
        yield f"{certain} customers without a chance of the other arm: left out of the effect"
    if pooled:
        yield f"{pooled} strata with less than two in an arm: pooled with the nearest"
    if treated and control and (not len(usable.sums) or usable.counts.min() < LEAST_OF_ARM):
        yield "less than two customers in an arm: no effect"
