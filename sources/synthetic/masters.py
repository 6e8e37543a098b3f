"""The master tables: extracts of the bank's data, without the hidden truth."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sources.synthetic.bookings import BANKS
from sources.synthetic.campaigns import Campaign
from sources.synthetic.currency import BANKS_OWN, FOREIGN
from sources.synthetic.parquet import (
    dates,
    identifiers,
    money,
    named,
    rates,
    whole,
)
from sources.synthetic.population import (
    COMPANY_SIZES,
    DISTRICTS,
    EDUCATIONS,
    FEMALE_NAMES,
    INDUSTRIES,
    MALE_NAMES,
    MARITAL,
    OCCUPATIONS,
    REGIONS,
    ROLES,
    SELF_EMPLOYED,
    SURNAMES,
    Ints,
    Places,
    Population,
)
from sources.synthetic.products import LOANS, PRODUCTS, Slot
from sources.synthetic.state import Bank
from sources.synthetic.timeline import month

Columns = dict[str, pa.Array]


def customer_ids(customer: Ints, valid: Ints | None = None) -> pa.Array:
    return identifiers("C", 8, np.asarray(customer) + 1, valid)


def account_ids(account: Ints, valid: Ints | None = None) -> pa.Array:
    return identifiers("A", 8, np.asarray(account) + 1, valid)


def loan_ids(account: Ints) -> pa.Array:
    return identifiers("L", 8, np.asarray(account) + 1)


def branch_ids(branch: Ints) -> pa.Array:
    return identifiers("B", 3, np.asarray(branch) + 1)


def district_ids(district: Ints) -> pa.Array:
    return identifiers("D", 3, np.asarray(district) + 1)


def employee_ids(employee: Ints, valid: Ints | None = None) -> pa.Array:
    return identifiers("E", 5, np.asarray(employee) + 1, valid)


def campaign_ids(campaign: Ints) -> pa.Array:
    return identifiers("K", 4, np.asarray(campaign) + 1)


def _joined(*parts: pa.Array | str, between: str = "") -> pa.Array:
    return pc.binary_join_element_wise(*parts, between)


def district(places: Places) -> Columns:
    index = np.arange(len(DISTRICTS))
    return {
        "district_id": district_ids(index),
        "district_name": pa.array(DISTRICTS),
        "region": named(REGIONS, index % len(REGIONS)),
        "population": whole(places.population),
        "average_salary": money(places.average_salary),
        "unemployment_rate": rates(np.round(places.unemployment, 4)),
        "latitude": pa.array(np.round(places.latitude, 4)),
        "longitude": pa.array(np.round(places.longitude, 4)),
    }


def branch(places: Places) -> Columns:
    index = np.arange(len(places.branch_district))
    towns = [DISTRICTS[d] for d in places.branch_district]
    return {
        "branch_id": branch_ids(index),
        "branch_name": pa.array(
            [f"{town} {1 + i // len(DISTRICTS)}" for i, town in enumerate(towns)]
        ),
        "district_id": district_ids(places.branch_district),
    }


def employee(places: Places) -> Columns:
    return {
        "employee_id": employee_ids(np.arange(len(places.employee_branch))),
        "branch_id": branch_ids(places.employee_branch),
        "role": named(ROLES, places.employee_role),
        "hired_on": dates(places.employee_hired),
    }


def product() -> Columns:
    return {
        "product_id": pa.array([product.product_id for product in PRODUCTS]),
        "product_name": pa.array([product.product_name for product in PRODUCTS]),
        "product_line": pa.array([product.product_line for product in PRODUCTS]),
    }


class People:
    """Customer extracts; the constant columns are computed once."""

    def __init__(self, people: Population) -> None:
        index = np.arange(people.size)
        first = np.where(people.female, people.first_name, 20 + people.first_name)
        names = (*FEMALE_NAMES, *MALE_NAMES, "Firma")
        given = named(names, np.where(people.firm, len(names) - 1, first))
        surname = named(SURNAMES, people.surname)
        number = (index * 48_271 + 12_345) % 1_000_000
        born = (people.born + np.datetime64("1970-01-01", "D")).astype(str)
        digits = np.char.replace(np.char.lower(born.astype(str)), "-", "")
        person = ~people.firm
        self.people = people
        self.fixed: Columns = {
            "customer_id": customer_ids(index),
            "birth_date": dates(people.born, person),
            "sex": named(("male", "female"), people.female.astype(np.int32), person),
            "customer_since": dates(people.since),
            "education": named(EDUCATIONS, people.education, person),
            "full_name": _joined(given, surname, between=" "),
            "phone": _joined(
                pa.array(["+420 "] * people.size), identifiers("7", 8, index * 97 + 5)
            ),
            "email": _joined(
                pc.utf8_lower(given),
                pa.array(["."] * people.size),
                pc.utf8_lower(surname),
                identifiers("", 6, index),
                pa.array(["@example.org"] * people.size),
            ),
            "national_id": _joined(pa.array(digits.tolist()), identifiers("/", 6, number, person)),
        }

    def extract(self, bank: Bank, month_index: int) -> Columns:
        """All customers who joined by the end of the month, with the bank's data at that time."""
        there = np.flatnonzero(self.people.joined <= month_index)
        mask = pa.array(there)
        columns = {name: column.take(mask) for name, column in self.fixed.items()}
        manager = bank.manager[there]
        # Who works for themselves keeps a business of the smallest size, under an own name.
        trades = bank.occupation[there] == SELF_EMPLOYED
        firm = self.people.firm[there]
        business = trades | firm
        size = self.people.company[there].clip(0)
        kind = np.where(firm, 2 + (size >= COMPANY_SIZES.index("medium")), trades)
        # The businesses of one household are a group, with the firms that it owns.
        heads = np.isin(there, self.people.head[self.people.firm])
        group = bank.household[self.people.head[there]] + 1
        return {
            **columns,
            "customer_kind": named(("person", "sole_trader", "small_business", "corporate"), kind),
            "industry": named(INDUSTRIES, there % len(INDUSTRIES), business),
            "company_size": named(COMPANY_SIZES, size, business),
            "is_inclusive_finance": pa.array(business & (kind < 3)),
            "group_id": identifiers("G", 8, group, business | heads),
            "district_id": district_ids(bank.district[there]),
            "occupation": named(OCCUPATIONS, bank.occupation[there], ~firm),
            "marital_status": named(MARITAL, bank.marital[there], ~firm),
            # Declared income: known to the bank in steps of ten.
            "monthly_income": money(np.rint(bank.income[there] / 10).astype(np.int64) * 1_000),
            "household_id": identifiers("H", 8, bank.household[there] + 1, ~firm),
            "employee_id": employee_ids(manager.clip(0), manager >= 0),
            "marketing_consent": pa.array(bank.consent[there]),
        }


def account(bank: Bank) -> Columns:
    accounts = bank.accounts
    size = accounts.size
    revolving = np.isin(accounts["slot"], (Slot.CREDIT_CARD, Slot.OVERDRAFT))
    earns = ~np.isin(accounts["slot"], (Slot.FUND, Slot.INSURANCE, Slot.PAYMENTS, Slot.WEALTH))
    return {
        "account_id": account_ids(np.arange(size)),
        "product_id": named([product.product_id for product in PRODUCTS], accounts["product"]),
        "branch_id": branch_ids(accounts["branch"]),
        "opened_on": dates(accounts["opened"]),
        "closed_on": dates(accounts["closed"], accounts["closed"] != 0),
        "currency": named((BANKS_OWN, FOREIGN), bank.in_dollars.astype(np.int32)),
        "interest_rate": rates(accounts["rate"], earns),
        "credit_limit": money(accounts["limit"], revolving),
        "term_months": whole(accounts["term"], accounts["term"] > 0),
        "matures_on": dates(_matures(accounts["opened"], accounts["term"]), accounts["term"] > 0),
        "priced_on": pa.nulls(size, pa.date32()),
        "branch_since": pa.nulls(size, pa.date32()),
    }


def _matures(opened: Ints, term: Ints) -> Ints:
    """The day of the month `term` months later, or the last of a shorter month."""
    day = opened.astype("datetime64[D]")
    month = day.astype("datetime64[M]")
    later = month + term
    last = (later + 1).astype("datetime64[D]") - np.timedelta64(1, "D")
    return np.minimum(
        later.astype("datetime64[D]") + (day - month.astype("datetime64[D]")), last
    ).astype(np.int64)


def account_holder(bank: Bank) -> Columns:
    accounts = bank.accounts
    index = np.arange(accounts.size)
    joint = np.flatnonzero(accounts["joint"] >= 0)
    authorised = np.flatnonzero(accounts["authorised"] >= 0)
    account = np.concatenate([index, joint, authorised])
    holder = np.concatenate(
        [accounts["customer"], accounts["joint"][joint], accounts["authorised"][authorised]]
    )
    role = np.repeat([0, 1, 2], [len(index), len(joint), len(authorised)])
    order = np.argsort(account, kind="stable")
    return {
        "account_id": account_ids(account[order]),
        "customer_id": customer_ids(holder[order]),
        "role": named(("owner", "joint", "authorised"), role[order]),
    }


def account_owner(bank: Bank) -> Columns:
    """Funds and mortgages of managed customers: the manager and a colleague of the branch share
    some; the colleague's part of every second goes to another after a year."""
    accounts, places = bank.accounts, bank.places
    last = month(int(accounts["opened_month"].max())).last
    rows: list[tuple[int, int, int, str, int, int]] = []
    shared = np.isin(accounts["slot"], (Slot.FUND, Slot.MORTGAGE))
    for number in np.flatnonzero(shared & (bank.manager[accounts["customer"]] >= 0))[::3]:
        manager = int(bank.manager[accounts["customer"][number]])
        at_branch = places.employee_branch == places.employee_branch[manager]
        colleagues = [int(one) for one in np.flatnonzero(at_branch) if one != manager]
        opened, closed = int(accounts["opened"][number]), int(accounts["closed"][number])
        rows.append((number, manager, 600_000, "manager", opened, closed))
        handed_over = opened + 365
        if number % 2 or len(colleagues) < 2 or handed_over > (closed or last):
            rows.append((number, colleagues[0], 400_000, "specialist", opened, closed))
        else:
            before, after = colleagues[:2]
            rows.append((number, before, 400_000, "specialist", opened, handed_over - 1))
            rows.append((number, after, 400_000, "specialist", handed_over, closed))
    account, who, share, role, begins, ends = zip(*rows, strict=True) if rows else [()] * 6
    ended = np.array(ends, dtype=np.int64)
    return {
        "account_id": account_ids(np.array(account, dtype=np.int64)),
        "employee_id": employee_ids(np.array(who, dtype=np.int64)),
        "share": rates(np.array(share) / 1_000_000),
        "role": pa.array(role, type=pa.string()),
        "valid_from": dates(np.array(begins)),
        "valid_to": dates(ended, ended != 0),
    }


def loan(bank: Bank) -> Columns:
    accounts = bank.accounts
    index = np.flatnonzero(np.isin(accounts["slot"], LOANS))
    return {
        "loan_id": loan_ids(index),
        "account_id": account_ids(index),
        "granted_on": dates(accounts["opened"][index]),
        "principal": money(accounts["principal"][index]),
        "term_months": whole(accounts["term"][index]),
        "instalment": money(accounts["instalment"][index]),
        "interest_rate": rates(accounts["rate"][index]),
    }


def card(bank: Bank) -> Columns:
    accounts = bank.accounts
    index = np.flatnonzero(np.isin(accounts["slot"], (Slot.CURRENT, Slot.CREDIT_CARD)))
    credit = accounts["slot"][index] == Slot.CREDIT_CARD
    gold = credit & (accounts["limit"][index] > 500_000)
    return {
        "card_id": identifiers("P", 8, index + 1),
        "account_id": account_ids(index),
        "customer_id": customer_ids(accounts["customer"][index]),
        "card_type": named(("debit", "credit", "gold"), credit.astype(np.int32) + gold),
        "issued_on": dates(accounts["opened"][index]),
    }


def standing_order(bank: Bank) -> Columns:
    accounts, people = bank.accounts, bank.people
    owner = accounts["customer"]
    index = np.flatnonzero((accounts["slot"] == Slot.CURRENT) & (people.rent[owner] > 0))
    who = owner[index]
    return {
        "order_id": identifiers("S", 8, index + 1),
        "account_id": account_ids(index),
        "counterparty_bank": named(BANKS, 1 + who % (len(BANKS) - 1)),
        "counterparty_account": identifiers("", 10, 900_000 + who),
        "amount": money(people.rent[who]),
        "purpose": pa.array(["rent"] * len(index), type=pa.string()),
    }


def campaign(campaigns: tuple[Campaign, ...]) -> Columns:
    starts = [month(campaign.month) for campaign in campaigns]
    return {
        "campaign_id": campaign_ids(np.arange(len(campaigns))),
        "campaign_name": pa.array([campaign.name for campaign in campaigns], type=pa.string()),
        "product_id": pa.array(
            [PRODUCTS[campaign.product].product_id for campaign in campaigns], type=pa.string()
        ),
        "channel": pa.array([campaign.channel for campaign in campaigns], type=pa.string()),
        "starts_on": dates(np.array([start.start for start in starts])),
        "ends_on": dates(np.array([start.start + 27 for start in starts])),
        "cost_per_contact": money(np.array([c.cost_per_contact for c in campaigns])),
        "incentive_cost": money(np.array([c.incentive_cost for c in campaigns])),
    }
