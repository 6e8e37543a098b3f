"""Campaigns: what they changed, what was learned, and how well plans and predictions held."""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import Decimal
from itertools import groupby

from orchestration.campaigns.measurement import BALANCE, CONTRIBUTION, RESPONSE
from orchestration.portal.note_words import note_in_words
from orchestration.portal.page import Page, Release
from orchestration.valuation.queries import Row

# Estimates that are money where the outcome is.
ESTIMATES = (
    *("treated_mean", "control_mean", "effect", "effect_low", "effect_high", "effect_on_treated"),
    *("cuped_effect", "cuped_low", "cuped_high"),
    *("fixed_effect", "fixed_low", "fixed_high", "random_effect", "random_low", "random_high"),
)
# Campaigns in a picture.
SHOWN = 20


def content(release: Release) -> Row:
    measured = [_worded(row) for row in release.rows("campaigns_measured")]
    learned = [_worded(row) for row in release.rows("campaigns_learned")]
    deciles = [known(row) for row in release.rows("campaigns_decile")]
    planned = [
        known(row) | {"note": note_in_words(row["note"])}
        for row in release.rows("campaigns_planned")
    ]
    by_outcome = {
        outcome: [row for row in measured if row["outcome"] == outcome]
        for outcome in (RESPONSE, CONTRIBUTION, BALANCE)
    }
    scopes = [
        list(rows) for _, rows in groupby(deciles, key=lambda row: (row["scope"], row["scope_id"]))
    ]
    return {
        "measured": by_outcome,
        "whole": _whole(by_outcome),
        "checks": by_outcome[RESPONSE],
        "pictured": SHOWN,
        "learned": {
            outcome: [row for row in learned if row["outcome"] == outcome]
            for outcome in (RESPONSE, CONTRIBUTION, BALANCE)
        },
        "deciles": scopes[0] if scopes else [],
        "scopes": [rows[0] for rows in scopes],
        "planned": planned,
        "names": {row["product_id"]: row["product_name"] for row in release.rows("plan_offer")},
        "tables": {
            "measurement": measured,
            "learning": learned,
            "uplift_decile": deciles,
            "plan_outcome": planned,
        },
    }


def known(row: Row) -> Row:
    """A row with nothing in place of what is no number."""
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in row.items()
    }


def _worded(row: Row) -> Row:
    """A row whose estimates are amounts, unless the outcome is a share; its note in words."""
    found = known(row)
    if found["outcome"] != RESPONSE:
        for name in ESTIMATES:
            if found.get(name) is not None:
                found[name] = Decimal(f"{found[name]:.2f}")
    if "note" in found:
        found["note"] = note_in_words(found["note"])
        found["is_contaminated"] = bool(
            found["contaminated_treated"] or found["contaminated_control"] or found["in_both_arms"]
        )
    return found


def _whole(measured: dict[str, list[Row]]) -> Row | None:
    """All campaigns together; profits are of those whose window is over."""
    if not measured[RESPONSE]:
        return None
    over = [
        row
        for row in measured[CONTRIBUTION]
        if row["is_complete"] and row["incremental_profit"] is not None
    ]
    profit = _total(row["incremental_profit"] for row in over)
    cost = _total(row["contact_cost"] + row["incentive_cost"] for row in over)
    return {
        "campaigns": len(measured[RESPONSE]),
        "over": len(over),
        "profit": profit,
        "return": float(profit / cost) if cost > 0 else None,
        "above": sum((row["effect_low"] or 0) > 0 for row in measured[RESPONSE]),
        "marked": sum(
            bool(row["is_sample_ratio_mismatch"] or row["is_contaminated"])
            for row in measured[RESPONSE]
        ),
    }


def _total(amounts: Iterable[Decimal]) -> Decimal:
    return sum(amounts, Decimal(0))


PAGE = Page("campaigns", content)
