"""Write a first mapping of a bank's files: `make map`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestration.platform.engine import connect
from orchestration.platform.files import write_whole
from orchestration.platform.refusal import Refused
from orchestration.platform.settings import Settings, named
from orchestration.platform.wording import in_language
from sources.message import Message


class MappingRefused(Refused):
    """The mapping cannot be proposed or written."""


def propose_file(
    settings: Settings, folder: Path | None, place: Path, *, force: bool = False
) -> dict[str, Any]:
    """Propose the mapping of a folder's files and write it.

    Returns
    -------
    `path` and `folder`, `tables` (table → file), `questions` that a person answers (messages).

    Raises
    ------
    MappingRefused
        When no folder is named, or the file exists and is not to be replaced.
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
                "{0} exists: expected a new file. Name another one with MAPPING=…, or replace it "
                "with FORCE=1 (--force).",
                str(place),
            )
        )
    with connect(settings) as connection:
        found = propose(connection, folder, lambda text: in_language(text, settings.language))
    write_whole(place, found.text)
    return {
        "path": str(place),
        "folder": str(folder),
        "tables": found.tables,
        "questions": found.questions,
    }
