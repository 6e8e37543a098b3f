"""The policy by which a challenger becomes champion.

1. All are judged on the same rows: the evaluation set is fixed before anything is fitted, its
   outcomes are later than all training data, and challenger, champion and rule predict exactly its
   rows. The champion is represented by its twin, which was fitted without that period.
2. Differences are judged by a paired bootstrap of the customers. Better, or worse, "beyond chance"
   means that the whole 90 % interval of the difference lies on one side of 0.
3. The challenger must beat the rule, and the champion if there is one: better on the deciding
   measure beyond chance, and worse on no measure beyond chance.
4. It must keep its bounds: calibration error, bias in total, drift of the scores from the
   champion's, groups of customers treated differently from others. Each bound holds on its own: a
   model outside one is not promoted, however much better it is; only a group of customers from
   whose outcomes what scores otherwise is as far off does not count. A bound has three verdicts:
   refused beyond chance, passed beyond chance, or not judged, where the data allow both. The total
   of a model that feeds money must be shown: within its bound, or no worse than that of what scores
   otherwise, beyond chance, or in the estimate where a proper score is better beyond chance. What
   is not judged does not pass there.
5. All failures are reported, and the champion stays. Without a champion, the rule becomes the first
   champion.
6. In the mode `auto` a challenger that passes is promoted at once. In the mode `approval` the
   verdict is stored with the version, and a person who did not train it promotes it; until then the
   champion, or else the rule, scores.

This module returns the verdict; the orchestration acts on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from ml.evaluation.metrics import Comparison, Estimate, Metric, compare


@dataclass(frozen=True)
class Measure:
    """A metric of an evaluation and its better direction; a metric that is best at 0 (a bias) is
    reported and judged by its size, but not compared."""

    name: str
    metric: Metric
    better: Literal["higher", "lower", "zero"]

    def ahead(self, difference: Estimate) -> bool:
        """Better beyond chance: the whole interval lies on the right side."""
        return difference.low > 0 if self.better == "higher" else difference.high < 0

    def behind(self, difference: Estimate) -> bool:
        """Worse beyond chance."""
        return difference.high < 0 if self.better == "higher" else difference.low > 0


Verdict = Literal["passed", "refused", "not judged"]
# Strictly proper scores (Gneiting & Raftery, 2007): a wrong level makes them worse.
PROPER = ("log_score", "brier")


@dataclass(frozen=True)
class Bound:
    """A figure of a challenger that must not exceed its limit.

    `value` is the smallest figure that the data allow, `most` the largest (None: the same). The
    bound is refused if the smallest exceeds the limit or is unknown (NaN), passed if the largest
    does not, and otherwise not judged. `words` replace the figure in the message: they name the
    groups that are treated unfairly, where `value` only counts them.
    """

    name: str
    value: float
    limit: float
    words: str = ""
    most: float | None = None

    @property
    def verdict(self) -> Verdict:
        if not self.value <= self.limit:
            return "refused"
        return "passed" if self.most is None or self.most <= self.limit else "not judged"

    @property
    def holds(self) -> bool:
        """Whether nothing is shown against the figure."""
        return self.verdict != "refused"

    @property
    def complaint(self) -> str:
        if self.words:
            return self.words
        if np.isnan(self.value):
            return f"{self.name} is not known; at most {self.limit:.4g} is allowed"
        return f"{self.name} {self.value:.4g} above {self.limit:.4g}"


@dataclass(frozen=True)
class Level:
    """What must be shown of the total of a model that feeds money.

    Its bias lies within its bound, or its size exceeds that of what scores otherwise (the champion,
    else the rule) by at most `margin`; each with the whole 90 % interval. Where the model is ahead
    on a proper score, which the level is a part of, the size need not be larger in the estimate.
    """

    bias: Measure
    margin: float

    @property
    def size(self) -> Measure:
        """The bias without its sign."""
        metric = self.bias.metric
        return Measure(f"size of {self.bias.name}", lambda y, score: abs(metric(y, score)), "zero")

    def judge(
        self, compared: Mapping[str, Comparison], other: str, *, ahead: str | None
    ) -> tuple[bool, str]:
        """Whether the size is no worse than that of `other`, where the bound alone is not judged,
        and the reason; `ahead`: the proper score on which the model is ahead of it."""
        difference = compared[self.size.name].difference
        if difference.high <= self.margin:
            words = f"no larger than that of {other} by more than {self.margin:.4g}: "
            return True, words + _figure(compared, self.size.name)
        if ahead is not None and difference.value <= 0:
            words = f"no larger than that of {other} by the estimate, with a better {ahead}: "
            return True, words + _figure(compared, self.size.name)
        return False, (
            f"{self.bias.name} is not judged: the outcomes are too few to show that it is within "
            f"its bound, or larger than that of {other} by at most {self.margin:.4g}: "
            + _figure(compared, self.size.name)
        )


@dataclass(frozen=True)
class Decision:
    """Whether a challenger is promoted, why, and how it compares with the rule, by measure.

    `beats`: it is ahead of the rule and the champion beyond chance, and behind on no measure;
    `within_bounds`: every bound holds, and the level is shown where it must be. It is promoted if
    both are true. `verdicts`: on each bound, by its name.
    """

    promote: bool
    reasons: tuple[str, ...]
    against_rule: Mapping[str, Comparison] = field(default_factory=dict)
    beats: bool = False
    within_bounds: bool = True
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)


def defined(measures: Sequence[Measure], y: np.ndarray) -> tuple[Measure, ...]:
    """The measures that are defined for these outcomes: those with a finite figure for the outcomes
    themselves, the best possible prediction."""
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
    bounds: Sequence[Bound] = (),
    groups: np.ndarray | None = None,
    champion_name: str = "the champion",
    level: Level | None = None,
) -> Decision:
    """Promote a challenger that keeps its bounds and beats the rule and any champion.

    It beats another when the deciding measure is better beyond chance, and no measure is worse
    beyond chance: a better ranking does not make up for less accurate figures. Beyond chance: the
    whole 90 % interval of the paired bootstrap lies on one side.

    Parameters
    ----------
    deciding : str
        Name of the measure that must be better.
    y, challenger, rule, champion : arrays of shape (n,)
        Outcomes of a later period and each one's predictions for the same customers. The
        champion's come from its evaluation twin, which was fitted without that period.
    bounds
        Figures of the challenger, computed by the caller, that must not exceed their limits.
    groups : array of shape (n,), optional
        Rows that belong together, such as those of one customer, and are drawn together.
    level : Level, optional
        What must be shown of the total, of a model that feeds money.
    """
    by_name = {measure.name: measure for measure in measures}
    metrics = {measure.name: measure.metric for measure in measures}
    if level is not None:
        metrics[level.size.name] = level.size.metric

    def beats(other: np.ndarray, name: str) -> tuple[bool, str, Mapping[str, Comparison]]:
        compared = compare(metrics, y, challenger, other, seed=seed, groups=groups)
        ahead = by_name[deciding].ahead(compared[deciding].difference)
        worse = [
            measure.name
            for measure in measures
            if measure.better != "zero" and measure.behind(compared[measure.name].difference)
        ]
        words = f"{'beats' if ahead else 'does not beat'} {name}: " + _figure(compared, deciding)
        if worse:
            words += f"; worse than {name}: " + ", ".join(_figure(compared, one) for one in worse)
        return ahead and not worse, words, compared

    ahead, words, against_rule = beats(rule, "the rule")
    otherwise, reasons = against_rule, [words]
    if champion is not None:
        over_champion, champion_words, otherwise = beats(champion, champion_name)
        ahead, reasons = ahead and over_champion, [words, champion_words]
    verdicts = {bound.name: bound.verdict for bound in bounds}
    complaints = [bound.complaint for bound in bounds if not bound.holds]
    if level is not None and verdicts.setdefault(level.bias.name, "not judged") == "not judged":
        better = deciding in PROPER and by_name[deciding].ahead(otherwise[deciding].difference)
        passed, words = level.judge(
            otherwise,
            champion_name if champion is not None else "the rule",
            ahead=deciding if better else None,
        )
        if passed:
            verdicts[level.bias.name] = "passed"
        (reasons if passed else complaints).append(words)
    return Decision(
        promote=ahead and not complaints,
        reasons=(*reasons, *complaints),
        against_rule={measure.name: against_rule[measure.name] for measure in measures},
        beats=ahead,
        within_bounds=not complaints,
        verdicts=verdicts,
    )


def _figure(compared: Mapping[str, Comparison], name: str) -> str:
    difference = compared[name].difference
    return f"{name} {difference.value:+.4g} [{difference.low:+.4g}, {difference.high:+.4g}]"
