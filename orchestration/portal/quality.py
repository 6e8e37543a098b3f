"""Data quality: what the gates found, quarantine, freshness, and the files behind every figure."""

from __future__ import annotations

from itertools import groupby

from orchestration.platform.gate_report import gate_content
from orchestration.portal.links import VIEWS
from orchestration.portal.page import QUERIES, Page, Release
from orchestration.valuation.queries import Row, rows

SHOWN_FILES = 100


def content(release: Release) -> Row:
    found = gate_content(release.connection)
    files, reference = release.rows("quality_file"), release.rows("quality_reference")
    months = _of_tables(release, "quality_month", "quality_profile")
    values = _of_tables(release, "quality_value", "quality_quarantine")
    codes, latest = release.rows("quality_code"), release.rows("quality_latest")
    delivered = release.rows("quality_table")
    tables = {
        "rules": [
            {"gate": row["gate"], "state": state}
            | {name: row[name] for name in ("rule", "severity", "meaning", "observed", "bound")}
            for state in ("broken", "warnings", "held")
            for row in found[state]
        ],
        "quarantine": found["quarantine"],
        "values": values,
        "months": months,
        "latest": latest,
        "delivered": delivered,
        "files": files,
        "reference": reference,
    }
    return found | {
        "files": files[:SHOWN_FILES],
        "files_found": len(files),
        "rows_delivered": sum(row["rows"] for row in files),
        "rows_quarantined": sum(row["quarantined"] for row in files),
        "strips": [
            {"gate": gate, "what": what, "months": list(own)}
            for (_, gate, what), own in groupby(
                months, key=lambda row: (row["place"], row["gate"], row["what"])
            )
        ],
        "values": values,
        "codes": codes,
        "latest": latest,
        "delivered": delivered,
        "reference": reference,
        "views": VIEWS,
        "tables": {name: rows for name, rows in tables.items() if rows},
    }


def _of_tables(release: Release, query: str, tables: str) -> list[Row]:
    """The rows of a query over those of the tables that the release has."""
    names = [row["table_name"] for row in release.rows(tables)]
    if not names:
        return []
    return rows(release.connection, QUERIES / f"{query}.sql", {}, tables=names)


PAGE = Page("quality", content, has_money=False)
