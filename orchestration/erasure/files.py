"""Landed months, pages and other files without a person."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from pathlib import Path

import duckdb

from orchestration.erasure.person import attached
from orchestration.landing.months import without_statistics
from orchestration.platform.erased import without_erased
from orchestration.platform.files import write_whole
from sources.contract import Table
from sources.delimited import literal, quoted

CHUNK = 1 << 20
# Characters from which on an id is in bytes by no accident.
LONG = 6
TEXTS = {".html", ".log", ".trace", ".txt", ".err", ".out", ".json", ".csv", ".md"}
SQLITE = b"SQLite format 3\0"


def rewrite_month(connection: duckdb.DuckDBPyConnection, table: Table, path: Path) -> int:
    """Replace a landed month by one without the persons in `erased_id`; returns the rows that
    changed."""
    given = f"select * from read_parquet({literal(path)})"
    anonymous = without_erased(table, given)
    ((changed,),) = connection.execute(
        f"select count(*) from (({given}) except all (select * "
        f"{'exclude (_erased)' if table.erased else ''} from ({anonymous}) "
        f"{'where not _erased' if table.erased else ''}))"
    ).fetchall()
    if not changed:
        return 0
    draft = path.with_name(f".{path.name}.unfinished")
    key = ", ".join(quoted(name) for name in table.key)
    chosen = "select * exclude (_erased)" if table.erased else "select *"
    where = "where not _erased" if table.erased else ""
    try:
        # As landing writes it, so that a later delivery of the same rows gives the same bytes.
        with without_statistics(connection):
            connection.execute(
                f"copy ({chosen} from ({anonymous}) {where} order by {key}) "
                f"to {literal(draft)} (format parquet, compression zstd)"
            )
        draft.chmod(0o600)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return changed


def distinct(ids: Collection[str]) -> list[str]:
    """Those of the ids that are looked for as words: a short number is in every text."""
    return [one for one in ids if len(one) >= LONG or not one.isdigit()]


def rewrite_text(path: Path, ids: Mapping[str, str]) -> int:
    """Replace ids in a page or log; returns how many. Ids that a text cannot show as such are
    replaced where they are the whole content of an element."""
    text = path.read_text(encoding="utf-8", errors="surrogateescape")
    certain = distinct(ids)
    patterns = [rf"(?<=>)\s*{re.escape(one)}\s*(?=<)" for one in ids if one not in certain]
    patterns += [rf"(?<![\w-]){re.escape(one)}(?![\w-])" for one in certain]
    if not patterns:
        return 0

    def new(match: re.Match[str]) -> str:
        return ids[match.group().strip()]

    fresh, found = re.subn("|".join(patterns), new, text)
    if found:
        before = path.stat()
        write_whole(path, fresh.encode("utf-8", errors="surrogateescape"))
        path.chmod(before.st_mode & 0o7777)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    return found


def holds(path: Path, ids: Collection[str]) -> bool:
    """Whether the bytes of a file contain one of the ids."""
    wanted = [one.encode() for one in ids]
    longest = max(map(len, wanted), default=0)
    before = b""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            piece = before + chunk
            if any(one in piece for one in wanted):
                return True
            before = piece[-longest:]
    return False


def where_left(connection: duckdb.DuckDBPyConnection, path: Path, ids: Collection[str]) -> str:
    """Where a file still has one of the ids as a word; empty if nowhere.

    Bytes may contain an id by accident, or as a part of a longer one: of databases, months and
    texts the words count, of other files ids of at least `LONG` characters.
    """
    if not holds(path, ids):
        return ""
    word = rf"(^|[^\w-])({'|'.join(map(re.escape, ids))})($|[^\w-])"
    if path.suffix == ".duckdb":
        with attached(connection, path) as held:
            columns = connection.execute(
                "select schema_name || '.' || table_name, column_name from duckdb_columns() "
                "where database_name = ? and data_type = 'VARCHAR'",
                [held],
            ).fetchall()
            found = [
                f"{table}.{column}"
                for table, column in columns
                if _matches(connection, f"{held}.{table}", column, word)
            ]
        return f"{path.name}: {', '.join(found)}" if found else ""
    if path.suffix == ".parquet":
        relation = f"read_parquet({literal(path)})"
        texts = connection.execute(f"describe from {relation}").fetchall()
        found = [
            name
            for name, kind, *_ in texts
            if kind == "VARCHAR" and _matches(connection, relation, name, word)
        ]
        return f"{path.name}: {', '.join(found)}" if found else ""
    if path.suffix in TEXTS:
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
        return path.name if re.search(word, text) else ""
    return path.name if holds(path, [one for one in ids if len(one) >= LONG]) else ""


def _matches(connection: duckdb.DuckDBPyConnection, relation: str, column: str, word: str) -> bool:
    found = connection.execute(
        f"select 1 from {relation} where regexp_matches({quoted(column)}, ?) limit 1", [word]
    )
    return bool(found.fetchall())


def compact(path: Path) -> None:
    """Write an SQLite database anew: deleted rows stay in its free pages."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("pragma wal_checkpoint(truncate)")
        connection.execute("vacuum")


def is_sqlite(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(SQLITE)) == SQLITE


def everything(home: Path) -> Iterator[Path]:
    """The files of a home; links and sockets are none."""
    for path in sorted(home.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield path
