"""The names of features: what each measures, over which window."""

from __future__ import annotations

import re

# Contribution of the last period, which the rule of customer value repeats and its learner starts
# from.
LAST_PERIOD = "last_period_contribution"
# The same at a yearly pace, for customers with less than a whole period of history.
PACE = "pace_of_contribution"
ANCHORS = (LAST_PERIOD, PACE)
WINDOW = re.compile(r"(_max|_deepest)?_\d+m$")
# Stems that the names do not show: the anchors are the margin of the last period.
STEMS = {name: "contribution_margin" for name in ANCHORS}


def stem(name: str) -> str:
    """What a feature measures, without its window.

    `income_3m`, `income_12m` and `income_max_12m` are `income`; an average of a balance is the
    balance. A trend has its own stem: a high level and a falling one are two reasons.
    """
    if name in STEMS:
        return STEMS[name]
    short, windows = WINDOW.subn("", name)
    return re.sub("^average_", "balance_", short) if windows else name
