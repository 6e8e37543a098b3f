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
from sources.mapping.values import MARK, WHERE, parsed, used_columns

AGAIN = "Deliver the complete file again."
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
                    cure = "Correct the pattern."
                    yield relations.draft.problem((*place, "file"), fault, cure)
                    continue
                found = matching(pattern, relations.paths)
                if not found and not fed.feed.optional:
                    near = difflib.get_close_matches(pattern, relations.paths, n=1)
                    guess = f" Is it {near[0]}?" if near else ""
                    cure = f"Deliver it, or correct {self._line((*place, 'file'))}.{guess}"
                    yield Problem(pattern, "", "is missing", cure)
                root = relations.path.resolve()
                for path in found:
                    if not (relations.path / path).resolve().is_relative_to(root):
                        what = "is a link to a file outside of the delivery: expected a file"
                        yield Problem(path, "", what, "Deliver the file itself.")

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
                    what = f"feeds the table {table.name} twice"
                    yield Problem(file.label, "", what, "Name each file once for a table.")
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
        yield from unstamped(files, "Put the month ({YYYYMM}) into every file of the table.")
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
                what = f"the expression `{text}` {error}"
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
                what = f"the name `{name}` is taken and is a column of {file.label}, too"
                place = (*fed.place, "lookups")
                yield self.relations.draft.problem(place, what, "Choose another name.")
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
            yield Problem(file.label, "", "has *, ? or [ in its path", "Rename it.")
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
            yield Problem(file.label, "", f"cannot be unpacked: {error}", AGAIN)
            return ()
        except duckdb.Error as error:
            reason = str(error).splitlines()[0]
            yield Problem(file.label, "", f"cannot be read: {reason}", AGAIN)
            return ()
        if not header:
            cure = "Start with the column names, or name them in the mapping (header)."
            yield Problem(file.label, "", "has no header in its first line", cure)
            return ()
        marks = [mark for mark in DELIMITERS if len(header) == 1 and mark in header[0]]
        if marks and file.is_csv:
            shown = "\\t" if marks[0] == "\t" else marks[0]
            what = f"is not delimited by `{self.relations.setting('delimiter', part)}`"
            yield Problem(file.label, "", what, f'Add delimiter: "{shown}" to {self.mapping}.')
            return ()
        counted = Counter(name.lower() for name in header)
        twice = [name for name, count in counted.items() if count > 1]
        reserved = [name for name in counted if name in (*RESERVED, "file_row_number")]
        for name in twice:
            yield Problem(file.label, name, "is delivered twice", "Name each column once.")
        for name in reserved:
            yield Problem(file.label, name, "has a reserved name", "Rename it.")
        return () if twice or reserved else header

    def _encoding(self, part: Feed | Lookup) -> str:
        given = self.relations.setting("encoding", part)
        if given == "gbk":
            return f"Write encoding: gb18030 in {self.mapping}: it has all of GBK and more."
        return f"Correct encoding ({given}) in {self.mapping}, or deliver the file again."

    def _no_column(
        self,
        file: DeliveredFile,
        name: str,
        known: Mapping[str, str],
        fed: Fed,
        by: tuple[str, ...],
    ) -> Problem:
        near = difflib.get_close_matches(name.lower(), known, n=1)
        guess = f" Is it {known[near[0]]}?" if near else ""
        line = self._line((*fed.place, "columns", *by) if by else fed.place)
        reads = f"; {'.'.join((fed.table.name, *by))} is read from it"
        return Problem(
            file.label,
            name,
            f"the column is missing{reads}",
            f"Deliver it, or correct {line}. The columns are {_few(list(known.values()))}.{guess}",
        )

    def _lookup(self, lookup: Lookup, file: DeliveredFile, place: Place) -> Iterator[Problem]:
        relations, whole = self.relations, True
        for one in relations.lookup_files(lookup, file):
            header = yield from self._readable(lookup, one)
            known = _lowered((*header, *taken(lookup.lookups)))
            for name in (*lookup.match, *lookup.take.values()):
                if header and name.lower() not in known:
                    cure = f"Correct {self._line(place)}. Its columns are {_few(header)}."
                    yield Problem(one.label, name, "the column is missing", cure)
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
            what = f"{repeated:,} value(s) of {', '.join(lookup.match)} are in several rows"
            cure = "Add pick: min or pick: max, or match more columns."
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
                what = f"is of type {kind}: expected {column.type} ({fed.table.name}.{name})"
                cure = "Deliver days as DATE and amounts as DECIMAL or text."
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
                f"Check delimiter, quote, header and expressions in {self.mapping}.",
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
                    f"the expression cannot be computed: {str(error).splitlines()[0]}",
                    "Values are text: cast them, as in try_cast(AMT as decimal(18, 2)).",
                )
        if not culprits:
            yield Problem(file.label, "", f"cannot be read: {reason}", AGAIN)

    def _cure(self, table: Table) -> Cure:
        """The line to add to the mapping for values that do not fit."""

        def cure(column: Column, seen: Mapping[str, int]) -> str:
            place = f"tables.{table.name}.columns.{column.name}"
            if column.values:
                shown = [] if table.personal else sorted(seen, key=lambda one: (-seen[one], one))
                code = shown[0].removeprefix(MARK) if shown else "<code>"
                near = codes.nearest(code, column.values) or "<value>"
                return (
                    f"Add each code to {place}.codes in {self.mapping}, such as "
                    f'"{code}": {near}; the values are {codes.listed(column.values)}.'
                )
            keys = {DAY: "dates", FLAG: "codes"}.get(column.type, "decimal, thousands or unit")
            return f"Correct its column or {keys} at {place} in {self.mapping}."

        return cure

    def _line(self, place: Place) -> str:
        line = self.relations.draft.line(place)
        return f"{self.mapping}, line {line}" if line else self.mapping


def _lowered(names: Sequence[str]) -> dict[str, str]:
    return {name.lower(): name for name in names}


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    return ", ".join(names[:MOST_LISTED]) + more
