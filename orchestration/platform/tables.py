"""Write tables from Python: only tables that a dbt source declares, only with fitting rows.

`write_table` replaces a table, `append_rows` adds to one that `ensure_table` or `write_table` made.
The source's yml (`dbt_project/models/*/sources.yml`) gives the columns, their types and the grain.
dbt's tests do not cover a table that is written between two dbt runs: `write_table` checks it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import duckdb
import yaml  # type: ignore[import-untyped]

from orchestration.platform.environment import DBT_PROJECT

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

SOURCES = "models/*/sources.yml"
# The name under which the engine reads a frame that is written.
ROWS = "written_rows"
ONE_ROW = ["one row"]
# The types that a declared type accepts without loss; money computed in floats is rounded to the
# cent.
WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UBIGINT", "UINTEGER")
NUMBER = (*WHOLE, "FLOAT", "DOUBLE", "DECIMAL")
TEXT = ("VARCHAR", "ENUM")
TIME = ("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS")
TAKES = {
    **{kind: WHOLE for kind in WHOLE},
    **{kind: NUMBER for kind in ("FLOAT", "DOUBLE", "DECIMAL")},
    "VARCHAR": TEXT,
    # pandas has no date type: midnight represents the day.
    "DATE": ("DATE", *TIME),
    "TIMESTAMP": ("DATE", *TIME),
}


class TableUndeclared(LookupError):
    """No dbt source declares the table, or the declaration is incomplete."""


class FrameInvalid(ValueError):
    """The frame does not fit the declaration of the table."""


@dataclass(frozen=True)
class Column:
    name: str
    data_type: str
    description: str
    not_null: bool


@dataclass(frozen=True)
class Declared:
    """A table's declaration in a dbt source; `grain` names the columns that identify a row, none
    for a table of one row."""

    name: str
    description: str
    owner: str
    grain: tuple[str, ...]
    columns: tuple[Column, ...]


def declared(table: str) -> Declared:
    """The declaration of a table `schema.name`.

    Raises
    ------
    TableUndeclared
        Without a source of that name, or one without owner, grain or typed, described columns.
    """
    found = _sources().get(table)
    if found is None:
        raise TableUndeclared(f"{table} is not declared: add it to dbt_project/{SOURCES}")
    meta = found.get("config", {}).get("meta", {})
    columns = found.get("columns") or []
    missing = [name for name in ("owner", "grain") if not meta.get(name)]
    missing += [] if columns else ["columns"]
    missing += [
        f"{column['name']}.{name}"
        for column in columns
        for name in ("data_type", "description")
        if not column.get(name)
    ]
    if missing:
        raise TableUndeclared(
            f"the source {table} is incomplete: expected {', '.join(missing)}. "
            f"Add what is missing to dbt_project/{SOURCES}"
        )
    return Declared(
        name=table,
        description=found["description"],
        owner=meta["owner"],
        grain=() if meta["grain"] == ONE_ROW else tuple(meta["grain"]),
        columns=tuple(
            Column(
                name=column["name"],
                data_type=column["data_type"],
                description=column["description"],
                not_null=column["name"] in meta["grain"]
                or {"type": "not_null"} in column.get("constraints", []),
            )
            for column in columns
        ),
    )


def write_table(
    connection: duckdb.DuckDBPyConnection, table: str, frame: pd.DataFrame | pa.Table | None
) -> int:
    """Replace a table by a frame's rows and return their number; None writes no rows.

    The frame has exactly the declared columns, in any order. Whole numbers are accepted as decimals
    and floats, floats are rounded to the declared decimals, midnights are accepted as dates, and a
    column without values as any type. The table has the declared order, types and descriptions. It
    does not change if the frame is refused.

    Raises
    ------
    TableUndeclared
        As `declared`.
    FrameInvalid
        With table, column, expected and found: a column that is missing or not declared, a wrong
        type, a value that does not fit, a NULL in a column without NULLs, two rows of one grain.
    """
    target = declared(table)
    if frame is None:
        _create(connection, target, _empty(target))
    else:
        with _registered(connection, frame):
            _create(connection, target, f"select {_typed(connection, target)} from {ROWS}")
    return int(connection.execute(f"select count(*) from {table}").fetchall()[0][0])


def ensure_table(connection: duckdb.DuckDBPyConnection, table: str) -> bool:
    """Make a table as it is declared, without rows, where it is missing; whether it was.

    Raises
    ------
    TableUndeclared
        As `declared`.
    """
    found = connection.execute(
        "select 1 from duckdb_tables() where database_name = current_database() "
        "and schema_name || '.' || table_name = ?",
        [table],
    ).fetchall()
    if not found:
        write_table(connection, table, None)
    return not found


def append_rows(
    connection: duckdb.DuckDBPyConnection, table: str, frame: pd.DataFrame | pa.Table
) -> None:
    """Add a frame's rows to a table that is there, under the rules of `write_table`.

    Raises
    ------
    TableUndeclared, FrameInvalid
        As `write_table`; FrameInvalid also where the table has a row of the frame's grain.
    """
    target = declared(table)
    with _registered(connection, frame):
        typed = _typed(connection, target)
        if target.grain:
            key = ", ".join(map(_quoted, target.grain))
            ((count,),) = connection.execute(
                f"select count(*) from {table} semi join {ROWS} using ({key})"
            ).fetchall()
            if count:
                raise FrameInvalid(
                    f"{table} is not written: grain {', '.join(target.grain)}: expected one row of "
                    f"each, found {count} in the table already"
                )
        columns = ", ".join(_quoted(column.name) for column in target.columns)
        connection.execute(f"insert into {table} ({columns}) select {typed} from {ROWS}")


@contextmanager
def _registered(
    connection: duckdb.DuckDBPyConnection, frame: pd.DataFrame | pa.Table
) -> Iterator[None]:
    # A copy: DuckDB refuses arrays that run backwards (std::bad_cast), as after `frame.iloc[::-1]`.
    connection.register(ROWS, frame.copy() if hasattr(frame, "copy") else frame)
    try:
        yield
    finally:
        connection.unregister(ROWS)


def _create(connection: duckdb.DuckDBPyConnection, target: Declared, query: str) -> None:
    """Replace a table by a query's rows and describe it."""
    schema, _ = target.name.split(".")
    connection.execute(f'create schema if not exists "{schema}"')
    connection.execute(f"create or replace table {target.name} as {query}")
    connection.execute(f"comment on table {target.name} is {_literal(target.description)}")
    for column in target.columns:
        connection.execute(
            f"comment on column {target.name}.{_quoted(column.name)} "
            f"is {_literal(column.description)}"
        )


def _typed(connection: duckdb.DuckDBPyConnection, target: Declared) -> str:
    """The declared columns as expressions over the registered rows; refuses what does not fit."""
    # The engine's own name of each declared type: text is VARCHAR.
    kinds = _types(connection, _empty(target))
    found = _types(connection, f"from {ROWS}")
    problems: list[str] = []
    values: dict[str, str] = {}
    for column in target.columns:
        expected, quoted = (
            f"column {column.name}: expected {column.data_type}",
            _quoted(column.name),
        )
        if column.name not in found:
            problems.append(f"{expected}, found no such column")
        elif _takes(kinds[column.name], found[column.name]):
            values[column.name] = quoted
        elif _count(connection, f"{quoted} is not null"):
            problems.append(f"{expected}, found {found[column.name]}")
        else:
            # A column without values fits any type.
            values[column.name] = f"null::{column.data_type}"
    problems += [
        f"column {name}: expected no such column, found {kind}"
        for name, kind in found.items()
        if name not in kinds
    ]
    problems = problems or list(_broken(connection, target, values))
    if problems:
        raise FrameInvalid(f"{target.name} is not written: {'; '.join(problems)}")
    return ", ".join(
        f"{values[one.name]}::{one.data_type} as {_quoted(one.name)}" for one in target.columns
    )


def _broken(
    connection: duckdb.DuckDBPyConnection, target: Declared, values: dict[str, str]
) -> Iterator[str]:
    """Values that break the declaration, in columns of a fitting type."""
    for column in target.columns:
        value = values[column.name]
        if column.not_null and (count := _count(connection, f"{value} is null")):
            yield f"column {column.name}: expected no NULL, found {count}"
        unfit = f"{value} is not null and try_cast({value} as {column.data_type}) is null"
        if _kind(column.data_type) == "DATE":
            unfit = f"{value}::date <> {value}"
        if count := _count(connection, unfit):
            yield f"column {column.name}: expected {column.data_type}, found {count} unfit values"
    if not target.grain:
        if (count := _count(connection, "true")) != 1:
            yield f"grain of the table: expected one row, found {count}"
        return
    key = ", ".join(map(_quoted, target.grain))
    ((count,),) = connection.execute(
        f"select count(*) from (select 1 from {ROWS} group by {key} having count(*) > 1)"
    ).fetchall()
    if count:
        yield f"grain {', '.join(target.grain)}: expected one row of each, found {count} with more"


def _empty(target: Declared) -> str:
    """A query of the declared columns, without rows."""
    typed = ", ".join(f"null::{one.data_type} as {_quoted(one.name)}" for one in target.columns)
    return f"select {typed} where false"


def _types(connection: duckdb.DuckDBPyConnection, query: str) -> dict[str, str]:
    return {name: kind for name, kind, *_ in connection.execute(f"describe {query}").fetchall()}


def _takes(declared_type: str, found: str) -> bool:
    kind = _kind(declared_type)
    return _kind(found) in TAKES.get(kind, (kind,))


def _kind(data_type: str) -> str:
    return data_type.upper().partition("(")[0].strip()


def _count(connection: duckdb.DuckDBPyConnection, condition: str) -> int:
    return int(
        connection.execute(f"select count(*) from {ROWS} where {condition}").fetchall()[0][0]
    )


def _quoted(name: str) -> str:
    return f'"{name}"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


@cache
def _sources() -> dict[str, dict[str, Any]]:
    """Every table that a source of the dbt project declares, by `schema.name`."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(DBT_PROJECT.glob(SOURCES)):
        for source in yaml.safe_load(path.read_text())["sources"]:
            schema = source.get("schema", source["name"])
            tables: Sequence[dict[str, Any]] = source["tables"]
            found.update({f"{schema}.{table['name']}": table for table in tables})
    return found
