"""A person overrides a rule of a gate for a time, or withdraws that."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from difflib import get_close_matches

from expectations.rules import Profile, Rule
from expectations.suites import (
    base_suite,
    decisions_suite,
    landing_suite,
    models_suite,
    scores_suite,
    value_suite,
)
from orchestration.models.studies import STUDIES
from orchestration.platform import audit
from orchestration.platform.identity import OVERRIDE_GATE, approver_of
from orchestration.platform.overrides import Terms, read, subject_of, today
from orchestration.platform.refusal import Refused
from orchestration.platform.settings import Settings
from sources.contract import SIGNS, TABLES

LEAST_REASON = 10
LONGEST_DAYS = 92


class OverrideRefused(Refused):
    """The override is not valid; nothing changes."""


@dataclass(frozen=True)
class Asked:
    """What a person asks for, as typed."""

    rule: str
    table: str = ""
    bound: str = ""
    expires: str = ""
    approver: str = ""
    reason: str = ""


def rules() -> dict[str, tuple[Profile, Rule]]:
    """Every rule by gate and name, as `G1/landing_quarantine.above_tolerance`."""
    suites = (
        *(landing_suite(SIGNS), base_suite(), value_suite(), models_suite(tuple(STUDIES))),
        scores_suite([one for study in STUDIES.values() for one in study.gate], tuple(STUDIES)),
        decisions_suite(),
    )
    found = {}
    for suite in suites:
        for rule in suite.rules:
            profile = suite.profiles[rule.subject]
            profile = Profile(profile) if isinstance(profile, str) else profile
            found[f"{suite.gate}/{rule.name}"] = profile, rule
    return found


def override(settings: Settings, asked: Asked) -> str:
    """Record an override; returns what it covers, in words.

    Raises
    ------
    OverrideRefused
        With every problem at once: an unknown rule, one that warns or may not be overridden, a
        missing table, a bound that the rule has no use for, a last day that is past or more than 92
        days ahead, a short reason.
    orchestration.platform.identity.ActRefused
        Without the role.
    """
    with _decided(settings, asked) as (doing, profile, rule, problems):
        place = _place(profile, rule, asked.table, problems)
        least, most = _range(rule, asked.bound, problems)
        last = _last_day(asked.expires, problems)
        if len(asked.reason.strip()) < LEAST_REASON:
            problems.append(f"REASON is too short: expected at least {LEAST_REASON} characters")
        name = _refused(settings, asked, problems)
        terms = Terms(
            approver=name,
            reason=asked.reason.strip(),
            expires=last,
            bound=float(asked.bound) if asked.bound else None,
            least=least,
            most=most,
        )
        doing.subject = subject_of(asked.rule, place)
        _write_down(settings, doing, terms)
    return f"{doing.subject} until {last}"


def withdraw(settings: Settings, asked: Asked) -> str:
    """End an override; returns what it covered. Raises as `override`, and where there is none in
    force."""
    with _decided(settings, asked) as (doing, profile, rule, problems):
        place = _place(profile, rule, asked.table, problems)
        name = _refused(settings, asked, problems)
        doing.subject = subject_of(asked.rule, place)
        given = {(one.rule, one.place): one.state for one in read(settings)}
        if given.get((asked.rule, place)) != "in force":
            raise OverrideRefused(
                f"no override of {doing.subject} is in force. See make overrides."
            )
        terms = Terms(name, asked.reason.strip(), withdrawn=True)
        _write_down(settings, doing, terms)
    return doing.subject


def _write_down(settings: Settings, doing: audit.Act, terms: Terms) -> None:
    detail = terms.sealed(settings, doing.subject)
    if len(detail) > audit.LONGEST:
        raise OverrideRefused(
            f"the override of {doing.subject} is invalid: APPROVER and REASON are too long: its "
            f"line of the trail has {len(detail)} characters, expected at most {audit.LONGEST}."
        )
    doing.detail = detail


@contextmanager
def _decided(
    settings: Settings, asked: Asked
) -> Iterator[tuple[audit.Act, Profile, Rule, list[str]]]:
    """The rule, and a list for what is wrong with the rest, within the act."""
    detail = f"approver {asked.approver.strip()}; {asked.reason.strip()}"
    with audit.audited(settings, OVERRIDE_GATE, asked.rule, detail=detail) as doing:
        known = rules()
        if asked.rule not in known:
            near = get_close_matches(asked.rule, known, n=3)
            meant = f" Did you mean {' or '.join(near)}?" if near else ""
            raise OverrideRefused(
                f"RULE={asked.rule} is invalid: expected a rule as the gate report names it, such "
                f"as G1/landing_quarantine.above_tolerance.{meant}"
            )
        profile, rule = known[asked.rule]
        if rule.severity != "fail":
            raise OverrideRefused(f"RULE={asked.rule} only warns: there is nothing to override.")
        if rule.binding:
            raise OverrideRefused(
                f"RULE={asked.rule} can never be overridden: {rule.binding}. To go on, {rule.cure}."
            )
        yield doing, profile, rule, []


def _refused(settings: Settings, asked: Asked, problems: list[str]) -> str:
    """The approver; refuses what is wrong with what is asked."""
    name = approver_of(settings, asked.approver).strip()
    if not name:
        problems.append("APPROVER is missing")
    if problems:
        raise OverrideRefused(f"the override of {asked.rule} is invalid: {'; '.join(problems)}.")
    return name


def _place(profile: Profile, rule: Rule, table: str, problems: list[str]) -> str:
    """What the override covers: the rule's own table, or the one that is named."""
    place = rule.about or profile.place or profile.about
    if "{" not in place:
        if table and table != place:
            problems.append(f"TABLE={table} is invalid: expected {place}, the rule's own")
        return place
    pattern = re.sub(r"\\\{\w+\\\}", r"[A-Za-z0-9_]+", re.escape(place))
    schema, _, name = table.partition(".")
    known = {"landing": {one.name for one in TABLES}, "models": set(STUDIES)}.get(schema, {name})
    if not re.fullmatch(pattern, table) or name not in known:
        shown = re.sub(r"\{(\w+)\}", r"<\1>", place)
        problems.append(f"TABLE={table} is invalid: expected {shown}, which the rule is about")
    return table


def _range(rule: Rule, bound: str, problems: list[str]) -> tuple[float | None, float | None]:
    """The least and greatest figure that is accepted up to a bound; None without one."""
    if not bound:
        return None, None
    limits = rule.limits()
    try:
        figure = float(bound)
    except ValueError:
        figure = math.nan
    if limits is None or not math.isfinite(figure):
        expected = "none, since the rule is not about a figure" if limits is None else "a number"
        problems.append(f"BOUND={bound} is invalid: expected {expected}")
        return None, None
    least, most = limits
    if least is not None and most is not None and least == -most and abs(figure) > most:
        return -abs(figure), abs(figure)
    if most is not None and figure > most:
        return least, figure
    if least is not None and figure < least:
        return figure, most
    problems.append(f"BOUND={bound} is invalid: expected a figure beyond the limit of the rule")
    return None, None


def _last_day(text: str, problems: list[str]) -> str:
    first, last = today(), today() + timedelta(LONGEST_DAYS)
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = date.min
    if not first <= day <= last:
        problems.append(
            f"EXPIRES={text} is invalid: expected a day from {first} to {last}, at most "
            f"{LONGEST_DAYS} days ahead"
        )
    return day.isoformat()
