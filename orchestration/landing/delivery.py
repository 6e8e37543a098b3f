"""Open a delivery: prepare, inspect and date it; bind the home to one bank's records."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

import duckdb

from orchestration.landing.chosen_source import source_of
from orchestration.landing.currency import currency_notes
from orchestration.platform.reference import rows_of
from orchestration.platform.settings import Settings, named
from sources.delimited import quoted
from sources.interface import DeliveryRefused, Problem, Source
from sources.mapping.source import MappedFiles
from sources.message import Message


@dataclass(frozen=True)
class Delivery:
    """Readable records, with the months they cover (`YYYY-MM`)."""

    source: Source
    settings: Settings
    first_month: str
    as_of: str
    remarks: tuple[str, ...] = ()

    def notes(self, connection: duckdb.DuckDBPyConnection) -> list[str]:
        """What is missing or not read, and the defaults used; one line each."""
        return [*getattr(self.source, "notes", lambda _: [])(connection), *self.remarks]

    def bind_warehouse(self, connection: duckdb.DuckDBPyConnection, *, whole: bool) -> str:
        """Empty the warehouse if it holds another bank's records or tables of another project.

        Tables are a function of inputs, code and seeds: months of new and old code must not mix.
        Returns why everything must be rebuilt, or an empty text if the tables stay.

        Raises
        ------
        ValueError
            When only some months are requested and the warehouse holds another bank's.
        """
        # dagster-dbt takes seconds to import; opening a delivery does not need it.
        from orchestration.platform.dbt import project_digest

        connection.execute("create schema if not exists meta")
        connection.execute(
            "create table if not exists meta.bank "
            "(identity varchar, first_month varchar, dbt_project varchar)"
        )
        held = connection.execute(
            "select identity, first_month, dbt_project from meta.bank"
        ).fetchall()
        wanted = (self.source.identity, self.first_month, project_digest(self.settings))
        if held == [wanted]:
            return ""
        why = Message("nothing is built yet")
        if held:
            ((identity, first_month, _),) = held
            if identity != self.source.identity and not whole:
                raise ValueError(
                    f"the build warehouse holds {identity}: expected {self.source.identity}. "
                    "Refresh all months first: run make refresh without MONTHS, or in the UI set "
                    f"the tag jingxi/months={self.first_month}:{self.as_of}."
                )
            why = Message("the code or the reference data changed")
            if first_month != self.first_month:
                why = Message(
                    "the history begins in {0}, not in {1}", self.first_month, first_month
                )
            forget(connection)
            shutil.rmtree(self.settings.landing, ignore_errors=True)
            shutil.rmtree(self.settings.spark, ignore_errors=True)
            self.settings.landing.mkdir(parents=True)
        connection.execute("delete from meta.bank")
        connection.execute("insert into meta.bank values (?, ?, ?)", list(wanted))
        return why


def forget(connection: duckdb.DuckDBPyConnection) -> None:
    """Drop everything built from another bank's records."""
    names = connection.execute(
        "select schema_name from duckdb_schemas() where database_name = current_database() "
        "and not internal and schema_name not in ('main', 'meta')"
    ).fetchall()
    for (name,) in names:
        connection.execute(f"drop schema {quoted(name)} cascade")
    tables = connection.execute(
        "select table_name from duckdb_tables() "
        "where database_name = current_database() and schema_name = 'meta' "
        "and table_name <> 'bank'"
    ).fetchall()
    for (name,) in tables:
        connection.execute(f"drop table meta.{quoted(name)}")


def record_mapping(connection: duckdb.DuckDBPyConnection, source: Source) -> None:
    """Add the mapping that the delivery was read through, if any, to `meta.input_file`."""
    if isinstance(source, MappedFiles):
        tables = len(source.draft.feeds)
        connection.execute(
            "insert into meta.input_file (table_name, path, rows, landed, quarantined, "
            "after_as_of, before_first_month, sha256) values (?, ?, ?, ?, 0, 0, 0, ?)",
            ["mapping", source.mapping.name, tables, tables, source.draft.digest],
        )


def open_delivery(
    settings: Settings, connection: duckdb.DuckDBPyConnection, as_of: str | None = None
) -> Delivery:
    """Prepare and inspect the settings' source as of a month (`YYYY-MM`).

    The month must not lie after the as-of month of the settings, or the last complete month without
    one; this latest month is the default.

    Raises
    ------
    DeliveryRefused
        With every problem of the delivery at once; nothing is built from it.
    """
    from orchestration.landing.engine import resolve_as_of
    from orchestration.platform.partitions import first_day, last_day

    source = source_of(settings)
    source.prepare(connection)
    problems = source.problems(connection)
    if problems:
        raise DeliveryRefused(problems)
    first_month = settings.first_month or source.first_month(connection)
    latest = settings.as_of or resolve_as_of(connection, source)
    as_of = as_of or latest
    if as_of > latest:
        raise DeliveryRefused(
            [
                Problem(
                    "transaction",
                    "booked_on",
                    Message("the month {0} lies after the as-of month {1}", as_of, latest),
                    Message("Choose an earlier month, or set {0}.", named("as_of")),
                )
            ]
        )
    if as_of < first_month:
        raise DeliveryRefused(
            [
                Problem(
                    "transaction",
                    "booked_on",
                    Message(
                        "the as-of month {0} lies before the first booking ({1})",
                        *(as_of, first_month),
                    ),
                    Message("Choose a later {0}.", named("as_of")),
                )
            ]
        )
    remarks = currency_notes(
        *(connection, source, first_day(first_month), last_day(as_of), settings.currency),
        priced={row["currency"] for row in rows_of(settings, "transfer_curve")} - {""},
    )
    return Delivery(source, settings, first_month, as_of, remarks)
