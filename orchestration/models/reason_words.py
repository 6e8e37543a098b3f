"""Measures, and why a model is off, promoted or kept, as phrases of the catalogue.

The texts are those of the studies, of `training` and of `ml.promotion`; one of another form, as
a person's own reason, stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal

from orchestration.models.cutoffs import TOO_SHORT
from reports.phrases import recognised
from reports.words import Phrase, joined

SEPARATOR = "; "
# Where the interval of one measure ends and the next measure begins.
ENDED = re.compile(r"(?<=\d\]), ")
METRICS = {
    "log_score": "mean log loss",
    "brier": "squared error of probabilities",
    "auc": "area under the curve of hits",
    "gini": "normalised Gini coefficient",
    "spearman": "rank correlation",
    "top_decile_capture": "share that the best tenth holds",
    "mean_absolute_error": "mean absolute error",
    "total_bias": "total predicted over actual, less 1",
    "calibration_error": "calibration error",
    "explained_share": "share of later behaviour explained",
    "area_under_gain": "area under the gain curve",
    "gain_at_10": "gain of the best tenth",
    "gain_at_30": "gain of the best three tenths",
}
# What a champion was made for, by its tag.
MADE_FOR = {
    "source": "bank",
    "format": "form of the stored model",
    "horizon_months": "horizon",
    "features": "list of features",
    "discount_rate": "discount rate",
}
FIGURES = ("horizon_months", "discount_rate")
AGAIN = "trained again: "
OF_METRIC = ("word", "figure", "figure", "figure")
# What groups of customers are judged by.
ATTRIBUTES = ("age band", "sex")
OTHERS = ("the rule", "the champion")
PATTERNS: dict[str, tuple[str, ...]] = {
    **{
        f"{verb} {other}: {{0}} {{1}} [{{2}}, {{3}}]": OF_METRIC
        for verb in ("beats", "does not beat", "worse than")
        for other in OTHERS
    },
    # A learner that passed before.
    **{
        f"{verb} {{0}}: {{1}} {{2}} [{{3}}, {{4}}]": ("word", *OF_METRIC)
        for verb in ("beats", "does not beat", "worse than")
    },
    "no larger than that of {0} by more than {1}: size of {2} {3} [{4}, {5}]": (
        *("word", "figure"),
        *OF_METRIC,
    ),
    **{
        f"no larger than that of {other} by more than {{0}}: size of {{1}} {{2}} [{{3}}, {{4}}]": (
            "figure",
            *OF_METRIC,
        )
        for other in OTHERS
    },
    **{
        f"no larger than that of {other} by the estimate, with a better {{0}}: size of {{1}} {{2}} "
        "[{3}, {4}]": ("word", *OF_METRIC)
        for other in OTHERS
    },
    **{
        "{0} is not judged: the outcomes are too few to show that it is within its bound, or "
        f"larger than that of {other} by at most {{1}}: size of {{2}} {{3}} [{{4}}, {{5}}]": (
            *("word", "figure"),
            *OF_METRIC,
        )
        for other in OTHERS
    },
    **{
        f"{attribute} {{0}} ({{1}} customers): predictions lie {way} outcomes by {{2}} of the mean "
        "outcome of all customers [{3}, {4}], more than {5}": (
            *("text", "figure"),
            *("share", "share", "share", "share"),
        )
        for attribute in ATTRIBUTES
        for way in ("above", "below")
    },
    "not counted, for what scores otherwise is as far off: {0}": ("text",),
    "{0} is not known; at most {1} is allowed": ("word", "figure"),
    "{0} {1} above {2}": ("word", "figure", "figure"),
    "so the rule is champion": (),
    "no learner may score yet": (),
    "there is no champion yet": (),
    "training was asked for": (),
    "the {0} changed from {1} to {2}": ("words", "figure", "figure"),
    "the {0} changed": ("words",),
    "the champion fits": (),
    "version {0} waits for approval (job promote)": ("figure",),
    "too few to learn from: {0} events among {1} rows": ("figure", "figure"),
    "too few to be judged on: {0} events among {1} rows": ("figure", "figure"),
    "{0} of both kinds are needed": ("figure",),
    "too few matured contacts: {0} with {1} responses": ("figure", "figure"),
    "{0} with {1} are needed, over several campaigns": ("figure", "figure"),
    "too few matured contacts with a known assignment: {0} treated, {1} held out, {2} responses": (
        *("figure", "figure", "figure"),
    ),
    "{0} of each arm with {1} responses are needed, over several campaigns": ("figure", "figure"),
    "too few accounts whose first {0} months are over: {1}": ("figure", "figure"),
    "those over before the latest {0} were opened: {1}": ("figure", "figure"),
    "{0} such accounts and {1} later ones are needed": ("figure", "figure"),
    "this source has no campaign whose responses are in": (),
    "history too short for {0} months: a horizon of {1} is used": ("figure", "figure"),
    TOO_SHORT: (),
    "not judged: {0} customers with {1} outcomes": ("figure", "figure"),
    "{0} customers with {1} outcomes": ("figure", "figure"),
    "{0} with {1} are needed": ("figure", "figure"),
}


def changed(tag: str, before: str | None, now: str) -> str:
    """That the champion was made for something else than is wanted now."""
    name = MADE_FOR.get(tag, tag.replace("_", " "))
    if before is None or tag not in FIGURES:
        return f"the {name} changed"
    return f"the {name} changed from {float(before):g} to {float(now):g}"


def trained_again(note: str | None) -> list[str]:
    """The reasons in a model's note for which it was trained again."""
    return [one for one in (note or "").split(SEPARATOR) if one.startswith(AGAIN)]


def verdict(text: str | None) -> str | None:
    """A reason as a phrase, its parts by semicolons; None and the empty text as they are."""
    if not text:
        return text
    parts = (one for part in text.split(SEPARATOR) for one in _each(part))
    return joined("{0}; {1}", [_part(part) for part in parts])


def _each(part: str) -> list[str]:
    """A part that names several measures as one for each."""
    head, _, figures = part.rpartition(": ")
    several = ENDED.split(figures)
    return [f"{head}: {one}" for one in several] if len(several) > 1 else [part]


def _part(text: str) -> str:
    found = recognised(text, PATTERNS)
    if isinstance(found, Phrase):
        return _worded(found)
    # "hazard: beats the rule: …": the learner, and why.
    learner, separator, rest = text.partition(": ")
    of_learner = recognised(rest, PATTERNS) if separator else ""
    if isinstance(of_learner, Phrase):
        return Phrase("{0}: {1}", learner, _worded(of_learner))
    return found


def _worded(phrase: Phrase) -> Phrase:
    """With the words of its measures."""
    parts = (METRICS.get(one, one) if isinstance(one, str) else one for one in phrase.parts)
    return Phrase(phrase.pattern, *parts)


def verdict_examples() -> Iterator[str]:
    """Every pattern once, for the catalogue."""
    examples: dict[str, str | Decimal] = {"word": METRICS["auc"], "text": "-"}
    examples |= {"figure": Decimal(1), "share": "1 %", "words": MADE_FOR["source"]}
    yield from (AGAIN.removesuffix(": "), *MADE_FOR.values())
    for pattern, places in PATTERNS.items():
        yield Phrase(pattern, *(examples[place] for place in places)) if places else pattern
