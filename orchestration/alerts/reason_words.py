"""Why a booking is abnormal, as phrases of the catalogue: the texts of `ml.anomaly.reasons`."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from ml.anomaly.reasons import KINDS
from reports.phrases import recognised
from reports.words import Phrase, joined

SEPARATOR = "; "
PATTERNS: dict[str, tuple[str, ...]] = {
    **{
        f"{{0}} of {{1}} is {{2}} times {whose} usual {way} amount": ("words", "figure", "figure")
        for whose in ("the account's", "comparable accounts'")
        for way in ("incoming", "outgoing")
    },
    **{
        f"{{0}} {{1}}s{below} within {{2}} days, usually {{3}} a month": (
            *("figure", "words", "figure", "figure"),
        )
        # The longer one first: a kind may be of several words.
        for below in (" just below round amounts", "")
    },
    "first use of {0} for {1}s": ("word", "words"),
    "seldom uses {0} for {1}s": ("word", "words"),
    "balance emptied by {0}": ("share",),
    "leaves on the day it arrived": (),
    "new counterparty": (),
    "first use of the account in a year or more": (),
    "first use of the account in {0} days": ("figure",),
    "unusual combination of bookings for a day": (),
}
# The kinds that are judged.
JUDGED = (*KINDS.values(), "card payment", "other")


def transaction_reason(reason: str | None) -> str | None:
    """A reason of `alerts.transaction` as a phrase, its signs parted by semicolons."""
    if not reason:
        return None
    signs = reason.split(SEPARATOR)
    return joined("{0}; {1}", [recognised(sign, PATTERNS) for sign in signs])


def reason_examples() -> Iterator[str]:
    """Every pattern and kind once, for the catalogue."""
    examples: dict[str, str | Decimal] = {
        "words": JUDGED[0],
        "word": "online",
        "figure": Decimal(2),
        "share": "9%",
    }
    for pattern, places in PATTERNS.items():
        yield Phrase(pattern, *(examples[place] for place in places)) if places else pattern
    yield from JUDGED
