"""What differs between two releases, and why: customers, profit, scores, contacts, tables.

A cause is established, not guessed: account-months differ in their own records, in the model behind
their loss, or in nothing of their own; then the reference data and the code of the two releases say
what is left. Where both of those differ, their parts are not separated: a scenario does that.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from orchestration.platform.engine import connect
from orchestration.platform.optional_tables import has_table
from orchestration.platform.refusal import Refused
from orchestration.platform.releases import (
    at_hand_in_words,
    fault_of,
    proposed,
    releases_of,
    served,
)
from orchestration.platform.settings import Settings
from orchestration.release.restatement import common_columns
from orchestration.valuation.queries import Row, rows
from sources.message import Message

FOLDER = Path(__file__).parent / "difference"
BEFORE, AFTER = "before", "after"
# What an account-month's profit is computed from, of the account itself.
RECORDS = ("account_month", "account_activity", "account_result", "loan_exposure")
COMPARED_SCHEMAS = ("base", "value", "scores", "alerts", "contacts", "decisions", "campaigns")
SCORED = "features.customer_month"
# Section → the tables that both releases need for it. Its query is the file of that name.
SECTIONS = {
    "input_file": ("meta.input_file",),
    "reference_data": ("meta.reference_data",),
    "model": ("meta.model_version",),
    "account_month": (
        "value.account_month",
        *(f"base.{name}" for name in RECORDS),
    ),
    "customer": ("scores.customer", SCORED),
    "tier_move": ("value.customer_tier",),
    "contact": ("decisions.contact_plan",),
}


class ReleasesNotCompared(Refused):
    """The two releases cannot be compared."""


def read_differences(
    settings: Settings, before: str | None, after: str | None, *, tables: bool = True
) -> Row:
    """The differences of two releases; without names, of the one that waits for approval and the
    served one, or of the served one and the one before it.

    Returns
    -------
    `before` and `after` (the release's description), `code_differs`, and a list of rows for each
    section of `SECTIONS` and, where `tables` are asked for, for `table`; a section that one of the
    releases has no tables for is None. Money is `Decimal`.

    Raises
    ------
    ReleasesNotCompared
        For a release that does not exist or cannot be read, and where there is only one.
    """
    first, second = _chosen(settings, before, after)
    with _both(settings, first, second) as connection:
        heads = {side: _head(connection, side) for side in (BEFORE, AFTER)}
        code_differs = heads[BEFORE]["code_version"] != heads[AFTER]["code_version"]
        values: Row = {"has_code": code_differs, "has_records": True, "has_reference": False}
        found: Row = {**heads, "code_differs": code_differs}
        for section, needed in SECTIONS.items():
            if not all(
                has_table(connection, name, side) for name in needed for side in (BEFORE, AFTER)
            ):
                found[section] = None
                continue
            words = {
                "records": {
                    name: columns
                    for name in needed
                    if name.startswith("base.") and (columns := _common(connection, name))
                },
                "features": _common(connection, SCORED),
            }
            found[section] = rows(connection, FOLDER / f"{section}.sql", values, **words)
            if section == "input_file":
                values["has_records"] = bool(found[section])
            elif section == "reference_data":
                values["has_reference"] = bool(found[section])
        if tables:
            found["table"] = list(_tables(connection))
    return found


def _chosen(settings: Settings, before: str | None, after: str | None) -> tuple[Path, Path]:
    waiting = proposed(settings)
    # The one that waits is the newest.
    at_hand = {
        path.stem: path for path in (*releases_of(settings), *([waiting] if waiting else []))
    }
    for name in (before, after):
        if name is not None and name not in at_hand:
            raise ReleasesNotCompared(
                Message(
                    "release {0} does not exist. Available: {1}.", name, at_hand_in_words(settings)
                )
            )
    current = served(settings)
    second = at_hand[after] if after else waiting or current
    if second is None:
        raise ReleasesNotCompared(
            Message("nothing is published in {0} yet. Run make refresh.", str(settings.home))
        )
    if before:
        return at_hand[before], second
    if second == waiting and current is not None:
        return current, second
    earlier = list(at_hand.values())
    earlier = earlier[: earlier.index(second)]
    if not earlier:
        raise ReleasesNotCompared(
            Message(
                "no release precedes {0}. Available: {1}.",
                *(second.stem, at_hand_in_words(settings)),
            )
        )
    return earlier[-1], second


@contextmanager
def _both(settings: Settings, before: Path, after: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    for path in (before, after):
        fault = fault_of(settings, path)
        if fault is not None:
            raise ReleasesNotCompared(f"release {path.stem} {fault}. Choose another one.")
    with connect(settings) as connection:
        # No lock is held here: the next refresh empties the folder that writers spill to.
        connection.execute("set temp_directory = ?", [str(settings.temporary)])
        for side, path in ((BEFORE, before), (AFTER, after)):
            quoted = str(path).replace("'", "''")
            connection.execute(f"attach '{quoted}' as {side} (read_only)")
        yield connection


def _head(connection: duckdb.DuckDBPyConnection, side: str) -> Row:
    names = ("release_id", "as_of", "source", "code_version", "created_at")
    (row,) = connection.execute(f"select {', '.join(names)} from {side}.meta.release").fetchall()
    return dict(zip(names, row, strict=True))


def _common(connection: duckdb.DuckDBPyConnection, table: str) -> str:
    """The columns that both releases have in one type, quoted."""
    return ", ".join(f'"{one}"' for one in common_columns(connection, table, AFTER, BEFORE))


def _tables(connection: duckdb.DuckDBPyConnection) -> Iterator[Row]:
    """Every published table of either release whose rows differ."""
    listed = rows(
        *(connection, FOLDER / "listed.sql"),
        {"schemas": list(COMPARED_SCHEMAS), "sides": [BEFORE, AFTER]},
    )
    for name, sides in ((one["name"], one["sides"]) for one in listed):
        quoted = ".".join(f'"{part}"' for part in name.split("."))
        counts: dict[str, int | None] = {
            side: connection.execute(f"select count(*) from {side}.{quoted}").fetchall()[0][0]
            if side in sides
            else None
            for side in (BEFORE, AFTER)
        }
        only: dict[str, int | None] = {BEFORE: None, AFTER: None}
        if len(sides) == 2:
            columns = _common(connection, name) or "1"
            for side, other in ((BEFORE, AFTER), (AFTER, BEFORE)):
                ((only[side],),) = connection.execute(
                    f"select count(*) from (select {columns} from {side}.{quoted} "
                    f"except all select {columns} from {other}.{quoted})"
                ).fetchall()
            if not (only[BEFORE] or only[AFTER]):
                continue
        yield {
            "table": name,
            "rows_before": counts[BEFORE],
            "rows_after": counts[AFTER],
            "only_before": only[BEFORE],
            "only_after": only[AFTER],
        }
