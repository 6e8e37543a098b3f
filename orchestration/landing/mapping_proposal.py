"""Write a first mapping of a bank's files: `make map`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from orchestration.platform.engine import connect
from orchestration.platform.files import write_whole
from orchestration.platform.refusal import Refused
from orchestration.platform.settings import Settings, named
from orchestration.platform.wording import in_language
from sources.mapping.proposal.keeping import Given, read_given
from sources.message import Message, sentences


class MappingRefused(Refused):
    """The mapping cannot be proposed or written."""


def propose_file(
    settings: Settings, folder: Path | None, place: Path, *, force: bool = False
) -> dict[str, Any]:
    """Propose the mapping of a folder's files and write it; with `force` an earlier one keeps what
    the bank answered, and gets what it lacks.

    Returns
    -------
    `path` and `folder`, `tables` (table → file), `questions` that a person answers (messages),
    `kept` (tables of the earlier mapping), `vanished` (its files that are not there), `currency`.

    Raises
    ------
    MappingRefused
        When no folder is named, or the file exists and is not to be changed or cannot be read.
    DeliveryRefused
        When the folder has no file with rows and columns.
    """
    from sources.mapping.proposal.propose import propose

    if folder is None:
        raise MappingRefused(
            Message(
                "{0} is missing: expected the folder of the bank's files. Run make map "
                "SOURCE_PATH=<folder>.",
                named("source_path"),
            )
        )
    place, folder = place.expanduser().resolve(), folder.expanduser().resolve()
    if place.exists() and not force:
        raise MappingRefused(
            Message(
                "{0} exists: expected a new file. Name another one with MAPPING=…, or add what it "
                "lacks with FORCE=1 (--force): its answers stay.",
                str(place),
            )
        )
    given = _given(place) if place.exists() else None
    with connect(settings) as connection:
        found = propose(
            *(connection, folder, lambda text: in_language(text, settings.language)),
            given=given,
            currency=settings.currency,
        )
    write_whole(place, found.text)
    return {
        "path": str(place),
        "folder": str(folder),
        "tables": found.tables,
        "questions": found.questions,
        "kept": found.kept,
        "vanished": found.vanished,
        "currency": found.currency,
    }


def _given(place: Path) -> Given | None:
    """The earlier mapping; None for a file without tables.

    Raises
    ------
    MappingRefused
        For a file that cannot be read.
    """
    cure = Message("Correct it, or name another file with MAPPING=….")
    try:
        return read_given(place.read_text(encoding="utf-8-sig"))
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        what = Message("{0} cannot be read as a mapping: {1}.", str(place), reason)
        raise MappingRefused(sentences(what, cure)) from None
