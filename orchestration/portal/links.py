"""What leads from Dagster to the portal and back: pages of assets, assets of pages, views by role.

A page of the portal names assets and becomes a link to them where it is served
(`reports/templates/portal/served.js`). An asset leads to the page of the served release
(`front_page`), to the delivered tables that it is made of, and a model to MLflow.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, urlencode

import dagster as dg

from orchestration.models.studies import STUDIES
from orchestration.platform.addresses import mlflow_address, reports_address
from orchestration.platform.front_page import CURRENT
from orchestration.platform.settings import Settings

# The assets whose figures a page shows, the most telling first. An asset leads to the first page of
# these that shows it.
SHOWN = {
    "value": (
        *("value/account_month", "value/profit_by_customer", "value/profit_by_product"),
        *("value/profit_by_branch", "value/profit_distribution", "value/reconciliation"),
    ),
    "customers": ("scores/customer", "value/customer_tier", "base/customer"),
    "plan": (
        *("decisions/contact_plan", "decisions/constraint_price", "decisions/plan_comparison"),
        *("contacts/contactability", "value/offer"),
    ),
    "campaigns": (
        *("campaigns/measurement", "campaigns/learning", "campaigns/uplift_decile"),
        "campaigns/plan_outcome",
    ),
    "playbook": ("campaigns/playbook", "contacts/talking_point"),
    "grid": ("decisions/grid", "decisions/guide", "base/branch"),
    "lists": ("decisions/worklist", "decisions/manager_scorecard", "decisions/manager_kpi"),
    "risk": ("alerts/credit", "alerts/transaction", "value/credit_risk", "value/loss_backtest"),
    "models": tuple(f"models/{name}" for name in STUDIES),
    "quality": ("landing/transaction", "landing/ledger", "base/ledger_reconciliation"),
    "today": ("release/published", "value/profit_by_line", "scores/customer"),
}
# The page of a group's other assets.
OF_GROUP = {
    **dict.fromkeys(("landing", "staging", "base", "reference"), "quality"),
    **dict.fromkeys(("features", "outcomes", "models"), "models"),
    **{"value": "value", "scores": "customers", "alerts": "risk", "campaigns": "campaigns"},
    **{"contacts": "plan", "decisions": "plan", "release": "today", "portal": "today"},
}
FROM_RECORDS = ("landing", "reference")


@dataclass(frozen=True)
class View:
    """A part of the lineage that a role looks at; `selection` is in Dagster's syntax."""

    role: str
    selection: str

    @property
    def path(self) -> str:
        return lineage(self.selection)


def lineage(selection: str) -> str:
    """The path of Dagster's lineage with the selected assets alone."""
    return f"asset-groups~{quote(selection, safe='')}/"


def catalogue(selection: str) -> str:
    """The path of Dagster's list of the selected assets."""
    return f"assets?{urlencode({'asset-selection': selection})}"


# `reports/templates/portal/quality.html` words the questions.
VIEWS = (
    View("engineer", 'group:"landing" or group:"staging" or group:"base"'),
    View("models", 'group:"features" or group:"outcomes" or group:"models" or group:"scores"'),
    View(
        "finance",
        '(1+key:"value/account_month"+2 or key:"value/reconciliation") and group:"value"',
    ),
    View("marketing", 'group:"contacts" or group:"decisions" or group:"campaigns"'),
    View("risk", 'group:"alerts" or key:"value/credit_risk" or key:"value/loss_backtest"'),
    View("manager", '2+key:"decisions/worklist"'),
)


def page_of(asset: str, group: str) -> str:
    """The file of the portal's page that shows an asset `schema/name`."""
    if group == "models" and asset.partition("/")[2] in STUDIES:
        return f"{asset}.html"
    shown = [page for page, assets in SHOWN.items() if asset in assets]
    page = shown[0] if shown else OF_GROUP[group]
    # The front page of a folder.
    return "index.html" if page == "today" else f"{page}.html"


def with_links(definitions: dg.Definitions, settings: Settings) -> dg.Definitions:
    """The definitions with the links of each asset."""
    return definitions.map_asset_specs(
        func=lambda spec: spec.merge_attributes(metadata=_links(spec, settings))
    )


def _links(spec: dg.AssetSpec, settings: Settings) -> dict[str, dg.MetadataValue]:
    asset, group = spec.key.to_user_string(), str(spec.group_name)
    page = reports_address(settings, settings.reports / CURRENT / page_of(asset, group))
    links = {"portal_page": page}
    if group not in FROM_RECORDS:
        # Within Dagster, wherever it is served.
        behind = f'+key:"{asset}" and group:"landing"'
        links["delivered_tables"] = f"/{catalogue(behind)}"
    if group == "models" and spec.key.path[-1] in STUDIES:
        links["mlflow_model"] = f"{mlflow_address(settings)}/#/models/{spec.key.path[-1]}"
    return {name: dg.MetadataValue.url(link) for name, link in links.items()}
