"""One currency per bank: amounts of different currencies are never added together."""

from __future__ import annotations

from datetime import date

import duckdb

from orchestration.landing.rules import code, day
from sources.contract import BY_NAME, DAY, TEXT
from sources.delimited import literal
from sources.grammar import text_of, typed
from sources.interface import DeliveryRefused, Problem, Source

FORM = BY_NAME["account"].column("currency").form


def currency_notes(
    connection: duckdb.DuckDBPyConnection, source: Source, as_of: date, bank: str | None
) -> tuple[str, ...]:
    """Notes on the accounts' currencies.

    Parameters
    ----------
    as_of
        Accounts opened and extracts dated after this day are ignored.
    bank
        The bank's currency; None if it is the only one delivered.

    Raises
    ------
    DeliveryRefused
        When an account is in another currency than the bank's, with the accounts of each.
    """
    counts, unnamed = _accounts(connection, source, as_of)
    if len(counts) > 1 and bank is None:
        named = _listed(counts)
        raise _refused(
            f"accounts in {len(counts)} currencies are delivered ({named})",
            "Deliver the accounts of one currency only, with their bookings, and set "
            "CURRENCY=<code> to the bank's own",
        )
    others = {currency: count for currency, count in counts.items() if currency != bank}
    if bank is not None and others:
        raise _refused(
            f"accounts in currencies other than the bank's, {bank}, are delivered "
            f"({_listed(others)})",
            f"Deliver the accounts in {bank} only, with their bookings, or set CURRENCY to the "
            "bank's own",
        )
    own = bank or next(iter(counts), None)
    if own is None or not unnamed:
        return ()
    total = unnamed + sum(counts.values())
    return (f"{unnamed:,} of {total:,} accounts have no currency and count as {own}",)


def _accounts(
    connection: duckdb.DuckDBPyConnection, source: Source, as_of: date
) -> tuple[dict[str, int], int]:
    """Accounts by currency, the most frequent first, and the number without one; the row rules
    check values that are not codes."""
    rows = [
        f"select account_id::varchar as account_id, {code('currency::' + TEXT)} as currency "
        f"from ({file.relation}) "
        f"where {typed(text_of('opened_on', DAY), DAY)} <= {day(as_of)}"
        for file in source.files(connection)
        if file.table == "account"
        and {"account_id", "opened_on", "currency"} <= set(file.columns)
        and (file.extract_month is None or file.extract_month <= as_of)
    ]
    if not rows:
        return {}, 0
    found = connection.execute(
        f"""select currency, count(distinct account_id) as accounts
            from ({" union all ".join(rows)})
            where currency is null or regexp_full_match(currency, {literal(str(FORM))})
            group by currency order by accounts desc, currency"""
    ).fetchall()
    return {name: count for name, count in found if name}, dict(found).get(None, 0)


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{currency} {count:,}" for currency, count in counts.items())


def _refused(what: str, cure: str) -> DeliveryRefused:
    return DeliveryRefused([Problem("account", "currency", what, f"{cure}.")])
