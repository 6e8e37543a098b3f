"""What a delivery changed: the first month affected, for every way that rows can change."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import duckdb
import pytest

from orchestration.landing.changes import Change, Standing, explain, widen
from orchestration.landing.engine import LandingSummary, Window, land
from sources.files import DeliveredFiles
from tests.deliveries import Delivery

pytestmark = pytest.mark.slow

TODAY = date(2024, 8, 15)
FIRST, LAST = date(2024, 1, 1), date(2024, 6, 1)
WHOLE = Window(FIRST, FIRST, LAST, date(2024, 6, 30))
NEWEST = Window(FIRST, LAST, LAST, date(2024, 6, 30))


def small_bank() -> Delivery:
    """Two accounts of two customers with an extract of customers in January and in April."""
    bank = Delivery({})
    bank.add("product", product_id="P1", product_line="deposits")
    bank.add("product", product_id="P2", product_line="lending")
    for extract in ("2024-01", "2024-04"):
        for customer in ("C1", "C2"):
            bank.add(f"customer/{extract}", customer_id=customer, occupation="clerk")
    for account, opened in (("A1", "2023-05-01"), ("A2", "2024-03-10")):
        bank.add("account", account_id=account, product_id="P1", opened_on=opened, closed_on="")
    bank.add("account_holder", account_id="A1", customer_id="C1", role="owner")
    bank.add("account_holder", account_id="A2", customer_id="C2", role="owner")
    bank.add(
        "account_owner",
        **dict(
            account_id="A1", employee_id="E1", share="0.5", valid_from="2024-02-10", valid_to=""
        ),
    )
    for number in range(1, 7):
        for account in ("A1", "A2")[: 1 + (number >= 3)]:
            bank.add(
                "transaction",
                transaction_id=f"{account}-{number}",
                account_id=account,
                booked_on=f"2024-{number:02}-20",
                amount=f"{number}.00",
                kind="deposit",
            )
        bank.add(
            "interaction",
            interaction_id=f"I{number}",
            customer_id="C1",
            occurred_on=f"2024-{number:02}-02",
        )
    return bank


class Landed:
    """A delivery landed in a warehouse of its own, again and again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.warehouse = duckdb.connect()

    def land(self, bank: Delivery, window: Window = NEWEST, **named: bool) -> LandingSummary:
        source = DeliveredFiles(bank.write(self.folder / "delivery"))
        return land(self.warehouse, source, window, self.folder / "landing", b"k", TODAY, **named)

    def rows(self, query: str) -> list[tuple]:
        return self.warehouse.execute(query).fetchall()


@pytest.fixture
def landed(tmp_path: Path) -> Landed:
    home = Landed(tmp_path)
    home.land(small_bank(), WHOLE)
    return home


def test_an_unchanged_delivery_rebuilds_the_months_asked_for(landed):
    summary = landed.land(small_bank())
    assert (summary.window, summary.changes, summary.lines()) == (NEWEST, (), [])


BOOKING = {"account_id": "A1", "amount": "0.01", "kind": "fee"}
LATE = {"transaction_id": "late", "booked_on": "2024-02-09", **BOOKING}

CHANGES: dict[str, tuple[Callable[[Delivery], object], str, str]] = {
    "the balance of the month before the history": (
        lambda bank: bank.add(
            "account_balance", account_id="A1", month="2023-12-01", closing_balance="7.00"
        ),
        "2024-01",
        "account_balance: +1 row",
    ),
    "a late booking": (
        lambda bank: bank.add("transaction", **LATE),
        "2024-02",
        "transaction: +1 row",
    ),
    "a corrected amount": (
        lambda bank: bank.change("transaction", {"transaction_id": "A1-3"}, amount="3.01"),
        "2024-03",
        "transaction: changed rows",
    ),
    "a booking moved to another month": (
        lambda bank: bank.change("transaction", {"transaction_id": "A1-5"}, booked_on="2024-03-01"),
        "2024-03",
        "transaction: +1 row), and 1 later month",
    ),
    "two amounts exchanged": (
        lambda bank: (
            bank.change("transaction", {"transaction_id": "A1-4"}, amount="4.50"),
            bank.change("transaction", {"transaction_id": "A2-4"}, amount="3.50"),
        ),
        "2024-04",
        "transaction: changed rows",
    ),
    "withdrawn bookings": (
        lambda bank: (
            bank.take("transaction", transaction_id="A1-4"),
            bank.take("transaction", transaction_id="A2-4"),
        ),
        "2024-04",
        "transaction: -2 rows",
    ),
    "an optional table that is not delivered any more": (
        lambda bank: bank.files["interaction"].clear(),
        "2024-01",
        "interaction: -1 row), and 4 later months",
    ),
    "an account closed": (
        lambda bank: bank.change("account", {"account_id": "A1"}, closed_on="2024-05-31"),
        "2024-05",
        "(account)",
    ),
    "an account opened earlier": (
        lambda bank: bank.change("account", {"account_id": "A2"}, opened_on="2024-02-28"),
        "2024-02",
        "(account, account_holder, customer), and 1 later month",
    ),
    "an account of another product": (
        lambda bank: bank.change("account", {"account_id": "A2"}, product_id="P2"),
        "2024-03",
        "(account, product)",
    ),
    "another holder": (
        lambda bank: bank.add(
            "account_holder", account_id="A2", customer_id="C1", role="authorised"
        ),
        "2024-03",
        "(account_holder)",
    ),
    "an account booked before it was opened": (
        lambda bank: (
            bank.add("transaction", **(LATE | {"account_id": "A2"})),
            bank.change("account_holder", {"account_id": "A2"}, role="joint"),
        ),
        "2024-02",
        "(account, account_holder, customer, transaction: +1 row)",
    ),
    "another owner": (
        lambda bank: bank.add(
            "account_owner",
            **dict(account_id="A2", employee_id="E1", share="1", valid_from="2023-05-01"),
            **dict(valid_to=""),
        ),
        "2024-03",
        "(account_owner)",
    ),
    "another share": (
        lambda bank: bank.change("account_owner", {"account_id": "A1"}, share="0.6"),
        "2024-02",
        "(account_owner)",
    ),
    "the end of an owner's credit": (
        lambda bank: bank.change("account_owner", {"account_id": "A1"}, valid_to="2024-04-30"),
        "2024-04",
        "(account_owner)",
    ),
    "a product of another line": (
        lambda bank: bank.change("product", {"product_id": "P1"}, product_line="cards"),
        "2024-01",
        "(product)",
    ),
    "the first extract of a customer": (
        lambda bank: bank.change("customer/2024-01", {"customer_id": "C2"}, occupation="cook"),
        "2024-03",
        "(customer)",
    ),
    "a later extract of a customer": (
        lambda bank: bank.change("customer/2024-04", {"customer_id": "C2"}, occupation="cook"),
        "2024-04",
        "(customer)",
    ),
    "an extract between": (
        lambda bank: bank.add("customer/2024-02", customer_id="C1", occupation="cook"),
        "2024-02",
        "(customer)",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_month_is_named_and_rebuilt_with_all_later_ones(landed, change):
    apply, month, message = CHANGES[change]
    bank = small_bank()
    apply(bank)
    summary = landed.land(bank)
    assert f"{summary.window.month_from:%Y-%m}" == month
    assert summary.window.month_to == LAST
    (line,) = summary.lines()
    assert line.startswith(f"{month} changed (")
    assert message in line and line.endswith(f": rebuilding {month} to 2024-06")
    assert landed.rows("select month_from, month_to from landing.refresh_window") == [
        (summary.window.month_from, LAST)
    ]
    # The landing holds what one landing of this delivery writes, with the same counts.
    fresh = Landed(landed.folder / "fresh")
    fresh.land(bank, WHOLE)
    for table in ("transaction", "interaction", "account", "customer", "account_holder"):
        query = f'from landing."{table}" order by all'
        assert landed.rows(query) == fresh.rows(query), table
        counted = f"select sum(landed) from meta.input_file where table_name = '{table}'"
        ((count,),) = landed.rows(f'select count(*) from landing."{table}"')
        assert count == (landed.rows(counted)[0][0] or 0), table
    assert landed.rows("from meta.landed_month order by all") == fresh.rows(
        "from meta.landed_month order by all"
    )


def test_changes_of_the_newest_month_do_not_reach_back(landed):
    """An opening, its holder, a closing and an extract of June are June's."""
    bank = small_bank()
    bank.add("account", account_id="A3", product_id="P1", opened_on="2024-06-04", closed_on="")
    bank.add("account_holder", account_id="A3", customer_id="C1", role="owner")
    bank.add("transaction", **(LATE | {"account_id": "A3", "booked_on": "2024-06-05"}))
    bank.change("account", {"account_id": "A2"}, closed_on="2024-06-30")
    bank.add("customer/2024-06", customer_id="C1", occupation="cook")
    bank.add("customer/2024-06", customer_id="C9", occupation="new, and without an account")
    bank.add("product", product_id="P9", product_line="wealth")
    summary = landed.land(bank)
    assert {change.month for change in summary.changes} == {LAST}
    assert (summary.window, summary.lines()) == (NEWEST, [])


def test_a_change_in_the_month_asked_for_is_carried_to_the_as_of_month(landed):
    bank = small_bank().add("transaction", **LATE)
    month = date(2024, 2, 1)
    summary = landed.land(bank, Window(FIRST, month, month, WHOLE.as_of))
    assert (summary.window.month_from, summary.window.month_to) == (month, LAST)
    assert summary.lines() == [
        "2024-02 changed (transaction: +1 row): rebuilding 2024-02 to 2024-06"
    ]


def test_a_rebuilding_that_did_not_finish_is_done_by_the_next_refresh(landed):
    bank = small_bank().add("transaction", **LATE)
    landed.land(bank)
    summary = landed.land(bank, finished=False)
    assert summary.window.month_from == date(2024, 2, 1)
    assert summary.lines() == ["the previous refresh did not finish: rebuilding 2024-02 to 2024-06"]
    assert landed.land(bank).window == NEWEST


def test_months_between_two_as_of_months_are_rebuilt(tmp_path):
    home, bank = Landed(tmp_path), small_bank()
    home.land(bank, Window(FIRST, FIRST, date(2024, 3, 1), date(2024, 3, 31)))
    summary = home.land(bank)
    assert (summary.window.month_from, summary.window.month_to) == (date(2024, 4, 1), LAST)
    assert "rebuilding 2024-04 to 2024-06" in summary.lines()[0]


def test_going_back_and_forth_between_as_of_months_is_seen(landed):
    bank, earlier = small_bank(), date(2024, 3, 1)
    summary = landed.land(bank, Window(FIRST, earlier, earlier, date(2024, 3, 31)))
    assert (summary.window.month_from, summary.window.month_to) == (earlier, earlier)
    summary = landed.land(bank.add("transaction", **(LATE | {"booked_on": "2024-05-05"})))
    assert (summary.window.month_from, summary.window.month_to) == (date(2024, 4, 1), LAST)
    assert landed.rows("select count(*) from landing.transaction") == [(11,)]


def test_a_landing_cut_short_between_files_and_warehouse_is_seen_by_the_next(landed, monkeypatch):
    """The files hold a late booking, the warehouse does not; then it is withdrawn."""

    def fail(*_: object) -> None:
        raise duckdb.Error("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr("orchestration.landing.engine._write_window", fail)
        with pytest.raises(duckdb.Error, match="disk is full"):
            landed.land(small_bank().add("transaction", **LATE))
    assert landed.land(small_bank()).window.month_from == date(2024, 2, 1)
    assert landed.rows("select count(*) from landing.transaction") == [(10,)]


def test_a_month_with_a_lost_file_is_written_again(landed):
    (landed.folder / "landing/transaction/month=2024-02/data.parquet").unlink()
    landed.land(small_bank())
    assert landed.rows("select count(*) from landing.transaction") == [(10,)]


@pytest.mark.parametrize("threads", [1, 4])
def test_digests_are_the_same_for_any_writer_order_and_number_of_threads(tmp_path, threads):
    """CSV in one order, Parquet in another, in several files."""
    bank = small_bank()
    for number in range(20_000):
        bank.add(
            "transaction", **{**BOOKING, "transaction_id": f"T{number}"}, booked_on="2024-05-02"
        )
    home, other = Landed(tmp_path / "home"), Landed(tmp_path / "other")
    home.warehouse.execute("set threads = 2")
    home.land(bank, WHOLE)
    other.warehouse.execute(f"set threads = {threads}")
    folder = bank.write(tmp_path / "other" / "delivery")
    (folder / "transaction").mkdir()
    for part in range(3):
        other.rows(f"""copy (
            select * replace (amount::decimal(18, 2) as amount)
            from read_csv('{folder}/transaction.csv', all_varchar = true)
            where hash(transaction_id) % 3 = {part} order by transaction_id desc
        ) to '{folder}/transaction/{part}.parquet'""")
    (folder / "transaction.csv").unlink()
    source = DeliveredFiles(folder)
    land(other.warehouse, source, WHOLE, tmp_path / "other" / "landing", b"k", TODAY)
    digests = "from meta.landed_month order by all"
    assert home.rows(digests) == other.rows(digests)
    assert len(home.rows(digests)) > 10


def test_the_months_to_rebuild_reach_from_the_first_change_to_the_as_of_month():
    april = date(2024, 4, 1)
    changes = [Change("transaction", april, -1_200), Change("contact", date(2024, 5, 1), 0)]
    rebuilt = widen(NEWEST, None, changes)
    assert (rebuilt.month_from, rebuilt.month_to) == (april, LAST)
    assert explain(NEWEST, rebuilt, None, changes) == [
        "2024-04 changed (transaction: -1,200 rows), and 1 later month: "
        "rebuilding 2024-04 to 2024-06"
    ]
    earlier = Standing(Window(FIRST, FIRST, date(2024, 2, 1), date(2024, 2, 29)), True)
    assert widen(NEWEST, earlier, []).month_from == date(2024, 3, 1)
    assert widen(WHOLE, earlier, changes) == WHOLE
