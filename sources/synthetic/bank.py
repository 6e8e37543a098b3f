"""The synthetic bank as a source: simulated month by month, delivered in the contract's layout."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from sources.contract import ARMS as ARM_NAMES
from sources.contract import CHANNELS, KINDS, PRODUCT_LINES, TABLES, TOPICS
from sources.interface import Problem, SourceFile
from sources.parquet import parquet_rows
from sources.synthetic import masters
from sources.synthetic.anomalies import ANOMALIES, Anomalies
from sources.synthetic.bookings import BANKS, Bookings, MonthBookings
from sources.synthetic.campaigns import Contacts, campaigns_within, hold
from sources.synthetic.cashflows import book_month_end, book_regular
from sources.synthetic.currency import FOREIGN, FOREIGN_SHARE, UNIT
from sources.synthetic.defects import Planter
from sources.synthetic.ledger import ACCRUED, LINE_OF_RENT, LedgerMonth, keep_ledger
from sources.synthetic.ledger import LEDGER_ACCOUNTS as LEDGER_NAMES
from sources.synthetic.life import advance, begin_midway
from sources.synthetic.openings import (
    close_customers,
    initial_portfolio,
    mature_deposits,
    open_planned,
    redeem_wealth,
    top_up_funds,
    welcome,
)
from sources.synthetic.parquet import (
    Shelf,
    dates,
    identifiers,
    money,
    named,
    whole,
)
from sources.synthetic.population import (
    Ints,
    assign_books,
    draw_places,
    draw_population,
    incorporate,
)
from sources.synthetic.products import LOANS, PRODUCTS
from sources.synthetic.state import Bank, Interactions, Step
from sources.synthetic.timeline import FIRST_MONTH, Month, month
from sources.synthetic.truth import expect
from sources.synthetic.truth_of_offers import expect_offers

# Increase it when the same parameters give different records: homes then generate the bank again.
GENERATOR = 6
MARKER = ".generated.json"
# Salaries, instalments, interest, fees … come to about this many bookings a customer a month;
# purchases fill up to the number asked for.
OTHER_BOOKINGS = 3.85
PRESENT_SHARE = 0.9  # of a customer's months with an account open
LEAST_PURCHASES = 0.3


class SyntheticBank:
    """A bank generated from a seed.

    Parameters
    ----------
    delivery, truth
        Folders for the delivered records and for the hidden truth. Both are replaced whole.
    customers
        Customers in all: four fifths from the start, the others join over the months.
    bookings_per_month
        Approximate mean bookings per customer and month; below 4 the mean stays near 4.
    foreign_accounts
        Keep one in twenty savings accounts and term deposits in dollars.
    """

    name = "synthetic"

    def __init__(
        self,
        delivery: Path,
        truth: Path,
        customers: int,
        seed: int,
        months: int = 36,
        bookings_per_month: float = 5.0,
        foreign_accounts: bool = False,
    ) -> None:
        if customers < 20 or months < 1 or bookings_per_month <= 0:
            raise ValueError(
                "the synthetic bank is invalid: expected at least 20 customers, one month and "
                "bookings_per_month above 0"
            )
        self.delivery = delivery
        self.truth = truth
        self.customers = customers
        self.seed = seed
        self.months = months
        self.bookings_per_month = bookings_per_month
        self.foreign_accounts = foreign_accounts

    @property
    def identity(self) -> str:
        return (
            f"synthetic customers={self.customers} seed={self.seed} months={self.months} "
            f"bookings={self.bookings_per_month} generator={GENERATOR}"
            + (" currencies=2" if self.foreign_accounts else "")
        )

    def first_month(self, connection: duckdb.DuckDBPyConnection) -> str:
        """The same month for every generated bank."""
        return FIRST_MONTH

    def prepare(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Generate the bank unless the folders hold it. A killed run leaves the old bank or none.

        Raises
        ------
        FileExistsError
            When a folder holds other files, which would be lost.
        """
        if self._generated(self.delivery) and self._generated(self.truth):
            return
        for folder in (self.delivery, self.truth):
            if folder.exists() and any(folder.iterdir()) and not (folder / MARKER).exists():
                raise FileExistsError(
                    f"{folder} holds files that the synthetic bank did not write. Move them away."
                )
        partial = {folder: _beside(folder, "partial") for folder in (self.delivery, self.truth)}
        for folder in partial.values():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        self._generate(partial[self.delivery], partial[self.truth])
        for folder in partial.values():
            (folder / MARKER).write_text(json.dumps({"identity": self.identity}), encoding="utf-8")
        # The truth first, so that a delivery always has its truth.
        for target in (self.truth, self.delivery):
            old = _beside(target, "old")
            shutil.rmtree(old, ignore_errors=True)
            if target.exists():
                target.rename(old)
            partial[target].rename(target)
            shutil.rmtree(old, ignore_errors=True)

    def problems(self, connection: duckdb.DuckDBPyConnection) -> list[Problem]:
        """None: landing must find the planted defects."""
        return []

    def files(self, connection: duckdb.DuckDBPyConnection) -> list[SourceFile]:
        found = []
        for table in TABLES:
            single = self.delivery / f"{table.name}.parquet"
            paths = [single] if single.exists() else []
            paths += sorted((self.delivery / table.name).glob("*.parquet"))
            for path in paths:
                stamped = not table.event and path != single
                found.append(
                    SourceFile(
                        table=table.name,
                        path=path,
                        relation=_relation(path, table.column_names),
                        columns=table.column_names,
                        extract_month=date.fromisoformat(f"{path.stem}-01") if stamped else None,
                        records=parquet_rows(connection, path),
                    )
                )
        return found

    def _generated(self, folder: Path) -> bool:
        marker = folder / MARKER
        if not marker.exists():
            return False
        try:
            return bool(json.loads(marker.read_text(encoding="utf-8"))["identity"] == self.identity)
        except ValueError:
            return False

    def _rng(self, *purpose: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, *purpose])

    def _generate(self, delivery: Path, truth: Path) -> None:
        places = draw_places(self.customers, self._rng(0))
        people, start = draw_population(self.customers, self.months, places, self._rng(1))
        people, start = incorporate(people, start, self._rng(7))
        if self.foreign_accounts:
            foreign = self._rng(8).random(people.size) < FOREIGN_SHARE
            people = replace(people, foreign=foreign)
        bank = Bank(places, people, start, assign_books(places, people, self._rng(2)))
        initial_portfolio(bank, self._rng(3))
        begin_midway(bank, self._rng(5))
        purchases = max((self.bookings_per_month - OTHER_BOOKINGS) / PRESENT_SHARE, LEAST_PURCHASES)
        writer = Writer(Shelf(delivery), Shelf(truth), bank)
        campaigns = campaigns_within(self.months)
        anomalies = Anomalies()
        for index in range(self.months):
            this = month(index)
            step = Step(
                month=this,
                rng=self._rng(4, index),
                bookings=Bookings(),
                interactions=Interactions(),
                closing=np.zeros(people.size, dtype=bool),
            )
            bank.begin(index)
            advance(bank, step)
            welcome(bank, step)
            for number, campaign in enumerate(campaigns):
                if campaign.month == index:
                    writer.contacts(hold(bank, step, campaign, number), campaign.product)
            close_customers(bank, step)
            open_planned(bank, step)
            mature_deposits(bank, step)
            redeem_wealth(bank, step)
            top_up_funds(bank, step)
            book_regular(bank, step, purchases)
            anomalies.plant(bank, step, self._rng(6, index))
            book_month_end(bank, step)
            bookings, closing = step.bookings.settle(bank.accounts["balance"])
            bank.accounts["balance"][:] = closing
            anomalies.observe(bank, index, bookings)
            writer.bookings(this, bookings)
            writer.loan_status(this)
            writer.interactions(this, step.interactions)
            writer.responses(step)
            if index == 0:
                writer.balances(this)
            writer.results(this, *step.accruals)
            writer.rates(this)
            writer.ledger(this, keep_ledger(this, bank, bookings, step.accruals))
            if index == 0 or this.closes_quarter or index == self.months - 1:
                writer.customers(this)
            writer.expectation(this, purchases)
        writer.offers()
        writer.masters(self.months)
        writer.close()


def _beside(folder: Path, what: str) -> Path:
    return folder.with_name(f".{folder.name}.{what}")


def _relation(path: Path, columns: tuple[str, ...]) -> str:
    quoted = str(path).replace("'", "''")
    names = ", ".join(f'"{name}"' for name in columns)
    return (
        f"select {names}, file_row_number + 1 as _row "
        f"from read_parquet('{quoted}', file_row_number = true, hive_partitioning = false)"
    )


class Writer:
    """Puts each month's results into the delivery and the hidden truth."""

    def __init__(self, delivery: Shelf, truth: Shelf, bank: Bank) -> None:
        self.delivery = delivery
        self.truth = truth
        self.bank = bank
        self.people = masters.People(bank.people)
        self.planter = Planter()
        self._bookings = self._contacts = self._interactions = self._adjustments = 0

    def _event(self, name: str, columns: dict[str, pa.Array], by_month: Month | None) -> None:
        table = self.delivery.table(name, columns)
        if by_month is not None:
            file = f"{name}/{by_month.label}.parquet"
            self.delivery.write(file, self.planter.plant(name, file, table))
        else:
            file = f"{name}.parquet"
            before = self.delivery.rows.get(file, 0)
            self.delivery.append(file, self.planter.plant(name, file, table, before))

    def bookings(self, this: Month, bookings: MonthBookings) -> None:
        size = len(bookings)
        number = np.arange(self._bookings + 1, self._bookings + size + 1)
        self._bookings += size
        external = bookings.bank >= 0
        self._event(
            "transaction",
            {
                "transaction_id": identifiers("T", 11, number),
                "account_id": masters.account_ids(bookings.account),
                "booked_on": dates(this.start + bookings.day.astype(np.int64) - 1),
                "amount": money(bookings.amount),
                "kind": named(KINDS, bookings.kind),
                "channel": named(CHANNELS, bookings.channel),
                "counterparty_bank": named(BANKS, bookings.bank, external),
                "counterparty_account": identifiers(
                    "", 10, bookings.counterparty.clip(0), bookings.counterparty >= 0
                ),
                "balance_after": money(bookings.balance_after),
            },
            this,
        )
        self._planted_anomalies(this, bookings, number)

    def _planted_anomalies(self, this: Month, bookings: MonthBookings, number: Ints) -> None:
        planted = np.flatnonzero(bookings.mark)
        account = bookings.account[planted]
        self.truth.append(
            "planted_anomaly.parquet",
            pa.table(
                {
                    "transaction_id": identifiers("T", 11, number[planted]),
                    "account_id": masters.account_ids(account),
                    "customer_id": masters.customer_ids(self.bank.accounts["customer"][account]),
                    "booked_on": dates(this.start + bookings.day[planted].astype(np.int64) - 1),
                    "kind": named(ANOMALIES, bookings.mark[planted]),
                }
            ),
        )

    def loan_status(self, this: Month) -> None:
        accounts = self.bank.accounts
        loan = np.isin(accounts["slot"], LOANS)
        there = (accounts["closed"] == 0) | (accounts["closed"] >= this.start)
        index = np.flatnonzero(loan & there)
        since = accounts["defaulted_month"][index]
        # Days past due keep counting in default, where no payments are made.
        late = accounts["past_due"][index].astype(np.int64)
        late += np.where(since >= 0, 30 * (this.index - since), 0)
        open_now = accounts["closed"][index] == 0
        self._event(
            "loan_status",
            {
                "loan_id": masters.loan_ids(index),
                "month": dates(np.full(len(index), this.start)),
                "outstanding": money(np.maximum(-accounts["balance"][index], 0)),
                "days_past_due": whole(np.where(open_now, late, 0)),
                "defaulted": pa.array(since >= 0),
            },
            this,
        )

    def interactions(self, this: Month, interactions: Interactions) -> None:
        customer, day, channel, topic, sentiment = interactions.columns()
        number = np.arange(self._interactions + 1, self._interactions + len(customer) + 1)
        self._interactions += len(customer)
        self._event(
            "interaction",
            {
                "interaction_id": identifiers("I", 9, number),
                "customer_id": masters.customer_ids(customer),
                "occurred_on": dates(this.start + day - 1),
                "channel": named(CHANNELS, channel),
                "topic": named(TOPICS, topic),
                "sentiment": pa.array(np.asarray(sentiment, dtype=np.float64)),
            },
            this,
        )

    def contacts(self, contacts: Contacts, product: int) -> None:
        size = len(contacts.customer)
        number = np.arange(self._contacts + 1, self._contacts + size + 1)
        self._contacts += size
        campaign = masters.campaign_ids(np.full(size, contacts.campaign))
        customer = masters.customer_ids(contacts.customer)
        self._event(
            "contact",
            {
                "contact_id": identifiers("N", 9, number),
                "campaign_id": campaign,
                "customer_id": customer,
                "contacted_on": dates(contacts.day),
                "arm": named(ARM_NAMES, contacts.arm),
                "assignment_probability": pa.array(contacts.assignment_probability),
                "employee_id": masters.employee_ids(
                    contacts.employee.clip(0), contacts.employee >= 0
                ),
            },
            None,
        )
        self.truth.append(
            "uplift.parquet",
            pa.table(
                {
                    "campaign_id": campaign,
                    "product_id": pa.array([PRODUCTS[product].product_id] * size, pa.string()),
                    "customer_id": customer,
                    "response_probability_treatment": contacts.treated_response,
                    "response_probability_control": contacts.control_response,
                    "uplift": contacts.treated_response - contacts.control_response,
                }
            ),
        )

    def responses(self, step: Step) -> None:
        if not step.responses:
            return
        campaign, customer, day, account = (
            np.concatenate(parts) for parts in zip(*step.responses, strict=True)
        )
        order = np.lexsort((customer, day))
        self._event(
            "response",
            {
                "campaign_id": masters.campaign_ids(campaign[order]),
                "customer_id": masters.customer_ids(customer[order]),
                "responded_on": dates(day[order]),
                "account_id": masters.account_ids(account[order]),
            },
            None,
        )

    def balances(self, this: Month) -> None:
        """Balances of the accounts that are older than the history."""
        accounts = self.bank.accounts
        index = np.flatnonzero(accounts["opened"] < this.start)
        self._event(
            "account_balance",
            {
                "account_id": masters.account_ids(index),
                "month": dates(np.full(len(index), this.start)),
                "closing_balance": money(accounts["balance"][index]),
                "balance_day_sum": money(np.zeros(len(index)), np.zeros(len(index), bool)),
            },
            None,
        )

    def results(self, this: Month, account: Ints, cents: Ints) -> None:
        self._event(
            "account_result",
            {
                "account_id": masters.account_ids(account),
                "month": dates(np.full(len(account), this.start)),
                "item": pa.array([ACCRUED] * len(account), pa.string()),
                "amount": money(cents),
            },
            None,
        )

    def rates(self, this: Month) -> None:
        columns = {
            "month": dates(np.array([this.start])),
            "currency": pa.array([FOREIGN]),
            "average_rate": pa.array([self.bank.average_rate / UNIT]),
            "closing_rate": pa.array([self.bank.closing_rate / UNIT]),
        }
        self.delivery.append("fx_rate.parquet", self.delivery.table("fx_rate", columns))

    def ledger(self, this: Month, ledger: LedgerMonth) -> None:
        self._event(
            "ledger",
            {
                "month": dates(np.full(len(ledger.amount), this.start)),
                "branch_id": masters.branch_ids(ledger.branch),
                "product_line": named(PRODUCT_LINES, ledger.line),
                "ledger_account": named(LEDGER_NAMES, ledger.ledger_account),
                "amount": money(ledger.amount),
            },
            None,
        )
        size = len(ledger.rent)
        number = np.arange(self._adjustments + 1, self._adjustments + size + 1)
        self._adjustments += size
        self._event(
            "adjustment",
            {
                "adjustment_id": identifiers("J", 5, number),
                "month": dates(np.full(size, this.start)),
                "branch_id": masters.branch_ids(ledger.renting),
                "product_line": pa.array([PRODUCT_LINES[LINE_OF_RENT]] * size, pa.string()),
                "item": pa.array(["fee_income"] * size, pa.string()),
                "amount": money(ledger.rent),
                "reason": pa.array(["rent of safe deposit boxes"] * size, pa.string()),
                "maker": pa.array(["F0012"] * size, pa.string()),
                "checker": pa.array(["F0007"] * size, pa.string()),
            },
            None,
        )

    def customers(self, this: Month) -> None:
        columns = self.people.extract(self.bank, this.index)
        self.delivery.write(
            f"customer/{this.label}.parquet", self.delivery.table("customer", columns)
        )

    def expectation(self, this: Month, purchases: float) -> None:
        expected = expect(self.bank, this.index, this.days, purchases)
        there = np.flatnonzero(self.bank.people.joined <= this.index)
        self.truth.append(
            "customer_month.parquet",
            pa.table(
                {
                    "customer_id": masters.customer_ids(there),
                    "month": dates(np.full(len(there), this.start)),
                    "expected_contribution_12m": np.round(expected.contribution[there], 4),
                    "attrition_hazard": np.round(expected.attrition_hazard[there], 8),
                    "default_hazard": np.round(expected.default_hazard[there], 8),
                }
            ),
        )

    def offers(self) -> None:
        """The truth about the offers, which are persons', after the last month."""
        everyone = np.flatnonzero(self.bank.alive & ~self.bank.people.firm)
        for offer in expect_offers(self.bank):
            self.truth.append(
                "offer.parquet",
                pa.table(
                    {
                        "product_id": pa.array([offer.product_id] * len(everyone), pa.string()),
                        "customer_id": masters.customer_ids(everyone),
                        "response_probability_treatment": offer.treated_response[everyone],
                        "response_probability_control": offer.control_response[everyone],
                        "uplift": (offer.treated_response - offer.control_response)[everyone],
                        "contribution_12m": np.round(offer.contribution[everyone], 4),
                    }
                ),
            )

    def masters(self, months: int) -> None:
        places = self.bank.places
        campaigns = campaigns_within(months)
        tables = {
            "district": masters.district(places),
            "branch": masters.branch(places),
            "employee": masters.employee(places),
            "product": masters.product(),
            "account": masters.account(self.bank),
            "account_holder": masters.account_holder(self.bank),
            "account_owner": masters.account_owner(self.bank),
            "loan": masters.loan(self.bank),
            "card": masters.card(self.bank),
            "standing_order": masters.standing_order(self.bank),
        }
        if campaigns:
            tables["campaign"] = masters.campaign(campaigns)
        for name, columns in tables.items():
            self.delivery.write(f"{name}.parquet", self.delivery.table(name, columns))

    def close(self) -> None:
        self.truth.write("planted_defect.parquet", self.planter.table())
        self.delivery.close()
        self.truth.close()
