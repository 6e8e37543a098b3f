"""The delivered records behind an account-month, with the file and row of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from duckdb import DuckDBPyConnection

from orchestration.landing.chosen_source import source_of
from orchestration.landing.engine import labels_of
from orchestration.landing.rules import cast_columns, day
from orchestration.platform.settings import Settings
from sources.contract import BY_NAME, Table
from sources.delimited import inspect_bytes, literal, quoted
from sources.interface import Source, SourceFile

# Events of an account, in the order shown, with the columns that explain an amount.
SHOWN = {
    "transaction": ("transaction_id", "booked_on", "kind", "channel", "amount", "balance_after"),
    "account_balance": ("month", "closing_balance", "balance_day_sum"),
    "account_result": ("month", "item", "amount"),
}


@dataclass(frozen=True)
class Records:
    """The records, or why they cannot be shown."""

    rows: list[dict[str, Any]]
    note: str | None = None


def records_behind(
    connection: DuckDBPyConnection, settings: Settings, account_id: str, month: date
) -> Records:
    """The bookings, delivered balances and delivered results of an account in a month.

    The files are those whose sha256 the release holds: another delivery explains nothing of it.
    """
    ((identity,),) = connection.execute("select identity from meta.bank").fetchall()
    source = _source(settings, identity)
    if source is None:
        return Records([], _absent(f"the delivery of {identity} is not here"))
    files = source.files(connection)
    labels = labels_of(files)
    rows: list[dict[str, Any]] = []
    for name, columns in SHOWN.items():
        own = [file for file in files if file.table == name]
        given = {
            (labels[file.path], file.sha256 or inspect_bytes(file.path, text=False).sha256)
            for file in own
        }
        held = connection.execute(
            "select path, sha256 from meta.input_file where table_name = ?", [name]
        ).fetchall()
        if given != set(held):
            return Records([], _absent(f"the files of {name} are not those of the release"))
        for file in own:
            rows += _of_file(
                connection, BY_NAME[name], file, labels[file.path], columns, account_id, month
            )
    return Records(rows)


def _source(settings: Settings, identity: str) -> Source | None:
    """The source of the release's bank, where it can be read; its folder is in its identity."""
    name, _, place = identity.partition(":")
    if name not in ("files", "berka"):
        source = source_of(settings.model_copy(update={"source": "synthetic"}))
        return source if (settings.delivery / "synthetic").is_dir() else None
    folder = Path(place)
    if settings.source == name and settings.source_path is not None:
        folder = settings.source_path
    if not folder.is_dir():
        return None
    return source_of(settings.model_copy(update={"source": name, "source_path": folder}))


def _absent(why: str) -> str:
    return (
        f"bookings are not shown: {why}. Name the folder of the delivery: "
        "SOURCE=… SOURCE_PATH=…, or run make refresh on the new one."
    )


def _of_file(
    connection: DuckDBPyConnection,
    table: Table,
    file: SourceFile,
    label: str,
    columns: Sequence[str],
    account_id: str,
    month: date,
) -> list[dict[str, Any]]:
    """The rows of a file that landed for the account and month, by the casts of the landing."""
    described = connection.execute(f"describe {file.relation}").fetchall()
    names = set(file.columns) & set(table.column_names)
    first, _ = cast_columns(table, {name: kind for name, kind, *_ in described if name in names})
    dated = quoted(str(table.dated_by))
    found = connection.execute(
        f"""select {literal(table.name)}, {literal(label)}, _row::bigint,
                {", ".join(map(quoted, columns))}
            from (select _row, {", ".join(first)} from ({file.relation}))
            where account_id = $account and date_trunc('month', {dated}) = {day(month)}
                and _row not in (
                    select row_number from quarantine.{quoted(table.name)} where file = $file
                )
            order by {dated}, _row""",
        {"account": account_id, "file": label},
    ).fetchall()
    return [dict(zip(("table", "file", "row", *columns), row, strict=True)) for row in found]
