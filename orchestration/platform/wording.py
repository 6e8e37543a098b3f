"""Messages in the language of the settings, by the catalogue of the pages' words."""

from __future__ import annotations

import reports
from reports.formats import ENGLISH
from reports.words import Code, Phrase
from sources.message import Message


class Found(str):
    """English text, and the message or phrase that other languages show in its place."""

    words: str

    def __new__(cls, text: str, words: str) -> Found:
        made = super().__new__(cls, text)
        made.words = words
        return made


def in_language(text: str, language: str) -> str:
    """A message, or a phrase of the pages, in a language; other text is a name and stays."""
    if isinstance(text, Found) and language == ENGLISH:
        return str(text)
    return reports.worded(phrase(text), language) or ""


def phrase(text: str) -> str:
    """A message as a phrase of the catalogue, with the messages among its parts."""
    if isinstance(text, Found):
        return phrase(text.words)
    if isinstance(text, Message):
        return Phrase(
            text.pattern,
            *(phrase(str(part)) if isinstance(part, int) else phrase(part) for part in text.parts),
        )
    return text if isinstance(text, Phrase | Code) else Code(text)
