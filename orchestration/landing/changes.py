"""What a delivery changed since the previous landing, and the months that a refresh rebuilds.

Every landed row is filed under the first month that it can change in a table built by month. The
rows of one table and month have one digest, stored in `meta.landed_month`. The rebuild begins at
the first month whose digest changed. Events are filed under their own month; those of the month
before the history open it and change its first. Masters:

| rows of | are filed under |
|---|---|
| account, customer | their first extract: the first month of the account, of the accounts held; |
| | a later extract: its month |
| account | its closing, in addition: the month of the closing |
| account_holder | the account's first month |
| account_owner | its beginning; its end, in addition: the month of the end |
| product | the first month of an account of it |
| loan, card, campaign | granted or first status, issued, first contact |
| district, branch, employee, standing_order | no month: only tables built whole read them |

An account's first month is the month of its opening, or of an earlier booking.

Digests are sums of DuckDB's hashes of typed rows: they do not depend on the writer of the files,
the order of the rows or the number of threads. Another version of DuckDB may hash differently: then
everything counts as changed and is rebuilt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import duckdb

from orchestration.landing.rules import day
from orchestration.landing.window import Window
from sources.contract import BY_NAME, MASTERS
from sources.delimited import quoted
from sources.message import Message, by_commas, by_semicolons

COLUMNS = "(table_name varchar, month date, rows bigint, digest hugeint)"
NEW, HELD = "temp.landing_month", "temp.landing_month_held"
# Masters that no table built by month reads.
UNDATED = ("district", "branch", "employee", "standing_order")
TEMPORARY = ("month", "month_held", "account", "customer")

# The columns of an owner's end.
ENDING = ("account_id", "employee_id", "valid_from", "valid_to")
# Columns of an account that hold for all its months, taken from the latest extract; and the columns
# of its closing. The others have a history (base.account_history).
OPENING, CLOSING = ("account_id", "opened_on", "currency"), ("account_id", "closed_on")


@dataclass(frozen=True)
class Change:
    """The rows of a table filed under a month differ from those of the previous landing; `rows` is
    the number of rows now less the number then."""

    table: str
    month: date
    rows: int

    @property
    def message(self) -> str:
        if not BY_NAME[self.table].event:
            return self.table
        if not self.rows:
            return Message("{0}: changed rows", self.table)
        if abs(self.rows) == 1:
            return Message("{0}: {1} row", self.table, f"{self.rows:+,}")
        return Message("{0}: {1} rows", self.table, f"{self.rows:+,}")

    def __str__(self) -> str:
        return str(self.message)


@dataclass(frozen=True)
class Standing:
    """The previous landing: its window, and whether the layers after it were built."""

    window: Window
    finished: bool


def digest(columns: Sequence[str]) -> str:
    """SQL for the digest of the rows of a group, independent of their order."""
    return f"sum(hash({', '.join(columns)})::hugeint)"


def begin(connection: duckdb.DuckDBPyConnection) -> dict[tuple[str, date], int]:
    """Create the temporary tables; returns the digests of the events landed before."""
    connection.execute(f"create table if not exists meta.landed_month {COLUMNS}")
    connection.execute(f"create or replace temp table landing_month {COLUMNS}")
    connection.execute("create or replace temp table landing_month_held as from meta.landed_month")
    held = connection.execute(f"select table_name, month, digest from {HELD}").fetchall()
    return {(table, month): value for table, month, value in held if BY_NAME[table].event}


def keep(
    connection: duckdb.DuckDBPyConnection, table: str, month: date, rows: int, value: int
) -> None:
    """File a month of events with the digest of its rows."""
    connection.execute(f"insert into {NEW} values (?, ?, ?, ?)", [table, month, rows, value])


def forget(connection: duckdb.DuckDBPyConnection, table: str, months: Sequence[date]) -> None:
    """Delete the digests of months whose files are about to be replaced: after an interrupted
    replacement they count as changed."""
    connection.execute(
        "delete from meta.landed_month "
        "where table_name = ? and month in (select unnest(?::date[]))",
        [table, list(months)],
    )


def compare(connection: duckdb.DuckDBPyConnection, window: Window) -> list[Change]:
    """File the masters with the events, store all digests, and return what differs from the stored
    digests in the history up to the as-of month, ordered by month and table."""
    for statement in _masters(window.first_month):
        connection.execute(statement)
    connection.execute(f"""
        create or replace table meta.landed_month as
        select table_name, month, sum(rows)::bigint as rows, sum(digest) as digest
        from {NEW} group by all order by all""")
    found = connection.execute(
        f"""select table_name, greatest(month, $first) as changed,
                sum(coalesce(new.rows, 0) - coalesce(held.rows, 0))::bigint
            from meta.landed_month as new full join {HELD} as held using (table_name, month)
            where new.digest is distinct from held.digest and month <= $as_of group by all""",
        {"first": window.first_month, "as_of": window.as_of},
    ).fetchall()
    return sorted((Change(*change) for change in found), key=lambda one: (one.month, one.table))


def widen(asked: Window, standing: Standing | None, changes: Sequence[Change]) -> Window:
    """The months to rebuild: those requested, and all from the first month that changed, was never
    built, or belonged to a refresh that did not finish."""
    last = asked.as_of.replace(day=1)
    starts, ends = [asked.month_from], [asked.month_to]
    if changes:
        starts.append(changes[0].month)
        ends.append(last)
    if standing is not None:
        before = standing.window
        unbuilt = before.as_of + timedelta(days=1)
        if unbuilt <= last:
            starts.append(unbuilt)
            ends.append(last)
        if not standing.finished:
            starts.append(before.month_from)
            ends.append(min(before.month_to, last))
    return replace(asked, month_from=max(min(starts), asked.first_month), month_to=max(ends))


def explain(
    asked: Window, rebuilt: Window, standing: Standing | None, changes: Sequence[Change]
) -> list[str]:
    """One line that explains why more months are rebuilt than requested; empty if none are."""
    if asked == rebuilt:
        return []
    reasons: list[str] = []
    outside = [one for one in changes if not asked.month_from <= one.month <= asked.month_to]
    if named := outside or list(changes):
        month = named[0].month
        tables = by_commas(one.message for one in named if one.month == month)
        later = len({one.month for one in named}) - 1
        changed = Message("{0} changed ({1})", f"{month:%Y-%m}", tables)
        if later == 1:
            changed = Message("{0}, and 1 later month", changed)
        elif later:
            changed = Message("{0}, and {1} later months", changed, later)
        reasons.append(changed)
    if standing is not None:
        before = standing.window
        unbuilt = before.as_of + timedelta(days=1)
        if unbuilt < asked.month_from:
            reasons.append(Message("{0} was not built yet", f"{unbuilt:%Y-%m}"))
        if not standing.finished:
            reasons.append(Message("the previous refresh did not finish"))
        if not reasons:
            reasons.append(Message("{0} was not built yet", f"{unbuilt:%Y-%m}"))
    months = f"{rebuilt.month_from:%Y-%m}", f"{rebuilt.month_to:%Y-%m}"
    return [Message("{0}: rebuilding {1} to {2}", by_semicolons(reasons), *months)]


def _masters(first_month: date) -> list[str]:
    """Statements that file the masters' rows from the landed tables."""
    account, customer = _versions("account"), _versions("customer")
    of_latest = {*OPENING[1:], *CLOSING[1:]}
    versioned = [name for name in _columns("account") if name not in of_latest]
    filed = {
        "account": (account, "month", ("since", *versioned)),
        "customer": (customer, "month", ("since", *_columns("customer"))),
        "account_holder": (
            f"{_latest('account_holder')} left join temp.landing_account using (account_id)",
            "landing_account.month",
            _columns("account_holder"),
        ),
        "account_owner": (
            f"{_latest('account_owner')} left join temp.landing_account using (account_id)",
            "greatest(landing_account.month, date_trunc('month', valid_from))",
            [name for name in _columns("account_owner") if name != "valid_to"],
        ),
        "product": (
            f"""{_latest("product")} left join (
                select product_id, min(month) as month from {account} group by product_id
            ) as held using (product_id)""",
            "held.month",
            _columns("product"),
        ),
        "loan": (
            f"""{_latest("loan")} left join (
                select loan_id, min(month) as month from landing.loan_status group by loan_id
            ) as status using (loan_id)""",
            "least(status.month, date_trunc('month', granted_on))",
            _columns("loan"),
        ),
        "card": (_latest("card"), "date_trunc('month', issued_on)", _columns("card")),
        "campaign": (
            f"""{_latest("campaign")} left join (
                select campaign_id, min(month) as month from landing.contact group by campaign_id
            ) as contact using (campaign_id)""",
            "contact.month",
            _columns("campaign"),
        ),
    }
    latest_account = f"{_latest('account')} left join temp.landing_account using (account_id)"
    return [
        f"""create or replace temp table landing_account as
            select account_id, least(booked.month, date_trunc('month', opened_on)) as month
            from {_latest("account")} left join (
                select account_id, min(month) as month from landing."transaction" group by all
            ) as booked using (account_id)""",
        f"""create or replace temp table landing_customer as
            select customer_id, min(month) as month
            from {_latest("account_holder")} inner join temp.landing_account using (account_id)
            group by customer_id""",
        *(
            _file(table, *filed[table], first_month)
            if table not in UNDATED
            else _file(table, f"landing.{table}", "null", _columns(table), first_month)
            for table in MASTERS
        ),
        # Columns that tables read from the latest extract only, and a closing from its month on.
        _file("account", latest_account, "landing_account.month", OPENING, first_month, rows="0"),
        _file(
            "account",
            f"{_latest('account')} where closed_on is not null",
            "date_trunc('month', closed_on)",
            CLOSING,
            first_month,
            rows="0",
        ),
        _file(
            "account_owner",
            f"{_latest('account_owner')} where valid_to is not null",
            "date_trunc('month', valid_to)",
            ENDING,
            first_month,
            rows="0",
        ),
    ]


def _file(
    table: str,
    relation: str,
    month: str,
    columns: Sequence[str],
    first_month: date,
    rows: str = "count(*)",
) -> str:
    """The statement that adds a relation's rows, grouped by the month under which they are
    filed."""
    begins = day(first_month)
    return f"""insert into {NEW}
        select '{table}', case when {month} is not null then greatest({month}, {begins}) end,
            {rows}, {digest(columns)}
        from {relation} group by 2"""


def _columns(table: str) -> list[str]:
    return [column.name for column in BY_NAME[table].columns if not column.personal]


def _latest(table: str) -> str:
    """The rows of a master's latest extract."""
    relation = f"landing.{quoted(table)}"
    return f"""(
        select * from {relation} where extract_month = (select max(extract_month) from {relation})
    ) as latest"""


def _versions(table: str) -> str:
    """The rows of all extracts of a master with a history; `since` is the extract's month, or NULL
    for the first one, which counts for all the time before it; `month` is the first month of a
    table that the row can change."""
    return f"""(
        select
            delivered.*,
            case
                when since is null or known.month is null then known.month
                else greatest(since, known.month)
            end as month
        from (
            select *, nullif(
                extract_month, min(extract_month) over (partition by {table}_id)
            ) as since
            from landing.{table}
        ) as delivered
        left join temp.landing_{table} as known using ({table}_id)
    ) as version"""
