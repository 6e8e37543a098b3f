"""The columns of a feed as SQL, in three layers: what the file has, what it means, its sign."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import duckdb

from sources.codes import MARK
from sources.contract import DAY, FLAG, MONEY, RATE, REAL, Column, Table
from sources.delimited import literal, quoted
from sources.grammar import PATTERNS
from sources.mapping.dates import as_iso, month_start
from sources.mapping.expressions import Expression, parse
from sources.mapping.model import ColumnMap, Feed, Layout, setting
from sources.mapping.numbers import as_number, by_side, negated, of_two, times

# Blanks around values: the full-width and the no-break space, too.
BLANKS = " \t\r\n\u00a0\u3000"
WHERE = "_where"


def cleaned(name: str, nulls: Sequence[str]) -> str:
    """SQL: a column's text without blanks around it, NULL where it means unknown."""
    text = f"trim({quoted(name)}, {literal(BLANKS)})"
    for null in ("", *nulls):
        text = f"nullif({text}, {literal(null)})"
    return text


def parsed(
    connection: duckdb.DuckDBPyConnection, feed: Feed, only: str | None = None
) -> dict[str, Expression]:
    """The feed's expressions by column, and its condition by `WHERE`; of one of them if named.

    Raises
    ------
    ExpressionRefused
        For one that is not allowed.
    """
    texts = {name: column.expression for name, column in feed.columns.items()}
    texts[WHERE] = feed.where
    return {
        name: parse(connection, text)
        for name, text in texts.items()
        if text is not None and only in (None, name)
    }


def tried(expression: Expression) -> str:
    """SQL: a struct with the expression's value `v`; NULL where it cannot be computed."""
    return f"try(struct_pack(v := {expression.sql}))"


def used_columns(feed: Feed, expressions: Mapping[str, Expression]) -> dict[str, str]:
    """The file's columns (or names taken from lookups) that the feed reads, each with the first
    contract column that reads it; empty for its condition and lookups."""
    found: dict[str, str] = {}
    for name, column in feed.columns.items():
        read = [column.column, column.credit, column.debit]
        read += [column.direction.column] if column.direction else []
        for one in (*read, *(expressions[name].columns if name in expressions else ())):
            if one is not None:
                found.setdefault(one, name)
    for one in expressions[WHERE].columns if WHERE in expressions else ():
        found.setdefault(one, "")
    for lookup in feed.lookups:
        for one in lookup.match.values():
            found.setdefault(one, "")
    return found


@dataclass(frozen=True)
class Columns:
    """The columns of one feed.

    Parameters
    ----------
    typed
        Columns of the file whose values are typed already (Parquet): not read as the bank's text.
    """

    table: Table
    feed: Feed
    defaults: Layout
    expressions: Mapping[str, Expression]
    typed: Collection[str] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The mapped columns, in the contract's order."""
        return tuple(name for name in self.table.column_names if name in self.feed.columns)

    def relation(self, rows: str) -> str:
        """The feed as a query over cleaned rows (see `cleaned`): the contract's columns, `_row`,
        `_malformed`."""
        first, second, third = (self._layer(number) for number in range(3))
        failed = [
            f"when {quoted(name)} is null then {literal(_failed(name))}"
            for name in map(_tried, self.expressions)
        ]
        malformed = f"case when _malformed is not null then _malformed {' '.join(failed)} end"
        kept = ""
        if WHERE in self.expressions:
            condition = quoted(_tried(WHERE))
            kept = f" where _malformed is not null or {condition} is null or {condition}.v"
        return (
            f"select _row, _malformed{third} from (select _row, {malformed} as _malformed{second} "
            f"from (select _row, _malformed{first} from ({rows})){kept})"
        )

    def _layer(self, number: int) -> str:
        found: list[str] = []
        if number == 0:
            found += [
                f"{tried(one)} as {quoted(_tried(name))}" for name, one in self.expressions.items()
            ]
        for name in self.names:
            column, given = self.table.column(name), self.feed.columns[name]
            found += (self._origin, self._meaning, self._signed)[number](column, given)
        return "".join(f", {one}" for one in found)

    def _origin(self, column: Column, given: ColumnMap) -> list[str]:
        """Texts of the file: the value, or those of both sides, and the side."""
        found = [] if given.constant is None else [f"{literal(given.constant)} as {_part(column)}"]
        found += [
            f"{quoted(name)} as {_part(column, side)}"
            for side, name in (
                ("", given.column),
                ("_credit", given.credit),
                ("_debit", given.debit),
            )
            if name is not None
        ]
        if given.direction is not None:
            found.append(f"{quoted(given.direction.column)} as {_part(column, '_side')}")
        return found

    def _meaning(self, column: Column, given: ColumnMap) -> list[str]:
        """Texts of the contract's form."""
        if given.credit is not None:
            return [
                f"{self._number(column, given, _part(column, side))} as {_part(column, side)}"
                for side in ("_credit", "_debit")
            ]
        text = _part(column)
        if given.expression is not None:
            text = f"{quoted(_tried(column.name))}.v::varchar"
        for null in given.nulls or ():
            text = f"nullif({text}, {literal(null)})"
        if given.codes is not None:
            text = coded(text, given.codes, column)
        elif given.column in self.typed:
            text = f"left({text}, 10)" if column.type == DAY else self._scaled(column, given, text)
        elif column.type == DAY:
            formats = self._setting("dates", given)
            text = as_iso(text, formats, self._setting("earliest_year", given))
        elif column.is_number:
            text = self._number(column, given, text)
        if column.first_of_month:
            text = month_start(text)
        found = [f"{text} as {_part(column)}"]
        if given.direction is not None:
            found.append(_part(column, "_side"))
        return found

    def _signed(self, column: Column, given: ColumnMap) -> list[str]:
        text = _part(column)
        if given.credit is not None:
            text = of_two(_part(column, "_credit"), _part(column, "_debit"))
        if given.direction is not None:
            side = given.direction
            text = by_side(text, _part(column, "_side"), side.credit, side.debit)
        if given.negate:
            text = negated(f"({text})")
        return [f"{text} as {quoted(column.name)}"]

    def _number(self, column: Column, given: ColumnMap, text: str) -> str:
        decimal, thousands = self._setting("decimal", given), self._setting("thousands", given)
        # A constant or an expression is written as the contract writes numbers.
        own = given.constant is not None or given.expression is not None
        if own and given.decimal is None and given.thousands is None:
            decimal, thousands = ".", ""
        percent = given.unit == "percent" and column.type in (RATE, REAL)
        number = as_number(text, column.type, decimal, thousands, percent)
        return self._scaled(column, given, f"({number})")

    def _scaled(self, column: Column, given: ColumnMap, text: str) -> str:
        unit = given.unit
        if unit is None and column.type == MONEY and given.constant is None:
            unit = self._setting("money", given)
        return times(text, column.type, unit or "units")

    def _setting(self, name: str, given: ColumnMap):  # type: ignore[no-untyped-def]
        return setting(name, given, self.feed, self.defaults)


def coded(text: str, codes: Mapping[str, str], column: Column) -> str:
    """SQL: the contract's value of a bank's code. A code outside the map is passed on, and marked
    where the contract would take it: nothing lands that the map does not name."""
    arms = "".join(
        f" when {text} is null then {_target(to)}"
        if code == ""
        else f" when {text} = {literal(code)} then {_target(to)}"
        for code, to in codes.items()
    )
    known = ""
    if column.values:
        known = f"{text} in ({', '.join(map(literal, column.values))})"
    elif column.type == FLAG or column.form is not None:
        form = PATTERNS[FLAG] if column.form is None else f"(?i){column.form}"
        known = f"regexp_full_match({text}, {literal(form)})"
    marked = f" when {known} then {literal(MARK)} || {text}" if known else ""
    return f"case{arms}{marked} else {text} end" if arms or marked else text


def _target(value: str) -> str:
    return literal(value) if value else "null"


def _part(column: Column, part: str = "") -> str:
    return quoted(f"_{column.name}{part}")


def _tried(name: str) -> str:
    return f"_try_{name}"


def _failed(tried: str) -> str:
    name = tried.removeprefix("_try_")
    what = "the condition (where)" if name == WHERE else f"the expression of {name}"
    return f"{what} cannot be computed"
