"""Tables of rows: a column has a title and a way to show a row."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from markupsafe import Markup

Row = Mapping[str, Any]
# Words of a column: of the given values of a row.
Words = Callable[[Any], str]


@dataclass(frozen=True)
class Cell:
    """A table cell: its text (escaped unless it is markup), CSS classes and inline style."""

    text: str | Markup
    css: str = ""
    style: str = ""


@dataclass(frozen=True)
class Column:
    """A column's title and its cell of a row; figures are aligned right."""

    title: str
    cell: Callable[[Row], Cell]
    is_figure: bool = True


Columns = Iterable["Column | Columns"]


def flat(columns: Columns) -> Iterator[Column]:
    for column in columns:
        if isinstance(column, Column):
            yield column
        else:
            yield from flat(column)


def _figure(text: str) -> Cell:
    return Cell(text, "figure loss" if text.startswith(("-", "< -")) else "figure")


def texts(words: Words, titles: Mapping[str, str]) -> list[Column]:
    """Columns of texts: how they are worded, then title by name."""

    def column(name: str) -> Column:
        # A day is not broken at its hyphens.
        return Column(
            titles[name],
            lambda row: Cell(words(row[name]), "day" if isinstance(row[name], date) else ""),
            is_figure=False,
        )

    return [column(name) for name in titles]


def figures(
    words: Words, titles: Mapping[str, str], within: str | None = None, marked: str | None = None
) -> list[Column]:
    """Columns of figures: how they are worded, then title by name.

    `within` names the part of a row that holds the figures, `marked` the part that names the
    column to emphasise. A row without a figure has an empty cell.
    """

    def column(name: str) -> Column:
        def cell(row: Row) -> Cell:
            part = row[within] if within else row
            shown = _figure(words(part[name]) if name in part else "")
            if marked and row[marked] == name:
                return Cell(shown.text, f"{shown.css} why")
            return shown

        return Column(titles[name], cell)

    return [column(name) for name in titles]


def mixed(
    words: Mapping[str, Words],
    worded: Mapping[str, str],
    rows: Iterable[Row],
    without: Collection[str] = (),
) -> list[Column]:
    """Columns of rows whose names differ, titled by their names; numbers are figures.

    `words` are ways to word a value, `worded` names that of a column; otherwise a value is plain.
    """
    values: dict[str, list[Any]] = {}
    for row in rows:
        for name, value in row.items():
            values.setdefault(name, []).append(value)

    def column(name: str) -> Column:
        word = words[worded.get(name, "plain")]
        is_figure = any(isinstance(value, int | Decimal) for value in values[name])

        def cell(row: Row) -> Cell:
            text = word(row[name]) if name in row else ""
            return _figure(text) if is_figure else Cell(text)

        return Column(words["titled"](name), cell, is_figure)

    return [column(name) for name in values if name not in without]


def labels(
    counted: Words, title: str, words: Words, kinds: Mapping[str, str] | None = None
) -> Column:
    """What a row is called: by its kind (`{others}` stands for its number), else by its key."""

    def cell(row: Row) -> Cell:
        by_kind = (kinds or {}).get(row.get("kind", ""))
        if by_kind is None:
            return Cell(words(row["key"]))
        return Cell(by_kind.format(others=counted(row.get("others"))))

    return Column(title, cell, is_figure=False)


def made(title: str, macro: Callable[[Row], str]) -> Column:
    """A column of texts that a macro of the template writes."""
    return Column(title, lambda row: Cell(macro(row).strip()), is_figure=False)


def bars(rows: Iterable[Row], name: str = "economic_profit") -> Column:
    """Bars on the scale of the rows, right of the zero line for profit; none on sums."""
    shown = [0.0, *(float(row[name]) for row in rows if "kind" not in row)]
    low, high = min(shown), max(shown)
    zero, span = -low, high - low or 1.0

    def cell(row: Row) -> Cell:
        if "kind" in row:
            return Cell("")
        value = float(row[name])
        start, length, line = (
            f"{100 * part / span:.1f}%" for part in (zero + min(value, 0), abs(value), zero)
        )
        bar = Markup('<span class="bar {}"></span>').format("bad" if value < 0 else "good")
        return Cell(bar, "barred", f"--start: {start}; --length: {length}; --zero: {line}")

    return Column("", cell, is_figure=False)


def heats(counted: Words, share: Words, titles: Mapping[str, str]) -> list[Column]:
    """Where the customers of a row went: their number, and their share as words and as heat."""

    def column(to: str) -> Column:
        def cell(row: Row) -> Cell:
            customers, whole = row["to"][to], row["all"]
            if "kind" in row:
                return _figure(counted(customers))
            if not customers:
                return Cell("·", "figure soft")
            part = customers / whole
            words = share(part) if part >= 0.001 else f"< {share(0.001)}"
            text = Markup('{} <span class="soft share">{}</span>').format(counted(customers), words)
            # The root keeps small moves visible beside those who stay.
            heat = f"--heat: {0.06 + 0.4 * math.sqrt(part):.2f}"
            return Cell(text, f"figure heat {row['course'][to]}", heat)

        return Column(titles[to], cell)

    return [column(to) for to in titles]


def warmths(
    words: Words, titles: Mapping[str, str], within: str, rows: Iterable[Row]
) -> list[Column]:
    """Columns of amounts with the larger ones in a stronger colour, on one scale over all columns:
    green above zero, red below. Sums have none; `within` names the part of a row that holds them.
    """
    amounts = [row[within].get(name) for row in rows if "kind" not in row for name in titles]
    largest = max((abs(float(amount)) for amount in amounts if amount), default=0.0)

    def column(name: str) -> Column:
        def cell(row: Row) -> Cell:
            amount = row[within].get(name)
            if amount is None:
                return Cell("·", "figure soft")
            shown = _figure(words(amount))
            if "kind" in row or not largest:
                return shown
            heat = f"--heat: {0.5 * math.sqrt(abs(float(amount)) / largest):.2f}"
            return Cell(shown.text, f"{shown.css} heat {'down' if amount < 0 else 'up'}", heat)

        return Column(titles[name], cell)

    return [column(name) for name in titles]
