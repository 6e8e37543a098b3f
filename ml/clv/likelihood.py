"""Maximum likelihood for the purchase models: input checks, distinct rows, Newton's method."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

# Value, gradient and Hessian of a log-likelihood at positive parameters of shape (k,).
LogLikelihood = Callable[[np.ndarray], tuple[float, np.ndarray, np.ndarray]]

MOST_STEPS = 200
# In logarithms of the parameters, so that these are relative changes.
LONGEST_STEP = 2.0
LAST_STEP = 1e-7
# Above it (or below its inverse) a parameter of scaled data diverges to infinity (or zero).
FURTHEST = 1e6
# Relative change of the log-likelihood from another order of summation.
ROUNDING = 1e-12


class NotConverged(RuntimeError):
    """No maximum of the likelihood was found.

    Attributes
    ----------
    reached : float, the largest log-likelihood on the way
    """

    def __init__(self, message: str, reached: float) -> None:
        super().__init__(message)
        self.reached = reached


@dataclass(frozen=True)
class Maximum:
    """A maximum, with the errors of the observed information there; both of shape (k,)."""

    parameters: np.ndarray
    standard_errors: np.ndarray
    log_likelihood: float


def maximise(
    log_likelihood: LogLikelihood, starts: list[list[float]], names: tuple[str, ...]
) -> Maximum:
    """The maximum over positive parameters, by Newton's method in their logarithms.

    In directions where the likelihood is not concave, steps use the size of the curvature; steps
    are bounded, and halved until the likelihood rises (Nocedal and Wright, 2006, section 3.4). It
    has converged when a full step changes no parameter by more than a ten-millionth: unlike a small
    gradient, this does not hold on a slope that levels off towards infinity.

    Parameters
    ----------
    log_likelihood : function of parameters of shape (k,), on data scaled to about one
    starts : points of k parameters; a later one is tried only where those before it failed
    names : the parameters, for the error

    Raises
    ------
    NotConverged
        If all starts fail; the message is of the first, with the diverging parameter or the
        remaining gradient.
    """
    failures = []
    for start in starts:
        try:
            return _climb(log_likelihood, np.log(start), names)
        except NotConverged as failure:
            failures.append(failure)
    failures[0].reached = max(failure.reached for failure in failures)
    raise failures[0]


def _climb(log_likelihood: LogLikelihood, point: np.ndarray, names: tuple[str, ...]) -> Maximum:
    value, gradient, hessian = _in_logarithms(log_likelihood, point)
    for _ in range(MOST_STEPS):
        curvature, axes = np.linalg.eigh(-hessian)
        steepness = np.maximum(np.abs(curvature), np.finfo(float).tiny)
        step = axes @ ((axes.T @ gradient) / steepness)
        if curvature[0] > 0 and np.abs(step).max() < LAST_STEP:
            errors = np.sqrt(np.square(axes) @ (1 / curvature))
            return Maximum(np.exp(point), np.exp(point) * errors, value)
        step *= min(1.0, LONGEST_STEP / np.abs(step).max())
        while True:
            there = point + step
            found = _in_logarithms(log_likelihood, there)
            if found[0] >= value - ROUNDING * abs(value):
                break
            step /= 2
            if np.abs(step).max() < np.finfo(float).eps:
                raise NotConverged(
                    f"no step raises the likelihood from {_shown(point, names)}", value
                )
        point = there
        value, gradient, hessian = found
        away = int(np.abs(point).argmax())
        if abs(point[away]) > np.log(FURTHEST):
            direction = "infinity" if point[away] > 0 else "zero"
            raise NotConverged(
                f"{names[away]} did not converge: the likelihood still rises as it goes to "
                f"{direction} ({_shown(point, names)}, of scaled data); the data do not show the "
                "difference between customers that it measures, or there are too few of them",
                value,
            )
    raise NotConverged(
        f"{', '.join(names)} did not converge in {MOST_STEPS} steps: {_shown(point, names)}, of "
        f"scaled data; gradient in their logarithms {np.array2string(gradient, precision=3)}",
        value,
    )


def _in_logarithms(
    log_likelihood: LogLikelihood, point: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    parameters = np.exp(point)
    value, gradient, hessian = log_likelihood(parameters)
    gradient = gradient * parameters
    return value, gradient, hessian * np.outer(parameters, parameters) + np.diag(gradient)


def _shown(point: np.ndarray, names: tuple[str, ...]) -> str:
    pairs = zip(names, np.exp(point), strict=True)
    return ", ".join(f"{name} = {value:.4g}" for name, value in pairs)


def distinct(*columns: np.ndarray) -> tuple[np.ndarray, ...]:
    """The distinct rows of columns of shape (n,), in order, and last how often each occurs.

    Sums over them do not depend on the order of the customers. Three times as fast as `np.unique`
    over rows of the same numbers.
    """
    counts = pd.DataFrame(dict(enumerate(columns))).groupby(list(range(len(columns)))).size()
    rows = counts.index.to_frame()
    values = [rows[number].to_numpy() for number in range(len(columns))]
    return (*values, counts.to_numpy(dtype=float))


def customer_vectors(**columns: object) -> tuple[np.ndarray, ...]:
    """The columns as float vectors of one length, finite and not negative.

    Raises
    ------
    ValueError
        For columns that are no vectors, are empty or of different lengths, and for values that are
        not finite or negative: how many there are and where the first is.
    """
    vectors = {name: np.asarray(values, dtype=float) for name, values in columns.items()}
    shapes = {values.shape for values in vectors.values()}
    if len(shapes) > 1 or any(len(shape) != 1 for shape in shapes):
        shown = ", ".join(f"{name} {values.shape}" for name, values in vectors.items())
        raise ValueError(f"data are invalid: expected vectors of one length, got {shown}")
    for name, values in vectors.items():
        if not len(values):
            raise ValueError(f"{name} is empty: expected at least one customer")
        refuse(~np.isfinite(values), f"{name} is not finite", values)
        refuse(values < 0, f"{name} is negative", values)
    return tuple(vectors.values())


def check_frequency(frequency: np.ndarray) -> None:
    """Refuse counts of repeat purchases that are not whole."""
    refuse(frequency != np.floor(frequency), "frequency is not a whole number", frequency)


def refuse(wrong: np.ndarray, rule: str, values: np.ndarray) -> None:
    """Raise ValueError where any is wrong: how many, and position and value of the first."""
    if wrong.any():
        first = int(wrong.argmax())
        raise ValueError(
            f"{rule} for {int(wrong.sum())} of {len(wrong)} customers, first at position {first} "
            f"({values[first]:g})"
        )
