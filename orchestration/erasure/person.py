"""The ids of a person: the customer's own, and those of what the person alone has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from orchestration.platform.erased import MARK
from orchestration.platform.optional_tables import has_table
from orchestration.platform.releases import proposed, releases_of
from orchestration.platform.settings import Settings
from sources.delimited import literal


@dataclass
class Person:
    """`ids` by identity (`contract.IDENTITIES`); `open_accounts` among them in the newest extract;
    `sorts_first`: the person comes first among the holders of most accounts held with others."""

    ids: dict[str, set[str]]
    open_accounts: int = 0
    sorts_first: bool = False
    # Accounts held with others, whose remaining cent may move with the new id.
    moved: set[str] = field(default_factory=set)


def find_person(
    connection: duckdb.DuckDBPyConnection, settings: Settings, customer_id: str
) -> Person:
    """Gather the ids from the landed months and from every release."""
    holders: dict[str, set[tuple[str, bool]]] = defaultdict(set)
    known, open_accounts = False, set()
    for rows, is_known, closed in _sources(connection, settings, customer_id):
        known = known or is_known
        for account_id, holder, is_beneficial in rows:
            holders[account_id].add((holder, is_beneficial))
        open_accounts |= closed
    held = {one for one, people in holders.items() if customer_id in {who for who, _ in people}}
    alone = {
        one for one in held if all(who == customer_id or MARK in who for who, _ in holders[one])
    }
    ids = {
        "customer": {customer_id} if known or held else set[str](),
        "account": alone,
        "loan": set(_landed(settings, connection, "loan", "loan_id", "account_id", alone)),
        "card": set(_landed(settings, connection, "card", "card_id", "account_id", alone))
        | set(_landed(settings, connection, "card", "card_id", "customer_id", {customer_id})),
    }
    person = Person(ids, open_accounts=len(open_accounts & held))
    shared = {
        one: {who for who, is_beneficial in holders[one] if is_beneficial} for one in held - alone
    }
    first = {
        one
        for one, people in shared.items()
        if customer_id in people and customer_id == min(people)
    }
    last = {
        one
        for one, people in shared.items()
        if customer_id in people and customer_id == max(people)
    }
    person.sorts_first = len(first) > len(last)
    person.moved = {one for one, people in shared.items() if customer_id in people} - (
        first if person.sorts_first else last
    )
    return person


Found = tuple[list[tuple[str, str, bool]], bool, set[str]]


def _sources(
    connection: duckdb.DuckDBPyConnection, settings: Settings, customer_id: str
) -> Iterator[Found]:
    """Of the landed months and of each release: the holders of the customer's accounts, whether the
    customer is in it, and the customer's accounts that are open in the newest release."""
    if any((settings.landing / "account_holder").glob("*/data.parquet")):
        holder, customer = (
            f"read_parquet({literal(settings.landing / table / '*' / 'data.parquet')})"
            for table in ("account_holder", "customer")
        )
        beneficial = f"(select *, role <> 'authorised' as is_beneficial from {holder})"
        yield (
            _holders(connection, beneficial, customer_id),
            _has(connection, customer, customer_id),
            set(),
        )
    waiting = proposed(settings)
    every = [*releases_of(settings), *((waiting,) if waiting else ())]
    for path in every:
        with attached(connection, path) as name:
            if not has_table(connection, "base.account_holder", name):
                continue
            rows = _holders(connection, f"{name}.base.account_holder", customer_id)
            account = connection.table(f"{name}.base.account").filter("closed_on is null")
            still_open = {one for (one,) in account.project("account_id").fetchall()}
            yield (
                rows,
                _has(connection, f"{name}.base.customer", customer_id),
                still_open & {one for one, _, _ in rows} if path == every[-1] else set(),
            )


@contextmanager
def attached(
    connection: duckdb.DuckDBPyConnection, path: Path, name: str = "held"
) -> Iterator[str]:
    """A database attached for reading."""
    connection.execute(f"attach {literal(path)} as {name} (read_only)")
    try:
        yield name
    finally:
        connection.execute(f"detach {name}")


def _holders(
    connection: duckdb.DuckDBPyConnection, relation: str, customer_id: str
) -> list[tuple[str, str, bool]]:
    return connection.execute(
        f"select distinct account_id, customer_id, is_beneficial from {relation} "
        f"where account_id in (select account_id from {relation} where customer_id = ?)",
        [customer_id],
    ).fetchall()


def _has(connection: duckdb.DuckDBPyConnection, relation: str, customer_id: str) -> bool:
    found = connection.execute(
        f"select 1 from {relation} where customer_id = ? limit 1", [customer_id]
    )
    return bool(found.fetchall())


def _landed(
    settings: Settings,
    connection: duckdb.DuckDBPyConnection,
    table: str,
    column: str,
    by: str,
    values: set[str],
) -> Iterator[str]:
    """The ids of a landed table by what they belong to."""
    files = settings.landing / table / "*" / "data.parquet"
    if not values or not any((settings.landing / table).glob("*/data.parquet")):
        return
    yield from (
        one
        for (one,) in connection.execute(
            f"select distinct {column} from read_parquet({literal(files)}, union_by_name = true) "
            f"where {by} in (select unnest(?))",
            [sorted(values)],
        ).fetchall()
        if MARK not in one
    )
