"""The words of a notice."""

from __future__ import annotations

import socket
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from orchestration.platform.engine import connect
from orchestration.platform.releases import ReleaseRefused, served
from orchestration.platform.settings import Settings

LONGEST_LINE = 300


@dataclass(frozen=True)
class Cause:
    """What failed: a job, the places in it, since when, in which run (empty without one)."""

    job: str
    places: tuple[str, ...]
    since: datetime
    run_id: str = ""


@dataclass(frozen=True)
class Message:
    """A notice: a subject of one line, and lines of plain text."""

    subject: str
    lines: tuple[str, ...]


def failed(settings: Settings, cause: Cause) -> Message:
    """The notice of a failure."""
    return _message(
        f"jingxi: {cause.job} failed",
        [
            *(f"where: {place}" for place in cause.places),
            f"since: {_moment(cause.since)}",
            f"served meanwhile: {served_in_words(settings)}",
            f"run: {link(settings, cause.run_id)}",
            f"home: {socket.gethostname()}:{settings.home}",
        ],
    )


def in_order(settings: Settings, jobs: Sequence[str], over: Sequence[Cause]) -> Message:
    """The notice that failures are over."""
    return _message(
        f"jingxi: {jobs[0]} succeeded, all clear",
        [
            *(
                f"over: {cause.job}, {place}, since {_moment(cause.since)}"
                for cause in over
                for place in cause.places
            ),
            f"served: {served_in_words(settings)}",
            f"home: {socket.gethostname()}:{settings.home}",
        ],
    )


def link(settings: Settings, run_id: str) -> str:
    """The page of a run in Dagster; that of all runs without one."""
    return "/".join((settings.ui_url.rstrip("/"), "runs", *([run_id] if run_id else ())))


def served_in_words(settings: Settings) -> str:
    """The served release and its as-of month."""
    try:
        path = served(settings)
        if path is None:
            return "nothing yet"
        with connect(settings, path, read_only=True) as connection:
            ((as_of,),) = connection.table("meta.release").select("as_of").fetchall()
    except ReleaseRefused:
        return "the served release cannot be read"
    return f"release {path.stem}, as of {as_of}"


def plain(text: str) -> str:
    """One line without control characters and of limited length: names of files and columns are
    the bank's."""
    shown = "".join(
        " " if unicodedata.category(sign)[0] in "CZ" else sign for sign in text[: 2 * LONGEST_LINE]
    )
    line = " ".join(shown.split())
    return line if len(line) <= LONGEST_LINE else line[: LONGEST_LINE - 1] + "…"


def _message(subject: str, lines: Sequence[str]) -> Message:
    return Message(plain(subject), tuple(plain(line) for line in lines))


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
