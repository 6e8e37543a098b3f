"""A small awkward bank, its reference data, and what builds a warehouse of it.

The bank is landed here by hand, straight from the contract, so that every odd case is in it: money
brought forward, a first booking late in the history, an account nobody owns, a booking after the
closing, accounts of a month, joint accounts, customers who change and move, terms renewed and
repriced, sales by employees, a loan in arrears, a ledger in some months, accounts that refreshes
scored now and then. Its reference data are not the defaults: a curve that slopes, turns over and
changes within the history, portfolios of two tenors, costs, pools and rates with dates.
"""

from __future__ import annotations

import calendar
import os
import random
import re
import subprocess
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from orchestration.models.offer_scoring import OFFER_TABLE
from orchestration.models.scoring import WRITTEN
from orchestration.platform.environment import DBT_PROJECT
from orchestration.platform.settings import Settings
from orchestration.platform.tables import write_table
from orchestration.value import default_probability
from sources.contract import KINDS, PRODUCT_LINES, RESULT_ITEMS, TABLES
from tests import started

FIRST = date(2023, 1, 1)
LAST = date(2024, 6, 30)
EARLIER = date(2024, 3, 31)
EARLIER_AT_ONCE = 4
CENT = Decimal("0.01")
UNSTAMPED = date(1900, 1, 1)
# The account in another currency; nobody owns it.
ABROAD = "A017"


def month_of(day: date) -> date:
    return day.replace(day=1)


def month_end(month: date) -> date:
    return month.replace(day=calendar.monthrange(month.year, month.month)[1])


def months_between(first: date, last: date) -> list[date]:
    months, month = [], month_of(first)
    while month <= last:
        months.append(month)
        month = month_end(month) + timedelta(days=1)
    return months


def days_of(month: date) -> list[date]:
    return [month + timedelta(days=day) for day in range(month_end(month).day)]


MONTHS = months_between(FIRST, LAST)
CUSTOMER_KINDS = ("person", "sole_trader", "small_business", "corporate", None)
COST_ALONE = date(2023, 10, 1)
LEDGER_MONTHS = (date(2023, 5, 1), date(2023, 6, 1), date(2024, 3, 1), date(2024, 5, 1))

# Rows of the reference data by seed, in place of the project's defaults.
REFERENCE = {
    "transfer_curve": """
        currency,effective_from,tenor_months,annual_rate
        ,1900-01-01,3,0.011000
        ,1900-01-01,12,0.017300
        ,1900-01-01,60,0.024900
        ,2021-10-01,1,-0.003700
        ,2021-10-01,12,0.004100
        ,2021-10-01,36,0.012600
        ,2022-07-01,1,0.009100
        ,2022-07-01,7,0.013800
        ,2022-07-01,24,0.021300
        ,2023-02-01,1,0.025700
        ,2023-02-01,12,0.028900
        ,2023-02-01,36,0.034600
        ,2023-06-01,1,0.041300
        ,2023-06-01,12,0.036700
        ,2023-06-01,48,0.029900
        ,2023-11-01,1,0.038800
        ,2023-11-01,5,0.037100
        ,2023-11-01,25,0.031400
        ,2024-02-01,2,0.036900
        ,2024-02-01,18,0.031200
        ,2024-04-01,1,0.030100
        ,2024-04-01,120,0.027700
        USD,1900-01-01,1,0.047100
        USD,1900-01-01,9,0.052900
        USD,1900-01-01,30,0.050300
        USD,2023-05-01,2,0.039700
        USD,2023-12-01,1,0.044900
        USD,2023-12-01,20,0.036100
    """,
    "replicating_portfolio": """
        portfolio,effective_from,tenor_months,weight
        deposit,1900-01-01,1,0.350000
        deposit,1900-01-01,18,0.650000
        deposit,2023-10-01,3,0.217500
        deposit,2023-10-01,24,0.782500
        revolving,1900-01-01,6,1.000000
        current,1900-01-01,1,0.250000
        current,1900-01-01,12,0.750000
    """,
    "transfer_rule": """
        product_line,product_id,effective_from,portfolio,overdrawn_portfolio,repricing_months,tenor_basis,is_capital_funded
        deposits,*,1900-01-01,deposit,revolving,,term,true
        deposits,*,2023-09-01,deposit,revolving,,term,false
        deposits,TERM,1900-01-01,deposit,revolving,9,term,true
        lending,*,1900-01-01,revolving,revolving,10,average_life,true
        lending,*,2024-02-01,revolving,revolving,7,average_life,true
        cards,*,1900-01-01,revolving,revolving,,term,false
        cards,*,2023-10-01,revolving,revolving,,term,true
        wealth,*,1900-01-01,(none),(none),,term,true
        wealth,WEALTH,2023-07-01,deposit,revolving,,average_life,true
        wealth,*,2024-01-01,(none),(none),,term,true
        agency,*,1900-01-01,(none),(none),,term,true
        payments,*,1900-01-01,current,revolving,,term,true
    """,
    "transfer_premium": """
        product_line,product_id,effective_from,tenor_months,liquidity_premium,option_premium,policy_rate
        *,*,1900-01-01,3,0.000400,0.000000,-0.001500
        *,*,1900-01-01,14,0.001900,0.000200,-0.001500
        *,*,2023-09-01,5,0.000700,0.000000,-0.002500
        *,*,2023-09-01,11,0.001300,0.000100,0.000300
        lending,*,1900-01-01,6,0.000900,0.000700,0.007500
        lending,*,1900-01-01,13,0.002300,0.001100,0.006500
        lending,*,2023-11-01,4,0.003100,0.000000,0.000000
        lending,*,2023-11-01,9,0.002200,0.001700,-0.000900
        deposits,TERM,2022-06-01,1,0.000100,0.000000,0.000500
        deposits,TERM,2022-06-01,8,0.000800,0.000000,0.000300
        cards,*,1900-01-01,1,0.000000,0.010000,0.000000
    """,
    "interest_rule": """
        product_line,product_id,effective_from,is_accrued,day_count
        deposits,*,1900-01-01,true,365
        deposits,TERM,1900-01-01,true,360
        lending,*,1900-01-01,true,360
        lending,*,2024-03-01,false,360
        cards,*,1900-01-01,false,365
        wealth,*,1900-01-01,false,365
        agency,*,1900-01-01,true,365
        payments,*,1900-01-01,false,365
    """,
    "activity_unit_cost": """
        channel,kind,effective_from,unit_cost
        branch,*,1900-01-01,2.0150
        branch,*,2023-08-01,2.4375
        branch,withdrawal,2023-05-01,3.3333
        branch,purchase,1900-01-01,4.0050
        atm,*,1900-01-01,0.5050
        atm,withdrawal,1900-01-01,0.6125
        atm,withdrawal,2024-01-01,0.5725
        card,*,1900-01-01,0.0500
        online,*,1900-01-01,0.0525
        mobile,*,1900-01-01,0.0225
        mobile,*,2024-03-01,0.0175
        telephone,*,1900-01-01,1.5000
        standing_order,*,1900-01-01,0.0200
        system,*,1900-01-01,0.0125
        (none),*,1900-01-01,0.1075
        (none),fee,2023-06-01,0.0000
    """,
    "account_maintenance_cost": """
        product_line,product_id,effective_from,monthly_cost
        deposits,*,1900-01-01,0.4125
        deposits,TERM,2023-04-01,0.9950
        deposits,*,2023-11-01,0.4450
        lending,*,1900-01-01,1.5025
        cards,*,1900-01-01,0.6000
        wealth,*,1900-01-01,0.8050
        agency,*,1900-01-01,0.2000
        payments,*,1900-01-01,0.3075
    """,
    "overhead_pool": """
        pool,product_line,branch_id,effective_from,driver,monthly_amount,amount_per_open_account
        head_office,*,*,1900-01-01,average_balance,1000.01,0.0000
        head_office,*,*,2023-10-01,average_balance,1234.57,0.3333
        information_technology,*,*,1900-01-01,booking,0.00,1.2345
        information_technology,*,*,2024-05-01,booking,0.00,0.0000
        premises,*,B0,1900-01-01,branch_booking,77.77,0.0000
        premises,*,B1,1900-01-01,branch_booking,0.00,1.0125
        premises,*,(none),2023-04-01,open_account,11.11,0.0000
        sales,*,*,2023-03-01,opened_account,40.00,0.0000
        sales,*,*,2024-02-01,open_account,41.00,0.0000
        collections,lending,*,1900-01-01,past_due_account,25.00,0.6125
        collections,cards,B2,1900-01-01,amount_owed,33.34,0.0000
        night_desk,payments,B1,1900-01-01,past_due_account,9.99,0.0000
        vacant,*,B9,2023-06-01,booking,5.55,2.0000
    """,
    "risk_rating": """
        effective_from,days_past_due_from,days_past_due_to,pd_annual
        1900-01-01,0,0,0.010000
        1900-01-01,1,29,0.050000
        1900-01-01,30,59,0.200000
        1900-01-01,60,89,0.450000
        1900-01-01,90,,1.000000
        2023-12-01,0,0,0.012500
        2023-12-01,1,15,0.043700
        2023-12-01,16,119,0.371300
        2023-12-01,120,,0.987600
    """,
    "risk_parameter": """
        product_line,product_id,effective_from,loss_given_default,credit_conversion_factor,capital_weight
        deposits,*,1900-01-01,0.612500,0.333300,0.061300
        deposits,TERM,2023-08-01,0.550000,0.050000,0.045000
        lending,*,1900-01-01,0.451700,0.100000,0.064900
        lending,*,2023-10-01,0.478300,0.100000,0.071100
        cards,*,1900-01-01,0.753100,0.750000,0.088800
        wealth,*,1900-01-01,0.600000,0.100000,0.081700
        agency,*,1900-01-01,0.600000,0.100000,0.080000
        payments,*,1900-01-01,0.600000,0.100000,0.080000
    """,
    "loss_staging": """
        effective_from,stage_2_days,stage_2_pd_ratio,default_days,lifetime_loss
        1900-01-01,30,1.500000,90,true
        2023-09-01,16,2.000000,100,true
        2024-04-01,30,3.000000,100,false
    """,
    "hurdle_rate": """
        effective_from,annual_rate
        1900-01-01,0.100000
        2023-07-01,0.117500
    """,
    "tier_scheme": """
        tier,effective_from,tier_number,customer_share
        top,1900-01-01,1,0.050000
        high,1900-01-01,2,0.150000
        middle,1900-01-01,3,0.300000
        base,1900-01-01,4,0.500000
        unprofitable,1900-01-01,5,
        gold,2024-01-01,1,0.125000
        silver,2024-01-01,2,0.875000
        other,2024-01-01,3,
    """,
    "manager_kpi": """
        employee_id,effective_from,measure,weight,floor_value,target_value,attainment_cap
        *,1900-01-01,credited_profit,0.600000,0.000000,5000.000000,1.500000
        *,1900-01-01,growth,0.400000,0.000000,0.100000,1.500000
        E1,2023-06-01,credited_profit,1.000000,0.000000,100.000000,2.000000
    """,
    "ledger_tolerance": """
        product_line,ledger_account,effective_from,tolerance
        *,*,1900-01-01,0.00
        lending,fee_income,1900-01-01,0.00
    """,
    "target": """
        dimension,dimension_key,month,measure,amount
        branch,B0,2023-02-01,economic_profit,100.00
        branch,B0,2023-04-01,economic_profit,-50.00
        branch,B0,2024-01-01,economic_profit,10.00
        branch,B0,2024-05-01,economic_profit,10.00
        line,deposits,2024-02-01,fee_income,2000.00
        manager,E1,2024-03-01,contribution_margin,0.00
        manager,E9,2024-03-01,contribution_margin,1.00
        product,TERM,2024-03-01,customers,7.00
        manager,E1,2024-03-01,customers,7.00
    """,
}


@dataclass
class Bank:
    """Rows of the contract's tables, the balances brought forward that its bookings imply, and the
    probabilities of default that refreshes have scored, by account and month."""

    rows: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    brought: dict[str, Decimal] = field(default_factory=dict)
    scored: dict[tuple[str, date], tuple[Decimal, str]] = field(default_factory=dict)

    def add(self, table: str, **values: Any) -> None:
        self.rows[table].append(values)

    def lines(self) -> dict[str, str]:
        """The product line of each account."""
        of_product = {row["product_id"]: row["product_line"] for row in self.rows["product"]}
        return {row["account_id"]: of_product[row["product_id"]] for row in self.rows["account"]}

    def rate(self, account_id: str, month: date, kind: str) -> Fraction:
        """The `average_rate` or `closing_rate` of an account's currency; 1 in the bank's."""
        if account_id != ABROAD or not self.rows["fx_rate"]:
            return Fraction(1)
        (row,) = (row for row in self.rows["fx_rate"] if row["month"] == month)
        return Fraction(row[kind])

    def translated(self, account_id: str, amount: Decimal, month: date, kind: str) -> Decimal:
        """An account's amount in the bank's currency, to the cent, half away from zero."""
        exact = Fraction(amount) * self.rate(account_id, month, kind)
        cents = int(abs(exact) * 100 + Fraction(1, 2))
        return Decimal(cents if exact >= 0 else -cents) * CENT

    def booked(self, account_id: str, month: date, bookings: list[dict[str, Any]]) -> Decimal:
        """The sum of some bookings of a month in the bank's currency: those of a channel and kind
        are translated together."""
        groups: dict[tuple[Any, Any], Decimal] = defaultdict(Decimal)
        for row in bookings:
            groups[row.get("channel"), row["kind"]] += row["amount"]
        parts = (
            self.translated(account_id, amount, month, "average_rate") for amount in groups.values()
        )
        return sum(parts, Decimal(0))


def awkward_bank(customers: int = 40, seed: int = 11) -> Bank:
    draw = random.Random(seed)
    bank = Bank()
    for number in range(3):
        bank.add("district", district_id=f"D{number}", region=f"R{number % 2}")
        bank.add("branch", branch_id=f"B{number}", district_id=f"D{number}")
        bank.add("employee", employee_id=f"E{number}", branch_id=f"B{number}")
    for line in PRODUCT_LINES:
        bank.add("product", product_id=line.upper(), product_line=line)
    bank.add("product", product_id="TERM", product_line="deposits")
    for number in range(customers):
        income = draw.randrange(1000, 5000)
        born = date(1950, 1, 1) + timedelta(days=draw.randrange(20000))
        for delivery, extract in enumerate(
            (date(2023, 1, 1), date(2023, 9, 1), date(2024, 5, 1)), start=1
        ):
            # Some move to another district, household or manager, now or later.
            district = number + (delivery if number % 5 == 0 else 0)
            manager = number + (delivery if number % 5 == 1 else 0)
            household = number // 2 + (delivery if number % 5 == 2 else 0)
            if number % 3 == 0:
                income += draw.randrange(2) * 100
            bank.add(
                "customer",
                customer_id=f"C{number:03}",
                birth_date=born,
                sex=("female", "male")[number % 2],
                district_id=f"D{district % 3}",
                customer_since=date(2021, 1, 1) + timedelta(days=number * 7),
                monthly_income=Decimal(income),
                household_id=f"H{household}" if number % 4 else None,
                group_id=f"G{number % 3}" if number % 5 == 0 else None,
                customer_kind=CUSTOMER_KINDS[(number + delivery) % 5],
                employee_id=f"E{manager % 3}" if number % 8 else None,
                extract_month=extract,
            )
    # A third of the accounts has owners; some leave a share without an owner, some change owners.
    for number in range(0, customers * 2, 3):
        share = (Decimal(1), Decimal("0.333333"), Decimal("0.55"))[number // 3 % 3]
        begins = date(2022, 1, 1) + timedelta(days=number * 9)
        ends = begins + timedelta(days=200 + number) if number % 2 else None
        first_of_all = number // 9 % 3
        parts = [(first_of_all, share, begins, ends)]
        if share < 1:
            parts.append(((first_of_all + 1) % 3, Decimal("0.45"), begins, ends))
        if ends:
            parts.append(((first_of_all + 2) % 3, Decimal("0.7"), ends + timedelta(days=1), None))
        for employee, part, first, last in parts:
            bank.add(
                "account_owner",
                **dict(account_id=f"A{number:03}", employee_id=f"E{employee}", share=part),
                **dict(valid_from=first, valid_to=last),
            )
    bookings: list[tuple[str, date, Decimal, str, str | None, Decimal | None]] = []
    for number in range(customers * 2):
        account = f"A{number:03}"
        line = "deposits" if number < customers else draw.choice(PRODUCT_LINES)
        old = number % 3 == 0
        opened = (
            date(2021, 6, 1) + timedelta(days=draw.randrange(500))
            if old
            else FIRST + timedelta(days=draw.randrange(500))
        )
        closed = opened + timedelta(days=draw.randrange(600)) if number % 5 == 0 else None
        if closed and closed > LAST:
            closed = None
        bank.add(
            "account",
            account_id=account,
            product_id="TERM" if line == "deposits" and number % 4 == 0 else line.upper(),
            branch_id=f"B{number % 3}" if number % 7 else None,
            opened_on=opened,
            closed_on=closed,
            currency="USD" if account == ABROAD else "EUR",
            interest_rate=None if line == "lending" else Decimal("0.02"),
            credit_limit=(
                Decimal(500) if line == "cards" else Decimal("1234.56") if number % 3 == 1 else None
            ),
            term_months=(24, 6, 36)[number // 4 % 3] if number % 4 == 0 else None,
        )
        owner = number % customers
        if number != 17:
            bank.add("account_holder", account_id=account, customer_id=f"C{owner:03}", role="owner")
        for place in range(1, draw.randrange(1, 4)):
            bank.add(
                "account_holder",
                account_id=account,
                customer_id=f"C{(owner + place) % customers:03}",
                role="authorised" if number == 17 else draw.choice(["joint", "authorised"]),
            )
        balance = Decimal(draw.randrange(-50000, 200000)) / 100 if old else Decimal(0)
        last = min(closed or LAST, LAST)
        start = max(opened, FIRST)
        # Some old accounts rest for most of the history, one is never booked.
        if number % 9 == 0:
            start = max(start, date(2024, 2 if number % 2 else 4, 10))
        days = sorted(
            start + timedelta(days=draw.randrange((last - start).days + 1))
            for _ in range(draw.randrange(5, 40))
            if last >= start and number != 21
        )
        if closed and number % 10 == 0 and days:
            days.append(min(LAST, closed + timedelta(days=45)))
        for place, day in enumerate(days):
            if place == 0 and old:
                bank.brought[account] = balance
            kind = draw.choice(KINDS)
            size = Decimal(draw.randrange(1, 40000)) / 100
            negative = kind in {
                *("withdrawal", "transfer_out", "card_payment", "fee", "penalty", "recovery")
            } or (kind == "loan_repayment" and line == "deposits")
            amount = -size if negative or kind == "interest_charged" else size
            balance += amount
            channel = draw.choice(["branch", "atm", "online", "mobile", "system", None])
            bookings.append((account, day, amount, kind, channel, balance))
        # Some loans are kept on current accounts; two lending accounts have a loan more.
        for loan in range((line == "lending") + (number % 11 == 3)):
            granted = max(opened, FIRST)
            bank.add(
                "loan",
                loan_id=f"L{number}-{loan}",
                account_id=account,
                granted_on=granted,
                principal=Decimal(5000),
                term_months=36 if number % 2 else 3,
                instalment=Decimal(150),
                interest_rate=Decimal("0.0875"),
            )
            # The bank delivers statuses from its third month on.
            for month in months_between(max(granted, date(2023, 3, 1)), last):
                bank.add(
                    "loan_status",
                    loan_id=f"L{number}-{loan}",
                    month=month,
                    outstanding=Decimal((number * 37 + month.month * 91) % 500),
                    days_past_due=draw.choice([0, 0, 15, 45, 120]),
                    defaulted=number % 7 == 6 and month.month % 5 == 0,
                )
        if number % 3 == 1:
            bank.add(
                "card",
                card_id=f"K{number}",
                account_id=account,
                customer_id=f"C{owner:03}" if number % 2 else None,
                issued_on=opened,
            )
    for place, (account, day, amount, kind, channel, after) in enumerate(bookings):
        bank.add(
            "transaction",
            transaction_id=f"{place}",
            account_id=account,
            booked_on=day,
            amount=amount,
            kind=kind,
            channel=channel,
            balance_after=after,
        )
    opened_on = {row["account_id"]: row["opened_on"] for row in bank.rows["account"]}
    for number, starts in enumerate(
        (date(2023, 3, 1), date(2023, 7, 29), date(2023, 12, 26), date(2024, 3, 20))
    ):
        bank.add(
            "campaign",
            **dict(campaign_id=f"M{number}", product_id="WEALTH", starts_on=starts),
            channel=("mobile", "telephone", None, "branch")[number],
        )
        for customer in range(customers):
            if draw.random() < 0.6:
                contacted = starts + timedelta(days=draw.randrange(20))
                bank.add(
                    "contact",
                    # Keys are in no order of time.
                    contact_id=f"{9 - number}-{customer}",
                    campaign_id=f"M{number}",
                    customer_id=f"C{customer:03}",
                    contacted_on=contacted,
                    arm=draw.choice(["treatment", "control"]),
                    assignment_probability=0.5,
                    employee_id=f"E{(customer + number) % 3}" if customer % 4 else None,
                )
                if draw.random() < 0.3:
                    responded = contacted + timedelta(days=draw.randrange(80))
                    sold = [
                        account
                        for account in (f"A{customer + customers:03}", f"A{customer:03}")
                        if opened_on[account] <= responded
                    ]
                    bank.add(
                        "response",
                        campaign_id=f"M{number}",
                        customer_id=f"C{customer:03}",
                        responded_on=responded,
                        account_id=sold[0] if sold else None,
                    )
    # Two holders of one account are talked to; who was talked to first answers last.
    for campaign, customer, employee, contacted, responded in (
        ("M4", "C011", "E0", date(2024, 2, 20), date(2024, 4, 10)),
        ("M5", "C012", "E2", date(2024, 3, 10), date(2024, 3, 25)),
    ):
        bank.add("campaign", campaign_id=campaign, product_id="TERM", starts_on=contacted)
        bank.add(
            "contact",
            contact_id=campaign,
            campaign_id=campaign,
            customer_id=customer,
            contacted_on=contacted,
            arm="treatment",
            assignment_probability=0.5,
            employee_id=employee,
        )
        bank.add(
            "response",
            campaign_id=campaign,
            customer_id=customer,
            responded_on=responded,
            account_id="A011",
        )
    for number in range(150):
        bank.add(
            "interaction",
            interaction_id=f"{number}",
            customer_id=f"C{draw.randrange(customers):03}",
            occurred_on=FIRST + timedelta(days=draw.randrange((LAST - FIRST).days)),
            topic=draw.choice(["inquiry", "complaint"]),
            sentiment=draw.choice([-0.5, 0.25, None]),
        )
    # A rests until 2024, one is never booked, one has day sums of the bank's own.
    for account, month, closing, day_sum in (
        ("A021", date(2023, 5, 1), "321.00", None),
        ("A027", date(2023, 2, 1), "-250.50", None),
        ("A027", date(2023, 9, 1), "900.25", None),
        ("A033", date(2023, 8, 1), "412.00", "12345.67"),
        ("A033", date(2024, 2, 1), "-12.00", "-33.10"),
    ):
        bank.add(
            "account_balance",
            account_id=account,
            month=month,
            closing_balance=Decimal(closing),
            balance_day_sum=day_sum and Decimal(day_sum),
        )
    for number in range(0, customers * 2, 3):
        row = bank.rows["account"][number]
        for month in months_between(max(row["opened_on"], FIRST), row["closed_on"] or LAST)[::4]:
            bank.add(
                "account_result",
                account_id=row["account_id"],
                month=month,
                item=draw.choice(RESULT_ITEMS),
                amount=Decimal(draw.randrange(-200, 2000)) / 100,
            )
    for number, (month, branch, line, item, amount) in enumerate(
        (
            (LEDGER_MONTHS[0], "B0", "deposits", "fee_income", "40.00"),
            (LEDGER_MONTHS[0], "B0", "deposits", "fee_income", "-3.00"),
            (LEDGER_MONTHS[0], "B1", "deposits", "operating_cost", "6.00"),
            (date(2023, 7, 1), "B0", "deposits", "fee_income", "9.00"),
        )
    ):
        bank.add(
            "adjustment",
            **dict(adjustment_id=f"J{number}", month=month, branch_id=branch, product_line=line),
            **dict(item=item, amount=Decimal(amount), reason="safe deposit boxes"),
            **dict(maker="F1", checker="F2"),
        )
    for place, month in enumerate(MONTHS):
        average = Decimal("0.87654321") + place * Decimal("0.0123")
        bank.add(
            "fx_rate",
            **dict(month=month, currency="USD", average_rate=average),
            closing_rate=average + (Decimal("0.031") if place % 2 else Decimal("-0.0207")),
        )
    bank.rows["ledger"] = ledger(bank, LEDGER_MONTHS)
    # One month has nothing but operating cost.
    for month in (*LEDGER_MONTHS[:2], COST_ALONE):
        for branch, amount in (("B0", "321.00"), ("B1", "45.60")):
            bank.add(
                "ledger",
                **dict(month=month, branch_id=branch, product_line="deposits"),
                **dict(ledger_account="operating_cost", amount=Decimal(amount)),
            )
    bank.scored = scored_accounts(bank, random.Random(seed + 1))
    return bank


def scored_accounts(bank: Bank, draw: random.Random) -> dict[tuple[str, date], tuple[Decimal, str]]:
    """Loans and some other accounts scored at the end of most months, some now and then, some
    never."""
    scored, line_of = {}, bank.lines()
    months = months_between(date(2021, 12, 1), LAST)
    for number, account in enumerate(bank.rows["account"]):
        lent = line_of[account["account_id"]] == "lending"
        share = 0.7 if lent else (0.7, 0.05, 0.0)[number % 3]
        for month in months:
            if draw.random() < share:
                millionths = draw.randrange(10**6) if draw.random() < 0.9 else draw.randrange(2)
                scored[account["account_id"], month] = (
                    Decimal(millionths).scaleb(-6),
                    f"{month:%Y}",
                )
    return scored


def account_months(bank: Bank) -> dict[tuple[str, date], list[dict[str, Any]]]:
    """The bookings of every account in every month that it lived in or was booked in."""
    bookings: dict[tuple[str, date], list[dict[str, Any]]] = {
        (row["account_id"], month): []
        for row in bank.rows["account"]
        for month in months_between(max(row["opened_on"], FIRST), row.get("closed_on") or LAST)
    }
    for row in bank.rows["transaction"]:
        bookings.setdefault((row["account_id"], month_of(row["booked_on"])), []).append(row)
    return bookings


def ledger(bank: Bank, months: Sequence[date]) -> list[dict[str, Any]]:
    """The general ledger's lines of some months, as the bookings imply them."""
    accounts = {row["account_id"]: row for row in bank.rows["account"]}
    line_of = bank.lines()
    balances = {account: daily_balances(bank, account, LAST) for account in accounts}
    lines: dict[tuple[date, str, str, str], Decimal] = defaultdict(Decimal)
    for (account, month), bookings in account_months(bank).items():
        if month not in months:
            continue
        cell = month, accounts[account]["branch_id"] or "(none)", line_of[account]
        closing = balances[account][month_end(month)] or Decimal(0)
        lines[*cell, "customer_balance"] += bank.translated(account, closing, month, "closing_rate")
        for name, sign, kinds in (
            ("interest_income", -1, {"interest_charged"}),
            ("interest_expense", 1, {"interest_paid"}),
            ("fee_income", -1, {"fee", "penalty"}),
        ):
            if own := [row for row in bookings if row["kind"] in kinds]:
                lines[*cell, name] += sign * bank.booked(account, month, own)
    for row in bank.rows["account_result"]:
        if row["month"] in months:
            account = row["account_id"]
            cell = row["month"], accounts[account]["branch_id"] or "(none)", line_of[account]
            lines[*cell, row["item"]] += bank.translated(
                account, row["amount"], row["month"], "average_rate"
            )
    for row in bank.rows["adjustment"]:
        if row["month"] in months and row["item"] != "operating_cost":
            lines[row["month"], row["branch_id"], row["product_line"], row["item"]] += row["amount"]
    names = ("month", "branch_id", "product_line", "ledger_account")
    return [dict(zip(names, key, strict=True), amount=lines[key]) for key in sorted(lines)]


def land(path: Path, bank: Bank, as_of: date, window: tuple[date, date] | None = None) -> None:
    """Land the bank's data as of `as_of` into `landing` of the warehouse at `path`.

    With it come the scores of refreshes up to then, that of `as_of` itself too: it may be repeated.
    """
    gone = {row["account_id"] for row in bank.rows["account"] if row["opened_on"] > as_of} | {None}
    lost = {row["loan_id"] for row in bank.rows["loan"] if row["granted_on"] > as_of} | {None}
    unborn = {row["campaign_id"] for row in bank.rows["campaign"] if row["starts_on"] > as_of} | {
        None
    }
    with duckdb.connect(str(path)) as connection:
        connection.execute("create schema if not exists landing")
        for table in TABLES:
            columns = {column.name: column.type for column in table.columns if not column.personal}
            columns["month" if table.event else "extract_month"] = "DATE"
            landed = []
            for given in bank.rows[table.name]:
                row = {name: given.get(name) for name in columns}
                if table.event:
                    row["month"] = month_of(row[table.dated_by])
                else:
                    row["extract_month"] = given.get("extract_month", UNSTAMPED)
                dated = row[table.dated_by] if table.dated_by else None
                late = (dated and dated > as_of) or row.get("extract_month", FIRST) > as_of
                orphan = (
                    (row.get("account_id", "-") in gone and table.name != "response")
                    or row.get("loan_id", "-") in lost
                    or row.get("campaign_id", "-") in unborn
                )
                if late or orphan:
                    continue
                if row.get("closed_on") and row["closed_on"] > as_of:
                    row["closed_on"] = None
                landed.append(row)
            typed = ", ".join(f"{name} {kind}" for name, kind in columns.items())
            connection.execute(f"create or replace table landing.{table.name} ({typed})")
            if landed:
                frame = pd.DataFrame(landed, columns=list(columns), dtype=object)
                casts = ", ".join(
                    f"cast({name} as {kind}) as {name}" for name, kind in columns.items()
                )
                for name in columns:
                    frame[name] = frame[name].map(lambda x: None if x is None else str(x))
                connection.register("frame", frame)
                connection.execute(f"insert into landing.{table.name} select {casts} from frame")
        month_from, month_to = window or (FIRST, month_of(as_of))
        connection.execute(
            "create or replace table landing.refresh_window as select ?::date as month_from, "
            "?::date as month_to, ?::date as as_of, ?::date as first_month, 'hand' as source",
            [month_from, month_to, as_of, FIRST],
        )
        default_probability.ensure(connection, Settings(home=path.parent))
        # What dbt's contacts layer reads of scores, alerts and earlier plans: there are none here.
        for score in (*WRITTEN, OFFER_TABLE):
            write_table(connection, f"scores.{score.name}", None)
        for name in ("alerts.default_course", "decisions.earlier_plan", "models.held_out_uplift"):
            write_table(connection, name, None)
        # No customer is planned either.
        for table in ("contact_plan", "contact_reason"):
            write_table(connection, f"decisions.{table}", None)
        known = [(*key, *score) for key, score in bank.scored.items() if key[1] <= as_of]
        connection.execute("delete from scores.account_default")
        if known:
            connection.executemany("insert into scores.account_default values (?, ?, ?, ?)", known)


def lay_reference(folder: Path, **changed: str) -> Path:
    """Lay a folder of reference data: the rows of REFERENCE, those of `changed` in their place."""
    folder.mkdir(parents=True)
    for seed, rows in {**REFERENCE, **changed}.items():
        lines = [line.strip() for line in rows.strip().splitlines()]
        (folder / f"{seed}.csv").write_text("\n".join(lines) + "\n")
    return folder


def run_dbt(
    path: Path, *arguments: str, reference: Path | None = None, months_at_once: int = 0
) -> subprocess.CompletedProcess[str]:
    """Run dbt on the warehouse at `path`, with the reference data of a folder or the defaults."""
    settings = {
        "DBT_WAREHOUSE": str(path),
        "DBT_MONTHS_AT_ONCE": str(months_at_once),
        "DO_NOT_TRACK": "1",
    }
    if reference:
        settings["DBT_REFERENCE"] = str(reference)
        settings["DBT_REFERENCE_SEEDS"] = ",".join(file.stem for file in reference.glob("*.csv"))
    places = {
        "project-dir": DBT_PROJECT,
        "profiles-dir": DBT_PROJECT,
        "target-path": path.parent / "target",
        "log-path": path.parent,
    }
    return started.dbt(
        [*("--no-use-colors", *arguments), *(f"--{name}={at}" for name, at in places.items())],
        path.parent,
        {**os.environ, **settings},
    )


def dbt(path: Path, *arguments: str, reference: Path | None = None, months_at_once: int = 0) -> str:
    process = run_dbt(path, *arguments, reference=reference, months_at_once=months_at_once)
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


def build(path: Path, reference: Path | None, months_at_once: int = 0) -> None:
    """Build all layers; `months_at_once`: of tables that are built by months, 0 for all."""
    dbt(
        path,
        *("build", "--exclude-resource-type", "unit_test"),
        reference=reference,
        months_at_once=months_at_once,
    )


def parts_built(path: Path, name: str) -> int:
    """In how many parts of months dbt last built a model beside the warehouse at `path`."""
    return _last_run(path, name).count("as month_from, date '")


def customer_parts_built(path: Path, name: str, relation: str) -> list[str]:
    """The parts of the customers for which dbt last built a model, one after the other, by a
    relation whose customers it takes in parts."""
    text = _last_run(path, name)
    return re.findall(rf"hash\({relation}\.customer_id\) (% \d+ = \d+)", text)


def _last_run(path: Path, name: str) -> str:
    (file,) = (path.parent / "target" / "run").rglob(f"{name}.sql")
    return file.read_text()


def compiled(path: Path, name: str) -> str:
    """The query that dbt last compiled for a model or test beside the warehouse at `path`."""
    found = (path.parent / "target" / "compiled").rglob(f"{name}.sql")
    # A model has a folder of its unit tests by the same name.
    (file,) = (one for one in found if one.is_file() and one.parent.suffix != ".yml")
    return file.read_text()


def content(path: Path, table: str, where: str = "true") -> list[tuple[Any, ...]]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(f"select * from {table} where {where} order by all").fetchall()


def figures(path: Path, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(query).fetchall()


def daily_balances(bank: Bank, account: str, as_of: date) -> dict[date, Decimal | None]:
    """End-of-day balances from the bookings, one day after the other, None where not known."""
    by_day: dict[date, Decimal] = defaultdict(Decimal)
    for row in bank.rows["transaction"]:
        if row["account_id"] == account and row["booked_on"] <= as_of:
            by_day[row["booked_on"]] += row["amount"]
    (opened,) = (row["opened_on"] for row in bank.rows["account"] if row["account_id"] == account)
    delivered = {
        row["month"]: row["closing_balance"]
        for row in bank.rows["account_balance"]
        if row["account_id"] == account and row["month"] <= as_of
    }
    known = month_of(min(by_day)) if by_day and account in bank.brought else None
    level = Decimal(0) if opened >= FIRST else None
    balances: dict[date, Decimal | None] = {}
    booked = Decimal(0)
    for month in months_between(FIRST, as_of):
        if month == known and not any(earlier < month for earlier in delivered):
            level = bank.brought[account]
        days, so_far = days_of(month), []
        for day in days:
            booked += by_day.get(day, Decimal(0))
            so_far.append(booked)
        if month in delivered:
            level = delivered[month] - booked
        balances |= {
            day: None if level is None else level + before
            for day, before in zip(days, so_far, strict=True)
        }
    return {day: balance for day, balance in balances.items() if day <= as_of}
