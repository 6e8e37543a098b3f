"""Why a customer is on a list of occasions, as a sentence that can be said aloud."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from orchestration.decisions.feature_sentences import MONEY, SHOWN, percent
from reports.words import Code, Phrase, joined

Row = Mapping[str, Any]
amount = SHOWN[MONEY]
# What takes from an income, in words.
DEDUCTIONS = {
    "direct_cost": "the direct cost",
    "expected_loss": "the expected loss",
    "overhead": "the overhead",
    "capital_charge": "the capital charge",
}


def maturing(row: Row) -> str:
    """A row with `product_name`, `closing_balance`, `matures_on` and `interest_rate` or None."""
    what = (Code(row["product_name"]), amount(row["closing_balance"]), row["matures_on"])
    if row["interest_rate"] is None:
        return Phrase("{0}: {1} matures on {2}", *what)
    rate = percent(row["interest_rate"], 2)
    return Phrase("{0}: {1} matures on {2} and earns {3} a year until then", *what, rate)


def at_risk(row: Row) -> str:
    """A row with `value_at_risk`, `contribution_margin_12m` or None and `raised`: sentences of what
    raises the score."""
    loss, earned = amount(row["value_at_risk"]), row["contribution_margin_12m"]
    money = (
        Phrase("contribution of {0} is at risk", loss)
        if earned is None
        else Phrase("contributed {0} in twelve months; {1} is at risk", amount(earned), loss)
    )
    return _then(*row["raised"], money)


def high_value(row: Row) -> str:
    """A row with `p_high_value` and `raised`, as of `at_risk`."""
    chance = percent(Decimal(str(row["p_high_value"])), 1)
    money = Phrase("{0} of such customers enter the top tier", chance)
    return _then(*row["raised"], money)


def dormant(row: Row) -> str:
    """A row with `last_active_on` or None, `days_since_active`, `contribution_margin_12m` and
    `balance`."""
    worth = Phrase(
        "contributed {0} in twelve months and holds {1}",
        *(amount(row["contribution_margin_12m"]), amount(row["balance"])),
    )
    if row["last_active_on"] is None:
        return _then("no booking of the customer's own is on record", worth)
    since = (row["last_active_on"], row["days_since_active"])
    return _then(Phrase("no booking of the customer's own since {0}, for {1} days", *since), worth)


def loss_maker(row: Row) -> str:
    """A row with `income` and the deductions, each or None, and `economic_profit_12m`."""
    income, missing = row["income"] or Decimal(0), amount(-row["economic_profit_12m"])
    if income < 0:
        pattern = (
            "the income of twelve months is {0}, before any cost; {1} is missing to break even"
        )
        return Phrase(pattern, amount(income), missing)
    name = max(DEDUCTIONS, key=lambda one: row[one] or 0)
    return Phrase(
        "the income of twelve months is {0}; {1} alone takes {2}, and {3} is missing to break even",
        *(amount(income), DEDUCTIONS[name], amount(row[name] or Decimal(0)), missing),
    )


def _then(*sentences: str) -> str:
    return joined("{0}; {1}", sentences)


SENTENCES: dict[str, Callable[[Row], str]] = {
    "maturing": maturing,
    "at_risk": at_risk,
    "high_value": high_value,
    "dormant": dormant,
    "loss_maker": loss_maker,
}


def occasion_examples() -> Iterator[str]:
    """Every sentence once, for the catalogue."""
    one, day = Decimal(1), date(2026, 1, 31)
    for rate in (None, one):
        yield maturing(
            {"product_name": "1", "closing_balance": one, "matures_on": day, "interest_rate": rate}
        )
    for earned in (None, one):
        yield at_risk({"value_at_risk": one, "contribution_margin_12m": earned, "raised": []})
    yield high_value({"p_high_value": 0.5, "raised": []})
    for last in (None, day):
        yield dormant(
            {
                "last_active_on": last,
                "days_since_active": 1,
                "contribution_margin_12m": one,
                "balance": one,
            }
        )
    for name in DEDUCTIONS:
        of = dict.fromkeys(DEDUCTIONS, Decimal(0)) | {name: one}
        yield loss_maker({"income": one, "economic_profit_12m": -one, **of})
    yield loss_maker({"income": -one, "economic_profit_12m": -one})
