"""How the value report words money, shares, counts and keys."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from markupsafe import Markup

# From margin to economic profit, in order.
CHAIN = {
    "net_interest_margin": "Net interest margin",
    "fee_income": "Fees",
    "direct_cost": "Direct cost",
    "expected_loss": "Expected loss",
    "contribution_margin": "Contribution",
    "overhead": "Overhead",
    "capital_charge": "Capital charge",
    "economic_profit": "Economic profit",
}
DEDUCTED = {"direct_cost", "expected_loss", "overhead", "capital_charge"}
SUBTOTALS = {"contribution_margin", "economic_profit"}
EFFECTS = {
    "volume": "Balances",
    "rate": "Rates",
    "fee": "Fees",
    "cost": "Costs",
    "risk": "Risk",
}
# A larger yearly return only means that hardly any capital is bound.
LARGEST_TOLD_RETURN = 10


def _rounded(value: Decimal, places: int) -> str:
    return f"{value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP):,}"


def exact(value: Decimal | None) -> str:
    """Money to the cent, thousands separated; nothing as a dash."""
    return "–" if value is None else _rounded(value, 2)


def money(value: Decimal | None) -> str:
    """Money; without the cents from a thousand on."""
    return exact(value) if value is None or abs(value) < 1000 else _rounded(value, 0)


def percent(share: float | Decimal | None, places: int = 1) -> str:
    """A share; nothing as a dash."""
    if share is None:
        return "–"
    # Adding zero turns a rounded -0.0 into 0.0.
    return f"{round(100 * float(share), places) + 0.0:,.{places}f} %"


def rate(value: Decimal | None) -> str:
    """A yearly rate."""
    return percent(value, 2)


def return_on_capital(raroc: float | None) -> str:
    """A yearly return; beyond a bound only which side it lies on."""
    if raroc is None or abs(raroc) <= LARGEST_TOLD_RETURN:
        return percent(raroc)
    bound = percent(LARGEST_TOLD_RETURN, 0)
    return f"> {bound}" if raroc > 0 else f"< -{bound}"


def count(number: int | None) -> str:
    """A count, thousands separated; nothing as a dash."""
    return "–" if number is None else f"{number:,}"


def short(value: float) -> str:
    """An axis label: 250k, 1.5m, 2bn."""
    sizes = ((1e9, "bn"), (1e6, "m"), (1e3, "k"))
    size, sign = next((given for given in sizes if abs(value) >= given[0]), (1, ""))
    return f"{value / size:,.2f}".rstrip("0").rstrip(".") + sign


def titled(key: str) -> str:
    """A key as a title."""
    return key[:1].upper() + key[1:].replace("_", " ")


def named(key: str, names: dict[str, str]) -> str | Markup:
    """A key with its name before it, where it has one."""
    if key not in names:
        return key
    return Markup('{} <span class="soft">{}</span>').format(names[key], key)


def price_floor(row: dict[str, Any] | None) -> str:
    """A rate in percent or a fee; a star where the costs of all tiers were used instead."""
    if row is None:
        return "–"
    figure = exact(row["monthly_fee"]) if row["annual_rate"] is None else rate(row["annual_rate"])
    return f"{figure}{'*' if row['basis'] == 'product' else ''}"


def whale_words(
    best: dict[str, Any], peak: dict[str, Any], last: dict[str, Any], lines_profit: Decimal
) -> list[str]:
    """The curve in plain figures; without shares where all together bring no profit.

    Of the distribution: up to the best tenth, up to the peak, and all. `lines_profit` is the
    profit of all lines.
    """
    total, customers = last["cumulative_economic_profit_12m"], last["cumulative_customers"]
    brought, most = (row["cumulative_economic_profit_12m"] for row in (best, peak))
    bring = (
        f"{percent(best['cumulative_profit_share'])} of the economic profit:"
        f" {money(brought)} of {money(total)}."
        if total > 0
        else f"{money(brought)}; all together bring {money(total)}."
    )
    words = [
        f"The best {percent(best['cumulative_customer_share'], 0)} of the customers"
        f" ({best['cumulative_customers']:,} of {customers:,}) bring {bring}"
    ]
    tail, lost = customers - peak["cumulative_customers"], most - total
    if most <= 0:
        words.append("No hundredth of the customers brings a profit.")
    elif tail and lost > 0:
        share = f", {percent(lost / total)} of the profit" if total > 0 else ""
        words.append(
            f"The worst {percent(tail / customers, 0)}"
            f" ({tail:,} customer{'s' if tail > 1 else ''}) lose {money(lost)}{share}."
        )
    else:
        words.append("No hundredth of the customers loses money.")
    if lines_profit != total:
        words.append(
            "Who left before the month and accounts that nobody owns are not among them:"
            f" {money(lines_profit - total)}."
        )
    return words
