"""Lists: the units with their lists, and a page for each to work with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from itertools import groupby

from orchestration.customer_page.content import unit_words
from orchestration.decisions.reason_words import reason_in_words, segment_words
from orchestration.portal.occasions import as_file, occasions
from orchestration.portal.page import LISTS, PLAYBOOK, Page, Part, Release, anchor, file_name
from orchestration.release.value_report import KPIS
from orchestration.valuation.queries import Row

# Occasions beside the plan: the queries of the page of customers, and how many a page shows.
OCCASIONS = ("maturing", "at_risk", "dormant")
SHOWN = 20
# Not shown beside a customer as a file: the name of a segment may contain an age.
OF_GUIDE = ("segment_name", "reason", "talking_points", "talking_points_zh")


def content(release: Release) -> Row:
    units, has_unpriced = _units(release)
    matures: dict[str, date] = {}
    for row in release.rows("customers_maturing"):
        matures.setdefault(_unit_of(row), row["matures_on"])
    for unit in units:
        unit["matures_on"] = matures.get(unit["unit"])
    return {
        "has_unpriced": has_unpriced,
        "units": [
            row
            | {
                "words": unit_words(row["unit"], release.branches),
                "file": f"{LISTS}/{file_name(row['unit'])}.html",
                "kind_of_unit": "manager" if row["employee_id"] else "branch",
            }
            for row in units
        ],
        "is_delivered": any(row["employee_id"] for row in units),
        "contacts": sum(row["contacts"] for row in units),
        "profit": sum(row["expected_incremental_profit"] or 0 for row in units),
        "first": min((row["expires_on"] for row in units if row["expires_on"]), default=None),
        "tables": {"unit": units},
    }


def parts(release: Release) -> Iterator[Part]:
    """A page for each unit: its list, a sheet to fill in, the guide, and further occasions."""
    worklists = _by_unit(release.rows("lists_worklist"))
    guide = release.rows("lists_guide")
    targets = defaultdict(list)
    for row in release.rows("lists_target"):
        targets[row["employee_id"]].append(row)
    found = {
        name: _by_unit(row | {"unit": _unit_of(row)} for row in occasions(release, name))
        for name in OCCASIONS
    }
    units, has_unpriced = _units(release)
    for unit in units:
        name = unit["unit"]
        contacts = worklists[name]
        own = {kind: rows[name] for kind, rows in found.items()}
        kpis = {row["measure"]: row for row in targets[unit["employee_id"]]}
        yield Part(
            name,
            {
                "unit": unit | {"words": unit_words(name, release.branches)},
                "has_unpriced": has_unpriced,
                "contacts": [
                    row
                    | {"why": reason_in_words(row["reason"]), "entry": _entry(row["product_id"])}
                    for row in contacts
                ],
                "guide": _guide(guide, contacts),
                "kpis": [kpis[one] for one in (*KPIS, "total") if one in kpis],
                "occasions": {kind: rows[:SHOWN] for kind, rows in own.items()},
                "tables": {
                    "worklist": [_without(row, OF_GUIDE) for row in contacts],
                    **{kind: as_file(rows) for kind, rows in own.items() if rows},
                },
            },
        )


def _units(release: Release) -> tuple[list[Row], bool]:
    """Each unit with the contribution of its priced accounts; whether others are not priced."""
    unpriced = {row["unit"]: row for row in release.rows("lists_unpriced")}
    units = []
    for row in release.rows("lists_unit"):
        everything = row["contribution_margin_12m"]
        less = unpriced.get(row["unit"])
        alone = everything - less["contribution_margin_12m"] if less else everything
        units.append(
            row
            | {"contribution_margin_12m": alone, "contribution_margin_all_12m": everything}
            # Growth compares with a year in which other accounts were not priced.
            | ({"growth": None} if less else {})
        )
    return units, bool(unpriced)


def _by_unit(rows: Iterator[Row] | list[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[row["unit"]].append(row)
    return found


def _entry(product_id: str) -> str:
    """The link from a list to an offer's entry in the playbook."""
    return f"../{PLAYBOOK}.html#{anchor(product_id)}"


def _unit_of(row: Row) -> str:
    """As `contacts.contactability` has it."""
    branch = row["branch_id"]
    return row["employee_id"] or (f"branch {branch}" if branch else "head office")


def _without(row: Row, names: tuple[str, ...]) -> Row:
    return {name: value for name, value in row.items() if name not in names}


def _guide(guide: list[Row], contacts: list[Row]) -> list[Row]:
    """By offer of the list (all where it is empty): what to say, and to which segments of it."""
    offers = {row["product_id"] for row in contacts}
    segments = {row["segment_name"] for row in contacts}
    everybody = len({row["segment_name"] for row in guide})
    own = [
        row
        for row in guide
        if not contacts or (row["product_id"] in offers and row["segment_name"] in segments)
    ]
    shown = []
    for product_id, rows in groupby(own, key=lambda row: row["product_id"]):
        points: dict[tuple[str | None, str | None], list[str]] = defaultdict(list)
        for row in rows:
            words = (row["talking_points"], row["talking_points_zh"])
            points[words].append(segment_words(row["segment_name"]))
            name = row["product_name"]
        shown.append(
            {
                "product_name": name,
                "entry": _entry(product_id),
                "points": [
                    # Empty where they are all.
                    {"segments": named if len(named) < everybody else [], "en": english}
                    | {"zh": chinese}
                    for (english, chinese), named in points.items()
                ],
            }
        )
    return shown


PAGE = Page(LISTS, content, parts)
