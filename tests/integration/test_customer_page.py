"""The customer's page: what each role may read, from new and old releases, and who read it."""

from __future__ import annotations

import json
import re
import stat
from datetime import date
from decimal import Decimal

import dagster as dg
import duckdb
import pytest
import yaml

from orchestration.customer_page import (
    CustomerUnknown,
    RoleUnknown,
    customer_facts,
    customer_page,
    render_customer_page,
)
from orchestration.customer_page.content import BARRED, SUPPRESSIONS
from orchestration.customer_page.job import CUSTOMER_PAGE_OP, customer_page_job
from orchestration.decisions.roles import (
    BUSINESS,
    COMPLIANCE,
    FOR_SERVICE,
    MANAGER,
    ROLES,
    WITHHELD,
)
from orchestration.platform import audit
from orchestration.platform.environment import DBT_PROJECT
from orchestration.platform.files import write_whole
from orchestration.platform.identity import ActRefused, operating_system_user
from orchestration.platform.releases import ReleaseRefused, point_at
from orchestration.platform.resources import Home
from orchestration.platform.settings import Settings
from tests.plan_bank import PlanBank

pytestmark = pytest.mark.slow

RELEASE = "2025-12-20260105T010101-abcd"
# In every protected column a value that occurs nowhere else.
PROTECTED = {
    "birth_date": date(1971, 10, 17),
    "age": 7731,
    "sex": "female-7732",
    "marital_status": "married-7733",
    "education": "primary-7734",
    "occupation": "worker-7735",
    "monthly_income": Decimal("7736.77"),
    "district_id": "D7737",
    "region": "North-7738",
}
PROTECTED_TEXTS = [str(value) for value in PROTECTED.values()]


def furnish(bank):
    """A customer with data of every kind, and one without."""
    bank.customer(
        "C1",
        employee_id="E1",
        household_id="H1",
        segment="digital, good value",
        tier="top",
        days_past_due=3,
        **PROTECTED,
    )
    bank.customer("C2", household_id="H1")
    bank.add("base.household", {"household_id": "H1", "members": 2, "accounts": 2})
    bank.add(
        "contacts.talking_point",
        {
            "product_line": "cards",
            "audience": "digital",
            "language": "en",
            "text": "Show the app.",
        },
    )
    bank.add(
        "base.account",
        {
            **{"account_id": "A1", "product_id": "CURRENT", "product_name": "Current account"},
            **{"product_line": "deposits", "is_open": True, "closing_balance": Decimal("12.34")},
        },
        {"account_id": "A2", "product_id": "CURRENT", "is_open": False},
    )
    for account in ("A1", "A2"):
        bank.add(
            "base.account_holder",
            {
                **{"account_id": account, "customer_id": "C1", "role": "owner"},
                "is_beneficial": True,
            },
        )
    for month, amount in ((date(2024, 12, 1), "8.00"), (date(2025, 11, 1), "1.50")):
        bank.add(
            "value.profit_by_customer",
            {
                **{"customer_id": "C1", "month": month, "contribution_margin": Decimal(amount)},
                "economic_profit": Decimal("-0.75"),
            },
        )
    for rank, (feature, value) in enumerate(
        (("age", "7731"), ("occupation", "worker-7735"), ("bookings_online_3m", "12")), start=1
    ):
        bank.add(
            "scores.reason",
            {
                **{"customer_id": "C1", "model_name": "attrition", "rank": rank},
                **{"feature": feature, "value": value, "usual": "0", "direction": "raises"},
            },
        )
    bank.add(
        "scores.reason",
        {
            **{"customer_id": "C1", "model_name": "segment", "rank": 1, "feature": "age"},
            **{"value": "7731", "usual": "0", "direction": "raises"},
        },
    )
    bank.add(
        "alerts.credit",
        {
            **{"account_id": "A1", "customer_id": "C1", "severity": "watch", "p_default": 0.07},
            "reason": "3 days past due; age 7731 (usual 42); income_3m 5 (usual 9)",
        },
    )
    bank.add(
        "base.campaign_contact",
        {
            **{"contact_id": "N1", "campaign_id": "K1", "campaign_name": "Cards, spring"},
            **{"product_id": "CARD", "customer_id": "C1", "contacted_on": date(2025, 3, 2)},
            **{"arm": "treatment", "is_responded": True, "responded_on": date(2025, 3, 9)},
            "is_response_complete": True,
        },
    )
    for product, response, profit in (("CARD", 0.125, "5.00"), ("FUND", 0.25, None)):
        bank.add(
            "scores.offer",
            {
                **{"customer_id": "C1", "product_id": product, "p_response": response},
                **{"uplift": 0.0625, "reason": "age 7731 (usual 42); accounts 2 (usual 3)"},
                "expected_incremental_profit": None if profit is None else Decimal(profit),
            },
        )
    bank.add(
        "contacts.candidate",
        {
            **{"customer_id": "C1", "product_id": "CARD", "channel": "telephone"},
            "expected_incremental_profit": Decimal("4.56"),
        },
    )
    bank.plan(
        "C1",
        profit="4.56",
        reason="age 7731 (usual 42); bookings_online_3m 12 (usual 0)",
        district_id="D7737",
        household_id="H1",
    )
    bank.write_lists()
    bank.connection.execute("create schema meta")
    bank.connection.execute(
        "create table meta.release as select ? as release_id, '2025-12' as as_of,"
        " 'made by hand' as source",
        [RELEASE],
    )


@pytest.fixture
def bank(list_queries):
    bank = PlanBank(list_queries)
    furnish(bank)
    return bank


def page_of(bank, customer_id="C1", role=MANAGER):
    return render_customer_page(customer_facts(bank.connection, customer_id, role=role))


def text_of(page):
    """What a reader sees, in one line."""
    body = page[page.index("<main>") :]
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())


# --- What each role may read ----------------------------------------------------------------


def test_a_managers_page_shows_no_protected_value(bank):
    facts = customer_facts(bank.connection, "C1")
    assert facts["personal"] == {}
    held = repr(facts) + render_customer_page(facts)
    assert [value for value in PROTECTED_TEXTS if value in held] == []
    assert "1971" not in held and "datetime.date(1971" not in held


def test_a_compliance_page_shows_all_protected_values(bank):
    text = text_of(page_of(bank, role=COMPLIANCE))
    assert [value for value in PROTECTED_TEXTS if value not in text] == []
    assert "Members: C1, C2." in text
    assert "Members: C1" not in text_of(page_of(bank))


def test_every_personal_column_of_the_customer_is_given_to_a_role_or_withheld():
    declared = yaml.safe_load((DBT_PROJECT / "models/base/base_customer.yml").read_text())
    tagged = {
        column["name"]
        for column in declared["models"][0]["columns"]
        if "personal" in column.get("config", {}).get("tags", [])
    }
    assert tagged == {*FOR_SERVICE, *WITHHELD}
    assert set(FOR_SERVICE).isdisjoint(WITHHELD)
    assert set(WITHHELD) == set(PROTECTED)
    assert {name: bool(columns & set(WITHHELD)) for name, columns in ROLES.items()} == {
        MANAGER: False,
        COMPLIANCE: True,
    }


def test_reasons_are_in_words_without_withheld_values(bank):
    text = text_of(page_of(bank))
    assert (
        "Raises it: the number of bookings online over the last 3 months is 12, while other "
        "customers usually have none." in text
    )
    assert (
        "3 days past due; salary and pension received over the last 3 months is 5.00, less than "
        "the 9.00 of other customers" in text
    )
    assert "Segment: what puts" not in text
    assert "the occupation is worker-7735" in text_of(page_of(bank, role=COMPLIANCE))


def test_a_reason_names_like_customers_or_the_customers_own_past(bank):
    bank.connection.execute(
        "update scores.reason set usual = '9', usual_of = 'customers of the same tier',"
        " before = '20' where rank = 3"
    )
    bank.add(
        "scores.reason",
        {
            **{"customer_id": "C1", "model_name": "attrition", "rank": 4},
            **{"feature": "accounts", "value": "1", "usual": "3", "direction": "lowers"},
            "usual_of": "customers of the same tier",
        },
    )
    text = text_of(page_of(bank))
    # 12 are fewer than the customer's own 20 and more than the 9 of others: no fall explains more.
    assert (
        "the number of bookings online over the last 3 months is 12, more than the 9 of customers "
        "of the same tier." in text
    )
    assert "Lowers it: the number of accounts is 1, fewer than the 3 of customers of" in text
    bank.connection.execute("update scores.reason set usual = '21' where rank = 3")
    assert (
        "the number of bookings online fell to 12 in the last 3 months, from an average of 20 per "
        "3 months over the year." in text_of(page_of(bank))
    )


def test_the_segment_has_one_sentence_which_older_releases_have_without_the_customers_value(bank):
    bank.connection.execute("update scores.customer set segment = 'S1'")
    bank.connection.execute(
        "update scores.reason set feature = 'value', usual_of = 'other customers'"
        " where model_name = 'segment'"
    )
    bank.connection.execute(
        "create table scores.segment_profile as"
        " select 'S1' as segment, 'value' as dimension, 2000.0 as median,"
        " 100.0 as population_median"
    )
    words = "The contribution a year sets the segment apart: 2,000 is usual in it, 100.00 among all"
    assert f"{words} customers, and this customer has 7,731." in text_of(page_of(bank))
    bank.connection.execute("alter table scores.reason drop column usual_of")
    bank.connection.execute("alter table scores.reason drop column before")
    text = text_of(page_of(bank))
    assert f"{words} customers." in text
    assert "12, while other customers usually have none" in text


def test_an_offer_is_never_without_a_reason(bank):
    bank.connection.execute("update scores.offer set reason = null")
    offers = {one["product_id"]: one for one in customer_facts(bank.connection, "C1")["offers"]}
    assert offers["CARD"]["reason"] == "a contact is expected to bring 4.56 after its cost"
    assert offers["FUND"]["reason"] == "25.0 % of such customers take it when contacted"


def test_a_chinese_page_has_the_words_of_the_tables_in_chinese(bank):
    bank.connection.execute("update scores.reason set value = '8578' where rank = 3")
    bank.connection.execute(
        "update scores.customer set segment_name = 'older, rather single, top value (S3)'"
    )
    facts = customer_facts(bank.connection, "C1")
    english, chinese = (text_of(render_customer_page(facts, one)) for one in ("en", "zh"))
    assert "the number of bookings online over the last 3 months is 8,578, while" in english
    assert "older, rather single, top value (S3)" in english
    assert "提升该评分的因素：近3个月网上银行交易笔数为8,578，而其他客户通常没有。" in chinese
    assert "逾期3天；近3个月工资和养老金入账为5.00，低于其他客户的9.00" in chinese
    assert "较年长、单身（程度较轻）、价值最高（S3）" in chinese
    assert "关注" in chinese and "电话银行" in chinese and "以客户经理身份查阅" in chinese
    assert "Cards, spring" in chinese


def test_an_unknown_role_is_refused(bank):
    with pytest.raises(RoleUnknown, match="compliance, manager"):
        customer_facts(bank.connection, "C1", role="neighbour")


# --- What it shows --------------------------------------------------------------------------


def test_the_page_shows_value_holdings_contacts_and_offers(bank):
    text = text_of(page_of(bank))
    assert f"As of 2025-12, release {RELEASE} (made by hand); money in the bank" in text
    assert "Current account A1 owner" in text and "12.34" in text
    assert "Closed accounts: 1." in text
    assert "2025-01 to 2025-12 1.50 -0.75" in text
    assert "2025-03-02 Cards, spring CARD – yes 2025-03-09" in text
    # The candidate's figure is after the cost of its channel.
    offers = text[text.index("Next best offers") :]
    assert re.search(r"Credit card telephone 12\.5 % 6\.2 % – 4\.56", offers)
    assert offers.index("Credit card") < offers.index("Investment fund")
    assert "To be contacted about Credit card by Telephone, until 2026-01-31" in text
    assert "number 1 on the list of E1" in text
    assert "Show the app." in text


def test_the_value_to_come_is_labelled_with_the_months_it_covers(bank):
    labels = re.compile(r"<dt>Lifetime value, (\d+) months</dt>")
    card = re.compile(r'class="card">.*?Lifetime value, (\d+) months', re.DOTALL)
    for months, shown in ((None, "12"), (6, "6")):
        bank.connection.execute("update scores.customer set clv_horizon_months = ?", [months])
        page = page_of(bank)
        assert labels.findall(page) == [shown, "36"] and card.findall(page)[0] == shown
    # A customer who was not scored, whose relationship is over.
    bank.connection.execute("delete from scores.customer where customer_id = 'C1'")
    assert "Lifetime value, 6 months" in page_of(bank)
    facts = customer_facts(bank.connection, "C1")
    assert "未来6个月客户生命周期价值" in render_customer_page(facts, "zh")


def test_a_business_is_shown_to_every_role_as_far_as_it_was_delivered(bank):
    assert "Kind of customer" not in text_of(page_of(bank))
    bank.connection.execute(
        "update base.customer set customer_kind = 'sole_trader', industry = 'retail <trade>',"
        " company_size = 'micro', is_inclusive_finance = true where customer_id = 'C1'"
    )
    for role in ROLES:
        page = page_of(bank, role=role)
        assert (
            "Business Kind of customer Sole trader Industry retail &lt;trade&gt; Size Micro"
            " Inclusive finance yes"
        ) in text_of(page)
        assert "Group of companies" not in page
    facts = customer_facts(bank.connection, "C1")
    assert "<dd>个体工商户</dd>" in render_customer_page(facts, "zh")
    for column in BUSINESS:
        bank.connection.execute(f"alter table base.customer drop column {column}")
    assert "Business" not in text_of(page_of(bank))


def test_years_count_back_from_the_as_of_month(bank):
    facts = customer_facts(bank.connection, "C1")
    assert [row["month"] for row in facts["history"]][:2] == [date(2024, 12, 1), date(2025, 1, 1)]
    assert len(facts["history"]) == 13
    assert [(year["first"], year["months"]) for year in facts["years"]] == [(date(2025, 1, 1), 12)]
    assert facts["years"][0]["contribution_margin"] == Decimal("1.50")


def test_no_month_after_the_as_of_month_is_shown_and_no_more_than_36(bank):
    bank.connection.execute(
        "insert into value.profit_by_customer select 'C1', (date '2020-01-01' + to_months(n::int)),"
        " 0.01, 0.01 from range(120) as t(n) where date '2020-01-01' + to_months(n::int) not in"
        " (select month from value.profit_by_customer)"
    )
    months = [row["month"] for row in customer_facts(bank.connection, "C1")["history"]]
    assert (months[0], months[-1], len(months)) == (date(2023, 1, 1), date(2025, 12, 1), 36)


def test_a_customer_with_hardly_any_data_has_a_page(bank):
    text = text_of(page_of(bank, "C2"))
    for words in (
        *("No open account.", "No month with profit or loss.", "No alert.", "No contact."),
        "No offer was scored.",
        "Not on a list this month: no suitable offer brings more than it costs.",
    ):
        assert words in text


@pytest.mark.parametrize("suppression", SUPPRESSIONS)
def test_a_suppressed_customers_page_shows_the_reason_whatever_the_plan(bank, suppression):
    bank.connection.execute(
        "update contacts.contactability set suppression = ? where customer_id = 'C1'",
        [suppression],
    )
    if suppression == "erased":
        with pytest.raises(CustomerUnknown, match="erased"):
            page_of(bank)
    text = text_of(page_of(bank, role=COMPLIANCE))
    if suppression in BARRED:
        assert f"Not to be contacted at all: {SUPPRESSIONS[suppression]}." in text
        assert "no list names the customer" in text and "may be served" not in text
    else:
        assert f"No offer is to be made: {SUPPRESSIONS[suppression]}." in text
        assert "may be served on request" in text and "no list names" not in text
    assert "To be contacted about" not in text and "Show the app." not in text


@pytest.mark.parametrize(
    "change",
    [
        "update contacts.contactability set is_universal_control = true",
        "update contacts.contactability set is_campaign_control = true",
        "update decisions.contact_plan set arm = 'control'",
    ],
)
def test_a_control_customers_page_shows_held_out_and_no_contact(bank, change):
    bank.connection.execute(f"{change} where customer_id = 'C1'")
    text = text_of(page_of(bank))
    assert "Not to be contacted: held out." in text
    assert "To be contacted about" not in text and "Show the app." not in text


def test_the_page_of_a_candidate_not_chosen_shows_the_reason(bank):
    bank.connection.execute("delete from decisions.contact_plan")
    assert "within this month's capacity and budget" in page_of(bank).replace("&#39;", "'")


def test_a_customer_without_contactability_flags_is_not_to_be_contacted(bank):
    bank.connection.execute("delete from contacts.contactability")
    assert "no record states that the customer may be contacted" in page_of(bank)


# --- The file itself ------------------------------------------------------------------------


def test_delivered_texts_are_escaped(bank):
    nasty = "<script>alert(1)</script><img src=x onerror=y>\"'&"
    bank.connection.execute("update base.account set product_name = ?", [nasty])
    bank.connection.execute("update scores.customer set segment_name = ?", [nasty])
    bank.connection.execute("update decisions.worklist set talking_points = ?", [nasty])
    bank.connection.execute("update base.campaign_contact set campaign_name = ?", [nasty])
    bank.connection.execute("update alerts.credit set reason = ?", [nasty])
    page = page_of(bank)
    assert "<script" not in page and "<img" not in page
    assert page.count("&lt;script&gt;alert(1)") == 6


def test_the_page_loads_no_resource_and_runs_no_code(bank):
    page = page_of(bank)
    assert not re.search(r"<script|javascript:|\son\w+=|<iframe|<form|@import|url\(", page)
    assert re.findall(r"""(?:src|href)=["']([^"']*)""", page) == ["data:,"]
    assert not re.search("https?:", page)
    assert "default-src 'none'; style-src 'unsafe-inline'" in page
    assert page.lstrip().startswith("<!doctype html>") and page.rstrip().endswith("</html>")
    assert "<svg" in page and "size: A4" in page


OPTIONAL = {
    "decisions.contact_plan": "no contact plan",
    "decisions.worklist": None,
    "contacts.candidate": None,
    "contacts.contactability": None,
    "value.offer": None,
    "alerts.credit": "no credit alerts",
    "scores.offer": "no offers",
    "scores.reason": "no reasons of its scores",
    "scores.customer": "no scores",
    "scores.product_attrition": None,
    "base.campaign_contact": "no record of contacts",
    "base.household": "no households",
    "base.account": "no accounts",
    "value.profit_by_customer": "no profit by customer",
    "value.profit_by_household": None,
    "value.customer_tier": None,
}


@pytest.mark.parametrize("table", OPTIONAL)
def test_a_page_names_what_an_incomplete_release_lacks(bank, table):
    bank.connection.execute(f"drop table {table}")
    text = text_of(page_of(bank))
    if OPTIONAL[table]:
        assert f"This release has {OPTIONAL[table]}." in text
    else:
        assert "This release has" not in text


def test_an_old_release_has_a_page(bank):
    for table in OPTIONAL:
        bank.connection.execute(f"drop table {table}")
    assert "Customer C1" in text_of(page_of(bank))


def test_offers_of_an_older_release_have_a_probability_alone(bank):
    bank.connection.execute("drop table contacts.candidate")
    bank.connection.execute(
        "create or replace table scores.offer as"
        " select customer_id, product_id, p_response from scores.offer"
    )
    assert re.search(
        r"Investment fund – 25\.0 % – – – 25\.0 % of such customers take it when contacted",
        text_of(page_of(bank)),
    )


# --- Command, job and log -------------------------------------------------------------------


@pytest.fixture
def home(bank, tmp_path, monkeypatch):
    """A home with one published release."""
    monkeypatch.setenv("JINGXI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("JINGXI_USER", "Tove Berg")
    settings = Settings()
    releases = settings.published / "releases"
    releases.mkdir(parents=True)
    path = releases / f"{RELEASE}.duckdb"
    bank.connection.execute(f"attach '{path}' as release")
    for schema, table in bank.rows(
        "select schema_name, table_name from duckdb_tables() where database_name = 'memory'"
    ):
        bank.connection.execute(f"create schema if not exists release.{schema}")
        bank.connection.execute(f"create table release.{schema}.{table} as from {schema}.{table}")
    bank.connection.execute("detach release")
    point_at(settings, path)
    return settings


def readings(settings):
    return list(audit.entries(settings))


def test_only_the_reader_can_open_the_page_and_the_request_is_in_the_audit_trail(home):
    path = customer_page(home, "C1", "manager", None)
    assert path == home.customer_pages / RELEASE / "C1.html"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [other.name for other in path.parent.iterdir()] == ["C1.html"]
    customer_page(home, "C1", "compliance", None)
    found = [
        (one.user_name, one.act, one.subject, one.release_id, one.detail, one.outcome)
        for one in readings(home)
    ]
    subject = audit.customer(home, "C1")
    assert found == [
        ("Tove Berg", "customer_page", subject, RELEASE, f"as {role}", "done")
        for role in ("manager", "compliance")
    ]
    assert not any(value in home.audit_trail.read_text() for value in ("C1", *PROTECTED_TEXTS))


def test_a_page_is_written_to_the_given_path(home, tmp_path):
    path = customer_page(home, "C1", "manager", tmp_path / "for" / "me.html")
    assert path == tmp_path / "for" / "me.html"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_page_is_in_the_language_asked_for(home, tmp_path):
    path = customer_page(home, "C1", to=tmp_path / "zh.html", language="zh")
    assert '<html lang="zh">' in path.read_text() and "客户 C1" in path.read_text()


def test_a_request_for_an_unknown_customer_is_refused_and_in_the_audit_trail(home):
    with pytest.raises(CustomerUnknown, match="knows no customer"):
        customer_page(home, 'C9\n{"user": "somebody else"}', "manager", None)
    (reading,) = readings(home)
    assert (reading.user_name, reading.outcome) == ("Tove Berg", "refused")
    assert reading.detail == "as manager; CustomerUnknown"
    assert not (home.customer_pages / RELEASE).exists()
    with pytest.raises(RoleUnknown):
        customer_page(home, "C1", "neighbour", None)
    assert [one.outcome for one in readings(home)] == ["refused", "refused"]


def test_a_request_before_the_first_release_is_refused_and_in_the_audit_trail(tmp_path):
    home = Settings(home=tmp_path / "fresh", user="Tove Berg")
    with pytest.raises(ReleaseRefused, match="nothing is published yet"):
        customer_page(home, "C1")
    (reading,) = readings(home)
    assert (reading.user_name, reading.subject) == ("Tove Berg", audit.customer(home, "C1"))
    assert (reading.release_id, reading.outcome) == (None, "refused")


def test_no_page_is_written_if_the_audit_trail_cannot_be_written(home):
    home.audit_trail.mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        customer_page(home, "C1", "manager", None)
    assert not (home.customer_pages / RELEASE).exists()


def has_role(home, **entry):
    write_whole(home.own_roles, json.dumps({"people": {operating_system_user(): entry}}))


def test_a_manager_opens_only_customers_of_the_own_book(home, monkeypatch):
    monkeypatch.delenv("JINGXI_USER")
    home = Settings()
    release = home.published / "current.duckdb"
    with duckdb.connect(str(release.resolve())) as connection:
        connection.execute("update base.customer set employee_id = 'E-' || customer_id")
    has_role(home, roles=["manager"], book=["E-C1", "E-C7"])
    assert customer_page(home, "C1").exists()
    for customer_id in ("C2", "C9"):
        with pytest.raises(ActRefused, match=r"role auditor is required outside the book"):
            customer_page(home, customer_id)
    with pytest.raises(ActRefused, match="role auditor is required, and .* has manager"):
        customer_page(home, "C1", "compliance")
    has_role(home, roles=["auditor"])
    assert customer_page(home, "C2", "compliance").exists()
    has_role(home, roles=["stakeholder"])
    with pytest.raises(ActRefused, match="role manager or auditor is required"):
        customer_page(home, "C1")
    assert [(one.role, one.outcome, one.detail) for one in readings(home)] == [
        ("manager", "done", "as manager"),
        ("manager", "refused", "as manager; ActRefused"),
        ("manager", "refused", "as manager; ActRefused"),
        ("none", "refused", "as compliance; ActRefused"),
        ("auditor", "done", "as compliance"),
        ("none", "refused", "as manager; ActRefused"),
    ]


def test_an_id_cannot_lead_out_of_the_folder(home):
    release = home.published / "current.duckdb"
    with duckdb.connect(str(release.resolve())) as connection:
        connection.execute(
            "update base.customer set customer_id = '../../../x/..' where customer_id = 'C2'"
        )
    path = customer_page(home, "../../../x/..", "manager", None)
    assert path.parent == home.customer_pages / RELEASE
    assert path.name == "..%2F..%2F..%2Fx%2F...html"


def test_a_page_before_the_first_release_is_refused_with_the_remedy(tmp_path):
    with pytest.raises(ReleaseRefused, match="make refresh"):
        customer_page(Settings(home=tmp_path), "C1", "manager", None)


def test_the_dagster_job_writes_a_page_or_fails(home):
    def run(**asked):
        return customer_page_job.execute_in_process(
            run_config={"ops": {CUSTOMER_PAGE_OP: {"config": asked}}},
            resources={"home": Home()},
            raise_on_error=False,
        )

    result = run(customer_id="C1")
    assert result.success
    assert (home.customer_pages / RELEASE / "C1.html").exists()
    refused = run(customer_id="C9", role="compliance")
    assert not refused.success
    words = [
        event.step_failure_data.error.message
        for event in refused.all_events
        if event.event_type == dg.DagsterEventType.STEP_FAILURE
    ]
    assert "knows no customer 'C9'" in words[0]
    assert [one.outcome for one in readings(home)] == ["done", "refused"]
