"""Deliveries in any order, with late, corrected and withdrawn rows: what the refresh of the newest
month makes of them, one after the other, is what one delivery of the end state makes.

Deliveries are landed as they are in a refresh; the models are dbt's own compiled statements, run in
the order in which dbt ran them.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from graphlib import TopologicalSorter
from pathlib import Path
from random import Random

import duckdb
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from jinja2 import Environment

from orchestration.landing.engine import Window, land
from orchestration.platform.environment import DBT_PROJECT
from orchestration.platform.tables import write_table
from sources.files import DeliveredFiles
from tests.deliveries import Delivery, Row
from tests.integration.bank import (
    FIRST,
    LAST,
    Bank,
    awkward_bank,
    compiled,
    daily_balances,
    month_end,
    month_of,
)

# Each example builds the whole bank several times.
pytestmark = pytest.mark.slow

TODAY = date(2024, 12, 1)
EARLIER = date(2024, 4, 30)
LAYERS = ("base", "value", "decisions", "features")


@dataclass(frozen=True)
class Model:
    """A model of the project as dbt compiled it."""

    name: str
    materialized: str
    query: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, repr=False)
class Project:
    """The models in the order of their dependencies, and a warehouse with their reference data."""

    reference: Path
    models: Sequence[Model]


def month_window(table: str, columns: Sequence[str]) -> str:
    """The statement with which the project puts the rows of `incoming` into a table that stands."""
    macro = (DBT_PROJECT / "macros" / "month_window.sql").read_text()
    call = "{{ get_incremental_month_window_sql(arguments) }}"
    arguments = {
        "target_relation": table,
        "dest_columns": [{"name": name} for name in columns],
        "temp_relation": "temp.incoming",
    }
    names = {"ref": lambda model: model.replace("_", ".", 1)}
    return Environment().from_string(macro + call, names).render(arguments=arguments)


def delivery_of(bank: Bank) -> Delivery:
    delivery = Delivery({})
    for table, rows in bank.rows.items():
        for row in rows:
            given = {name: str(value) for name, value in row.items() if value is not None}
            extract = given.pop("extract_month", None)
            delivery.add(f"{table}/{extract[:7]}" if extract else table, **given)
    return delivery


def new_home(reference: Path) -> duckdb.DuckDBPyConnection:
    """An empty warehouse with the reference data."""
    home = duckdb.connect()
    home.execute("attach ':memory:' as warehouse")
    home.execute("use warehouse")
    for schema in ("reference", "staging", *LAYERS):
        home.execute(f"create schema {schema}")
    home.execute(f"attach '{reference}' as built (read_only)")
    for (table,) in home.execute(
        "select table_name from duckdb_tables() "
        "where database_name = 'built' and schema_name = 'reference'"
    ).fetchall():
        home.execute(f"create table reference.{table} as from built.reference.{table}")
    home.execute("detach built")
    write_table(home, "scores.account_default", None)
    return home


@dataclass
class Home:
    """A warehouse, its landing folder, and whether all that was landed has been built."""

    warehouse: duckdb.DuckDBPyConnection
    folder: Path
    models: Sequence[Model]
    finished: bool = True
    first: date = FIRST

    def land(self, delivery: Delivery, as_of: date) -> None:
        """The newest month is asked for; at first all months."""
        begun = (self.folder / "landing").exists()
        source = DeliveredFiles(delivery.write(self.folder / "delivery"))
        month = month_of(as_of)
        window = Window(self.first, month if begun else self.first, month, as_of)
        land(
            *(self.warehouse, source, window, self.folder / "landing", b"k", TODAY),
            finished=self.finished,
        )
        self.finished = False

    def build(self) -> None:
        for model in self.models:
            if model.materialized == "view":
                self.warehouse.execute(f"create or replace view {model.name} as {model.query}")
            elif model.materialized == "incremental" and (columns := self._columns(model.name)):
                self.warehouse.execute(f"create or replace temp table incoming as {model.query}")
                self.warehouse.execute(month_window(model.name, columns))
            else:
                self.warehouse.execute(f"create or replace table {model.name} as {model.query}")
        self.finished = True

    def _columns(self, name: str) -> list[str]:
        """The columns of a table; none where it is not there yet."""
        found = self.warehouse.execute(
            "select column_name from duckdb_columns() where schema_name || '.' || table_name = ? "
            "order by column_index",
            [name],
        )
        return [column for (column,) in found.fetchall()]

    def content(self) -> dict[str, tuple]:
        """Table → rows and an order-free digest of them."""
        return {
            model.name: self.warehouse.execute(
                f"select count(*), sum(hash(one)::hugeint) from {model.name} as one"
            ).fetchall()[0]
            for model in self.models
            if model.materialized != "view"
        }


@contextmanager
def homes(project: Project, folders: pytest.TempPathFactory) -> Iterator[tuple[Home, Home]]:
    """Two homes of nothing."""
    one, other = (
        Home(new_home(project.reference), folders.mktemp("home"), project.models) for _ in range(2)
    )
    try:
        yield one, other
    finally:
        for home in (one, other):
            home.warehouse.close()
            shutil.rmtree(home.folder)


def shorter(bank: Bank, first: date) -> Delivery:
    """The bank's delivery without the bookings before a month, and with the balances at the end of
    the month before it, of which nothing else of these accounts tells."""
    opening = month_of(first - timedelta(days=1))
    known = {}
    for account in bank.rows["account"]:
        balance = daily_balances(bank, account["account_id"], LAST).get(month_end(opening))
        if account["opened_on"] < first and balance is not None:
            known[account["account_id"]] = balance
    delivery = delivery_of(bank)
    delivery.files["transaction"] = [
        {**row, "balance_after": ""} if row["account_id"] in known else row
        for row in delivery.files["transaction"]
        if date.fromisoformat(row["booked_on"]) >= first
    ]
    delivery.files["account_balance"] = [
        row
        for row in delivery.files["account_balance"]
        if date.fromisoformat(row["month"]) >= first
    ]
    for account, balance in known.items():
        row = {"month": str(opening), "closing_balance": str(balance)}
        delivery.add("account_balance", account_id=account, **row)
    return delivery


# What an account-month has that earlier months do not decide: not the days of the last booking, and
# no accrual or allowance, which go on from the month before.
OWN_MONTH = {
    "base.account_month": """
        * exclude (last_booked_on, last_active_on, last_income_on)""",
    "value.account_month": """
        account_id, month, average_balance, closing_balance, transfer_price, transfer_result,
        transfer_liquidity, transfer_option, transfer_policy, funded_by_capital, fee_income,
        direct_cost, overhead, exposure""",
    "base.account": "account_id, closing_balance",
}
CUT = date(2023, 7, 1)


def test_a_history_cut_short_with_its_opening_balances_gives_the_same_account_months(
    project, tmp_path_factory
):
    """Refreshed at once from the first month on, and with half a year cut off in two refreshes."""
    bank = awkward_bank(customers=20, seed=6)
    with homes(project, tmp_path_factory) as (whole, cut):
        whole.land(delivery_of(bank), LAST)
        whole.build()
        cut.first = CUT
        for as_of in (EARLIER, LAST):
            cut.land(shorter(bank, CUT), as_of)
            cut.build()
        for table, columns in OWN_MONTH.items():
            query = f"select {columns} from {table}"
            if table != "base.account":
                query += f" where month >= date '{CUT}'"
            found, expected = (
                home.warehouse.execute(f"{query} order by all").fetchall() for home in (cut, whole)
            )
            assert len(expected) > 20, table
            assert found == expected, table
        # The opening balances alone price these account-months: their bookings carry no balance.
        opened = cut.warehouse.execute(
            "select count(*) from base.account_month as held join base.account using (account_id) "
            "where month = ? and opened_on < ? and is_balance_known and held.opening_balance <> 0",
            [CUT, CUT],
        ).fetchall()
        assert opened[0][0] > 5


@pytest.fixture(scope="module")
def small() -> Delivery:
    return delivery_of(awkward_bank(customers=8, seed=4))


@pytest.fixture(scope="module")
def project(whole: Path) -> Project:
    """The models of the warehouse of the awkward bank, in order, with its reference data."""
    nodes = json.loads((whole.parent / "target" / "manifest.json").read_text())["nodes"]
    models = {
        unique_id: node
        for unique_id, node in nodes.items()
        if node["resource_type"] == "model"
        and node["schema"] in ("staging", *LAYERS)
        # No customer is scored or planned here.
        and not node["path"].startswith("decisions/lists/")
    }
    order = TopologicalSorter(
        {name: set(node["depends_on"]["nodes"]) & set(models) for name, node in models.items()}
    )
    return Project(
        whole,
        [
            Model(
                f"{models[name]['schema']}.{models[name]['alias']}",
                models[name]["config"]["materialized"],
                compiled(whole, models[name]["name"]),
            )
            for name in order.static_order()
        ],
    )


def moved(day: str, draw: Random) -> str:
    """Another day, up to some months away, in the history."""
    other = date.fromisoformat(day) + timedelta(days=draw.randrange(-150, 150))
    return max(FIRST, min(other, LAST)).isoformat()


def some(delivery: Delivery, table: str, draw: Random) -> tuple[str, Row]:
    files = [file for file in delivery.files if file.split("/")[0] == table]
    file = draw.choice([file for file in files if delivery.files[file]])
    return file, draw.choice(delivery.files[file])


def withdraw(table: str) -> Callable[[Delivery, Random], None]:
    def change(delivery: Delivery, draw: Random) -> None:
        file, row = some(delivery, table, draw)
        delivery.files[file].remove(row)

    return change


def add(table: str, key: str, dated: str) -> Callable[[Delivery, Random], None]:
    def change(delivery: Delivery, draw: Random) -> None:
        file, row = some(delivery, table, draw)
        new = {**row, key: f"{row[key]}-{draw.randrange(10**6)}", dated: moved(row[dated], draw)}
        delivery.files[file].append(new)

    return change


def correct(table: str, column: str, *values: str) -> Callable[[Delivery, Random], None]:
    """Another value, or another day where none are given."""

    def change(delivery: Delivery, draw: Random) -> None:
        _, row = some(delivery, table, draw)
        row[column] = draw.choice(values) if values else moved(row.get(column) or f"{LAST}", draw)

    return change


def empty_month(delivery: Delivery, draw: Random) -> None:
    month = some(delivery, "transaction", draw)[1]["booked_on"][:7]
    delivery.files["transaction"] = [
        row for row in delivery.files["transaction"] if row["booked_on"][:7] != month
    ]


def no_more(delivery: Delivery, draw: Random) -> None:
    delivery.files[draw.choice(["interaction", "loan_status", "ledger", "card"])].clear()


CHANGES: tuple[Callable[[Delivery, Random], None], ...] = (
    add("transaction", "transaction_id", "booked_on"),
    withdraw("transaction"),
    correct("transaction", "amount", "0.01", "-999.99"),
    correct("transaction", "booked_on"),
    empty_month,
    no_more,
    correct("account", "closed_on"),
    correct("account", "opened_on"),
    correct("account", "product_id", "TERM", "CARDS"),
    correct("account", "branch_id", "B0", "B1"),
    withdraw("account_holder"),
    correct("account_holder", "role", "owner", "joint", "authorised"),
    withdraw("account_owner"),
    correct("account_owner", "share", "0.2", "0.1"),
    correct("account_owner", "valid_to"),
    correct("customer", "district_id", "D0", "D1"),
    correct("customer", "employee_id", "E0", "E1"),
    withdraw("customer"),
    correct("product", "product_line", "deposits", "wealth"),
    correct("contact", "employee_id", "E0", "E1"),
    correct("contact", "contacted_on"),
    withdraw("response"),
    add("interaction", "interaction_id", "occurred_on"),
)


def changed(delivery: Delivery, how: Sequence[tuple[int, int]]) -> Delivery:
    result = delivery.copy()
    for number, seed in how:
        # What an earlier change took away cannot be changed any more.
        try:
            CHANGES[number % len(CHANGES)](result, Random(seed))
        except IndexError:
            continue
    return result


steps = st.tuples(
    st.lists(st.tuples(st.integers(0, len(CHANGES) - 1), st.integers(0, 999)), max_size=4),
    st.sampled_from([LAST, LAST, EARLIER]),
    st.booleans(),
)


@settings(
    max_examples=4,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(states=st.lists(steps, min_size=1, max_size=2), end=steps)
def test_refreshing_the_newest_month_per_delivery_gives_the_same_as_the_last_delivery(
    small, project, tmp_path_factory, states, end
):
    with homes(project, tmp_path_factory) as (one, fresh):
        one.land(small, LAST)
        one.build()
        for how, as_of, is_built in states:
            one.land(changed(small, how), as_of)
            if is_built:
                one.build()
        last = changed(small, end[0])
        for home in (one, fresh):
            home.land(last, end[1])
            home.build()
        assert one.content() == fresh.content()
