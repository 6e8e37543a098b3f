"""A page of the portal: what it shows, read from one release."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb

from orchestration.customer_page.content import BY_POLICY
from orchestration.platform.bank_currency import bank_currency
from orchestration.platform.branch_names import branch_names
from orchestration.platform.engine import connect
from orchestration.platform.optional_tables import has_table
from orchestration.platform.releases import releases_of
from orchestration.platform.settings import Settings
from orchestration.release.value_report import read_head, unknown_balances
from orchestration.valuation.queries import Row, rendered, rows

QUERIES = Path(__file__).parent / "queries"
# The page whose parts, one a unit, are for whose list it is.
LISTS = "lists"
# The page to which the lists lead, by offer.
PLAYBOOK = "playbook"
UNFIT = re.compile(r"[^A-Za-z0-9-]")
LONGEST_HORIZON = 12
PARAMETER = re.compile(r"\$\w+")


@dataclass(frozen=True)
class Release:
    """The release that a portal shows: opened read-only, with its description."""

    settings: Settings
    path: Path
    connection: duckdb.DuckDBPyConnection
    release_id: str
    month: date
    source: str
    run_id: str
    # Lists with their reasons in words, which two pages show, by name.
    occasions: dict[str, list[Row]] = field(default_factory=dict)

    @cached_property
    def horizon(self) -> int:
        """Months that `clv_12m` covers: fewer than twelve where the history is short."""
        found = next(iter(self.rows("horizon")), None)
        return found["months"] if found and found["months"] else LONGEST_HORIZON

    @cached_property
    def branches(self) -> dict[str, str]:
        """What branches are called, by id."""
        return branch_names(self.connection)

    @cached_property
    def currency(self) -> str | None:
        """Of all money; None where no record names it."""
        return bank_currency(self.connection)

    @cached_property
    def unpriced(self) -> Row | None:
        """The accounts whose balance is not known; None where there is none."""
        return unknown_balances(self.connection, self.month)

    @cached_property
    def suppressed(self) -> dict[str, bool] | None:
        """Customers to whom no offer is to be made: whether the contact policy alone rules it out
        (they may be served), not the bank's own list. None where the release lacks the rules'
        outcome."""
        if not has_table(self.connection, "contacts.contactability"):
            return None
        found = self.rows("suppressed", by_policy=list(BY_POLICY))
        return {row["customer_id"]: row["is_by_policy"] for row in found}

    @cached_property
    def barred(self) -> list[str]:
        """Customers whom no list may name."""
        return [one for one, is_by_policy in (self.suppressed or {}).items() if not is_by_policy]

    def rows(self, query: str, **values: Any) -> list[Row]:
        """The rows of `queries/<query>.sql`; none where the release lacks a table that it reads.

        `$month` is the as-of month, `$barred` whom no list may name; other parameters are the
        caller's.
        """
        path = QUERIES / f"{query}.sql"
        # DuckDB names the tables of a statement without parameters only, some in quotes, each with
        # its alias.
        text = rendered(path, {})
        statement = PARAMETER.sub("null", text)
        needed = self.connection.get_table_names(statement, qualified=True)
        tables = {name.partition(" AS ")[0].replace('"', "") for name in needed}
        if not all(has_table(self.connection, table) for table in tables):
            return []
        known = {"month": self.month, **({"barred": self.barred} if "$barred" in text else {})}
        return rows(self.connection, path, known | values)

    def earlier(self) -> Iterator[Release]:
        """The releases kept from before this one, newest first."""
        kept = releases_of(self.settings)
        before = kept[: kept.index(self.path)] if self.path in kept else kept
        for path in reversed(before):
            with opened(self.settings, path) as release:
                yield release


@contextmanager
def opened(settings: Settings, path: Path) -> Iterator[Release]:
    with connect(settings, path, read_only=True) as connection:
        head = read_head(connection)
        ((run_id,),) = connection.table("meta.release").select("dagster_run_id").fetchall()
        described = {name: head[name] for name in ("release_id", "month", "source")}
        yield Release(settings, path, connection, run_id=run_id, **described)


def file_name(name: str) -> str:
    """A name without the signs that a path or link must not hold; another name for each."""
    return UNFIT.sub(lambda found: f"_{ord(found[0]):x}_", name)


def anchor(product_id: str) -> str:
    """The place of an offer on the playbook's page."""
    return f"offer-{file_name(product_id)}"


@dataclass(frozen=True)
class Part:
    """A page of its own below a page: of a model, of a manager. The entry `tables` of its content
    maps names to rows: each is also a file, `csv/<page>/<part>/<name>.csv`."""

    name: str
    content: Row

    @property
    def file(self) -> str:
        """The file's name; the name may hold any sign."""
        return f"{file_name(self.name)}.html"


@dataclass(frozen=True)
class Page:
    """A page of the portal.

    `content` returns what the template shows, `portal/<name>.html` unless another is named. Its
    entry `tables` maps names to rows: each is also a file, `csv/<page>_<name>.csv`. `parts` returns
    the pages below it, of the template `portal/<name>_part.html`. A page that `has_money`, and
    those below it, begin with what their figures leave out.
    """

    name: str
    content: Callable[[Release], Row]
    parts: Callable[[Release], Iterable[Part]] = lambda release: ()
    template: str = ""
    part_template: str = ""
    file: str = ""
    has_money: bool = True

    def __post_init__(self) -> None:
        for name, value in {
            "template": f"portal/{self.name}.html",
            "part_template": f"portal/{self.name}_part.html",
            "file": f"{self.name}.html",
        }.items():
            if not getattr(self, name):
                object.__setattr__(self, name, value)
