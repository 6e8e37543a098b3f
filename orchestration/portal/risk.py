"""Risk: early warnings, stages and provisions, losses against what was expected, odd bookings."""

from __future__ import annotations

from decimal import Decimal

from orchestration.alerts.reason_words import transaction_reason
from orchestration.decisions.reason_words import reason_in_words
from orchestration.models.reason_words import verdict
from orchestration.portal.page import Page, Release
from orchestration.valuation.queries import Row
from sources.contract import PRODUCT_LINES

SHOWN = 100
STAGES = (1, 2, 3)
# As `queries/tasks/risk_transaction.sql` counts what there is to do.
PRESSING = ("alarm", "warning")


def content(release: Release) -> Row:
    alerts, transactions = release.rows("risk_alert"), release.rows("risk_transaction")
    backtest, lines = release.rows("risk_backtest"), release.rows("risk_line")
    stages = _stages(release.rows("risk_stage"))
    off = {row["model_name"]: row["note"] for row in release.rows("model_off")}
    tables = {
        "alerts": [row | {"reason": reason_in_words(row["reason"])} for row in alerts],
        "transactions": transactions,
        "stages": stages,
        "lines": lines,
        "backtest": backtest,
    }
    return {
        "alerts": tables["alerts"][:SHOWN],
        "alerts_found": len(alerts),
        "by_severity": _by_severity(alerts),
        "transactions": [
            row | {"reason": transaction_reason(row["reason"])} for row in transactions[:SHOWN]
        ],
        "transactions_found": len(transactions),
        "pressing": sum(row["severity"] in PRESSING for row in transactions),
        "stages": stages,
        "lines": lines,
        "idle_lines": [
            one for one in PRODUCT_LINES if one not in {row["product_line"] for row in lines}
        ],
        "backtest": [row for row in backtest if row["is_line"]],
        "cohorts": [row for row in backtest if not row["is_line"]],
        "no_default_model": verdict(off.get("default")),
        "tables": {name: rows for name, rows in tables.items() if rows},
    }


def _by_severity(alerts: list[Row]) -> dict[str, Row]:
    found: dict[str, Row] = {}
    for row in alerts:
        one = found.setdefault(
            row["severity"], {"count": 0, "exposure": Decimal(0), "expected_loss": Decimal(0)}
        )
        one["count"] += 1
        one["exposure"] += row["exposure"]
        one["expected_loss"] += row["expected_loss_12m"]
    return found


def _stages(rows: list[Row]) -> list[Row]:
    """A row a month, with what each stage owes and what is set aside for it."""
    measures = ("exposure", "loss_allowance", "provision")
    months: dict[object, Row] = {}
    for row in rows:
        one = months.setdefault(
            row["month"],
            {"month": row["month"]}
            | {f"{name}_{stage}": Decimal(0) for name in measures for stage in STAGES},
        )
        one |= {f"{name}_{row['stage']}": row[name] for name in measures}
    for one in months.values():
        owed = sum(one[f"exposure_{stage}"] for stage in STAGES)
        one["share_2"], one["share_3"] = (
            float(one[f"exposure_{stage}"] / owed) if owed else None for stage in (2, 3)
        )
    return list(months.values())


PAGE = Page("risk", content)
