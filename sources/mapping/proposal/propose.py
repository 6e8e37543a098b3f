"""Propose the mapping of a folder: read the start of each file, match, count codes, write."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import duckdb

from sources.delimited import DelimitedReader, quoted
from sources.interface import SET_PATH, DeliveryRefused, Problem, no_folder
from sources.mapping.places import is_part
from sources.mapping.proposal.currency import bank_currency
from sources.mapping.proposal.keeping import Given
from sources.mapping.proposal.matching import FileSeen, match
from sources.mapping.proposal.openings import opening_questions
from sources.mapping.proposal.profiles import profiles_of
from sources.mapping.proposal.sniffing import sniff
from sources.mapping.proposal.writing import Proposal, write
from sources.message import Message
from sources.parquet import parquet_names, parquet_relation

Rows = Callable[[Path], str]
# Of the files of one pattern, spread over its months.
MOST_FILES = 36
# A month in a name, with the day or without, and how a mapping names it.
MONTHS = (
    (r"(?<!\d)(?:19|20)\d\d(?:0[1-9]|1[0-2])[0-3]\d(?!\d)", "{YYYYMMDD}"),
    (r"(?<!\d)(?:19|20)\d\d-(?:0[1-9]|1[0-2])-[0-3]\d(?!\d)", "{YYYY-MM-DD}"),
    (r"(?<!\d)(?:19|20)\d\d(?:0[1-9]|1[0-2])(?!\d)", "{YYYYMM}"),
    (r"(?<!\d)(?:19|20)\d\d-(?:0[1-9]|1[0-2])(?!\d)", "{YYYY-MM}"),
)


def propose(
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    worded: Callable[[str], str] = str,
    given: Given | None = None,
    currency: str | None = None,
) -> Proposal:
    """A first mapping of a folder's files, with the questions that remain.

    Parameters
    ----------
    worded
        Gives a message in the language of the proposal's text; the questions stay messages.
    given
        An earlier mapping: its tables and columns stay, and the proposal adds what they lack.
    currency
        The bank's currency; None if it is to be asked for.

    Raises
    ------
    DeliveryRefused
        When the folder has no file with rows and columns.
    """
    if not folder.is_dir():
        raise DeliveryRefused([Problem(str(folder), "", no_folder(folder), SET_PATH)])
    groups: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        below = path.relative_to(folder).as_posix()
        if is_part(below):
            groups[pattern_of(below)].append(path)
    # The readers own converted copies: they live until everything is read.
    readers: list[DelimitedReader] = []
    files, unread = [], []
    for pattern, paths in groups.items():
        seen = _look(connection, readers, pattern, paths)
        if seen is None:
            unread.append(pattern)
        else:
            seen.paths = [path.relative_to(folder).as_posix() for path in paths]
            files.append(seen)
    if not files:
        what = Message("has no file with rows and columns")
        raise DeliveryRefused([Problem(str(folder), "", what, SET_PATH)])
    found = match(connection, files, given)
    first = []
    if given is None or "account_balance" not in given.feeds:
        first += opening_questions(connection, found)
    own = currency
    if currency is None:
        own, question = bank_currency(found, given)
        first += [question] if question else []
    proposal = write(files, found, unread, worded, first, given)
    proposal.currency = own
    return proposal


def pattern_of(path: str) -> str:
    """A path with its month as a mapping names it; further months in it are any signs."""
    for expression, name in MONTHS:
        found = list(re.finditer(expression, path))
        if found:
            last = found[-1]
            path = path[: last.start()] + "\0" + path[last.end() :]
            for other, _ in MONTHS:
                path = re.sub(other, "*", path)
            return path.replace("\0", name)
    return path


def _look(
    connection: duckdb.DuckDBPyConnection,
    readers: list[DelimitedReader],
    pattern: str,
    paths: list[Path],
) -> FileSeen | None:
    """The files of a pattern, of many some; the last one first, those of another header left
    out."""
    step = max(len(paths) // MOST_FILES, 1)
    every, paths = paths, paths[::-step][:MOST_FILES]

    def united(chosen: Sequence[str], header: Callable[[Path], Sequence[str]], rows: Rows) -> str:
        """The chosen columns of every file that has them."""
        listed = ", ".join(map(quoted, chosen))
        having = (path for path in every if set(chosen) <= set(header(path)))
        return " union all ".join(f"select {listed} from ({rows(path)})" for path in having)

    try:
        if paths[0].suffix.lower() == ".parquet":
            names, relation = parquet_names(connection, paths[0]), parquet_relation(paths[0])
            return FileSeen(
                *(pattern, None, profiles_of(connection, [relation], names), relation),
                partial(united, header=partial(parquet_names, connection), rows=parquet_relation),
            )
        form = sniff(paths[0])
        if form is None:
            return None
        reader = DelimitedReader(form.delimiter, form.quote, form.header, form.encoding)
        readers.append(reader)
        names = reader.header(paths[0])
        listed = ", ".join(map(quoted, names))
        relations = [
            f"select {listed} from ({reader.relation(connection, path)})"
            for path in paths
            if reader.header(path) == names
        ]
        profiles = profiles_of(connection, relations, names)
        return FileSeen(
            *(pattern, form, profiles, " union all ".join(relations)),
            partial(united, header=reader.header, rows=partial(reader.relation, connection)),
        )
    except (OSError, EOFError, duckdb.Error):
        return None
