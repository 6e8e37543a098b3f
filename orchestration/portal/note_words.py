"""Notes of the measurement as phrases of the catalogue."""

from __future__ import annotations

from orchestration.decisions.reason_words import SEPARATOR, sentence
from reports.words import joined

# `{n}` stands for a figure or a name. Of two that fit, the first is meant.
NOTES = (
    "no control group",
    "nobody treated",
    "no assignment probabilities: taken as equal for all",
    "{0} customers without an assignment probability: a stratum of their own",
    "{0} customers without a chance of the other arm: left out of the effect",
    "{0} strata with less than two in an arm: pooled with the nearest",
    "less than two customers in an arm: no effect",
    "no month after the last contact's is over",
    "the window is still running",
    "arms are not of the sizes assigned: the effect is not to be trusted",
    "no variation: no interval",
    "no response of a control was delivered: were they not recorded, the effect is too high",
    "less than {0} responses in an arm: the interval is rough",
    "no cost per contact delivered: taken as nothing",
    "{0} days after the plan's month are not over",
)


def note_in_words(note: str | None) -> str | None:
    """A note of parts; a part that is none of `NOTES` stays as it is."""
    if not note:
        return None
    return joined("{0}; {1}", [sentence(part, NOTES) for part in note.split(SEPARATOR)])
