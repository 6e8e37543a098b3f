"""The summary at the end of a refresh: the published release, or why none was published."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

import reports
from orchestration.landing.health import cure_of
from orchestration.landing.switched_off import switched_off
from orchestration.models.reason_words import AGAIN, METRICS, trained_again, verdict
from orchestration.platform import terminal
from orchestration.platform.bank_currency import bank_currency
from orchestration.platform.engine import connect
from orchestration.platform.front_page import INDEX
from orchestration.platform.gate_words import CURED, warning_words
from orchestration.platform.gates import REPORT, report_of
from orchestration.platform.identity import EVERY_ROLE, roles_file
from orchestration.platform.overrides import in_words, recorded
from orchestration.platform.releases import CURRENT, ReleaseRefused, served
from orchestration.platform.settings import Settings
from orchestration.platform.wording import phrase
from orchestration.release.restatement import restated
from orchestration.release.value_report import (
    VALUE_REPORT,
    default_seeds,
    read_head,
    read_months,
    read_priced,
    reconciled,
    residuals,
    roll_up,
    together,
    unknown_balances,
)
from reports.formats import ENGLISH, shortened
from reports.words import Phrase
from sources import codes

if TYPE_CHECKING:
    from dagster import DagsterEvent, JobExecutionResult

RULE = "─" * 78
TEMPLATE = "summary.txt"
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


def read_summary(settings: Settings) -> dict[str, Any]:
    """The contents of the served release and where to find them; money is `Decimal`.

    Raises
    ------
    ReleaseRefused
        When nothing is published yet.
    """
    current = served(settings)
    if current is None:
        raise ReleaseRefused(f"nothing is published in {settings.home} yet. Run make refresh.")
    with connect(settings, current, read_only=True) as connection:
        (release,) = _fetch(
            connection, "select release_id, as_of, source, code_version from meta.release"
        )
        stops = "not success and severity = 'fail'"
        if _holds(connection, "meta.gate_result", "overridden"):
            stops += " and overridden is null"
        return {
            "release": release,
            "rows": _rows(connection),
            "quarantine": _quarantine(connection),
            "bad_codes": _bad_codes(connection),
            "gates": _fetch(
                connection,
                "select gate, count(*) as rules, "
                f"count(*) filter ({stops}) as failed, "
                f"count(*) filter (not success and not ({stops})) as warnings "
                "from meta.gate_result group by gate order by min(build_number)",
            ),
            "warnings": _warnings(connection, stops),
            "overrides": [in_words(row) for row in recorded(connection)],
            "models": _fetch(
                connection,
                "select model_name as model, version, kind, main_metric as metric, value, low, "
                "high, rule_value as rule, note from meta.model_version order by model_name",
            ),
            "reference": default_seeds(connection),
            "switched_off": switched_off(connection),
            "value": _value(connection),
            "restated": _restated(connection),
            "contacts": _contacts(connection),
            "roles": str(roles_file(settings) or EVERY_ROLE),
            "places": _places(settings, current),
        }


def show_summary(found: Mapping[str, Any], seconds: float | None, language: str = ENGLISH) -> None:
    """Print the result of `read_summary`: lists as tables on a terminal, else, and in other
    languages, as lines."""
    worded = _worded(found) | {"seconds": seconds}
    print(RULE)
    print(reports.text(TEMPLATE, "head", worded, language), end="")
    for name, title in SECTIONS.items():
        if title and found[name] and terminal.is_terminal() and language == ENGLISH:
            terminal.table(title, found[name])
            notes = [row for row in worded["models"] if row["note"]] if name == "models" else []
            for row in notes:
                print(f"      {row['model']}: {shortened(row['note'])}")
        else:
            print(reports.text(TEMPLATE, name, worded, language), end="")
    print(RULE, flush=True)


def _worded(found: Mapping[str, Any]) -> dict[str, Any]:
    """With the words of models as phrases, and a query to try."""
    query = "from scores.customer order by clv_12m desc limit 10"
    file = found["places"]["database"]
    program = f"import duckdb; print(duckdb.connect({file!r}, read_only=True).sql({query!r}))"
    return {
        **found,
        "bad_codes": [
            row | {"detail": phrase(codes.in_words(row["detail"]))} for row in found["bad_codes"]
        ],
        "models": [
            row
            | {"note": verdict(row["note"]), "metric": METRICS.get(row["metric"], row["metric"])}
            for row in found["models"]
        ],
        "trained": [
            {"model": row["model"], "reason": verdict(reason.removeprefix(AGAIN))}
            for row in found["models"]
            for reason in trained_again(row["note"])
        ],
        "program": f".venv/bin/python -c {shlex.quote(program)}",
    }


def _fetch(connection: duckdb.DuckDBPyConnection, query: str, *values: Any) -> list[dict[str, Any]]:
    read = connection.execute(query, list(values))
    names = [column[0] for column in read.description or ()]
    return [dict(zip(names, row, strict=True)) for row in read.fetchall()]


def _holds(connection: duckdb.DuckDBPyConnection, table: str, column: str | None = None) -> bool:
    """Whether the release has the table and its column; older releases may not."""
    schema, name = table.split(".")
    return bool(
        _fetch(
            connection,
            "select 1 from duckdb_columns() where schema_name = ? and table_name = ? "
            "and column_name = coalesce(?, column_name) limit 1",
            *(schema, name, column),
        )
    )


def _rows(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    return [
        {"table": name, **_fetch(connection, f"select count(*) as rows from {name}")[0]}
        for name in SHOWN_TABLES
        if _holds(connection, name)
    ]


def _quarantine(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    return _fetch(
        connection,
        "select table_name as table, sum(rows)::bigint as rows, "
        "sum(quarantined)::bigint as quarantined, sum(after_as_of)::bigint as later, "
        "sum(before_first_month)::bigint as earlier from meta.input_file group by table_name "
        "having sum(rows) > sum(landed) order by table_name",
    )


def _bad_codes(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Values outside the contract's lists, by table and column."""
    if not _holds(connection, "meta.bad_code"):
        return []
    return _fetch(
        connection,
        "select table_name as table, column_name as column, detail from meta.bad_code order by all",
    )


def _warnings(connection: duckdb.DuckDBPyConnection, stops: str) -> list[str]:
    """The gates' warnings, one line for each table or model."""
    if not _holds(connection, "meta.gate_result", "lines"):
        return []
    warned = _fetch(
        connection,
        "select distinct build_number, unnest(lines) as line, cure, bound, observed "
        f"from meta.gate_result where not success and not ({stops}) order by all",
    )
    words = [warning_words(row, row["line"]) for row in warned]
    return [Phrase(CURED, *one.values()) if one["cure"] else one["text"] for one in words]


def _value(connection: duckdb.DuckDBPyConnection) -> dict[str, Any] | None:
    """The bank's profit; None if the release has no profit or no reconciliation."""
    month = read_head(connection)["month"]
    statements = reconciled(connection, month)
    period, _ = read_months(connection, month)
    lines = roll_up(connection, "line", "product_line", period)
    if not statements or not lines:
        return None
    total = together(lines)
    priced = read_priced(connection, period)
    alone = priced.rated(together(priced.alone(lines, "line")))
    return {
        "months": period.months,
        "currency": bank_currency(connection),
        "income": total["income"],
        "contribution": total["contribution_margin"],
        "economic_profit": total["economic_profit"],
        "cost_to_income": alone["cost_to_income"],
        "priced": {name: alone[name] for name in ("contribution_margin", "economic_profit")}
        if priced.has_unpriced
        else None,
        "treasury_residual": sum(
            amount
            for name, amount in residuals(connection, period).items()
            if name.startswith("treasury: ")
        ),
        "reconciled": statements["held"],
        "tolerated": statements["tolerated"],
        "not_reconciled": statements["broken"],
        "unpriced": unknown_balances(connection, month),
    }


def _restated(connection: duckdb.DuckDBPyConnection) -> dict[str, Any] | None:
    """The published months with figures that changed since; None without any."""
    found = restated(connection)
    return None if found is None else asdict(found)


def _contacts(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Next month's contacts by the plan and by simpler policies; empty without a plan."""
    if not _holds(connection, "decisions.plan_comparison"):
        return []
    return _fetch(
        connection,
        "select policy, contacts, expected_incremental_profit as expected_profit, "
        "contact_cost as cost, is_chosen as chosen, gap "
        "from decisions.plan_comparison where contacts > 0 "
        "order by is_chosen desc, expected_incremental_profit desc",
    )


def _places(settings: Settings, current: Path) -> dict[str, str]:
    reports = settings.reports / current.stem
    found = {
        "database": settings.published / CURRENT,
        "gate report": reports / REPORT,
        "value report": reports / VALUE_REPORT,
        "portal": reports / INDEX,
        "lists": settings.exports / current.stem,
    }
    asked = ("database", "gate report")
    return {name: str(path) for name, path in found.items() if name in asked or path.exists()}


# In the order in which they are shown; one with a title is a table on a terminal.
SECTIONS = {
    "rows": "Rows",
    "quarantine": "Quarantine and rows outside the history (ignored)",
    "gates": "Gates",
    **{"warnings": "", "overrides": ""},
    "models": "Models on a later period, with a 90 % interval, and the simple rule",
    **{"trained": "", "value": "", "reference": "", "switched_off": "", "restated": ""},
    "contacts": "Contacts of next month, with expected profit",
    **{"roles": "", "places": ""},
}


def failure_summary(settings: Settings, result: JobExecutionResult, seconds: float) -> str:
    """Why the run failed: each failed step with its root cause, and the served release."""
    current = served(settings)
    own = current is not None and _run_of(settings, current) == result.run_id
    state = "its release was published before the failure" if own else "nothing was published"
    lines = [RULE, f"The refresh FAILED after {seconds:.0f} s; {state}."]
    for event in result.all_events:
        if event.event_type_value != "STEP_FAILURE":
            continue
        step, reason = str(event.step_key), _reason(event)
        if step.startswith("gate_") and reason.startswith("gate "):
            lines.append(
                f"  gate {step.removeprefix('gate_')} stopped it: see the broken rules above or in "
                "the gate report"
            )
        else:
            lines.append(f"  step {step}: {reason}")
            cure = cure_of(reason, settings)
            lines += [f"    {cure}"] if cure else []
    if current is None:
        lines.append("  nothing is served yet")
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
