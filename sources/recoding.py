"""Text of other encodings as UTF-8, a megabyte at a time."""

from __future__ import annotations

import codecs
import gzip
from pathlib import Path
from typing import IO

from sources.message import Message

UTF_8 = "utf-8"
CHUNK = 1 << 20


def recode(stream: IO[bytes] | gzip.GzipFile, target: Path, encoding: str) -> str | None:
    """Write a text in UTF-8, without a byte order mark and with its line ends as they are.

    Returns the first place that is not of the encoding, by line and byte, where writing ends; None
    if there is none.
    """
    decoder = codecs.getincrementaldecoder(encoding)()
    size, line, first = 0, 1, True
    with target.open("w", encoding=UTF_8, newline="") as out:
        while True:
            chunk, before = stream.read(CHUNK), decoder.getstate()
            try:
                text = decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                held = len(before[0])
                decoder.setstate(before)
                text = decoder.decode(chunk[: max(error.start - held, 0)])
                line += text.count("\n")
                place = size - held + error.start
                return Message("is not {0}: line {1}, byte {2}", encoding.upper(), line, place)
            if first and text:
                text, first = text.removeprefix("\ufeff"), False
            out.write(text)
            line += text.count("\n")
            size += len(chunk)
            if not chunk:
                return None
