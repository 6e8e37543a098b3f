"""What is wrong with a delivery by its mapping: files, columns, expressions, values."""

from __future__ import annotations

import difflib
import zlib
from collections import Counter, defaultdict
from collections.abc import Generator, Iterator, Mapping, Sequence

import duckdb

from sources import codes
from sources.contract import DAY, FLAG, MONEY, Column, Table
from sources.delimited import RESERVED, Inspection, quoted
from sources.delivered import (
    LINKED,
    PATTERNED,
    RESERVED_NAME,
    TWICE,
    ZONED,
    Cure,
    DeliveredFile,
    Misfit,
    delivered_twice,
    emptiness,
    judge_values,
    misfit_problems,
    unstamped,
)
from sources.interface import Problem
from sources.mapping.expressions import CURE, ExpressionRefused, parse, unknown_columns
from sources.mapping.model import Feed, Lookup
from sources.mapping.places import fault_of, matching
from sources.mapping.reading import Place
from sources.mapping.relations import UNREADABLE, Fed, Relations, taken, with_lookups
from sources.mapping.values import WHERE, parsed, used_columns
from sources.message import Message, guess, listed, sentences

AGAIN = Message("Deliver the complete file again.")
MOST_LISTED = 10
DELIMITERS = (",", ";", "\t", "|")
FLOATS = ("FLOAT", "DOUBLE")


def problems_of(connection: duckdb.DuckDBPyConnection, relations: Relations) -> list[Problem]:
    """Every problem of the delivery; those of the mapping itself are the draft's."""
    check = _Check(connection, relations)
    by_table: dict[str, list[Fed]] = defaultdict(list)
    for fed in relations.feds:
        by_table[fed.table.name].append(fed)
    found = [problem for fed in relations.feds for problem in check.missing_files(fed)]
    for feds in by_table.values():
        found += check.table(feds)
    return found


class _Check:
    def __init__(self, connection: duckdb.DuckDBPyConnection, relations: Relations) -> None:
        self.connection = connection
        self.relations = relations
        self.mapping = relations.draft.path.name

    def missing_files(self, fed: Fed) -> Iterator[Problem]:
        """Files that the mapping names and the delivery does not have, or has elsewhere."""
        relations = self.relations
        for part, place in with_lookups(fed.feed, fed.place):
            for pattern in part.file or ():
                fault = fault_of(pattern)
                if fault is not None:
                    cure: str = Message("Correct the pattern.")
                    yield relations.draft.problem((*place, "file"), fault, cure)
                    continue
                found = matching(pattern, relations.paths)
                if not found and not fed.feed.optional:
                    near = difflib.get_close_matches(pattern, relations.paths, n=1)
                    line = self._line((*place, "file"))
                    cure = sentences(Message("Deliver it, or correct {0}.", line), guess(near))
                    yield Problem(pattern, "", Message("is missing"), cure)
                root = relations.path.resolve()
                for path in found:
                    if not (relations.path / path).resolve().is_relative_to(root):
                        yield Problem(path, "", *LINKED)

    def table(self, feds: Sequence[Fed]) -> Iterator[Problem]:
        """Problems of the files and values of one table."""
        table = feds[0].table
        files: list[DeliveredFile] = []
        empty: list[DeliveredFile] = []
        inspected: list[tuple[DeliveredFile, Inspection]] = []
        misfits: list[Misfit] = []
        for fed in feds:
            faulty = list(self._expressions(fed))
            yield from faulty
            for file in fed.files:
                if any(file.path == other.path for other in files):
                    what = Message("feeds the table {0} twice", table.name)
                    cure = Message("Name each file once for a table.")
                    yield Problem(file.label, "", what, cure)
                    continue
                files.append(file)
                problems = list(dict.fromkeys(self._file(fed, file)))
                yield from problems
                if problems:
                    continue
                inspected.append((file, self.relations.inspection(fed.feed, file)))
                if self.relations.records(self.connection, fed, file) == 0:
                    empty.append(file)
                elif not faulty:
                    for one in self._values(fed, file):
                        if isinstance(one, Misfit):
                            misfits.append(one)
                        else:
                            yield one
        if not any(fed.feed.rows for fed in feds):
            yield from emptiness(table, files, [f for f in files if f not in empty], empty)
        yield from misfit_problems(misfits, self._cure(table))
        cure = Message("Put the month ({{YYYYMM}}) into every file of the table.")
        yield from unstamped(files, cure)
        yield from delivered_twice(table, inspected)

    def _expressions(self, fed: Fed) -> Iterator[Problem]:
        texts: dict[Place, str | None] = {
            (*fed.place, "columns", name, "expression"): column.expression
            for name, column in fed.feed.columns.items()
        }
        texts[(*fed.place, "where")] = fed.feed.where
        for place, text in texts.items():
            try:
                if text is not None:
                    parse(self.connection, text)
            except ExpressionRefused as error:
                what = Message("the expression `{0}` {1}", str(text), error.reason)
                yield self.relations.draft.problem(place, what, CURE)

    def _file(self, fed: Fed, file: DeliveredFile) -> Iterator[Problem]:
        """Why the file, or one that it is joined to, cannot be read; columns that are missing."""
        header = yield from self._readable(fed.feed, file)
        if not header:
            return
        names = taken(fed.feed.lookups)
        known = _lowered((*header, *names))
        for name in names:
            if name.lower() in _lowered(header):
                label = file.label
                what = Message("the name `{0}` is taken and is a column of {1}, too", name, label)
                place = (*fed.place, "lookups")
                yield self.relations.draft.problem(place, what, Message("Choose another name."))
        for name, by in used_columns(fed.feed, {}).items():
            if name.lower() not in known:
                yield self._no_column(file, name, known, fed, (by,) if by else ())
        for name in (*fed.feed.columns, WHERE):
            try:
                expression = parsed(self.connection, fed.feed, only=name)
            except ExpressionRefused:
                continue
            for one in unknown_columns(expression[name], known) if expression else ():
                yield self._no_column(file, one, known, fed, () if name == WHERE else (name,))
        for number, lookup in enumerate(fed.feed.lookups):
            yield from self._lookup(lookup, file, (*fed.place, "lookups", number))

    def _readable(
        self, part: Feed | Lookup, file: DeliveredFile
    ) -> Generator[Problem, None, tuple[str, ...]]:
        """Problems of the file's bytes and header; returns the header if there are none."""
        if any(mark in str(file.path) for mark in "*?["):
            yield Problem(file.label, "", *PATTERNED)
            return ()
        try:
            inspection = self.relations.inspection(part, file)
            if inspection.size == 0:
                return ()
            if inspection.encoding_fault is not None:
                yield Problem(file.label, "", inspection.encoding_fault, self._encoding(part))
                return ()
            header = self.relations.header(self.connection, part, file)
        except (OSError, EOFError, zlib.error) as error:
            yield Problem(file.label, "", Message("cannot be unpacked: {0}", str(error)), AGAIN)
            return ()
        except duckdb.Error as error:
            reason = str(error).splitlines()[0]
            yield Problem(file.label, "", Message("cannot be read: {0}", reason), AGAIN)
            return ()
        if not header:
            cure = Message("Start with the column names, or name them in the mapping (header).")
            yield Problem(file.label, "", Message("has no header in its first line"), cure)
            return ()
        marks = [mark for mark in DELIMITERS if len(header) == 1 and mark in header[0]]
        if marks and file.is_csv:
            shown = "\\t" if marks[0] == "\t" else marks[0]
            given = self.relations.setting("delimiter", part)
            what = Message("is not delimited by `{0}`", given)
            cure = Message('Add delimiter: "{0}" to {1}.', shown, self.mapping)
            yield Problem(file.label, "", what, cure)
            return ()
        counted = Counter(name.lower() for name in header)
        twice = [name for name, count in counted.items() if count > 1]
        reserved = [name for name in counted if name in (*RESERVED, "file_row_number")]
        for name in twice:
            yield Problem(file.label, name, *TWICE)
        for name in reserved:
            yield Problem(file.label, name, *RESERVED_NAME)
        return () if twice or reserved else header

    def _encoding(self, part: Feed | Lookup) -> str:
        given = self.relations.setting("encoding", part)
        if given == "gbk":
            return Message(
                "Write encoding: gb18030 in {0}: it has all of GBK and more.", self.mapping
            )
        return Message(
            "Correct encoding ({0}) in {1}, or deliver the file again.", given, self.mapping
        )

    def _no_column(
        self,
        file: DeliveredFile,
        name: str,
        known: Mapping[str, str],
        fed: Fed,
        by: tuple[str, ...],
    ) -> Problem:
        near = difflib.get_close_matches(name.lower(), known, n=1)
        line = self._line((*fed.place, "columns", *by) if by else fed.place)
        columns = listed(list(known.values()), MOST_LISTED)
        reader = ".".join((fed.table.name, *by))
        return Problem(
            file.label,
            name,
            Message("the column is missing; {0} is read from it", reader),
            sentences(
                Message("Deliver it, or correct {0}. The columns are {1}.", line, columns),
                guess([known[one] for one in near]),
            ),
        )

    def _lookup(self, lookup: Lookup, file: DeliveredFile, place: Place) -> Iterator[Problem]:
        relations, whole = self.relations, True
        for one in relations.lookup_files(lookup, file):
            header = yield from self._readable(lookup, one)
            known = _lowered((*header, *taken(lookup.lookups)))
            for name in (*lookup.match, *lookup.take.values()):
                if header and name.lower() not in known:
                    columns = listed(header, MOST_LISTED)
                    cure = Message("Correct {0}. Its columns are {1}.", self._line(place), columns)
                    yield Problem(one.label, name, Message("the column is missing"), cure)
                    whole = False
            whole = whole and bool(header)
            for number, inner in enumerate(lookup.lookups):
                yield from self._lookup(inner, one, (*place, "lookups", number))
        if lookup.pick is not None or not whole or not relations.lookup_files(lookup, file):
            return
        keys = ", ".join(map(quoted, lookup.match))
        given = " and ".join(f"{quoted(name)} is not null" for name in lookup.match)
        try:
            rows = relations.lookup_rows(self.connection, lookup, file)
            ((repeated,),) = self.connection.execute(
                f"select count(*) from (select {keys} from ({rows}) where {given} "
                f"group by {keys} having count(*) > 1)"
            ).fetchall()
        except UNREADABLE:
            # Reported with the file.
            return
        if repeated:
            names, count = ", ".join(lookup.match), f"{repeated:,}"
            what = Message("{0} value(s) of {1} are in several rows", count, names)
            cure = Message("Add pick: min or pick: max, or match more columns.")
            yield relations.draft.problem(place, what, cure)

    def _values(self, fed: Fed, file: DeliveredFile) -> Iterator[Problem | Misfit]:
        kinds = {
            name.lower(): kind for name, kind in self.relations.kinds(self.connection, file).items()
        }
        wrong = []
        for name, given in fed.feed.columns.items():
            column = next((one for one in fed.table.columns if one.name == name), None)
            kind = kinds.get((given.column or "").lower(), "")
            if column is not None and (
                (column.type == DAY and ZONED.fullmatch(kind))
                or (column.type == MONEY and kind in FLOATS)
            ):
                place = f"{fed.table.name}.{name}"
                what = Message("is of type {0}: expected {1} ({2})", kind, column.type, place)
                cure = Message("Deliver days as DATE and amounts as DECIMAL or text.")
                wrong.append(Problem(file.label, str(given.column), what, cure))
        if wrong:
            yield from wrong
            return
        try:
            source = self.relations.source_file(self.connection, fed, file)
            yield from judge_values(
                self.connection,
                file,
                source.relation,
                dict.fromkeys(source.columns, "VARCHAR"),
                Message("Check delimiter, quote, header and expressions in {0}.", self.mapping),
            )
        except duckdb.Error as error:
            yield from self._unbound(fed, file, str(error).splitlines()[0])

    def _unbound(self, fed: Fed, file: DeliveredFile, reason: str) -> Iterator[Problem]:
        """Which expression the engine refuses, or that the file cannot be read."""
        rows = self.relations.rows(self.connection, fed.feed, file)
        culprits = 0
        for name, expression in parsed(self.connection, fed.feed).items():
            try:
                self.connection.execute(f"describe select {expression.sql} from ({rows})")
            except duckdb.Error as error:
                culprits += 1
                where = ("where",) if name == WHERE else ("columns", name, "expression")
                yield self.relations.draft.problem(
                    (*fed.place, *where),
                    Message("the expression cannot be computed: {0}", str(error).splitlines()[0]),
                    Message("Values are text: cast them, as in try_cast(AMT as decimal(18, 2))."),
                )
        if not culprits:
            yield Problem(file.label, "", Message("cannot be read: {0}", reason), AGAIN)

    def _cure(self, table: Table) -> Cure:
        """The line to add to the mapping for values that do not fit."""

        def cure(column: Column, seen: Mapping[str, int]) -> str:
            place = f"tables.{table.name}.columns.{column.name}"
            if column.values:
                return Message(
                    "Add each code to {0}.codes in {1}, with one of {2}:{3}",
                    *(place, self.mapping, codes.listed(column.values)),
                    codes.to_add(seen, column.values) or ' "<code>": <value>',
                )
            keys = {DAY: "dates", FLAG: "codes"}.get(column.type, "decimal, thousands, unit")
            return Message("Correct its column or {0} at {1} in {2}.", keys, place, self.mapping)

        return cure

    def _line(self, place: Place) -> str:
        line = self.relations.draft.line(place)
        return Message("{0}, line {1}", self.mapping, line) if line else self.mapping


def _lowered(names: Sequence[str]) -> dict[str, str]:
    return {name.lower(): name for name in names}
