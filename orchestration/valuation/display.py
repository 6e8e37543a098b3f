"""Explanations and prices on a terminal, as tables; in a file or pipe, as lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orchestration.platform import terminal

Row = dict[str, Any]


def show_explanation(found: Row) -> None:
    """Print the account, each measure with its parts, and the delivered records."""
    account = found["account"]
    print(
        f"account {account['account_id']} in {account['month']:%Y-%m}, release {found['release']}"
    )
    for name, value in account.items():
        if name not in ("account_id", "month") and value is not None:
            print(f"  {name} {terminal.cell(value)}")
    for measure in found["measures"]:
        title = f"{measure['measure']} {terminal.cell(measure['published'])}"
        show_rows(f"{title} = {measure['formula']}", measure["parts"])
        if measure["difference"]:
            print(
                f"  DIFFERENCE: expected {terminal.cell(measure['recomputed'])} from the parts, "
                f"found {title} in the release"
            )
    for table in dict.fromkeys(row["table"] for row in found["records"]):
        show_rows(
            f"delivered records: {table}",
            [{**row} for row in found["records"] if row["table"] == table],
        )
    if found["records_note"]:
        print(found["records_note"])
    if found["differences"]:
        terminal.problem(
            f"{found['differences']} amount(s) do not follow from their parts: expected none. "
            "Run make refresh; if the difference stays, report the account and month."
        )


def show_rows(title: str, rows: Sequence[Row]) -> None:
    """A table of rows that may have different columns."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    if rows and terminal.is_terminal():
        terminal.table(title, [{name: row.get(name) for name in names} for row in rows])
        return
    print(title)
    for row in rows:
        told = (
            f"{name} {terminal.cell(value)}" for name, value in row.items() if value is not None
        )
        print(f"  {', '.join(told)}")
