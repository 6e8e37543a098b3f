"""The bank's products, and the economics of the generator.

The transfer prices, unit costs and risk parameters below are used only by the hidden truth. The
value layer has its own, which the bank sets in seeds; both are similar but not linked.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from sources.contract import PRODUCT_LINES


class Slot(IntEnum):
    """A customer owns at most one open account in each slot."""

    CURRENT = 0
    SAVINGS = 1
    TERM_DEPOSIT = 2
    MORTGAGE = 3
    CONSUMER_LOAN = 4
    OVERDRAFT = 5
    CREDIT_CARD = 6
    FUND = 7
    INSURANCE = 8
    PAYMENTS = 9
    WEALTH = 10


SLOTS = len(Slot)
LOANS = (Slot.MORTGAGE, Slot.CONSUMER_LOAN)
OF_PERSONS = (Slot.MORTGAGE, Slot.CREDIT_CARD, Slot.FUND, Slot.INSURANCE, Slot.WEALTH)


@dataclass(frozen=True)
class Product:
    """`rate` and `transfer_price` are yearly."""

    product_id: str
    product_name: str
    product_line: str
    slot: Slot
    rate: float = 0.0
    transfer_price: float = 0.0
    term_months: int = 0
    loss_given_default: float = 0.0


PRODUCTS: tuple[Product, ...] = (
    Product("CURRENT", "Current account", "deposits", Slot.CURRENT, 0.001, 0.030),
    Product("SAVINGS", "Savings account", "deposits", Slot.SAVINGS, 0.015, 0.030),
    Product("TERM06", "Term deposit, 6 months", "deposits", Slot.TERM_DEPOSIT, 0.024, 0.030, 6),
    Product("TERM12", "Term deposit, 12 months", "deposits", Slot.TERM_DEPOSIT, 0.026, 0.031, 12),
    Product("TERM24", "Term deposit, 24 months", "deposits", Slot.TERM_DEPOSIT, 0.027, 0.032, 24),
    Product("TERM36", "Term deposit, 36 months", "deposits", Slot.TERM_DEPOSIT, 0.028, 0.033, 36),
    Product("MORTGAGE", "Mortgage", "lending", Slot.MORTGAGE, 0.045, 0.034, 300, 0.45),
    Product("CONSUMER", "Consumer loan", "lending", Slot.CONSUMER_LOAN, 0.090, 0.034, 60, 0.45),
    Product("OVERDRAFT", "Overdraft line", "lending", Slot.OVERDRAFT, 0.140, 0.030, 0, 0.45),
    Product("CREDITCARD", "Credit card", "cards", Slot.CREDIT_CARD, 0.180, 0.030, 0, 0.75),
    Product("FUND", "Investment fund account", "wealth", Slot.FUND),
    Product("INSURANCE", "Insurance, brokered", "agency", Slot.INSURANCE),
    Product("PAYMENTS", "Merchant payments", "payments", Slot.PAYMENTS),
    Product("BUSINESS", "Business loan", "lending", Slot.CONSUMER_LOAN, 0.075, 0.034, 60, 0.45),
    Product("WEALTH06", "Wealth product, 6 months", "wealth", Slot.WEALTH, term_months=6),
    Product("WEALTH12", "Wealth product, 12 months", "wealth", Slot.WEALTH, term_months=12),
)
# What a firm takes in the consumer loan's place.
BUSINESS_LOAN = next(
    code for code, product in enumerate(PRODUCTS) if product.product_id == "BUSINESS"
)

# The first product of each slot; its others follow it, but for the business loan.
PRODUCT_OF_SLOT: tuple[int, ...] = tuple(
    next(code for code, product in enumerate(PRODUCTS) if product.slot == slot) for slot in Slot
)
LINE_OF_PRODUCT = np.array([PRODUCT_LINES.index(product.product_line) for product in PRODUCTS])
RATE_OF_PRODUCT = np.array([product.rate for product in PRODUCTS])
TERM_OF_PRODUCT = np.array([product.term_months for product in PRODUCTS])
TRANSFER_PRICE_OF_PRODUCT = np.array([product.transfer_price for product in PRODUCTS])

CHANNEL_COST = {
    "branch": 2.00,
    "atm": 0.50,
    "card": 0.05,
    "online": 0.05,
    "mobile": 0.02,
    "telephone": 1.50,
    "standing_order": 0.02,
    "system": 0.01,
}

# A month and open account.
MAINTENANCE_COST = {
    "deposits": 0.40,
    "lending": 1.50,
    "cards": 0.60,
    "wealth": 0.80,
    "agency": 0.20,
    "payments": 0.30,
}
# Yearly default rate at 0, 30 and 60 days past due and from 90 days on.
PD_BY_ARREARS = (0.01, 0.20, 0.45, 1.0)

# Yearly rate on a current account overdrawn without a line.
UNARRANGED_RATE = 0.14
UNARRANGED_PENALTY = 12.00
LATE_PENALTY = 15.00
QUARTERLY_FEE = 11.70
CARD_YEARLY_FEE = 39.00
FUND_YEARLY_FEE = 0.012
FUND_ENTRY_FEE = 0.020
# Of a wealth product, a year: the fee is taken from the proceeds at maturity.
WEALTH_YEARLY_FEE = 0.009
WEALTH_YEARLY_RETURN = 0.025
COMMISSION_SHARE = 0.18
MERCHANT_FEE = 0.012
MORTGAGE_GRANT_FEE = 0.004
CONSUMER_GRANT_FEE = 0.010
