"""The pooled effects of an offer's campaigns so far, after each of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml.evaluation.experiment import Effect
from ml.evaluation.meta_analysis import pooled_effect


@dataclass(frozen=True)
class Lesson:
    """A completed effect of a campaign, with the campaign's own columns."""

    campaign: dict[str, Any]
    outcome: str
    effect: Effect


def rows(lessons: Iterable[Lesson]) -> list[dict[str, Any]]:
    """A row for each offer, outcome and campaign: effects of it and those before it, pooled.

    Parameters
    ----------
    lessons : in any order; an offer's campaigns count by their last contact
    """
    by_offer: dict[tuple[str, str], list[Lesson]] = defaultdict(list)
    for lesson in lessons:
        by_offer[lesson.campaign["product_id"], lesson.outcome].append(lesson)
    return [
        _after(learned[:number])
        for _, group in sorted(by_offer.items())
        for learned in [sorted(group, key=_time)]
        for number in range(1, len(learned) + 1)
    ]


def _time(lesson: Lesson) -> tuple[Any, str]:
    return lesson.campaign["last_contact"], lesson.campaign["campaign_id"]


def _after(lessons: list[Lesson]) -> dict[str, Any]:
    last = lessons[-1]
    pooled = pooled_effect(
        np.array([lesson.effect.value for lesson in lessons]),
        np.array([lesson.effect.variance for lesson in lessons]),
    )
    return {
        "product_id": last.campaign["product_id"],
        "product_line": last.campaign["product_line"],
        "outcome": last.outcome,
        "campaigns": len(lessons),
        "campaign_id": last.campaign["campaign_id"],
        "last_contact": last.campaign["last_contact"],
        "effect": last.effect.value,
        "fixed_effect": pooled.fixed.value,
        "fixed_low": pooled.fixed.low,
        "fixed_high": pooled.fixed.high,
        "random_effect": pooled.random.value,
        "random_low": pooled.random.low,
        "random_high": pooled.random.high,
        "tau_squared": pooled.tau_squared,
        "cochran_q": pooled.q,
        "heterogeneity_p": pooled.q_p_value,
        "i_squared": pooled.i_squared,
    }
