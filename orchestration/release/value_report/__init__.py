"""The value report: what the bank earned, with whom and why, on one page that opens offline.

It reads the tables of `value` and `decisions` by key; names, contacts and other personal data are
in none of them.
"""

from __future__ import annotations

import os
from pathlib import Path

import duckdb
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from orchestration.release.value_report.content import page_content
from orchestration.release.value_report.wording import count

VALUE_REPORT = "value.html"
TEMPLATES = Path(__file__).parents[1] / "templates"


def render_value_report(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Write the value report of a release or of the build warehouse; replaces it in one step.

    Reads `meta.release` or `landing.refresh_window` for the month and the source, the tables of
    `value`, `decisions.price_floor`, and `base.account` for the names of products, each where it
    exists. Money is in the bank's own currency and stays DECIMAL; only pictures use floats.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["month"] = lambda month: f"{month:%Y-%m}"
    environment.filters["count"] = count
    page = environment.get_template("value_report.html").render(page_content(connection))
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(page, encoding="utf-8")
    os.replace(draft, path)
