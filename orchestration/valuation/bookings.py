"""The delivered records behind an account-month, with the file and row of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from duckdb import DuckDBPyConnection

from orchestration.landing.chosen_source import source_of
from orchestration.landing.engine import labels_of
from orchestration.landing.rules import cast_columns
from orchestration.platform.settings import Settings
from orchestration.valuation.queries import Row, rows
from reports.words import Phrase
from sources.contract import BY_NAME, Table
from sources.delimited import inspect_bytes, quoted
from sources.interface import Source, SourceFile
from sources.mapping.source import MappedFiles

FOLDER = Path(__file__).parent / "components"
# Events of an account, in the order shown, with the columns that explain an amount.
SHOWN = {
    "transaction": ("transaction_id", "booked_on", "kind", "channel", "amount", "balance_after"),
    "account_balance": ("month", "closing_balance", "balance_day_sum"),
    "account_result": ("month", "item", "amount"),
}
ABSENT = (
    "bookings are not shown: {0}. Name the folder of the delivery: SOURCE=… SOURCE_PATH=…, or run "
    "make refresh on the new one."
)
NOT_HERE = "the delivery of {0} is not here"
OTHER_FILES = "the files of {0} are not those of the release"
OTHER_MAPPING = "the mapping is not that of the release: name it with MAPPING=…"


@dataclass(frozen=True)
class Records:
    """The records, or why they cannot be shown."""

    rows: list[Row]
    note: str | None = None


def records_behind(
    connection: DuckDBPyConnection, settings: Settings, account_id: str, month: date
) -> Records:
    """The bookings, delivered balances and delivered results of an account in a month.

    The files are those whose sha256 the release holds: another delivery explains nothing of it.
    """
    delivery = rows(connection, FOLDER / "delivery.sql", {})
    identity = delivery[0]["identity"]
    source = _source(settings, identity)
    if source is None:
        return Records([], Phrase(ABSENT, Phrase(NOT_HERE, identity)))
    used = {row["sha256"] for row in delivery if row["table_name"] == "mapping"}
    if used != ({source.draft.digest} if isinstance(source, MappedFiles) else set()):
        return Records([], Phrase(ABSENT, Phrase(OTHER_MAPPING)))
    files = source.files(connection)
    labels = labels_of(files)
    found: list[Row] = []
    for name, columns in SHOWN.items():
        own = [file for file in files if file.table == name]
        given = {
            (labels[file.path], file.sha256 or inspect_bytes(file.path, text=False).sha256)
            for file in own
        }
        held = {(row["path"], row["sha256"]) for row in delivery if row["table_name"] == name}
        if given != held:
            return Records([], Phrase(ABSENT, Phrase(OTHER_FILES, name)))
        for file in own:
            found += _of_file(
                connection, BY_NAME[name], file, labels[file.path], columns, account_id, month
            )
    return Records(found)


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


def _of_file(
    connection: DuckDBPyConnection,
    table: Table,
    file: SourceFile,
    label: str,
    columns: Sequence[str],
    account_id: str,
    month: date,
) -> list[Row]:
    described = connection.execute(f"describe {file.relation}").fetchall()
    names = set(file.columns) & set(table.column_names)
    first, _ = cast_columns(table, {name: kind for name, kind, *_ in described if name in names})
    return rows(
        connection,
        FOLDER / "records.sql",
        {"account": account_id, "month": month, "file": label},
        table=table.name,
        columns=", ".join(map(quoted, columns)),
        casts=", ".join(first),
        relation=file.relation,
        dated_by=str(table.dated_by),
    )
