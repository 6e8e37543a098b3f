"""The row counts of the served release, which G1 compares with a delivery."""

from __future__ import annotations

import duckdb

from orchestration.landing.delivery import Delivery
from orchestration.platform.engine import connect
from orchestration.platform.releases import ReleaseDamaged, served
from orchestration.platform.settings import Settings
from sources.contract import TABLES

EVENTS = {table.name for table in TABLES if table.event}


def record_previous(
    connection: duckdb.DuckDBPyConnection, settings: Settings, delivery: Delivery
) -> None:
    """Write `meta.previous_release_count`: the rows that G1 counted by table in the release that
    the settings' home serves.

    The table is empty before the first release, and if the served release is another bank's or of a
    later month. Events are left out if `FIRST_MONTH` is set to another month than the release's:
    the shorter history is intended.
    """
    connection.execute(
        "create or replace table meta.previous_release_count (table_name varchar, rows bigint)"
    )
    counts = _counts(settings, delivery)
    if counts:
        connection.executemany("insert into meta.previous_release_count values (?, ?)", counts)


def _counts(settings: Settings, delivery: Delivery) -> list[tuple[str, int]]:
    try:
        path = served(settings)
    except ReleaseDamaged:
        # `prepare_home` refuses a refresh before this; a check runs without the comparison.
        return []
    if path is None:
        return []
    try:
        with connect(settings, path, read_only=True) as release:
            ((as_of,),) = release.execute("select as_of from meta.release").fetchall()
            banks = release.execute("select identity, first_month from meta.bank").fetchall()
            counts = release.execute(
                "select table_name, rows from profile.landing_table"
            ).fetchall()
    except duckdb.CatalogException:
        # Releases of earlier versions do not have these tables.
        return []
    if as_of > delivery.as_of or [bank for bank, _ in banks] != [delivery.source.identity]:
        return []
    asked = settings.first_month
    shorter = asked is not None and asked != banks[0][1]
    return [(table, rows) for table, rows in counts if not (shorter and table in EVENTS)]
