"""The grid: districts on a map, with who is responsible and what to talk about there."""

from __future__ import annotations

from collections.abc import Iterable

from orchestration.decisions.reason_words import segment_words
from orchestration.portal.page import Page, Release
from orchestration.valuation.queries import Row

NOBODY = "(none)"
# Of so many districts, those with most customers, the map stays legible and small.
MOST_PLACES = 150
# The further maps: what their bubbles are coloured by, beside contribution.
SMALL_MAPS = ("clv_12m", "potential", "coverage")


def content(release: Release) -> Row:
    districts = release.rows("grid_district")
    unpriced = {row["district_id"]: row for row in release.rows("grid_unpriced")}
    for row in districts:
        # The file has the amount of all accounts, too.
        row["contribution_margin_all_12m"] = row["contribution_margin_12m"]
        if less := unpriced.get(row["district_id"]):
            row["contribution_margin_12m"] -= less["contribution_margin_12m"]
    groups: dict[str, list[Row]] = {}
    for row in release.rows("grid_segment"):
        groups.setdefault(row["district_id"], []).append(row | _worded(row))
    for row in districts:
        row["groups"] = groups.get(row["district_id"], [])
    guide = [row | _worded(row) for row in release.rows("grid_guide")]
    where = _where(districts)
    for row in guide:
        row["districts"] = where.get(row["segment_name"], [])
    own = [row for row in districts if row["district_id"] != NOBODY]
    places = [row for row in own if None not in (row["latitude"], row["longitude"])]
    places.sort(key=lambda row: (-row["customers"], row["district_id"]))
    return {
        "districts": districts,
        "own": own,
        "places": places[:MOST_PLACES],
        "has_unpriced": bool(unpriced),
        "beyond": len(places) - len(places[:MOST_PLACES]),
        "without_place": len(own) - len(places),
        "small_maps": [
            name for name in SMALL_MAPS if any(row[name] for row in places[:MOST_PLACES])
        ],
        # The groups that are the largest of a district: those that a manager meets.
        "guide": [row for row in guide if row["districts"]],
        "tables": {
            "districts": [
                {name: value for name, value in row.items() if name != "groups"}
                | {"largest_group": row["groups"][0]["segment_name"] if row["groups"] else None}
                for row in districts
            ],
            "guide": [
                {name: value for name, value in row.items() if name not in ("words", "districts")}
                for row in guide
            ],
        },
    }


def _worded(row: Row) -> Row:
    return {"words": segment_words(row["segment_name"])}


def _where(districts: Iterable[Row]) -> dict[str, list[str]]:
    """Customer group → the districts where it is the largest."""
    found: dict[str, list[str]] = {}
    for row in districts:
        if row["groups"]:
            name = row["district_name"] or row["district_id"]
            found.setdefault(row["groups"][0]["segment_name"], []).append(name)
    return found


PAGE = Page("grid", content)
