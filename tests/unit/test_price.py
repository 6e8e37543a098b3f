"""A new deal, worked by hand, by the query that `jingxi price` runs; what it refuses."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import duckdb
import pytest

from orchestration.platform import audit
from orchestration.platform.releases import ReleaseRefused
from orchestration.platform.settings import Settings
from orchestration.valuation import price as pricing
from orchestration.valuation.price import DealRefused, price

MAY = date(2024, 5, 1)


def released(path=":memory:"):
    """A release with what a price is made from."""
    connection = duckdb.connect(str(path))
    for statement in (
        "create schema decisions",
        "create schema value",
        "create schema scores",
        "create schema base",
        "create schema meta",
        "create table meta.release as select '2024-05-r' as release_id, '2024-05' as as_of",
        """create table decisions.price_floor as
        select product_id, term_months::integer as term_months, tier, tier_number, floor_kind,
            loss_rate::decimal(18, 6) as loss_rate, capital_rate::decimal(18, 6) as capital_rate,
            case when product_id = 'LOAN' then 0.2 else 0 end::decimal(9, 6)
                as capital_funded_share,
            basis, 240 as account_months, direct::decimal(18, 6) as monthly_direct_cost,
            overhead::decimal(18, 6) as monthly_overhead
        from (values
            ('LOAN', 12, 'top', 1, 'lowest loan rate', 0.006, 0.003, 'tier', 0.75, 0.25),
            ('LOAN', 12, 'base', 2, 'lowest loan rate', 0.006, 0.003, 'product', 1.50, 0.50),
            ('LOAN', 24, 'top', 1, 'lowest loan rate', 0.006, 0.003, 'tier', 0.75, 0.25),
            ('LOAN', 24, 'base', 2, 'lowest loan rate', 0.006, 0.003, 'product', 1.50, 0.50),
            ('GIRO', 0, 'top', 1, 'highest deposit rate', 0, 0, 'product', 0.50, 0),
            ('IDLE', 0, 'top', 1, 'lowest loan rate', null, null, 'product', 0, 0),
            ('FUND', 0, 'top', 1, 'lowest monthly fee', null, null, 'product', 0, 0)
        ) as floor(product_id, term_months, tier, tier_number, floor_kind, loss_rate, capital_rate,
            basis, direct, overhead)""",
        """create table decisions.term_price as
        select product_id, term_months, nullif(term_months, 0) as tenor_months,
            2 * nullif(term_months, 0) as liquidity_tenor,
            0.006::decimal(9, 6) as liquidity_premium, 0.005::decimal(9, 6) as option_premium,
            -0.001::decimal(9, 6) as policy_rate, transfer_price::decimal(9, 6) as transfer_price
        from (values ('LOAN', 0, 0.09), ('LOAN', 12, 0.0275), ('LOAN', 24, 0.04),
            ('GIRO', 0, 0.025), ('GIRO', 12, 0.03), ('IDLE', 0, 0.02)
        ) as term(product_id, term_months, transfer_price)""",
        """create table value.product_parameter as
        select product_id, date '2024-05-01' as month, 0.45::decimal(9, 6) as loss_given_default,
            0.10::decimal(9, 6) as hurdle_rate
        from (values ('LOAN'), ('GIRO')) as product(product_id)""",
        """create table value.transfer_curve as
        select unnest(['*', 'USD']) as currency, date '2024-05-01' as month, 24 as tenor_months,
            0.03::decimal(9, 6) as annual_rate,
            12 as tenor_below, 0.02::decimal(9, 6) as rate_below, 36 as tenor_above,
            0.04::decimal(9, 6) as rate_above""",
        """create table value.transfer_tranche as
        select 'GIRO' as product_id, unnest(['*', 'USD']) as currency, 'above zero' as side,
            'deposit' as portfolio,
            date '2024-05-01' as month, 1 as tenor_months, 1::decimal(9, 6) as weight,
            0.015::decimal(12, 10) as mean_rate""",
        """create table value.profit_by_customer as
        select 'C1' as customer_id, month::date as month, 10.00::decimal(18, 2)
            as contribution_margin, 4.00::decimal(18, 2) as economic_profit
        from range(date '2023-05-01', date '2024-06-01', interval 1 month) as calendar(month)""",
        "create table value.customer_tier as "
        "select 'C1' as customer_id, date '2024-05-01' as month, 'top' as tier, 1 as tier_number",
        "create table scores.customer as select 'C1' as customer_id, 0.02::double as p_default",
        "create table base.customer as select unnest(['C1', 'C2']) as customer_id",
    ):
        connection.execute(statement)
    return connection


def priced(product, amount, term=None, customer=None, rate=None, role="manager"):
    with released() as connection:
        return pricing._priced(
            connection,
            *(product, Decimal(amount), term, customer, rate and Decimal(rate), role),
        )


def figures(row, *names):
    return [str(row[name]) for name in names]


RATES = ("funding_rate", "cost_rate", "loss_rate", "capital_rate", "rate_floor")
YEAR = (
    *("net_interest_margin", "direct_cost", "expected_loss", "contribution_margin", "overhead"),
    *("economic_capital", "capital_charge", "economic_profit", "raroc"),
)


def test_a_loan_at_a_rate():
    """12,000 over 24 months. Cost a year of tier top 12 x 1.00: 0.001 of 12,000; of base 0.002.

    Capital funds a fifth: 0.04 x 0.8 = 0.032; 0.032 + 0.001 + 0.006 + 0.003 = 0.042. At 5 %: margin
    12,000 x 0.018 = 216; direct cost 9, loss 72: contribution 135; overhead 3, capital 12,000 x
    0.003 / 0.10 = 360, its charge 36: 96; (135 - 3) / 360 = 0.366667.
    """
    top, base = priced("LOAN", "12000", 24, rate="0.05")["tiers"]
    assert figures(top, *RATES) == ["0.032000", "0.001000", "0.006000", "0.003000", "0.042000"]
    assert figures(base, "cost_rate", "rate_floor") == ["0.002000", "0.043000"]
    assert figures(top, *YEAR) == [
        *("216.00", "9.00", "72.00", "135.00", "3.00", "360.00", "36.00", "96.00", "0.366667"),
    ]


def test_at_the_floor_a_deal_earns_the_hurdle_and_no_more():
    """0.042 x 12,000: margin 120 - 9 - 72 - 3 - 36 = 0; (120 - 9 - 72 - 3) / 360 = 0.10."""
    top, _ = priced("LOAN", "12000", 24)["tiers"]
    assert figures(top, "annual_rate", "economic_profit", "raroc") == [
        "0.042000",
        "0.00",
        "0.100000",
    ]


def test_a_customer_has_a_tier_a_probability_and_a_relationship():
    """Loss 0.02 x 0.45 = 0.009: floor 0.045. At 5 %: loss 108, contribution 99, profit 60,
    (99 - 3) / 360. Twelve months of 10.00 and 4.00 before: 120 + 99 and 48 + 60."""
    found = priced("LOAN", "12000", 24, "C1", "0.05")
    (row,) = found["tiers"]
    assert figures(row, "tier", *RATES[2:]) == ["top", "0.009000", "0.003000", "0.045000"]
    assert figures(row, *YEAR[2:4], *YEAR[-2:]) == ["108.00", "99.00", "60.00", "0.266667"]
    assert figures(found["customer"], "contribution_margin", "economic_profit") == [
        "120.00",
        "48.00",
    ]
    with_it = figures(row, "contribution_with_it", "economic_profit_with_it")
    assert with_it == ["219.00", "108.00"]


def test_a_customer_without_tier_and_score_is_shown_each_tier():
    found = priced("LOAN", "12000", 24, "C2", "0.05")
    assert [row["tier"] for row in found["tiers"]] == ["top", "base"]
    assert figures(found["tiers"][0], "loss_rate", "contribution_with_it") == [
        "0.006000",
        "135.00",
    ]


def test_a_deposit_without_a_term_has_no_capital():
    """10,000 at 2 %: 0.025 - 12 x 0.50 / 10,000 = 0.0244; margin 50.00, cost 6.00."""
    found = priced("GIRO", "10000", rate="0.02")
    (row,) = found["tiers"]
    assert figures(row, *RATES) == ["0.025000", "0.000600", "0.000000", "0.000000", "0.024400"]
    assert figures(row, "net_interest_margin", "contribution_margin", "raroc") == [
        *("50.00", "44.00", "None"),
    ]
    assert figures(priced("GIRO", "10000", 12)["tiers"][0], "transfer_price") == ["0.030000"]


def test_the_transfer_price_is_shown_by_part():
    curve, *premiums = priced("LOAN", "1000", 24)["transfer_price"]
    assert figures(curve, "tenor_below", "rate_below", "tenor_above", "rate_above") == [
        *("12", "0.020000", "36", "0.040000"),
    ]
    assert [(row["part"], row["tenor_months"], str(row["annual_rate"])) for row in premiums] == [
        ("liquidity premium", 48, "0.0060000000"),
        ("option premium", 24, "0.0050000000"),
        ("policy rate", 24, "-0.0010000000"),
    ]
    assert sum(row["annual_rate"] for row in (curve, *premiums)) == Decimal("0.04")
    tranche, *premiums = priced("GIRO", "1000")["transfer_price"]
    assert tranche["part"] == "tranche of the portfolio deposit"
    total = sum(
        (row["annual_rate"] for row in premiums), tranche["weight"] * tranche["annual_rate"]
    )
    assert total == Decimal("0.025")


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (("FUND", "1000"), r"PRODUCT=FUND is invalid: expected a product with a rate: GIRO, IDLE"),
        (("IDLE", "1000"), "expected a product with balances in the last twelve months"),
        (("LOAN", "1000"), "TERM is missing: product LOAN has an agreed term. Give 1 to 24 months"),
        (("LOAN", "1000", 25), "TERM=25 is invalid: expected 1 to 24 months"),
        (("LOAN", "1000", 24, "C9"), "CUSTOMER=C9 is invalid: expected a customer of the release"),
    ],
)
def test_a_deal_that_has_no_price_is_refused(asked, words):
    with pytest.raises(DealRefused, match=words):
        priced(*asked)


@pytest.mark.parametrize("amount", ["0", "-5", "1.234", "many", "nan", "1e13"])
def test_an_amount_is_money_above_zero(amount, tmp_path):
    with pytest.raises(ReleaseRefused):
        price(Settings(home=tmp_path), "LOAN", "1000")
    with pytest.raises(DealRefused, match=f"AMOUNT={amount} is invalid"):
        pricing._amount(amount)


@pytest.mark.parametrize("rate", ["4.5", "1", "0.0123456", "high"])
def test_a_rate_is_a_fraction(rate):
    with pytest.raises(DealRefused, match=f"RATE={rate} is invalid: .* Write 4.5 % as 0.045"):
        pricing._rate(rate)


def test_a_request_for_a_customer_is_a_line_of_the_audit_trail(tmp_path):
    settings = Settings(home=tmp_path)
    with pytest.raises(ReleaseRefused, match="no release is published. Run make refresh"):
        price(settings, "LOAN", "1000", 24, "C1\nx")
    with pytest.raises(ReleaseRefused):
        price(settings, "LOAN", "1000", 24)
    (line,) = audit.entries(settings)
    assert (line.act, line.outcome, line.detail) == (
        *("price", "refused"),
        "as manager; ReleaseRefused",
    )
    assert line.subject == audit.customer(settings, "C1\nx")
