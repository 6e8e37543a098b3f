"""Which model becomes champion: compared on the same customers of a later period, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ml.evaluation.metrics import paired_difference


@dataclass(frozen=True)
class Decision:
    """Whether a challenger is promoted, and why."""

    promote: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Yardstick:
    """The metric that decides, and which way is better."""

    name: str
    metric: Callable[[np.ndarray, np.ndarray], float]
    higher_is_better: bool = True


def beats(
    yardstick: Yardstick,
    y: np.ndarray,
    challenger: np.ndarray,
    other: np.ndarray,
    name: str,
    *,
    seed: int,
) -> tuple[bool, str]:
    """Whether a challenger is better than another beyond chance, and the sentence that says so.

    Better means that the whole 90 % interval of the paired bootstrap lies on the right side.
    """
    difference = paired_difference(yardstick.metric, y, challenger, other, seed=seed)
    ahead = difference.low > 0 if yardstick.higher_is_better else difference.high < 0
    sign = "beats" if ahead else "does not beat"
    return ahead, (
        f"{sign} {name}: {yardstick.name} {difference.value:+.4f} "
        f"[{difference.low:+.4f}, {difference.high:+.4f}]"
    )


def decide(
    yardstick: Yardstick,
    y: np.ndarray,
    challenger: np.ndarray,
    rule: np.ndarray,
    champion: np.ndarray | None,
    *,
    seed: int,
) -> Decision:
    """Promote a challenger that beats the rule and, where there is one, the champion.

    Parameters
    ----------
    y, challenger, rule, champion : arrays of shape (n,)
        Outcomes of a later period and each one's predictions for the same customers. The
        champion's come from its evaluation twin, which has not seen that period either.
    """
    ahead_of_rule, rule_words = beats(yardstick, y, challenger, rule, "the rule", seed=seed)
    if champion is None:
        return Decision(ahead_of_rule, (rule_words, "there is no champion to compare with"))
    ahead, champion_words = beats(yardstick, y, challenger, champion, "the champion", seed=seed)
    return Decision(ahead_of_rule and ahead, (rule_words, champion_words))
