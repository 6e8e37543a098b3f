"""From what is known of customers to the plan: dbt's own queries, the arbitration, the files.

The queries are compiled once by dbt and run here over customers of all kinds, so that what is shown
holds for what a refresh builds.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from expectations.gate import judge
from expectations.suites.decisions import decisions_suite
from ml.decisions.arbitration import violations
from orchestration.campaigns.measurement import measure_campaigns
from orchestration.decisions.assets import READ
from orchestration.decisions.export import export_release
from orchestration.decisions.options import read_options
from orchestration.decisions.plan import write_plan
from orchestration.platform.gates import GATE_RESULT
from orchestration.platform.tables import ensure_table, write_table
from tests.integration.bank import compiled
from tests.plan_bank import FORM, LISTS

AS_OF = date(2025, 12, 31)
ORDER = ("policy", "channel", "contactability", "candidate", "option", "talking_point")
CAMPAIGNS = (
    *("assignment", "campaign", "outcome", "outcome_sum", "uplift_rank", "uplift_sum"),
    *("planned", "plan", "plan_sum", "playbook_outcome", "playbook_sum"),
)
# Read by what managers attain: this bank has no results.
OF_RESULTS = (
    *("base.account", "value.profit_by_employee", "value.account_credit"),
    *("value.account_month", "value.kpi_target"),
)
# What dbt compiled names its warehouse so.
NAME = "warehouse"

BANK = """
create schema base; create schema value; create schema scores; create schema alerts;
create schema reference; create schema contacts; create schema campaigns; create schema landing;
create schema meta; create schema staging;
create table base.refresh_window as
    select date '2025-12-31' as as_of, date '2025-12-01' as as_of_month,
        date '2025-12-01' as month_from, date '2025-12-01' as month_to;
create table landing.refresh_window as select as_of, 'by hand' as source from base.refresh_window;
create table base.customer (
    customer_id varchar, household_id varchar, employee_id varchar, branch_id varchar,
    district_id varchar, age integer, accounts integer, marketing_consent boolean,
    is_defaulted boolean, last_complaint_on date, last_contacted_on date,
    bookings_mobile_12m integer,
    bookings_online_12m integer, bookings_telephone_12m integer, bookings_branch_12m integer,
    balance_deposits decimal(18, 2), balance_wealth decimal(18, 2),
    balance_lending decimal(18, 2), contacts_12m integer, interactions_12m integer,
    complaints_12m integer, region varchar, monthly_income decimal(18, 2),
    tenure_months integer, inflow_3m decimal(18, 2)
);
create table base.campaign_contact (
    contact_id varchar, campaign_id varchar, campaign_name varchar, product_id varchar,
    product_line varchar, channel varchar, customer_id varchar, employee_id varchar,
    contacted_on date, month date, arm varchar, assignment_probability double,
    cost_per_contact decimal(18, 2), incentive_cost decimal(18, 2), is_responded boolean,
    responded_on date, responded_account_id varchar, is_response_complete boolean
);
create table base.account (
    account_id varchar, product_id varchar, product_name varchar, product_line varchar,
    is_open boolean, opened_on date
);
create table base.account_holder (
    account_id varchar, customer_id varchar, role varchar, is_beneficial boolean
);
create table base.customer_month (
    customer_id varchar, month date, balance_deposits decimal(18, 2),
    balance_wealth decimal(18, 2), accounts integer
);
create table staging.stg_district (
    district_id varchar, district_name varchar, region varchar, latitude double,
    longitude double, extract_month date
);
create table value.profit_by_customer (
    customer_id varchar, month date, contribution_margin decimal(18, 2)
);
create table value.customer_tier (
    customer_id varchar, month date, tier varchar, tier_number integer
);
create table value.offer as
    select * from (values
        ('LOAN', 'Loan', 'lending', true, 18, 75, 6, 500.00, 'LOAN', 0.00::decimal(18, 2)),
        ('CARD', 'Card', 'cards', true, 18, 75, 6, 500.00, 'CARD', 25.00::decimal(18, 2)),
        ('FUND', 'Fund', 'wealth', false, 18, 90, null, null, 'FUND', 30.00::decimal(18, 2))
    ) as offer(
        product_id, product_name, product_line, is_credit, minimum_age, maximum_age,
        minimum_months, minimum_inflow, excludes, incentive_cost
    );
create table scores.customer (
    customer_id varchar, clv_12m decimal(18, 2), segment_name varchar, p_default double
);
create view scores.clv as select customer_id, clv_12m from scores.customer;
create table scores.offer (
    customer_id varchar, product_id varchar, p_response double, uplift double,
    product_value decimal(18, 2), expected_loss decimal(18, 2),
    expected_incremental_profit decimal(18, 2), reason varchar, response_model_version varchar,
    uplift_model_version varchar, product_value_model_version varchar
);
create table alerts.credit (account_id varchar, customer_id varchar, severity varchar);
create table reference.do_not_contact (customer_id varchar, reason varchar, effective_from date);
create table reference.talking_point (
    product_line varchar, audience varchar, language varchar, text varchar
);
create table reference.contact_policy as
    select
        date '1900-01-01' as effective_from, 0.1 as universal_control_share,
        0.2 as campaign_control_share, 30 as contact_cool_off_days,
        90 as complaint_cool_off_days, 60 as held_out_days, 2 as customer_cap,
        180 as customer_cap_days, 2 as household_cap, 180 as household_cap_days,
        3 as manager_capacity, 4 as branch_capacity,
        1000.00::decimal(18, 2) as budget_per_1000_customers, 45 as expires_days,
        'seed' as assignment_seed;
create table reference.contact_channel as
    select channel, date '1900-01-01' as effective_from, cost::decimal(18, 2) as cost_per_contact,
        each as capacity_per_1000_customers, person as needs_person, uses as needs_use
    from (values
        ('mobile', 0.15, 300, false, true), ('online', 0.12, 150, false, true),
        ('telephone', 6.00, 200, true, false), ('branch', 9.00, 100, true, false)
    ) as channel(channel, cost, each, person, uses);
"""


@pytest.fixture(scope="module")
def queries(whole: Path) -> dict[str, str]:
    """The queries of contacts, campaigns and lists, as dbt compiles them."""
    return {
        f"{layer}.{name}": compiled(whole, f"{layer}_{name}")
        for layer, names in (("contacts", ORDER), ("campaigns", CAMPAIGNS), ("decisions", LISTS))
        for name in names
    }


class Bank:
    """A warehouse in memory under the name that the compiled queries use."""

    def __init__(self, queries: dict[str, str]) -> None:
        self.queries = queries
        self.connection = duckdb.connect()
        self.connection.execute(f"attach ':memory:' as {NAME}")
        self.connection.execute(f"use {NAME}")
        self.connection.execute(BANK)
        for table in OF_RESULTS:
            self.connection.execute(f"create table if not exists {table} ({FORM[table]})")
        ensure_table(self.connection, GATE_RESULT)
        for table in ("decisions.earlier_plan", "models.held_out_uplift"):
            write_table(self.connection, table, None)

    def add(self, table: str, **row: object) -> None:
        self.connection.execute(
            f"insert into {table} ({', '.join(row)}) values ({', '.join('?' * len(row))})",
            list(row.values()),
        )

    def customer(self, name: str, **known: object) -> None:
        usual = {
            "age": 40,
            "accounts": 1,
            "marketing_consent": True,
            "is_defaulted": False,
            "bookings_mobile_12m": 5,
            "bookings_online_12m": 1,
            "bookings_telephone_12m": 0,
            "bookings_branch_12m": 2,
            "branch_id": "B1",
            "balance_deposits": Decimal(0),
            "balance_wealth": Decimal(0),
            "balance_lending": Decimal(0),
        }
        self.add("base.customer", customer_id=name, **(usual | known))
        self.add("scores.customer", customer_id=name, clv_12m=Decimal("100.00"))

    def offer(self, name: str, product: str, profit: str, response: float = 0.1) -> None:
        """An offer whose parts make the profit: uplift x value, nothing lost or paid."""
        incentive = {"LOAN": 0, "CARD": 25, "FUND": 30}[product]
        value = (Decimal(profit) + Decimal(str(response)) * incentive) / Decimal("0.05")
        self.add(
            "scores.offer",
            customer_id=name,
            product_id=product,
            p_response=response,
            uplift=0.05,
            product_value=value,
            expected_loss=Decimal(0),
            expected_incremental_profit=Decimal(profit),
            response_model_version="1",
            uplift_model_version="1",
            product_value_model_version="1",
        )

    def contact(self, name: str, product: str, days_ago: int, arm: str = "treatment") -> None:
        day = AS_OF - timedelta(days=days_ago)
        self.add(
            "base.campaign_contact",
            contact_id=f"N-{name}-{product}-{days_ago}-{arm}",
            campaign_id=f"K-{product}-{day:%Y%m}",
            campaign_name="earlier",
            product_id=product,
            channel="mobile",
            customer_id=name,
            contacted_on=day,
            month=day.replace(day=1),
            arm=arm,
            assignment_probability=0.5,
            cost_per_contact=Decimal("0.15"),
            incentive_cost=Decimal(0),
            is_responded=False,
            is_response_complete=days_ago >= 60,
        )

    def decide(self) -> None:
        self.build("contacts")
        self.build("campaigns", "view")
        write_plan(self.connection, 1)
        self.build("decisions")
        measure_campaigns(self.connection)

    def build(self, layer: str, kind: str = "table") -> None:
        for table, query in self.queries.items():
            if table.startswith(layer):
                self.connection.execute(f"create or replace {kind} {table} as {query}")

    def rows(self, query: str) -> list[tuple]:
        return self.connection.execute(query).fetchall()

    def ids(self, query: str) -> set[str]:
        return {name for (name,) in self.rows(query)}


KIND = st.fixed_dictionaries(
    {
        "consent": st.sampled_from([True, True, True, False, None]),
        "complaint_days": st.sampled_from([None, None, None, 1, 89, 90, 400]),
        "contact_days": st.lists(st.sampled_from([3, 29, 30, 70, 179, 180, 300]), max_size=3),
        "warned": st.sampled_from([False, False, False, True]),
        "erased": st.sampled_from([False, False, False, True]),
        "defaulted": st.sampled_from([False, False, False, True]),
        "accounts": st.sampled_from([1, 2, 0]),
        "age": st.sampled_from([17, 18, 40, 76, None]),
        "household": st.sampled_from([None, "H1", "H2"]),
        "manager": st.sampled_from([None, "E1", "E2"]),
        "held_out_days": st.sampled_from([None, None, 10, 59, 60]),
        "profit": st.sampled_from(["-1.00", "0.10", "5.00", "20.00", "80.00"]),
    }
)


def laid_out(queries: dict[str, str], kinds: list[dict]) -> Bank:
    bank = Bank(queries)
    for number, kind in enumerate(kinds):
        name = f"C{number:04d}"
        complaint = kind["complaint_days"]
        bank.customer(
            name,
            marketing_consent=kind["consent"],
            last_complaint_on=None if complaint is None else AS_OF - timedelta(days=complaint),
            accounts=kind["accounts"],
            age=kind["age"],
            is_defaulted=kind["defaulted"],
            household_id=kind["household"],
            employee_id=kind["manager"],
        )
        for days in set(kind["contact_days"]):
            bank.contact(name, "FUND", days)
        if kind["held_out_days"] is not None:
            bank.contact(name, "LOAN", kind["held_out_days"], "control")
        if kind["warned"]:
            bank.add("alerts.credit", account_id=f"A{number}", customer_id=name, severity="watch")
        if kind["erased"]:
            bank.add(
                "reference.do_not_contact",
                customer_id=name,
                reason="erased",
                effective_from=date(2025, 1, 1),
            )
        bank.offer(name, "LOAN", kind["profit"])
        bank.offer(name, "CARD", "12.00")
    bank.decide()
    return bank


def must_not_be_contacted(kind: dict) -> bool:
    contacts = set(kind["contact_days"])
    return (
        kind["consent"] is not True
        or (kind["complaint_days"] is not None and kind["complaint_days"] < 90)
        or any(days < 30 for days in contacts)
        or sum(days < 180 for days in contacts) >= 2
        or kind["warned"]
        or kind["erased"]
        or kind["defaulted"]
        or kind["accounts"] == 0
        or (kind["age"] is not None and kind["age"] < 18)
    )


@given(kinds=st.lists(KIND, min_size=40, max_size=80))
@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_customers_not_to_be_contacted_are_in_no_plan_no_list_and_no_file(queries, kinds):
    bank = laid_out(queries, kinds)
    forbidden = {f"C{n:04d}" for n, kind in enumerate(kinds) if must_not_be_contacted(kind)}
    # A household with two contacts in the window has none left.
    for household in ("H1", "H2"):
        members = {n for n, kind in enumerate(kinds) if kind["household"] == household}
        contacts = sum(sum(days < 180 for days in set(kinds[n]["contact_days"])) for n in members)
        forbidden |= {f"C{n:04d}" for n in members if contacts >= 2}
    for table in (*("contacts.candidate", "decisions.contact_plan", "decisions.worklist"),):
        assert not bank.ids(f"select customer_id from {table}") & forbidden, table
    # Just held out from, or contacted with, a product: not offered it again so soon.
    held = {
        f"C{n:04d}"
        for n, kind in enumerate(kinds)
        if kind["held_out_days"] is not None and kind["held_out_days"] < 60
    }
    assert not held & bank.ids(
        "select customer_id from decisions.contact_plan where product_id = 'LOAN'"
    )
    drawn = bank.ids(
        "select customer_id from contacts.contactability "
        "where is_universal_control or is_campaign_control"
    )
    treated = bank.ids("select customer_id from decisions.contact_plan where arm = 'treatment'")
    assert not drawn & treated
    assert bank.ids("select customer_id from decisions.contact_plan where arm = 'control'") <= drawn
    with tempfile.TemporaryDirectory() as folder:
        files = export_release(bank.connection, Path(folder), "r1")
        for path in files:
            if path.suffix == ".csv":
                text = path.read_text("utf-8")
                assert not [name for name in forbidden if name in text], path.name
            if path.suffix == ".parquet" and path.stem in ("worklist", "contact_plan"):
                listed = bank.ids(f"select customer_id from read_parquet('{path}')")
                assert not listed & (forbidden | drawn), path.name
    outcome = judge(bank.connection, decisions_suite(), 1, "by hand")
    assert outcome.success, outcome.message()


@given(kinds=st.lists(KIND, min_size=40, max_size=80))
@settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_limit_of_the_policy_holds(queries, kinds):
    bank = laid_out(queries, kinds)
    size = len(kinds)
    treated = "from decisions.contact_plan where arm = 'treatment'"
    for channel, each in (("mobile", 300), ("online", 150), ("telephone", 200), ("branch", 100)):
        ((used,),) = bank.rows(f"select count(*) {treated} and channel = '{channel}'")
        assert used <= math.floor(each * size / 1000)
    assert (bank.rows(f"select coalesce(sum(contact_cost), 0) {treated}")[0][0]) <= size
    for unit, used in bank.rows(
        f"select unit, count(*) {treated} and channel in ('telephone', 'branch') group by unit"
    ):
        assert used <= (3 if unit.startswith("E") else 4)
    for household, used in bank.rows(
        f"select household_id, count(*) {treated} and household_id is not null group by 1"
    ):
        assert used <= 2, household
    assert not bank.rows(
        "select customer_id from decisions.contact_plan group by 1 having count(*) > 1"
    )
    options = read_options(bank.connection)
    if not options.rows.empty:
        chosen = bank.connection.execute(
            """
            select plan.arm = 'treatment' as chosen
            from contacts.option as option
            left join decisions.contact_plan as plan
                on plan.customer_id = option.customer_id
                and plan.product_id = option.product_id and plan.channel = option.channel
            order by option.option_number
            """
        ).df()["chosen"]
        mask = chosen.fillna(False).to_numpy(dtype=bool)
        assert violations(options.problem(of_control=False), mask) == []


@pytest.fixture
def many(queries: dict[str, str]) -> Iterator[Bank]:
    """Four thousand customers alike but for what an offer brings."""
    bank = Bank(queries)
    bank.connection.execute(
        """
        insert into base.customer (
            customer_id, employee_id, branch_id, age, accounts, marketing_consent, is_defaulted,
            bookings_mobile_12m, bookings_online_12m, bookings_telephone_12m, bookings_branch_12m
        )
        select printf('C%05d', n), case when n % 40 = 0 then 'E' || n % 7 end, 'B' || n % 9, 40, 1,
            true, false, 5, 5, 0, 1
        from range(4000) as customer(n);
        insert into scores.offer
        select customer_id, product_id, 0.1, 0.05, (100 + hash(customer_id || product_id) % 2000),
            0, 0.05 * (100 + hash(customer_id || product_id) % 2000) - 0.1 * incentive_cost, null,
            '1', '1', '1'
        from base.customer cross join value.offer
        """
    )
    yield bank


def test_the_plan_reads_the_tables_that_its_assets_depend_on(many):
    many.build("contacts")
    declared = {table for tables in READ.values() for table in tables}
    read = declared - {f"decisions.{name}" for name in READ}
    for schema, table in many.rows("select schema_name, table_name from duckdb_tables()"):
        if f"{schema}.{table}" not in read:
            many.connection.execute(f"drop table {schema}.{table}")
    assert write_plan(many.connection, 1) > 0
    for table in read:
        schema, name = table.split(".")
        many.connection.execute(f"alter table {table} rename to away")
        with pytest.raises(duckdb.CatalogException, match=name):
            write_plan(many.connection, 1)
        many.connection.execute(f"alter table {schema}.away rename to {name}")


def test_a_customer_is_in_the_same_arm_on_every_run(many):
    many.decide()
    query = "select customer_id, product_id, channel, arm from decisions.contact_plan order by all"
    arms = (
        "select customer_id, is_universal_control, is_campaign_control "
        "from contacts.contactability order by all"
    )
    before, drawn = many.rows(query), many.rows(arms)
    # In another order of rows, and after a customer more has come.
    many.connection.execute(
        "create or replace table base.customer as from base.customer order by hash(customer_id)"
    )
    many.decide()
    assert many.rows(query) == before
    many.customer("C99999")
    many.decide()
    assert [row for row in many.rows(arms) if row[0] != "C99999"] == drawn


def test_arms_have_their_shares_within_chance(many):
    many.decide()
    ((customers, universal, campaign),) = many.rows(
        "select count(*), count(*) filter (is_universal_control), "
        "count(*) filter (is_campaign_control and not is_universal_control) "
        "from contacts.contactability"
    )
    for found, of, share in ((universal, customers, 0.1), (campaign, customers - universal, 0.2)):
        assert abs(found - of * share) < 3.5 * math.sqrt(of * share * (1 - share))


def test_another_month_draws_other_campaign_controls_and_the_same_universal_ones(many):
    arms = "select customer_id from contacts.contactability where is_{}_control"
    many.decide()
    universal, campaign = many.ids(arms.format("universal")), many.ids(arms.format("campaign"))
    many.connection.execute(
        "update base.refresh_window set as_of = '2026-01-31', as_of_month = '2026-01-01'"
    )
    many.decide()
    assert many.ids(arms.format("universal")) == universal
    later = many.ids(arms.format("campaign"))
    assert later != campaign
    # Two draws of a fifth have a twenty-fifth of the customers in common.
    assert len(later & campaign) == pytest.approx(4_000 * 0.04, rel=0.35)


def test_controls_would_have_been_chosen_as_often_and_as_well(many):
    """The arms differ by chance alone: the same share of each is chosen, at the same value."""
    many.decide()
    ((treated, control, brought, would),) = many.rows(
        """
        select
            count(*) filter (arm = 'treatment'), count(*) filter (control_kind = 'campaign'),
            avg(expected_incremental_profit) filter (arm = 'treatment'),
            avg(expected_incremental_profit) filter (control_kind = 'campaign')
        from decisions.contact_plan
        """
    )
    share = control / (treated + control)
    assert abs(share - 0.2) < 3.5 * math.sqrt(0.16 / (treated + control))
    assert float(would) == pytest.approx(float(brought), rel=0.1)


def test_the_plan_beats_simpler_policies_and_prices_its_limits(many):
    many.decide()
    profits = dict(
        many.rows("select policy, expected_incremental_profit from decisions.plan_comparison")
    )
    assert profits["do_nothing"] == 0
    assert all(profits["contact_plan"] >= other - 1 for other in profits.values())
    assert profits["contact_plan"] > 1.2 * float(profits["random"])
    ((profit, planned),) = many.rows(
        "select sum(expected_incremental_profit), count(*) from decisions.contact_plan "
        "where arm = 'treatment'"
    )
    assert profit == profits["contact_plan"]
    prices = many.rows(
        "select kind, key, capacity, used, shadow_price from decisions.constraint_price"
    )
    assert {kind for kind, *_ in prices} == {"channel", "unit", "budget"}
    assert sum(used for kind, _, _, used, _ in prices if kind == "channel") == planned
    # What is not used up costs nothing, to what the bound leaves open.
    assert sum(price * (capacity - used) for _, _, capacity, used, price in prices) < 0.002 * float(
        profits["contact_plan"]
    )
    assert any(price > 1 for kind, *_, price in prices if kind == "channel")


def test_power_is_reported_for_each_campaign(many):
    many.decide()
    rows = many.rows("select treated, control, base_rate, power from decisions.control_power")
    assert rows
    for treated, control, rate, power in rows:
        assert treated > 0 and control > 0
        assert rate == pytest.approx(0.05)
        assert 0 < power < 1


def test_a_bank_without_scored_offers_has_an_empty_plan(queries):
    bank = Bank(queries)
    bank.customer("C1")
    bank.decide()
    for table in ("contact_plan", "worklist", "plan_comparison", "constraint_price"):
        assert bank.rows(f"select count(*) from decisions.{table}") == [(0,)]
    outcome = judge(bank.connection, decisions_suite(), 1, "by hand")
    assert outcome.success, outcome.message()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoilt", "broken"),
    [
        ("update base.customer set marketing_consent = false", "without_consent"),
        ("insert into alerts.credit select 'A', customer_id, 'watch' from base.customer",
         "in_early_warning"),
        ("update contacts.contactability set suppression = 'complaint'", "not_contactable"),
        ("update contacts.contactability set is_campaign_control = true", "treated_control"),
        ("update contacts.channel set capacity = 0", "broken"),
        ("update contacts.policy set budget = 0.01", "broken"),
        ("delete from contacts.candidate", "no_candidate"),
        ("update decisions.contact_plan set expected_incremental_profit = 99", "otherwise_valued"),
        ("delete from decisions.worklist", "missing"),
        ("update contacts.candidate set uplift = uplift + 0.01", "miscalculated"),
        ("update contacts.contactability set is_universal_control = customer_id < 'C02000'",
         "deviations"),
    ],
)  # fmt: skip
def test_the_gate_stops_a_plan_that_breaks_a_rule(many, spoilt, broken):
    many.decide()
    sound = judge(many.connection, decisions_suite(), 1, "by hand")
    assert sound.success, sound.message()
    many.connection.execute(spoilt)
    outcome = judge(many.connection, decisions_suite(), 2, "by hand")
    assert not outcome.success
    assert broken in " ".join(
        f"{rule.expectation} {rule.observed} {rule.unexpected}" for rule in outcome.failed
    )
