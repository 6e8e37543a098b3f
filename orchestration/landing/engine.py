"""Landing: a delivery becomes typed Parquet by month; rows that break a rule go to quarantine.

Rows stay in DuckDB: each table is staged once (cast, checked, joined to its parents), checked for
repeated keys over the whole delivery, and written month by month. DuckDB spills what does not fit
its memory limit.

A row dated after the as-of date is counted and otherwise ignored: neither landed nor checked. So is
a row with a required reference to a parent dated later. An optional reference to such a parent (a
customer's manager, the account that a response led to) is set to NULL. Events of optional tables
before the first month of bookings are counted and ignored, too; balances and rates of the month
before it open the history and land.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import duckdb

from orchestration.landing import changes
from orchestration.landing.changes import Change, Standing
from orchestration.landing.months import STATE_FILE, Months, claim, nothing
from orchestration.landing.rules import (
    CURES,
    FOLLOWING,
    KEY_OR_REFERENCE,
    OTHER,
    TOLERATED_KEY_SHARE,
    Calendar,
    day,
)
from orchestration.landing.staging import (
    BROKEN,
    CAUSE,
    EARLIER,
    LANDED,
    LATER,
    REPEATED,
    Stage,
    faulty,
    unreadable,
)
from orchestration.landing.window import Window, month_before
from orchestration.platform.erased import NOBODY, Register, look_up
from orchestration.platform.files import write_whole
from orchestration.platform.progress import report_progress
from sources import codes
from sources.booking_range import first_booking_month, last_booking, resolve_as_of
from sources.contract import BY_NAME, IDENTITIES, TABLES, TEXT, Table
from sources.delimited import inspect_bytes, literal, quoted
from sources.grammar import text_of
from sources.interface import DeliveryRefused, Problem, Source, SourceFile
from sources.message import Message, by_commas

__all__ = [
    "LandingSummary",
    "TableLanded",
    "Window",
    "empty_landing",
    "first_booking_month",
    "labels_of",
    "land",
    "last_booking",
    "resolve_as_of",
]


@dataclass(frozen=True)
class TableLanded:
    """One table: rows delivered = landed + quarantined + dated after the as-of date + dated before
    the first month of bookings (events of optional tables).

    `rules` counts the rows that break each rule, `codes` describes the values that a column's list
    does not allow, `unknown` counts those that may be shown, `following` counts the rows whose
    parents are in quarantine, by the parent's table and rule.
    """

    table_name: str
    rows: int
    landed: int
    quarantined: int
    after_as_of: int
    before_first_month: int
    rules: dict[str, int] = field(default_factory=dict)
    codes: dict[str, str] = field(default_factory=dict)
    following: dict[tuple[str, str], int] = field(default_factory=dict)
    unknown: dict[str, dict[str, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class LandingSummary:
    """The delivered tables in the contract's order, and what the landing did with them.

    `window` holds the months to rebuild, `widened` why they are more than those requested.
    """

    window: Window
    tables: tuple[TableLanded, ...]
    changes: tuple[Change, ...] = ()
    widened: tuple[str, ...] = ()

    @property
    def landed(self) -> int:
        return sum(table.landed for table in self.tables)

    @property
    def quarantined(self) -> int:
        return sum(table.quarantined for table in self.tables)

    def lines(self) -> list[str]:
        """Why more months are rebuilt than requested; one line for all rows before the history; one
        for each table and rule that sent rows to quarantine, with the count, the cure, the values
        that are not allowed, and the rows of other tables that follow."""
        earlier = [
            Message(
                "{0} of {1} row(s) of {2}",
                *(f"{table.before_first_month:,}", f"{table.rows:,}", table.table_name),
            )
            for table in self.tables
            if table.before_first_month
        ]
        first = self.window.first_month
        lines = [*self.widened]
        if earlier:
            before = Message(
                "{0} lie before the first month of bookings, {1}, and are ignored",
                *(by_commas(earlier), f"{first:%Y-%m}"),
            )
            opening = [
                table.table_name
                for table in self.tables
                if table.before_first_month and BY_NAME[table.table_name].opens_history
            ]
            if opening:
                end = Message(
                    "of {0}, the end of {1} alone opens the history",
                    *(by_commas(opening), f"{month_before(first):%Y-%m}"),
                )
                before = Message("{0}; {1}", before, end)
            lines.append(before)
        return lines + [
            self._line(table, rule, count)
            for table in self.tables
            for rule, count in table.rules.items()
        ]

    def _line(self, table: TableLanded, rule: str, count: int) -> str:
        found = Message(
            "{0}: {1} row(s) of {2} break {3}",
            *(table.table_name, f"{count:,}", f"{table.rows:,}", rule),
        )
        if rule == "allowed_values":
            for column, values in table.codes.items():
                found = Message("{0} ({1}: {2})", found, column, values)
        found = Message("{0}; {1}", found, CURES[rule])
        following = [
            Message("{0} of {1}", f"{child.following[table.table_name, rule]:,}", child.table_name)
            for child in self.tables
            if (table.table_name, rule) in child.following
        ]
        if not following:
            return found
        return Message("{0}; row(s) that refer to them follow: {1}", found, by_commas(following))


def land(
    connection: duckdb.DuckDBPyConnection,
    source: Source,
    window: Window,
    landing_folder: Path,
    token_key: bytes,
    today: date | None = None,
    *,
    finished: bool = True,
    register: Register = NOBODY,
) -> LandingSummary:
    """Land the delivery as of `window.as_of` and return the months to rebuild: at least the
    window's.

    Of event tables, only the window's months and months with changed rows are written. Masters,
    quarantine and the `meta` tables are functions of the whole delivery and are replaced whole, so
    that running a month again does not change them.

    Parameters
    ----------
    token_key
        Values in the quarantine of a table with personal columns appear as the first 16 hex digits
        of sha256(key || value).
    today
        The day after which a date is impossible; default: the day of the run.
    finished
        Whether the months of the previous landing were built: if not, they are rebuilt now.
    register
        The erased persons: they land without their identity and attributes.

    Raises
    ------
    DeliveryRefused
        When a delivered file cannot be read, changes while it is read or yields a different number
        of rows than it holds, or when the folder holds another bank's months that the window does
        not replace.
    """
    files = source.files(connection)
    labels = labels_of(files)
    digests = {file.path: file.sha256 or _digest(file.path) for file in files}
    calendar = Calendar(window.as_of, window.first_month, today or date.today())
    landing_folder = landing_folder.resolve()
    claim(landing_folder, source, window)
    _create_schemas(connection)
    connection.execute("set variable landing_token_key = ?", [token_key])
    erased = _find_erased(connection, register, files, labels)
    run = _Run(connection, source.name, window, calendar, landing_folder, labels, digests, erased)
    try:
        for table in TABLES:
            own = sorted(
                (file for file in files if file.table == table.name),
                key=lambda file: (run.labels[file.path], str(file.extract_month)),
            )
            if own:
                run.land(table, own)
        _refuse_changed(digests, labels)
        rebuilt, found, widened = run.publish(finished)
    finally:
        run.drop()
    state = {"identity": source.identity, "first_month": window.first_month.isoformat()}
    write_whole(landing_folder / STATE_FILE, json.dumps(state))
    return LandingSummary(rebuilt, tuple(run.summaries), tuple(found), tuple(widened))


def _find_erased(
    connection: duckdb.DuckDBPyConnection,
    register: Register,
    files: Sequence[SourceFile],
    labels: Mapping[Path, str],
) -> bool:
    """Whether the delivery has ids of erased persons; they are in `erased_id`."""
    if not register.entries:
        return False
    ids: dict[str, list[str]] = {}
    for file in files:
        (name, *_) = BY_NAME[file.table].key
        if file.table in IDENTITIES and name in file.columns:
            text = text_of(quoted(name), TEXT)
            ids.setdefault(file.table, []).append(f"select {text} from ({file.relation})")
    for file in files:
        if file.table in IDENTITIES:
            try:
                connection.execute(f"select count(*) from ({file.relation})")
            except duckdb.Error as error:
                raise unreadable(labels[file.path], error) from error
    found = look_up(connection, register, ids)
    if found:
        report_progress(
            Message(
                "note: {0} ids of erased persons are delivered again; they land without the person",
                found,
            )
        )
    return found > 0


def empty_landing(connection: duckdb.DuckDBPyConnection) -> None:
    """Create every landing view, typed and without rows, and the meta tables: an empty warehouse
    needs them before dbt can parse against it or run tests."""
    _create_schemas(connection)
    for table in TABLES:
        view = f"landing.{quoted(table.name)}"
        connection.execute(f"create or replace view {view} as {nothing(table)}")
    connection.execute(f"create or replace table meta.input_file {INPUT_FILE}")
    for name, columns in QUARANTINE.items():
        connection.execute(f"create or replace table meta.{name} {columns}")
    _write_window(connection, Window(*(date(2000, 1, 1),) * 3, date(2000, 1, 31)), "none")


class _Run:
    """One landing: the tables staged so far and their findings."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        source_name: str,
        window: Window,
        calendar: Calendar,
        folder: Path,
        labels: dict[Path, str],
        digests: dict[Path, str],
        erased: bool,
    ) -> None:
        self.erased = erased
        self.connection = connection
        self.source_name = source_name
        self.window = window
        self.calendar = calendar
        self.months = Months(connection, window, folder)
        self.labels = labels
        self.summaries: list[TableLanded] = []
        self.delivered: list[str] = []
        self.digests = digests
        for name, columns in {"input_file": INPUT_FILE, "cause": CAUSE, **QUARANTINE}.items():
            connection.execute(f"create or replace temp table landing_{name} {columns}")

    def land(self, table: Table, files: Sequence[SourceFile]) -> None:
        Stage(
            *(self.connection, table, files, self.labels, self.calendar, self.delivered),
            erased=self.erased,
        ).run()
        self.months.write(table)
        self._count(table, files)
        self.delivered.append(table.name)

    def _count(self, table: Table, files: Sequence[SourceFile]) -> None:
        counted = {
            number: counts
            for number, *counts in self.connection.execute(f"""
                select _file, count(*), count(*) filter (where _state = {LANDED}),
                    count(*) filter (where _state in ({BROKEN}, {REPEATED})),
                    count(*) filter (where _state = {LATER}),
                    count(*) filter (where _state = {EARLIER})
                from landing_staged group by _file order by _file""").fetchall()
        }
        for number, file in enumerate(files):
            read = counted.get(number, (0,))[0]
            if file.records not in (None, read):
                _refuse_changed({file.path: self.digests[file.path]}, self.labels)
                raise DeliveryRefused([_lost(self.labels[file.path], file.records, read)])
            self.connection.execute(
                "insert into landing_input_file values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    table.name,
                    self.labels[file.path],
                    file.extract_month,
                    *counted.get(number, (0,) * 5),
                    self.digests[file.path],
                ],
            )
        faults = faulty(table.name)
        rows, landed, quarantined, later, earlier = (
            sum(counts[n] for counts in counted.values()) for n in range(5)
        )
        broken = self.connection.execute(
            f"select rule, count(distinct (_file, row_number)) from {faults} "
            "where rule_class <> ? group by 1 order by 1",
            [FOLLOWING],
        ).fetchall()
        described, unknown = self._bad_codes(table)
        self.summaries.append(
            TableLanded(
                *(table.name, rows, landed, quarantined, later, earlier, dict(broken)),
                *(described, self._following(table, landed + quarantined), unknown),
            )
        )
        # Rows outside the history must not dilute the share.
        for rule_class in (KEY_OR_REFERENCE, OTHER):
            self.connection.execute(
                f"""insert into landing_quarantine_share
                    select ?, ?, ?, count(distinct (_file, row_number)), ?
                    from {faults} where rule_class = ?""",
                [
                    table.name,
                    rule_class,
                    landed + quarantined,
                    _tolerated(table, rule_class),
                    rule_class,
                ],
            )

    def _bad_codes(self, table: Table) -> tuple[dict[str, str], dict[str, dict[str, int]]]:
        """The values that a column's list does not allow by column: described, and with the rows
        of those that may be shown."""
        found, unknown = dict[str, str](), dict[str, dict[str, int]]()
        for column in table.columns:
            if not column.values:
                continue
            name = quoted(column.name)
            ((counts,),) = self.connection.execute(
                f"""select histogram(left({name}, {codes.LONGEST_SHOWN + 1}))
                    from landing_staged semi join (
                        select _file, row_number as _row from {faulty(table.name)}
                        where rule = 'allowed_values' and column_name = ?
                    ) as fault using (_file, _row)""",
                [column.name],
            ).fetchall()
            if counts:
                ((values,),) = self.connection.execute(
                    f"select count({name}) from landing_staged"
                ).fetchall()
                described, every = (
                    codes.describe(
                        counts, column.values, values=values, personal=table.personal, most=most
                    )
                    for most in (codes.MOST_LISTED, codes.MOST_OF_A_CHECK)
                )
                allowed = codes.listed(column.values)
                found[column.name] = Message("{0}; allowed: {1}", every, allowed)
                unknown[column.name] = codes.shareable(
                    counts, values=values, personal=table.personal
                )
                self.connection.execute(
                    "insert into landing_bad_code values (?, ?, ?, ?, ?)",
                    [table.name, column.name, sum(counts.values()), str(described), allowed],
                )
        return found, unknown

    def _following(self, table: Table, seen: int) -> dict[tuple[str, str], int]:
        """The rows in quarantine because their parents are, by table and rule of the first cause.

        Together with the rows whose own keys or references are invalid, they must stay within the
        tolerance for keys and references.
        """
        faults = faulty(table.name)
        self.connection.execute(
            f"""insert into landing_quarantine_following
                select ?, ?, (
                        select count(distinct (_file, row_number)) from {faults}
                        where rule_class in (?, ?)
                    ), ?, first.table_name, first.rule_class, first.rule, first.column_name,
                    count(distinct (_file, row_number))
                from {faults} as own join landing_cause as first on first.number = own.cause
                where own.rule_class = ? group by all""",
            [
                table.name,
                seen,
                KEY_OR_REFERENCE,
                FOLLOWING,
                _tolerated(table, KEY_OR_REFERENCE),
                FOLLOWING,
            ],
        )
        found = self.connection.execute(
            """select cause_table, cause_rule, sum(following_rows)::bigint
               from landing_quarantine_following where table_name = ? group by all order by all""",
            [table.name],
        ).fetchall()
        return {(parent, rule): rows for parent, rule, rows in found}

    def publish(self, finished: bool) -> tuple[Window, list[Change], list[str]]:
        """Move the months into place, then write the warehouse in one transaction.

        Returns the months to rebuild, the changes, and why more months are rebuilt than requested.
        """
        window = _standing_window(self.connection)
        standing = Standing(window, finished) if window else None
        self.months.replace(self.delivered)
        self.connection.execute("begin")
        try:
            for table in TABLES:
                view = self.months.view(table, self.delivered)
                self.connection.execute(
                    f"create or replace view landing.{quoted(table.name)} as {view}"
                )
            self.connection.execute("drop schema if exists quarantine cascade")
            self.connection.execute("create schema quarantine")
            for name in self.delivered:
                self.connection.execute(f"""
                    create table quarantine.{quoted(name)} as
                    select file, row_number, own.rule, own.column_name, value, month,
                        concat_ws('.', first.table_name, first.column_name) || ': ' || first.rule
                            as cause
                    from {faulty(name)} as own
                    left join landing_cause as first on first.number = own.cause
                    order by _file, row_number, own.rule, own.column_name""")
            for name in ("input_file", *QUARANTINE):
                self.connection.execute(
                    f"create or replace table meta.{name} as from landing_{name}"
                )
            found = changes.compare(self.connection, self.window)
            rebuilt = changes.widen(self.window, standing, found)
            _write_window(self.connection, rebuilt, self.source_name)
            self.connection.execute("commit")
        except duckdb.Error:
            self.connection.execute("rollback")
            raise
        return rebuilt, found, changes.explain(self.window, rebuilt, standing, found)

    def drop(self) -> None:
        """Drop the temporary files and tables of the run."""
        self.months.drop()
        names = [
            "staged",
            "repeated",
            "fault",
            "unread",
            "input_file",
            "cause",
            *QUARANTINE,
            *changes.TEMPORARY,
        ]
        names += [f"{kind}_{table.name}" for table in TABLES for kind in ("known", "faulty")]
        for name in names:
            self.connection.execute(f"drop table if exists temp.{quoted('landing_' + name)}")


def _tolerated(table: Table, rule_class: str) -> float:
    strict = table.required and rule_class == KEY_OR_REFERENCE
    return min(TOLERATED_KEY_SHARE, table.tolerated_share) if strict else table.tolerated_share


def labels_of(files: Collection[SourceFile]) -> dict[Path, str]:
    """Each file's own label, or its path relative to the delivery's folder."""
    named = {file.path: file.label for file in files if file.label is not None}
    paths = {file.path for file in files} - named.keys()
    if not paths:
        return named
    root = os.path.commonpath([path.parent for path in paths])
    return named | {path: path.relative_to(root).as_posix() for path in paths}


def _digest(path: Path) -> str:
    return inspect_bytes(path, text=False).sha256


def _refuse_changed(digests: Mapping[Path, str], labels: Mapping[Path, str]) -> None:
    """Refuse a delivery with files that changed after they were hashed."""
    changed = sorted(
        labels[path]
        for path, before in digests.items()
        if not path.exists() or _digest(path) != before
    )
    if changed:
        what = Message("changed while it was being read")
        cure = Message("Run the refresh again once the delivery is complete.")
        raise DeliveryRefused([Problem(label, "", what, cure) for label in changed])


def _lost(label: str, delivered: int | None, read: int) -> Problem:
    return Problem(
        label,
        "",
        Message(
            "is not read completely: expected {0} row(s), read {1}", f"{delivered:,}", f"{read:,}"
        ),
        Message("Deliver the file again; if it is complete, deliver the table in smaller files."),
    )


def _create_schemas(connection: duckdb.DuckDBPyConnection) -> None:
    for schema in ("landing", "quarantine", "meta"):
        connection.execute(f"create schema if not exists {schema}")


INPUT_FILE = """(table_name varchar, path varchar, extract_month date, rows bigint, landed bigint,
    quarantined bigint, after_as_of bigint, before_first_month bigint, sha256 varchar)"""
# G1's inputs on quarantine: shares by class of rules, values that no list allows, and rows that
# follow their parents (`quarantined_rows` includes rows with invalid keys or references of their
# own).
QUARANTINE = {
    "quarantine_share": """(table_name varchar, rule_class varchar, rows bigint,
        quarantined_rows bigint, tolerated_share double)""",
    "bad_code": """(table_name varchar, column_name varchar, rows bigint, detail varchar,
        allowed varchar)""",
    "quarantine_following": """(table_name varchar, rows bigint, quarantined_rows bigint,
        tolerated_share double, cause_table varchar, cause_class varchar, cause_rule varchar,
        cause_column varchar, following_rows bigint)""",
}


def _standing_window(connection: duckdb.DuckDBPyConnection) -> Window | None:
    """The window of the previous landing; None if the warehouse has no digests of it."""
    if not connection.execute(f"select 1 from {changes.HELD} limit 1").fetchall():
        return None
    rows = connection.execute(
        "select first_month, month_from, month_to, as_of from landing.refresh_window"
    ).fetchall()
    return Window(*rows[0])


def _write_window(connection: duckdb.DuckDBPyConnection, window: Window, source: str) -> None:
    connection.execute(f"""
        create or replace table landing.refresh_window as
        select {day(window.month_from)} as month_from, {day(window.month_to)} as month_to,
            {day(window.as_of)} as as_of, {day(window.first_month)} as first_month,
            {literal(source)} as source""")
