"""Playbook: what worked with which customers, what to say, and past cases to practise on."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from decimal import Decimal

from orchestration.campaigns.playbook import FEW, LEAST_OF_ARM, RATES, WORKS
from orchestration.portal.campaigns import known
from orchestration.portal.note_words import note_in_words
from orchestration.portal.page import PLAYBOOK, Page, Release, anchor
from orchestration.valuation.queries import Row

ALL, EVERYBODY = "all", "*"
PROFITS = ("profit_per_contact", "profit_low", "profit_high")
# A case is one of so many customers alike in all that it shows; so many cases are shown.
LEAST_ALIKE, CASES = 20, 12


def content(release: Release) -> Row:
    cells = [_worded(row) for row in release.rows("playbook_cell")]
    points = release.rows("playbook_point")
    cases = [
        row | _of_group(row, cells)
        for row in release.rows("playbook_case", least=LEAST_ALIKE, shown=CASES)
    ]
    groups = [row for row in cells if row["customer_group"] != ALL]
    tested = [row for row in groups if row["verdict"] not in (FEW, RATES)]
    tables = {
        "cell": [_without(row, ("anchor",)) for row in cells],
        "point": points,
        "case": [_without(row, ("own", "whole", "works")) for row in cases],
    }
    return {
        "offers": [
            offer
            | {
                "anchor": anchor(offer["product_id"]),
                "cells": (
                    own := [row for row in cells if row["product_id"] == offer["product_id"]]
                ),
                "guide": _guide(own, [p for p in points if p["product_line"] == offer["line"]]),
            }
            for offer in _offers(release.rows("playbook_offer"), cells)
        ],
        "cells": cells,
        "tested": len(tested),
        "works": sum(row["verdict"] == WORKS for row in tested),
        "untested": len(groups) - len(tested),
        "others": sum(row["other_contacts"] or 0 for row in cells if row["customer_group"] == ALL),
        "least": LEAST_OF_ARM,
        "alike": LEAST_ALIKE,
        "cases": cases,
        "tables": {name: rows for name, rows in tables.items() if rows},
    }


def _without(row: Row, names: Collection[str]) -> Row:
    return {name: value for name, value in row.items() if name not in names}


def _worded(row: Row) -> Row:
    """A row whose profits are amounts, and its note in words."""
    found = known(row)
    for name in PROFITS:
        if found[name] is not None:
            found[name] = Decimal(f"{found[name]:.2f}")
    return found | {
        "note": note_in_words(found["note"]),
        "anchor": anchor(found["product_id"]),
    }


def _offers(offers: Iterable[Row], cells: Iterable[Row]) -> list[Row]:
    """What may be offered, then what was and may no longer be."""
    found = {
        row["product_id"]: {
            "product_id": row["product_id"],
            "product_name": row["product_name"] or row["product_id"],
            "line": row["product_line"],
        }
        for row in offers
    }
    for row in cells:
        one = {"product_id": row["product_id"], "product_name": row["product_name"], "line": None}
        found.setdefault(row["product_id"], one)
    return list(found.values())


def _guide(cells: Sequence[Row], points: Sequence[Row]) -> list[Row]:
    """By customer group: over which channels an offer works beyond chance, and what to say."""
    spoken = {ALL if row["audience"] == EVERYBODY else row["audience"]: row for row in points}
    numbers = {row["customer_group"]: row["tier_number"] for row in cells}
    numbers |= {name: row["tier_number"] for name, row in spoken.items()}
    return [
        {
            "customer_group": name,
            "works": _works(cells, name),
            "en": spoken.get(name, {}).get("en"),
            "zh": spoken.get(name, {}).get("zh"),
        }
        # All customers first, those without a tier last.
        for name in sorted(numbers, key=lambda one: (one != ALL, numbers[one] or math.inf))
    ]


def _works(cells: Iterable[Row], group: str) -> list[Row]:
    """The group's cells that work, the highest effect first: drawn towards the mean, where there is
    one, so that it is not the luckiest."""
    found = (row for row in cells if row["customer_group"] == group and row["verdict"] == WORKS)
    return sorted(found, key=_height, reverse=True)


def _height(row: Row) -> float:
    value: float = row["effect"] if row["pooled_effect"] is None else row["pooled_effect"]
    return value


def _of_group(case: Row, cells: Sequence[Row]) -> Row:
    """What was measured of the case's offer and channel, in the group and of all customers, and
    what works in the group, the highest first."""
    same = {
        row["customer_group"]: row
        for row in cells
        if (row["product_id"], row["channel"]) == (case["product_id"], case["channel"])
    }
    group = case["customer_group"]
    return {"own": same.get(group), "whole": same.get(ALL), "works": _works(cells, group)}


PAGE = Page(PLAYBOOK, content)
