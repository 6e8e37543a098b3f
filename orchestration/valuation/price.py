"""The price of a new loan or deposit by the parameters of the served release."""

from __future__ import annotations

from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path

from duckdb import DuckDBPyConnection

from orchestration.decisions.roles import COMPLIANCE, MANAGER, withheld_from
from orchestration.platform import audit
from orchestration.platform.engine import connect
from orchestration.platform.identity import AUDITOR, PRICE
from orchestration.platform.optional_tables import has_column, has_table
from orchestration.platform.releases import ReleaseRefused, managers_of_customer, served
from orchestration.platform.settings import Settings
from orchestration.valuation.queries import Row, rows
from sources.message import Message

FOLDER = Path(__file__).parent / "deals"
LARGEST = Decimal(10) ** 12


class DealRefused(ValueError):
    """The release cannot price such a deal."""


def price(
    settings: Settings,
    product_id: str,
    amount: str,
    term: int | None = None,
    customer_id: str | None = None,
    rate: str | None = None,
    role: str = MANAGER,
) -> Row:
    """A deal priced: the floor by tier, or for the customer's; a year of it at the rate asked for,
    or at the floor; and what the customer brings with and without it. The audit trail has each
    request for a customer.

    Raises
    ------
    DealRefused
        For an amount, term, rate, product or customer that the release has no price for.
    orchestration.decisions.roles.RoleUnknown
        For an unknown role.
    ReleaseRefused
        When nothing is published yet, or the release was published without prices by term.
    """
    if customer_id is None:
        return _of_release(settings, product_id, amount, term, None, rate, role, None)
    subject = audit.customer(settings, customer_id)
    only = (AUDITOR,) if role == COMPLIANCE else None
    with audit.audited(
        *(settings, PRICE, subject), detail=f"as {role}", allowed=only, personal=True
    ) as doing:
        return _of_release(settings, product_id, amount, term, customer_id, rate, role, doing)


def _of_release(
    settings: Settings,
    product_id: str,
    amount: str,
    term: int | None,
    customer_id: str | None,
    rate: str | None,
    role: str,
    doing: audit.Act | None,
) -> Row:
    withheld_from(role)
    path = served(settings)
    if path is None:
        raise ReleaseRefused(Message("no release is published. Run make refresh."))
    with connect(settings, path, read_only=True) as connection:
        if doing is not None and customer_id is not None:
            doing.release_id = path.stem
            doing.require_own(lambda: managers_of_customer(connection, customer_id))
        return _priced(
            connection,
            *(product_id, _amount(amount), term, customer_id, _rate(rate), role),
        )


def _priced(
    connection: DuckDBPyConnection,
    product_id: str,
    amount: Decimal,
    term: int | None,
    customer_id: str | None,
    rate: Decimal | None,
    role: str,
) -> Row:
    if not has_column(connection, "value.transfer_curve", "currency"):
        raise ReleaseRefused(
            "the served release is invalid: expected the column currency of value.transfer_curve, "
            "which releases of earlier versions do not have. Run make refresh."
        )
    products = _rows(connection, "asked", {})
    asked = _term(products, product_id, term)
    release, month = products[0]["release_id"], date.fromisoformat(f"{products[0]['as_of']}-01")
    customer = _customer(connection, customer_id, month, role) if customer_id else None
    values = {
        **{"product": product_id, "term": asked, "month": month, "amount": amount, "rate": rate},
        "tier": customer["tier"] if customer else None,
        "probability": customer["probability_of_default"] if customer else None,
    }
    tiers = _rows(connection, "price", values)
    if customer:
        # The one row of the customer's tier; without a tier there is one for each.
        for row in tiers:
            row["contribution_with_it"] = (
                customer["contribution_margin"] + row["contribution_margin"]
            )
            row["economic_profit_with_it"] = customer["economic_profit"] + row["economic_profit"]
    return {
        **{"release": release, "product_id": product_id, "amount": amount, "term_months": asked},
        "rate": rate,
        "transfer_price": _rows(connection, "transfer", values),
        "customer": customer,
        "tiers": tiers,
    }


def _amount(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("nan")
    if not amount.is_finite() or not 0 < amount < LARGEST or amount != round(amount, 2):
        raise DealRefused(
            Message(
                "AMOUNT={0} is invalid: expected an amount above zero with at most two decimals. "
                "Write it without separators, such as 25000.00.",
                text,
            )
        )
    return amount


def _rate(text: str | None) -> Decimal | None:
    if text is None:
        return None
    try:
        rate = Decimal(text)
    except InvalidOperation:
        rate = Decimal("nan")
    if not rate.is_finite() or not -1 < rate < 1 or rate != round(rate, 6):
        raise DealRefused(
            Message(
                "RATE={0} is invalid: expected a yearly rate as a fraction with at most six "
                "decimals. Write 4.5 % as 0.045.",
                text,
            )
        )
    return rate


def _term(products: list[Row], product_id: str, term: int | None) -> int:
    """The term asked for, in months, 0 without one, if the release has a price for it."""
    own = [row for row in products if row["product_id"] == product_id]
    if not own:
        known = ", ".join(row["product_id"] for row in products)
        raise DealRefused(
            Message(
                "PRODUCT={0} is invalid: expected a product with a rate: {1}. Choose one of them.",
                *(product_id, known),
            )
        )
    (product,) = own
    longest = product["longest"]
    if not product["is_measured"]:
        raise DealRefused(
            Message(
                "PRODUCT={0} is invalid: expected a product with balances in the last twelve "
                "months, which cost, loss and capital are measured on. Choose a similar product.",
                product_id,
            )
        )
    if term is None and not product["has_no_term"]:
        raise DealRefused(
            Message(
                "TERM is missing: product {0} has an agreed term. Give 1 to {1} months.",
                *(product_id, longest),
            )
        )
    if term is not None and not 1 <= term <= longest:
        raise DealRefused(
            Message(
                "TERM={0} is invalid: expected 1 to {1} months, the tenors of the release's "
                "transfer curve. Choose one of them.",
                *(term, longest),
            )
        )
    return term or 0


def _customer(connection: DuckDBPyConnection, customer_id: str, month: date, role: str) -> Row:
    """The customer's tier, probability of default and the last twelve months."""
    values = {"customer": customer_id, "month": month}
    found = _rows(connection, "customer", values)
    if not found:
        raise DealRefused(
            Message(
                "CUSTOMER={0} is invalid: expected a customer of the release. Write the id as the "
                "bank delivers it.",
                customer_id,
            )
        )
    if (
        role != COMPLIANCE
        and has_table(connection, "contacts.contactability")
        and _rows(connection, "erased", values)
    ):
        raise DealRefused(
            Message(
                "CUSTOMER={0} is invalid: erased on request. Ask without CUSTOMER.", customer_id
            )
        )
    return found[0]


def _rows(connection: DuckDBPyConnection, query: str, values: Row) -> list[Row]:
    return rows(connection, FOLDER / f"{query}.sql", values)
