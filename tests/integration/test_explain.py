"""Every amount of the awkward bank follows from its parts, and a changed one does not."""

from __future__ import annotations

import shutil
from decimal import Decimal

import duckdb
import pytest

from orchestration.valuation import price
from orchestration.valuation.explanation import MEASURES, account_month
from reports.formats import titled
from reports.words import read
from sources import vocabulary

CREDIT = (
    "exists(select 1 from value.account_credit as credit where credit.account_id = "
    "value.account_id and credit.month = value.month"
)
# One account-month for each case of a rule, the first by account and month.
CASES = {
    "a term": "curve_month is not null",
    "a term of an earlier month": "curve_month < month",
    "between two points": (
        "exists(select 1 from value.transfer_curve as curve where curve.month = curve_month "
        "and currency = curve_currency and tenor_months = curve_tenor "
        "and tenor_above > tenor_below)"
    ),
    "a portfolio": "curve_month is null and transfer_price <> 0",
    "a curve of another currency": "curve_currency = 'USD' and transfer_price <> 0",
    "overdrawn": "overdrawn_price is not null",
    "not funded": "product_line = 'wealth'",
    "a card": "product_line = 'cards' and exposure > 0",
    "accrued": "accrued_interest > 0",
    "interest charged": "interest_income_booked <> 0",
    "the accrual ends": (
        "exists(select 1 from value.accrued_interest as accrued where accrued.account_id = "
        "value.account_id and accrued.month = value.month and interest_accrued is null)"
    ),
    "fees": "fee_income <> 0",
    "past due": "stage = 2",
    "in default": "stage = 3",
    "provision changed": "provision_change <> 0",
    "lost": "realised_loss <> 0",
    "of the model": "default_model_version is not null",
    "balance not known": "average_balance is null",
    "delivered results": (
        "exists(select 1 from base.account_result as result where result.account_id = "
        "value.account_id and result.month = value.month)"
    ),
    "loans beside the balance": (
        "exists(select 1 from base.loan_exposure as loan where loan.account_id = "
        "value.account_id and loan.month = value.month)"
    ),
    "owners": f"{CREDIT} and credit.party = credit.employee_id and credit.units < 1000000)",
    "not covered by the owners": f"{CREDIT} and credit.all_units > 99 and credit.party = '(none)')",
    "managers of several customers": f"{CREDIT} and credit.all_units between 2 and 99)",
}


def chosen(connection, condition, rows=2):
    return connection.execute(
        f"select account_id, month from value.account_month as value where {condition} "
        f"order by all limit {rows}"
    ).fetchall()


def differing(connection, account_id, month):
    _, measures = account_month(connection, account_id, month)
    return {row["measure"]: row["difference"] for row in measures if row["difference"]}


@pytest.mark.parametrize("case", CASES)
def test_every_amount_follows_from_its_parts(whole, case):
    with duckdb.connect(str(whole), read_only=True) as connection:
        found = chosen(connection, CASES[case])
        assert found
        for account_id, month in found:
            assert differing(connection, account_id, month) == {}, (account_id, month)


def test_every_measure_of_the_table_is_explained(whole):
    described = {"account_id", "month", "product_id", "product_line", "branch_id"}
    described |= {"closing_balance", "curve_month", "curve_tenor", "stage"}
    described |= {"curve_currency", "liquidity_month", "liquidity_tenor"}
    described |= {"probability_of_default", "default_model_version"}
    with duckdb.connect(str(whole), read_only=True) as connection:
        columns = connection.execute("describe value.account_month").fetchall()
    explained = {measure.name for measure in MEASURES}
    explained -= {"mean_rate", "credited_share", "credited_profit"}
    assert explained == {name for name, *_ in columns} - described


CHANGES = {
    "value.account_month set direct_cost = direct_cost + 0.01": {
        "direct_cost": Decimal("-0.01"),
        "contribution_margin": Decimal("-0.01"),
        "credited_profit": Decimal("-0.01"),
    },
    "value.transfer_tranche set mean_rate = mean_rate + 0.0000000001": {"mean_rate"},
    "value.transfer_tranche set weight = weight / 2": {"transfer_price"},
    "value.transfer_tranche set mean_liquidity_premium = mean_liquidity_premium + 0.001": {
        "transfer_price"
    },
    "value.overhead set units = 2 * units where account_id = $account": {"overhead"},
    "value.unit_cost set unit_cost = unit_cost + 1": {"direct_cost"},
    "base.account_activity set amount = amount - 1 where kind in ('fee', 'penalty')": {
        "fee_income"
    },
    "base.account_month set balance_day_sum = 2 * balance_day_sum": {
        "average_balance",
        "transfer_result",
        "transfer_liquidity",
    },
    "value.product_parameter set capital_weight = capital_weight + 0.01": {
        "economic_capital",
        "capital_charge",
    },
    "value.credit_risk set probability_of_default = 0.5": {"expected_loss"},
    "value.credit_risk set provision = month(month)": {"provision_change"},
    "value.account_credit set units = 2 * units": {"credited_share", "credited_profit"},
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_amount_or_part_is_a_difference(whole, tmp_path, change):
    copy = tmp_path / "copy.duckdb"
    shutil.copy(whole, copy)
    with duckdb.connect(str(copy)) as connection:
        ((account_id, month), *_) = chosen(
            connection,
            "curve_month is null and transfer_price > 0.001 and exposure > 500 and stage = 1"
            " and average_balance <> 0 and overhead > 1 and exists("
            "select 1 from base.account_activity as activity where activity.account_id = "
            "value.account_id and activity.month = value.month and kind in ('fee', 'penalty'))",
        )
        assert differing(connection, account_id, month) == {}
        values = {"account": account_id} if "$account" in change else None
        connection.execute(f"update {change}", values)
        found = differing(connection, account_id, month)
    expected = CHANGES[change]
    if isinstance(expected, dict):
        assert found == expected
    else:
        assert {name.split(",")[0] for name in found} >= expected


def test_the_profit_of_an_employee_is_the_sum_of_the_accounts_credited(whole):
    with duckdb.connect(str(whole), read_only=True) as connection:
        ((employee, month, profit),) = connection.execute(
            "select profit.employee_id, profit.month, economic_profit from "
            "value.profit_by_employee as profit inner join value.account_credit as credit "
            "using (employee_id, month) where role = 'credited' and employee_id <> '(none)' and "
            "units < all_units group by all order by count(*) desc, employee_id, month limit 1"
        ).fetchall()
        accounts = connection.execute(
            "select distinct account_id from value.account_credit where employee_id = ? and "
            "month = ?",
            [employee, month],
        ).fetchall()
        parts = [
            part
            for (account_id,) in accounts
            for measure in account_month(connection, account_id, month)[1]
            if measure["measure"] == "credited_profit"
            for part in measure["parts"]
            if part["employee_id"] == employee
        ]
    assert sum(part["amount"] for part in parts) == profit
    assert any(part["share"] < 1 for part in parts)


def test_every_word_of_an_explanation_is_translated(whole):
    words = {f"delivered: {item.result_item}" for item in vocabulary.RESULT_ITEMS}
    with duckdb.connect(str(whole), read_only=True) as connection:
        for condition in CASES.values():
            account, measures = account_month(connection, *chosen(connection, condition, 1)[0])
            words |= {*account, account["product_line"], account["probability_from"]}
            words -= {"account_id"}
            for measure in measures:
                name, *_ = measure["measure"].split(", ")
                words |= {name} | {column for part in measure["parts"] for column in part}
                # Their parts are the bank's own pools, and months.
                if name not in ("overhead", "mean_rate"):
                    words |= {part["part"] for part in measure["parts"]}
    known = {message.id for message in read("zh")}
    assert {titled(word) for word in words} - known == set()
    assert {measure.formula for measure in MEASURES} - known == set()


def test_a_deal_of_the_average_amount_has_the_floor_of_its_product_term_and_tier(whole):
    """To a millionth, beyond what rounding the average amount to cents makes of the cost."""
    with duckdb.connect(str(whole), read_only=True) as connection:
        ((month,),) = connection.execute(
            "select max(month) from value.product_parameter"
        ).fetchall()
        floors = connection.execute(
            "select product_id, term_months, tier, average_volume, cost_rate, annual_rate "
            "from decisions.price_floor where annual_rate is not null"
        ).fetchall()
        for product, term, tier, amount, cost, floor in floors:
            asked = {"product": product, "term": term, "tier": tier, "amount": amount}
            (row,) = price._rows(
                connection, "price", {**asked, "month": month, "rate": None, "probability": None}
            )
            allowed = Decimal("0.000001") + cost * Decimal("0.005") / amount
            assert abs(row["rate_floor"] - floor) <= allowed, asked
            # The floor earns the hurdle and no more, but for its rounding.
            assert abs(row["economic_profit"]) <= amount * Decimal("0.000003") + Decimal("0.03")
    assert len(floors) > 5
