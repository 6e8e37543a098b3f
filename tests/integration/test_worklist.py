"""Lists, guide, grid and scorecard: who is on them, in which order, and sums to the cent."""

from __future__ import annotations

import csv
import re
from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.segments.dimensions import DIMENSIONS
from ml.segments.naming import AVERAGE, LOSING
from orchestration.decisions.reason_words import feature_words, reason_in_words
from orchestration.decisions.roles import WITHHELD
from orchestration.platform.environment import DBT_PROJECT
from sources.contract import PRODUCT_LINES
from tests.plan_bank import AS_OF, PlanBank

SUPPRESSIONS = (
    *("no_consent", "complaint", "cool_off", "over_cap", "household_cap", "early_warning"),
    *("defaulted", "minor", "erased", "no_account"),
)
SEED = next((DBT_PROJECT / "seeds").rglob("talking_point.csv"))


@pytest.fixture
def bank(list_queries):
    return PlanBank(list_queries)


def points(bank, *rows):
    for line, audience, language, text in rows:
        bank.add(
            "contacts.talking_point",
            {"product_line": line, "audience": audience, "language": language, "text": text},
        )


def texts_of(bank, column="talking_points"):
    return dict(bank.rows(f"select customer_id, {column} from decisions.worklist"))


def test_a_unit_works_its_contacts_by_expected_profit(bank):
    for name, manager, profit in (
        ("C1", "E1", "4.00"),
        ("C2", "E1", "9.50"),
        ("C4", "E1", "4.00"),
        ("C3", None, "1.00"),
    ):
        bank.customer(name, employee_id=manager)
        bank.plan(name, profit=profit)
    bank.write_lists()
    found = bank.rows(
        "select unit, unit_rank, customer_id, status from decisions.worklist order by all"
    )
    assert found == [
        ("E1", 1, "C2", "open"),
        ("E1", 2, "C1", "open"),
        ("E1", 3, "C4", "open"),
        ("branch B1", 1, "C3", "open"),
    ]


@pytest.mark.parametrize("suppression", SUPPRESSIONS)
def test_a_suppressed_customer_is_on_no_list_whatever_the_plan(bank, suppression):
    bank.customer("C1", suppression=suppression)
    bank.customer("C2")
    for name in ("C1", "C2"):
        bank.plan(name)
    bank.write_lists()
    assert bank.rows("select customer_id from decisions.worklist") == [("C2",)]


def test_controls_unflagged_customers_and_expired_contacts_are_on_no_list(bank):
    bank.customer("C1")
    bank.plan("C1", arm="control")
    bank.customer("C2", universal=True)
    bank.plan("C2")
    bank.customer("C6", held_out=True)
    bank.plan("C6")
    bank.customer("C3")
    bank.plan("C3", expires_on=AS_OF)
    bank.customer("C4")
    bank.plan("C4")
    bank.connection.execute("delete from contacts.contactability where customer_id = 'C4'")
    bank.customer("C5")
    bank.plan("C5", expires_on=AS_OF + timedelta(days=1))
    bank.write_lists()
    assert bank.rows("select customer_id from decisions.worklist") == [("C5",)]


def test_automatic_contacts_are_planned_and_on_no_list(bank):
    for name, channel in (("C1", "mobile"), ("C2", "branch"), ("C3", "messenger")):
        bank.customer(name, segment="digital", district_id="D1")
        bank.plan(name, channel=channel)
    bank.write_lists()
    # A channel without a description may need an employee.
    assert bank.rows("select customer_id from decisions.worklist order by all") == [
        ("C2",),
        ("C3",),
    ]
    assert bank.rows("select sum(planned_contacts) from decisions.guide") == [(3,)]
    assert bank.rows("select planned_contacts from decisions.grid") == [(3,)]
    assert bank.rows("select worklist_open from decisions.manager_scorecard") == [(2,)]


def test_customers_without_manager_and_branch_belong_to_head_office(bank):
    bank.customer("C1", branch_id=None)
    bank.plan("C1")
    bank.write_lists()
    assert bank.rows("select unit, customers, worklist_open from decisions.manager_scorecard") == [
        ("head office", 1, 1)
    ]


def test_talking_points_of_the_segment_precede_those_of_the_tier_and_of_all(bank):
    points(
        bank,
        ("cards", "*", "en", "To all."),
        ("cards", "top", "en", "To the top."),
        ("cards", "investor", "en", "To investors."),
        ("cards", "digital", "en", "To the digital."),
        ("wealth", "digital", "en", "Of another line."),
    )
    bank.customer("C1", segment="rather digital, investor, good value (S3)", tier="top")
    bank.customer("C2", segment="older, good value", tier="top")
    bank.customer("C3", segment="older, good value", tier="base")
    bank.customer("C4")
    for name in ("C1", "C2", "C3", "C4"):
        bank.plan(name)
    bank.write_lists()
    assert texts_of(bank) == {
        "C1": "To the digital. To investors.",
        "C2": "To the top.",
        "C3": "To all.",
        "C4": "To all.",
    }


def test_each_language_falls_back_by_itself(bank):
    points(
        bank,
        ("cards", "digital", "en", "To the digital."),
        ("cards", "*", "en", "To all."),
        ("cards", "*", "zh", "致所有人。"),
    )
    bank.customer("C1", segment="digital, good value")
    bank.plan("C1")
    bank.write_lists()
    assert texts_of(bank) == {"C1": "To the digital."}
    assert texts_of(bank, "talking_points_zh") == {"C1": "致所有人。"}


def test_a_reason_is_in_words_without_values_withheld_from_managers(bank):
    bank.customer("C1")
    bank.plan("C1", reason="bookings_online_3m 12 (usual 0); age 22 (usual 42); the offer is new")
    bank.customer("C2")
    bank.plan("C2", reason="monthly_income 2060 (usual 3100)")
    bank.write_lists()
    assert texts_of(bank, "reason") == {
        "C1": "the number of bookings online over the last 3 months is 12, while other customers "
        "usually have none; the offer is new",
        "C2": "chosen for its expected profit",
    }


PARTS = st.one_of(
    st.builds(
        "{} {} (usual {})".format,
        st.sampled_from(
            [
                *WITHHELD,
                "income_12m",
                "accounts",
                "balance_deposits",
                "monthly_income_3m",
                "odd_one",
            ]
        ),
        st.sampled_from(["12", "-0.5", "none", "a (b)"]),
        st.sampled_from(["0", "none", "worker"]),
    ),
    st.sampled_from(["age matters", "60 days past due", "income_3m 5", "", "  spaced ", "a; b"]),
)


@given(st.lists(PARTS, max_size=4))
@settings(max_examples=100)
def test_no_reason_in_words_names_a_withheld_feature(parts):
    words = reason_in_words("; ".join(parts)) or ""
    names = "age|sex|occupation|education|marital status|declared monthly income|district|region"
    assert not re.search(rf"(^|; )(the |no )?({names})( is|,|:| over)", words)


def test_features_read_as_words():
    assert feature_words("bookings_online_3m") == "bookings online, last 3 months"
    assert feature_words("contribution_cards_12m") == "contribution from cards, last 12 months"
    assert feature_words("days_past_due_max_12m") == "most days past due, last 12 months"
    assert feature_words("net_interest_margin_1m") == "net interest margin, last month"
    assert feature_words("something_new") == "something new"


def test_products_held_are_open_and_the_customers_own(bank):
    bank.customer("C1")
    bank.plan("C1")
    for account, name, is_open, is_beneficial in (
        ("A1", "Savings", True, True),
        ("A2", "Mortgage", False, True),
        ("A3", "Current", True, True),
        ("A4", "Fund", True, False),
        ("A5", "Savings", True, True),
    ):
        bank.add(
            "base.account",
            {"account_id": account, "product_id": name, "product_name": name, "is_open": is_open},
        )
        bank.add(
            "base.account_holder",
            {"account_id": account, "customer_id": "C1", "is_beneficial": is_beneficial},
        )
    bank.write_lists()
    assert texts_of(bank, "products_held") == {"C1": "Current, Savings"}


def test_the_guide_has_every_group_with_every_offer_and_counts_the_list(bank):
    points(bank, ("wealth", "digital", "en", "To the digital."), ("cards", "*", "en", "To all."))
    for name, segment in (("C1", "digital"), ("C2", "digital"), ("C3", "older"), ("C4", None)):
        bank.customer(name, segment=segment)
    bank.plan("C1", "FUND", "3.10")
    bank.plan("C2", "FUND", "2.05")
    bank.plan("C3", "CARD", "1.00", arm="control")
    bank.write_lists()
    found = bank.rows("from decisions.guide order by segment_name, product_id")
    assert [row[:2] for row in found] == [
        (segment, offer) for segment in ("digital", "older") for offer in ("CARD", "FUND", "LOAN")
    ]
    by_key = {row[:2]: row[4:8] for row in found}
    assert by_key["digital", "FUND"] == (2, 2, Decimal("5.15"), "To the digital.")
    assert by_key["older", "CARD"] == (1, 0, Decimal("0.00"), "To all.")
    assert by_key["older", "LOAN"] == (1, 0, Decimal("0.00"), None)


def test_a_bank_without_scores_or_tiers_still_has_lists(bank):
    points(bank, ("cards", "*", "en", "To all."))
    bank.customer("C1")
    bank.plan("C1")
    for table in ("scores.customer", "value.customer_tier", "alerts.credit"):
        bank.connection.execute(f"delete from {table}")
    bank.write_lists()
    assert texts_of(bank) == {"C1": "To all."}


def test_a_second_run_leaves_the_same_tables(bank):
    bank.customer("C1", segment="digital", tier="top", district_id="D1")
    bank.plan("C1")

    def run():
        bank.write_lists()
        return [
            bank.rows(f"from decisions.{table} order by all")
            for table in ("worklist", "guide", "grid", "manager_scorecard")
        ]

    assert run() == run()


# --- The seed -------------------------------------------------------------------------------


def test_the_seeds_audiences_occur_in_both_languages_of_every_line():
    with SEED.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert list(rows[0]) == ["product_line", "audience", "language", "text"]
    words = {
        word
        for dimension in DIMENSIONS
        for word in (dimension.low, dimension.high, dimension.very_low, dimension.very_high)
        if word
    }
    tiers_path = DBT_PROJECT / "seeds" / "value" / "tier_scheme.csv"
    with tiers_path.open(encoding="utf-8", newline="") as lines:
        tiers = {row["tier"] for row in csv.DictReader(lines)}
    audiences = {row["audience"] for row in rows}
    assert audiences <= words | tiers | {"*", AVERAGE, LOSING}
    for line in PRODUCT_LINES:
        by_language = {
            language: {
                row["audience"]
                for row in rows
                if (row["product_line"], row["language"]) == (line, language)
            }
            for language in ("en", "zh")
        }
        assert by_language["en"] == by_language["zh"] >= {"*"}
    keys = [(row["product_line"], row["audience"], row["language"], row["text"]) for row in rows]
    assert len(set(keys)) == len(keys)


# --- The grid -------------------------------------------------------------------------------


def earn(bank, customer_id, month, amount):
    bank.add(
        "value.profit_by_customer",
        {"customer_id": customer_id, "month": month, "contribution_margin": Decimal(amount)},
    )


@pytest.fixture
def field(bank):
    """Two districts and nowhere; an account that nobody owns; months before the year."""
    bank.add(
        "staging.stg_district",
        {"district_id": "D1", "district_name": "Old", "extract_month": date(2024, 1, 1)},
        {
            **{"district_id": "D1", "district_name": "Altmark", "region": "North"},
            **{"latitude": 48.5, "longitude": 12.25, "extract_month": date(2025, 1, 1)},
        },
        {"district_id": "D3", "district_name": "Empty", "extract_month": date(2025, 1, 1)},
    )
    bank.customer("C1", district_id="D1", employee_id="E2", branch_id="B2", contacts_12m=2)
    bank.customer("C2", district_id="D1", employee_id="E1", branch_id="B1")
    bank.customer("C3", district_id="D1", branch_id="B1")
    bank.customer("C4", district_id="D2", employee_id="E9", accounts=0, contacts_12m=1)
    bank.customer("C5", employee_id="E1")
    for name, month, amount in (
        ("C1", date(2025, 1, 1), "10.01"),
        ("C1", date(2025, 12, 1), "0.02"),
        ("C1", date(2024, 12, 1), "1000.00"),
        ("C2", date(2025, 6, 1), "-3.33"),
        ("C4", date(2025, 6, 1), "7.77"),
        ("C5", date(2025, 6, 1), "1.11"),
        ("(none)", date(2025, 6, 1), "0.07"),
    ):
        earn(bank, name, month, amount)
    for name, product, profit in (
        ("C1", "CARD", "4.00"),
        ("C1", "FUND", "6.50"),
        ("C2", "CARD", "-2.00"),
    ):
        bank.add(
            "contacts.candidate",
            {
                "customer_id": name,
                "product_id": product,
                "expected_incremental_profit": Decimal(profit),
            },
        )
    bank.plan("C1", "FUND")
    bank.write_lists()
    return bank


def test_the_grid_adds_up_to_the_bank_with_a_row_for_no_district(field):
    value = dict(field.rows("select district_id, contribution_margin_12m from decisions.grid"))
    assert value == {
        "D1": Decimal("6.70"),
        "D2": Decimal("7.77"),
        "D3": Decimal("0.00"),
        "(none)": Decimal("1.18"),
    }
    assert field.rows(
        "select sum(contribution_margin) from value.profit_by_customer where month >= '2025-01-01'"
    ) == [(sum(value.values()),)]


def test_a_district_has_its_place_its_manager_and_its_figures(field):
    found = field.connection.execute("from decisions.grid where district_id = 'D1'")
    names = [column[0] for column in found.description]
    row = dict(zip(names, found.fetchall()[0], strict=True))
    assert (row["district_name"], row["latitude"], row["longitude"]) == ("Altmark", 48.5, 12.25)
    # One customer each: the smaller id; of the branches the one with two.
    assert (row["employee_id"], row["branch_id"]) == ("E1", "B1")
    assert (row["customers"], row["customers_with_manager"]) == (3, 2)
    assert row["manager_share"] == pytest.approx(2 / 3)
    assert (row["contacts_12m"], row["coverage"]) == (2, pytest.approx(1 / 3))
    assert (row["potential"], row["planned_contacts"]) == (Decimal("6.50"), 1)


def test_a_district_of_former_customers_has_no_shares(field):
    assert field.rows(
        "select customers, manager_share, coverage, employee_id from decisions.grid"
        " where district_id = 'D2'"
    ) == [(0, None, None, None)]


# --- The scorecard --------------------------------------------------------------------------


def answers(bank, customer_id, arm, probability, responses):
    """A customer's contacts, one an answer; `probability` is that of treatment."""
    bank.add_many(
        "base.campaign_contact",
        (
            *("contact_id", "campaign_id", "customer_id", "contacted_on", "arm"),
            *("assignment_probability", "is_responded", "is_response_complete"),
        ),
        [
            (
                *(f"{customer_id}-{arm}-{probability}-{number}", "K1", customer_id),
                *(date(2025, 6, 1), arm),
                *(
                    probability if arm == "treatment" else 1 - probability,
                    bool(has_responded),
                    True,
                ),
            )
            for number, has_responded in enumerate(responses)
        ],
    )


def card(bank, unit="E1"):
    found = bank.connection.execute("from decisions.manager_scorecard where unit = ?", [unit])
    names = [column[0] for column in found.description]
    return dict(zip(names, found.fetchall()[0], strict=True))


def test_a_managers_book_has_the_figures_worked_by_hand(bank):
    bank.customer(
        "C1",
        employee_id="E1",
        contacts_12m=3,
        balance_deposits=Decimal("100.10"),
        balance_lending=Decimal("-50.00"),
    )
    bank.customer("C2", employee_id="E1", balance_deposits=Decimal("0.90"))
    bank.customer("C3", employee_id="E1", accounts=0)
    bank.customer("C4")
    for name, month, amount in (
        ("C1", date(2025, 2, 1), "30.00"),
        ("C2", date(2025, 12, 1), "3.00"),
        ("C1", date(2024, 1, 1), "20.00"),
        ("C3", date(2024, 12, 1), "10.00"),
        ("C1", date(2023, 12, 1), "500.00"),
        ("C4", date(2025, 2, 1), "5.00"),
        ("(none)", date(2025, 2, 1), "0.05"),
    ):
        earn(bank, name, month, amount)
    bank.add("alerts.credit", {"account_id": "A1", "customer_id": "C1", "severity": "watch"})
    bank.plan("C2")
    bank.write_lists()
    row = card(bank)
    assert (row["customers"], row["coverage"], row["contacts_12m"]) == (2, 0.5, 3)
    assert row["contribution_margin_12m"] == Decimal("33.00")
    assert row["contribution_margin_before"] == Decimal("30.00")
    assert row["growth"] == pytest.approx(0.1)
    assert row["balance_deposits"] == Decimal("101.00")
    assert row["balance_lending"] == Decimal("-50.00")
    assert (row["worklist_open"], row["credit_alerts"]) == (1, 1)
    assert row["effect"] is None
    assert row["effect_note"] == "too few to compare: 0 contacted, 0 held out"
    assert card(bank, "branch B1")["growth"] is None
    total = "select sum(contribution_margin_12m) from decisions.manager_scorecard"
    assert bank.rows(total) == [(Decimal("38.05"),)]


def test_the_effect_is_that_of_a_blocked_experiment(bank):
    bank.customer("C1", employee_id="E1")
    answers(bank, "C1", "treatment", 0.8, [1] * 12 + [0] * 28)
    answers(bank, "C1", "control", 0.8, [1] * 2 + [0] * 8)
    answers(bank, "C1", "treatment", 0.5, [1] * 3 + [0] * 27)
    answers(bank, "C1", "control", 0.5, [1] * 3 + [0] * 27)
    # Without the other arm there is nothing to compare.
    answers(bank, "C1", "treatment", 0.9, [1] * 5)
    bank.write_lists()
    row = card(bank)
    weights = np.array([50, 60]) / 110
    differences = np.array([12 / 40 - 2 / 10, 3 / 30 - 3 / 30])

    def variance(x, n):
        p = (x + 1) / (n + 2)
        return p * (1 - p) / (n - 1)

    variances = np.array([variance(12, 40) + variance(2, 10), variance(3, 30) + variance(3, 30)])
    effect, error = weights @ differences, np.sqrt(weights**2 @ variances)
    assert row["effect"] == pytest.approx(effect, abs=1e-12)
    assert row["effect_low"] == pytest.approx(effect - 1.959964 * error, abs=1e-9)
    assert row["effect_high"] == pytest.approx(effect + 1.959964 * error, abs=1e-9)
    assert (row["treated"], row["control"]) == (75, 40)
    assert row["conversion_treated"] == pytest.approx(20 / 75)
    assert row["effect_note"] == "compared: 70 contacted, 40 held out"


def test_the_interval_covers_the_truth_and_pooling_would_not(bank):
    """Six hundred books where contacting adds 0.05 and who is contacted most buys most anyway."""
    generator = np.random.default_rng(11)
    truth, books = 0.05, 600
    columns = (
        *("contact_id", "campaign_id", "customer_id", "contacted_on", "arm"),
        *("assignment_probability", "is_responded", "is_response_complete"),
    )
    contacts = []
    for book in range(books):
        for probability, base, members in ((0.5, 0.05, 70), (0.8, 0.30, 100)):
            treated = generator.random(members) < probability
            answered = generator.random(members) < base + truth * treated
            contacts += [
                (
                    *(f"{book}-{probability}-{n}", "K1", f"C{book}", date(2025, 6, 1)),
                    "treatment" if arm else "control",
                    probability if arm else 1 - probability,
                    *(bool(answer), True),
                )
                for n, (arm, answer) in enumerate(zip(treated, answered, strict=True))
            ]
    bank.connection.register("drawn", pd.DataFrame(contacts, columns=list(columns)))
    bank.connection.execute("insert into base.campaign_contact by name from drawn")
    bank.connection.execute(
        f"insert into base.customer by name select 'C' || n as customer_id, 'E' || n as"
        f" employee_id, 1 as accounts from range({books}) as t(n)"
    )
    bank.write_lists()
    covered, mean, pooled = bank.rows(
        f"select avg((effect_low <= {truth} and effect_high >= {truth})::integer), avg(effect),"
        " avg(conversion_treated - conversion_control) from decisions.manager_scorecard"
    )[0]
    # Three standard errors of a share of 0.95 over the books.
    assert covered >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / books)
    assert mean == pytest.approx(truth, abs=3 * 0.065 / np.sqrt(books))
    assert pooled > truth + 0.03


def test_an_effect_needs_enough_finished_recent_contacts(bank):
    bank.customer("C1", employee_id="E1")
    answers(bank, "C1", "treatment", 0.5, [1] * 30)
    answers(bank, "C1", "control", 0.5, [0] * 19)
    for contact, day, complete in (
        ("late", date(2025, 12, 20), False),
        ("old", date(2024, 12, 31), True),
    ):
        bank.add(
            "base.campaign_contact",
            {
                **{"contact_id": contact, "customer_id": "C1", "contacted_on": day},
                **{"arm": "control", "assignment_probability": 0.5, "is_responded": False},
                "is_response_complete": complete,
            },
        )
    bank.write_lists()
    row = card(bank)
    assert (row["treated"], row["control"], row["effect"]) == (30, 19, None)
    assert "too few" in row["effect_note"]


@pytest.mark.parametrize("as_of", [date(2024, 2, 29), date(2025, 1, 31), date(2025, 11, 30)])
def test_a_year_is_twelve_whole_months(bank, as_of):
    bank.customer("C1", employee_id="E1", district_id="D1")
    first = date(as_of.year - (as_of.month < 12), as_of.month % 12 + 1, 1)
    earn(bank, "C1", first, "1.00")
    earn(bank, "C1", (first - timedelta(days=1)).replace(day=1), "10.00")
    earn(bank, "C1", as_of.replace(day=1), "100.00")
    earn(bank, "C1", as_of + timedelta(days=1), "1000.00")
    bank.write_lists(as_of)
    for table in ("grid", "manager_scorecard"):
        assert bank.rows(f"select max(contribution_margin_12m) from decisions.{table}") == [
            (Decimal("101.00"),)
        ]
    assert card(bank)["contribution_margin_before"] == Decimal("10.00")
