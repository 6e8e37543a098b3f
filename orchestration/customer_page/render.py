"""The customer's page as HTML: one file, nothing fetched, no script."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from orchestration.models.studies import OF_CUSTOMERS
from orchestration.release.value_report import pictures
from orchestration.release.value_report.wording import count, exact, money, percent, rate, titled

TEMPLATES = Path(__file__).parent / "templates"

# Columns of the profile, in order, with their titles.
PERSONAL = {
    "birth_date": "Date of birth",
    "age": "Age",
    "sex": "Sex",
    "marital_status": "Marital status",
    "education": "Education",
    "occupation": "Occupation",
    "monthly_income": "Declared monthly income",
    "district_id": "District",
    "region": "Region",
}


def _said(value: Any) -> str:
    """A value of any kind as text; a dash for nothing."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def render_customer_page(facts: dict[str, Any]) -> str:
    """The page of the facts that `customer_facts` gathered: HTML5, escaped, made for A4."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "month": lambda month: f"{month:%Y-%m}",
        "said": _said,
        "exact": exact,
        "money": money,
        "percent": percent,
        "rate": rate,
        "count": count,
        "titled": titled,
    }
    history, scores = facts["history"], facts["scores"] or {}
    shown: dict[str, Callable[[Any], str]] = {"money": money, "percent": percent}
    shown_scores = [
        (column.label, shown[column.shown](scores.get(column.name)))
        for study in OF_CUSTOMERS
        for column in study.columns
        if column.label
    ]
    return environment.get_template("customer.html").render(
        **facts,
        picture=pictures.trend(history) if history else None,
        personal_titles=PERSONAL,
        shown_scores=shown_scores,
    )
