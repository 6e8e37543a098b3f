"""Run a gate: DuckDB computes a suite's profiles, Great Expectations checks them.

No figure leaves the process: the context is ephemeral, analytics are off, and nothing is written to
the working directory.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from itertools import pairwise
from numbers import Real
from typing import TYPE_CHECKING, Any

import duckdb

from expectations.rules import Breach, GateOutcome, GateResult, Place, Profile, Rule, Suite

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations.core.batch_definition import BatchDefinition

# A larger result is not a profile: it would grow with the bank.
MOST_PROFILE_ROWS = 100_000
MOST_NAMED = 8

RESULT_COLUMNS = {
    "gate": "VARCHAR",
    "suite": "VARCHAR",
    "expectation": "VARCHAR",
    "severity": "VARCHAR",
    "success": "BOOLEAN",
    "observed": "VARCHAR",
    "build_number": "BIGINT",
    "run_id": "VARCHAR",
    "subject": "VARCHAR",
    "cure": "VARCHAR",
    "meaning": "VARCHAR",
    "unexpected": "VARCHAR",
    "about": "VARCHAR[]",
    "bound": "VARCHAR",
    "lines": "VARCHAR[]",
    "rule": "VARCHAR",
    "places": "VARCHAR[]",
    "overridden": "VARCHAR",
}


class ProfileError(Exception):
    """A profile cannot be computed; the gate reports the message."""


def judge(
    connection: duckdb.DuckDBPyConnection,
    suite: Suite,
    build_number: int,
    run_id: str,
    overridden: Callable[[GateResult], str] = lambda _: "",
) -> GateOutcome:
    """Compute the suite's profiles, check them, and store both in the warehouse.

    Profiles become tables `profile.<subject>`; the results replace those of the same gate in
    `meta.gate_result`, which the caller has made, but for another suite's about the same build. A
    profile that cannot be computed, or an expectation that errs, fails its rules: it never passes
    them. `overridden` is asked of each rule that stops the refresh: a text that states who accepts
    this makes it a warning.
    """
    connection.execute("create schema if not exists profile")
    results: dict[int, GateResult] = {}
    numbered = list(enumerate(suite.rules))
    for subject, given in suite.profiles.items():
        profile = Profile(given) if isinstance(given, str) else given
        rules = [(number, rule) for number, rule in numbered if rule.subject == subject]
        connection.execute(f"drop table if exists profile.{subject}")
        try:
            reason = _off(connection, profile)
            if reason:
                for number, rule in rules:
                    results[number] = _unjudged(suite, rule, True, f"not judged: {reason}")
                continue
            frame = _compute(connection, subject, profile)
        except ProfileError as error:
            for number, rule in rules:
                results[number] = _unjudged(suite, rule, False, str(error))
            continue
        if not rules:
            continue
        for number, success, observed, unexpected, breaches, places in _judge_frame(
            frame, profile, rules
        ):
            result = _result(suite, suite.rules[number], success, observed, unexpected)
            result = replace(result, breaches=breaches, places=places)
            results[number] = replace(result, overridden=result.stops and overridden(result) or "")
    outcome = GateOutcome(
        suite.gate, suite.name, build_number, run_id, tuple(results[n] for n, _ in numbered)
    )
    _keep(connection, outcome)
    return outcome


def _result(suite: Suite, rule: Rule, success: bool, observed: str, unexpected: str) -> GateResult:
    return GateResult(
        gate=suite.gate,
        suite=suite.name,
        subject=rule.subject,
        expectation=_described(rule),
        severity=rule.severity,
        success=success,
        observed=observed,
        unexpected=unexpected,
        meaning=rule.meaning,
        cure=rule.cure,
        limit=_limit(*rule.type_and_arguments()),
        rule=rule.name,
        binding=rule.binding,
    )


def _unjudged(suite: Suite, rule: Rule, success: bool, observed: str) -> GateResult:
    return replace(_result(suite, rule, success, observed, ""), judged=False)


def _described(rule: Rule) -> str:
    kind, arguments = rule.type_and_arguments()
    inside = ", ".join(f"{name}={_shown(value)}" for name, value in arguments.items())
    return f"{kind}({inside})"


def _limit(kind: str, arguments: Mapping[str, Any]) -> str:
    """What an expectation allows, in words."""
    if "value_set" in arguments:
        values = ", ".join(_shown(value) for value in arguments["value_set"])
        return f"none of {values}" if kind.endswith("not_be_in_set") else values
    least, most = arguments.get("min_value"), arguments.get("max_value")
    if least is None or most is None:
        ends = (("at least", least), ("at most", most))
        return "".join(f"{words} {_shown(end)}" for words, end in ends if end is not None)
    if least == -most:
        return f"±{_shown(most)}"
    return _shown(least) if least == most else f"{_shown(least)} to {_shown(most)}"


def _exists(connection: duckdb.DuckDBPyConnection, table: str) -> bool:
    schema, name = table.split(".", 1)
    found = connection.execute(
        "select count(*) from information_schema.tables where table_schema = ? and table_name = ?",
        [schema, name],
    ).fetchall()
    return bool(found[0][0])


def _off(connection: duckdb.DuckDBPyConnection, profile: Profile) -> str:
    """Why the profile's capability is off; empty when it is on."""
    for table in profile.off_without:
        if not _exists(connection, table):
            return profile.off_means or f"{table} does not exist"
        schema, name = table.split(".", 1)
        if not connection.execute(f'select 1 from {schema}."{name}" limit 1').fetchall():
            return profile.off_means or f"{table} is empty"
    if profile.off_when:
        _require(connection, profile)
        try:
            if connection.execute(profile.off_when).fetchall()[0][0]:
                return profile.off_means
        except duckdb.Error as error:
            raise ProfileError(f"the profile cannot be computed: {_first_line(error)}") from None
    return ""


def _require(connection: duckdb.DuckDBPyConnection, profile: Profile) -> None:
    missing = [table for table in profile.needs if not _exists(connection, table)]
    if missing:
        raise ProfileError(f"{', '.join(missing)} does not exist: build the previous layer")


def _compute(connection: duckdb.DuckDBPyConnection, subject: str, profile: Profile) -> pd.DataFrame:
    _require(connection, profile)
    try:
        sql = profile.sql if isinstance(profile.sql, str) else profile.sql(connection)
        connection.execute(f"create table profile.{subject} as {sql}")
        rows = connection.execute(f"select count(*) from profile.{subject}").fetchall()[0][0]
        if rows > MOST_PROFILE_ROWS:
            connection.execute(f"drop table profile.{subject}")
            raise ProfileError(
                f"the profile is invalid: expected at most {MOST_PROFILE_ROWS} rows, found {rows}"
            )
        return connection.execute(f"select * from profile.{subject}").df()
    except duckdb.Error as error:
        raise ProfileError(f"the profile cannot be computed: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    # Later lines of DuckDB's messages quote the query, sometimes with values from the data.
    return str(error).splitlines()[0]


@cache
def _whole_frames() -> BatchDefinition:
    """Great Expectations' batch definition for frames in memory, silent and without a store.

    Cached, since adding one rewrites the whole configuration.
    """
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    os.environ.setdefault("DO_NOT_TRACK", "1")
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    asset = context.data_sources.add_pandas("engine").add_dataframe_asset("profile")
    return asset.add_batch_definition_whole_dataframe("whole")


def _judge_frame(
    frame: pd.DataFrame,
    profile: Profile,
    rules: Sequence[tuple[int, Rule]],
) -> Iterable[tuple[int, bool, str, str, tuple[Breach, ...], tuple[Place, ...]]]:
    """Number, success, observed value, unexpected rows, breaches and places of each rule of a
    profile."""
    import great_expectations as gx
    from great_expectations.expectations.registry import get_expectation_impl

    beyond_chance = {}
    expectations = []
    for number, rule in rules:
        kind, arguments = rule.type_and_arguments()
        if rule.interval is not None:
            beyond_chance[f"beyond_chance_{number}"] = _beyond_chance(frame, rule)
            arguments["column"] = f"beyond_chance_{number}"
        column = arguments.get("column")
        expectations.append(
            get_expectation_impl(kind)(**arguments, meta={"rule": number, "part": "rule"})
        )
        if column is not None and rule.nulls == "fail":
            not_null = get_expectation_impl("expect_column_values_to_not_be_null")
            expectations.append(
                not_null(**{"column": column}, meta={"rule": number, "part": "null"})
            )
    batch = _whole_frames().get_batch(batch_parameters={"dataframe": frame.assign(**beyond_chance)})
    suite = gx.ExpectationSuite(name="profile", expectations=expectations)
    validated = batch.validate(suite, result_format="COMPLETE").to_json_dict()

    parts: dict[int, dict[str, dict[str, Any]]] = {number: {} for number, _ in rules}
    for one in validated["results"]:
        meta = one["expectation_config"]["meta"]
        parts[meta["rule"]][meta["part"]] = one
    for number, rule in rules:
        yield number, *_read(frame, profile, rule, parts[number])


def _beyond_chance(frame: pd.DataFrame, rule: Rule) -> pd.Series:
    """The point of each figure's interval nearest to the rule's limits, or the figure itself if its
    interval is unknown. A bootstrap interval need not contain its figure."""
    _, arguments = rule.type_and_arguments()
    value, low, high = (frame[name] for name in (arguments["column"], *(rule.interval or ())))
    low, high = low.fillna(value).clip(upper=value), high.fillna(value).clip(lower=value)
    least, most = arguments.get("min_value", -math.inf), arguments.get("max_value", math.inf)
    above = value.mask(value > most, low.clip(lower=most))
    return above.mask(value < least, high.clip(upper=least))


def _read(
    frame: pd.DataFrame, profile: Profile, rule: Rule, parts: Mapping[str, Mapping[str, Any]]
) -> tuple[bool, str, str, tuple[Breach, ...], tuple[Place, ...]]:
    _, arguments = rule.type_and_arguments()
    column = arguments.get("column")
    raised = _exception(parts)
    if raised:
        observed = f"the rule cannot be checked: {raised}"
        return False, observed, "", _breaches(frame, profile, rule, observed, ()), ()
    success = all(part["success"] for part in parts.values())
    result = parts["rule"]["result"]
    positions = sorted(
        {
            position
            for part in parts.values()
            for position in part["result"].get("unexpected_index_list") or []
        }
    )
    if "element_count" in result:
        observed = _observed_column(frame, column, len(positions))
        unexpected = _named(frame, profile.key, column, positions)
    else:
        observed, unexpected = _shown(result.get("observed_value")), ""
    if success:
        return True, observed, unexpected, (), ()
    label = rule.figure or (column or "rows").replace("_", " ")
    breaches = _breaches(frame, profile, rule, f"{label} {observed}", positions)
    return False, observed, unexpected, breaches, _places(frame, profile, rule, positions)


def _breaches(
    frame: pd.DataFrame, profile: Profile, rule: Rule, observed: str, positions: Sequence[int]
) -> tuple[Breach, ...]:
    """The rows that break the rule by table or model; without rows, one breach of the observed
    value."""
    about = rule.about or profile.about
    if not positions:
        return (Breach("" if "{" in about else about, observed),)
    column = rule.type_and_arguments()[1]["column"]
    label = rule.figure or column.replace("_", " ")
    by_about: dict[str, list[int]] = {}
    for position in positions:
        named = about.format_map(frame.iloc[position].to_dict())
        by_about.setdefault(named, []).append(position)
    key = [name for name in profile.key if f"{{{name}}}" not in about]
    found = []
    for named, places in by_about.items():
        farthest = max(places, key=lambda place: _distance(frame[column].iloc[place], rule))
        row = {str(name): value for name, value in frame.iloc[farthest].items()}
        where = _where(frame, key, places, row)
        chance = _chance(row, rule)
        seen = f"{label} {_shown(row[column])}" if column not in key else label
        if rule.interval is not None and not chance:
            seen += " (no interval is known)"
        found.append(Breach(named, seen, where, chance))
    return tuple(found)


def _places(
    frame: pd.DataFrame, profile: Profile, rule: Rule, positions: Sequence[int]
) -> tuple[Place, ...]:
    """What an override would have to cover."""
    place = rule.about or profile.place or profile.about
    if not positions:
        return (Place("" if "{" in place else place),)
    figures: dict[str, list[float]] = {}
    for position in positions:
        row = frame.iloc[position].to_dict()
        figure = row[rule.type_and_arguments()[1]["column"]]
        number = float(figure) if isinstance(figure, Real | Decimal) else math.nan
        figures.setdefault(place.format_map(row), []).append(number)
    return tuple(
        Place(name) if any(map(math.isnan, found)) else Place(name, min(found), max(found))
        for name, found in figures.items()
    )


def _distance(value: Any, rule: Rule) -> float:
    """How far a figure lies beyond its limits; infinite for a value that is not a number."""
    _, arguments = rule.type_and_arguments()
    try:
        figure = float(value)
    except (TypeError, ValueError):
        return math.inf
    if "value_set" in arguments:
        return abs(figure)
    least, most = arguments.get("min_value", -math.inf), arguments.get("max_value", math.inf)
    return math.inf if math.isnan(figure) else max(least - figure, figure - most)


def _where(
    frame: pd.DataFrame, key: Sequence[str], places: Sequence[int], row: Mapping[str, Any]
) -> str:
    """The row farthest beyond the limit, and how many more there are; months as ranges."""
    if list(key) == ["month"]:
        text = _month_ranges(_as_date(frame["month"].iloc[place]) for place in places)
    else:
        more = f" and {len(places) - 1} more" if len(places) > 1 else ""
        text = ", ".join(_shown(row[name]) for name in key) + more
    detail = row["detail"] if "detail" in frame else None
    return ": ".join(part for part in (text, detail) if isinstance(part, str) and part)


def _chance(row: Mapping[str, Any], rule: Rule) -> str:
    """Why the breach is beyond chance; empty if the figure is not of a sample."""
    if isinstance(row.get("chance"), str):
        return str(row["chance"])
    if rule.interval is None:
        return ""
    low, high = (_shown(row[name]) for name in rule.interval)
    return "" if "empty" in (low, high) else f"90 % interval {low} to {high}"


def _exception(parts: Mapping[str, Mapping[str, Any]]) -> str:
    for part in parts.values():
        information = part["exception_info"]
        # One metric's exception comes flat, several come by metric.
        entries = [information] if "raised_exception" in information else information.values()
        for entry in entries:
            if entry.get("raised_exception"):
                return str(entry.get("exception_message")).splitlines()[0]
    return ""


def _observed_column(frame: pd.DataFrame, column: str | None, broken: int) -> str:
    rows = len(frame)
    share = f"{broken} of {rows} rows break it" if broken else f"{rows} rows"
    if column is None or column not in frame:
        return share
    judged = frame[column].dropna()
    if rows == 1:
        return f"{column} {_shown(frame[column].iloc[0])}"
    if judged.empty:
        return f"{share}; {column} is empty"
    if judged.dtype.kind not in "ifub":
        return share
    low, high = judged.min(), judged.max()
    between = _shown(low) if low == high else f"{_shown(low)} to {_shown(high)}"
    return f"{share}; {column} {between}"


def _named(
    frame: pd.DataFrame, key: Sequence[str], column: str | None, positions: Sequence[int]
) -> str:
    """The rows that break a rule, by their key; long runs of months as ranges."""
    if not positions:
        return ""
    if tuple(key) == ("month",) and len(positions) > MOST_NAMED:
        return _month_ranges(_as_date(frame["month"].iloc[p]) for p in positions)
    named = []
    for position in positions[:MOST_NAMED]:
        row = frame.iloc[position]
        text = ", ".join(_shown(row[name]) for name in key)
        detail = "" if "detail" not in frame else row["detail"]
        if column is not None and column in frame and column not in key:
            text = f"{text} ({column} {_shown(row[column])})" if text else ""
        if isinstance(detail, str) and detail:
            text = f"{text}: {detail}" if text else detail
        named.append(text)
    if len(positions) > MOST_NAMED:
        named.append(f"and {len(positions) - MOST_NAMED} more")
    return "; ".join(text for text in named if text)


def _as_date(value: Any) -> date:
    return date(value.year, value.month, value.day)


def _month_ranges(months: Iterable[date]) -> str:
    ordered = sorted(months)
    runs: list[list[date]] = [[ordered[0]]]
    for before, after in pairwise(ordered):
        following = (after.year - before.year) * 12 + after.month - before.month == 1
        if following:
            runs[-1].append(after)
        else:
            runs.append([after])
    texts = [
        f"{run[0]:%Y-%m}" if len(run) == 1 else f"{run[0]:%Y-%m} to {run[-1]:%Y-%m}" for run in runs
    ]
    if len(texts) > MOST_NAMED:
        texts = [*texts[:MOST_NAMED], f"and {len(texts) - MOST_NAMED} more runs of months"]
    return "; ".join(texts)


def _shown(value: Any) -> str:
    """A formatted value: whole numbers without decimals, months as YYYY-MM."""
    # NaN, NaT and NA; NA cannot be compared, even with itself.
    if value is None or str(value) in ("nan", "NaT", "<NA>"):
        return "empty"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime | date):
        return f"{value:%Y-%m}" if value.day == 1 else f"{value:%Y-%m-%d}"
    if isinstance(value, str):
        return value
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value)
    if not math.isfinite(number):
        return str(number)
    if number == int(number):
        return str(int(number))
    return f"{number:.2f}" if abs(number) >= 1000 else f"{number:.4g}"


def _keep(connection: duckdb.DuckDBPyConnection, outcome: GateOutcome) -> None:
    for name, kind in RESULT_COLUMNS.items():
        connection.execute(f"alter table meta.gate_result add column if not exists {name} {kind}")
    rows = [
        [
            {
                **vars(result),
                "build_number": outcome.build_number,
                "run_id": outcome.run_id,
                "about": list(result.about),
                "bound": result.limit,
                "lines": list(result.lines()),
                "places": [place.name for place in result.places],
                "overridden": result.overridden or None,
            }[name]
            for name in RESULT_COLUMNS
        ]
        for result in outcome.results
    ]
    marks = ", ".join("?" for _ in RESULT_COLUMNS)
    connection.execute("begin transaction")
    try:
        connection.execute(
            "delete from meta.gate_result where gate = ? and (suite = ? or build_number <> ?)",
            [outcome.gate, outcome.suite, outcome.build_number],
        )
        if rows:
            connection.executemany(
                f"insert into meta.gate_result ({', '.join(RESULT_COLUMNS)}) values ({marks})", rows
            )
        connection.execute("commit")
    except duckdb.Error:
        connection.execute("rollback")
        raise
