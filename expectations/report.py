"""The gate report: one page that opens fully styled without a network.

Personal data cannot reach it: it reads gate results, profiles, file names and counts by rule.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATES = Path(__file__).parent / "templates"
GATES = {
    "G1": "the delivery",
    "G2": "the customer information base",
    "GV": "profit",
    "G3": "features and models",
    "G4": "the scores and alerts",
    "G5": "the contact plan, the lists and the measurement",
}
SPARK_WIDTH, SPARK_HEIGHT = 560, 64

# Profile by month: table, column, what it is, unit of the figure.
SERIES = (
    ("landing_booking_month", "bookings", "Bookings", "a month"),
    ("landing_booking_month", "mean_absolute", "Mean size of a booking", "in currency"),
    (
        "landing_balance_chain",
        "share",
        "Delivered balances that follow from the bookings",
        "share of account-months",
    ),
    ("base_account_month", "accounts", "Accounts", "with a row in the month"),
    ("base_account_month", "closing_balance", "Sum of closing balances", "in currency"),
    ("value_month", "contribution_margin", "Contribution margin", "in currency"),
    ("feature_month", "rows", "Customers with features", "a month"),
)


@dataclass(frozen=True)
class Bar:
    """One month's bar: position and size in the picture's units, and its label."""

    x: float
    y: float
    width: float
    height: float
    label: str
    missing: bool


@dataclass(frozen=True)
class Series:
    title: str
    unit: str
    bars: tuple[Bar, ...]
    zero: float
    first: str
    last: str
    lowest: str
    highest: str
    latest: str


def render_report(connection: duckdb.DuckDBPyConnection, path: Path) -> Path:
    """Write the report of everything judged so far; replaces the file in one step.

    Reads `meta.gate_result`, `meta.input_file`, `landing.refresh_window`, `quarantine.*` and
    `profile.*`, each where it exists.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["figure"] = _figure
    results = _rows(
        connection,
        "meta.gate_result",
        "select gate, suite, subject, expectation, severity, success, observed, unexpected,"
        " meaning, cure, build_number, run_id, bound, coalesce(about, []) as about,"
        " coalesce(lines, []) as lines from meta.gate_result",
    )
    # Failed rules first, then warnings, then what held.
    results.sort(key=lambda r: (r["success"], r["severity"] != "fail", r["gate"], r["subject"]))
    page = environment.get_template("gate_report.html").render(
        window=next(
            iter(
                _rows(
                    connection,
                    "landing.refresh_window",
                    "select source, first_month, as_of from landing.refresh_window",
                )
            ),
            None,
        ),
        gates=[_gate(name, about, results) for name, about in GATES.items()],
        broken=[r for r in results if not r["success"] and r["severity"] == "fail"],
        warnings=[r for r in results if not r["success"] and r["severity"] == "warn"],
        held=[r for r in results if r["success"]],
        quarantine=_quarantine(connection),
        files=_files(connection),
        series=[s for s in (_series(connection, *given) for given in SERIES) if s is not None],
        spark_width=SPARK_WIDTH,
        spark_height=SPARK_HEIGHT,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(page, encoding="utf-8")
    os.replace(draft, path)
    return path


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


def _gate(name: str, about: str, results: list[dict[str, Any]]) -> dict[str, Any]:
    own = [r for r in results if r["gate"] == name]
    failed = sum(not r["success"] and r["severity"] == "fail" for r in own)
    warned = sum(not r["success"] and r["severity"] == "warn" for r in own)
    state = "not judged" if not own else "stopped" if failed else "passed"
    return {
        "name": name,
        "about": about,
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


def _series(
    connection: duckdb.DuckDBPyConnection, table: str, column: str, title: str, unit: str
) -> Series | None:
    rows = _rows(
        connection,
        f"profile.{table}",
        f"select month, {column}::double as figure from profile.{table} order by month",
    )
    if len(rows) < 2:
        return None
    figures = [row["figure"] for row in rows]
    known = [figure for figure in figures if figure is not None]
    if not known:
        return None
    low, high = min(0.0, *known), max(0.0, *known)
    scale = SPARK_HEIGHT / (high - low) if high > low else 0.0
    zero = high * scale
    step = SPARK_WIDTH / len(rows)
    bars = []
    for place, (row, figure) in enumerate(zip(rows, figures, strict=True)):
        height = abs(figure or 0.0) * scale
        bars.append(
            Bar(
                x=round(place * step, 2),
                y=round(zero - height if (figure or 0.0) >= 0 else zero, 2),
                width=round(max(step - min(2.0, step / 4), 0.5), 2),
                height=round(max(height, 1.0), 2),
                label=f"{row['month']:%Y-%m}: {_figure(figure)}",
                missing=figure is None or (column == "bookings" and figure == 0),
            )
        )
    return Series(
        title=title,
        unit=unit,
        bars=tuple(bars),
        zero=round(zero, 2),
        first=f"{rows[0]['month']:%Y-%m}",
        last=f"{rows[-1]['month']:%Y-%m}",
        lowest=_figure(min(known)),
        highest=_figure(max(known)),
        latest=_figure(figures[-1]),
    )


def _figure(value: Any) -> str:
    """A figure with thousands separated; a month as YYYY-MM; nothing as a dash."""
    if value is None:
        return "–"
    if isinstance(value, date):
        return f"{value:%Y-%m}" if value.day == 1 else f"{value:%Y-%m-%d}"
    if isinstance(value, str):
        return value
    number = float(value)
    if number == int(number) or abs(number) >= 10_000:
        return f"{number:,.0f}"
    return f"{number:,.2f}" if abs(number) >= 10 else f"{number:.4g}"
