"""Landing: a delivery becomes typed Parquet by month; rows that break a rule go to quarantine.

Rows stay in the engine: each table is staged once (cast, judged, matched with its parents), checked
for repeated keys over the whole delivery, and written month by month. DuckDB spills what does not
fit its memory limit.

What a row dated after the as-of date says is not seen at all: it is counted, neither landed nor
judged, and so is a row that needs a parent dated later. Where the reference is optional (a
customer's manager, the account a response led to) only the reference is not known yet: it is NULL.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import duckdb

from orchestration.landing.rules import (
    CURES,
    KEY_OR_REFERENCE,
    OTHER,
    TOLERATED_KEY_SHARE,
    Calendar,
    Rule,
    cast_columns,
    day,
    row_rules,
    shown_value,
)
from orchestration.sources.bookings import first_booking_month, last_booking, resolve_as_of
from orchestration.sources.contract import BY_NAME, TABLES, Table
from orchestration.sources.delimited import inspect_bytes, literal, quoted
from orchestration.sources.interface import DeliveryRefused, Problem, Source, SourceFile

__all__ = [
    "LandingSummary",
    "TableLanded",
    "Window",
    "empty_landing",
    "first_booking_month",
    "land",
    "last_booking",
    "resolve_as_of",
]

UNSTAMPED = date(1900, 1, 1)
LANDED, BROKEN, LATER, REPEATED = 0, 1, 2, 3
STATE_FILE = "landed.json"
REPEATED_RULES = ("duplicate_row", "duplicate_key")


@dataclass(frozen=True)
class Window:
    """The months of one run. All months are first days; `as_of` is the last day of its month."""

    first_month: date
    month_from: date
    month_to: date
    as_of: date

    def __post_init__(self) -> None:
        months = (self.first_month, self.month_from, self.month_to)
        if any(month.day != 1 for month in months):
            raise ValueError("first_month, month_from and month_to are first days of months")
        if (self.as_of + timedelta(days=1)).day != 1:
            raise ValueError(f"as_of is the last day of a month, not {self.as_of}")
        if not self.first_month <= self.month_from <= self.month_to <= self.as_of:
            raise ValueError(
                f"months {self.month_from:%Y-%m} to {self.month_to:%Y-%m} do not lie between the "
                f"first month {self.first_month:%Y-%m} and the as-of month {self.as_of:%Y-%m}"
            )

    @property
    def whole(self) -> bool:
        """Does the run rebuild the whole history?"""
        return self.month_from == self.first_month and self.month_to == self.as_of.replace(day=1)


@dataclass(frozen=True)
class TableLanded:
    """One table: rows delivered = landed + quarantined + dated after the as-of date."""

    table_name: str
    rows: int
    landed: int
    quarantined: int
    after_as_of: int
    rules: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class LandingSummary:
    """What a landing did, table by table in the contract's order; delivered tables only."""

    window: Window
    tables: tuple[TableLanded, ...]

    @property
    def landed(self) -> int:
        return sum(table.landed for table in self.tables)

    @property
    def quarantined(self) -> int:
        return sum(table.quarantined for table in self.tables)

    def lines(self) -> list[str]:
        """One line for each table with anything in quarantine, naming rule, count and cure."""
        return [
            f"{table.table_name}: {count:,} row(s) of {table.rows:,} break {rule}; {CURES[rule]}"
            for table in self.tables
            for rule, count in table.rules.items()
        ]


def land(
    connection: duckdb.DuckDBPyConnection,
    source: Source,
    window: Window,
    landing_folder: Path,
    token_key: bytes,
    today: date | None = None,
) -> LandingSummary:
    """Land the delivery as seen at `window.as_of`, writing the window's months.

    Event tables and stamped extracts are written for the window's months only; other months' files
    are not touched. Unstamped masters, quarantine and the `meta` tables are functions of the whole
    delivery and are replaced whole, so that a month run again leaves them as they were.

    Parameters
    ----------
    token_key
        Personal values in quarantine appear as the first 16 hex digits of sha256(key || value).
    today
        The day after which a date is impossible; default: the day of the run.

    Raises
    ------
    DeliveryRefused
        When a delivered file cannot be read, or the folder holds another bank's months that the
        window would leave standing.
    """
    files = source.files(connection)
    calendar = Calendar(window.as_of, window.first_month, today or date.today())
    landing_folder = landing_folder.resolve()
    _claim(landing_folder, source, window)
    _create_schemas(connection)
    connection.execute("set variable landing_token_key = ?", [token_key])
    run = _Run(connection, source.name, window, calendar, landing_folder, _labels(files))
    try:
        for table in TABLES:
            own = sorted(
                (file for file in files if file.table == table.name),
                key=lambda file: (run.labels[file.path], str(file.extract_month)),
            )
            if own:
                run.land(table, own)
        run.publish()
    finally:
        run.drop()
    state = {"identity": source.identity, "first_month": window.first_month.isoformat()}
    (landing_folder / STATE_FILE).write_text(json.dumps(state), encoding="utf-8")
    return LandingSummary(window, tuple(run.summaries))


def empty_landing(connection: duckdb.DuckDBPyConnection) -> None:
    """Every landing view typed and without rows, with the meta tables: what a fresh warehouse needs
    before dbt can be parsed against it or its tests run."""
    _create_schemas(connection)
    for table in TABLES:
        view = f"landing.{quoted(table.name)}"
        connection.execute(f"create or replace view {view} as {_nothing(table)}")
    connection.execute(f"create or replace table protected.customer_identity {IDENTITY}")
    connection.execute(f"create or replace table meta.input_file {INPUT_FILE}")
    connection.execute(f"create or replace table meta.quarantine_share {QUARANTINE_SHARE}")
    _write_window(connection, Window(*(date(2000, 1, 1),) * 3, date(2000, 1, 31)), "none")


@dataclass(frozen=True)
class _Part:
    """One file of the table at hand: its place in the order of files, its columns' types."""

    number: int
    file: SourceFile
    types: dict[str, str]


class _Run:
    """One landing: the tables staged so far and what was found in them."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        source_name: str,
        window: Window,
        calendar: Calendar,
        folder: Path,
        labels: dict[Path, str],
    ) -> None:
        self.connection = connection
        self.source_name = source_name
        self.window = window
        self.calendar = calendar
        self.folder = folder
        self.labels = labels
        self.summaries: list[TableLanded] = []
        self.delivered: list[str] = []
        self._digests: dict[Path, str] = {}
        for name, columns in (
            ("identity", IDENTITY),
            ("input_file", INPUT_FILE),
            ("quarantine_share", QUARANTINE_SHARE),
        ):
            connection.execute(f"create or replace temp table landing_{name} {columns}")

    def land(self, table: Table, files: Sequence[SourceFile]) -> None:
        rules = row_rules(table, self.calendar, self.delivered)
        parts = [_Part(number, file, self._types(file)) for number, file in enumerate(files)]
        self._stage(table, parts, rules)
        self._set_repeated_aside(table)
        self._write_quarantine(table, parts, rules)
        self._remember_keys(table)
        self._write_months(table)
        if table.name == "customer":
            self._write_identity(table)
        self._count(table, files)
        self.delivered.append(table.name)

    def _types(self, file: SourceFile) -> dict[str, str]:
        try:
            described = self.connection.execute(f"describe {file.relation}").fetchall()
        except duckdb.Error as error:
            raise _unreadable(self.labels[file.path], error) from error
        return {name: kind for name, kind, *_ in described}

    def _delivery(self, table: Table, parts: Sequence[_Part], broken_only: bool = False) -> str:
        """Files of the table as one query: cast (`cast_columns`), numbered (`_file`, `_row`),
        matched with their parents (`seen_<column>`)."""
        queries = []
        for part in parts:
            names = set(part.file.columns) & set(table.column_names)
            first, second = cast_columns(table, {name: part.types[name] for name in names})
            malformed = "_malformed" if "_malformed" in part.types else "null::varchar"
            chosen = (
                f"where _row in (select _row from landing_staged where _file = {part.number} "
                f"and _state = {BROKEN})"
                if broken_only
                else ""
            )
            columns = ", ".join(
                f"case when {quoted(column.name)} > {day(self.window.as_of)} then null "
                f"else {quoted(column.name)} end as {quoted(column.name)}"
                for column in table.columns
                if column.null_after_as_of
            )
            stamp = part.file.extract_month or UNSTAMPED
            queries.append(
                f"""select * {f"replace ({columns})" if columns else ""}{_and(second)}
                    from (
                        select {part.number} as _file, _row::bigint as _row,
                            {malformed} as _malformed,
                            {str(stamp > self.window.as_of).lower()} as _later_extract,
                            {day(stamp)} as _stamp{_and(first)}
                        from (select * from ({part.file.relation}) {chosen})
                    )"""
            )
        referring = [column for column in table.columns if column.references in self.delivered]
        seen = [f"{quoted('of_' + c.name)}.seen as {quoted('seen_' + c.name)}" for c in referring]
        joins = [
            f"left join {_known(str(c.references))} as {quoted('of_' + c.name)} "
            f"on {quoted('of_' + c.name)}.id = delivery.{quoted(c.name)}"
            for c in referring
        ]
        return f"""select delivery.*{_and(seen)}, {self._month(table)} as _month
                   from ({" union all ".join(queries)}) as delivery {" ".join(joins)}"""

    @staticmethod
    def _month(table: Table) -> str:
        if table.event:
            return f"date_trunc('month', delivery.{quoted(str(table.dated_by))})::date"
        return "delivery._stamp"

    def _stage(self, table: Table, parts: Sequence[_Part], rules: Sequence[Rule]) -> None:
        as_of, today = day(self.calendar.as_of), day(self.calendar.today)
        later = ["_later_extract"]
        if table.dated_by is not None:
            dated = quoted(table.dated_by)
            later.append(f"({dated} > {as_of} and {dated} <= {today})")
        columns = []
        for column in table.columns:
            name, seen = quoted(column.name), quoted(f"seen_{column.name}")
            if column.references not in self.delivered:
                columns.append(name)
            elif column.required:
                later.append(f"not {seen}")
                columns.append(name)
            else:
                columns.append(f"case when not {seen} then null else {name} end as {name}")
        offends = " or ".join(f"({rule.condition})" for rule in rules)
        query = f"""
            create or replace temp table landing_staged as
            select _file, _row, _month, {", ".join(columns)},
                case
                    when {" or ".join(later)} then {LATER}
                    when _malformed is not null or {offends} then {BROKEN}
                    else {LANDED}
                end::tinyint as _state
            from ({self._delivery(table, parts)})"""
        try:
            self.connection.execute(query)
        except duckdb.Error as error:
            raise self._culprit(parts, error) from error

    def _culprit(self, parts: Sequence[_Part], error: duckdb.Error) -> Exception:
        """The refusal naming the file that cannot be read to its end, or the error itself."""
        for file in (part.file for part in parts):
            try:
                self.connection.execute(
                    f"create or replace temp table landing_unread as from ({file.relation})"
                )
            except duckdb.Error as fault:
                return _unreadable(self.labels[file.path], fault)
        return error

    def _set_repeated_aside(self, table: Table) -> None:
        """The first row of a key by (file, row) stays; the others are exact repetitions or differ.
        Keys are unique over the whole delivery of events, within one extract of a master."""
        key = [quoted(name) for name in table.key] + ([] if table.event else ["_month"])
        content = ", ".join(f"{quoted(n)} := {quoted(n)}" for n in table.column_names)
        keys, given_key = ", ".join(key), ", ".join(quoted(name) for name in table.key)
        self.connection.execute(f"""
            create or replace temp table landing_repeated as
            select _file, _row, _month, concat_ws('|', {given_key}) as key_value,
                case when struct_pack({content}) is not distinct from
                    first_value(struct_pack({content})) over first_by_row
                then 'duplicate_row' else 'duplicate_key' end as rule
            from landing_staged semi join (
                select {keys} from landing_staged where _state = {LANDED}
                group by {keys} having count(*) > 1
            ) using ({keys})
            where _state = {LANDED}
            window first_by_row as (partition by {keys} order by _file, _row)
            qualify row_number() over first_by_row > 1""")
        self.connection.execute(f"""
            update landing_staged set _state = {REPEATED} from landing_repeated
            where landing_staged._file = landing_repeated._file
                and landing_staged._row = landing_repeated._row""")

    def _write_quarantine(
        self, table: Table, parts: Sequence[_Part], rules: Sequence[Rule]
    ) -> None:
        """One line for each row and rule it breaks, in the order of the files and their rows.

        The text of the values is read again for this, from the files with broken rows and one file
        at a time: kept for every row it would double the stage.
        """
        faults = [
            f"case when {rule.condition} then {{'rule': {literal(rule.name)}, "
            f"'column_name': {literal(rule.column)}, 'value': {shown_value(table, rule.column)}, "
            f"'rule_class': {literal(rule.rule_class)}}} end"
            for rule in rules
        ]
        key_columns = literal(",".join(table.key))
        self.connection.execute(f"""
            create or replace temp table landing_fault as
            select _file, _row, _month, rule, {key_columns} as column_name, key_value as value,
                {literal(KEY_OR_REFERENCE)} as rule_class
            from landing_repeated""")
        broken = self.connection.execute(
            f"select distinct _file from landing_staged where _state = {BROKEN} order by all"
        ).fetchall()
        for (number,) in broken:
            self.connection.execute(f"""
                insert into landing_fault
                select _file, _row, _month, fault.rule, fault.column_name, fault.value,
                    fault.rule_class
                from (
                    select _file, _row, _month, unnest(
                        case when _malformed is not null then [{{'rule': 'malformed_row',
                            'column_name': null::varchar, 'value': _malformed,
                            'rule_class': {literal(OTHER)}}}]
                        else [{", ".join(faults)}] end) as fault
                    from ({self._delivery(table, [parts[number]], broken_only=True)})
                ) where fault is not null""")
        names = ", ".join(
            f"({part.number}, {literal(self.labels[part.file.path])})" for part in parts
        )
        self.connection.execute(f"""
            create or replace temp table {_faulty(table.name)} as
            select file.label as file, _row as row_number, rule, column_name, value,
                nullif(_month, {day(UNSTAMPED)}) as month, rule_class, _file
            from landing_fault
            join (values {names}) as file(number, label) on file.number = _file
            order by _file, _row, rule, column_name""")

    def _remember_keys(self, table: Table) -> None:
        """The table's keys for its children: seen, dated later, or (absent) unknown."""
        if not any(c.references == table.name for child in TABLES for c in child.columns):
            return
        (key,) = table.key
        self.connection.execute(f"""
            create or replace temp table {_known(table.name)} as
            select {quoted(key)} as id, bool_or(_state = {LANDED}) as seen
            from landing_staged where {quoted(key)} is not null group by all
            having seen or not bool_or(_state = {BROKEN})""")

    def _write_months(self, table: Table) -> None:
        part, names = _partition(table), [quoted(n) for n in _landed_columns(table)]
        if part not in _landed_columns(table):
            names.append(f"_month as {part}")
        months = self.connection.execute(
            f"select distinct _month from landing_staged where _state = {LANDED} order by all"
        ).fetchall()
        for (month,) in months:
            if not self._in_window(month):
                continue
            folder = self.folder / ".writing" / table.name / f"{part}={month:%Y-%m}"
            folder.mkdir(parents=True)
            # One file a month, sorted by key: the same rows give the same bytes.
            with _without_statistics(self.connection):
                self.connection.execute(f"""
                    copy (
                        select {", ".join(names)} from landing_staged
                        where _state = {LANDED} and _month = {day(month)}
                        order by {", ".join(quoted(name) for name in table.key)}
                    ) to {literal(folder / "data.parquet")} (format parquet, compression zstd)""")

    def _in_window(self, month: date) -> bool:
        """Does this run write the month? Extracts from before the history (the unstamped one among
        them) belong to every run."""
        return month < self.window.first_month or (
            self.window.month_from <= month <= self.window.month_to
        )

    def _write_identity(self, table: Table) -> None:
        names = [quoted(c.name) for c in table.columns if c.personal]
        self.connection.execute(f"""
            create or replace temp table landing_identity as
            select customer_id, _month as extract_month, {", ".join(names)}
            from landing_staged where _state = {LANDED} order by customer_id, extract_month""")

    def _count(self, table: Table, files: Sequence[SourceFile]) -> None:
        counted = {
            number: counts
            for number, *counts in self.connection.execute(f"""
                select _file, count(*), count(*) filter (where _state = {LANDED}),
                    count(*) filter (where _state in ({BROKEN}, {REPEATED})),
                    count(*) filter (where _state = {LATER})
                from landing_staged group by _file order by _file""").fetchall()
        }
        for number, file in enumerate(files):
            if file.path not in self._digests:
                self._digests[file.path] = inspect_bytes(file.path, text=False).sha256
            self.connection.execute(
                "insert into landing_input_file values (?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    table.name,
                    self.labels[file.path],
                    file.extract_month,
                    *counted.get(number, (0, 0, 0, 0)),
                    self._digests[file.path],
                ],
            )
        faulty = _faulty(table.name)
        total = [sum(counts[n] for counts in counted.values()) for n in range(4)]
        broken = self.connection.execute(
            f"select rule, count(distinct (_file, row_number)) from {faulty} group by 1 order by 1"
        ).fetchall()
        self.summaries.append(
            TableLanded(table.name, total[0], total[1], total[2], total[3], dict(broken))
        )
        # The share is taken of the rows seen: rows dated later must not dilute it.
        for rule_class in (KEY_OR_REFERENCE, OTHER):
            strict = table.required and rule_class == KEY_OR_REFERENCE
            self.connection.execute(
                f"""insert into landing_quarantine_share
                    select ?, ?, ?, count(distinct (_file, row_number)), ?
                    from {faulty} where rule_class = ?""",
                [
                    table.name,
                    rule_class,
                    total[1] + total[2],
                    min(TOLERATED_KEY_SHARE, table.tolerated_share)
                    if strict
                    else table.tolerated_share,
                    rule_class,
                ],
            )

    def publish(self) -> None:
        """Put the months in place, then everything in the warehouse in one transaction."""
        self._replace_months()
        self.connection.execute("begin")
        try:
            for table in TABLES:
                self.connection.execute(
                    f"create or replace view landing.{quoted(table.name)} as {self._view(table)}"
                )
            self.connection.execute("drop schema if exists quarantine cascade")
            self.connection.execute("create schema quarantine")
            for name in self.delivered:
                self.connection.execute(f"""
                    create table quarantine.{quoted(name)} as
                    select file, row_number, rule, column_name, value, month
                    from {_faulty(name)}""")
            self.connection.execute(
                "create or replace table protected.customer_identity as from landing_identity"
            )
            for name in ("input_file", "quarantine_share"):
                self.connection.execute(
                    f"create or replace table meta.{name} as from landing_{name}"
                )
            _write_window(self.connection, self.window, self.source_name)
            self.connection.execute("commit")
        except duckdb.Error:
            self.connection.execute("rollback")
            raise

    def _replace_months(self) -> None:
        writing = self.folder / ".writing"
        for table in TABLES:
            standing = self.folder / table.name
            if table.name not in self.delivered:
                shutil.rmtree(standing, ignore_errors=True)
                continue
            written = {path.parent.name: path for path in writing.glob(f"{table.name}/*/*.parquet")}
            for folder in sorted(standing.glob(f"{_partition(table)}=*")):
                month = date.fromisoformat(folder.name.partition("=")[2] + "-01")
                if folder.name not in written and self._in_window(month):
                    shutil.rmtree(folder)
            for name, path in sorted(written.items()):
                (standing / name).mkdir(parents=True, exist_ok=True)
                os.replace(path, standing / name / path.name)
        shutil.rmtree(writing, ignore_errors=True)

    def _view(self, table: Table) -> str:
        part = _partition(table)
        files = self.folder / table.name / f"{part}=*" / "data.parquet"
        if table.name not in self.delivered or not any(
            (self.folder / table.name).glob(f"{part}=*/data.parquet")
        ):
            return _nothing(table)
        # Months of an earlier run with a later as-of date may still stand: they are not seen.
        return (
            f"select * from read_parquet({literal(files)}, hive_partitioning = false) "
            f"where {part} <= {day(self.window.as_of)}"
        )

    def drop(self) -> None:
        """Leave nothing of the run behind but what `publish` put in place."""
        shutil.rmtree(self.folder / ".writing", ignore_errors=True)
        names = [
            "staged",
            "repeated",
            "fault",
            "unread",
            "identity",
            "input_file",
            "quarantine_share",
        ]
        names += [f"{kind}_{table.name}" for table in TABLES for kind in ("known", "faulty")]
        for name in names:
            self.connection.execute(f"drop table if exists temp.{quoted('landing_' + name)}")


@contextmanager
def _without_statistics(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Keep what is known of the whole stage out of a month's file. DuckDB writes a column without
    NULLs more tersely, and with its statistics one NULL in a later month changes every file."""
    ((before,),) = connection.execute("select current_setting('disabled_optimizers')").fetchall()
    connection.execute("set disabled_optimizers = 'statistics_propagation'")
    try:
        yield
    finally:
        connection.execute(f"set disabled_optimizers = {literal(before)}")


def _known(table: str) -> str:
    return quoted(f"landing_known_{table}")


def _faulty(table: str) -> str:
    return quoted(f"landing_faulty_{table}")


def _and(expressions: Sequence[str]) -> str:
    return "".join(f", {expression}" for expression in expressions)


def _partition(table: Table) -> str:
    return "month" if table.event else "extract_month"


def _landed_columns(table: Table) -> list[str]:
    return [column.name for column in table.columns if not column.personal]


def _nothing(table: Table) -> str:
    """A query with the landed columns, typed, and no row."""
    kinds = {column.name: column.type for column in table.columns if not column.personal}
    kinds.setdefault(_partition(table), "DATE")
    columns = ", ".join(f"null::{kind} as {quoted(name)}" for name, kind in kinds.items())
    return f"select {columns} where false"


def _labels(files: Collection[SourceFile]) -> dict[Path, str]:
    """Each file's path below the delivery's folder: the same wherever the delivery lies."""
    paths = {file.path for file in files}
    if not paths:
        return {}
    root = os.path.commonpath([path.parent for path in paths])
    return {path: path.relative_to(root).as_posix() for path in paths}


def _unreadable(label: str, error: duckdb.Error) -> DeliveryRefused:
    reason = str(error).splitlines()[0]
    return DeliveryRefused(
        [Problem(label, "", f"cannot be read: {reason}", "Deliver the file again, whole.")]
    )


def _claim(folder: Path, source: Source, window: Window) -> None:
    """Months of another bank, or counted from another first month, must not stand beside this
    run's: a whole run clears them, a part is refused."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder / ".writing", ignore_errors=True)
    state = folder / STATE_FILE
    if not state.exists():
        return
    standing = json.loads(state.read_text(encoding="utf-8"))
    wanted = {"identity": source.identity, "first_month": window.first_month.isoformat()}
    if standing == wanted:
        return
    if not window.whole:
        raise DeliveryRefused(
            [
                Problem(
                    str(folder),
                    "",
                    f"holds the months of {standing['identity']} from {standing['first_month']}; "
                    f"this run lands a part of {source.identity}",
                    "Refresh the whole history, or use another JINGXI_HOME.",
                )
            ]
        )
    state.unlink()
    for table in TABLES:
        shutil.rmtree(folder / table.name, ignore_errors=True)


def _create_schemas(connection: duckdb.DuckDBPyConnection) -> None:
    for schema in ("landing", "protected", "quarantine", "meta"):
        connection.execute(f"create schema if not exists {schema}")


IDENTITY = (
    "(customer_id varchar, extract_month date, "
    + ", ".join(
        f"{column.name} {column.type}" for column in BY_NAME["customer"].columns if column.personal
    )
    + ")"
)
INPUT_FILE = """(table_name varchar, path varchar, extract_month date, rows bigint, landed bigint,
    quarantined bigint, after_as_of bigint, sha256 varchar)"""
QUARANTINE_SHARE = """(table_name varchar, rule_class varchar, rows bigint, quarantined_rows bigint,
    tolerated_share double)"""


def _write_window(connection: duckdb.DuckDBPyConnection, window: Window, source: str) -> None:
    connection.execute(f"""
        create or replace table landing.refresh_window as
        select {day(window.month_from)} as month_from, {day(window.month_to)} as month_to,
            {day(window.as_of)} as as_of, {day(window.first_month)} as first_month,
            {literal(source)} as source""")
