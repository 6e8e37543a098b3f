"""How a file is written: encoding, delimiter, quotes, header. From its first megabyte."""

from __future__ import annotations

import codecs
import gzip
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sources.delimited import QUOTE, is_packed, split_line
from sources.mapping.model import Encoding
from sources.recoding import UTF_8

SAMPLE = 1 << 20
LINES = 200
DELIMITERS = ("|+|", "@|@", "|@|", ",", ";", "\t", "|", "\x01", "^")
# Most of the lines must have the same number of fields.
MOST = 0.9
VALUE = re.compile(r"[\d.,:/+\- ]*")


@dataclass(frozen=True)
class Sniffed:
    """A file's form; `header` has the names given to the columns of a file without any."""

    encoding: Encoding
    delimiter: str
    quote: str
    names: tuple[str, ...]
    header: tuple[str, ...] | None = None


def sniff(path: Path) -> Sniffed | None:
    """The form of a text file; None if it has no rows and columns."""
    with gzip.open(path) if is_packed(path) else path.open("rb") as stream:
        start = stream.read(SAMPLE)
    encoding = _encoding(start)
    text = codecs.getincrementaldecoder(encoding)("replace").decode(start).removeprefix("\ufeff")
    lines = [line for line in text.splitlines()[:LINES] if line.strip()]
    if len(start) == SAMPLE:
        lines = lines[:-1] or lines
    if not lines or "\0" in text:
        return None
    # `|+|` is no `|` with a column of plus signs.
    delimiter = max(
        DELIMITERS, key=lambda one: (_score(lines, one)[0], len(one), _score(lines, one))
    )
    # Signs of inches or feet are no quotes: then lines do not split with them.
    quote = QUOTE if _score(lines, delimiter) > (0.0, 0) else ""
    if _score(lines, delimiter, quote) == (0.0, 0):
        return None
    first = [name.strip() for name in split_line(lines[0], delimiter, quote) or ()]
    while first and not first[-1]:
        first.pop()
    if _is_header(first):
        return Sniffed(encoding, delimiter, quote, tuple(first))
    width = len(split_line(lines[0], delimiter, quote) or ())
    names = tuple(f"c{number}" for number in range(1, width + 1))
    return Sniffed(encoding, delimiter, quote, names, names)


def _encoding(start: bytes) -> Encoding:
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    found: tuple[Encoding, ...] = ("utf-8", "gb18030", "cp1252")
    for encoding in found:
        try:
            # Not final: the sample may end within a character.
            codecs.getincrementaldecoder(encoding)().decode(start, final=len(start) < SAMPLE)
            return encoding
        except UnicodeDecodeError:
            continue
    return "latin-1"


def _score(lines: Sequence[str], delimiter: str, quote: str = QUOTE) -> tuple[float, int]:
    """The share of the lines with the most frequent number of fields, and that number; nothing for
    one field or too few equal lines."""
    counted = Counter(len(split_line(line, delimiter, quote) or ()) for line in lines)
    (width, same), *_ = counted.most_common(1)
    share = same / len(lines)
    return (round(share, 1), width) if width > 1 and share >= MOST else (0.0, 0)


def _is_header(names: Sequence[str]) -> bool:
    lowered = [name.lower() for name in names]
    return (
        bool(names)
        and all(names)
        and len(set(lowered)) == len(names)
        and not any(VALUE.fullmatch(name) for name in names)
    )


def is_usual(encoding: str) -> bool:
    """Whether the encoding was not a guess."""
    return encoding in (UTF_8, "utf-16")
