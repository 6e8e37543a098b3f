"""The currency in which a bank's figures are."""

from __future__ import annotations

import duckdb

from orchestration.platform.optional_tables import has_column, has_table

RATED = "base.account_rate"


def bank_currency(connection: duckdb.DuckDBPyConnection) -> str | None:
    """Of a release, as it was published, or of the build warehouse: the only currency of accounts
    that need no exchange rate. None where no record names it."""
    if has_column(connection, "meta.release", "currency"):
        ((found,),) = connection.table("meta.release").select("currency").fetchall()
        if found:
            return str(found)
    if not has_column(connection, "base.account", "currency"):
        return None
    accounts = connection.table("base.account").filter("currency is not null")
    if has_table(connection, RATED):
        accounts = accounts.filter(f"currency not in (select currency from {RATED})")
    own = accounts.select("currency").distinct().limit(2).fetchall()
    return own[0][0] if len(own) == 1 else None
