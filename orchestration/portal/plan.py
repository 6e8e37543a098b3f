"""The contact plan: whom to contact, with what, on which channel, and what limits it."""

from __future__ import annotations

from orchestration.customer_page.content import (
    CAMPAIGN_CONTROL,
    CONSENT,
    UNIVERSAL_CONTROL,
    suppressions_of,
    unit_words,
)
from orchestration.landing.switched_off import undelivered
from orchestration.models.reason_words import verdict
from orchestration.portal.page import Page, Release
from orchestration.valuation.queries import Row

# The models without which there is no plan.
MODELS = ("response", "uplift", "product_value")
DIMENSIONS = ("offer", "channel", "branch", "manager")
HELD_OUT = {"universal_control": UNIVERSAL_CONTROL, "campaign_control": CAMPAIGN_CONTROL}


def content(release: Release) -> Row:
    by = release.rows("plan_by")
    contacts, policies = release.rows("plan_contact"), release.rows("plan_policy")
    limits, power, reach = (release.rows(f"plan_{name}") for name in ("limit", "power", "reach"))
    off = {row["model_name"]: row["note"] for row in release.rows("without_model")}
    bank = next(iter(release.rows("plan_figures")), None)
    words = suppressions_of(release.connection) | HELD_OUT
    tables = {"contact": contacts, "by": by, "policy": policies, "limit": limits, "power": power}
    return {
        "bank": bank,
        "off": [{"model_name": name, "note": verdict(off[name])} for name in MODELS if name in off],
        "by": {name: [row for row in by if row["dimension"] == name] for name in DIMENSIONS},
        "contacts": contacts,
        "policies": policies if bank else [],
        "is_consent_delivered": CONSENT not in undelivered(release.connection),
        "limits": [row | {"unit": unit_words(row["key"], release.branches)} for row in limits],
        "power": power,
        "reach": [row | {"words": words.get(row["standing"], row["standing"])} for row in reach],
        "names": {row["product_id"]: row["product_name"] for row in release.rows("plan_offer")},
        "tables": {**(tables if bank else {}), "reach": reach},
    }


PAGE = Page("plan", content)
