"""Check a delivery without building from it: the output and the exit status of `check`.

The delivery is read, landed and checked by G1 exactly as in a refresh, in a folder of its own below
`<home>/tmp` that is removed at the end. The home's landing, warehouse and releases do not change,
so that a refresh may run at the same time.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import duckdb
from pydantic import ValidationError

from orchestration.platform import environment, terminal
from orchestration.platform.engine import connect
from orchestration.platform.erased import read_register
from orchestration.platform.files import OTHERS
from orchestration.platform.gate_words import found_words, limit_words, rule_words
from orchestration.platform.settings import PREFIX, PYDANTIC, Settings, name_of, read_settings
from orchestration.platform.wording import Found, in_language
from reports.formats import ENGLISH, padded
from sources import codes
from sources.contract import BY_NAME, SIGNS
from sources.interface import DeliveryRefused, Source
from sources.mapping.source import MappedFiles
from sources.message import Message

if TYPE_CHECKING:
    from expectations.rules import GateResult
    from orchestration.landing.engine import TableLanded

Status = Literal["ok", "gate_failed", "refused"]
EXIT: dict[Status, int] = {"ok": 0, "gate_failed": 1, "refused": 2}
VERDICT: dict[Status, str] = {
    "ok": Message("ok: a refresh would accept this delivery"),
    "gate_failed": Message("gate G1 fails: a refresh would stop there"),
    "refused": Message("refused: a refresh cannot build from this delivery"),
}
COUNTED = {
    "delivered": Message("delivered"),
    "landed": Message("landed"),
    "quarantined": Message("quarantined"),
    "later": Found("later", Message("rows outside the history")),
}
SEVERITIES = {
    "fail": Message("fail"),
    "warn": Message("warn"),
    "overridden": Message("overridden"),
}


class TableRows(TypedDict):
    """delivered = landed + quarantined + later. `later` are the rows outside the history, which are
    ignored; `earlier` is the number of those before it."""

    table: str
    delivered: int
    landed: int
    quarantined: int
    later: int
    earlier: int


class MonthTotal(TypedDict):
    """Landed bookings of a month (`YYYY-MM`) and the sum of their amounts, two decimals."""

    month: str
    bookings: int
    amount: str


class RuleJudged(TypedDict):
    rule: str
    seen: str
    limit: str
    success: bool
    severity: str


@dataclass(frozen=True)
class Judgement:
    """The result of a check, its texts messages. Tables, control totals and gate are empty if
    nothing is landed.

    `places` are where the problems are, without a value of a record.
    """

    status: Status
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    tables: list[TableRows] = field(default_factory=list)
    control: list[MonthTotal] = field(default_factory=list)
    gate: list[RuleJudged] = field(default_factory=list)
    months: str = ""
    places: tuple[str, ...] = ()
    language: str = ENGLISH

    @property
    def as_of(self) -> str:
        """The as-of month, `YYYY-MM`; empty if nothing is landed."""
        return self.months.rpartition(" ")[2]

    def as_json(self) -> str:
        """One object on one line, in English, without `months` and `places`."""
        left_out = ("months", "places", "language")
        return json.dumps(
            {name: value for name, value in vars(self).items() if name not in left_out}
        )

    def worded(self, text: str) -> str:
        return in_language(text, self.language)

    def lines(self) -> Iterator[str]:
        """The result as lines of text."""

        def head(name: str, *columns: tuple[str, int]) -> str:
            return padded(self.worded(name), 16) + "".join(
                padded(self.worded(column), -width) for column, width in columns
            )

        if self.months:
            yield self.worded(Message("months {0}", self.months))
        if self.tables:
            yield head(Message("table"), *((name, 13) for name in COUNTED.values()))
            for table in self.tables:
                counts: Mapping[str, Any] = table
                yield f"{table['table']:<16}" + "".join(f"{counts[name]:>13,}" for name in COUNTED)
        if self.control:
            yield self.worded(Message("control totals of the landed transactions"))
            yield head(Message("month"), (Message("bookings"), 13), (Message("amount"), 22))
            for month in self.control:
                amount = f"{Decimal(month['amount']):,.2f}"
                yield f"{month['month']:<16}{month['bookings']:>13,}{amount:>22}"
        if self.gate:
            broken = [rule for rule in self.gate if not rule["success"]]
            failed = sum(rule["severity"] == "fail" for rule in broken)
            counted = len(self.gate), failed, len(broken) - failed
            yield self.worded(Message("G1: {0} rules, {1} failed, {2} warning(s)", *counted))
            for rule in broken:
                severity = self.worded(SEVERITIES[rule["severity"]])
                yield f"  [{severity}] {self.worded(rule['rule'])}"
                seen = Message("seen {0}; limit {1}", rule["seen"], rule["limit"])
                yield f"    {self.worded(seen)}"
        yield from (self.worded(Message("note: {0}", note)) for note in self.notes)


def check(given: Mapping[str, str], *, as_json: bool = False, quiet: bool = False) -> int:
    """Check a delivery and print the result; returns the exit status (`EXIT`).

    Parameters
    ----------
    given
        Settings named on the command line (`source_path`, `as_of` …).
    as_json
        Print one JSON object on standard output, and nothing else there.
    quiet
        Print only the problems, on standard error.
    """
    for stream in (sys.stdout, sys.stderr):
        # The name of a file may contain characters that the terminal cannot encode.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    os.environ.update(environment.QUIET)
    os.umask(OTHERS)
    with redirect_stdout(sys.stderr):
        found = judgement(given)
    if as_json:
        print(found.as_json())
        return EXIT[found.status]
    if not quiet:
        _show(found)
    for problem in found.problems:
        terminal.problem(found.worded(Message("problem: {0}", problem)))
    verdict = found.worded(VERDICT[found.status])
    if found.problems:
        terminal.problem(verdict)
    elif not quiet:
        print(verdict)
    return EXIT[found.status]


def _show(found: Judgement) -> None:
    if not terminal.is_terminal() or found.language != ENGLISH:
        print("\n".join(found.lines()), flush=True)
        return
    totals = [{**month, "amount": Decimal(month["amount"])} for month in found.control]
    for title, rows in (("Tables", found.tables), ("Landed transactions", totals)):
        if rows:
            terminal.table(f"{title}, months {found.months}", rows)
    lines = replace(found, tables=[], control=[], months="").lines()
    print(*(f"{line}\n" for line in lines), sep="", end="", flush=True)


def judgement(given: Mapping[str, str]) -> Judgement:
    """Check the delivery of the settings; `given` settings override the environment, and the source
    is `files` by default. An unreadable delivery is refused with the reason."""
    named = dict(given)
    if not os.environ.get(f"{PREFIX}SOURCE"):
        named.setdefault("source", "files")
    language = ENGLISH
    try:
        settings = read_settings(**named)
        language = settings.language
        with own_place(settings.home) as place:
            found = judge_delivery(settings.model_copy(update={"home": place}), settings)
            return replace(found, language=language)
    except DeliveryRefused as error:
        return Judgement(
            "refused",
            [problem.message for problem in error.problems],
            places=tuple(error.places),
            language=language,
        )
    except ValidationError as error:
        return Judgement(
            "refused",
            [
                Message(
                    "{0} is invalid: {1}",
                    *(name_of(problem["loc"]), problem["msg"].removeprefix(PYDANTIC)),
                )
                for problem in error.errors()
            ],
            places=("settings",),
        )
    except ValueError as error:
        return Judgement("refused", [str(error)], places=(type(error).__name__,), language=language)
    except Exception as error:
        # A delivery may be malformed in unforeseen ways and still needs a result. Only the first
        # line: later ones quote the query, sometimes with values.
        what = (str(error).splitlines() or [""])[0]
        return Judgement(
            "refused",
            [Message("cannot be checked: {0}: {1}", type(error).__name__, what)],
            places=(type(error).__name__,),
            language=language,
        )


@contextmanager
def own_place(home: Path) -> Iterator[Path]:
    """A folder below `<home>/tmp` that no other check uses, removed at the end.

    The operating system releases the lock of a killed check: the next check removes folders whose
    lock is free.
    """
    tmp = home / "tmp"
    tmp.mkdir(parents=True, exist_ok=True)
    with (tmp / "check.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        for left in tmp.glob("check-*"):
            with (left / "lock").open("w") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
            shutil.rmtree(left, ignore_errors=True)
        place = Path(tempfile.mkdtemp(prefix="check-", dir=tmp))
        own = (place / "lock").open("w")
        fcntl.flock(own, fcntl.LOCK_EX)
    before, tempfile.tempdir = tempfile.tempdir, str(place)
    try:
        yield place
    finally:
        tempfile.tempdir = before
        shutil.rmtree(place, ignore_errors=True)
        own.close()


def judge_delivery(settings: Settings, serving: Settings) -> Judgement:
    """Read, land and check the settings' delivery in the settings' home, which is this check's own,
    and compare it with the release of the home `serving`.

    Raises
    ------
    DeliveryRefused
        When nothing can be landed.
    """
    from orchestration.landing.delivery import open_delivery
    from orchestration.landing.engine import Window, land
    from orchestration.landing.opening import opening_notes
    from orchestration.landing.previous import record_previous
    from orchestration.landing.token_key import token_key
    from orchestration.platform.partitions import first_day, last_day

    with connect(settings) as connection:
        delivery = open_delivery(settings, connection)
        notes = delivery.notes(connection)
        # Great Expectations takes seconds to import: do it while DuckDB lands.
        judging = threading.Thread(target=lambda: __import__("great_expectations"), daemon=True)
        judging.start()
        first, last = first_day(delivery.first_month), first_day(delivery.as_of)
        window = Window(first, first, last, last_day(delivery.as_of))
        summary = land(
            connection,
            delivery.source,
            window,
            settings.landing,
            token_key(settings),
            register=read_register(serving),
        )
        record_previous(connection, serving, delivery)
        judging.join()
        from expectations.gate import judge
        from expectations.suites.landing import landing_suite
        from orchestration.platform.gates import GATE_RESULT
        from orchestration.platform.overrides import Overriding
        from orchestration.platform.tables import ensure_table

        ensure_table(connection, GATE_RESULT)
        given = Overriding(serving, build_number=1)
        outcome = judge(connection, landing_suite(SIGNS), 1, "check", given.covers)
        return Judgement(
            "ok" if outcome.success else "gate_failed",
            [_in_words(rule) for rule in outcome.failed],
            [
                *opening_notes(connection, window),
                *notes,
                *summary.lines(),
                *codes_to_add(delivery.source, summary.tables),
                *(_in_words(rule) for rule in outcome.warned),
                *given.notes,
            ],
            [_table_rows(table) for table in summary.tables],
            _control(connection),
            [_judged(rule) for rule in outcome.results],
            Message("{0} to {1}", delivery.first_month, delivery.as_of),
            tuple(f"gate G1: {place}" for place in outcome.places()),
        )


def codes_to_add(source: Source, tables: Sequence[TableLanded]) -> Iterator[str]:
    """The lines that a mapping lacks for the codes of rows in quarantine."""
    if isinstance(source, MappedFiles):
        for table in tables:
            for column, counts in table.unknown.items():
                if counts:
                    yield Message(
                        "add each code to {0}.codes in {1}, with one of {2}:{3}",
                        f"tables.{table.table_name}.columns.{column}",
                        source.mapping.name,
                        codes.listed(BY_NAME[table.table_name].column(column).values),
                        codes.to_add(counts, BY_NAME[table.table_name].column(column).values),
                    )


def _in_words(result: GateResult) -> Found:
    meaning, seen = rule_words(result.meaning), found_words(result.observed)
    text, cure = result.observed, rule_words(result.cure)
    if result.unexpected:
        text = f"{text} ({result.unexpected})"
        seen = Message("{0} ({1})", seen, found_words(result.unexpected))
    if result.overridden:
        text = f"{text}; {result.overridden}"
        seen = Message("{0}; {1}", seen, found_words(result.overridden))
    words = Message("G1 warns: {0}: {1}. {2}", meaning, seen, cure)
    if result.stops:
        words = Message("G1 fails: {0}: {1}. {2}", meaning, seen, cure)
    state = "fails" if result.stops else "warns"
    return Found(f"G1 {state}: {result.meaning}: {text}. {_begun(result.cure)}", words)


def _begun(text: str) -> str:
    return text[:1].upper() + text[1:]


def _table_rows(table: TableLanded) -> TableRows:
    return {
        "table": table.table_name,
        "delivered": table.rows,
        "landed": table.landed,
        "quarantined": table.quarantined,
        "later": table.after_as_of + table.before_first_month,
        "earlier": table.before_first_month,
    }


def _control(connection: duckdb.DuckDBPyConnection) -> list[MonthTotal]:
    found = connection.execute("""
        select strftime(month, '%Y-%m'), count(*), sum(amount)::decimal(38, 2)::varchar
        from landing.transaction group by month order by month""").fetchall()
    return [{"month": m, "bookings": count, "amount": amount} for m, count, amount in found]


def _judged(result: GateResult) -> RuleJudged:
    seen = Found(result.observed, found_words(result.observed))
    if result.unexpected:
        places = Found(result.unexpected, found_words(result.unexpected))
        seen = Found(f"{seen} ({places})", Message("{0} ({1})", seen, places))
    meaning = Found(result.meaning, rule_words(result.meaning))
    return {
        "rule": Message("{0}: {1}", result.subject, meaning),
        "seen": seen,
        "limit": Found(result.limit, limit_words(result.limit)) if result.limit else "",
        "success": result.success,
        "severity": "overridden" if result.overridden else result.severity,
    }
