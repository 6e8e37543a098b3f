"""The customer's page: one customer's value, credit and offers, for the conversation.

The page shows personal data: each request is logged with its user, role and customer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import reports
from orchestration.customer_page.content import CustomerUnknown, customer_facts
from orchestration.decisions.roles import MANAGER, RoleUnknown
from orchestration.platform.access_log import record_access
from orchestration.platform.engine import connect
from orchestration.platform.files import write_whole
from orchestration.platform.releases import ReleaseRefused, served
from orchestration.platform.settings import Settings
from reports.formats import ENGLISH

__all__ = [
    "CustomerUnknown",
    "RoleUnknown",
    "customer_facts",
    "customer_page",
    "render_customer_page",
]

LOG = "customer_page.log"


def render_customer_page(facts: dict[str, Any], language: str = ENGLISH) -> str:
    """The page of the facts that `customer_facts` gathered: HTML5, escaped, made for A4."""
    return reports.render("customer.html", facts, language)


def customer_page(
    settings: Settings,
    customer_id: str,
    role: str = MANAGER,
    to: Path | None = None,
    language: str = ENGLISH,
) -> Path:
    """Write the page of a customer from the served release; returns where it is.

    The file is the reader's alone (mode 0600), `$JINGXI_HOME/customers/<release>/<id>.html`
    unless `to` is given. The request is logged in `$JINGXI_HOME/logs/customer_page.log`
    before the page is written, even if it is then refused; if logging fails, no page is written.

    Raises
    ------
    CustomerUnknown
        When the release does not have the customer.
    RoleUnknown
        For an unknown role.
    ReleaseRefused
        When nothing is published yet.
    """
    release = served(settings)
    if release is None:
        record_access(settings, LOG, role, None, "refused", customer_id=customer_id)
        raise ReleaseRefused("nothing is published yet: make refresh")
    try:
        with connect(settings, release, read_only=True) as connection:
            facts = customer_facts(connection, customer_id, role=role)
    except ValueError:
        record_access(settings, LOG, role, release.stem, "refused", customer_id=customer_id)
        raise
    record_access(settings, LOG, role, release.stem, "shown", customer_id=customer_id)
    page = render_customer_page(facts, language)
    # An id may hold what a path must not.
    name = f"{quote(customer_id, safe='')}.html"
    path = to or settings.customer_pages / release.stem / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if to is None:
        for folder in (settings.customer_pages, path.parent):
            folder.chmod(0o700)
    write_whole(path, page)
    return path
