"""A warehouse with a contact plan, laid by hand in the form that the decisions stage gives it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import duckdb

from orchestration.decisions.plan import reasons_of
from orchestration.platform.tables import write_table

AS_OF = date(2025, 12, 31)
MONEY = "decimal(18, 2)"

FORM = {
    "landing.refresh_window": "as_of date, source varchar",
    "base.refresh_window": "as_of date, as_of_month date",
    "staging.stg_district": (
        "district_id varchar, district_name varchar, region varchar, latitude double,"
        " longitude double, extract_month date"
    ),
    "contacts.talking_point": (
        "product_line varchar, audience varchar, language varchar, text varchar"
    ),
    "base.customer": (
        "customer_id varchar, birth_date date, age integer, sex varchar, marital_status varchar,"
        f" education varchar, occupation varchar, monthly_income {MONEY}, district_id varchar,"
        " customer_kind varchar, industry varchar, company_size varchar,"
        " is_inclusive_finance boolean, group_id varchar,"
        " region varchar, customer_since date, last_contacted_on date, tenure_months integer,"
        " household_id varchar,"
        " household_size integer, employee_id varchar, branch_id varchar,"
        f" marketing_consent boolean, accounts integer, balance_deposits {MONEY},"
        f" balance_lending {MONEY}, balance_wealth {MONEY}, contacts_12m integer,"
        " interactions_12m integer, complaints_12m integer, last_complaint_on date,"
        " bookings_12m integer, last_active_on date, loans integer,"
        f" loan_principal {MONEY}, days_past_due integer, is_defaulted boolean,"
        f" overdraft {MONEY}, credit_limit {MONEY}"
    ),
    "base.household": (
        "household_id varchar, members integer, eldest_birth_date date, accounts integer,"
        f" balance_deposits {MONEY}, balance_lending {MONEY}, balance_wealth {MONEY}"
    ),
    "base.account": (
        "account_id varchar, product_id varchar, product_name varchar, product_line varchar,"
        " branch_id varchar, opened_on date, is_open boolean, interest_rate decimal(9, 6),"
        f" credit_limit {MONEY}, matures_on date, closing_balance {MONEY}"
    ),
    "base.account_holder": (
        "account_id varchar, customer_id varchar, role varchar, is_beneficial boolean"
    ),
    "base.campaign_contact": (
        "contact_id varchar, campaign_id varchar, campaign_name varchar, product_id varchar,"
        " channel varchar, customer_id varchar, contacted_on date, arm varchar,"
        " assignment_probability double, is_responded boolean, responded_on date,"
        " is_response_complete boolean"
    ),
    "value.profit_by_customer": (
        f"customer_id varchar, month date, contribution_margin {MONEY}, economic_profit {MONEY}"
    ),
    "value.profit_by_employee": (
        f"role varchar, employee_id varchar, month date, economic_profit {MONEY}"
    ),
    "value.account_credit": (
        "account_id varchar, month date, employee_id varchar, units integer, all_units integer"
    ),
    "value.account_month": (
        f"account_id varchar, month date, closing_balance {MONEY}, stage integer"
    ),
    "value.kpi_target": (
        "employee_id varchar, measure varchar, weight decimal(9, 6),"
        " floor_value decimal(18, 6), target_value decimal(18, 6), attainment_cap decimal(9, 6)"
    ),
    "value.profit_by_household": (f"household_id varchar, month date, contribution_margin {MONEY}"),
    "value.customer_tier": "customer_id varchar, month date, tier varchar, tier_number integer",
    "scores.customer": (
        f"customer_id varchar, clv_12m {MONEY}, clv_36m {MONEY}, clv_low {MONEY},"
        f" clv_high {MONEY}, p_attrition double, value_at_risk {MONEY}, p_default double,"
        " p_high_value double, segment varchar, segment_name varchar, clv_horizon_months integer"
    ),
    "scores.product_attrition": (
        f"customer_id varchar, product_line varchar, p_attrition double, value_at_risk {MONEY}"
    ),
    "scores.reason": (
        "customer_id varchar, model_name varchar, rank integer, feature varchar, value varchar,"
        " usual varchar, usual_of varchar, before varchar, contribution double, direction varchar"
    ),
    "scores.offer": (
        "customer_id varchar, product_id varchar, p_response double, uplift double,"
        f" product_value {MONEY}, expected_incremental_profit {MONEY}, reason varchar"
    ),
    "alerts.credit": (
        "account_id varchar, customer_id varchar, month date, severity varchar, reason varchar,"
        f" p_default double, expected_loss_12m {MONEY}"
    ),
    "value.offer": (
        f"product_id varchar, product_name varchar, product_line varchar, incentive_cost {MONEY},"
        " is_credit boolean, minimum_age integer, maximum_age integer,"
        f" minimum_months integer, minimum_inflow {MONEY}"
    ),
    "contacts.contactability": (
        "customer_id varchar, household_id varchar, employee_id varchar, branch_id varchar,"
        " unit varchar, best_channel varchar, contacts_in_window integer, customer_room integer,"
        " household_room integer, is_universal_control boolean, is_campaign_control boolean,"
        " suppression varchar,"
        " suppressed_until date"
    ),
    "contacts.channel": "channel varchar, needs_person boolean",
    "contacts.candidate": (
        "customer_id varchar, product_id varchar, channel varchar, unit varchar,"
        f" p_response double, uplift double, product_value {MONEY}, expected_loss {MONEY},"
        f" contact_cost {MONEY}, incentive_cost {MONEY}, expected_incremental_profit {MONEY}"
    ),
    "decisions.contact_plan": (
        "plan_month date, campaign_id varchar, customer_id varchar, product_id varchar,"
        " product_line varchar, channel varchar, unit varchar, employee_id varchar,"
        " branch_id varchar, district_id varchar, household_id varchar, arm varchar,"
        " control_kind varchar, assignment_probability double, p_response double, uplift double,"
        f" product_value {MONEY}, expected_loss {MONEY}, contact_cost {MONEY},"
        f" incentive_cost {MONEY}, expected_incremental_profit {MONEY}, reason varchar,"
        " expires_on date, response_model_version varchar, uplift_model_version varchar"
    ),
}

# The tables of the lists in the order in which dbt builds them, those that are views first.
VIEWS = ("contact", "talking_point")
LISTS = (*VIEWS, "worklist", "guide", "grid", "manager_scorecard", "manager_kpi")

CHANNELS = {"mobile": False, "online": False, "telephone": True, "branch": True}
OFFERS = {
    "CARD": ("Credit card", "cards"),
    "FUND": ("Investment fund", "wealth"),
    "LOAN": ("Consumer loan", "lending"),
}

CUSTOMER = {
    "age": 41,
    "sex": "female",
    "customer_since": date(2015, 3, 2),
    "tenure_months": 129,
    "branch_id": "B1",
    "marketing_consent": True,
    "accounts": 1,
    "contacts_12m": 0,
    "loans": 0,
    "is_defaulted": False,
}
CONTACT = {
    "plan_month": date(2026, 1, 1),
    "channel": "telephone",
    "arm": "treatment",
    "assignment_probability": 0.8,
    "p_response": 0.1,
    "uplift": 0.05,
    "product_value": Decimal("100.00"),
    "expected_loss": Decimal("0.00"),
    "contact_cost": Decimal("0.15"),
    "incentive_cost": Decimal("0.00"),
    "expires_on": date(2026, 1, 31),
    "response_model_version": "3",
    "uplift_model_version": "2",
}


class PlanBank:
    """A warehouse of empty tables, filled row by row; `queries` are those that dbt makes its lists
    by."""

    def __init__(self, queries: Mapping[str, str]) -> None:
        self.queries = queries
        self.connection = duckdb.connect()
        self.connection.execute(
            ";".join(
                f"create schema if not exists {table.split('.')[0]};"
                f"create table {table} ({columns})"
                for table, columns in FORM.items()
            )
        )
        # The grid reads the value to come before dbt joins it.
        self.connection.execute(
            "create view scores.clv as select customer_id, clv_12m from scores.customer"
        )
        self.add("landing.refresh_window", {"as_of": AS_OF, "source": "made by hand"})
        for channel, needs_person in CHANNELS.items():
            self.add("contacts.channel", {"channel": channel, "needs_person": needs_person})
        for product, (name, line) in OFFERS.items():
            self.add(
                "value.offer",
                {"product_id": product, "product_name": name, "product_line": line},
            )

    def write_lists(self, as_of: date = AS_OF) -> None:
        """What dbt makes of the plan."""
        window = [as_of, as_of.replace(day=1)]
        self.connection.execute("delete from base.refresh_window")
        self.connection.execute("insert into base.refresh_window values (?, ?)", window)
        plan = self.connection.sql("from decisions.contact_plan").to_arrow_table()
        write_table(self.connection, "decisions.contact_reason", reasons_of(plan))
        for name, query in self.queries.items():
            kind = "view" if name in VIEWS else "table"
            self.connection.execute(f"create or replace {kind} decisions.{name} as {query}")

    def add(self, table: str, *rows: dict[str, Any]) -> None:
        for row in rows:
            marks = ", ".join("?" * len(row))
            self.connection.execute(
                f"insert into {table} ({', '.join(row)}) values ({marks})", list(row.values())
            )

    def add_many(self, table: str, columns: Iterable[str], rows: Iterable[tuple]) -> None:
        names = list(columns)
        marks = ", ".join("?" * len(names))
        self.connection.executemany(
            f"insert into {table} ({', '.join(names)}) values ({marks})", list(rows)
        )

    def customer(
        self,
        customer_id: str,
        *,
        suppression: str | None = None,
        universal: bool = False,
        held_out: bool = False,
        segment: str | None = None,
        tier: str | None = None,
        **known: Any,
    ) -> None:
        row = CUSTOMER | {"customer_id": customer_id} | known
        self.add("base.customer", row)
        branch = row["branch_id"]
        unit = row.get("employee_id") or (f"branch {branch}" if branch else "head office")
        self.add(
            "contacts.contactability",
            {
                "customer_id": customer_id,
                "unit": unit,
                "best_channel": "mobile",
                "is_universal_control": universal,
                "is_campaign_control": held_out,
                "suppression": suppression,
            },
        )
        self.add(
            "scores.customer",
            {"customer_id": customer_id, "segment_name": segment, "clv_12m": Decimal("250.00")},
        )
        if tier:
            self.add(
                "value.customer_tier",
                {"customer_id": customer_id, "month": AS_OF.replace(day=1), "tier": tier},
            )

    def plan(
        self, customer_id: str, product_id: str = "CARD", profit: str = "5.00", **known: Any
    ) -> None:
        unit, employee = self.connection.execute(
            "select contactability.unit, customer.employee_id from base.customer as customer"
            " inner join contacts.contactability as contactability"
            " on contactability.customer_id = customer.customer_id where customer.customer_id = ?",
            [customer_id],
        ).fetchall()[0]
        self.add(
            "decisions.contact_plan",
            CONTACT
            | {
                "campaign_id": f"P202601-{product_id}",
                "customer_id": customer_id,
                "product_id": product_id,
                "product_line": OFFERS[product_id][1],
                "unit": unit,
                "employee_id": employee,
                "expected_incremental_profit": Decimal(profit),
            }
            | known,
        )

    def rows(self, query: str, *values: Any) -> list[tuple]:
        return self.connection.execute(query, list(values)).fetchall()
