"""What became of the lines held at a cut-off: worked by hand, and by a second implementation."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal

import duckdb
import numpy as np
import pandas as pd
import pytest

from ml.clv.retention_margin import LineOutcomes, monthly_discount
from orchestration.models.cutoffs import plus_months
from orchestration.models.line_outcomes import line_outcomes
from sources.contract import PRODUCT_LINES

MARCH, APRIL, MAY, JUNE, JULY = (date(2024, month, 1) for month in range(3, 8))
PARTS = ("net_interest_margin", "fee_income", "direct_cost", "expected_loss")
# Account, line, then by month: whether open at its end, and interest margin, fees, cost and loss.
ACCOUNTS: list[tuple[str, str, dict[date, tuple[bool, tuple[str, ...]]]]] = [
    (
        "joint",
        "deposits",
        {
            MARCH: (True, ("900", "0", "0", "0")),
            APRIL: (True, ("10.03", "0", "0.01", "0")),
            MAY: (True, ("-4.01", "2.00", "0", "0")),
            JUNE: (True, ("1.00", "0", "0", "0")),
            JULY: (True, ("800", "0", "0", "0")),
        },
    ),
    (
        "loan",
        "lending",
        {APRIL: (True, ("9", "0", "1", "1")), MAY: (False, ("4", "0", "1", "0"))},
    ),
    (
        "new card",
        "cards",
        {MAY: (True, ("0", "2", "0", "0")), JUNE: (True, ("0", "5", "1", "0"))},
    ),
    (
        "closed savings",
        "deposits",
        {MARCH: (True, ("0", "0", "0", "0")), APRIL: (False, ("0.50", "0", "0", "0"))},
    ),
    (
        "savings",
        "deposits",
        {
            APRIL: (True, ("2", "0", "0", "0")),
            MAY: (True, ("3", "0", "0", "0")),
            JUNE: (False, ("1", "0", "0", "0")),
        },
    ),
    ("fund", "wealth", {APRIL: (False, ("0", "6", "0", "0"))}),
    (
        "next fund",
        "wealth",
        {MAY: (True, ("0", "7", "0", "0")), JUNE: (True, ("0", "8", "0", "0"))},
    ),
]
HOLDERS = [
    # Account, customer, beneficial, number, holders.
    ("joint", "ann", True, 1, 2),
    ("joint", "bob", True, 2, 2),
    ("joint", "zoe", False, None, 2),
    ("loan", "ann", True, 1, 1),
    ("new card", "bob", True, 1, 1),
    ("closed savings", "eve", True, 1, 1),
    ("savings", "eve", True, 1, 1),
    ("fund", "dan", True, 1, 1),
    ("next fund", "dan", True, 1, 1),
]


def customers(*rows: tuple) -> pd.DataFrame:
    """Frame of customer, cut-off, lines held, loan months remaining, pace of each line a month."""
    lines = ("deposits", "lending", "cards", "wealth")
    return pd.DataFrame(
        [
            {
                "customer_id": name,
                "cutoff": cutoff,
                "months_observed": 12,
                "loans": int("lending" in held),
                "loan_remaining_months": remaining,
                **{f"accounts_{line}": int(line in held) for line in lines},
                **{f"contribution_{line}_3m": 3.0 * pace * (line in held) for line in lines},
            }
            for name, cutoff, held, remaining, pace in rows
        ]
    )


def store(connection: duckdb.DuckDBPyConnection, accounts: list, holders: list) -> None:
    connection.execute("create schema base; create schema value")
    connection.execute(
        "create table base.account_holder (account_id varchar, customer_id varchar, "
        "is_beneficial boolean, holder_number integer, holder_count integer)"
    )
    amounts = ", ".join(f"{part} decimal(18, 2)" for part in PARTS)
    connection.execute(
        "create table value.account_month "
        f"(account_id varchar, month date, product_line varchar, {amounts})"
    )
    connection.executemany("insert into base.account_holder values (?, ?, ?, ?, ?)", holders)
    months = [
        (account, month, line, *parts)
        for account, line, by_month in accounts
        for month, (_, parts) in by_month.items()
    ]
    connection.executemany("insert into value.account_month values (?, ?, ?, ?, ?, ?, ?)", months)
    connection.execute(
        "create table value.profit_by_customer "
        "(customer_id varchar, month date, contribution_margin decimal(18, 2)); "
        "create table value.customer_tier (customer_id varchar, month date, tier_number integer)"
    )


def held_by_month(accounts: list, holders: list, frame: pd.DataFrame) -> pd.DataFrame:
    """`base.customer_month`: at the cut-offs the frame's accounts, afterwards the open accounts."""
    owners = [(account, name) for account, name, beneficial, *_ in holders if beneficial]
    held = {
        (row.customer_id, row.cutoff): {
            line: getattr(row, f"accounts_{line}", 0) for line in PRODUCT_LINES
        }
        for row in frame.itertuples()
    }
    for account, line, by_month in accounts:
        for month, (is_open, _) in by_month.items():
            for name in (name for one, name in owners if one == account):
                if (name, month) not in set(
                    zip(frame["customer_id"], frame["cutoff"], strict=True)
                ):
                    lines = held.setdefault((name, month), dict.fromkeys(PRODUCT_LINES, 0))
                    lines[line] += int(is_open)
    return pd.DataFrame(
        [
            {
                **{"customer_id": name, "month": month, "accounts": 1, "is_defaulted": False},
                **{"bookings": 0, "inflow": 0.0},
                **{f"accounts_{line}": count for line, count in lines.items()},
                **{f"balance_{line}": 0.0 for line in lines},
            }
            for (name, month), lines in held.items()
        ]
    )


def outcomes(
    connection: duckdb.DuckDBPyConnection,
    queries: dict[str, str],
    frame: pd.DataFrame,
    horizon: int,
    *,
    rate: float = 0.0,
    bank: tuple[list, list] = (ACCOUNTS, HOLDERS),
) -> LineOutcomes:
    """Build `outcomes` after the frame's cut-offs and read them."""
    cutoff_month = pd.DataFrame(
        [
            {"cutoff": cutoff, "horizon": horizon, "number": number, "discount_factor": factor}
            | {"month": plus_months(cutoff, number)}
            for cutoff in sorted(set(frame["cutoff"]))
            for number, factor in enumerate(monthly_discount(rate, horizon), 1)
        ]
    )
    customer_month = held_by_month(*bank, frame)
    connection.execute("create schema if not exists outcomes")
    for table, rows in (
        ("outcomes.customer_sample", frame[["customer_id"]].drop_duplicates()),
        ("outcomes.cutoff_month", cutoff_month),
        ("base.customer_month", customer_month),
    ):
        connection.register("given", rows)
        connection.execute(f"create or replace table {table} as from given")
        connection.unregister("given")
    for table in ("customer_line_month", "customer_line", "customer_month"):
        query = queries[f"outcomes.{table}"]
        connection.execute(f"create or replace table outcomes.{table} as {query}")
    return line_outcomes(connection, frame, horizon)


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        store(connection, ACCOUNTS, HOLDERS)
        yield connection


# In no order of names: the rows are the frame's.
FRAME = customers(
    ("zoe", MARCH, (), None, 0.0),
    ("ann", MARCH, ("deposits", "lending"), 2, 4.0),
    ("bob", MARCH, ("deposits",), None, 6.0),
    ("eve", MARCH, ("deposits",), None, 2.0),
    ("dan", MARCH, ("wealth",), None, 5.0),
)


def test_lines_held_by_hand(connection, outcome_queries):
    found = outcomes(connection, outcome_queries, FRAME, 3)
    lines = found.lines
    assert list(lines) == [
        *("row", "customer_id", "cutoff", "line", "months_held", "is_lost"),
        *("contribution", "contribution_discounted"),
    ]
    assert lines.drop(columns=["cutoff", "contribution_discounted"]).to_numpy().tolist() == [
        # Of the joint account 5.02 − 0.01, −2.01 + 1.00 and 0.50: odd cents go to the first holder.
        [1, "ann", "deposits", 3, False, pytest.approx(5.01 - 1.01 + 0.50)],
        # Lost in May, whose days until then still count: 7 and 3.
        [1, "ann", "lending", 2, True, 10.0],
        [2, "bob", "deposits", 3, False, pytest.approx(5.01 - 1.00 + 0.50)],
        # One account of two is closed in April; the line is lost in June, the last month.
        [3, "eve", "deposits", 3, True, 6.5],
        # Lost in April; the fund bought in May is new business.
        [4, "dan", "wealth", 1, True, 6.0],
    ]
    assert (pd.to_datetime(lines["cutoff"]).dt.date == MARCH).all()
    assert found.other.tolist() == [0, 0, 6, 0, 15]
    assert found.horizon == 3


def test_amounts_are_discounted_from_the_middle_of_their_month_by_hand(connection, outcome_queries):
    found = outcomes(connection, outcome_queries, FRAME, 3, rate=0.21)
    half = 1.21 ** (-0.5 / 12)
    first, second, third = half, half**3, half**5
    assert found.lines["contribution_discounted"].tolist() == pytest.approx(
        [
            5.01 * first - 1.01 * second + 0.5 * third,
            7 * first + 3 * second,
            5.01 * first - 1.00 * second + 0.5 * third,
            2.5 * first + 3 * second + 1 * third,
            6 * first,
        ]
    )
    assert found.other_discounted.tolist() == pytest.approx(
        [0, 0, 2 * second + 4 * third, 0, 7 * second + 8 * third]
    )
    assert found.lines["contribution"].tolist() == pytest.approx([4.5, 10, 4.51, 6.5, 6])


def test_the_profile_by_hand(connection, outcome_queries):
    profile = outcomes(connection, outcome_queries, FRAME, 3).profile
    assert list(profile) == [
        *("line", "remaining", "month", "at_risk", "lost", "pace", "contribution")
    ]
    found = {
        (line, month): tuple(figures)
        for line, _, month, *figures in profile.itertuples(index=False)
    }
    assert found == {
        # Ann, Bob and Eve at 4, 6 and 2 a month; she leaves in the third and counts half.
        ("deposits", 1): (3, 0, 12.0, pytest.approx(5.01 + 5.01 + 2.5)),
        ("deposits", 2): (3, 0, 12.0, pytest.approx(-1.01 - 1.00 + 3)),
        ("deposits", 3): (3, 1, 11.0, pytest.approx(0.5 + 0.5 + 1)),
        ("lending", 1): (1, 0, 4.0, 7.0),
        ("lending", 2): (1, 1, 2.0, 3.0),
        ("wealth", 1): (1, 1, 2.5, 6.0),
    }
    remaining = profile.groupby("line")["remaining"]
    assert remaining.get_group("lending").tolist() == [2, 2]
    assert remaining.get_group("deposits").isna().all()


def test_cutoffs_are_kept_apart_and_a_later_one_sees_nothing_before_it(connection, outcome_queries):
    later = customers(
        ("ann", APRIL, ("deposits", "lending"), 1, 4.0),
        ("bob", MARCH, ("deposits",), None, 6.0),
        ("ann", MARCH, ("deposits", "lending"), 2, 4.0),
    )
    found = outcomes(connection, outcome_queries, later, 2)
    figures = found.lines[["row", "line", "months_held", "is_lost", "contribution"]]
    assert figures.to_numpy().tolist() == [
        [0, "deposits", 2, False, pytest.approx(-1.01 + 0.5)],
        [0, "lending", 1, True, 3.0],
        [1, "deposits", 2, False, pytest.approx(5.01 - 1.00)],
        [2, "deposits", 2, False, pytest.approx(5.01 - 1.01)],
        [2, "lending", 2, True, 10.0],
    ]
    assert found.other.tolist() == [0, 2, 0]


def test_an_open_account_without_figures_is_held_and_contributes_zero(connection, outcome_queries):
    connection.execute("delete from value.account_month where account_id = 'savings'")
    (eve,) = outcomes(connection, outcome_queries, FRAME[3:4], 2).lines.itertuples()
    assert (eve.months_held, eve.is_lost, eve.contribution) == (2, False, 0.5)


def test_the_session_keeps_no_temporary_table(connection, outcome_queries):
    outcomes(connection, outcome_queries, FRAME, 3)
    with pytest.raises(duckdb.Error):
        connection.execute("from base.no_such_table")
    left = connection.execute(
        "select table_name from duckdb_tables() where temporary union all "
        "select view_name from duckdb_views() where temporary and not internal"
    ).fetchall()
    assert left == []
    connection.execute("drop table outcomes.customer_line")
    with pytest.raises(duckdb.Error):
        line_outcomes(connection, FRAME, 3)
    views = "select view_name from duckdb_views() where temporary and not internal"
    assert connection.execute(views).fetchall() == []


def test_customers_without_outcomes_are_refused(connection, outcome_queries):
    outcomes(connection, outcome_queries, FRAME, 3)
    later = FRAME.assign(cutoff=APRIL)
    with pytest.raises(ValueError, match="expected 5 customers at cut-offs, found 0"):
        line_outcomes(connection, later, 3)


def test_customers_and_lines_are_needed(connection):
    for frame in (FRAME[:0], FRAME[["customer_id", "cutoff"]]):
        with pytest.raises(ValueError, match="columns accounts_<line> are needed"):
            line_outcomes(connection, frame, 3)


def test_lines_and_the_rest_add_up_to_each_customers_margin_to_the_cent(outcome_queries):
    """A bank drawn at random against shares of the parts reckoned in decimals, without the engine:
    what the value layer states for the customer."""
    generator = np.random.default_rng(1)
    names = [f"C{number}" for number in range(40)]
    accounts, holders = [], []
    total = dict.fromkeys(names, Decimal(0))
    for number in range(120):
        account = f"A{number}"
        line = str(generator.choice(["deposits", "lending", "cards", "wealth"]))
        owners = sorted(generator.choice(names, generator.integers(1, 4), replace=False).tolist())
        closed = int(generator.integers(0, 9))
        months = {}
        for place, month in enumerate((APRIL, MAY, JUNE)):
            cents = generator.integers(-500, 500, len(PARTS))
            months[month] = (place < closed, tuple(str(Decimal(int(c)) / 100) for c in cents))
            for part, amount in zip(PARTS, cents, strict=True):
                whole, odd = divmod(abs(int(amount)), len(owners))
                for turn, owner in enumerate(owners):
                    share = Decimal(whole + (turn < odd)) / 100 * int(np.sign(amount))
                    total[owner] += share if part in PARTS[:2] else -share
        accounts.append((account, line, months))
        holders += [
            (account, owner, True, turn + 1, len(owners)) for turn, owner in enumerate(owners)
        ]
    held = [
        tuple({line for line in ("deposits", "cards") if generator.random() < 0.5}) for _ in names
    ]
    frame = customers(
        *((name, MARCH, lines, None, 1.0) for name, lines in zip(names, held, strict=True))
    )
    with duckdb.connect() as connection:
        store(connection, accounts, holders)
        found = outcomes(connection, outcome_queries, frame, 3, bank=(accounts, holders))
    of_lines = np.bincount(
        found.lines["row"], weights=found.lines["contribution"], minlength=len(names)
    )
    assert sum(len(lines) for lines in held) == len(found.lines)
    np.testing.assert_allclose(
        of_lines + found.other, [float(total[name]) for name in names], atol=1e-9
    )
