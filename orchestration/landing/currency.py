"""One currency per bank: accounts in others are translated by the delivered exchange rates."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date

import duckdb

from orchestration.landing.rules import code, day
from sources.contract import BY_NAME, DAY, REAL, TEXT
from sources.delimited import literal
from sources.grammar import text_of, typed
from sources.interface import DeliveryRefused, Problem, Source
from sources.message import Message, by_semicolons, listed

FORM = BY_NAME["account"].column("currency").form
MOST_LISTED = 6


def currency_notes(
    connection: duckdb.DuckDBPyConnection,
    source: Source,
    first_month: date,
    as_of: date,
    bank: str | None,
    priced: Collection[str] = (),
) -> tuple[str, ...]:
    """Notes on the accounts' currencies.

    Parameters
    ----------
    as_of
        Accounts opened, rates and extracts dated after this day are ignored.
    bank
        The bank's currency; None if it is the only one delivered without exchange rates.
    priced
        The currencies with a transfer curve of their own.

    Raises
    ------
    DeliveryRefused
        When accounts are in another currency than the bank's and a month from their first one on
        has no exchange rate, or when the bank's own currency has rates or a curve by its name.
    """
    found, unnamed = _accounts(connection, source, first_month, as_of)
    counts = {currency: accounts for currency, (accounts, _) in found.items()}
    rated = _rated(connection, source, as_of)
    own = bank
    if bank is None and found:
        without = [currency for currency in found if currency not in rated]
        # Without a code an account is in the bank's own currency.
        if len(without) > 1 or not (without or unnamed):
            raise _refused(
                Message(
                    "accounts in {0} currencies are delivered ({1})", len(found), _listed(counts)
                ),
                Message(
                    "Set CURRENCY=<code> to the bank's own and deliver fx_rate for the others, or "
                    "deliver the accounts of one currency only, with their bookings."
                ),
            )
        own = without[0] if without else None
    others = {currency: count for currency, count in counts.items() if currency != own}
    unrated = {currency: count for currency, count in others.items() if currency not in rated}
    if unrated:
        raise _refused(
            Message(
                "accounts in currencies other than the bank's, {0}, are delivered ({1}) without "
                "exchange rates",
                *(str(own), _listed(unrated)),
            ),
            Message(
                "Deliver fx_rate for them, or the accounts in {0} only, with their bookings, or "
                "set CURRENCY to the bank's own.",
                str(own),
            ),
        )
    if own in rated:
        raise _refused(
            Message("fx_rate has rates of {0}, the bank's own currency", str(own)),
            Message("Deliver rates of other currencies only, or set CURRENCY to the bank's own."),
            "fx_rate",
        )
    if own in priced:
        raise _refused(
            Message("transfer_curve has rows of {0}, the bank's own currency", str(own)),
            Message("Leave the currency of those rows empty."),
            "reference.transfer_curve",
        )
    gaps = {
        currency: missing
        for currency in others
        if (missing := _gaps(found[currency][1], as_of, rated[currency]))
    }
    if gaps:
        named = by_semicolons(
            Message("{0} {1}", currency, listed([f"{one:%Y-%m}" for one in months], MOST_LISTED))
            for currency, months in gaps.items()
        )
        raise _refused(
            Message("months without an exchange rate: {0}", named),
            Message(
                "Deliver a positive average_rate and closing_rate for each month in which an "
                "account is in the currency."
            ),
            "fx_rate",
        )
    translated = (
        (Message("accounts in other currencies are translated ({0})", _listed(others)),)
        if others
        else ()
    )
    if own is None or not unnamed:
        return translated
    total = unnamed + sum(counts.values())
    return (
        *translated,
        Message(
            "{0} of {1} accounts have no currency and count as {2}",
            *(f"{unnamed:,}", f"{total:,}", own),
        ),
    )


def _accounts(
    connection: duckdb.DuckDBPyConnection, source: Source, first_month: date, as_of: date
) -> tuple[dict[str, tuple[int, date]], int]:
    """Accounts by currency with their first month, the most frequent first, and the number without
    one; the row rules check values that are not codes."""
    opened = typed(text_of("opened_on", DAY), DAY)
    rows = [
        f"select account_id::varchar as account_id, {code('currency::' + TEXT)} as currency, "
        f"greatest(date_trunc('month', {opened}), {day(first_month)})::date as month "
        f"from ({file.relation}) where {opened} <= {day(as_of)}"
        for file in source.files(connection)
        if file.table == "account"
        and {"account_id", "opened_on", "currency"} <= set(file.columns)
        and (file.extract_month is None or file.extract_month <= as_of)
    ]
    if not rows:
        return {}, 0
    found = connection.execute(
        f"""select currency, count(distinct account_id) as accounts, min(month)
            from ({" union all ".join(rows)})
            where currency is null or regexp_full_match(currency, {literal(str(FORM))})
            group by currency order by accounts desc, currency"""
    ).fetchall()
    return (
        {name: (count, month) for name, count, month in found if name},
        next((count for name, count, _ in found if name is None), 0),
    )


def _rated(
    connection: duckdb.DuckDBPyConnection, source: Source, as_of: date
) -> dict[str, set[date]]:
    """The months of each currency with both rates; rows that landing sets aside do not count."""
    month = typed(text_of("month", DAY), DAY)
    positive = " and ".join(
        f"{typed(text_of(rate, REAL), REAL)} > 0" for rate in ("average_rate", "closing_rate")
    )
    rows = [
        f"select {code('currency::' + TEXT)} as currency, {month} as month from ({file.relation}) "
        f"where {month} <= {day(as_of)} and {positive}"
        for file in source.files(connection)
        if file.table == "fx_rate" and set(BY_NAME["fx_rate"].column_names) <= set(file.columns)
    ]
    found: dict[str, set[date]] = {}
    for row in rows:
        for currency, month_rated in connection.execute(row).fetchall():
            found.setdefault(currency, set()).add(month_rated)
    return found


def _gaps(first: date, as_of: date, rated: Collection[date]) -> list[date]:
    """The months from `first` to the as-of month that have no rate."""
    months = []
    month = first
    while month <= as_of:
        if month not in rated:
            months.append(month)
        month = date(month.year + month.month // 12, month.month % 12 + 1, 1)
    return months


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{currency} {count:,}" for currency, count in counts.items())


def _refused(what: str, cure: str, table: str = "account") -> DeliveryRefused:
    return DeliveryRefused([Problem(table, "currency", what, cure)])
