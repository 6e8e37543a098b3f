"""Stage one table: cast it, check its rows, join it to its parents, and mark invalid rows.

The stage is the temporary table `landing_staged`: every delivered row once, with its file, row,
month and state. `landing_faulty_<table>` lists the broken rules by row, `landing_known_<table>` the
keys that children may reference.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb

from orchestration.landing.rules import (
    FOLLOWING,
    KEY_OR_REFERENCE,
    OTHER,
    Calendar,
    cast_columns,
    day,
    row_rules,
    shown_value,
    token,
)
from orchestration.landing.window import month_before
from orchestration.platform.erased import FOUND, without_erased
from sources.contract import TABLES, Table
from sources.delimited import literal, quoted
from sources.interface import DeliveryRefused, Problem, SourceFile
from sources.message import Message

UNSTAMPED = date(1900, 1, 1)
LANDED, BROKEN, LATER, REPEATED, EARLIER, ERASED = 0, 1, 2, 3, 4, 5
REPEATED_RULES = ("duplicate_row", "duplicate_key")
# The rules broken by rows that others reference, which follow them into quarantine. A number, since
# it is narrow: every booking is joined to its account's.
CAUSE = """(number integer, table_name varchar, rule_class varchar, rule varchar,
    column_name varchar)"""


@dataclass(frozen=True)
class Part:
    """One file of the table: its place in the order of files and its columns' types."""

    number: int
    file: SourceFile
    types: dict[str, str]


class Stage:
    """The staging of one table's files.

    Parameters
    ----------
    labels
        Each file's name in messages and in quarantine.
    delivered
        The tables staged before, which references are checked against.
    erased
        `erased_id` has persons of the delivery who were erased: they are left out.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        table: Table,
        files: Sequence[SourceFile],
        labels: Mapping[Path, str],
        calendar: Calendar,
        delivered: Collection[str],
        erased: bool = False,
    ) -> None:
        self.connection = connection
        self.table = table
        self.erased = erased and bool(table.identities)
        self.labels = labels
        self.calendar = calendar
        self.delivered = delivered
        self.parts = [Part(number, file, self._types(file)) for number, file in enumerate(files)]
        self.rules = row_rules(table, calendar, delivered)

    def run(self) -> None:
        """Stage the table.

        Raises
        ------
        DeliveryRefused
            With the file that cannot be read to its end.
        """
        self._stage()
        self._set_repeated_aside()
        self._set_overshared_aside()
        self._write_quarantine()
        self._remember_keys()

    def _types(self, file: SourceFile) -> dict[str, str]:
        try:
            described = self.connection.execute(f"describe {file.relation}").fetchall()
        except duckdb.Error as error:
            raise unreadable(self.labels[file.path], error) from error
        return {name: kind for name, kind, *_ in described}

    def _delivery(self, parts: Sequence[Part], broken_only: bool = False) -> str:
        """Files of the table as one query: cast (`cast_columns`), numbered (`_file`, `_row`) and
        joined to their parents (`seen_<column>`, `cause_<column>`)."""
        queries = []
        for part in parts:
            names = set(part.file.columns) & set(self.table.column_names)
            first, second = cast_columns(self.table, {name: part.types[name] for name in names})
            malformed = "_malformed" if "_malformed" in part.types else "null::varchar"
            chosen = (
                f"where _row in (select _row from landing_staged where _file = {part.number} "
                f"and _state = {BROKEN})"
                if broken_only
                else ""
            )
            columns = ", ".join(
                f"case when {quoted(column.name)} > {day(self.calendar.as_of)} then null "
                f"else {quoted(column.name)} end as {quoted(column.name)}"
                for column in self.table.columns
                if column.null_after_as_of
            )
            stamp = part.file.extract_month or UNSTAMPED
            given = f"""select {part.number} as _file, _row::bigint as _row,
                            {malformed} as _malformed,
                            {str(stamp > self.calendar.as_of).lower()} as _later_extract,
                            {day(stamp)} as _stamp{_and(first)}
                        from (select * from ({part.file.relation}) {chosen})"""
            if self.erased:
                given = without_erased(self.table, given, raw=True)
            queries.append(
                f"""select * {f"replace ({columns})" if columns else ""}{_and(second)}
                    from ({given})"""
            )
        referring = [column for column in self.table.columns if column.references in self.delivered]
        seen = [
            f"{quoted('of_' + c.name)}.{part} as {quoted(f'{part}_{c.name}')}"
            for c in referring
            for part in ("seen", "cause")
        ]
        joins = [
            f"left join {known(str(c.references))} as {quoted('of_' + c.name)} "
            f"on {quoted('of_' + c.name)}.id = delivery.{quoted(c.name)}"
            for c in referring
        ]
        return f"""select delivery.*{_and(seen)}, {self._month()} as _month
                   from ({" union all ".join(queries)}) as delivery {" ".join(joins)}"""

    def _month(self) -> str:
        if self.table.event:
            return f"date_trunc('month', delivery.{quoted(str(self.table.dated_by))})::date"
        return "delivery._stamp"

    def _stage(self) -> None:
        as_of, today = day(self.calendar.as_of), day(self.calendar.today)
        later = ["_later_extract"]
        if self.table.dated_by is not None:
            dated = quoted(self.table.dated_by)
            later.append(f"({dated} > {as_of} and {dated} <= {today})")
        columns = []
        for column in self.table.columns:
            name, seen = quoted(column.name), quoted(f"seen_{column.name}")
            if column.references not in self.delivered:
                columns.append(name)
            elif column.required:
                later.append(f"not {seen}")
                columns.append(name)
            else:
                columns.append(f"case when not {seen} then null else {name} end as {name}")
        offends = " or ".join(f"({rule.condition})" for rule in self.rules)
        query = f"""
            create or replace temp table landing_staged as
            select _file, _row, _month, {", ".join(columns)},
                case
                    when {"_erased" if self.erased and self.table.erased else "false"} then {ERASED}
                    when {" or ".join(later)} then {LATER}
                    when {self._earlier()} then {EARLIER}
                    when _malformed is not null or {offends} then {BROKEN}
                    else {LANDED}
                end::tinyint as _state
            from ({self._delivery(self.parts)})"""
        try:
            self.connection.execute(query)
        except duckdb.Error as error:
            raise self._culprit(error) from error

    def _earlier(self) -> str:
        """SQL: whether the row lies before the first month of bookings. Nothing is built for those
        months, so that events of optional tables are ignored; a booking there is misdated."""
        if not self.table.event or self.table.required:
            return "false"
        first = self.calendar.first_month
        if self.table.opens_history:
            first = month_before(first)
        return f"{quoted(str(self.table.dated_by))} < {day(first)}"

    def _culprit(self, error: duckdb.Error) -> Exception:
        """The refusal naming the file that cannot be read to its end, or the error itself."""
        for file in (part.file for part in self.parts):
            try:
                self.connection.execute(
                    f"create or replace temp table landing_unread as from ({file.relation})"
                )
            except duckdb.Error as fault:
                return unreadable(self.labels[file.path], fault)
        return error

    def _set_repeated_aside(self) -> None:
        """Keep the first row of a key by (file, row); the others are exact duplicates or differ.
        Keys are unique over all events of a delivery, and within one extract of a master."""
        key = [quoted(name) for name in self.table.key] + ([] if self.table.event else ["_month"])
        content = ", ".join(f"{quoted(n)} := {quoted(n)}" for n in self.table.column_names)
        keys, given_key = ", ".join(key), ", ".join(quoted(name) for name in self.table.key)
        self.connection.execute(f"""
            create or replace temp table landing_repeated as
            select _file, _row, _month, {literal(",".join(self.table.key))} as column_name,
                concat_ws('|', {given_key}) as value, {literal(KEY_OR_REFERENCE)} as rule_class,
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
        self._set_aside()

    def _set_overshared_aside(self) -> None:
        """Set aside the rows in force on a day on which the shares of one whole sum to more than
        1: none of them is better than another."""
        if self.table.shares_of is None:
            return
        whole = quoted(self.table.shares_of)
        self.connection.execute(f"""
            insert into landing_repeated
            with share as (
                select _file, _row, _month, {whole} as whole, share, valid_from,
                    coalesce(valid_to, date 'infinity') as valid_to
                from landing_staged where _state = {LANDED}
            ), above as (
                select began._month, began.whole, began.valid_from as day, sum(share.share) as total
                from (select distinct _month, whole, valid_from from share) as began
                join share on share._month = began._month and share.whole = began.whole
                    and began.valid_from between share.valid_from and share.valid_to
                group by all having total > 1
            )
            select _file, _row, _month, 'share', min(whole || ', ' || day || ': ' || total),
                {literal(OTHER)}, 'shares_above_one'
            from share join above using (_month, whole)
            where day between valid_from and valid_to group by all""")
        self._set_aside()

    def _set_aside(self) -> None:
        self.connection.execute(f"""
            update landing_staged set _state = {REPEATED} from landing_repeated
            where landing_staged._file = landing_repeated._file
                and landing_staged._row = landing_repeated._row""")

    def _write_quarantine(self) -> None:
        """Write one line for each row and broken rule, in the order of the files and their rows.

        The text of the values is read again, one file at a time, from the files with invalid rows:
        storing it for every row would double the stage.
        """
        faults = [
            f"case when {rule.condition} then {{'rule': {literal(rule.name)}, "
            f"'column_name': {literal(rule.column)}, "
            f"'value': {shown_value(self.table, rule.column)}, "
            f"'rule_class': {literal(rule.rule_class)}, 'cause': "
            + (quoted(f"cause_{rule.column}") if rule.rule_class == FOLLOWING else "null::integer")
            + "} end"
            for rule in self.rules
        ]
        value = token("value") if self.table.personal else "value"
        self.connection.execute(f"""
            create or replace temp table landing_fault as
            select _file, _row, _month, rule, column_name, {value} as value, rule_class,
                null::integer as cause
            from landing_repeated""")
        broken = self.connection.execute(
            f"select distinct _file from landing_staged where _state = {BROKEN} order by all"
        ).fetchall()
        for (number,) in broken:
            self.connection.execute(f"""
                insert into landing_fault
                select _file, _row, _month, fault.rule, fault.column_name, fault.value,
                    fault.rule_class, fault.cause
                from (
                    select _file, _row, _month, unnest(
                        case when _malformed is not null then [{{'rule': 'malformed_row',
                            'column_name': null::varchar, 'value': _malformed,
                            'rule_class': {literal(OTHER)}, 'cause': null::integer}}]
                        else [{", ".join(faults)}] end) as fault
                    from ({self._delivery([self.parts[number]], broken_only=True)})
                ) where fault is not null""")
        if self.erased:
            # The text of a line that could not be split.
            self.connection.execute(f"""
                update landing_fault set value = null from {FOUND} as erased
                where rule = 'malformed_row' and contains(value, erased.id)""")
        names = ", ".join(
            f"({part.number}, {literal(self.labels[part.file.path])})" for part in self.parts
        )
        self.connection.execute(f"""
            create or replace temp table {faulty(self.table.name)} as
            select file.label as file, _row as row_number, rule, column_name, value,
                nullif(_month, {day(UNSTAMPED)}) as month, rule_class, cause, _file
            from landing_fault
            join (values {names}) as file(number, label) on file.number = _file
            order by _file, _row, rule, column_name""")

    def _remember_keys(self) -> None:
        """Store the table's keys for its children: landed, dated later, or in quarantine with the
        first cause; absent keys are unknown."""
        if not any(c.references == self.table.name for child in TABLES for c in child.columns):
            return
        (key,) = self.table.key
        self.connection.execute(f"""
            insert into landing_cause
            select
                (select count(*) from landing_cause)
                + row_number() over (order by rule, column_name),
                {literal(self.table.name)}, rule_class, rule, column_name
            from (
                select distinct rule_class, rule, column_name
                from {faulty(self.table.name)} where cause is null
            )""")
        self.connection.execute(f"""
            create or replace temp table {known(self.table.name)} as
            select {quoted(key)} as id,
                case when bool_or(_state = {LANDED}) then true
                    when not bool_or(_state = {BROKEN}) then false end as seen,
                case when seen is null then min(fault.cause) end as cause
            from landing_staged left join (
                select _file, row_number as _row, min(coalesce(cause, number)) as cause
                from {faulty(self.table.name)} as own left join landing_cause
                    on landing_cause.table_name = {literal(self.table.name)}
                    and landing_cause.rule = own.rule
                    and landing_cause.column_name is not distinct from own.column_name
                group by all
            ) as fault using (_file, _row)
            where {quoted(key)} is not null group by id""")


def known(table: str) -> str:
    return quoted(f"landing_known_{table}")


def faulty(table: str) -> str:
    return quoted(f"landing_faulty_{table}")


def _and(expressions: Sequence[str]) -> str:
    return "".join(f", {expression}" for expression in expressions)


def unreadable(label: str, error: duckdb.Error) -> DeliveryRefused:
    what = Message("cannot be read: {0}", str(error).splitlines()[0])
    cure = Message("Deliver the complete file again.")
    return DeliveryRefused([Problem(label, "", what, cure)])
