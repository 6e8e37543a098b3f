"""The findings on a bank's models against its hidden truth, and their report as text tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from benchmarks.interval_coverage import Coverage
from benchmarks.plan_recovery import PlanRecovery

One = TypeVar("One")


def share(figure: float, of: float) -> float:
    """`figure` over `of`; NaN unless `of` is above 0."""
    return figure / of if of > 0 else float("nan")


@dataclass(frozen=True)
class Recovery:
    """One metric on the evaluation period: what model, rule and truth achieve.

    `share_low` and `share_high` bound the model's share of the truth's figure: the 90 % percentile
    bootstrap, customers resampled. Shares are NaN where the truth itself achieves nothing.
    """

    model_name: str
    metric: str
    model: float
    rule: float
    truth: float
    share_low: float
    share_high: float

    @property
    def share(self) -> float:
        return share(self.model, self.truth)

    @property
    def rule_share(self) -> float:
        return share(self.rule, self.truth)


@dataclass(frozen=True)
class Bias:
    """Sum predicted over sum realised, less one, by model, rule and truth; `low` and `high` are the
    model's 90 % bootstrap interval. `outcome` is the mean realised: currency units or a rate."""

    model_name: str
    rows: int
    outcome: float
    model: float
    low: float
    high: float
    rule: float
    truth: float


@dataclass(frozen=True)
class Findings:
    """All measurements of one bank; `notes` lists missing and qualified ones."""

    recoveries: Sequence[Recovery] = ()
    biases: Sequence[Bias] = ()
    coverages: Sequence[Coverage] = ()
    notes: Sequence[str] = ()
    plans: Sequence[PlanRecovery] = ()

    def __add__(self, other: Findings) -> Findings:
        return Findings(
            (*self.recoveries, *other.recoveries),
            (*self.biases, *other.biases),
            (*self.coverages, *other.coverages),
            (*self.notes, *other.notes),
            (*self.plans, *other.plans),
        )


BIAS = "total bias: predicted over realised, less one (clv's truth discounted as its outcome is)"
PLAN = "incremental profit of next month's contacts as the truth expects it, within the same limits"
COVERAGE = "coverage of clv's intervals (worst: the tenth of predictions farthest off, 10 highest)"


def _percent(value: float, width: int = 0, sign: str = "") -> str:
    text = "–" if np.isnan(value) else f"{value:{sign}.1%}"
    return f"{text:>{width}}"


def _between(low: float, high: float, sign: str = "") -> str:
    return f"[{_percent(low, sign=sign)}, {_percent(high, sign=sign)}]"


def report(found: Findings) -> str:
    """The tables of one bank, and the notes below them."""
    parts = []
    if found.recoveries:
        parts.append(table(found.recoveries))
    if found.biases:
        parts.append(f"{BIAS}\n{_bias_table(found.biases)}")
    if found.coverages:
        parts.append(f"{COVERAGE}\n{_coverage_table(found.coverages)}")
    if found.plans:
        parts.append(f"{PLAN}\n{_plan_table(found.plans)}")
    if found.notes:
        parts.append("\n".join(f"note: {note}" for note in found.notes))
    return "\n\n".join(parts)


def table(found: Iterable[Recovery]) -> str:
    """Metrics with a meaningful share of the truth's figure, one line each."""
    head = (
        f"{'model':<11}{'metric':<32}{'model':>8}{'rule':>8}{'truth':>8}"
        f"{'model/truth':>13} {'[90 %]':<18}{'rule/truth':>11}"
    )
    lines = [
        f"{one.model_name:<11}{one.metric:<32}{one.model:>8.3f}{one.rule:>8.3f}{one.truth:>8.3f}"
        f"{_percent(one.share, 13)} {_between(one.share_low, one.share_high):<18}"
        f"{_percent(one.rule_share, 11)}"
        for one in found
    ]
    return "\n".join([head, *lines])


def _bias_table(found: Iterable[Bias]) -> str:
    head = (
        f"{'model':<11}{'rows':>8}{'mean outcome':>14}{'model':>9} {'[90 %]':<18}"
        f"{'rule':>9}{'truth':>9}"
    )
    lines = [
        f"{one.model_name:<11}{one.rows:>8,}{one.outcome:>14,.4g}{_percent(one.model, 9, '+')} "
        f"{_between(one.low, one.high, '+'):<18}{_percent(one.rule, 9, '+')}"
        f"{_percent(one.truth, 9, '+')}"
        for one in found
    ]
    return "\n".join([head, *lines])


def _coverage_table(found: Iterable[Coverage]) -> str:
    head = (
        f"{'period':<38}{'customers':>10}{'nominal':>9}{'covered':>9} {'[90 %]':<17}"
        f"{'less nominal':>13}{'worst tenth':>13}{'less nominal':>14}"
    )
    lines = [
        f"{one.period:<38}{one.customers:>10,}{_percent(one.nominal, 9)}{_percent(one.covered, 9)} "
        f"{_between(one.low, one.high):<17}{_percent(one.difference, 13, '+')}"
        f"{f'{one.worst_tenth}: {one.worst:.1%}':>13}{_percent(one.worst_difference, 14, '+')}"
        for one in found
    ]
    return "\n".join([head, *lines])


def _plan_table(found: Iterable[PlanRecovery]) -> str:
    head = f"{'policy':<28}{'contacts':>10}{'profit':>12}{'of the truth':>15}"
    lines = [
        f"{one.policy:<28}{one.contacts:>10,}{one.profit:>12,.0f}{_percent(one.share, 15)}"
        for one in found
    ]
    return "\n".join([head, *lines])


def _grouped(
    seeds: Sequence[Sequence[One]], key: Callable[[One], tuple[str, ...]]
) -> dict[tuple[str, ...], list[One]]:
    """What is alike in several seeds; a seed may lack some."""
    found: dict[tuple[str, ...], list[One]] = {}
    for one in (one for seed in seeds for one in seed):
        found.setdefault(key(one), []).append(one)
    return found


def _mean(values: Iterable[float], sign: str = "") -> str:
    """Mean with least and most of the known."""
    known = [value for value in values if not np.isnan(value)]
    if not known:
        return "–"
    mean = _percent(float(np.mean(known)), sign=sign)
    return f"{mean} {_between(min(known), max(known), sign)}"


def mean_report(seeds: Sequence[Findings]) -> str:
    """The tables of several banks: means over the seeds that have a figure, with least and most."""
    head = (
        f"{'model':<11}{'metric':<32}{'seeds':>6}{'model/truth, mean [least, most]':>34}"
        f"{'rule/truth':>25}"
    )
    lines = [
        f"{name:<11}{metric:<32}{len(same):>6}{_mean(one.share for one in same):>34}"
        f"{_mean(one.rule_share for one in same):>25}"
        for (name, metric), same in _grouped(
            [seed.recoveries for seed in seeds], lambda one: (one.model_name, one.metric)
        ).items()
    ]
    parts = ["\n".join([head, *lines])]
    biases = _grouped([seed.biases for seed in seeds], lambda one: (one.model_name,))
    if biases:
        head = f"{'model':<11}{'seeds':>6}{'model':>26}{'rule':>26}{'truth':>26}"
        lines = [
            f"{name:<11}{len(same):>6}{_mean((one.model for one in same), '+'):>26}"
            f"{_mean((one.rule for one in same), '+'):>26}"
            f"{_mean((one.truth for one in same), '+'):>26}"
            for (name,), same in biases.items()
        ]
        parts.append("\n".join([BIAS, head, *lines]))
    plans = _grouped([seed.plans for seed in seeds], lambda one: (one.policy,))
    if plans:
        head = f"{'policy':<28}{'seeds':>6}{'of the truth, mean [least, most]':>36}"
        lines = [
            f"{policy:<28}{len(same):>6}{_mean(one.share for one in same):>36}"
            for (policy,), same in plans.items()
        ]
        parts.append("\n".join([PLAN, head, *lines]))
    coverages = _grouped(
        [seed.coverages for seed in seeds], lambda one: (one.period, f"{one.nominal:.1%}")
    )
    if coverages:
        head = (
            f"{'period':<38}{'seeds':>6}{'nominal':>9}{'covered less nominal':>26}"
            f"{'worst tenth less nominal':>28}"
        )
        lines = [
            f"{period:<38}{len(same):>6}{nominal:>9}"
            f"{_mean((one.difference for one in same), '+'):>26}"
            f"{_mean((one.worst_difference for one in same), '+'):>28}"
            for (period, nominal), same in coverages.items()
        ]
        parts.append("\n".join([COVERAGE, head, *lines]))
    return "\n\n".join(parts)
