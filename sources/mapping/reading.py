"""Read `mapping.yml`: its faults of form and against the contract, all at once, each with a line.

What is faulty is left out and the rest is read on, so that the delivery is checked against it in
the same run.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from pydantic import ValidationError

from sources import codes
from sources.contract import BY_NAME, DAY, FLAG, MONEY, TEXT, Column, Table
from sources.grammar import PATTERNS
from sources.interface import Problem
from sources.mapping.dates import is_two_digit
from sources.mapping.model import ColumnMap, Feed, Mapping, setting
from sources.message import Message, guess, sentences

Place = tuple[str | int, ...]
# In place of a feed that cannot be read: the places of the others must stay.
LEFT_OUT: tuple[dict[str, str], ...] = ({},)
WRITE = Message("Correct the line; docs/mapping.md lists the keys.")


class TextLoader(yaml.SafeLoader):
    """Every scalar is text: a code `01`, `N` or `1e3` stays what the bank wrote."""


TextLoader.yaml_implicit_resolvers = {}


@dataclass
class Draft:
    """A mapping as far as it can be read, and its problems; `faulty` are places left out."""

    path: Path
    mapping: Mapping | None = None
    problems: list[Problem] = field(default_factory=list)
    lines: dict[Place, int] = field(default_factory=dict)
    faulty: set[Place] = field(default_factory=set)
    digest: str = ""

    @cached_property
    def feeds(self) -> dict[str, list[tuple[Place, Feed]]]:
        """The feeds of the contract's tables that can be read, with their places in the file."""
        found: dict[str, list[tuple[Place, Feed]]] = {}
        for name, feeds in (self.mapping.tables if self.mapping else {}).items():
            for number, feed in enumerate(feeds):
                listed: Place = ("tables", name, number)
                place = listed if listed in self.lines else ("tables", name)
                if name in BY_NAME and feed.rows != LEFT_OUT:
                    found.setdefault(name, []).append((place, feed))
        return found

    def line(self, place: Place) -> int | None:
        """The line of a place, or of the nearest one around it."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines[place] if place else None

    def problem(self, place: Place, what: str, cure: str) -> Problem:
        """A problem at a place of the file."""
        file: str = self.path.name
        if number := self.line(place):
            file = Message("{0}, line {1}", file, number)
        parts = [str(part) for part in place if not isinstance(part, int)]
        if parts[:1] == ["tables"] and parts[1:]:
            file = Message("{0}, table {1}", file, parts[1])
        column = parts[3] if parts[2:3] == ["columns"] and parts[3:] else ""
        return Problem(file, column, what, cure)


def read_mapping(path: Path) -> Draft:
    """The mapping of a file, as far as it can be read, with its problems."""
    draft = Draft(path)
    cure = Message("Set MAPPING (JINGXI_MAPPING) to the mapping's file; make map proposes one.")
    try:
        content = path.read_bytes()
        draft.digest = hashlib.sha256(content).hexdigest()
        text = content.decode("utf-8-sig")
    except OSError:
        what = Message("is a folder") if path.is_dir() else Message("does not exist")
        draft.problems.append(Problem(str(path), "", what, cure))
        return draft
    except UnicodeDecodeError as error:
        what = Message("is not UTF-8: byte {0}", error.start)
        draft.problems.append(Problem(path.name, "", what, Message("Save it as UTF-8.")))
        return draft
    try:
        node = yaml.compose(text, Loader=TextLoader)
        raw = _plain(node, (), draft)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = Message("{0}, line {1}", path.name, mark.line + 1) if mark else path.name
        what = Message("is no YAML: {0}", str(getattr(error, "problem", None) or error))
        cure = Message("Quote values with : # or quotes in them.")
        draft.problems.append(Problem(where, "", what, cure))
        return draft
    if not isinstance(raw, dict):
        what = Message("is empty: expected the key tables")
        draft.problems.append(Problem(path.name, "", what, Message("make map proposes a mapping.")))
        return draft
    draft.mapping = _validated(raw, draft)
    draft.problems += _against_contract(draft)
    return draft


def _plain(node: Any, place: Place, draft: Draft) -> Any:
    """The node's value, with the lines of all places and repeated keys as problems."""
    if node is None:
        return None
    draft.lines[place] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key, value in node.value:
            name = str(key.value)
            inner = (*place, name)
            if name in found:
                draft.lines[inner] = key.start_mark.line + 1
                what = Message("the key `{0}` is there twice", name)
                cure = Message("Remove one of the two.")
                draft.problems.append(draft.problem(inner, what, cure))
                continue
            found[name] = _plain(value, inner, draft)
            draft.lines[inner] = key.start_mark.line + 1
        return found
    if isinstance(node, yaml.SequenceNode):
        return [_plain(one, (*place, number), draft) for number, one in enumerate(node.value)]
    return str(node.value)


def _validated(raw: dict[str, Any], draft: Draft) -> Mapping | None:
    """The mapping without its faulty parts; None if nothing is left."""
    for _ in range(len(draft.lines) + 1):
        try:
            return Mapping.model_validate(raw)
        except ValidationError as error:
            for fault in error.errors():
                place = _place(fault["loc"], raw)
                if place not in draft.faulty:
                    draft.faulty.add(place)
                    what, cure = _in_words(fault, place)
                    draft.problems.append(draft.problem(place, what, cure))
            if not all([_remove(raw, place) for place in list(draft.faulty)]):
                return None
    return None


def _place(given: tuple[str | int, ...], raw: Any) -> Place:
    """pydantic's location in the file as written: a table with one feed may be no list."""
    place: list[str | int] = []
    node = raw
    for part in given:
        if isinstance(part, int) and not isinstance(node, list):
            continue
        place.append(part)
        try:
            node = node[part]
        except (KeyError, IndexError, TypeError):
            node = None
    return tuple(place)


def _in_words(fault: Any, place: Place) -> tuple[str, str]:
    key, kind = str(place[-1]) if place else "", fault["type"]
    if kind == "extra_forbidden":
        known = [name for model in (Mapping, Feed, ColumnMap) for name in model.model_fields]
        near = difflib.get_close_matches(key, known, n=1)
        what = Message("the key `{0}` is unknown", key)
        return what, sentences(Message("Remove or correct it."), guess(near))
    if kind == "missing":
        return Message("the key `{0}` is missing", key), WRITE
    if kind == "value_error":
        return fault["ctx"]["error"].args[0], WRITE
    given, message = fault.get("input"), str(fault["msg"])
    if isinstance(given, str):
        return Message("`{0}`: {1}: found `{2}`", key, message, given), WRITE
    return Message("`{0}`: {1}", key, message), WRITE


def _remove(raw: Any, place: Place) -> bool:
    """Take a faulty part out: the column it is in, or the key itself. Returns whether there is
    anything left to read."""
    if place[:1] == ("tables",):
        names = [number for number, part in enumerate(place) if part == "columns"]
        if names and len(place) > names[0] + 1:
            place = place[: names[0] + 2]
        elif len(place) > 2 and place[-1] in ("file", "rows", "columns", "where", "lookups"):
            # A feed that lacks one of these gives no rows.
            place = place[:-1]
        elif "lookups" in place:
            place = place[: place.index("lookups")]
    elif place and place[-1] == "tables":
        return False
    if not place:
        return False
    node = raw
    for part in place[:-1]:
        try:
            node = node[part]
        except (KeyError, IndexError, TypeError):
            return True
    if isinstance(node, dict):
        node.pop(place[-1], None)
    elif isinstance(node, list) and isinstance(place[-1], int) and place[-1] < len(node):
        node[place[-1]] = {"rows": list(LEFT_OUT)}
    return bool(raw.get("tables"))


def _against_contract(draft: Draft) -> Iterator[Problem]:
    tables = draft.mapping.tables if draft.mapping else {}
    for name in tables:
        if name not in BY_NAME:
            near = codes.nearest(name, tuple(BY_NAME))
            known = Message("Its tables are {0}.", ", ".join(BY_NAME))
            cure = sentences(Message("Remove or correct it."), guess([near]) if near else known)
            yield draft.problem(("tables", name), Message("is no table of the contract"), cure)
    faulty = {str(place[1]) for place in draft.faulty if len(place) > 1}
    for table in BY_NAME.values():
        if table.required and not tables.get(table.name) and table.name not in faulty:
            yield Problem(
                draft.path.name,
                "",
                Message("the required table {0} is not mapped", table.name),
                Message("Add tables.{0} with its file and columns.", table.name),
            )
    for name, feeds in draft.feeds.items():
        for place, feed in feeds:
            yield from _of_feed(draft, BY_NAME[name], feed, place)


def _of_feed(draft: Draft, table: Table, feed: Feed, place: Place) -> Iterator[Problem]:
    for number, row in enumerate(feed.rows):
        yield from _of_row(draft, table, row, (*place, "rows", number))
    if feed.rows:
        return
    columns = (*place, "columns")
    left_out = {one[len(columns)] for one in draft.faulty if one[: len(columns)] == columns != one}
    for name in table.required_columns:
        if name not in feed.columns and name not in left_out:
            yield draft.problem(
                (*place, "columns", name),
                Message("a required column is not mapped"),
                Message("Add the line {0}: <column>, or a constant or expression.", name),
            )
    for name, column in feed.columns.items():
        where = (*place, "columns", name)
        if name not in table.column_names:
            near = codes.nearest(name, table.column_names)
            known = Message("They are {0}.", ", ".join(table.column_names))
            what = Message("is no column of the contract's {0}", table.name)
            cure = sentences(Message("Remove or correct it."), guess([near]) if near else known)
            yield draft.problem(where, what, cure)
            continue
        yield from _of_column(draft, table.column(name), column, feed, where)


def _of_row(draft: Draft, table: Table, row: dict[str, str], place: Place) -> Iterator[Problem]:
    missing = [name for name in table.required_columns if not row.get(name)]
    if missing:
        what = Message("the row has no {0}", ", ".join(missing))
        yield draft.problem(place, what, Message("Fill the required columns of every row."))
    for name, value in row.items():
        if name not in table.column_names:
            what = Message("`{0}` is no column of the contract's {1}", name, table.name)
            cure = Message("They are {0}.", ", ".join(table.column_names))
            yield draft.problem(place, what, cure)
        elif value and not fits(table.column(name), value):
            what = Message("`{0}` is no {1}", value, name)
            yield draft.problem(place, what, _expected(table.column(name)))


def _of_column(
    draft: Draft, column: Column, given: ColumnMap, feed: Feed, place: Place
) -> Iterator[Problem]:
    defaults = draft.mapping.defaults if draft.mapping else None
    if given.constant is not None and given.codes is None and not fits(column, given.constant):
        yield draft.problem(
            place, Message("the constant `{0}` does not fit", given.constant), _expected(column)
        )
    wrong = {code: to for code, to in (given.codes or {}).items() if to and not fits(column, to)}
    for code, target in wrong.items():
        near = codes.nearest(target, column.values)
        where = (*place, "codes", code)
        what = Message("the code `{0}` becomes `{1}`", code, target)
        cure = sentences(_expected(column), guess([near] if near else []))
        yield draft.problem(where, what, cure)
    of_kind = {
        **{key: column.type == DAY for key in ("dates", "earliest_year")},
        **{key: column.is_number for key in ("decimal", "thousands", "unit", "direction")},
        **{key: column.type == MONEY for key in ("credit",)},
    }
    for key, fitting in of_kind.items():
        if getattr(given, key) is not None and not fitting:
            what = Message("{0} has no meaning for {1}", key, column.type)
            yield draft.problem((*place, key), what, Message("Remove it."))
    if given.negate and not column.is_number:
        what = Message("{0} has no meaning for {1}", "negate", column.type)
        yield draft.problem((*place, "negate"), what, Message("Remove it."))
    if given.unit == "cents" and column.type != MONEY:
        what = Message("the unit cents has no meaning for {0}", column.type)
        yield draft.problem((*place, "unit"), what, Message("Use percent for rates."))
    formats = setting("dates", given, feed, defaults) if column.type == DAY else ()
    if any(map(is_two_digit, formats)) and setting("earliest_year", given, feed, defaults) is None:
        yield draft.problem(
            place,
            Message("its years have two digits"),
            Message(
                "Add earliest_year, the first of the hundred years that they mean, such as 1930."
            ),
        )


def fits(column: Column, value: str) -> bool:
    """Whether a text is a value of the contract's column."""
    if column.values:
        return value in column.values
    if column.form is not None:
        return re.fullmatch(column.form, value.strip().upper()) is not None
    if column.type == TEXT:
        return True
    if re.fullmatch(PATTERNS[column.type], value) is None:
        return False
    if column.type == DAY:
        try:
            date.fromisoformat(value[:10])
        except ValueError:
            return False
    return True


def _expected(column: Column) -> str:
    if column.values:
        return Message("Use one of {0}.", codes.listed(column.values))
    if column.form is not None:
        return Message("Use a code such as {0}.", column.example)
    if column.type == FLAG:
        return Message("Use true or false.")
    return Message("Use a value of {0}, such as {1}.", column.type, column.example)
