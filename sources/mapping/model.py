"""The shape of `mapping.yml`: frozen, typed, unknown keys refused.

Every scalar of the file arrives as text (see `reading`), so that a code `01` or `N` stays what the
bank wrote.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from sources.mapping.dates import fault_of
from sources.message import Message
from sources.recoding import UTF_8

Encoding = Literal["utf-8", "gbk", "gb18030", "big5", "utf-16", "latin-1", "cp1250", "cp1252"]
Unit = Literal[
    "units",
    "cents",
    "percent",
    "per_mille",
    "basis_points",
    "thousand",
    "ten_thousand",
    "million",
]
TAB = {"tab": "\t", "\\t": "\t", "\\x01": "\x01"}


def _list(value: Any) -> Any:
    return [value] if isinstance(value, str | dict) else value


Texts = Annotated[tuple[str, ...], BeforeValidator(_list)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Values(_Part):
    """How values are written; what is not given is taken from the level above."""

    nulls: Texts | None = Field(None, description="values that mean unknown, besides empty ones")
    dates: Texts | None = Field(None, description="YYYYMMDD, DD.MM.YYYY, D/M/YYYY, serial …")
    earliest_year: int | None = Field(
        None, ge=1800, le=2100, description="first of the hundred years that YY means"
    )
    decimal: Literal[".", ","] | None = Field(None, description="decimal sign")
    thousands: Literal["", ".", ",", " ", "'"] | None = Field(
        None, description="sign between groups of three digits"
    )

    @field_validator("dates")
    @classmethod
    def _formats(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        fault = fault_of(value) if value is not None else None
        if fault:
            raise ValueError(fault)
        return value

    @model_validator(mode="after")
    def _signs(self) -> _Values:
        if self.thousands and self.thousands == (self.decimal or "."):
            raise ValueError(
                Message(
                    "decimal and thousands are both `{0}`: expected two different signs",
                    self.thousands,
                )
            )
        return self


class Layout(_Values):
    """How files are written."""

    encoding: Encoding | None = None
    delimiter: str | None = Field(None, min_length=1, max_length=4, description="such as , or |+|")
    quote: str | None = Field(None, max_length=1, description="the sign around values; '' for none")
    header: tuple[str, ...] | None = Field(
        None, min_length=1, description="the columns of files without a header line, in order"
    )
    money: Literal["units", "cents"] | None = Field(None, description="unit of all amounts")

    @field_validator("delimiter")
    @classmethod
    def _named(cls, value: str | None) -> str | None:
        return TAB.get(value, value) if value is not None else None


class Direction(_Part):
    """The column with the side of an unsigned amount, and its codes."""

    column: str = Field(min_length=1)
    credit: Texts = Field(description="the account's balance rises")
    debit: Texts = Field(description="it falls")

    @model_validator(mode="after")
    def _apart(self) -> Direction:
        both = sorted(set(self.credit) & set(self.debit))
        if both:
            names = ", ".join(both)
            raise ValueError(
                Message("{0} is both credit and debit: expected one of the two", names)
            )
        return self


class ColumnMap(_Values):
    """One column of the contract: where its value comes from, and how that is read."""

    column: str | None = Field(None, min_length=1, description="the file's column")
    constant: str | None = Field(None, min_length=1, description="the same value in every row")
    expression: str | None = Field(None, min_length=1, description="SQL over the file's columns")
    credit: str | None = Field(None, min_length=1, description="column of amounts that add")
    debit: str | None = Field(None, min_length=1, description="column of amounts that take away")
    direction: Direction | None = None
    negate: bool = Field(False, description="the file's sign is the opposite of the contract's")
    unit: Unit | None = None
    codes: dict[str, str] | None = Field(None, description="the bank's code: the contract's value")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"column": value} if isinstance(value, str) else value

    @field_validator("codes", mode="before")
    @classmethod
    def _none_yet(cls, value: Any) -> Any:
        # A key with comments alone: no code is known.
        return {} if value == "" else value

    @model_validator(mode="after")
    def _one_origin(self) -> ColumnMap:
        sides = (self.credit is not None, self.debit is not None)
        if any(sides) and not all(sides):
            raise ValueError(Message("one of credit and debit is missing: expected both columns"))
        origins = [self.column, self.constant, self.expression, self.credit]
        if sum(origin is not None for origin in origins) != 1:
            raise ValueError(
                Message(
                    "expected exactly one of column, constant, expression, and credit with debit"
                )
            )
        if self.direction is not None and self.credit is not None:
            raise ValueError(
                Message("direction is of no use beside credit and debit: remove one of them")
            )
        return self


class Lookup(Layout):
    """Columns of another file that rows are joined to."""

    file: Texts = Field(min_length=1)
    match: dict[str, str] = Field(
        min_length=1, description="column of the lookup file: column of the rows"
    )
    take: dict[str, str] = Field(min_length=1, description="name: column of the lookup file")
    pick: Literal["min", "max"] | None = Field(None, description="which value where several match")
    lookups: tuple[Lookup, ...] = ()


class Feed(Layout):
    """Files of one layout that give rows of one table, or the rows themselves."""

    file: Texts | None = Field(
        None, min_length=1, description="file, folder or pattern below SOURCE_PATH"
    )
    optional: bool = Field(False, description="it may be missing from a delivery")
    where: str | None = Field(None, min_length=1, description="SQL: only rows for which it holds")
    lookups: tuple[Lookup, ...] = ()
    columns: dict[str, ColumnMap] = Field(default_factory=dict)
    rows: tuple[dict[str, str], ...] = Field((), description="rows that no file has")

    @model_validator(mode="after")
    def _files_or_rows(self) -> Feed:
        if bool(self.rows) == (self.file is not None):
            raise ValueError(Message("expected either file or rows"))
        return self


class Mapping(_Part):
    """A whole file. `tables` are those of the contract, each with one feed or several."""

    defaults: Layout = Layout()
    tables: dict[str, Annotated[tuple[Feed, ...], BeforeValidator(_list)]]


def setting(name: str, *levels: Any) -> Any:
    """The value of a key at the first level that has it; its default otherwise."""
    found = next(
        (value for level in levels if (value := getattr(level, name, None)) is not None), None
    )
    return DEFAULTS.get(name) if found is None else found


DEFAULTS = {
    "encoding": UTF_8,
    "delimiter": ",",
    "quote": '"',
    "nulls": (),
    "dates": (),
    "decimal": ".",
    "thousands": "",
    "money": "units",
}
