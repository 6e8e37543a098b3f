"""The hidden truth of the offers: the effect of a contact, and the value of a taken product."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sources.synthetic.campaigns import CALENDAR, hidden_response
from sources.synthetic.life import wish_hazard
from sources.synthetic.population import Floats
from sources.synthetic.products import PRODUCTS, Slot
from sources.synthetic.state import Bank
from sources.synthetic.truth import HORIZON, loyalty, worth_of_products

# Subtracted from a card's month, besides its upkeep: the mean month includes a yearly fee, which is
# not due before the second year. With it, cards opened in one bank brought 36, here 42.
LEFT_OUT = 0.6


@dataclass(frozen=True)
class OfferExpectation:
    """The expectations of every customer in the current state; arrays of shape (customers,).

    `contribution` is that of the product in the twelve months after it is taken, currency units, by
    the definitions of the value layer.
    """

    product_id: str
    treated_response: Floats
    control_response: Floats
    contribution: Floats


def expect_offers(bank: Bank) -> Iterator[OfferExpectation]:
    """Each offer that campaigns make, once."""
    in_state, _ = loyalty(bank)
    months_held = np.sum([stays + goes for stays, goes in in_state], axis=0)
    monthly, upfront = worth_of_products(bank, np.arange(bank.people.size))
    wish = wish_hazard(bank)
    for slot, code in sorted({(one.slot, one.product) for one in CALENDAR}):
        control, treated = hidden_response(bank, slot, wish[:, slot])
        brought = upfront[:, slot] + months_held * monthly[:, slot]
        if slot == Slot.CREDIT_CARD:
            # A new card owes nothing yet: the debt grows towards its usual height.
            brought = months_held * (monthly[:, slot] * _debt_reached(bank) - LEFT_OUT)
        yield OfferExpectation(PRODUCTS[code].product_id, treated, control, brought)


def _debt_reached(bank: Bank) -> Floats:
    """Mean share of a card's usual debt that stands in its first twelve months."""
    unpaid = 1 - bank.people.repays
    return 1 - np.mean([unpaid**month for month in range(HORIZON)], axis=0)
