"""Campaigns measured by the engine: worked by hand, from rows a second way, as of a date."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from ml.evaluation.experiment import effect, strata_of_rows
from orchestration.campaigns.measurement import measure_campaigns
from orchestration.models.cutoffs import plus_months
from orchestration.platform.tables import FrameInvalid, write_table
from tests.integration.bank import compiled

AS_OF = date(2024, 12, 1)
START = date(2023, 1, 1)
TABLES = ("measurement", "uplift_decile", "learning", "plan_outcome", "playbook")
PLAN, PREDICTION = "decisions.earlier_plan", "models.held_out_uplift"

CREATE = """
create schema base;
create schema value;
create schema campaigns;
create table base.campaign_contact (
    contact_id varchar, campaign_id varchar, campaign_name varchar, product_id varchar,
    product_line varchar, channel varchar, customer_id varchar, contacted_on date, month date,
    arm varchar, assignment_probability double, cost_per_contact decimal(18, 2),
    incentive_cost decimal(18, 2), is_responded boolean, responded_on date
);
create table base.account (account_id varchar, product_id varchar, opened_on date);
create table base.account_holder (account_id varchar, customer_id varchar, is_beneficial boolean);
create table base.customer_month (
    customer_id varchar, month date, balance_deposits decimal(18, 2), balance_wealth decimal(18, 2)
);
create table value.customer_tier (
    customer_id varchar, month date, tier varchar, tier_number integer
);
create table value.profit_by_customer (
    customer_id varchar, month date, contribution_margin decimal(18, 2)
)
"""

MODELS = (
    *("assignment", "campaign", "outcome", "outcome_sum", "uplift_rank", "uplift_sum"),
    *("planned", "plan", "plan_sum", "playbook_outcome", "playbook_sum"),
)
# What dbt compiled names its warehouse so.
NAME = "warehouse"


class Warehouse:
    """The tables that measurement reads, filled row by row, and the models over them."""

    def __init__(self, queries: dict[str, str]) -> None:
        self.connection = duckdb.connect()
        self.connection.execute(f"attach ':memory:' as {NAME}; use {NAME}")
        self.connection.execute(CREATE)
        for table in (PLAN, PREDICTION):
            write_table(self.connection, table, None)
        self.see(AS_OF)
        for name in MODELS:
            self.connection.execute(f"create view campaigns.{name} as {queries[name]}")

    def see(self, as_of: date) -> None:
        """Give the refresh an as-of month, by its first day."""
        self.connection.execute(
            "create or replace table base.refresh_window as "
            "select last_day($1::date) as as_of, $1::date as as_of_month",
            [as_of],
        )

    def insert(self, table: str, rows: list[dict[str, Any]]) -> None:
        if rows:
            self.connection.register("new_rows", pd.DataFrame(rows))
            self.connection.execute(f"insert into {table} by name select * from new_rows")
            self.connection.unregister("new_rows")

    def contact(
        self,
        customer: str,
        day: date,
        arm: str,
        *,
        campaign: str = "K1",
        product: str = "FUND",
        chance: float | None = 0.5,
        responded: date | None = None,
        contact_id: str | None = None,
    ) -> None:
        self.insert(
            "base.campaign_contact",
            [contact_row(customer, day, arm, campaign, product, chance, responded, contact_id)],
        )

    def opening(self, account: str, customer: str, product: str, day: date, own: bool = True):
        self.insert(
            "base.account", [{"account_id": account, "product_id": product, "opened_on": day}]
        )
        self.insert(
            "base.account_holder",
            [{"account_id": account, "customer_id": customer, "is_beneficial": own}],
        )

    def month(self, customer: str, month: date, contribution: str, balance: str) -> None:
        self.insert(
            "value.profit_by_customer",
            [{"customer_id": customer, "month": month, "contribution_margin": contribution}],
        )
        held = {"balance_deposits": balance, "balance_wealth": "0"}
        self.insert("base.customer_month", [{"customer_id": customer, "month": month} | held])

    def measure(self, predictions: pd.DataFrame | None = None, as_of: date = AS_OF) -> int:
        self.see(as_of)
        write_table(self.connection, PREDICTION, predictions)
        return measure_campaigns(self.connection)

    def table(self, name: str) -> pd.DataFrame:
        return self.connection.execute(f"select * from campaigns.{name} order by all").df()

    def row(self, outcome: str, campaign: str = "K1") -> dict[str, Any]:
        found = self.connection.execute(
            "select * from campaigns.measurement where campaign_id = ? and outcome = ?",
            [campaign, outcome],
        )
        names = [column[0] for column in found.description]
        ((*values,),) = found.fetchall()
        return dict(zip(names, values, strict=True))

    def content(self) -> list[list[tuple[Any, ...]]]:
        return [
            self.connection.execute(f"select * from campaigns.{name} order by all").fetchall()
            for name in TABLES
        ]


def contact_row(
    customer: str,
    day: date,
    arm: str,
    campaign: str = "K1",
    product: str = "FUND",
    chance: float | None = 0.5,
    responded: date | None = None,
    contact_id: str | None = None,
) -> dict[str, Any]:
    return {
        "contact_id": contact_id or f"{campaign}-{customer}",
        "campaign_id": campaign,
        "campaign_name": campaign.lower(),
        "product_id": product,
        "product_line": "wealth",
        "channel": "mobile",
        "customer_id": customer,
        "contacted_on": day,
        "month": day.replace(day=1),
        "arm": arm,
        "assignment_probability": chance,
        "cost_per_contact": Decimal("2.50"),
        "incentive_cost": Decimal("30.00"),
        "is_responded": responded is not None,
        "responded_on": responded,
    }


@pytest.fixture(scope="module")
def queries(whole: Path) -> dict[str, str]:
    """The queries of the campaigns layer, as dbt compiles them."""
    return {name: compiled(whole, f"campaigns_{name}") for name in MODELS}


@pytest.fixture
def warehouse(queries: dict[str, str]) -> Iterator[Warehouse]:
    made = Warehouse(queries)
    yield made
    made.connection.close()


def insert_random_campaign(
    warehouse: Warehouse,
    seed: int = 5,
    campaign: str = "K1",
    day: date = date(2024, 3, 1),
    customers: int = 600,
    chances: tuple[float, ...] | None = (0.4, 0.7),
    product: str = "FUND",
) -> pd.DataFrame:
    """A campaign with strata; returns its customers with outcomes and covariates."""
    draw = np.random.default_rng(seed)
    index = np.arange(customers)
    share = (
        np.round(draw.uniform(0.2, 0.9, customers), 6)
        if chances is None
        else np.array(chances)[draw.integers(0, len(chances), customers)]
    )
    treated = draw.random(customers) < share
    names = [f"{campaign}C{number:04}" for number in index]
    days = [day + timedelta(days=int(later)) for later in draw.integers(0, 28, customers)]
    taken = draw.random(customers) < 0.05 + 0.2 * share + 0.1 * treated
    delay = draw.integers(0, 75, customers)
    answered = [
        start + timedelta(days=int(after)) if yes else None
        for start, after, yes in zip(days, delay, taken, strict=True)
    ]
    contacts = [
        contact_row(
            names[i],
            days[i],
            "treatment" if treated[i] else "control",
            campaign,
            product,
            float(share[i] if treated[i] else 1 - share[i]),
            # What base takes as an answer to the contact.
            answered[i] if answered[i] and delay[i] <= 60 else None,
        )
        for i in index
    ]
    warehouse.insert("base.campaign_contact", contacts)
    level = draw.lognormal(3, 1, customers)
    months = [plus_months(day.replace(day=1), offset) for offset in range(-12, 5)]
    profit = {
        month: np.round(level + 10 * share + draw.normal(0, 20, customers), 2) for month in months
    }
    balance = {month: np.round(100 * level + draw.normal(0, 300, customers), 2) for month in months}
    for month in months:
        warehouse.insert(
            "value.profit_by_customer",
            [
                {"customer_id": name, "month": month, "contribution_margin": str(amount)}
                for name, amount in zip(names, profit[month], strict=True)
            ],
        )
        warehouse.insert(
            "base.customer_month",
            [
                {
                    "customer_id": name,
                    "month": month,
                    "balance_deposits": str(amount),
                    "balance_wealth": "1.00",
                }
                for name, amount in zip(names, balance[month], strict=True)
            ],
        )
    return pd.DataFrame(
        {
            "contact_id": [row["contact_id"] for row in contacts],
            "treated": treated,
            "share": share,
            "response": (taken & (delay <= 60)).astype(float),
            "contribution": sum(profit[month] for month in months[13:16]),
            "balance": balance[months[15]] + 1,
            "contribution_before": sum(profit[month] for month in months[:12]) / 12,
            "balance_before": balance[months[11]] + 1,
        }
    )


def test_a_campaign_worked_by_hand(warehouse):
    day = date(2024, 3, 10)
    # Contribution a month before and after, balance at the end of June.
    people = {
        "T1": ("treatment", day + timedelta(days=60), "10", "40", "100"),
        "T2": ("treatment", None, "10", "20", "60"),
        "C1": ("control", day + timedelta(days=61), "10", "10", "50"),
        "C2": ("control", None, "10", "20", "30"),
    }
    for customer, (arm, responded, before, after, balance) in people.items():
        warehouse.contact(customer, day, arm, responded=responded)
        for offset in range(-12, 0):
            warehouse.month(customer, plus_months(date(2024, 3, 1), offset), before, "5")
        # The month of the contact is neither before nor after; nor is the fourth one after it.
        for month in (date(2024, 3, 1), date(2024, 7, 1)):
            warehouse.month(customer, month, "9999", "9999")
        for offset in (1, 2, 3):
            warehouse.month(customer, plus_months(date(2024, 3, 1), offset), after, balance)
    assert warehouse.measure() == 3
    response = warehouse.row("response")
    assert (response["treated"], response["control"]) == (2, 2)
    assert (response["treated_mean"], response["control_mean"]) == (0.5, 0.0)
    assert (response["effect"], response["window_days"], response["is_complete"]) == (0.5, 60, True)
    assert (response["first_contact"], response["last_contact"]) == (day, day)
    assert (response["contact_cost"], response["incentive_cost"]) == (Decimal(5), Decimal(30))
    assert response["incremental_profit"] is None
    assert "less than 5 responses" in response["note"]
    contribution = warehouse.row("contribution")
    assert (contribution["treated_mean"], contribution["control_mean"]) == (90.0, 45.0)
    assert (contribution["window_months"], contribution["is_complete"]) == (3, True)
    # 45 for each of two treated, less two contacts and one incentive.
    assert contribution["incremental_profit"] == Decimal(45 * 2 - 35)
    assert contribution["return_on_cost"] == pytest.approx(55 / 35)
    welch = stats.ttest_ind([120, 60], [30, 60], equal_var=False)
    interval = welch.confidence_interval(0.95)
    assert contribution["effect_low"] == pytest.approx(interval.low)
    # Everybody brought the same before: the adjustment changes nothing.
    for kind in ("", "cuped_"):
        assert contribution[f"{kind}incremental_profit"] == Decimal(55)
        found = [float(contribution[f"{kind}incremental_{bound}"]) for bound in ("low", "high")]
        assert found == pytest.approx([2 * interval.low - 35, 2 * interval.high - 35], abs=0.01)
    balance = warehouse.row("balance")
    assert (balance["treated_mean"], balance["control_mean"]) == (80.0, 40.0)
    assert balance["effect"] == 40.0


def on_treated(rows: pd.DataFrame, outcome: str, chances: tuple[float, ...] | None) -> float:
    """Means of the treated less those of controls who stand for them, by rows."""
    treated, control = rows[rows["treated"]], rows[~rows["treated"]]
    if chances is None:
        odds = control["share"] / (1 - control["share"])
        return float(treated[outcome].mean() - np.average(control[outcome], weights=odds))
    stands = control.groupby("share")[outcome].mean()
    return float((treated[outcome] - treated["share"].map(stands)).mean())


@pytest.mark.parametrize("chances", [(0.4, 0.7), None], ids=["strata", "weights"])
def test_the_engines_sums_give_the_effects_of_the_rows(warehouse, chances):
    rows = insert_random_campaign(warehouse, chances=chances)
    warehouse.measure()
    for outcome, covariate in (
        ("response", np.log(1 + rows["balance_before"].clip(lower=0))),
        ("contribution", rows["contribution_before"]),
        ("balance", rows["balance_before"]),
    ):
        strata = strata_of_rows(
            rows[outcome].to_numpy(),
            rows["treated"].to_numpy(),
            rows["share"].to_numpy(),
            covariate.to_numpy(),
            weighted=chances is None,
        )
        plain, adjusted = effect(strata), effect(strata, adjusted=True)
        found = warehouse.row(outcome)
        assert found["method"] == ("stratified" if chances else "inverse probability weights")
        assert found["effect"] == pytest.approx(plain.value)
        assert found["effect_low"] == pytest.approx(plain.low)
        assert found["p_value"] == pytest.approx(plain.p_value)
        assert found["cuped_effect"] == pytest.approx(adjusted.value)
        assert found["cuped_high"] == pytest.approx(adjusted.high)
        assert found["effect_on_treated"] == pytest.approx(on_treated(rows, outcome, chances))
        ratio = rows["treated"].mean(), rows["share"].mean()
        assert (found["sample_ratio_observed"], found["sample_ratio_expected"]) == pytest.approx(
            ratio
        )
    contribution = warehouse.row("contribution")
    assert contribution["cuped_variance_reduction"] > 0.5
    # The treated have brought what they gained, not what all would have gained.
    assert contribution["effect_on_treated"] != pytest.approx(contribution["effect"], rel=1e-3)
    spent = contribution["contact_cost"] + contribution["incentive_cost"]
    assert contribution["incentive_cost"] == 30 * rows.loc[rows["treated"], "response"].sum()
    assert float(contribution["incremental_profit"]) == pytest.approx(
        contribution["effect_on_treated"] * rows["treated"].sum() - float(spent), abs=0.01
    )


def place(warehouse: Warehouse, customers: pd.Series, tier: np.ndarray) -> None:
    """Tiers of December 2023 to February 2024 as given, and another of the contact's month on."""
    for month in (date(2023, 12, 1), date(2024, 2, 1), date(2024, 3, 1), date(2024, 5, 1)):
        later = month >= date(2024, 3, 1)
        warehouse.insert(
            "value.customer_tier",
            [
                {
                    "customer_id": name,
                    "month": month,
                    "tier": "top" if later else own,
                    "tier_number": 1,
                }
                for name, own in zip(customers, tier, strict=True)
            ],
        )


@pytest.mark.parametrize("chances", [(0.4, 0.7), None], ids=["strata", "weights"])
def test_the_playbook_is_the_effect_of_the_rows_of_each_group(warehouse, chances):
    rows = insert_random_campaign(warehouse, chances=chances)
    rows["tier"] = np.where(np.arange(len(rows)) % 3 == 0, "high", "base")
    place(warehouse, rows["contact_id"].str.removeprefix("K1-"), rows["tier"].to_numpy())
    rows["profit"] = (
        rows["contribution"] - 2.5 * rows["treated"] - 30 * rows["treated"] * rows["response"]
    )
    warehouse.measure()
    found = warehouse.table("playbook").set_index("customer_group")
    assert set(found.index) == {"all", "high", "base"}
    p_values = {}
    for group, row in found.iterrows():
        own = rows if group == "all" else rows[rows["tier"] == group]
        y, treated = own["response"].to_numpy(), own["treated"].to_numpy()
        share = own["share"].to_numpy()
        plain = effect(strata_of_rows(y, treated, share, weighted=chances is None))
        assert (row["treated"], row["control"]) == (treated.sum(), (~treated).sum())
        assert row["effect"] == pytest.approx(plain.value)
        assert (row["effect_low"], row["effect_high"]) == pytest.approx((plain.low, plain.high))
        assert row["treated_rate"] - row["control_rate"] == pytest.approx(row["effect"])
        difference = on_treated(own, "profit", chances)
        if chances:
            x = own["contribution_before"].to_numpy()
            wanted = effect(
                strata_of_rows(own["profit"].to_numpy(), treated, share, x),
                of_treated=True,
                adjusted=True,
            )
            assert row["profit_per_contact"] == pytest.approx(wanted.value)
            assert row["profit_high"] == pytest.approx(wanted.high)
        # Three months after go with a month before by about three, whatever the weights.
        of_covariate = on_treated(own, "contribution_before", chances)
        assert 2 < (difference - row["profit_per_contact"]) / of_covariate < 4
        assert row["profit_low"] < row["profit_per_contact"] < row["profit_high"]
        p_values[group] = row["p_value"]
    adjusted = multipletests(list(p_values.values()), method="holm")[1]
    assert found.loc[list(p_values), "p_adjusted"].to_numpy() == pytest.approx(adjusted)
    assert found["pooled_effect"].notna().to_dict() == {"all": False, "base": True, "high": True}


def test_the_playbook_has_effects_of_randomised_contacts_alone(warehouse):
    """K2 has no probabilities, K3's arms are not of the sizes assigned: rates only."""
    rows = insert_random_campaign(warehouse, chances=(0.5,))
    other = insert_random_campaign(warehouse, seed=6, campaign="K2", chances=(0.5,))
    wrong = insert_random_campaign(warehouse, seed=7, campaign="K3", chances=(0.5,))
    warehouse.connection.execute(
        "update base.campaign_contact set assignment_probability = null where campaign_id = 'K2'"
    )
    warehouse.connection.execute(
        "update base.campaign_contact set assignment_probability = "
        "case when arm = 'treatment' then 0.9 else 0.1 end where campaign_id = 'K3'"
    )
    warehouse.measure()
    (everybody, group) = warehouse.table("playbook").to_dict("records")
    assert (everybody["customer_group"], group["customer_group"]) == ("(none)", "all")
    for row in (everybody, group):
        assert row["campaigns"] == 1
        assert (row["treated"], row["control"]) == (rows["treated"].sum(), (~rows["treated"]).sum())
        both = pd.concat([other, wrong])
        both = both[both["treated"]]
        assert row["other_contacts"] == len(both)
        assert row["other_rate"] == pytest.approx(both["response"].mean())


def test_small_groups_of_the_playbook_have_no_figures(warehouse):
    rows = insert_random_campaign(warehouse, chances=(0.5,))
    tier = np.full(len(rows), "base")
    tier[:90], tier[90:105] = "high", "top"
    place(warehouse, rows["contact_id"].str.removeprefix("K1-"), tier)
    warehouse.measure()
    found = warehouse.table("playbook").set_index("customer_group")
    assert found["verdict"].loc[["high", "top"]].tolist() == ["few", "few"]
    shown = ["treated_rate", "control_rate", "effect", "effect_low", "p_value", "p_adjusted"]
    shown += ["pooled_effect", "profit_per_contact", "profit_low", "other_rate"]
    assert found.loc[["high", "top"], shown].isna().all(axis=None)
    assert found.loc["high", ["treated", "control"]].sum() == 90
    assert found.loc["top", ["treated", "control", "profit_treated"]].isna().all()
    assert found.loc["base", shown[:-1]].notna().all()


def test_an_account_of_the_product_is_a_response_of_either_arm(warehouse):
    day = date(2024, 3, 10)
    for customer, arm in (("T1", "treatment"), ("T2", "treatment"), ("C1", "control")):
        warehouse.contact(customer, day, arm)
    for customer in ("C2", "C3", "C4", "C5"):
        warehouse.contact(customer, day, "control")
    warehouse.opening("A1", "T1", "FUND", day)
    warehouse.opening("A2", "C1", "FUND", day + timedelta(days=60))
    warehouse.opening("A3", "C2", "FUND", day + timedelta(days=61))
    warehouse.opening("A4", "C3", "CARD", day)
    warehouse.opening("A5", "C4", "FUND", day - timedelta(days=1))
    warehouse.opening("A6", "C5", "FUND", day, own=False)
    warehouse.measure()
    response = warehouse.row("response")
    assert (response["treated_mean"], response["control_mean"]) == (0.5, 0.2)


def test_responses_recorded_for_the_treated_alone_are_noted(warehouse):
    day = date(2024, 3, 10)
    for number in range(8):
        warehouse.contact(f"T{number}", day, "treatment", responded=day if number < 6 else None)
        warehouse.contact(f"C{number}", day, "control")
    warehouse.measure()
    assert "no response of a control was delivered" in warehouse.row("response")["note"]


def test_a_customer_counts_once_by_the_first_contact_and_repeats_are_reported(warehouse):
    day, later = date(2024, 3, 10), date(2024, 4, 20)
    for customer, arm in (("T1", "treatment"), ("T2", "treatment"), ("T3", "treatment")):
        warehouse.contact(customer, day, arm)
    for customer in ("C1", "C2", "C3", "C4"):
        warehouse.contact(customer, day, "control")
    # A control of this campaign is treated by it; another by a later one for the same product.
    warehouse.contact("C1", later, "treatment", contact_id="again", responded=later)
    warehouse.contact("C2", later, "treatment", campaign="K2")
    # For another product, or after the window, nothing is spoilt.
    warehouse.contact("C3", later, "treatment", campaign="K3", product="CARD")
    warehouse.contact("C4", date(2024, 5, 10), "treatment", campaign="K2")
    # A treated one is treated twice, another becomes a control.
    warehouse.contact("T1", later, "treatment", contact_id="twice")
    warehouse.contact("T2", later, "control", contact_id="other arm")
    warehouse.measure()
    found = warehouse.row("response")
    assert (found["treated"], found["control"]) == (3, 4)
    assert (found["contaminated_treated"], found["contaminated_control"]) == (1, 1 + 1)
    assert found["in_both_arms"] == 2
    # A customer assigned to control stays there with the response; each treatment contact costs.
    assert found["control_mean"] == 0.25
    assert (found["contact_cost"], found["incentive_cost"]) == (Decimal("12.50"), Decimal(0))


def test_a_sample_ratio_mismatch_is_noted(warehouse):
    warehouse.insert(
        "base.campaign_contact",
        [
            contact_row(
                f"C{number:04}", date(2024, 3, 1), "control" if number % 5 < 2 else "treatment"
            )
            for number in range(1000)
        ],
    )
    warehouse.measure()
    found = warehouse.row("response")
    assert found["is_sample_ratio_mismatch"]
    expected = stats.chisquare([600, 400], [500, 500])
    assert found["sample_ratio_p"] == pytest.approx(expected.pvalue)
    assert "not of the sizes assigned" in found["note"]


def test_unknown_probabilities_and_unfinished_windows_are_noted(warehouse):
    day = date(2024, 11, 20)
    for number in range(6):
        warehouse.contact(f"T{number}", day, "treatment", chance=None, responded=day)
        warehouse.contact(f"C{number}", day, "control", chance=None)
    assert warehouse.measure() == 3
    found = warehouse.row("response")
    assert (found["effect"], found["is_complete"]) == (1.0, False)
    assert found["is_sample_ratio_mismatch"] is None
    assert "no assignment probabilities" in found["note"]
    assert "still running" in found["note"]
    warehouse.month("T0", date(2024, 12, 1), "5", "7")
    warehouse.measure()
    contribution = warehouse.row("contribution")
    assert (contribution["window_months"], contribution["is_complete"]) == (1, False)
    assert contribution["treated_mean"] == pytest.approx(5 / 6)
    warehouse.measure(as_of=date(2024, 11, 1))
    contribution = warehouse.row("contribution")
    assert (contribution["window_months"], contribution["effect"]) == (0, None)
    assert contribution["note"] == "no month after the last contact's is over"


def test_no_campaign_makes_empty_tables(warehouse):
    assert warehouse.measure() == 0
    assert warehouse.content() == [[]] * len(TABLES)


def test_a_second_measurement_and_another_order_of_rows_give_the_same_result(warehouse):
    rows = insert_random_campaign(warehouse)
    predictions = rows[["contact_id"]].assign(predicted=rows["share"] / 7)
    warehouse.measure(predictions)
    first = warehouse.content()
    assert all(first[:3])
    warehouse.measure(predictions)
    assert warehouse.content() == first
    for table in ("base.campaign_contact", "value.profit_by_customer", "base.customer_month"):
        warehouse.connection.execute(
            f"create or replace table {table} as select * from {table} order by hash(customer_id)"
        )
    warehouse.measure(predictions.sample(frac=1, random_state=1))
    assert warehouse.content() == first


def test_no_record_after_the_as_of_date_is_used(warehouse):
    insert_random_campaign(warehouse, day=date(2024, 3, 1))
    plan(warehouse, date(2024, 3, 1))
    as_of = date(2024, 4, 1)
    warehouse.measure(as_of=as_of)
    known = warehouse.content()
    assert known[3]
    # All of it was in the warehouse already: a refresh of April uses only rows before May.
    for table, dated in (
        ("base.campaign_contact", "contacted_on"),
        ("value.profit_by_customer", "month"),
        ("base.customer_month", "month"),
        ("base.account", "opened_on"),
    ):
        warehouse.connection.execute(f"delete from {table} where {dated} > '2024-04-30'")
    warehouse.connection.execute(
        "update base.campaign_contact set is_responded = false, responded_on = null "
        "where responded_on > '2024-04-30'"
    )
    warehouse.measure(as_of=as_of)
    assert warehouse.content() == known
    day = date(2024, 5, 1)
    warehouse.contact("K1C0001", day, "treatment", contact_id="late", responded=day)
    warehouse.contact("K1C0002", day, "control", campaign="K9")
    warehouse.contact("unknown so far", day, "control")
    warehouse.opening("A9", "K1C0003", "FUND", day)
    warehouse.month("K1C0004", day, "1000000", "1000000")
    warehouse.measure(as_of=as_of)
    assert warehouse.content() == known


def test_learning_about_an_offer_accumulates_over_its_campaigns(warehouse):
    for number, day in enumerate((date(2024, 5, 1), date(2023, 8, 1), date(2024, 1, 1))):
        insert_random_campaign(warehouse, number, f"K{number}", day, 300)
    insert_random_campaign(warehouse, 9, "K9", date(2024, 11, 15), 300)
    # The first to start is the last to end.
    warehouse.contact("late", date(2024, 6, 20), "control", campaign="K1", chance=0.6)
    warehouse.measure()
    learned = warehouse.table("learning")
    response = learned[learned["outcome"] == "response"].sort_values("campaigns")
    # In order of time; the one with an open window is not learned from yet.
    assert list(response["campaign_id"]) == ["K2", "K0", "K1"]
    measured = warehouse.table("measurement").set_index(["campaign_id", "outcome"])
    effects, weights = [], []
    for campaign in ("K2", "K0", "K1"):
        found = measured.loc[(campaign, "response")]
        effects.append(found["cuped_effect"])
        weights.append(1 / (found["cuped_high"] - found["cuped_low"]) ** 2)
    assert response["fixed_effect"].iloc[-1] == pytest.approx(
        np.average(effects, weights=weights), rel=1e-3
    )
    width = response["fixed_high"] - response["fixed_low"]
    assert width.is_monotonic_decreasing
    assert pd.isna(response["tau_squared"].iloc[0])
    assert set(learned["outcome"]) == {"response", "contribution", "balance"}


def insert_uplift_campaign(warehouse: Warehouse, customers: int = 8_000) -> pd.DataFrame:
    """A campaign that works the better the higher a customer's number is."""
    draw = np.random.default_rng(31)
    uplift = np.linspace(0, 0.4, customers)
    treated = draw.random(customers) < 0.5
    taken = draw.random(customers) < 0.1 + uplift * treated
    day = date(2024, 3, 1)
    rows = [
        contact_row(
            f"C{number:05}",
            day,
            "treatment" if treated[number] else "control",
            responded=day if taken[number] else None,
        )
        for number in range(customers)
    ]
    warehouse.insert("base.campaign_contact", rows)
    return pd.DataFrame({"contact_id": [row["contact_id"] for row in rows], "predicted": uplift})


def test_deciles_confirm_true_predictions_and_not_shuffled_ones(warehouse):
    predictions = insert_uplift_campaign(warehouse)
    warehouse.measure(predictions)
    deciles = warehouse.table("uplift_decile")
    assert set(deciles["scope"]) == {"campaign", "offer", "all"}
    of_all = deciles[deciles["scope"] == "all"].sort_values("decile")
    assert list(of_all["customers"]) == [800] * 10
    means = predictions["predicted"].to_numpy().reshape(10, 800).mean(axis=1)
    assert of_all["predicted"].to_numpy() == pytest.approx(means)
    inside = (of_all["effect_low"] <= means) & (means <= of_all["effect_high"])
    assert inside.sum() >= 8
    assert of_all["is_rank_true"].all()
    assert of_all["rank_correlation"].iloc[0] > 0.9
    assert of_all["slope_low"].iloc[0] < 1 < of_all["slope_high"].iloc[0]
    blind = np.random.default_rng(1).permutation(predictions["predicted"])
    warehouse.measure(predictions.assign(predicted=blind))
    assert not warehouse.table("uplift_decile")["is_rank_true"].any()


def test_campaigns_of_an_offer_are_strata_of_its_deciles(warehouse):
    """Pooled, what more of one campaign's customers take anyway would count as uplift."""
    day = date(2024, 3, 1)
    effects, sizes = [], (1500, 1000)
    for campaign, size, share, base in (("K1", 1500, 0.8, 0.4), ("K2", 1000, 0.2, 0.1)):
        draw = np.random.default_rng(size)
        treated, taken = draw.random(size) < share, draw.random(size) < base
        warehouse.insert(
            "base.campaign_contact",
            [
                contact_row(
                    f"{number}",
                    day,
                    "treatment" if treated[number] else "control",
                    campaign,
                    chance=None,
                    responded=day if taken[number] else None,
                )
                for number in range(size)
            ],
        )
        effects.append(taken[treated].mean() - taken[~treated].mean())
    # All of one decile: a tenth of each campaign has the same prediction.
    predictions = pd.DataFrame(
        {
            "contact_id": [f"K{c + 1}-{n}" for c, size in enumerate(sizes) for n in range(size)],
            "predicted": [10.0 * n // size for size in sizes for n in range(size)],
        }
    )
    warehouse.measure(predictions)
    deciles = warehouse.table("uplift_decile")
    of_offer = deciles[deciles["scope"] == "offer"]
    assert list(of_offer["customers"]) == [250] * 10
    assert of_offer["effect"].mean() == pytest.approx(np.average(effects, weights=sizes), abs=0.03)
    assert abs(of_offer["effect"].mean()) < 0.05


def test_predictions_that_cannot_be_used_are_refused(warehouse):
    predictions = insert_uplift_campaign(warehouse, 100)
    with pytest.raises(FrameInvalid, match="grain contact_id: expected one row of each, found 1"):
        warehouse.measure(pd.concat([predictions, predictions.iloc[:1]]))
    with pytest.raises(FrameInvalid, match="column predicted: expected no NULL, found 100"):
        warehouse.measure(predictions.assign(predicted=np.nan))
    warehouse.measure(pd.DataFrame({"contact_id": ["unknown"], "predicted": [0.1]}))
    assert warehouse.table("uplift_decile").empty


def plan(warehouse: Warehouse, month: date) -> None:
    """Four to treat and two to leave, each with one response in ten expected."""
    rows = [
        {
            "plan_month": month,
            "campaign_id": "P1",
            "customer_id": customer,
            "product_id": "FUND",
            "channel": "mobile",
            "arm": arm,
            "assignment_probability": 2 / 3 if arm == "treatment" else 1 / 3,
            "p_response": 0.10,
            "uplift": 0.05,
            "contact_cost": "2.00",
            "incentive_cost": "10.00",
            "expected_incremental_profit": "7.00",
        }
        for customer, arm in (
            *((f"T{number}", "treatment") for number in range(4)),
            *((f"C{number}", "control") for number in range(2)),
        )
    ]
    warehouse.insert(PLAN, rows)


def plan_row(warehouse: Warehouse) -> dict[str, Any]:
    (row,) = warehouse.table("plan_outcome").to_dict("records")
    return row


def test_a_plan_is_compared_with_its_outcome_worked_by_hand(warehouse):
    plan(warehouse, date(2024, 7, 1))
    # The bank runs it under its own names. One is not reached, one control is.
    for customer in ("T0", "T1", "C0"):
        warehouse.contact(customer, date(2024, 7, 5), "treatment", campaign="BANK")
    late = date(2024, 9, 30)
    warehouse.contact("T2", date(2024, 7, 5), "treatment", campaign="BANK", responded=late)
    warehouse.contact("T3", late, "treatment", campaign="BANK")
    warehouse.opening("A1", "T0", "FUND", date(2024, 7, 20))
    warehouse.contact(
        "T1", date(2024, 8, 29), "treatment", campaign="BANK2", responded=date(2024, 9, 29)
    )
    # Out of the window, or of another product, or before it.
    warehouse.opening("A2", "T2", "FUND", late)
    warehouse.opening("A3", "T3", "CARD", date(2024, 7, 20))
    warehouse.opening("A4", "C1", "FUND", date(2024, 6, 30))
    warehouse.opening("A5", "C0", "FUND", date(2024, 7, 1))
    warehouse.measure()
    found = plan_row(warehouse)
    assert (found["planned_treated"], found["planned_control"]) == (4, 2)
    assert (found["contacted_treated"], found["contacted_control"]) == (3, 1)
    assert (found["coverage"], found["contamination"]) == (0.75, 0.5)
    assert (found["status"], found["product_id"]) == ("complete", "FUND")
    assert found["expected_responses"] == pytest.approx(0.4)
    assert found["expected_incremental_responses"] == pytest.approx(0.2)
    assert found["observed_responses"] == 2
    assert (found["treated_rate"], found["control_rate"], found["effect"]) == (0.5, 0.5, 0.0)
    assert found["effect_low"] < 0 < found["effect_high"]
    assert found["expected_incremental_profit"] == 28
    assert found["spent"] == 3 * 2 + 2 * 10
    # No response more than without it: all that was spent is lost.
    assert found["realised_incremental_profit"] == -26


def test_responses_beyond_the_plans_expectation_have_the_same_value_each(warehouse):
    plan(warehouse, date(2024, 7, 1))
    for number in range(4):
        warehouse.contact(f"T{number}", date(2024, 7, 5), "treatment", campaign="BANK")
    for number in range(2):
        warehouse.opening(f"A{number}", f"T{number}", "FUND", date(2024, 7, 20))
    warehouse.measure()
    found = plan_row(warehouse)
    # 28 + 4 × (2 + 0.1 × 10) before costs for 0.2 responses: 200 each; two more than without.
    assert found["realised_incremental_profit"] == pytest.approx(2 * 200 - (4 * 2 + 2 * 10))


def test_a_plan_is_open_during_its_window_and_absent_before_its_month(warehouse):
    plan(warehouse, date(2024, 7, 1))
    warehouse.measure(as_of=date(2024, 7, 1))
    found = plan_row(warehouse)
    assert found["status"] == "open"
    assert "not over" in found["note"]
    warehouse.measure(as_of=date(2024, 9, 1))
    assert plan_row(warehouse)["status"] == "complete"
    warehouse.measure(as_of=date(2024, 6, 1))
    assert warehouse.table("plan_outcome").empty


@pytest.mark.parametrize("built", ["whole", pytest.param("bare", marks=pytest.mark.slow)])
def test_a_built_warehouse_is_measured(built, request, tmp_path):
    source: Path = request.getfixturevalue(built)
    copy = tmp_path / "warehouse.duckdb"
    shutil.copy(source, copy)
    with duckdb.connect(str(copy)) as connection:
        rows = measure_campaigns(connection)
        campaigns, in_base = connection.execute(
            "select (select count(distinct campaign_id) from campaigns.measurement), "
            "(select count(distinct campaign_id) from base.campaign_contact)"
        ).fetchall()[0]
        assert rows == 3 * campaigns
        assert campaigns == in_base
        assert (campaigns > 0) == (built == "whole")
        ((wrong,),) = connection.execute(
            "select count(*) from campaigns.measurement "
            "where effect is not null and not (effect_low <= effect and effect <= effect_high)"
        ).fetchall()
        assert wrong == 0
