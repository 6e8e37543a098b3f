"""A small bank's delivery as CSV, and rows in it that are amiss."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

# Fourteen months: too short for the models, which stay off and leave the gates unaffected.
BANK = {"customers": 400, "seed": 3, "months": 14}
MONTH = "2023-09"
# An e-mail where a date belongs, and a stray quote, for which the file is copied row by row.
MISPLACED = "wanda.misplaced@mail.example"

Row = dict[str, str]


def read(path: Path) -> list[Row]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write(path: Path, rows: list[Row], **style: str) -> None:
    path.unlink(missing_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), **{"lineterminator": "\n", **style})
        writer.writeheader()
        writer.writerows(rows)


def edit(path: Path, change: Callable[[int, Row], Row | None]) -> None:
    """Rewrite a file row by row; None drops the row."""
    changed = (change(number, row) for number, row in enumerate(read(path)))
    write(path, [row for row in changed if row is not None])


def bookings(folder: Path) -> list[Path]:
    return sorted((folder / "transaction").glob("*.csv"))


def booking_month(folder: Path) -> Path:
    return folder / "transaction" / f"{MONTH}.csv"


def replace_bytes(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


def a_few_bad_rows(folder):
    """Letters, orphans, duplicates, nulls, unknown codes, bad dates and lines cut short; one file
    with a byte order mark and Windows line ends. No ledger, which would miss the rows set aside."""
    (folder / "ledger.csv").unlink()
    path = booking_month(folder)
    rows = read(path)
    duplicate = dict(rows[20])
    conflict = {**rows[21], "amount": "12.34"}
    rows[10]["amount"] = "12,50 EUR"
    rows[11]["account_id"] = "no such account"
    rows[12]["transaction_id"] = ""
    rows[13]["kind"] = "barter"
    rows[14]["booked_on"] = f"{MONTH}-31"
    rows[15]["booked_on"] = "2099-01-01"
    write(path, [*rows, duplicate, conflict])
    lines = path.read_bytes().splitlines(keepends=True)
    lines[30] = b",".join(lines[30].split(b",")[:3]) + b"\n"
    replace_bytes(path, b"".join(lines))
    marked = bookings(folder)[0]
    content = marked.read_bytes().replace(b"\n", b"\r\n")
    replace_bytes(marked, b"\xef\xbb\xbf" + content)
    one_customer = sorted((folder / "customer").glob("*.csv"))[0]
    edit(
        one_customer,
        lambda number, row: {**row, "birth_date": "2099-05-05"} if number == 5 else row,
    )


def someone_misplaced(folder: Path) -> None:
    """One more customer, with an e-mail in place of the date of birth."""
    path = sorted((folder / "customer").glob("*.csv"))[0]
    lines = path.read_text(encoding="utf-8").splitlines()
    header, first = lines[0].split(","), lines[1].split(",")
    amiss = dict(zip(header, first, strict=True))
    amiss |= {"customer_id": "C-amiss", "birth_date": MISPLACED, "full_name": '"Wanda'}
    lines.append(",".join(amiss[name] for name in header))
    replace_bytes(path, ("\n".join(lines) + "\n").encode())
