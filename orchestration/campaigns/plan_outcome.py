"""Compares the plan of an earlier refresh with its outcome."""

from __future__ import annotations

from typing import Any

import duckdb

from ml.evaluation.experiment import measure
from orchestration.campaigns.sums import Sums, rows_of, sums_by

KEYS = ("plan_month", "campaign_id")


def rows(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Rows of `campaigns.plan_outcome`, one for each of `campaigns.plan`."""
    sums = sums_by(connection, "campaigns.plan_sum", KEYS)
    plans = rows_of(connection, "campaigns.plan", KEYS)
    return [_row(plan, sums[tuple(plan[key] for key in KEYS)]) for plan in plans]


def _row(plan: dict[str, Any], sums: Sums) -> dict[str, Any]:
    found = measure(sums.of_all, treated_strata=sums.of_treated, has_covariate=False)
    kept = (
        *("plan_month", "campaign_id", "product_id", "planned_treated", "planned_control"),
        *("contacted_treated", "contacted_control", "expected_responses", "observed_responses"),
        *("expected_incremental_responses", "expected_incremental_profit", "spent"),
    )
    notes = list(found.notes)
    if not plan["is_complete"]:
        notes.insert(0, f"{plan['window_days']} days after the plan's month are not over")
    return {
        **{name: plan[name] for name in kept},
        "status": "complete" if plan["is_complete"] else "open",
        "coverage": _share(plan["contacted_treated"], plan["planned_treated"]),
        "contamination": _share(plan["contacted_control"], plan["planned_control"]),
        "treated_rate": found.plain.treated_mean,
        "control_rate": found.plain.control_mean,
        "effect": found.plain.value,
        "effect_low": found.plain.low,
        "effect_high": found.plain.high,
        "realised_incremental_profit": _realised(plan, found.of_treated.value),
        "realised_low": _realised(plan, found.of_treated.low),
        "realised_high": _realised(plan, found.of_treated.high),
        "note": "; ".join(notes) or None,
    }


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _realised(plan: dict[str, Any], effect: float) -> float | None:
    """Additional responses at the worth that the plan gave each, less what was spent.

    The plan's worth of an additional response is its expected profit before costs over the
    additional responses it expected.
    """
    expected = plan["expected_incremental_responses"]
    if not expected or expected <= 0:
        return None
    worth = (float(plan["expected_incremental_profit"]) + plan["expected_cost"]) / expected
    return effect * plan["planned_treated"] * worth - float(plan["spent"])
