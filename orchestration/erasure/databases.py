"""Write a release anew without a person: a new file, since a changed one keeps its old blocks."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from orchestration.erasure.person import attached
from orchestration.platform.files import flush
from sources.contract import BY_NAME
from sources.delimited import literal, quoted

# Column of a table that is published or kept → what it identifies.
IDENTITIES = {
    "customer_id": "customer",
    "account_id": "account",
    "responded_account_id": "account",
    "loan_id": "loan",
    "card_id": "card",
    # Whose part of an account's result it is: the customer's where the account has no owner.
    "party": "customer",
}
# What describes a person and is no booking: these schemas lose the rows.
PERSONS = ("alerts", "campaigns", "contacts", "decisions", "features", "outcomes", "scores")
# Of these the rows stay: expected losses were computed from them.
BOOKED = ("scores.account_default",)
# The attributes, and what is computed of them, which the other tables keep empty.
ATTRIBUTES = (
    *(column.name for column in BY_NAME["customer"].columns if column.erased),
    *("age", "household_size", "last_complaint_on"),
)
# The dimension of a row, where a table has rows of several.
DIMENSION, DIMENSION_KEY = "dimension", "dimension_key"
# A household of the person alone, and one with others, which keeps its id.
HOUSEHOLD, SHARED, ELDEST = "household_id", "shared household", "eldest_birth_date"


@dataclass(frozen=True)
class Ids:
    """What replaces each id, by what it identifies."""

    replaced: Mapping[tuple[str, str], str]

    def of(self, identity: str) -> dict[str, str]:
        return {one: new for (name, one), new in self.replaced.items() if name == identity}

    def all(self) -> dict[str, str]:
        return {one: new for (_, one), new in self.replaced.items()}


def rewrite(connection: duckdb.DuckDBPyConnection, path: Path, ids: Ids) -> int:
    """Replace a database by one without a person; returns the rows that changed.

    Readers that have the old file open keep it until they close it. Modes and times stay.
    """
    draft = path.with_name(f".{path.stem}.unfinished")
    draft.unlink(missing_ok=True)
    with attached(connection, path) as old:
        plans = {
            table: plan
            for table in _tables(connection, old)
            if (plan := _plan(connection, old, *table, ids)) is not None
        }
        changed = sum(rows for rows, _ in plans.values())
        if not changed:
            return 0
        try:
            connection.execute(f"attach {literal(draft)} as fresh")
            try:
                for schema, table in _tables(connection, old):
                    whole = f"{quoted(schema)}.{quoted(table)}"
                    connection.execute(f"create schema if not exists fresh.{quoted(schema)}")
                    rows, query = plans.get((schema, table), (0, ""))
                    content = query if rows else f"from {old}.{whole}"
                    connection.execute(f"create table fresh.{whole} as {content}")
                _count_again(connection)
                connection.execute("checkpoint fresh")
            finally:
                connection.execute("detach fresh")
            before = path.stat()
            draft.chmod(before.st_mode & 0o7777)
            os.utime(draft, ns=(before.st_atime_ns, before.st_mtime_ns))
            flush(draft)
            os.replace(draft, path)
            flush(path.parent)
        finally:
            draft.unlink(missing_ok=True)
    return changed


def _tables(connection: duckdb.DuckDBPyConnection, database: str) -> list[tuple[str, str]]:
    return connection.execute(
        "select schema_name, table_name from duckdb_tables() where database_name = ? order by all",
        [database],
    ).fetchall()


def _plan(
    connection: duckdb.DuckDBPyConnection, old: str, schema: str, table: str, ids: Ids
) -> tuple[int, str] | None:
    """How many rows of a table change, and the query of its rows without the person; None for a
    table that cannot have any."""
    relation = f"{old}.{quoted(schema)}.{quoted(table)}"
    columns = connection.table(relation).columns
    identities = {name: IDENTITIES[name] for name in columns if name in IDENTITIES}
    touched = [_has(quoted(name), ids.of(identity)) for name, identity in identities.items()]
    replaced = {name: _new(quoted(name), ids.of(of)) for name, of in identities.items()}
    if schema in PERSONS and f"{schema}.{table}" not in BOOKED:
        query = f"from {relation} where not ({' or '.join(touched)})"
    else:
        if "customer_id" in columns:
            own = _has("customer_id", ids.of("customer"))
            emptied = [name for name in ATTRIBUTES if name in columns]
            replaced |= {name: f"case when not {own} then {quoted(name)} end" for name in emptied}
        elif HOUSEHOLD in columns:
            own = _has(HOUSEHOLD, {**ids.of(HOUSEHOLD), **ids.of(SHARED)})
            touched.append(own)
            replaced[HOUSEHOLD] = _new(HOUSEHOLD, ids.of(HOUSEHOLD))
            if ELDEST in columns:
                replaced[ELDEST] = f"case when not {own} then {ELDEST} end"
        if DIMENSION_KEY in columns:
            own = f"{DIMENSION} = 'customer' and {_has(DIMENSION_KEY, ids.of('customer'))}"
            touched.append(f"({own})")
            new = _new(DIMENSION_KEY, ids.of("customer"))
            replaced[DIMENSION_KEY] = f"case when {own} then {new} else {DIMENSION_KEY} end"
        if schema == "quarantine":
            touched.append(f"list_has_any(string_split(value, '|'), {_listed(ids.all())})")
            replaced["value"] = (
                "list_aggregate(list_transform(string_split(value, '|'), "
                f"lambda part: {_new('part', ids.all())}), 'string_agg', '|')"
            )
        listed = ", ".join(f"{value} as {quoted(name)}" for name, value in replaced.items())
        query = f"select * replace ({listed}) from {relation}"
    if not touched:
        return None
    ((rows,),) = connection.execute(
        f"select count(*) from {relation} where {' or '.join(touched)}"
    ).fetchall()
    return rows, query


def _listed(ids: Mapping[str, str]) -> str:
    return f"[{', '.join(map(literal, ids))}]::varchar[]"


def _has(column: str, ids: Mapping[str, str]) -> str:
    return f"coalesce(list_contains({_listed(ids)}, {column}), false)"


def _new(column: str, ids: Mapping[str, str]) -> str:
    if not ids:
        return column
    known = ", ".join(f"{literal(one)}: {literal(new)}" for one, new in ids.items())
    return f"coalesce(map {{{known}}}[{column}], {column})"


def _count_again(connection: duckdb.DuckDBPyConnection) -> None:
    """Correct the counts of `meta.release`."""
    found = connection.execute(
        "select 1 from duckdb_tables() "
        "where database_name = 'fresh' and schema_name = 'meta' and table_name = 'release'"
    ).fetchall()
    if not found:
        return
    ((counts,),) = connection.execute("select row_counts from fresh.meta.release").fetchall()
    counted = {
        table: connection.table(f"fresh.{table}").count("*").fetchall()[0][0]
        for table in json.loads(counts)
    }
    connection.execute("update fresh.meta.release set row_counts = ?", [json.dumps(counted)])
