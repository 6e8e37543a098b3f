"""Overrides of gates: a person accepts for a time that a rule fails on one table.

An override is a line of the audit trail, of act `override_gate`. The last such line about a rule
and a place counts, and a line that withdraws ends what stands before it.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from orchestration.platform import audit
from orchestration.platform.gate_words import found_words
from orchestration.platform.identity import OVERRIDE_GATE, same_person, who
from orchestration.platform.optional_tables import has_column, has_table
from orchestration.platform.refusal import Refused
from orchestration.platform.releases import audit_heads
from orchestration.platform.settings import Settings
from orchestration.platform.tables import write_table

if TYPE_CHECKING:
    from expectations.rules import GateResult, Place

GATE_OVERRIDE = "meta.gate_override"


@dataclass(frozen=True)
class Terms:
    """What a person wrote. `least` and `most` are the figures that are accepted, None without a
    limit; a withdrawal has neither limits nor a last day."""

    approver: str
    reason: str
    expires: str | None = None
    bound: float | None = None
    least: float | None = None
    most: float | None = None
    withdrawn: bool = False

    def sealed(self, settings: Settings, subject: str) -> str:
        """The detail of the line of the trail."""
        return json.dumps(
            {**asdict(self), "seal": self._seal(settings, subject)},
            ensure_ascii=False,
            sort_keys=True,
        )

    def is_of(self, settings: Settings, subject: str, seal: str) -> bool:
        return seal == self._seal(settings, subject)

    def _seal(self, settings: Settings, subject: str) -> str:
        parts = [str(settings.home), subject, asdict(self)]
        return audit.seal(settings, json.dumps(parts, sort_keys=True))


@dataclass(frozen=True)
class Override:
    """An override of the trail. `state` is `in force`, or why it is not."""

    rule: str
    place: str
    terms: Terms
    given_by: str
    given_at: str
    audit_line: int
    state: str

    @property
    def words(self) -> str:
        terms = self.terms
        return f"overridden by {terms.approver} until {terms.expires}: {terms.reason}"

    def fault(self, lowest: float | None, highest: float | None, people: Collection[str]) -> str:
        """Why it does not cover figures that break its rule in a refresh of these people; empty
        where it does."""
        terms = self.terms
        if self.state != "in force":
            return f"it is not in force: {self.state}"
        if any(same_person(terms.approver, one) for one in people):
            return "its approver runs this refresh: expected another person"
        if terms.bound is None:
            return ""
        if lowest is None or highest is None:
            return f"its bound is {terms.bound:g}, and the rule broke without a figure"
        if terms.least is not None and lowest < terms.least:
            return f"its bound is {terms.least:g}, {lowest:g} is seen"
        if terms.most is not None and highest > terms.most:
            return f"its bound is {terms.most:g}, {highest:g} is seen"
        return ""


def subject_of(rule: str, place: str) -> str:
    """The subject of the line of the trail; `rule` is `G1/landing_quarantine.above_tolerance`."""
    return f"{rule} {place}"


def read(settings: Settings) -> list[Override]:
    """Every override of the home, the oldest first.

    Raises
    ------
    orchestration.platform.audit.TrailBroken
        Where the trail, or its end as the releases have it, is not what was written.
    """
    found = audit.examine(settings, audit_heads(settings), act=OVERRIDE_GATE)
    if found.problem:
        raise audit.TrailBroken(found.problem)
    lines = [one for one in found.entries if one.outcome == audit.DONE]
    last = {one.subject: one.sequence for one in lines}
    given = []
    for entry in lines:
        content = json.loads(entry.detail)
        seal = content.pop("seal")
        terms = Terms(**content)
        rule, _, place = entry.subject.partition(" ")
        if terms.withdrawn:
            state = "withdrawal"
        elif not terms.is_of(settings, entry.subject, seal):
            state = "given in another home"
        elif last[entry.subject] != entry.sequence:
            state = "replaced or withdrawn"
        elif date.fromisoformat(terms.expires or "") < today():
            state = "expired"
        else:
            state = "in force"
        given.append(
            Override(rule, place, terms, entry.user_name, entry.happened_at, entry.sequence, state)
        )
    return given


def listed(settings: Settings) -> list[dict[str, Any]]:
    """Every override but withdrawals, the newest first, as rows. Raises as `read`."""
    return [
        {
            "rule": one.rule,
            "place": one.place,
            "state": one.state,
            "expires": one.terms.expires,
            "bound": one.terms.bound,
            "approver": one.terms.approver,
            "reason": one.terms.reason,
            "given_by": one.given_by,
            "given_at": one.given_at,
        }
        for one in reversed(read(settings))
        if not one.terms.withdrawn
    ]


def today() -> date:
    return datetime.now(UTC).date()


class Overriding:
    """The overrides of one judgement of a gate. They are read when the first rule fails."""

    def __init__(self, settings: Settings, build_number: int) -> None:
        self.settings = settings
        self.build_number = build_number
        self.person = ""
        self.notes: list[str] = []
        self._given: dict[tuple[str, str], Override] | None = None
        self._accepted: list[dict[str, Any]] = []

    def covers(self, result: GateResult) -> str:
        """Who accepts that a rule fails, in words; empty where nobody does for one of its
        places."""
        if result.binding or not result.places:
            return ""
        rule = f"{result.gate}/{result.rule}"
        found = [(place, self._override(rule, place)) for place in result.places]
        if not all(one for _, one in found):
            return ""
        self._accepted += [
            _row(one, place, result.observed)
            | {"build_number": self.build_number, "refreshed_by": self.person}
            for place, one in found
            if one
        ]
        return "; ".join(dict.fromkeys(one.words for _, one in found if one))

    def record(self, connection: duckdb.DuckDBPyConnection, gate: str) -> None:
        """Replace the gate's rows of `meta.gate_override`."""
        kept = [row for row in recorded(connection) if row["gate"] != gate]
        rows = [*kept, *self._accepted]
        write_table(connection, GATE_OVERRIDE, pa.Table.from_pylist(rows) if rows else None)

    def _override(self, rule: str, place: Place) -> Override | None:
        if self._given is None:
            self._given = self._read()
        one = self._given.get((rule, place.name))
        if one is None:
            return None
        why = one.fault(place.lowest, place.highest, [self.person])
        if why:
            self.notes.append(
                f"the override of {subject_of(rule, place.name)} does not count: {why}"
            )
        return None if why else one

    def _read(self) -> dict[tuple[str, str], Override]:
        try:
            self.person = who(self.settings).name
            return {(one.rule, one.place): one for one in read(self.settings)}
        except Refused as refused:
            self.notes.append(f"no override counts: {refused}")
            return {}


def complaints(
    connection: duckdb.DuckDBPyConnection, settings: Settings, people: Collection[str] = ()
) -> list[str]:
    """Why failed rules that were overridden at their gate must not be published: each needs a row
    of `meta.gate_override` for every place, and an override in force that still covers it. `people`
    run the refresh, beside the one at the gate."""
    if not has_column(connection, "meta.gate_result", "overridden"):
        return []
    failed = (
        connection.table("meta.gate_result")
        .filter("not success and severity = 'fail' and overridden is not null")
        .project("gate || '/' || rule, build_number, places")
        .fetchall()
    )
    if not failed:
        return []
    accepted = {
        (f"{row['gate']}/{row['rule']}", row["build_number"], row["place"]): row
        for row in recorded(connection)
    }
    given = {(one.rule, one.place): one for one in read(settings)}
    found = []
    for rule, number, places in failed:
        for place in places or [""]:
            row, one = accepted.get((rule, number, place)), given.get((rule, place))
            why = "there is none"
            if row is not None and one is not None:
                why = one.fault(row["lowest"], row["highest"], [*people, row["refreshed_by"]])
            if why:
                found.append(f"rule {rule} failed on {place}, and no override covers it: {why}")
    return found


def recorded(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """The rows of `meta.gate_override`; none in a release of an earlier version."""
    if not has_table(connection, GATE_OVERRIDE):
        return []
    table = connection.table(GATE_OVERRIDE).order("gate, rule, place")
    return [dict(zip(table.columns, row, strict=True)) for row in table.fetchall()]


def worded(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """The same for pages: what was seen as a phrase of the catalogue."""
    rows = recorded(connection)
    return [row | {"observed": found_words(row["observed"])} for row in rows]


def in_words(row: dict[str, Any]) -> str:
    """A row of `meta.gate_override` as one line."""
    return (
        f"{row['gate']}/{row['rule']} on {row['place']} ({row['observed']}), by {row['approver']} "
        f"until {row['expires']}: {row['reason']}"
    )


def _row(one: Override, place: Place, observed: str) -> dict[str, Any]:
    gate, _, rule = one.rule.partition("/")
    return {
        "gate": gate,
        "rule": rule,
        "place": place.name,
        "observed": observed,
        "lowest": place.lowest,
        "highest": place.highest,
        "bound": one.terms.bound,
        "expires": date.fromisoformat(one.terms.expires or ""),
        "approver": one.terms.approver,
        "reason": one.terms.reason,
        "given_by": one.given_by,
        "given_at": one.given_at,
        "audit_line": one.audit_line,
    }
