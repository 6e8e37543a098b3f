"""Metrics of a ranking by uplift on randomised contacts; definitions differ between libraries.

Arguments are the same everywhere: outcomes `y`, ranking `score` (highest first), `treatment` (1
treated, 0 control) and `probability`, that of the assigned arm. Rows are weighted by its inverse,
scaled to a mean of 1 within each arm; without probabilities, or with equal ones, all weights are 1
and the metrics are those of the papers and of scikit-uplift.

Tied scores form one block: curves are straight across it, and a top share that ends inside it takes
the same part of each of its rows. So the order of the rows does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from scipy.stats import rankdata

from ml.evaluation.metrics import (
    BY_RANK,
    LEVEL,
    ROUNDS,
    Comparison,
    Estimate,
    Metric,
    compare_each,
    estimate,
)

Curve = tuple[np.ndarray, np.ndarray]
SHARE = 0.3
ROUNDING = 1e-9


class UpliftMetric(Protocol):
    """A figure of outcomes, scores, treatments and assignment probabilities."""

    def __call__(
        self,
        y: np.ndarray,
        score: np.ndarray,
        treatment: np.ndarray,
        probability: np.ndarray | None = None,
    ) -> float: ...


@dataclass(frozen=True)
class _Contacts:
    """Outcomes, scores, arms and weights, checked; arrays of shape (n,)."""

    y: np.ndarray
    score: np.ndarray
    treated: np.ndarray
    weight: np.ndarray

    def __len__(self) -> int:
        return len(self.y)


def _contacts(
    y: np.ndarray, score: np.ndarray, treatment: np.ndarray, probability: np.ndarray | None
) -> _Contacts:
    y, score = np.asarray(y, dtype=float), np.asarray(score, dtype=float)
    arm = np.asarray(treatment, dtype=float)
    if y.ndim != 1 or not len(y) or not y.shape == score.shape == arm.shape:
        raise ValueError(
            "expected outcomes, scores and treatments as non-empty vectors of one length, got "
            f"{y.shape}, {score.shape} and {arm.shape}"
        )
    if not (np.isfinite(y).all() and np.isfinite(score).all()):
        raise ValueError("outcomes and scores are invalid: expected finite numbers")
    if not ((arm == 0) | (arm == 1)).all():
        raise ValueError("treatments are invalid: expected 1 (treated) or 0 (control)")
    treated = arm == 1
    weight = np.ones(len(y))
    if probability is not None:
        weight = 1 / _probability(probability, len(y))
        for rows in (treated, ~treated):
            if rows.any():
                weight[rows] /= weight[rows].mean()
    return _Contacts(y, score, treated, weight)


def _probability(probability: np.ndarray, size: int) -> np.ndarray:
    chance = np.asarray(probability, dtype=float)
    if chance.shape != (size,):
        raise ValueError(f"probabilities are invalid: expected {size}, got shape {chance.shape}")
    outside = ~((chance > 0) & (chance < 1))
    if outside.any():
        raise ValueError(
            "assignment probabilities are invalid: expected numbers within (0, 1); "
            f"{int(outside.sum())} are not"
        )
    return chance


@dataclass(frozen=True)
class _Cumulated:
    """Contacts from the highest score down to each distinct score: their number, and by arm the
    sums of weights and of weighted outcomes; arrays of shape (distinct scores,)."""

    contacts: np.ndarray
    treated: np.ndarray
    control: np.ndarray
    treated_outcome: np.ndarray
    control_outcome: np.ndarray


def _cumulated(contacts: _Contacts) -> _Cumulated:
    # Rows of one score are one block: their order does not matter.
    order = np.argsort(-contacts.score)
    score = contacts.score[order]
    ends = np.append(np.flatnonzero(np.diff(score)), len(score) - 1)

    def summed(values: np.ndarray) -> np.ndarray:
        return np.cumsum(values[order])[ends]

    treated = contacts.treated * contacts.weight
    control = ~contacts.treated * contacts.weight
    return _Cumulated(
        ends + 1.0,
        summed(treated),
        summed(control),
        summed(treated * contacts.y),
        summed(control * contacts.y),
    )


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Quotient, 0 where the denominator is 0."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def _uplift_curve(contacts: _Contacts) -> Curve:
    at = _cumulated(contacts)
    gain = _ratio(at.treated_outcome, at.treated) - _ratio(at.control_outcome, at.control)
    return np.append(0, at.contacts), np.append(0, gain * at.contacts)


def _qini_curve(contacts: _Contacts) -> Curve:
    at = _cumulated(contacts)
    gain = at.treated_outcome - at.control_outcome * _ratio(at.treated, at.control)
    return np.append(0, at.contacts), np.append(0, gain)


def uplift_curve(
    y: np.ndarray,
    score: np.ndarray,
    treatment: np.ndarray,
    probability: np.ndarray | None = None,
) -> Curve:
    """Incremental outcome of treating the k contacts with the highest scores.

        V(k) = k (Ȳ₁(k) − Ȳ₀(k))

    with Ȳ the (weighted) mean outcome of the treated and of the control among these k; the mean of
    an arm without contacts among them is 0 (Gutierrez and Gérardy, 2017, eq. 13; the "joint,
    relative" curve of Devriendt et al., 2020).

    Returns
    -------
    k : array of shape (distinct scores + 1,), numbers of contacts, from 0
    value : array of that shape, in the outcome's unit times contacts

    Raises
    ------
    ValueError
        For vectors of different length, values that are not finite, another arm than 0 and 1,
        probabilities outside (0, 1). The same holds for all metrics here.
    """
    return _uplift_curve(_contacts(y, score, treatment, probability))


def qini_curve(
    y: np.ndarray,
    score: np.ndarray,
    treatment: np.ndarray,
    probability: np.ndarray | None = None,
) -> Curve:
    """Incremental outcomes among the treated of the k contacts with the highest scores.

        Q(k) = Y₁(k) − Y₀(k) N₁(k) / N₀(k)

    with Y the (weighted) sum of outcomes and N the (weighted) number of contacts of an arm among
    these k (Radcliffe, 2007; the "joint, absolute" curve of Devriendt et al., 2020). It counts
    treated contacts only: about the treated share times `uplift_curve`.

    Returns
    -------
    k, value : arrays of shape (distinct scores + 1,), as `uplift_curve`
    """
    return _qini_curve(_contacts(y, score, treatment, probability))


def _above_diagonal(curve: Curve) -> float:
    """Area between a curve and the straight line to its end."""
    places, value = curve
    return float(np.trapezoid(value, places) - places[-1] * value[-1] / 2)


def _perfect(contacts: _Contacts) -> np.ndarray:
    """The best order of 0/1 outcomes by the uplift curve: treated responders and the control's
    others first; then whichever of the two mixed kinds is fewer (as scikit-uplift)."""
    fits = (contacts.y == 1) == contacts.treated
    control_hits = ((contacts.y == 1) & ~contacts.treated).sum()
    treated_misses = ((contacts.y == 0) & contacts.treated).sum()
    second = contacts.y if control_hits > treated_misses else contacts.treated
    return 2.0 * fits + second


def _area(
    contacts: _Contacts,
    curve: Callable[[_Contacts], Curve],
    best: Callable[[_Contacts], np.ndarray],
    normalised: bool,
) -> float:
    if contacts.treated.all() or not contacts.treated.any():
        return float("nan")
    area = _above_diagonal(curve(contacts))
    if not normalised:
        return area / len(contacts) ** 2
    if not np.isin(contacts.y, (0, 1)).all():
        raise ValueError(
            "the best order is known for outcomes of 0 and 1 only. Set normalised=False."
        )
    perfect = _Contacts(contacts.y, best(contacts), contacts.treated, contacts.weight)
    most = _above_diagonal(curve(perfect))
    return area / most if most else float("nan")


def auuc(
    y: np.ndarray,
    score: np.ndarray,
    treatment: np.ndarray,
    probability: np.ndarray | None = None,
    *,
    normalised: bool = True,
) -> float:
    """Area under the uplift curve, above that of treating at random.

    A = ∫₀ⁿ V(k) dk − n V(n) / 2 by trapezoids. Normalised: over the A of the best order there is of
    these 0/1 outcomes (scikit-uplift's `uplift_auc_score`); that order uses the outcomes, so that
    even the true effects stay far below 1. Else A / n², in the outcome's unit per contact: the area
    over shares of Gutierrez and Gérardy (2017), less the diagonal. 0 is chance; NaN if an arm is
    empty.

    Raises
    ------
    ValueError
        As `uplift_curve`, and where normalised for outcomes other than 0 and 1.
    """
    return _area(_contacts(y, score, treatment, probability), _uplift_curve, _perfect, normalised)


def qini_coefficient(
    y: np.ndarray,
    score: np.ndarray,
    treatment: np.ndarray,
    probability: np.ndarray | None = None,
    *,
    normalised: bool = True,
) -> float:
    """Area under the Qini curve, above that of treating at random (Radcliffe, 2007).

    A = ∫₀ⁿ Q(k) dk − n Q(n) / 2 by trapezoids. Normalised: over the A of the order treated
    responders, all without a response, control responders, the best that 0/1 outcomes with effects
    of both signs allow (scikit-uplift's `qini_auc_score` with negative effects). Else A / n². 0 is
    chance; NaN where an arm is empty.

    Raises
    ------
    ValueError
        As `auuc`.
    """

    def best(contacts: _Contacts) -> np.ndarray:
        return contacts.y * (2.0 * contacts.treated - 1)

    return _area(_contacts(y, score, treatment, probability), _qini_curve, best, normalised)


def _top(score: np.ndarray, size: float) -> np.ndarray:
    """Part of each row among the `size` with the highest scores, shape (n,): 1 above the edge, 0
    below, the same part for all tied at it."""
    if size >= len(score):
        return np.ones(len(score))
    place = len(score) - max(int(np.ceil(size)), 1)
    edge = np.partition(score, place)[place]
    above, tied = score > edge, score == edge
    return above + tied * (size - above.sum()) / tied.sum()


def _size(count: int, share: float) -> int:
    if not 0 < share <= 1:
        raise ValueError(f"share is invalid: expected a number within (0, 1], got {share}")
    return max(int(count * share + ROUNDING), 1)


def _mean_difference(contacts: _Contacts, part: np.ndarray) -> float:
    """Weighted mean outcome of the treated less that of the control (Hájek, 1971), each row counted
    by its part; NaN where an arm is empty."""
    means = []
    for rows in (contacts.treated, ~contacts.treated):
        weight = contacts.weight[rows] * part[rows]
        if not weight.sum() > 0:
            return float("nan")
        means.append(float(np.average(contacts.y[rows], weights=weight)))
    return means[0] - means[1]


def uplift_at(
    y: np.ndarray,
    score: np.ndarray,
    treatment: np.ndarray,
    probability: np.ndarray | None = None,
    *,
    share: float = SHARE,
    strategy: Literal["overall", "by_group"] = "overall",
) -> float:
    """Effect among the share with the highest scores (uplift@k).

    The (weighted) mean outcome of the treated less that of the control, among the ⌊n · share⌋
    contacts with the highest scores; "by_group" takes the highest of each arm by itself, ⌊n₁ ·
    share⌋ and ⌊n₀ · share⌋ (scikit-uplift's `uplift_at_k`). NaN where an arm has none of them.

    Raises
    ------
    ValueError
        As `uplift_curve`, and for a share outside (0, 1] or an unknown strategy.
    """
    contacts = _contacts(y, score, treatment, probability)
    if strategy == "overall":
        return _mean_difference(contacts, _top(contacts.score, _size(len(contacts), share)))
    if strategy != "by_group":
        raise ValueError(f"strategy is invalid: expected overall or by_group, got {strategy!r}")
    part = np.zeros(len(contacts))
    for rows in (contacts.treated, ~contacts.treated):
        if rows.any():
            part[rows] = _top(contacts.score[rows], _size(int(rows.sum()), share))
    return _mean_difference(contacts, part)


def average_effect(
    y: np.ndarray, treatment: np.ndarray, probability: np.ndarray | None = None
) -> float:
    """Effect on the average contact: the (weighted) mean outcome of the treated less that of the
    control (Hájek, 1971); NaN where an arm is empty."""
    contacts = _contacts(y, np.zeros(len(y)), treatment, probability)
    return _mean_difference(contacts, np.ones(len(contacts)))


def policy_value(
    y: np.ndarray,
    score: np.ndarray,
    treatment: np.ndarray,
    probability: np.ndarray | None = None,
    *,
    share: float | None = None,
    threshold: float | None = None,
    against: Literal["nobody", "everybody"] = "nobody",
    estimator: Literal["hajek", "ipw"] = "hajek",
    cost: float = 0.0,
) -> float:
    """Value per contact of treating by score, compared with treating nobody or everybody.

    The policy π(x) treats the share with the highest scores (π is a part at a tied edge), or those
    whose score is above the threshold. Its value over nobody's is E[π (Y(1) − Y(0) − cost)], over
    everybody's −E[(1 − π) (Y(1) − Y(0) − cost)]. With v = π or 1 − π, the effect is estimated

    - "ipw": (1 / n) Σ v (W / p − (1 − W) / (1 − p)) Y, unbiased (Horvitz and Thompson, 1952);
    - "hajek": v̄ times the difference of the arms' means weighted by v and the inverse
      probabilities: a little biased in small samples, less variable, and unchanged by a constant
      added to all outcomes (Hájek, 1971). NaN where an arm has none of those.

    Without probabilities p is the treated share of these contacts.

    Raises
    ------
    ValueError
        As `uplift_curve`; unless either a share or a threshold is given; for an unknown
        alternative or estimator.
    """
    contacts = _contacts(y, score, treatment, probability)
    if (share is None) == (threshold is None):
        raise ValueError("expected either share or threshold")
    if against not in ("nobody", "everybody"):
        raise ValueError(f"against is invalid: expected nobody or everybody, got {against!r}")
    if estimator not in ("hajek", "ipw"):
        raise ValueError(f"estimator is invalid: expected hajek or ipw, got {estimator!r}")
    if share is not None:
        part = _top(contacts.score, _size(len(contacts), share))
    else:
        part = (contacts.score > threshold).astype(float)
    sign = 1.0
    if against == "everybody":
        part, sign = 1 - part, -1.0
    if not part.any():
        return 0.0
    if estimator == "hajek":
        effect = part.mean() * _mean_difference(contacts, part)
    else:
        arm_share = np.where(contacts.treated, contacts.treated.mean(), (~contacts.treated).mean())
        chance = arm_share if probability is None else _probability(probability, len(contacts))
        effect = float(np.mean(part * (2.0 * contacts.treated - 1) * contacts.y / chance))
    return float(sign * (effect - cost * part.mean()))


def uplift_estimate(
    metrics: Mapping[str, UpliftMetric],
    y: np.ndarray,
    score: np.ndarray,
    treatment: np.ndarray,
    probability: np.ndarray | None = None,
    *,
    seed: int,
    groups: np.ndarray | None = None,
    rounds: int = ROUNDS,
    level: float = LEVEL,
) -> dict[str, Estimate]:
    """Each metric with its percentile bootstrap interval; `groups`, such as customers, are drawn
    whole (see `ml.evaluation.metrics.bootstrap`). Draws without a figure are left out."""
    _contacts(y, score, treatment, probability)
    by_rows = _by_rows(metrics, y, treatment, probability)
    return estimate(
        by_rows, np.arange(len(y)), score, seed=seed, groups=groups, rounds=rounds, level=level
    )


def uplift_compare(
    metrics: Mapping[str, UpliftMetric],
    y: np.ndarray,
    score: np.ndarray,
    other: np.ndarray,
    treatment: np.ndarray,
    probability: np.ndarray | None = None,
    *,
    seed: int,
    groups: np.ndarray | None = None,
    rounds: int = ROUNDS,
    level: float = LEVEL,
) -> dict[str, Comparison]:
    """Two scores of the same contacts and their difference, score − other, by a paired bootstrap:
    both are judged on the same draws (see `uplift_estimate`)."""
    return uplift_compare_each(
        metrics,
        y,
        score,
        {"": other},
        treatment,
        probability,
        seed=seed,
        groups=groups,
        rounds=rounds,
        level=level,
    )[""]


def uplift_compare_each(
    metrics: Mapping[str, UpliftMetric],
    y: np.ndarray,
    score: np.ndarray,
    others: Mapping[str, np.ndarray],
    treatment: np.ndarray,
    probability: np.ndarray | None = None,
    *,
    seed: int,
    groups: np.ndarray | None = None,
    rounds: int = ROUNDS,
    level: float = LEVEL,
) -> dict[str, dict[str, Comparison]]:
    """`uplift_compare` of a score with each of several others, by the others' names;
    all are judged on the same draws (see `ml.evaluation.metrics.compare_each`)."""
    for one in (score, *others.values()):
        _contacts(y, one, treatment, probability)
    return compare_each(
        _by_rows(metrics, y, treatment, probability),
        np.arange(len(y)),
        score,
        others,
        seed=seed,
        groups=groups,
        rounds=rounds,
        level=level,
    )


def _by_rows(
    metrics: Mapping[str, UpliftMetric],
    y: np.ndarray,
    treatment: np.ndarray,
    probability: np.ndarray | None,
) -> dict[str, Metric]:
    """Metrics of (numbers of rows, score), the functions for the bootstrap of two vectors."""
    y, treatment = np.asarray(y, dtype=float), np.asarray(treatment)
    chance = None if probability is None else np.asarray(probability, dtype=float)

    def bound(metric: UpliftMetric) -> Metric:
        def figure(numbers: np.ndarray, score: np.ndarray) -> float:
            rows = numbers.astype(int)
            drawn = None if chance is None else chance[rows]
            return metric(y[rows], score, treatment[rows], drawn)

        return figure

    return {name: bound(metric) for name, metric in metrics.items()}


def _transformed(y_star: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    y_star, score = np.asarray(y_star, dtype=float), np.asarray(score, dtype=float)
    if y_star.ndim != 1 or not len(y_star) or y_star.shape != score.shape:
        raise ValueError(
            "expected transformed outcomes and scores as non-empty vectors of one length, got "
            f"{y_star.shape} and {score.shape}"
        )
    if not (np.isfinite(y_star).all() and np.isfinite(score).all()):
        raise ValueError("transformed outcomes and scores are invalid: expected finite numbers")
    return y_star, score


def gain_at(y_star: np.ndarray, score: np.ndarray, share: float = SHARE) -> float:
    """Mean effect among the share with the highest scores, by transformed outcomes.

    The mean of ψ (`pseudo_outcome`, whose conditional mean is the effect) of the ⌊n · share⌋
    contacts with the highest scores, those tied at the edge in equal parts.

    Parameters
    ----------
    y_star : array of shape (n,), transformed outcomes
    score : array of shape (n,)

    Raises
    ------
    ValueError
        For vectors of different length, values that are not finite, a share outside (0, 1].
    """
    y_star, score = _transformed(y_star, score)
    return float(np.average(y_star, weights=_top(score, _size(len(score), share))))


def area_under_gain(y_star: np.ndarray, score: np.ndarray) -> float:
    """Area under the curve of the gain by share treated, above the diagonal: AUUC by transformed
    outcomes.

    With G(φ) the sum of ψ of the share φ with the highest scores, over n: ∫₀¹ G(φ) dφ − G(1) / 2 by
    trapezoids, which is Σ ψᵢ (rᵢ − (n + 1) / 2) / n², r the average rank of the score, lowest
    first. 0 is chance or a constant score; in the outcome's unit a contact.

    Raises
    ------
    ValueError
        For vectors of different length, values that are not finite.
    """
    y_star, score = _transformed(y_star, score)
    return area_under_gain_of_ranks(y_star, rankdata(score))


def area_under_gain_of_ranks(y_star: np.ndarray, rank: np.ndarray) -> float:
    """`area_under_gain` of scores whose average ranks are known; arrays of shape (n,)."""
    size = len(y_star)
    return float(np.dot(rank - (size + 1) / 2, y_star) / size**2)


def _by_rank(y_star: np.ndarray, y_rank: np.ndarray, score_rank: np.ndarray) -> float:
    return area_under_gain_of_ranks(y_star, score_rank)


BY_RANK[area_under_gain] = _by_rank
