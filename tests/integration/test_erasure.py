"""Erasure: where a person's data can be, and that nothing of a person is left."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import socket
from collections.abc import Callable
from datetime import date
from pathlib import Path

import duckdb
import pytest

from orchestration import erasure
from orchestration.erasure import (
    AccountsOpen,
    CustomerUnknown,
    ErasureIncomplete,
    OtherErasureUnfinished,
    erase,
)
from orchestration.erasure.databases import ATTRIBUTES, BOOKED, IDENTITIES, PERSONS, Ids, rewrite
from orchestration.erasure.files import rewrite_text
from orchestration.erasure.places import PLACES
from orchestration.landing.engine import Window, land
from orchestration.platform import audit
from orchestration.platform.erased import MARK, NOBODY, RegisterDamaged, add, look_up, read_register
from orchestration.platform.settings import Settings
from orchestration.release.publish import PUBLISHED_SCHEMAS
from sources.contract import TABLES
from sources.files import DeliveredFiles

WHOLE = Window(date(2024, 1, 1), date(2024, 1, 1), date(2024, 3, 1), date(2024, 3, 31))
# On which money is reported, or which the accounts show anyway.
KEPT = {"customer_since", "district_id", "customer_kind", "group_id", "employee_id"}
# The words that only the erased person has; A3 is held with another customer.
CANARIES = ("CUST-1", "ACCT-1", "LOAN-1", "CARD-1", "falconer", "Widower", "1931-07-09", "HOUSE-1")
CANARIES += ("Cayman Trust", "KY-77-OFFSHORE", "gambling")
DELIVERY = {
    "product": "product_id,product_line\nP1,deposits\nP2,lending\n",
    "customer": "customer_id,birth_date,customer_since,occupation,marital_status,household_id,"
    "full_name\n"
    "CUST-1,1931-07-09,2023-05-01,falconer,Widower,HOUSE-1,Ann Canary\n"
    "CUST-2,1990-02-02,2024-01-05,clerk,single,HOUSE-2,Bob\n",
    "account": "account_id,product_id,opened_on,closed_on\n"
    "ACCT-1,P1,2023-05-01,2024-03-20\nACCT-2,P1,2024-01-05,\nACCT-3,P1,2024-01-06,2024-03-21\n",
    "account_holder": "account_id,customer_id,role\nACCT-1,CUST-1,owner\nACCT-2,CUST-2,owner\n"
    "ACCT-3,CUST-1,owner\nACCT-3,CUST-2,joint\n",
    "loan": "loan_id,account_id,granted_on,principal\nLOAN-1,ACCT-1,2024-01-10,500.00\n",
    "card": "card_id,account_id,customer_id,card_type,issued_on\n"
    "CARD-1,ACCT-1,CUST-1,debit,2024-01-10\n",
    "standing_order": "order_id,account_id,counterparty_bank,counterparty_account,amount,purpose\n"
    "O1,ACCT-1,Cayman Trust,KY-77-OFFSHORE,10.00,gambling\nO2,ACCT-2,X,ACCT-1,5.00,rent\n",
    "transaction": "transaction_id,account_id,booked_on,amount,kind,balance_after,"
    "counterparty_account\n"
    "T1,ACCT-1,2024-01-10,100.00,deposit,100.00,KY-77-OFFSHORE\n"
    "T2,ACCT-1,2024-02-10,-100.00,withdrawal,0.00,\n"
    "T3,ACCT-2,2024-03-10,7.25,deposit,7.25,ACCT-1\n"
    "T4,ACCT-3,2024-02-11,3.00,deposit,3.00,\n",
    "interaction": "interaction_id,customer_id,occurred_on,channel,topic\n"
    "I1,CUST-1,2024-02-03,branch,complaint\nI2,CUST-2,2024-02-04,branch,inquiry\n",
}
REASON = "request of 3 May"


class Home:
    """A home with landed months, a release of some tables, a page and a log."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(home=folder / "home")
        self.delivery = folder / "delivery"
        self.delivery.mkdir()
        for table, text in DELIVERY.items():
            (self.delivery / f"{table}.csv").write_text(text)
        self.settings.home.mkdir()
        self.release = self.settings.published / "releases" / "2024-03-r.duckdb"
        self.land()

    def land(self) -> duckdb.DuckDBPyConnection:
        warehouse = duckdb.connect()
        register = read_register(self.settings)
        source, today = DeliveredFiles(self.delivery), date(2024, 6, 15)
        land(*(warehouse, source, WHOLE, self.settings.landing, b"key", today), register=register)
        return warehouse

    def publish(self) -> None:
        self.release.parent.mkdir(parents=True)
        with duckdb.connect(str(self.release)) as connection:
            connection.execute("create schema base; create schema value; create schema scores")
            connection.execute("create schema meta; create schema quarantine")
            landed = f"read_parquet('{self.settings.landing}/%s/*/data.parquet')"
            for table in ("customer", "account", "account_holder"):
                extra = ", role <> 'authorised' as is_beneficial" if "holder" in table else ""
                connection.execute(
                    f"create table base.{table} as select *{extra} from {landed % table}"
                )
            connection.execute(
                "create table base.household as select household_id, count(*) as members, "
                "min(birth_date) as eldest_birth_date from base.customer group by all"
            )
            connection.execute(
                "create table value.profit_by_customer as "
                "select customer_id, 10.00::decimal(18, 2) as margin from base.customer"
            )
            connection.execute(
                "create table value.mover (dimension varchar, dimension_key varchar)"
            )
            connection.execute(
                "insert into value.mover values ('customer', 'CUST-1'), ('branch', 'B1')"
            )
            connection.execute(
                "create table scores.customer as select customer_id, 0.5 as p from base.customer"
            )
            connection.execute("create table quarantine.card (row_number bigint, value varchar)")
            connection.execute("insert into quarantine.card values (1, 'ACCT-1|x'), (2, 'other')")
            connection.execute("create table meta.release (release_id varchar, row_counts json)")
            counts = json.dumps({"scores.customer": 2, "base.customer": 2})
            connection.execute("insert into meta.release values ('2024-03-r', ?)", [counts])
        self.release.chmod(0o400)
        (self.settings.reports).mkdir()
        (self.settings.reports / "value.html").write_text("<td>CUST-1</td><td>CUST-2</td>")
        (self.settings.home / "logs").mkdir()
        (self.settings.home / "logs" / "x.log").write_text("page of CUST-1, not of CUST-11\n")

    def bytes_with(self, word: str) -> list[str]:
        return [
            str(path.relative_to(self.settings.home))
            for path in self.settings.home.rglob("*")
            if path.is_file() and word.encode() in path.read_bytes().replace(b"CUST-11", b"")
        ]

    def landed(self, table: str, columns: str = "*") -> list[tuple]:
        return duckdb.sql(
            f"select {columns} from read_parquet('{self.settings.landing}/{table}/*/data.parquet') "
            "order by all"
        ).fetchall()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    made = Home(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(made.settings.home / "dagster"))
    (made.settings.home / "dagster").mkdir()
    made.publish()
    return made


def rows(path: Path, query: str) -> list[tuple]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(query).fetchall()


def test_every_folder_of_a_home_has_a_treatment(tmp_path):
    settings = Settings(home=tmp_path)
    assert {place.name for place in PLACES} == {path.name for path in settings.own_places}
    assert {place.name for place in PLACES if place.treatment in ("rewritten", "removed")} == set(
        erasure.WORK
    )


def test_every_column_of_a_customer_is_replaced_emptied_never_landed_or_kept_on_purpose():
    (customer,) = (table for table in TABLES if table.name == "customer")
    treated = {
        column.name
        for column in customer.columns
        if column.name in customer.identities or column.personal or column.erased
    }
    assert {column.name for column in customer.columns} - treated == KEPT


def test_every_column_with_an_id_of_a_person_is_registered(whole):
    """Of the warehouse: a column whose values are ids of customers or accounts."""
    with duckdb.connect(str(whole), read_only=True) as connection:
        columns = connection.execute(
            "select schema_name, table_name, column_name from duckdb_columns() "
            "where schema_name in (select unnest(?)) and data_type = 'VARCHAR'",
            [[*PUBLISHED_SCHEMAS, "features", "outcomes", "alerts"]],
        ).fetchall()
        found = set()
        for schema, table, column in columns:
            for identity, key in (("customer", "customer_id"), ("account", "account_id")):
                (held,) = connection.execute(
                    f'select count(*) from "{schema}"."{table}" as own '
                    f"where {column} in (select {key} from base.{identity}) "
                ).fetchall()[0]
                if held and IDENTITIES.get(column) != identity:
                    found.add((f"{schema}.{table}", column, identity))
    several = ("value.mover", "value.profit_unpriced")
    assert found - {(table, "dimension_key", "customer") for table in several} == set()


def test_every_column_named_after_an_attribute_is_emptied(whole):
    """By name: in tables with a row a customer that keep it."""
    with duckdb.connect(str(whole), read_only=True) as connection:
        tables = connection.execute(
            "select schema_name || '.' || table_name from duckdb_columns() "
            "where column_name = 'customer_id' and schema_name in (select unnest(?)) group by all",
            [[schema for schema in PUBLISHED_SCHEMAS if schema not in PERSONS]],
        ).fetchall()
        named = {
            (table, column)
            for (table,) in tables
            for column in connection.table(table).columns
            if column.startswith(("birth", "age", "sex", "occupation", "education", "marital"))
            or column in ("monthly_income", "industry", "company_size", "household_size")
        }
    assert named and {column for _, column in named} <= set(ATTRIBUTES)
    assert all(table.split(".")[0] in PERSONS for table in BOOKED)


def test_nothing_of_the_person_is_left_and_the_others_rows_are_unchanged(home):
    before = {
        name: home.landed(name) for name in ("customer", "transaction", "account_holder", "account")
    }
    certificate = erase(home.settings, "CUST-1", REASON)
    assert certificate.ids == {"customer": 1, "account": 1, "loan": 1, "card": 1}
    assert certificate.remaining == []
    assert {word: home.bytes_with(word) for word in CANARIES} == {word: [] for word in CANARIES}
    # Rows: the same number, and those of the other customer as they were.
    for name, held in before.items():
        after = home.landed(name)
        assert len(after) == len(held)
        assert [row for row in held if not {"CUST-1", "ACCT-1"} & set(map(str, row))] == [
            row for row in after if not any(MARK in str(value) for value in row)
        ]
    # Bookings stay to the cent; of the person's own the other side is empty.
    money = home.landed("transaction", "transaction_id, amount, balance_after")
    assert [str(amount) for _, amount, _ in money] == ["100.00", "-100.00", "7.25", "3.00"]
    sides = dict(home.landed("transaction", "transaction_id, counterparty_account"))
    new = dict(home.landed("transaction", "transaction_id, account_id"))["T1"]
    assert sides == {"T1": None, "T2": None, "T3": new, "T4": None}
    assert home.landed("interaction", "interaction_id") == [("I2",)]
    assert dict(home.landed("account_holder", "account_id, customer_id"))["ACCT-2"] == "CUST-2"
    # A person's empty row.
    ((gone,),) = [
        (row,)
        for row in home.landed(
            "customer", "customer_id, birth_date, occupation, marital_status, household_id"
        )
        if MARK in row[0]
    ]
    assert gone[1:] == (None, None, None, None)


def test_a_release_keeps_the_money_and_loses_the_person(home):
    stat = home.release.stat()
    erase(home.settings, "CUST-1", REASON)
    assert home.release.stat().st_mtime_ns == stat.st_mtime_ns
    assert home.release.stat().st_mode == stat.st_mode
    profit = rows(home.release, "from value.profit_by_customer order by margin, customer_id")
    assert [str(margin) for _, margin in profit] == ["10.00", "10.00"]
    assert sorted(MARK in one for one, _ in profit) == [False, True]
    assert rows(home.release, "select customer_id from scores.customer") == [("CUST-2",)]
    ((counts,),) = rows(home.release, "select row_counts from meta.release")
    assert json.loads(counts) == {"scores.customer": 1, "base.customer": 2}
    moved = rows(home.release, "select dimension, dimension_key from value.mover order by all")
    assert moved[0] == ("branch", "B1") and MARK in moved[1][1]
    ((value,), other) = rows(home.release, "select value from quarantine.card order by row_number")
    assert value.endswith("|x") and MARK in value and other == ("other",)
    households = rows(home.release, "from base.household order by members, household_id")
    assert ("HOUSE-2", 1, date(1990, 2, 2)) in households
    assert [row[2] for row in households if MARK in row[0]] == [None]


def test_pages_and_logs_lose_the_id_and_no_longer_one(home):
    erase(home.settings, "CUST-1", REASON)
    page = (home.settings.reports / "value.html").read_text()
    assert "CUST-1" not in page and page.endswith("<td>CUST-2</td>")
    log = (home.settings.home / "logs" / "x.log").read_text()
    assert log.endswith("not of CUST-11\n") and "CUST-1," not in log


def test_tables_of_spark_are_removed_with_the_build(home):
    table = home.settings.spark / "tables" / "base.db" / "customer" / "part.parquet"
    table.parent.mkdir(parents=True)
    duckdb.sql("select 'CUST-1' as customer_id").write_parquet(str(table))
    certificate = erase(home.settings, "CUST-1", REASON)
    assert not home.settings.spark.exists()
    assert certificate.places["build"] == 1 and certificate.remaining == []


def test_a_number_is_replaced_where_it_is_a_customer_and_not_where_it_is_a_branch(tmp_path):
    path = tmp_path / "r.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("create schema value")
        connection.execute(
            "create table value.mover as from (values ('customer', '17'), ('branch', '17')) "
            "as own(dimension, dimension_key)"
        )
        connection.execute("create table value.by as select '17' as customer_id, '17' as branch_id")
    with duckdb.connect() as connection:
        assert rewrite(connection, path, Ids({("customer", "17"): "z-erased-1"})) == 2
        assert rewrite(connection, path, Ids({("customer", "17"): "z-erased-1"})) == 0
    assert rows(path, "from value.by") == [("z-erased-1", "17")]
    assert rows(path, "from value.mover") == [("customer", "z-erased-1"), ("branch", "17")]


def test_a_number_is_replaced_in_a_page_only_where_it_stands_alone(tmp_path):
    page = tmp_path / "page.html"
    page.write_text("<td>17</td><td>17 accounts</td>")
    assert rewrite_text(page, {"17": "z-erased-1"}) == 1
    assert page.read_text() == "<td>z-erased-1</td><td>17 accounts</td>"


def test_a_later_delivery_lands_without_the_person(home):
    erase(home.settings, "CUST-1", REASON)
    held = {table: home.landed(table) for table in DELIVERY}
    home.land()
    assert {table: home.landed(table) for table in DELIVERY} == held
    assert {word: home.bytes_with(word) for word in CANARIES} == {word: [] for word in CANARIES}


def test_quarantine_of_a_later_delivery_has_no_id_of_the_person(home):
    erase(home.settings, "CUST-1", REASON)
    with (home.delivery / "card.csv").open("a") as file:
        file.write('CARD-2,ACCT-1,CUST-1,debit,2024-01-10\nCARD-2,ACCT-1,CUST-1,"debit,2024\n')
    warehouse = home.land()
    held = warehouse.execute("select value from quarantine.card").fetchall()
    assert held and not any(word in str(held) for word in ("CUST-1", "ACCT-1"))


def test_open_accounts_are_refused_unless_asked_for(home):
    with pytest.raises(AccountsOpen, match=r"1 open account\(s\)"):
        erase(home.settings, "CUST-2", REASON)
    assert read_register(home.settings) is NOBODY
    assert erase(home.settings, "CUST-2", REASON, open_accounts=True).remaining == []
    assert home.bytes_with("CUST-2") == []


def test_both_holders_erased_leave_no_id_of_their_account(home):
    erase(home.settings, "CUST-1", REASON)
    assert home.bytes_with("ACCT-3") != []
    erase(home.settings, "CUST-2", REASON, open_accounts=True)
    assert home.bytes_with("ACCT-3") == []


def test_the_order_of_holders_stays(home):
    """CUST-1 comes before CUST-2, and shares by order."""
    erase(home.settings, "CUST-1", REASON)
    holders = home.landed("account_holder", "account_id, customer_id")
    (first, second) = (who for account, who in holders if account == "ACCT-3")
    assert MARK in first and second == "CUST-2"


@pytest.mark.parametrize("who", ["nobody", "CUST-1"])
def test_an_unknown_or_erased_customer_is_refused(home, who):
    if who == "CUST-1":
        erase(home.settings, who, REASON)
    with pytest.raises(CustomerUnknown, match="erased before" if who == "CUST-1" else "no such"):
        erase(home.settings, who, REASON)


@pytest.mark.parametrize("place", ["published", "build", "dagster", "landing"])
def test_an_interrupted_erasure_is_ended_by_the_next(home, place, monkeypatch):
    def killed(*_: object) -> int:
        raise KeyboardInterrupt

    if not (home.settings.home / place).exists():
        (home.settings.home / place).mkdir()
    with monkeypatch.context() as patch:
        patch.setitem(erasure.WORK, place, killed)
        with pytest.raises(KeyboardInterrupt):
            erase(home.settings, "CUST-1", REASON)
    # No delivery brings the person back meanwhile.
    home.land()
    with pytest.raises(OtherErasureUnfinished, match=r"unfinished\.json"):
        erase(home.settings, "CUST-2", REASON, open_accounts=True)
    assert erase(home.settings, "CUST-1", REASON).remaining == []
    assert {word: home.bytes_with(word) for word in CANARIES} == {word: [] for word in CANARIES}


def test_a_file_that_still_has_the_id_fails_the_erasure_and_is_named(home):
    (home.settings.home / "notes.bin").write_bytes(b"\0CUST-1\0")
    with pytest.raises(ErasureIncomplete, match=r"1 file\(s\): notes.bin"):
        erase(home.settings, "CUST-1", REASON)


def test_the_sockets_of_servers_that_run_stay(home):
    place = home.settings.temporary / "server"
    place.mkdir(parents=True)
    (place / "spilled").write_text("CUST-1")
    with socket.socket(socket.AF_UNIX) as server:
        # A socket's path is short.
        before = os.getcwd()
        os.chdir(place)
        server.bind("s")
        os.chdir(before)
        erase(home.settings, "CUST-1", REASON)
        assert [path.name for path in place.iterdir()] == ["s"]


def test_a_dagster_home_elsewhere_is_erased_and_searched(home, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "out.bin").write_bytes(b"\0CUST-1\0")
    monkeypatch.setenv("DAGSTER_HOME", str(elsewhere))
    with pytest.raises(ErasureIncomplete, match="out.bin"):
        erase(home.settings, "CUST-1", REASON)


def test_the_trail_has_the_act_and_no_id(home):
    certificate = erase(home.settings, "CUST-1", REASON)
    (*_, last) = audit.entries(home.settings)
    assert (last.act, last.subject, last.outcome) == ("erase", certificate.subject, "done")
    assert last.detail.startswith(REASON)
    assert audit.customer(home.settings, "CUST-1") == certificate.subject
    (kept,) = (home.settings.home / "erasure" / "certificates").iterdir()
    assert json.loads(kept.read_text())["remaining"] == []


def test_tokens_are_hmacs_and_an_id_keeps_its_replacement(tmp_path):
    settings = Settings(home=tmp_path)
    first = add(settings, {"customer": {"C 银行"}})
    assert add(settings, {"customer": {"C 银行"}}) == first
    register = read_register(settings)
    key = (tmp_path / "erasure" / "token.key").read_bytes()
    (entry,) = register.entries
    expected = hmac.new(key, "customer:C 银行".encode(), hashlib.sha256).hexdigest()
    assert entry.token == expected and "银" not in (tmp_path / "erasure/register.json").read_text()
    with duckdb.connect() as connection:
        given = {
            "customer": ["select 'C 银行' union all select 'other'"],
            "account": ["select 'C 银行'"],
        }
        assert look_up(connection, register, given) == 1
    assert (tmp_path / "erasure" / "token.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("damage", [lambda key: key.unlink(), lambda key: key.write_bytes(b"x")])
def test_a_damaged_register_refuses_every_landing(
    home: Home, damage: Callable[[Path], object]
) -> None:
    erase(home.settings, "CUST-1", REASON)
    damage(home.settings.home / "erasure" / "token.key")
    with pytest.raises(RegisterDamaged, match="Restore"):
        home.land()
