"""`jingxi price` on the bank whose figures are known: the floors of the release, and a process."""

from __future__ import annotations

import json
from decimal import Decimal

import duckdb
import pytest

from orchestration.platform.settings import Settings
from orchestration.valuation.price import price

pytestmark = pytest.mark.slow


def rows(known_bank, query):
    path = known_bank / "published" / "current.duckdb"
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(query).fetchall()


def test_a_deal_of_the_average_amount_has_the_published_floor(known_bank):
    floors = rows(
        known_bank,
        "select product_id, term_months, tier, average_volume, annual_rate "
        "from decisions.price_floor where annual_rate is not null",
    )
    assert len(floors) >= 10
    for product, term, tier, amount, floor in floors:
        found = price(Settings(home=known_bank), product, str(amount), term or None)
        (row,) = (row for row in found["tiers"] if row["tier"] == tier)
        assert abs(row["rate_floor"] - floor) <= Decimal("0.000001"), (product, term, tier)


def test_the_command_prices_a_deal_for_a_customer(known_bank, command):
    ((product, term, customer),) = rows(
        known_bank,
        "select product_id, term_months, customer_id from decisions.price_floor "
        "inner join value.customer_tier as tier using (tier) where floor_kind = 'lowest loan rate' "
        "and annual_rate is not null and tier.month = '2025-12-01' order by all limit 1",
    )
    asked = ["price", "--product", product, "--amount", "25000", "--customer", customer]
    asked += ["--rate", "0.12", *(["--term", str(term)] if term else [])]
    result = command(known_bank, *asked, "--json")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    (row,) = found["tiers"]
    profit = Decimal(found["customer"]["economic_profit"]) + Decimal(row["economic_profit"])
    assert Decimal(row["economic_profit_with_it"]) == profit
    read = command(known_bank, *asked)
    assert "lowest loan rate, a year" in read.stdout and "transfer price, a year" in read.stdout
    refused = command(known_bank, "price", "--product", "NONE", "--amount", "1")
    assert refused.returncode == 2
    assert refused.stderr.startswith("refused: PRODUCT=NONE is invalid")
