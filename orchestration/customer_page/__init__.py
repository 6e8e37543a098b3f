"""The customer's page: one customer's value, credit and offers, for the conversation.

The page shows personal data: each request is a line of the audit trail.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import reports
from orchestration.customer_page.content import (
    CustomerUnknown,
    customer_facts,
)
from orchestration.decisions.roles import COMPLIANCE, MANAGER, RoleUnknown
from orchestration.platform import audit
from orchestration.platform.engine import connect
from orchestration.platform.files import write_whole
from orchestration.platform.identity import AUDITOR, CUSTOMER_PAGE
from orchestration.platform.releases import (
    ReleaseRefused,
    managers_of_customer,
    served,
)
from orchestration.platform.settings import Settings
from reports.formats import ENGLISH

__all__ = [
    "CustomerUnknown",
    "RoleUnknown",
    "customer_facts",
    "customer_page",
    "render_customer_page",
]


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
    unless `to` is given. The audit trail has the request before the page is written, and also a
    refused one; if that fails, no page is written.

    Raises
    ------
    CustomerUnknown
        When the release does not have the customer.
    RoleUnknown
        For an unknown role.
    ReleaseRefused
        When nothing is published yet.
    orchestration.platform.identity.ActRefused
        Without the role; for a manager, when the customer is in another manager's book.
    """
    subject = audit.customer(settings, customer_id)
    only = (AUDITOR,) if role == COMPLIANCE else None
    with audit.audited(
        *(settings, CUSTOMER_PAGE, subject), detail=f"as {role}", allowed=only, personal=True
    ) as doing:
        release = served(settings)
        if release is None:
            raise ReleaseRefused("nothing is published yet: make refresh")
        doing.release_id = release.stem
        with connect(settings, release, read_only=True) as connection:
            doing.require_own(lambda: managers_of_customer(connection, customer_id))
            facts = customer_facts(connection, customer_id, role=role)
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
