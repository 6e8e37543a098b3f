"""Invalid rows in the event tables, which landing must put into quarantine; each is recorded.

They are additional rows at the end of their file: the valid rows alone are complete, chained and in
balance with the ledger. Of an exact duplicate the first row is the valid one.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pyarrow as pa

from sources.contract import BY_NAME

# Invalid rows per valid row, well below landing's tolerance (0.0005 for keys and references).
SHARE = 0.0001
MOST_AT_ONCE = 5
FAR_FUTURE = date(2099, 1, 1)
Row = dict[str, Any]
# Landing's name of the rule, the column, and the function that breaks the row.
Defect = tuple[str, str, Callable[[Row], None]]


def _put(column: str, value: Any) -> Callable[[Row], None]:
    def spoil(row: Row) -> None:
        row[column] = value

    return spoil


DEFECTS: dict[str, tuple[Defect, ...]] = {
    "transaction": (
        ("duplicate_row", "transaction_id", lambda row: None),
        ("reference", "account_id", _put("account_id", "A99999999")),
        ("required", "amount", _put("amount", None)),
        ("allowed_values", "kind", _put("kind", "mystery")),
        ("date_in_future", "booked_on", _put("booked_on", FAR_FUTURE)),
    ),
    "loan_status": (
        ("duplicate_row", "loan_id,month", lambda row: None),
        ("reference", "loan_id", _put("loan_id", "L99999999")),
        ("range", "days_past_due", _put("days_past_due", -30)),
    ),
    "contact": (
        ("reference", "customer_id", _put("customer_id", "C99999999")),
        ("allowed_values", "arm", _put("arm", "placebo")),
        ("duplicate_row", "contact_id", lambda row: None),
    ),
    "response": (("reference", "campaign_id", _put("campaign_id", "K9999")),),
    "interaction": (
        ("reference", "customer_id", _put("customer_id", "C99999999")),
        ("range", "sentiment", _put("sentiment", 7.0)),
        ("duplicate_row", "interaction_id", lambda row: None),
        ("allowed_values", "topic", _put("topic", "gossip")),
    ),
    "account_balance": (
        ("reference", "account_id", _put("account_id", "A99999999")),
        ("required", "closing_balance", _put("closing_balance", None)),
    ),
    "account_result": (
        ("allowed_values", "item", _put("item", "mystery")),
        ("duplicate_row", "account_id,month,item", lambda row: None),
    ),
    "ledger": (
        ("reference", "branch_id", _put("branch_id", "B999")),
        ("allowed_values", "ledger_account", _put("ledger_account", "suspense")),
    ),
    "adjustment": (("two_persons", "checker", lambda row: row.update(checker=row["maker"])),),
}


class Planter:
    """Plants defects at a constant share, turning through a table's defects."""

    SCHEMA = pa.schema(
        [
            ("table_name", pa.string()),
            ("file", pa.string()),
            ("row_number", pa.int64()),
            ("rule", pa.string()),
            ("column_name", pa.string()),
            ("value", pa.string()),
        ]
    )

    def __init__(self) -> None:
        self._allowance = dict.fromkeys(DEFECTS, 0.0)
        self._planted = dict.fromkeys(DEFECTS, 0)
        self._numbers = dict.fromkeys(DEFECTS, 0)
        self.records: list[Row] = []

    def plant(self, name: str, file: str, good: pa.Table, rows_before: int = 0) -> pa.Table:
        """`good` followed by this batch's invalid rows; `rows_before` are already in the file."""
        self._allowance[name] += SHARE * good.num_rows
        count = min(int(self._allowance[name]), MOST_AT_ONCE)
        if count == 0 or good.num_rows == 0:
            return good
        self._allowance[name] -= count
        key = BY_NAME[name].key
        bad: list[Row] = []
        for _ in range(count):
            rule, column, spoil = DEFECTS[name][self._planted[name] % len(DEFECTS[name])]
            self._planted[name] += 1
            # Any row will do; a prime stride spreads them over the file.
            place = (104_729 * self._planted[name]) % good.num_rows
            row: Row = good.slice(place, 1).to_pylist()[0]
            spoil(row)
            if rule != "duplicate_row" and len(key) == 1:
                self._numbers[name] += 1
                row[key[0]] = f"{row[key[0]][0]}X{self._numbers[name]:06d}"
            if name == "transaction" and rule != "duplicate_row":
                row["balance_after"] = None
            value = (
                "|".join(str(row[part]) for part in key)
                if rule == "duplicate_row"
                else row[column]
                if row[column] is None
                else str(row[column])
            )
            bad.append(row)
            self.records.append(
                {
                    "table_name": name,
                    "file": file,
                    "row_number": rows_before + good.num_rows + len(bad),
                    "rule": rule,
                    "column_name": column,
                    "value": value,
                }
            )
        return pa.concat_tables([good, pa.Table.from_pylist(bad, schema=good.schema)])

    def table(self) -> pa.Table:
        return pa.Table.from_pylist(self.records, schema=self.SCHEMA)
