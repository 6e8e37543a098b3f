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
from collections.abc import Iterator, Mapping
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
from orchestration.platform.settings import PREFIX, PYDANTIC, Settings, name_of, read_settings
from sources.contract import SIGNS
from sources.interface import DeliveryRefused

if TYPE_CHECKING:
    from expectations.rules import GateResult
    from orchestration.landing.engine import TableLanded

Status = Literal["ok", "gate_failed", "refused"]
EXIT: dict[Status, int] = {"ok": 0, "gate_failed": 1, "refused": 2}
VERDICT: dict[Status, str] = {
    "ok": "ok: a refresh would accept this delivery",
    "gate_failed": "gate G1 fails: a refresh would stop there",
    "refused": "refused: a refresh cannot build from this delivery",
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
    """The result of a check. Tables, control totals and gate are empty if nothing is landed.

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

    @property
    def as_of(self) -> str:
        """The as-of month, `YYYY-MM`; empty if nothing is landed."""
        return self.months.rpartition(" ")[2]

    def as_json(self) -> str:
        """One object on one line, without `months` and `places`."""
        return json.dumps(
            {name: value for name, value in vars(self).items() if name not in ("months", "places")}
        )

    def lines(self) -> Iterator[str]:
        """The result as lines of text."""
        if self.months:
            yield f"months {self.months}"
        if self.tables:
            heads = ("delivered", "landed", "quarantined", "later")
            yield f"{'table':<16}" + "".join(f"{head:>13}" for head in heads)
            for table in self.tables:
                counts: Mapping[str, Any] = table
                yield f"{table['table']:<16}" + "".join(f"{counts[head]:>13,}" for head in heads)
        if self.control:
            yield "control totals of the landed transactions"
            yield f"{'month':<16}{'bookings':>13}{'amount':>22}"
            for month in self.control:
                amount = f"{Decimal(month['amount']):,.2f}"
                yield f"{month['month']:<16}{month['bookings']:>13,}{amount:>22}"
        if self.gate:
            broken = [rule for rule in self.gate if not rule["success"]]
            failed = sum(rule["severity"] == "fail" for rule in broken)
            yield (
                f"G1: {len(self.gate)} rules, {failed} failed, {len(broken) - failed} warning(s)"
            )
            for rule in broken:
                yield f"  [{rule['severity']}] {rule['rule']}"
                yield f"    seen {rule['seen']}; limit {rule['limit']}"
        yield from (f"note: {note}" for note in self.notes)


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
        terminal.problem(f"problem: {problem}")
    if found.problems:
        terminal.problem(VERDICT[found.status])
    elif not quiet:
        print(VERDICT[found.status])
    return EXIT[found.status]


def _show(found: Judgement) -> None:
    if not terminal.is_terminal():
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
    try:
        settings = read_settings(**named)
        with own_place(settings.home) as place:
            return judge_delivery(settings.model_copy(update={"home": place}), settings)
    except DeliveryRefused as error:
        return Judgement(
            "refused",
            [str(problem) for problem in error.problems],
            places=tuple(error.places),
        )
    except ValidationError as error:
        return Judgement(
            "refused",
            [
                f"{name_of(problem['loc'])} is invalid: {problem['msg'].removeprefix(PYDANTIC)}"
                for problem in error.errors()
            ],
            places=("settings",),
        )
    except ValueError as error:
        return Judgement("refused", [str(error)], places=(type(error).__name__,))
    except Exception as error:
        # A delivery may be malformed in unforeseen ways and still needs a result. Only the first
        # line: later ones quote the query, sometimes with values.
        what = (str(error).splitlines() or [""])[0]
        return Judgement(
            "refused",
            [f"cannot be checked: {type(error).__name__}: {what}"],
            places=(type(error).__name__,),
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
                *notes,
                *summary.lines(),
                *opening_notes(connection, window),
                *(_in_words(rule) for rule in outcome.warned),
                *given.notes,
            ],
            [_table_rows(table) for table in summary.tables],
            _control(connection),
            [_judged(rule) for rule in outcome.results],
            f"{delivery.first_month} to {delivery.as_of}",
            tuple(f"gate G1: {place}" for place in outcome.places()),
        )


def _in_words(result: GateResult) -> str:
    state = "fails" if result.stops else "warns"
    where = f" ({result.unexpected})" if result.unexpected else ""
    accepted = f"; {result.overridden}" if result.overridden else ""
    return (
        f"G1 {state}: {result.meaning}: {result.observed}{where}{accepted}. {_begun(result.cure)}"
    )


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
    seen = f"{result.observed} ({result.unexpected})" if result.unexpected else result.observed
    return {
        "rule": f"{result.subject}: {result.meaning}",
        "seen": seen,
        "limit": result.limit,
        "success": result.success,
        "severity": "overridden" if result.overridden else result.severity,
    }
