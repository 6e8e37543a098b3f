"""What a bank answered in an earlier mapping: a further proposal keeps its text and adds to it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml  # type: ignore[import-untyped]

from sources.contract import BY_NAME
from sources.mapping.places import matching
from sources.mapping.reading import TextLoader

Place = tuple[str, ...]
# How sure a proposal was, behind a line; the questions at its end, in any language.
CONFIDENCE = re.compile(r"  # \d+%(?:[:：].*)?$")
QUESTION = re.compile(r"# \d+\. ")
CODES_INDENT, COLUMNS_INDENT = 10, 6


@dataclass(frozen=True)
class Given:
    """A mapping as it stands: its lines, its feeds by table, the keys of `defaults`, and the last
    line of each place that a line can be added to."""

    lines: list[str]
    feeds: dict[str, list[dict[str, Any]]]
    defaults: dict[str, Any]
    ends: dict[Place, int]
    starts: dict[Place, int] = field(default_factory=dict)

    def columns(self, table: str) -> dict[str, Any]:
        """The answered columns of a table with one feed, as written."""
        feeds = self.feeds.get(table, [])
        found = feeds[0].get("columns") if len(feeds) == 1 else None
        return found if isinstance(found, dict) else {}

    def patterns(self, table: str) -> list[str]:
        """The files that a table's feeds name."""
        return [one for feed in self.feeds[table] for one in _listed(feed.get("file"))]

    def all_patterns(self) -> list[str]:
        """The files of all feeds and lookups."""
        return [one for feeds in self.feeds.values() for feed in feeds for one in _files(feed)]

    def covers(self, paths: Iterable[str]) -> bool:
        """Whether a feed or a lookup names one of the files."""
        paths = list(paths)
        return any(matching(pattern, paths) for pattern in self.all_patterns())

    def used(self, table: str) -> set[str]:
        """All texts of a table's feeds: its file columns are among them."""
        return set(_texts(self.feeds[table]))

    def mentions(self, table: str, key: str) -> bool:
        """Whether a comment of a table has a key, such as an open question."""
        named = re.compile(rf'\s*#\s*"?{re.escape(key)}"?:')
        place = ("tables", table)
        if place not in self.ends:
            return False
        start, end = self.starts[place], self.end(place, 2)
        return any(named.match(line) for line in self.lines[start:end])

    def end(self, place: Place, indent: int) -> int:
        """The number of lines up to the end of a place, with the comments that stand deeper."""
        at = self.ends[place] + 1
        deeper = re.compile(rf" {{{indent + 1},}}#")
        while at < len(self.lines) and deeper.match(self.lines[at]):
            at += 1
        return at

    def with_additions(
        self, additions: Mapping[int, Sequence[str]], questions: Sequence[str], given: str
    ) -> str:
        """The text with lines added after the first so many, confidences replaced by `given`, and
        the questions of before replaced."""
        body = self._without_questions()
        found: list[str] = []
        for number, line in enumerate(body):
            found += additions.get(number, ())
            found.append(CONFIDENCE.sub(f"  # {given}", line))
        for number in sorted(one for one in additions if one >= len(body)):
            found += additions[number]
        return "\n".join([*found, *questions]) + "\n"

    def _without_questions(self) -> list[str]:
        """The lines but the numbered questions after the tables, with the line before them."""
        last = self.ends["tables",] + 1
        head = self.lines[:last]
        tail = self.lines[last:]
        kept = [
            line
            for line, after in zip(tail, [*tail[1:], ""], strict=True)
            if not QUESTION.match(line) and not (QUESTION.match(after) and line.startswith("# "))
        ]
        while kept and not kept[-1].strip():
            kept.pop()
        return head + kept


def read_given(text: str) -> Given | None:
    """The answers of a mapping's text; None where it has no tables that lines can be added to.

    Raises
    ------
    yaml.YAMLError
        For a text that is no YAML.
    """
    node = yaml.compose(text, Loader=TextLoader)
    raw = yaml.load(text, Loader=TextLoader)
    tables = raw.get("tables") if isinstance(raw, dict) else None
    if not isinstance(tables, dict):
        return None
    feeds = {
        name: [feed for feed in _listed(value) if isinstance(feed, dict)]
        for name, value in tables.items()
        if name in BY_NAME
    }
    ends: dict[Place, int] = {}
    starts: dict[Place, int] = {}
    _places(node, (), ends, starts)
    if ("tables",) not in ends:
        return None
    defaults = raw.get("defaults")
    return Given(
        *(text.splitlines(), {name: found for name, found in feeds.items() if found}),
        defaults if isinstance(defaults, dict) else {},
        *(ends, starts),
    )


def _places(node: Any, place: Place, ends: dict[Place, int], starts: dict[Place, int]) -> None:
    """The first and last line of every key whose value is written as a block, or is empty."""
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        inner = (*place, str(key.value))
        starts[inner] = key.start_mark.line
        is_block = isinstance(value, yaml.CollectionNode) and not value.flow_style
        if is_block or (isinstance(value, yaml.ScalarNode) and not value.value):
            ends[inner] = max(_last_line(value), key.start_mark.line)
        _places(value, inner, ends, starts)


def _last_line(node: Any) -> int:
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return max(map(_last_line, last)) if isinstance(last, tuple) else _last_line(last)
    end = node.end_mark
    # A block of text ends at the beginning of the line after it.
    return int(end.line - 1 if end.column == 0 and end.line > node.start_mark.line else end.line)


def _files(feed: Mapping[str, Any]) -> Iterator[str]:
    yield from _listed(feed.get("file"))
    for lookup in _listed(feed.get("lookups")):
        if isinstance(lookup, dict):
            yield from _files(lookup)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif value is not None:
        yield str(value)


def _listed(value: Any) -> list[Any]:
    if value is None or value == "":
        return []
    return value if isinstance(value, list) else [value]
