"""Names by likeness: how near a bank's name is to a table, column or code of the contract."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

DATA = Path(__file__).parent / "synonyms.yml"
# Of names that share a part, or are spelled alike.
PART, ALIKE, LEAST_ALIKE = 0.8, 0.75, 0.84
CJK = re.compile("[\u4e00-\u9fff]")


@cache
def _data() -> dict[str, Any]:
    return yaml.load(DATA.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)


@cache
def synonyms(kind: str) -> dict[str, tuple[str, ...]]:
    """Contract word → its other names, of `tables`, `columns`, `sides`, `currencies` or `codes`."""
    return {name: tuple(others) for name, others in _data()[kind].items()}


def null_words() -> tuple[str, ...]:
    """Values that usually mean unknown."""
    return tuple(_data()["nulls"])


@cache
def words(name: str) -> tuple[str, ...]:
    """The parts of a name in lower case: `AcctNo` and `ACCT_NO` are the same."""
    apart = re.sub(r"([a-z])([A-Z])", r"\1 \2", name)
    apart = re.sub("[(（].*?[)）]", " ", apart)
    return tuple(part for part in re.split(r"[\W_]+", apart.lower()) if part)


@cache
def likeness(name: str, known: str) -> float:
    """How near two names are, from 0 to 1 (the same)."""
    own, other = words(name), words(known)
    if not own or not other:
        return 0.0
    plain, target = "".join(own), "".join(other)
    if plain == target:
        return 1.0
    if CJK.search(target):
        return PART if CJK.search(plain) and (target in plain or plain in target) else 0.0
    longer, shorter = (own, other) if len(own) > len(other) else (other, own)
    places = range(len(longer) - len(shorter) + 1)
    if any(longer[at : at + len(shorter)] == shorter for at in places):
        return PART * (0.75 + 0.25 * len(shorter) / len(longer))
    ratio = difflib.SequenceMatcher(None, plain, target).ratio()
    return ALIKE * ratio if ratio >= LEAST_ALIKE and min(len(plain), len(target)) > 3 else 0.0


def nearest(name: str, word: str, others: Iterable[str]) -> float:
    """How near a name is to a word or one of its other names."""
    # A synonym is a little less than the contract's own name.
    return max(likeness(name, word), *(0.97 * likeness(name, other) for other in others), 0.0)


def code_of(value: str, allowed: Sequence[str]) -> str | None:
    """The contract's value that a bank's code names; None if none or several do."""
    return _named(value, {word: synonyms("codes").get(word, ()) for word in allowed})


def currency_of(value: str) -> str | None:
    """The code of ISO 4217 that a bank's code of a currency names."""
    return _named(value, synonyms("currencies"))


def _named(value: str, known: dict[str, tuple[str, ...]]) -> str | None:
    own = _folded(value)
    found = [
        word
        for word, others in known.items()
        if any(own == _folded(one) for one in (word, *others))
    ]
    return found[0] if len(found) == 1 else None


def _folded(text: str) -> tuple[str, ...]:
    return words(text) or (text,)
