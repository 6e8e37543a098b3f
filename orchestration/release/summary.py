"""The closing words of a refresh: what was published, or why nothing was."""

from __future__ import annotations

import shlex
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import duckdb

from orchestration.landing.health import cure_of
from orchestration.platform.engine import connect
from orchestration.platform.gates import REPORT, report_of
from orchestration.platform.releases import CURRENT, ReleaseRefused, served
from orchestration.platform.settings import Settings
from orchestration.release.restatement import restated
from orchestration.release.value_report import VALUE_REPORT
from orchestration.release.value_report.content import (
    read_head,
    read_months,
    reconciled,
    residuals,
    roll_up,
    together,
)
from orchestration.release.value_report.wording import money, percent

if TYPE_CHECKING:
    from dagster import DagsterEvent, JobExecutionResult

RULE = "─" * 78
# A model's note is cut here; whole in meta.model_version.
LONGEST_NOTE = 160
SHOWN_TABLES = (
    "base.customer",
    "base.account",
    "base.customer_month",
    "value.account_month",
    "value.profit_by_customer",
    "scores.customer",
    "scores.offer",
    "scores.product_attrition",
    "alerts.credit",
    "alerts.transaction",
    "contacts.candidate",
    "decisions.contact_plan",
    "decisions.worklist",
)


def release_summary(settings: Settings, seconds: float | None) -> str:
    """What the served release holds and where to look.

    Raises
    ------
    ReleaseRefused
        When nothing was published yet.
    """
    current = served(settings)
    if current is None:
        raise ReleaseRefused(f"nothing is published in {settings.home} yet; run make refresh")
    with connect(settings, current, read_only=True) as connection:
        sections = [
            _head(connection, seconds),
            _rows(connection),
            _quarantine(connection),
            _gates(connection),
            _models(connection),
            *_value(connection),
            *_restatement(connection),
            *_plan(connection),
        ]
    sections.append(_where(settings, current))
    return "\n".join([RULE, *sections, RULE])


def _fetch(connection: duckdb.DuckDBPyConnection, query: str, *values: Any) -> list[tuple]:
    return connection.execute(query, list(values)).fetchall()


def _head(connection: duckdb.DuckDBPyConnection, seconds: float | None) -> str:
    ((release_id, as_of, source, code),) = _fetch(
        connection, "select release_id, as_of, source, code_version from meta.release"
    )
    took = f", {seconds:.0f} s" if seconds is not None else ""
    return f"Release {release_id}: {source} as of {as_of} (code {code}{took})"


def _rows(connection: duckdb.DuckDBPyConnection) -> str:
    counts = []
    for name in SHOWN_TABLES:
        schema, table = name.split(".")
        known = _fetch(
            connection,
            "select 1 from duckdb_tables() where schema_name = ? and table_name = ?",
            schema,
            table,
        )
        if known:
            ((count,),) = _fetch(connection, f"select count(*) from {schema}.{table}")
            counts.append(f"  {name:<28}{count:>12,}")
    return "\n".join(["Rows", *counts])


def _quarantine(connection: duckdb.DuckDBPyConnection) -> str:
    files = _fetch(
        connection,
        "select table_name, sum(rows)::bigint, sum(landed)::bigint, sum(quarantined)::bigint, "
        "sum(after_as_of)::bigint, sum(before_first_month)::bigint "
        "from meta.input_file group by table_name "
        "having sum(rows) > sum(landed) order by table_name",
    )
    if not files:
        return "Quarantine: no row"
    lines = ["Quarantine and rows outside the history (not seen)"]
    for table, rows, _, quarantined, later, earlier in files:
        lines.append(
            f"  {table:<28}{rows:>12,} rows{quarantined:>8,} in quarantine{later:>9,} later"
            + (f"{earlier:>9,} earlier" if earlier else "")
        )
        lines += [f"      {line}" for line in _bad_codes(connection, table)]
    return "\n".join(lines)


def _bad_codes(connection: duckdb.DuckDBPyConnection, table: str) -> list[str]:
    """What no list of the contract allows, by column; none of a release that does not hold it."""
    if not _fetch(
        connection,
        "select 1 from duckdb_tables() where schema_name = 'meta' and table_name = 'bad_code'",
    ):
        return []
    found = _fetch(
        connection,
        "select column_name, detail from meta.bad_code where table_name = ? order by all",
        table,
    )
    return [f"{column}: {detail}" for column, detail in found]


def _gates(connection: duckdb.DuckDBPyConnection) -> str:
    lines = ["Gates"]
    for gate, rules, failed, warned in _fetch(
        connection,
        "select gate, count(*), count(*) filter (not success and severity = 'fail'), "
        "count(*) filter (not success and severity = 'warn') "
        "from meta.gate_result group by gate order by min(build_number)",
    ):
        state = "passed" if not failed else f"{failed} FAILED"
        lines.append(f"  {gate}  {state:<10}{rules:>4} rules, {warned} warning(s)")
    return "\n".join([*lines, *(f"      {line}" for line in _warnings(connection))])


def _warnings(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """The gates' warnings, a line a table or model; none of a release that does not hold them."""
    held = _fetch(
        connection,
        "select 1 from duckdb_columns() where schema_name = 'meta' "
        "and table_name = 'gate_result' and column_name = 'lines'",
    )
    if not held:
        return []
    found = _fetch(
        connection,
        "select distinct build_number, unnest(lines) as line from meta.gate_result "
        "where not success and severity = 'warn' order by all",
    )
    return [line for _, line in found]


def _models(connection: duckdb.DuckDBPyConnection) -> str:
    lines = ["Models (figure on a later period [90 % interval], beside the simple rule's)"]
    for name, version, kind, metric, value, low, high, rule, note in _fetch(
        connection,
        "select model_name, version, kind, main_metric, value, low, high, rule_value, note "
        "from meta.model_version order by model_name",
    ):
        if version is None:
            lines.append(f"  {name:<14}off: {note}")
            continue
        figure = f"{value:.4f} [{low:.4f}, {high:.4f}]" if value is not None else "-"
        beside = f"{rule:.4f}" if rule is not None else "-"
        lines.append(
            f"  {name:<14}v{version} ({kind})  {metric} {figure}, rule {beside}"
            + (f"\n                {shorten(note, LONGEST_NOTE, placeholder=' …')}" if note else "")
        )
    return "\n".join(lines)


def _value(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """What the bank earned; nothing where a release holds no profit or did not reconcile it."""
    month = read_head(connection)["month"]
    statements = reconciled(connection, month)
    period, _ = read_months(connection, month)
    lines = roll_up(connection, "line", "product_line", period)
    if not statements or not lines:
        return []
    total = together(lines)
    figures = {
        "income": money(total["income"]),
        "contribution": money(total["contribution_margin"]),
        "economic profit": money(total["economic_profit"]),
        "cost-to-income": percent(total["cost_to_income"]),
        "treasury residual": money(residuals(connection, period)["treasury"]),
    }
    said = f"  {statements['held']:,} statements reconcile to the cent"
    if statements["broken"]:
        said += f", {statements['broken']:,} DO NOT"
    return [
        f"Value (last {period.length})",
        *(f"  {name:<28}{figure:>16}" for name, figure in figures.items()),
        said,
    ]


def _restatement(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Which months published before hold other figures now; nothing where none does."""
    found = restated(connection)
    if found is None:
        return []
    first, last = found.months[0], found.months[-1]
    months = f"{len(found.months)} closed month(s), {first} to {last}"
    margin = ""
    if found.before is not None:
        margin = f": contribution margin {money(found.before)} before, {money(found.after)} now"
    return [f"Restated: {months}{margin} (meta.restatement)"]


def _plan(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Whom the bank contacts next month, beside simpler policies; nothing without a plan."""
    known = _fetch(
        connection,
        "select 1 from duckdb_tables() "
        "where schema_name = 'decisions' and table_name = 'plan_comparison'",
    )
    policies = (
        _fetch(
            connection,
            "select policy, contacts, expected_incremental_profit, contact_cost, is_chosen, gap "
            "from decisions.plan_comparison where contacts > 0 "
            "order by is_chosen desc, expected_incremental_profit desc",
        )
        if known
        else []
    )
    if not policies:
        return []
    lines = ["Contacts of the month to come (as the models expect it, within the same limits)"]
    for policy, contacts, profit, cost, is_chosen, gap in policies:
        proven = f", proven within {percent(gap, 3)} of the best" if is_chosen and gap else ""
        lines.append(
            f"  {policy.replace('_', ' '):<28}{money(profit):>16}  {contacts:,} contacts at a cost "
            f"of {money(cost)}{proven}"
        )
    return lines


def _where(settings: Settings, current: Path) -> str:
    link = settings.published / CURRENT
    query = "from scores.customer order by clv_12m desc limit 10"
    program = f"import duckdb; print(duckdb.connect({str(link)!r}, read_only=True).sql({query!r}))"
    reports = settings.reports / current.stem
    value = reports / VALUE_REPORT
    exports = settings.exports / current.stem
    return "\n".join(
        [
            "Look at it",
            f"  database     {link}",
            f"  gate report  {reports / REPORT}",
            *([f"  value report {value}"] if value.exists() else []),
            *([f"  lists        {exports}"] if exports.exists() else []),
            f"  a query      .venv/bin/python -c {shlex.quote(program)}",
            "  lineage, runs, models, reports in the browser: make ui",
        ]
    )


def failure_summary(settings: Settings, result: JobExecutionResult, seconds: float) -> str:
    """Why the run failed: each failed step with its innermost reason, and what is served."""
    current = served(settings)
    own = current is not None and _run_of(settings, current) == result.run_id
    state = "its release was published before that" if own else "nothing was published"
    lines = [RULE, f"The refresh FAILED after {seconds:.0f} s; {state}."]
    for event in result.all_events:
        if event.event_type_value != "STEP_FAILURE":
            continue
        step, reason = str(event.step_key), _reason(event)
        if step.startswith("gate_") and reason.startswith("gate "):
            lines.append(
                f"  gate {step.removeprefix('gate_')} stopped it: the broken rules stand above and "
                "in the gate report"
            )
        else:
            lines.append(f"  step {step}: {reason}")
            cure = cure_of(reason, settings)
            lines += [f"    {cure}"] if cure else []
    if current is None:
        lines.append("  nothing was served before either")
    else:
        lines.append(f"  {'' if own else 'still '}served: {current.stem}")
    report = report_of(settings, result.run_id)
    if report.exists():
        lines.append(f"  gate report: {report}")
    lines.append("  quarantined rows: schema quarantine in " + str(settings.warehouse))
    lines.append(RULE)
    return "\n".join(lines)


def _run_of(settings: Settings, release: Path) -> str:
    with connect(settings, release, read_only=True) as connection:
        return connection.execute("select dagster_run_id from meta.release").fetchall()[0][0]


def _reason(event: DagsterEvent) -> str:
    failure = event.step_failure_data
    if failure.user_failure_data is not None and failure.user_failure_data.description:
        return failure.user_failure_data.description
    error = failure.error
    if error is None:
        return "no reason was given"
    while error.cause is not None:
        error = error.cause
    return error.message.strip()
