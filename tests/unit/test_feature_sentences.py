"""Sentences of reasons: worked by hand, and one for every feature in both languages."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest

from orchestration.decisions.feature_sentences import (
    feature_sentence,
    group_sentence,
    offer_sentence,
    sentence_examples,
)
from orchestration.decisions.reason_words import reason_in_words
from orchestration.operations.page_words import features
from reports.page import environment
from reports.words import entries, translations

TIER = "customers of the same tier"


def translated(text: str | None, language: str = "zh") -> str:
    return environment(language).filters["translated"](text)


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        # Amounts: the window's own sum, beside that of like customers.
        (
            ("inflow_12m", "13240", "26900"),
            f"money coming in over the last 12 months is 13,240, less than the 26,900 of {TIER}",
        ),
        (
            ("fee_income_1m", "12.5", "3"),
            f"fee income in the last month is 12.50, more than the 3.00 of {TIER}",
        ),
        (
            ("card_payments_3m", "0", "410"),
            f"no spending by card over the last 3 months, while {TIER} have 410.00",
        ),
        (
            ("credit_limit", "", "3500"),
            f"no credit limit, while {TIER} have 3,500",
        ),
        (
            ("expected_loss_12m", "20", ""),
            "expected credit loss over the last 12 months is 20.00, while "
            f"{TIER} usually have none",
        ),
        # Debts are held below zero.
        (
            ("balance_lending", "-8000", "-2000"),
            f"debt on loans is 8,000, more than the 2,000 of {TIER}",
        ),
        (("overdraft", "-20", "0"), f"overdraft is 20.00, while {TIER} usually have none"),
        # Numbers.
        (
            ("bookings_online_3m", "0", "4"),
            f"no bookings online over the last 3 months, while {TIER} have 4",
        ),
        (
            ("complaints_12m", "1", "0"),
            "the number of complaints over the last 12 months is 1, while "
            f"{TIER} usually have none",
        ),
        (
            ("bookings_12m", "10", "82"),
            f"the number of bookings over the last 12 months is 10, fewer than the 82 of {TIER}",
        ),
        # Times, rates and shares.
        (
            ("days_since_active", "45", "1"),
            "time since the customer's own last booking is 45 days, more than the one day of "
            f"{TIER}",
        ),
        (("months_since_income", "", "0"), "no salary or pension is on record"),
        (
            ("credit_rate", "0.021", "0.0084"),
            f"interest rate on balances is 2.10 %, more than the 0.84 % of {TIER}",
        ),
        (
            ("limit_used_share", "0.5", ""),
            f"share of the limit used is 50 %, while {TIER} usually have none",
        ),
        (
            ("days_past_due", "30", "0"),
            f"delay of the loan payments is 30 days, while {TIER} usually have none",
        ),
        # Yes and no, words, tone.
        (("is_defaulted", "1", "0"), "a loan is in default"),
        (
            ("customer_kind", "sole_trader", "person"),
            f"the kind of customer is sole trader, while person is the most frequent among {TIER}",
        ),
        (
            ("sentiment_12m", "-0.5", "0.1"),
            f"the tone of the conversations is worse than with {TIER}",
        ),
        # Three months over twelve.
        (
            ("trend_income", "0.6", "1"),
            "salary and pension received of the last three months is 40 % below its average of "
            "twelve months",
        ),
        (
            ("trend_deposits", "3.04", "1"),
            "balance on deposits of the last three months is 3.0 times its average of twelve "
            "months",
        ),
        (
            ("trend_inflow", "1.01", "0.5"),
            f"money coming in is steady, while that of {TIER} fell lately",
        ),
        (
            ("trend_lending", "0", "1"),
            "no debt on loans in the last three months, unlike earlier in the year",
        ),
        (
            ("trend_contribution_margin", "-12", "0"),
            "contribution of the last three months is 12.00 a month below its average of twelve "
            "months",
        ),
        # Parts of a lifetime value.
        (
            ("attrition_wealth", "-100.5", "0"),
            "contribution at risk should the customer leave investments is 100.50, while "
            f"{TIER} usually have none",
        ),
    ],
)
def test_a_reason_is_a_sentence_beside_like_customers(reason, sentence):
    assert feature_sentence(*reason, TIER) == sentence


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        # 3,600 in three months are 1,200 a month.
        (
            ("inflow_3m", "3600", "9000", "8700"),
            "money coming in fell to 1,200 a month in the last 3 months, from 2,900 over the last "
            "twelve",
        ),
        (
            ("income_1m", "0", "500", "1515"),
            "salary and pension received fell to 0 in the last month, from 1,515 a month over the "
            "last twelve",
        ),
        (
            ("average_lending_3m", "-400", "-100", "-200"),
            "average debt on loans rose to 400.00 in the last 3 months, from 200.00 over the last "
            "twelve",
        ),
        (
            ("bookings_mobile_3m", "2", "4", "6"),
            "the number of bookings by mobile fell to 2 in the last 3 months, from an average of 6 "
            "per 3 months over the year",
        ),
        (
            ("bookings_1m", "9", "5", "3"),
            "the number of bookings rose to 9 in the last month, from an average of 3 a month over "
            "the year",
        ),
    ],
)
def test_a_change_by_a_quarter_stands_beside_the_customers_own_past(reason, sentence):
    feature, value, usual, before = reason
    assert feature_sentence(feature, value, usual, TIER, before) == sentence


@pytest.mark.parametrize(
    "before",
    [
        # By less than a quarter; another way than beside like customers; nothing to a reader.
        *("4500", "3000", ""),
        "3600.1",
    ],
)
def test_the_own_past_is_left_out_where_it_says_less_or_the_opposite(before):
    sentence = feature_sentence("inflow_3m", "3600", "9000", TIER, before)
    assert sentence == (
        f"money coming in over the last 3 months is 3,600, less than the 9,000 of {TIER}"
    )


def test_few_of_a_year_are_no_past_of_a_number():
    sentence = feature_sentence("bookings_online_3m", "1", "0", TIER, "0.25")
    assert sentence == (
        f"the number of bookings online over the last 3 months is 1, while {TIER} usually have none"
    )


@pytest.mark.parametrize(
    ("feature", "value", "usual"),
    [
        ("bookings_online_3m", "0", "0"),
        ("bookings_online_3m", "", "0"),
        ("inflow_3m", "0.001", "0"),
        ("credit_rate", "0.02101", "0.021"),
        ("credit_rate", "", ""),
        ("occupation", "", ""),
        ("customer_kind", "person", "person"),
        ("is_defaulted", "0", "0"),
        ("trend_income", "1.02", "0.98"),
        ("days_since_active", "10.2", "10"),
    ],
)
def test_what_reads_like_the_usual_value_is_no_sentence(feature, value, usual):
    assert feature_sentence(feature, value, usual, TIER) is None


def test_a_segment_is_set_apart_by_its_median_and_the_customer_stands_in_it():
    assert group_sentence("value", "3341.1", 2237.615, 274.61) == (
        "the contribution a year sets the segment apart: 2,238 is usual in it, 274.61 among all "
        "customers, and this customer has 3,341"
    )
    assert group_sentence("loan_term", None, 120.0, 0.0) == (
        "the remaining term of the loans sets the segment apart: 120 months is usual in it, none "
        "among all customers"
    )
    assert group_sentence("wealth_accounts", "1", 0.0, 0.0) is None
    assert group_sentence("age", "40", 40.2, 40.0) is None


def test_an_offer_without_drivers_is_explained_by_its_money_or_else_by_the_response():
    profit, loss = Decimal("31.20"), Decimal("-5.91")
    assert (
        offer_sentence(0.1, loss, profit) == "a contact is expected to bring 31.20 after its cost"
    )
    assert offer_sentence(0.1, profit, loss) == (
        "a contact is expected to cost 5.91 more than it brings"
    )
    assert offer_sentence(0.1, loss, None) == (
        "the offer is expected to lose 5.91, before the cost of a contact"
    )
    assert offer_sentence(0.1234, None, None) == "12.3 % of such customers take it when contacted"
    assert offer_sentence(None, None, None) is None


def test_reasons_of_the_tables_come_before_the_money_and_older_releases_keep_their_sentences():
    assert reason_in_words(
        "a contact adds 2.8 points to the probability of taking Loan (5.1 % when contacted); "
        "taken, it brings 1341.68 in a year, less an expected loss of 0.00; the contact costs 6.00"
        "; "
        f"inflow_3m 3600 (usual 9000 of {TIER}, before 8700); age 30 (usual 40 of {TIER}); "
        "bookings_online_3m 12 (usual 2); cards 1 (usual 1)"
    ) == (
        "money coming in fell to 1,200 a month in the last 3 months, from 2,900 over the last "
        "twelve; the number of bookings online over the last 3 months is 12, more than the 2 of "
        "other customers; a contact adds 2.8 points to the probability of taking Loan (5.1 % when "
        "contacted); taken, it brings 1,341.68 in a year; the contact costs 6.00"
    )


def test_days_past_due_stand_once():
    late = f"days_past_due 30 (usual 0 of {TIER})"
    assert reason_in_words(f"30 days past due; {late}") == "30 days past due"
    assert reason_in_words(late) == (
        f"delay of the loan payments is 30 days, while {TIER} usually have none"
    )
    assert reason_in_words("1 days past due; probability of default 0.153") == (
        "one day past due; probability of default 15.3 %"
    )


def test_a_sentence_has_the_amounts_and_the_order_of_words_of_its_language():
    found = feature_sentence("inflow_3m", "3600", "9000", TIER, "8700")
    assert translated(found) == "近3个月资金流入降至每月1,200，近12个月为每月2,900"
    found = feature_sentence("credit_rate", "0.021", "0.0084", TIER)
    assert translated(found) == "余额利率为2.10%，高于同层级客户的0.84%"
    assert translated(found, "en") == found


@pytest.mark.parametrize("feature", list(dict.fromkeys([*features(), "tier_number"])))
def test_every_feature_has_sentences_in_both_languages_without_its_name(feature):
    found = list(sentence_examples([feature]))
    # Those of offers come along: they are five.
    assert len(found) > 5
    chinese = translations("zh")
    for sentence in found:
        assert not re.search(r"[a-z]_[a-z0-9]|\d+m\b", sentence), sentence
        for entry in entries(sentence):
            # A catalogue has an entry for every piece, and it is Chinese.
            assert chinese.gettext(entry) != entry or entry == "{0}", entry
        assert not re.search("[a-z]", translated(sentence)), translated(sentence)
