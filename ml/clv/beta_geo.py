"""The BG/NBD model of future purchases and of whether customers are still active."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from itertools import pairwise
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd
from scipy.special import betaln, expit, hyp2f1
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from ml.clv.likelihood import (
    ROUNDING,
    Maximum,
    NotConverged,
    check_frequency,
    customer_vectors,
    distinct,
    maximise,
    refuse,
)

Boundary: TypeAlias = Literal["nobody_leaves", "all_leave_alike", "at_once_or_never"]

NAMES = ("r", "alpha", "a", "b")
# With this b, Beta(a, b) is a point, or has only the values 0 and 1, within 1e-5 for customers with
# 100 purchases.
LIMITS: dict[Boundary, float] = {"all_leave_alike": 1e9, "at_once_or_never": 1e-9}
# Cancellation of a sum beyond which fewer than ten digits are exact.
CANCELLED = 1e6
# Customers per block, so that their data stay in the processor's cache.
BLOCK = 8192
# Every sixteenth of many distinct customers gives the start, if that leaves enough.
PART, LARGE_ENOUGH = 16, 4000
# Negative logarithm of the mass that the tails of an integral may leave out.
TAIL = 40.0


class BetaGeoModel(BaseEstimator):
    """The BG/NBD model of repeat purchases (Fader, Hardie and Lee, 2005, Marketing Science 24(2)).

    While a customer, one buys at random at a rate that differs between customers as
    Gamma(r, rate alpha); after each purchase one leaves for good with a probability that differs as
    Beta(a, b). A customer without a repeat purchase counts as active: nobody leaves before a repeat
    purchase.

    A customer is described by `frequency`, the number of repeat purchases (not counting the first;
    purchases of one day are one), `recency`, the time from the first purchase to the last, and `T`,
    the time from the first purchase to the end of the observation; both times in one unit, that of
    the forecasts too.

    Many purchase logs show no customers leaving: the likelihood then rises as a goes to 0, to that
    of the NBD model (Ehrenberg, 1959, Applied Statistics 8(1)), which has only r and alpha. In
    others it rises as a and b grow in proportion (all leave with one probability), or vanish in
    proportion (a share leaves at the first repeat purchase, the others never). The fit at such a
    boundary is returned and flagged; if nobody leaves, everybody is still active.

    Attributes
    ----------
    params_ : mapping of r, alpha (time), a, b; r / alpha is the mean rate of purchases per time
    standard_errors_ : the same of their standard errors, from the observed information
    log_likelihood_ : float, the total at the maximum; of density in the given unit of time
    boundary_ : None, or "nobody_leaves" (a is 0; b and the errors of both are NaN), or
        "all_leave_alike" or "at_once_or_never" (a / (a + b) is the probability or the share, b is
        1e9 or 1e-9; the error of b is NaN)
    """

    boundary_: Boundary | None = None
    params_: dict[str, float]
    standard_errors_: dict[str, float]
    log_likelihood_: float

    def fit(self, frequency: np.ndarray, recency: np.ndarray, T: np.ndarray) -> BetaGeoModel:
        """Maximum likelihood, with exact first and second derivatives.

        Equal customers are counted once, with their number. Time is measured in means of `T`
        while fitting, so that the result does not depend on its unit.

        Parameters
        ----------
        frequency, recency, T : arrays of shape (n,)

        Raises
        ------
        ValueError
            For vectors of different length, values that are not finite or negative, a recency
            beyond T or without a repeat purchase, a frequency that is not whole, or data in which
            nobody bought again.
        NotConverged
            When the likelihood has no maximum, nor one at a boundary; names the diverging
            parameter.
        """
        frequency, recency, T = _checked(frequency, recency, T)
        if not frequency.any():
            raise ValueError(
                f"frequency is invalid: expected a repeat purchase of some of the {len(frequency)} "
                "customers"
            )
        refuse((frequency > 0) & (T == 0), "T is 0 beside a repeat purchase", T)
        unit = T.mean()
        customers = distinct(frequency, recency / unit, T / unit)
        likelihood = BetaGeoLikelihood(*customers)
        # From the first start, one in a hundred samples of some hundred customers misses its
        # maximum, sometimes for a likelihood a tenth higher at infinity; use the finite one.
        alpha = 1 / float(frequency.mean())
        starts: list[list[float]] = [[1, alpha, 1, 3], [0.1, 0.1, 0.1, 1], [1, alpha, 0.1, 10]]
        if len(customers[0]) > PART * LARGE_ENOUGH:
            # A part of the customers leads near the maximum of all in a fraction of the time.
            part = BetaGeoLikelihood(*(column[::PART] for column in customers))
            with suppress(NotConverged):
                starts.insert(0, list(maximise(part, starts, NAMES).parameters))
        found, self.boundary_ = _maximum(likelihood, starts)
        scale = np.array([1, unit, 1, 1])
        self.params_ = dict(zip(NAMES, (found.parameters * scale).tolist(), strict=True))
        self.standard_errors_ = dict(
            zip(NAMES, (found.standard_errors * scale).tolist(), strict=True)
        )
        self.log_likelihood_ = float(found.log_likelihood - frequency.sum() * np.log(unit))
        return self

    def probability_alive(
        self, frequency: np.ndarray, recency: np.ndarray, T: np.ndarray
    ) -> np.ndarray:
        """Probability of being still active at T, shape (n,); 1 without a repeat purchase, and for
        everybody if nobody leaves.

        From the paper's likelihood by Bayes' rule (Fader and Hardie, 2008, note 021). Raises
        ValueError as `fit` does.
        """
        check_is_fitted(self)
        return self._alive(*_checked(frequency, recency, T))

    def expected_purchases(
        self, t: float | np.ndarray, frequency: np.ndarray, recency: np.ndarray, T: np.ndarray
    ) -> np.ndarray:
        """Expected number of purchases in the time t after T, shape (n,) (the paper).

        Parameters
        ----------
        t : float, or array of shape (n,), in the unit of T
        frequency, recency, T : arrays of shape (n,)

        Raises
        ------
        ValueError
            For a t that is negative or not finite, else as `fit` does.
        """
        check_is_fitted(self)
        frequency, recency, T = _checked(frequency, recency, T)
        (horizon,) = customer_vectors(t=np.atleast_1d(t))
        if len(horizon) not in (1, len(T)):
            raise ValueError(
                f"t is invalid: expected a number or shape {T.shape}, got {horizon.shape}"
            )
        r, alpha, _, _ = (self.params_[name] for name in NAMES)
        # What those still there will buy does not depend on the recency: few distinct pairs.
        codes, ahead = pd.factorize(horizon / (alpha + T))
        place, pairs = pd.factorize(codes + len(ahead) * frequency.astype(np.int64))
        x = (pairs // len(ahead)).astype(float)
        while_alive = self._while_alive(ahead[pairs % len(ahead)], r + x, x)
        return while_alive[place] * self._alive(frequency, recency, T)

    def discounted_purchases(
        self,
        ends: np.ndarray,
        factors: np.ndarray,
        frequency: np.ndarray,
        recency: np.ndarray,
        T: np.ndarray,
    ) -> np.ndarray:
        """Expected purchases after T, each period's weighted by its discount factor, shape (n,).

        Sum over k of factors[k] times the expected number between ends[k - 1] (0 before the first)
        and ends[k] after T: what `expected_purchases` gives at each end, at once.

        Parameters
        ----------
        ends, factors : arrays of shape (k,); ends rising, in the unit of T
        frequency, recency, T : arrays of shape (n,)

        Raises
        ------
        ValueError
            For ends that do not rise from above 0 or differ in number from the factors, else as
            `fit` does.
        """
        check_is_fitted(self)
        frequency, recency, T = _checked(frequency, recency, T)
        ends, factors = np.asarray(ends, dtype=float), np.asarray(factors, dtype=float)
        if ends.ndim != 1 or ends.shape != factors.shape or not np.isfinite([ends, factors]).all():
            raise ValueError("ends and factors are invalid: expected finite vectors of one length")
        if len(ends) == 0 or ends[0] <= 0 or (np.diff(ends) <= 0).any():
            raise ValueError("ends are invalid: expected increasing numbers above 0")
        r, alpha, _, _ = (self.params_[name] for name in NAMES)
        # What those still there will buy does not depend on the recency: few distinct pairs.
        codes, spans = pd.factorize(T)
        place, pairs = pd.factorize(codes + len(spans) * frequency.astype(np.int64))
        x, span = (pairs // len(spans)).astype(float), alpha + spans[pairs % len(spans)]
        total, before = np.zeros(len(pairs)), np.zeros(len(pairs))
        for end, factor in zip(ends, factors, strict=True):
            now = self._while_alive(end / span, r + x, x)
            total += factor * (now - before)
            before = now
        return total[place] * self._alive(frequency, recency, T)

    def expected_purchases_new(self, t: float | np.ndarray) -> np.ndarray:
        """Expected number of repeat purchases in the time t after the first one.

        From the same paper. `t` is a number or an array; returns its shape. Raises ValueError
        for a t that is negative or not finite.
        """
        check_is_fitted(self)
        (horizon,) = customer_vectors(t=np.ravel(t))
        r, alpha, _, _ = (self.params_[name] for name in NAMES)
        none = np.zeros_like(horizon)
        return self._while_alive(horizon / alpha, r + none, none).reshape(np.shape(t))

    def _while_alive(self, y: np.ndarray, shape: np.ndarray, x: np.ndarray) -> np.ndarray:
        """`purchases_while_alive` after x repeat purchases."""
        a, b = self.params_["a"], self.params_["b"]
        if self.boundary_ is None:
            return purchases_while_alive(y, shape, a, b + x)
        if self.boundary_ == "nobody_leaves":
            return shape * y
        p = a / (a + b)
        if self.boundary_ == "all_leave_alike":
            return -np.expm1(-shape * np.log1p(p * y)) / p
        # Still there after a repeat purchase, one never leaves.
        leaving = np.where(x == 0, p, 0.0)
        return (1 - leaving) * shape * y - leaving * np.expm1(-shape * np.log1p(y))

    def _alive(self, frequency: np.ndarray, recency: np.ndarray, T: np.ndarray) -> np.ndarray:
        if self.boundary_ == "nobody_leaves":
            return np.ones(len(frequency))
        r, alpha, a, b = (self.params_[name] for name in NAMES)
        again = frequency > 0
        x = frequency[again]
        odds = np.log(a / (b + x - 1))
        odds += (r + x) * np.log1p((T[again] - recency[again]) / (alpha + recency[again]))
        alive = np.ones(len(frequency))
        alive[again] = expit(-odds)
        return alive


def _maximum(
    likelihood: BetaGeoLikelihood, starts: list[list[float]]
) -> tuple[Maximum, Boundary | None]:
    """The maximum, or the higher one of the boundaries, and which."""
    try:
        return maximise(likelihood, starts, NAMES), None
    except NotConverged as failure:
        runaway = failure
    limits: list[tuple[Maximum, Boundary]] = []
    with suppress(NotConverged):
        points = [start[:2] for start in starts]
        found = maximise(likelihood.without_dropout, points, NAMES[:2])
        limits.append((_extended(found, [1, 1, 0, np.nan]), "nobody_leaves"))
    for boundary, size in LIMITS.items():
        with suppress(NotConverged):
            points = [[r, alpha, a / b] for r, alpha, a, b in starts]
            found = maximise(partial(likelihood.with_fixed, size), points, NAMES[:3])
            limits.append((_extended(found, [1, 1, size, size]), boundary))
    # Towards a boundary the likelihood stays below its limit; otherwise it diverged elsewhere.
    least = runaway.reached - ROUNDING * abs(runaway.reached)
    reached = [limit for limit in limits if limit[0].log_likelihood >= least]
    if not reached:
        raise runaway
    return max(reached, key=lambda limit: limit[0].log_likelihood)


def _extended(found: Maximum, scale: list[float]) -> Maximum:
    """A maximum of the first parameters with the others: 1 times their scale, without an error."""
    missing = len(scale) - len(found.parameters)
    parameters = np.append(found.parameters, np.ones(missing)) * scale
    errors = np.append(found.standard_errors, np.full(missing, np.nan)) * scale
    return Maximum(parameters, errors, found.log_likelihood)


def _checked(
    frequency: np.ndarray, recency: np.ndarray, T: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    frequency, recency, T = customer_vectors(frequency=frequency, recency=recency, T=T)
    check_frequency(frequency)
    refuse(recency > T, "recency lies beyond T", recency)
    refuse((frequency == 0) & (recency > 0), "recency is not 0 without a repeat purchase", recency)
    return frequency, recency, T


class BetaGeoLikelihood:
    """Of distinct customers in order of their frequency, x; times in units of about one.

    log L = Σ_{j<x} log[(r + j)(b + j) / (a + b + j)] + r log α − (r + x) log(α + T) + log(1 + e^z),
    z = log a − log(b + x − 1) + (r + x) log[(α + T) / (α + recency)], the last term for x > 0 only.
    The ratios of gamma functions are products, as x is whole: nothing cancels for large parameters.
    """

    def __init__(
        self, frequency: np.ndarray, recency: np.ndarray, T: np.ndarray, customers: np.ndarray
    ) -> None:
        self.frequency, self.recency, self.T, self.customers = frequency, recency, T, customers
        self.first = int(np.searchsorted(frequency, 0, side="right"))
        counts = np.bincount(frequency.astype(np.int64), weights=customers)
        # How many customers have more than j repeat purchases.
        self.beyond = customers.sum() - np.cumsum(counts)[:-1]
        self.j = np.arange(len(self.beyond), dtype=float)

    def __call__(self, parameters: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        value, gradient, hessian = self._of_frequency(*parameters)
        size = len(self.T)
        borders = [*range(0, self.first, BLOCK), *range(self.first, size, BLOCK), size]
        for begin, end in pairwise(borders):
            parts = [self._of_times(begin, end, *parameters)]
            if begin >= self.first:
                parts.append(self._of_silence(begin, end, *parameters))
            for part in parts:
                value += part[0]
                gradient += part[1]
                hessian += part[2]
        return float(value), gradient, hessian

    def without_dropout(self, parameters: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """The limit as a goes to 0, of r and alpha: the NBD model's."""
        r, alpha = parameters
        value, gradient, hessian = self._of_frequency(r, alpha, 0.0, 1.0)
        for begin in range(0, len(self.T), BLOCK):
            part = self._of_times(begin, begin + BLOCK, r, alpha, 0.0, 1.0)
            value += part[0]
            gradient += part[1]
            hessian += part[2]
        return float(value), gradient[:2], hessian[:2, :2]

    def with_fixed(self, b: float, parameters: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Of r, alpha and a / b."""
        r, alpha, odds = parameters
        value, gradient, hessian = self(np.array([r, alpha, odds * b, b]))
        scale = np.array([1, 1, b])
        return value, gradient[:3] * scale, hessian[:3, :3] * np.outer(scale, scale)

    def _of_frequency(
        self, r: float, alpha: float, a: float, b: float
    ) -> tuple[float, np.ndarray, np.ndarray]:
        """Σ_{j<x} log[(r + j)(b + j) / (a + b + j)] of all customers."""
        at = np.array([r, a + b, b])[:, None] + self.j
        sign = np.array([1, -1, 1])
        value = sign @ np.log(at) @ self.beyond
        of_r, of_ab, of_b = sign * ((1 / at) @ self.beyond)
        hessian = np.zeros((4, 4))
        twice = -sign * ((1 / at**2) @ self.beyond)
        hessian[0, 0] = twice[0]
        hessian[2:, 2:] = twice[1]
        hessian[3, 3] += twice[2]
        return value, np.array([of_r, 0, of_ab, of_ab + of_b]), hessian

    def _of_times(
        self, begin: int, end: int, r: float, alpha: float, a: float, b: float
    ) -> tuple[float, np.ndarray, np.ndarray]:
        """r log α − (r + x) log(α + T), as −r log(1 + T / α) − x log(α + T)."""
        weight, T = self.customers[begin:end], self.T[begin:end]
        bought = weight * self.frequency[begin:end]
        inverse = 1 / (alpha + T)
        growth = weight @ np.log1p(T / alpha)
        # 1 / α − 1 / (α + T), and the same of squares.
        once, squares = weight @ (T * inverse) / alpha, weight @ (1 / alpha**2 - inverse**2)
        value = -r * growth - bought @ np.log(alpha + T)
        hessian = np.zeros((4, 4))
        hessian[0, 1] = hessian[1, 0] = once
        hessian[1, 1] = bought @ inverse**2 - r * squares
        return value, np.array([-growth, r * once - bought @ inverse, 0, 0]), hessian

    def _of_silence(
        self, begin: int, end: int, r: float, alpha: float, a: float, b: float
    ) -> tuple[float, np.ndarray, np.ndarray]:
        """log(1 + e^z), e^z the odds of having left after the last purchase."""
        weight, x = self.customers[begin:end], self.frequency[begin:end]
        last, T = self.recency[begin:end], self.T[begin:end]
        inverse_last, inverse = 1 / (alpha + last), 1 / (alpha + T)
        slope = np.empty((4, len(x)))
        slope[0] = np.log1p((T - last) * inverse_last)
        slope[1] = (r + x) * (inverse - inverse_last)
        slope[2] = 1 / a
        slope[3] = -1 / (b + x - 1)
        z = np.log(a) - np.log(b + x - 1) + (r + x) * slope[0]
        gone = expit(z)
        share = weight * gone
        hessian = (slope * (share * (1 - gone))) @ slope.T
        crossed = share @ (inverse - inverse_last)
        hessian[0, 1] += crossed
        hessian[1, 0] += crossed
        hessian[1, 1] -= (share * slope[1]) @ (inverse + inverse_last)
        hessian[2, 2] -= share.sum() / a**2
        hessian[3, 3] += share @ slope[3] ** 2
        return weight @ np.logaddexp(0, z), slope @ share, hessian


def purchases_while_alive(y: np.ndarray, shape: np.ndarray, a: float, b: np.ndarray) -> np.ndarray:
    """Expected purchases of one still there at the start; rate ~ Gamma(shape), p ~ Beta(a, b).

    (c / (a − 1)) [1 − (1 − z)^shape 2F1(shape, b; c; z)] with c = a + b − 1, z = y / (1 + y) is the
    paper's form. Its series grows with shape and b while the factor before it vanishes; after
    Euler's transformation, (1 − z)^(a − 1) 2F1(a − 1, c − shape; c; z) (Abramowitz and Stegun,
    15.3.3), neither does. Where even that has too few digits, the expectation over p is integrated.

    Parameters
    ----------
    y : array of shape (m,), the horizon over the rate's inverse scale
    shape, b : arrays of shape (m,)
    a : float
    """
    c = a + b - 1
    with np.errstate(all="ignore"):
        retained = np.exp((1 - a) * np.log1p(y)) * hyp2f1(a - 1, c - shape, c, y / (1 + y))
        expected = c * (1 - retained) / (a - 1)
        # With a close to 1, or very little time, both sides of the difference are equal.
        sound = np.abs(c) < CANCELLED * np.abs(a - 1) * expected
        # The expectation is at most that without leaving.
        sound &= expected <= shape * y * (1 + 1e-9)
    if not sound.all():
        expected[~sound] = _integrated(y[~sound], shape[~sound], a, b[~sound])
    return expected


def _integrated(y: np.ndarray, shape: np.ndarray, a: float, b: np.ndarray) -> np.ndarray:
    """E of [1 − (1 + p y)^−shape] / p, p ~ Beta(a, b), by the trapezoidal rule in log-odds of p.

    Analytic in a strip and falling off exponentially on both sides, which the rule integrates to
    rounding error at this step (Trefethen and Weideman, 2014).
    """
    spread = np.sqrt(1 / a + 1 / b)
    step = 0.3 * np.minimum(1, spread)
    mode = np.log(a / b)
    low = np.minimum(mode, -np.log1p(shape * y)) - TAIL / a - 8 * spread
    high = np.maximum(mode, 0.0) + TAIL / b + 8 * spread
    total = np.zeros_like(y)
    for number in range(int(np.ceil((high - low) / step).max()) + 1):
        odds = low + number * step
        log_p, log_rest = -np.logaddexp(0, -odds), -np.logaddexp(0, odds)
        density = np.exp(a * log_p + b * log_rest - betaln(a, b))
        # Where p would vanish, its limit.
        p = np.exp(np.maximum(log_p, -650.0))
        total += density * -np.expm1(-shape * np.log1p(p * y)) / p
    return total * step
