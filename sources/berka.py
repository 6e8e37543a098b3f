"""The PKDD'99 "financial" data: a Czech bank, 1993 to 1998, as a source.

Petr Berka and Marta Sochorova, Discovery Challenge of PKDD'99 (Prague). The mapping is documented
in docs/berka.md. A code outside the mapping is passed on unchanged, so that landing puts the row
into quarantine with it; no default hides it.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import duckdb

from sources.contract import BY_NAME
from sources.delimited import (
    DelimitedReader,
    inspect_bytes,
    literal,
    read_header,
)
from sources.interface import Problem, SourceFile

DELIMITER = ";"
PRODUCT = "current_account"
HEADERS: dict[str, tuple[str, ...]] = {
    "account": ("account_id", "district_id", "frequency", "date"),
    "client": ("client_id", "birth_number", "district_id"),
    "disp": ("disp_id", "client_id", "account_id", "type"),
    "district": tuple(f"a{number}" for number in range(1, 17)),
    "trans": (
        "trans_id",
        "account_id",
        "date",
        "type",
        "operation",
        "amount",
        "balance",
        "k_symbol",
        "bank",
        "account",
    ),
    "card": ("card_id", "disp_id", "type", "issued"),
    "loan": ("loan_id", "account_id", "date", "amount", "duration", "payments", "status"),
    "order": ("order_id", "account_id", "bank_to", "account_to", "amount", "k_symbol"),
}
REQUIRED = ("account", "client", "disp", "district", "trans")
WITHOUT = {"card": "card", "loan": "loan", "order": "standing_order"}

CREDITS, DEBITS = ("PRIJEM",), ("VYDAJ", "VYBER")
PURPOSES = {
    "SIPO": "household",
    "UVER": "loan_repayment",
    "POJISTNE": "insurance",
    "LEASING": "leasing",
}
# The purpose of a payment (k_symbol) is more specific than its operation and takes precedence. SIPO
# (household payments) and LEASING have no kind in the contract: the operation decides.
KIND_BY_SYMBOL = {
    "UROK": "interest_paid",
    "SANKC. UROK": "interest_charged",
    "SLUZBY": "fee",
    "DUCHOD": "pension",
    "UVER": "loan_repayment",
    "POJISTNE": "insurance_premium",
}
KIND_BY_OPERATION = {
    "VKLAD": "deposit",
    "VYBER": "withdrawal",
    "VYBER KARTOU": "card_payment",
    "PREVOD NA UCET": "transfer_out",
    "PREVOD Z UCTU": "transfer_in",
}
CHANNEL_BY_SYMBOL = {"UROK": "system", "SANKC. UROK": "system", "SLUZBY": "system"}
CHANNEL_BY_OPERATION = {"VKLAD": "branch", "VYBER": "branch", "VYBER KARTOU": "card"}
STANDING = ("SIPO", "UVER", "POJISTNE", "LEASING")


def text(column: str) -> str:
    """The value, NULL if it is blank (k_symbol may be one space) or `?`."""
    return f"nullif(nullif(trim({column}), ''), '?')"


def iso_date(column: str) -> str:
    """YYMMDD, optionally with a time, as 19YY-MM-DD; anything else unchanged."""
    return (
        f"case when regexp_full_match({column}, '[0-9]{{6}}( 00:00:00)?') then "
        f"'19' || {column}[1:2] || '-' || {column}[3:4] || '-' || {column}[5:6] "
        f"else {column} end"
    )


def mapped(column: str, mapping: dict[str, str], otherwise: str) -> str:
    arms = " ".join(f"when {literal(a)} then {literal(b)}" for a, b in mapping.items())
    return f"case {column} {arms} else {otherwise} end"


def listed(values: tuple[str, ...]) -> str:
    return ", ".join(literal(value) for value in values)


class Berka:
    """The source `berka`: a folder of the .asc files, all or some of them."""

    name = "berka"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reader = DelimitedReader(DELIMITER)

    @property
    def identity(self) -> str:
        return f"berka:{self.path.resolve()}"

    @cached_property
    def _files(self) -> dict[str, Path]:
        if not self.path.is_dir():
            return {}
        found = {path.name.lower(): path for path in sorted(self.path.iterdir()) if path.is_file()}
        return {name: found[f"{name}.asc"] for name in HEADERS if f"{name}.asc" in found}

    def first_month(self, connection: duckdb.DuckDBPyConnection) -> str:
        """The first month of the published six years."""
        return "1993-01"

    def prepare(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Nothing to do: the files are delivered."""

    def problems(self, connection: duckdb.DuckDBPyConnection) -> list[Problem]:
        """Missing, empty or unreadable files and columns, all at once."""
        if not self.path.is_dir():
            return [
                Problem(
                    str(self.path),
                    "",
                    "is not a folder" if self.path.exists() else "does not exist",
                    "Set SOURCE_PATH (JINGXI_SOURCE_PATH) to the folder with the .asc files.",
                )
            ]
        found = [
            Problem(f"{name}.asc", "", "is missing", "Deliver the file with the others.")
            for name in REQUIRED
            if name not in self._files
        ]
        for name, path in self._files.items():
            found += self._file_problems(connection, name, path)
        return found

    def notes(self, connection: duckdb.DuckDBPyConnection) -> list[str]:
        """What the delivery leaves out and what that switches off; one line each."""
        given = {file.table for file in self.files(connection)}
        return [
            f"no `{table.name}`: without {table.without_it}"
            for table in BY_NAME.values()
            if table.name not in given
        ]

    def _file_problems(
        self, connection: duckdb.DuckDBPyConnection, name: str, path: Path
    ) -> list[Problem]:
        again = "Copy the file again from the original."
        inspection = inspect_bytes(path)
        if inspection.size == 0:
            return [Problem(path.name, "", "is empty (0 bytes)", again)]
        if inspection.encoding_fault is not None:
            return [Problem(path.name, "", inspection.encoding_fault, again)]
        header = {column.lower() for column in read_header(path, DELIMITER)}
        if len(header) <= 1:
            what = "has no header of columns delimited by semicolons (;)"
            return [Problem(path.name, "", what, again)]
        missing = [column for column in HEADERS[name] if column not in header]
        if missing:
            return [
                Problem(path.name, column, "the column is missing", again) for column in missing
            ]
        rows, malformed = connection.execute(
            f"select count(*), count(_malformed) from ({self._rows(connection, name)})"
        ).fetchall()[0]
        if rows == 0 and name in REQUIRED:
            return [Problem(path.name, "", "has no rows", again)]
        if malformed > rows / 2:
            what = f"{malformed:,} of {rows:,} rows cannot be split into the header's columns"
            return [Problem(path.name, "", what, again)]
        return []

    def files(self, connection: duckdb.DuckDBPyConnection) -> list[SourceFile]:
        rows = {name: f"({self._rows(connection, name)})" for name in self._files}
        queries = {
            "district": ("district", _district(rows)),
            "branch": ("district", _branch(rows)),
            "customer": ("client", _customer(rows)),
            "product": ("account", _product()),
            "account": ("account", _account(rows)),
            "account_holder": ("disp", _account_holder(rows)),
            "transaction": ("trans", _transaction(rows)),
        }
        if "loan" in rows:
            queries["loan"] = ("loan", _loan(rows))
        if "card" in rows:
            queries["card"] = ("card", _card(rows))
        if "order" in rows:
            queries["standing_order"] = ("order", _standing_order(rows))
        found = []
        for table, (name, relation) in queries.items():
            described = connection.execute(f"describe {relation}").fetchall()
            columns = tuple(
                column for column, *_ in described if column in BY_NAME[table].column_names
            )
            path = self._files[name]
            # The product is not a row of any file.
            counted = None if table == "product" else self._reader.read(connection, path).records
            digest = self._reader.inspection(path).sha256
            found.append(SourceFile(table, path, relation, columns, records=counted, sha256=digest))
        return found

    def _rows(self, connection: duckdb.DuckDBPyConnection, name: str) -> str:
        return self._reader.relation(connection, self._files[name])


def _district(rows: dict[str, str]) -> str:
    # A12 and A13, the unemployment rates of 1995 and 1996 in per cent, are not read: they were
    # unknown in most of the months of a refresh. A11, the average salary, has no year.
    return f"""
        select a1 as district_id, a2 as district_name, a3 as region, {text("a4")} as population,
            {text("a11")} as average_salary, _row, _malformed
        from {rows["district"]}"""


def _branch(rows: dict[str, str]) -> str:
    # An account has the district of its branch, nothing smaller: one branch per district. They are
    # not derived from the accounts, since later accounts would add branches.
    return f"""
        select a1 as branch_id, a2 as branch_name, a1 as district_id, _row, _malformed
        from {rows["district"]}"""


def _customer(rows: dict[str, str]) -> str:
    month = "birth_number[3:4]::integer"
    return f"""
        with since as (
            select disp.client_id, min(account.date) as opened
            from {rows["disp"]} as disp join {rows["account"]} as account using (account_id)
            group by disp.client_id
        ), client as (
            select *, regexp_full_match(birth_number, '[0-9]{{6}}') as readable
            from {rows["client"]}
        )
        select
            client_id as customer_id,
            case when readable then
                '19' || birth_number[1:2] || '-'
                || lpad(({month} - case when {month} > 50 then 50 else 0 end)::varchar, 2, '0')
                || '-' || birth_number[5:6]
            else birth_number end as birth_date,
            case when readable then case when {month} > 50 then 'female' else 'male' end end as sex,
            district_id,
            {iso_date("since.opened")} as customer_since,
            client._row,
            client._malformed
        from client left join since using (client_id)"""


def _product() -> str:
    # The data have no products: every account is a current account.
    return (
        f"select {literal(PRODUCT)} as product_id, 'Current account' as product_name, "
        "'deposits' as product_line, 1::bigint as _row"
    )


def _account(rows: dict[str, str]) -> str:
    return f"""
        select account_id, {literal(PRODUCT)} as product_id, district_id as branch_id,
            {iso_date("date")} as opened_on, 'CZK' as currency, _row, _malformed
        from {rows["account"]}"""


def _account_holder(rows: dict[str, str]) -> str:
    role = mapped("type", {"OWNER": "owner", "DISPONENT": "authorised"}, "type")
    return f"""
        select account_id, client_id as customer_id, {role} as role, _row, _malformed
        from {rows["disp"]}"""


def _loan(rows: dict[str, str]) -> str:
    # The status (A, B, C, D) is not read: it is that of 1998 and would leak how the loan ends into
    # every earlier month.
    return f"""
        select loan_id, account_id, {iso_date("date")} as granted_on, amount as principal,
            duration as term_months, payments as instalment, _row, _malformed
        from {rows["loan"]}"""


def _card(rows: dict[str, str]) -> str:
    return f"""
        with holder as (
            select disp_id, min(account_id) as account_id, min(client_id) as client_id
            from {rows["disp"]} where disp_id is not null group by disp_id
        )
        select card_id, coalesce(holder.account_id, 'disp ' || card.disp_id) as account_id,
            holder.client_id as customer_id, type as card_type, {iso_date("issued")} as issued_on,
            card._row, card._malformed
        from {rows["card"]} as card left join holder using (disp_id)"""


def _standing_order(rows: dict[str, str]) -> str:
    purpose = mapped(text("k_symbol"), PURPOSES, text("k_symbol"))
    return f"""
        select order_id, account_id, {text("bank_to")} as counterparty_bank,
            {text("account_to")} as counterparty_account, amount, {purpose} as purpose, _row,
            _malformed
        from {rows["order"]}"""


def _transaction(rows: dict[str, str]) -> str:
    by_operation = mapped("operation", KIND_BY_OPERATION, "coalesce(operation, 'other')")
    kind = mapped("k_symbol", KIND_BY_SYMBOL, by_operation)
    channel = mapped("operation", CHANNEL_BY_OPERATION, "null")
    channel = mapped("k_symbol", CHANNEL_BY_SYMBOL, channel)
    return f"""
        with booking as (
            select * replace ({text("k_symbol")} as k_symbol, {text("operation")} as operation,
                {text("type")} as type)
            from {rows["trans"]}
        )
        select
            trans_id as transaction_id,
            account_id,
            {iso_date("date")} as booked_on,
            case when type in ({listed(DEBITS)}) then '-' || amount else amount end as amount,
            case
                when type is null or type not in ({listed(CREDITS + DEBITS)})
                    then coalesce(type, '(no type)')
                when k_symbol not in ({listed((*KIND_BY_SYMBOL, *PURPOSES))}) then k_symbol
                else {kind}
            end as kind,
            case
                when operation = 'PREVOD NA UCET' and k_symbol in ({listed(STANDING)})
                    then 'standing_order'
                else {channel}
            end as channel,
            {text("bank")} as counterparty_bank,
            {text("account")} as counterparty_account,
            balance as balance_after,
            _row,
            _malformed
        from booking"""
