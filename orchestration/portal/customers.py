"""Customers: who is worth what, who may leave or grow, and whom a manager can serve without a
model."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from orchestration.decisions.reason_words import segment_words
from orchestration.models.reason_words import verdict
from orchestration.portal.occasions import as_file, occasions
from orchestration.portal.page import Page, Release
from orchestration.release.value_report import left_out
from orchestration.valuation.queries import Row

SECTIONS = ("high_value", "at_risk", "dormant", "loss_maker", "maturing")
MEASURES = ("customers", "contribution", "clv_12m")


def content(release: Release) -> Row:
    tiers = release.rows("customers_tier")
    stages = release.rows("customers_stage")
    lists = {name: occasions(release, name) for name in SECTIONS}
    segments = release.rows("customers_segment")
    migration = release.rows("customers_migration")
    tables = {"tier": tiers, "segment": segments, "migration": migration, "stage": stages}
    notes = {row["model_name"]: verdict(row["note"]) for row in release.rows("without_model")}
    return {
        "bank": next(iter(release.rows("customers_figures")), None),
        "tiers": tiers,
        "stages": stages,
        "segments": _crossed(segments),
        "without_segment": sum(row["customers"] for row in tiers)
        - sum(row["customers"] for row in segments),
        "migration": _migration(migration),
        "notes": notes,
        "left_out": left_out(release.connection, release.month),
        "has_clv": any(row["clv_12m"] is not None for row in tiers),
        "has_attrition": any(row["value_at_risk"] is not None for row in tiers),
        **lists,
        "sums": {
            "at_risk": _total(lists["at_risk"], "value_at_risk"),
            "dormant": _total(lists["dormant"], "contribution_margin_12m"),
            "loss_maker": _total(lists["loss_maker"], "economic_profit_12m"),
            "maturing": _total(lists["maturing"], "closing_balance"),
        },
        "tables": tables | {name: as_file(rows) for name, rows in lists.items()},
    }


def _total(rows: list[Row], name: str) -> Decimal:
    return sum((row[name] for row in rows), Decimal(0))


def _crossed(rows: list[Row]) -> Row | None:
    """Each segment with its measures by tier and in all, the one that brings most first."""
    if not rows:
        return None
    tiers = {row["tier"]: row["tier_number"] for row in rows}
    segments: dict[str, Row] = {}
    for row in rows:
        own = segments.setdefault(
            row["segment_name"],
            {"key": segment_words(row["segment_name"]), **{name: {} for name in MEASURES}},
        )
        for name in MEASURES:
            amount = row[name]
            if amount is not None:
                own[name][row["tier"]] = amount
                own[name]["all"] = own[name].get("all", 0) + amount
    shown = sorted(segments.values(), key=lambda own: -own["contribution"]["all"])
    total: Row = {"kind": "total", **{name: {} for name in MEASURES}}
    for own in shown:
        for name in MEASURES:
            for tier, amount in own[name].items():
                total[name][tier] = total[name].get(tier, 0) + amount
    return {"tiers": _in_order(tiers), "rows": [*shown, total]}


def _in_order(tiers: Mapping[str, int | None]) -> list[str]:
    """Tiers by their numbers; names without one after them."""
    return sorted(tiers, key=lambda tier: (tiers[tier] is None, tiers[tier]))


def _migration(rows: list[Row]) -> Row | None:
    """From tier (row) to tier (column): customers, and whether they moved up, down or stayed."""
    if not rows:
        return None
    after = {row["tier"]: row["tier_number"] for row in rows}
    columns = _in_order(after)
    found: dict[str, Row] = {}
    for row in rows:
        own = found.setdefault(
            row["tier_before"],
            {
                "key": row["tier_before"],
                "to": dict.fromkeys(columns, 0),
                "course": dict.fromkeys(columns, "stay"),
            },
        )
        own["to"][row["tier"]] = row["customers"]
        own["course"][row["tier"]] = _course(row["number_before"], row["tier_number"])
    for own in found.values():
        own["all"] = sum(own["to"].values())
    return {"after": columns, "rows": list(found.values())}


def _course(before: int | None, after: int | None) -> str:
    if before is None or after is None or before == after:
        return "stay"
    return "up" if after < before else "down"


PAGE = Page("customers", content)
