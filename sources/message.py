"""Messages for people: English text that another language can replace."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce


class Message(str):
    """English text of a pattern, and what stands in its places: names and figures, or messages.

    `Message("{0} is missing", "KHXX.txt")` is "KHXX.txt is missing". The pattern is written out at
    every call, so that the catalogue of words finds it (`orchestration.operations.page_words`).
    """

    pattern: str
    parts: tuple[str | int, ...]

    def __new__(cls, pattern: str, *parts: str | int) -> Message:
        made = super().__new__(cls, pattern.format(*parts))
        made.pattern, made.parts = pattern, parts
        return made

    def __getnewargs__(self) -> tuple[str | int, ...]:  # type: ignore[override]
        return self.pattern, *self.parts


def sentences(*found: str) -> str:
    """Sentences one after the other; empty ones are left out."""
    return reduce(lambda before, one: Message("{0} {1}", before, one), filter(None, found))


def by_commas(found: Iterable[str]) -> str:
    return reduce(lambda before, one: Message("{0}, {1}", before, one), found)


def by_semicolons(found: Iterable[str]) -> str:
    return reduce(lambda before, one: Message("{0}; {1}", before, one), found)


def listed(names: Sequence[str], most: int | None = None) -> str:
    """Names with commas between them, at most so many."""
    more = len(names) - most if most is not None else 0
    shown = ", ".join(names[:most])
    return Message("{0} and {1} more", shown, more) if more > 0 else shown


def guess(near: Sequence[str]) -> str:
    """The question after the nearest known name; empty without one."""
    return Message("Is it {0}?", near[0]) if near else ""
