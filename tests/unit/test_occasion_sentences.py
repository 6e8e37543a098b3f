"""Why a customer is on a list of occasions: what put the customer there, in both languages."""

from datetime import date
from decimal import Decimal

import pytest

import reports
from orchestration.decisions.occasion_sentences import SENTENCES, occasion_examples
from reports.words import Phrase

MATURING = {
    "product_name": "Term deposit",
    "closing_balance": Decimal("20000.40"),
    "matures_on": date(2026, 2, 14),
    "interest_rate": Decimal("0.025"),
}
RAISED = Phrase("no {0} is on record", "salary or pension")
AT_RISK = {
    "value_at_risk": Decimal("480.5"),
    "contribution_margin_12m": Decimal("1200"),
    "raised": [RAISED],
}
DORMANT = {
    "last_active_on": date(2025, 8, 3),
    "days_since_active": 150,
    "contribution_margin_12m": Decimal("900.10"),
    "balance": Decimal("51000"),
}
LOSING = {
    "income": Decimal("40.00"),
    "direct_cost": Decimal("30.00"),
    "expected_loss": None,
    "overhead": Decimal("75.00"),
    "capital_charge": Decimal("5.00"),
    "economic_profit_12m": Decimal("-70.00"),
}
SAID = [
    (
        "maturing",
        MATURING,
        "Term deposit: 20,000 matures on 2026-02-14 and earns 2.50 % a year until then",
        "Term deposit：20,000将于2026年2月14日到期，到期前年利率2.50%",
    ),
    (
        "maturing",
        MATURING | {"interest_rate": None},
        "Term deposit: 20,000 matures on 2026-02-14",
        "Term deposit：20,000将于2026年2月14日到期",
    ),
    (
        "at_risk",
        AT_RISK,
        "no salary or pension is on record; contributed 1,200 in twelve months; 480.50 is at risk",
        "没有工资或养老金的记录；近12个月贡献1,200，潜在流失价值480.50",
    ),
    (
        "at_risk",
        AT_RISK | {"contribution_margin_12m": None, "raised": []},
        "contribution of 480.50 is at risk",
        "面临流失的贡献为480.50",
    ),
    (
        "high_value",
        {"p_high_value": 0.125, "raised": []},
        "12.5 % of such customers enter the top tier",
        "同类客户中有12.5%会进入最高层级",
    ),
    (
        "dormant",
        DORMANT,
        "no booking of the customer's own since 2025-08-03, for 150 days; contributed 900.10 in "
        "twelve months and holds 51,000",
        "自2025年8月3日以来已有150天未由本人办理业务；近12个月贡献900.10，现有存款和投资51,000",
    ),
    (
        "dormant",
        DORMANT | {"last_active_on": None, "days_since_active": None},
        "no booking of the customer's own is on record; contributed 900.10 in twelve months and "
        "holds 51,000",
        "没有客户本人办理业务的记录；近12个月贡献900.10，现有存款和投资51,000",
    ),
    (
        "loss_maker",
        LOSING,
        "the income of twelve months is 40.00; the overhead alone takes 75.00, and 70.00 is "
        "missing to break even",
        "近12个月收入40.00，仅间接费用就占75.00，距盈亏平衡还差70.00",
    ),
    (
        "loss_maker",
        LOSING | {"income": Decimal("-8687.63"), "economic_profit_12m": Decimal("-8797.63")},
        "the income of twelve months is -8,688, before any cost; 8,798 is missing to break even",
        "近12个月收入-8,688，尚未扣除任何成本，距盈亏平衡还差8,798",
    ),
]


@pytest.mark.parametrize(("occasion", "row", "english", "chinese"), SAID)
def test_the_reason_holds_what_put_the_customer_on_the_list(occasion, row, english, chinese):
    reason = SENTENCES[occasion](row)
    assert reports.worded(reason, "en") == english
    assert reports.worded(reason, "zh") == chinese


def test_the_name_of_a_product_stays_as_it_is_delivered():
    # A word of the catalogue as well.
    row = MATURING | {"product_name": "Savings", "interest_rate": None}
    assert reports.worded(SENTENCES["maturing"](row), "zh").startswith("Savings：")


def test_the_examples_have_every_pattern_of_the_sentences():
    patterns = {pattern(one) for one in occasion_examples()}
    assert {pattern(SENTENCES[occasion](row)) for occasion, row, *_ in SAID} <= patterns | {
        "{0}; {1}"
    }


def pattern(words: str) -> str:
    return words.pattern if isinstance(words, Phrase) else words
