"""What the served release counted, for G1 to compare a delivery with."""

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
    """Write `meta.previous_release_count`: rows by table in the release that the settings' home
    serves, as G1 counted them there.

    It has no rows where there is nothing to compare with: before the first release, where another
    bank's is served, or one of a later month. Events are left out where a first month is asked for
    that is not the release's: a shorter history is meant then.
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
        # A refresh has been refused by then; a check judges without.
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
        # Published before releases held these tables.
        return []
    if as_of > delivery.as_of or [bank for bank, _ in banks] != [delivery.source.identity]:
        return []
    asked = settings.first_month
    shorter = asked is not None and asked != banks[0][1]
    return [(table, rows) for table, rows in counts if not (shorter and table in EVENTS)]
