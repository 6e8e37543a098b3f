"""Which model becomes champion: compared on the same customers of a later period, or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from ml.evaluation.metrics import Comparison, Estimate, Metric, compare


@dataclass(frozen=True)
class Measure:
    """A metric of an evaluation, and which way is better: what is best at zero (a bias) is reported
    and judged by its size, but not compared."""

    name: str
    metric: Metric
    better: Literal["higher", "lower", "zero"]

    def ahead(self, difference: Estimate) -> bool:
        """Better beyond chance: the whole interval lies on the right side."""
        return difference.low > 0 if self.better == "higher" else difference.high < 0

    def behind(self, difference: Estimate) -> bool:
        """Worse beyond chance."""
        return difference.high < 0 if self.better == "higher" else difference.low > 0


@dataclass(frozen=True)
class Decision:
    """Whether a challenger is promoted, why, and how it fares beside the rule, by measure."""

    promote: bool
    reasons: tuple[str, ...]
    against_rule: Mapping[str, Comparison] = field(default_factory=dict)


def defined(measures: Sequence[Measure], y: np.ndarray) -> tuple[Measure, ...]:
    """The measures that say something of these outcomes: those that the outcomes themselves, as the
    best prediction there is, give a finite figure."""
    return tuple(measure for measure in measures if np.isfinite(measure.metric(y, y)))


def decide(
    measures: Sequence[Measure],
    deciding: str,
    y: np.ndarray,
    challenger: np.ndarray,
    rule: np.ndarray,
    champion: np.ndarray | None,
    *,
    seed: int,
) -> Decision:
    """Promote a challenger that beats the rule and, where there is one, the champion.

    It beats another when the deciding measure is better beyond chance, and no measure is worse
    beyond chance: a better order of the customers does not pay for figures that are further off.
    Beyond chance: the whole 90 % interval of the paired bootstrap lies on one side.

    Parameters
    ----------
    deciding : str
        Name of the measure that must be better.
    y, challenger, rule, champion : arrays of shape (n,)
        Outcomes of a later period and each one's predictions for the same customers. The
        champion's come from its evaluation twin, which has not seen that period either.
    """
    by_name = {measure.name: measure for measure in measures}
    metrics = {measure.name: measure.metric for measure in measures}

    def beats(other: np.ndarray, name: str) -> tuple[bool, str, Mapping[str, Comparison]]:
        compared = compare(metrics, y, challenger, other, seed=seed)
        ahead = by_name[deciding].ahead(compared[deciding].difference)
        worse = [
            measure.name
            for measure in measures
            if measure.better != "zero" and measure.behind(compared[measure.name].difference)
        ]
        words = f"{'beats' if ahead else 'does not beat'} {name}: " + _said(compared, deciding)
        if worse:
            words += f"; worse than {name}: " + ", ".join(_said(compared, one) for one in worse)
        return ahead and not worse, words, compared

    over_rule, words, against_rule = beats(rule, "the rule")
    if champion is None:
        return Decision(over_rule, (words, "there is no champion to compare with"), against_rule)
    over_champion, champion_words, _ = beats(champion, "the champion")
    return Decision(over_rule and over_champion, (words, champion_words), against_rule)


def _said(compared: Mapping[str, Comparison], name: str) -> str:
    difference = compared[name].difference
    return f"{name} {difference.value:+.4g} [{difference.low:+.4g}, {difference.high:+.4g}]"
