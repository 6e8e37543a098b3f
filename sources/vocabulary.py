"""The vocabulary: product lines, channels, kinds of booking and windows, read from one place.

Each list is a seed of the dbt project, `dbt_project/seeds/vocabulary/<list>.csv`. The contract and
the pages read the rows here. dbt macros cannot read a seed that is not built yet, so that
`orchestration/platform/vocabulary.py` writes them from the same rows.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

FOLDER = Path(__file__).resolve().parents[1] / "dbt_project" / "seeds" / "vocabulary"
# Names become parts of column names.
NAME = re.compile(r"[a-z][a-z0-9_]*")
SIGNS: dict[str, int | None] = {"credit": 1, "debit": -1, "either": None}
PRICES = ("deposit_rate", "loan_rate", "fee")
MEASURES = ("interest_income", "interest_expense", "fee_income", "direct_cost", "expected_loss")
EFFECTS = ("replaces", "adds")
FLAGS = {"true": True, "false": False}
MAY_BE_EMPTY = ("other_signs",)

Row = TypeVar("Row")


class VocabularyError(ValueError):
    """A file of the vocabulary is invalid."""


@dataclass(frozen=True)
class ProductLine:
    """A line of business; `seeds/vocabulary/seeds.yml` describes each property."""

    product_line: str
    accounts: str
    label: str
    is_credit: bool
    holds_loans: bool
    may_overdraw: bool
    is_invested: bool
    is_entrusted: bool
    is_on_scorecard: bool
    price: str
    other_signs: str

    @property
    def signs(self) -> dict[str, int | None]:
        """Kind → sign of its amounts on this line's accounts, where it differs from the kind's."""
        pairs = (pair.partition(":") for pair in self.other_signs.split())
        return {kind: SIGNS[sign] for kind, _, sign in pairs}


@dataclass(frozen=True)
class Channel:
    """A channel of bookings, campaigns and interactions."""

    channel: str
    bookings: str
    label: str
    is_by_hand: bool


@dataclass(frozen=True)
class BookingGroup:
    """Kinds of booking of like behaviour."""

    booking_group: str
    bookings: str
    label: str


@dataclass(frozen=True)
class BookingKind:
    """What a booking is."""

    kind: str
    booking_group: str
    sign: str
    meaning: str


@dataclass(frozen=True)
class OutcomeWindow:
    """Days after an event within which its outcome counts."""

    outcome_window: str
    days: int


@dataclass(frozen=True)
class ResultItem:
    """An item of an account's result that a bank delivers."""

    result_item: str
    measure: str
    effect: str
    meaning: str


def read_rows(path: Path, row: type[Row]) -> tuple[Row, ...]:
    """Rows of one file of the vocabulary, in its order.

    Raises
    ------
    VocabularyError
        For other columns than the row's fields, a name that is not lower-case letters, digits and
        underscores or stands twice, an empty value outside `MAY_BE_EMPTY`, or a value that is not
        of its column's type.
    """
    return tuple(_rows(path, row))


def _rows(path: Path, row: type[Row]) -> Iterator[Row]:
    types = {field.name: str(field.type) for field in fields(row)}  # type: ignore[arg-type]
    key = next(iter(types))
    seen: set[str] = set()
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        if reader.fieldnames != list(types):
            raise VocabularyError(
                f"{path.name} is invalid: expected the columns {', '.join(types)}."
            )
        for given in reader:
            place = f"{path.name}, line {reader.line_num}"
            name = given[key]
            if not NAME.fullmatch(name) or name in seen:
                raise VocabularyError(
                    f"{place} is invalid: expected a {key} of lower-case letters, digits and "
                    f"underscores that no other row has, found `{name}`."
                )
            seen.add(name)
            for column in types:
                if not given[column] and column not in MAY_BE_EMPTY:
                    raise VocabularyError(
                        f"{place}, {column} is invalid: expected a value, found none."
                    )
            yield row(
                **{
                    column: _value(given[column] or "", of_type, f"{place}, {column}")
                    for column, of_type in types.items()
                }
            )


def _value(text: str, of_type: str, place: str) -> Any:
    if of_type == "bool":
        if text not in FLAGS:
            raise VocabularyError(f"{place} is invalid: expected true or false, found `{text}`.")
        return FLAGS[text]
    if of_type == "int":
        if not text.isdecimal():
            raise VocabularyError(f"{place} is invalid: expected a number, found `{text}`.")
        return int(text)
    return text


PRODUCT_LINES = read_rows(FOLDER / "product_line.csv", ProductLine)
CHANNELS = read_rows(FOLDER / "channel.csv", Channel)
BOOKING_GROUPS = read_rows(FOLDER / "booking_group.csv", BookingGroup)
BOOKING_KINDS = read_rows(FOLDER / "booking_kind.csv", BookingKind)
OUTCOME_WINDOWS = read_rows(FOLDER / "outcome_window.csv", OutcomeWindow)
RESULT_ITEMS = read_rows(FOLDER / "result_item.csv", ResultItem)


def lines_where(flag: str) -> tuple[str, ...]:
    """Names of the product lines that have a property, such as `is_credit`."""
    return tuple(line.product_line for line in PRODUCT_LINES if getattr(line, flag))


def days_of(window: str) -> int:
    """Days of an outcome's window, such as `response`."""
    return next(row.days for row in OUTCOME_WINDOWS if row.outcome_window == window)


def check_references() -> None:
    """Check the references from the rows of one file to another's.

    Raises
    ------
    VocabularyError
        For a kind of an unknown group or sign, a line with an unknown price, another sign of an
        unknown kind, or an item of an unknown measure or effect.
    """
    for item in RESULT_ITEMS:
        if item.measure not in MEASURES or item.effect not in EFFECTS:
            raise VocabularyError(
                f"result_item.csv, {item.result_item} is invalid: expected a measure of "
                f"{', '.join(MEASURES)} and one of {', '.join(EFFECTS)}, found {item.measure} and "
                f"{item.effect}."
            )
    groups = {group.booking_group for group in BOOKING_GROUPS}
    kinds = {kind.kind for kind in BOOKING_KINDS}
    for kind in BOOKING_KINDS:
        if kind.booking_group not in groups or kind.sign not in SIGNS:
            raise VocabularyError(
                f"booking_kind.csv, {kind.kind} is invalid: expected a group of booking_group.csv "
                f"and one of {', '.join(SIGNS)}, found {kind.booking_group} and {kind.sign}."
            )
    for line in PRODUCT_LINES:
        if line.price not in PRICES:
            raise VocabularyError(
                f"product_line.csv, {line.product_line} is invalid: expected a price of "
                f"{', '.join(PRICES)}, found `{line.price}`."
            )
        for pair in line.other_signs.split():
            kind_name, _, sign = pair.partition(":")
            if kind_name not in kinds or sign not in SIGNS:
                raise VocabularyError(
                    f"product_line.csv, {line.product_line} is invalid: expected other_signs as "
                    f"kind:credit, kind:debit or kind:either, found `{pair}`."
                )


check_references()
