"""The gate report: one page that opens fully styled without a network.

Personal data cannot reach it: this module reads gate results, profiles, file names and counts by
rule. `reports/templates/gates.html` shows and words them; the texts of rules and of what they found
become phrases of the catalogue.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb

import reports
from orchestration.platform.gate_words import found_words, limit_words, rule_words, warning_words
from orchestration.platform.overrides import worded
from reports.formats import ENGLISH

GATES = ("G1", "G2", "GV", "G3", "G4", "G5")
# Profile by month: table, column.
SERIES = (
    ("landing_booking_month", "bookings"),
    ("landing_booking_month", "mean_absolute"),
    ("landing_balance_chain", "share"),
    ("base_account_month", "accounts"),
    ("base_account_month", "closing_balance"),
    ("value_month", "contribution_margin"),
    ("feature_month", "rows"),
)


def render_report(
    connection: duckdb.DuckDBPyConnection, path: Path, language: str = ENGLISH
) -> Path:
    """Write the report of everything judged so far; replaces the file in one step."""
    reports.write(reports.render("gates.html", gate_content(connection), language), path)
    return path


def gate_content(connection: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """What the page shows.

    Reads `meta.gate_result`, `meta.gate_override`, `meta.input_file`, `landing.refresh_window`,
    `quarantine.*` and `profile.*`, each where it exists.
    """
    results = _rows(
        connection,
        "meta.gate_result",
        "select gate, suite, subject, expectation, severity, success, observed, unexpected,"
        " meaning, cure, build_number, run_id, bound, coalesce(about, []) as about,"
        " coalesce(lines, []) as lines, gate || '/' || rule as rule, overridden"
        " from meta.gate_result",
    )
    for r in results:
        r["stops"] = not r["success"] and r["severity"] == "fail" and not r["overridden"]
        r["seen"], r["where"] = found_words(r["observed"]), found_words(r["unexpected"])
        r["limit"] = limit_words(r["bound"])
        r["warnings"] = [warning_words(r, line) for line in r["lines"]]
        r["meaning"], r["cure"] = rule_words(r["meaning"] or ""), rule_words(r["cure"] or "")
    # Failed rules first, then warnings, then what held.
    results.sort(key=lambda r: (r["success"], not r["stops"], r["gate"], r["subject"]))
    window = _rows(
        connection,
        "landing.refresh_window",
        "select source, first_month, as_of from landing.refresh_window",
    )
    return {
        "window": window[0] if window else None,
        "gates": [_gate(name, results) for name in GATES],
        "broken": [r for r in results if r["stops"]],
        "warnings": [r for r in results if not r["success"] and not r["stops"]],
        "overrides": worded(connection),
        "held": [r for r in results if r["success"]],
        "quarantine": _quarantine(connection),
        "files": _files(connection),
        "series": [
            {"name": f"{table}.{column}", "months": months}
            for table, column in SERIES
            if (months := _months(connection, table, column))
        ],
    }


def _rows(connection: duckdb.DuckDBPyConnection, table: str, sql: str) -> list[dict[str, Any]]:
    schema, name = table.split(".")
    exists = connection.execute(
        "select 1 from information_schema.tables where table_schema = ? and table_name = ?",
        [schema, name],
    ).fetchall()
    if not exists:
        return []
    found = connection.execute(sql)
    names = [column[0] for column in found.description or []]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _gate(name: str, results: list[dict[str, Any]]) -> dict[str, Any]:
    own = [r for r in results if r["gate"] == name]
    failed = sum(r["stops"] for r in own)
    warned = sum(not r["success"] and not r["stops"] for r in own)
    state = "not judged" if not own else "stopped" if failed else "passed"
    return {
        "name": name,
        "state": state,
        "rules": len(own),
        "failed": failed,
        "warned": warned,
        "build": max((r["build_number"] for r in own), default=None),
    }


def _quarantine(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    tables = connection.execute(
        "select table_name from information_schema.tables where table_schema = 'quarantine'"
        " order by 1"
    ).fetchall()
    delivered = {
        row["table_name"]: row["rows"]
        for row in _rows(
            connection,
            "meta.input_file",
            "select table_name, sum(rows)::bigint as rows from meta.input_file group by 1",
        )
    }
    found = []
    for (table,) in tables:
        for row in connection.execute(
            f"""
            select rule, column_name, count(*), min(file), count(distinct file),
                   arg_min(row_number, {{'file': file, 'row': row_number}})
            from quarantine."{table}" group by all order by 3 desc, 1, 2
            """
        ).fetchall():
            rule, column, count, file, files, first = row
            found.append(
                {
                    "table": table,
                    "rule": rule,
                    "column": column,
                    "rows": count,
                    "share": count / delivered[table] if delivered.get(table) else None,
                    "file": file or "",
                    "files": files,
                    "first": first,
                }
            )
    return found


def _files(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    return _rows(
        connection,
        "meta.input_file",
        "select table_name, path as file, extract_month, rows, landed, quarantined,"
        " after_as_of, before_first_month, sha256 from meta.input_file order by table_name, path",
    )


def _months(connection: duckdb.DuckDBPyConnection, table: str, column: str) -> list[dict[str, Any]]:
    """A figure by month; empty with fewer than two months or without any figure."""
    rows = _rows(
        connection,
        f"profile.{table}",
        f"select month, {column}::double as figure from profile.{table} order by month",
    )
    if len(rows) < 2 or all(row["figure"] is None for row in rows):
        return []
    for row in rows:
        row["missing"] = row["figure"] is None or (column == "bookings" and row["figure"] == 0)
    return rows
