"""Warehouses of the awkward bank, built once for all tests that read them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sources.contract import TABLES
from tests.conftest import once
from tests.integration.bank import (
    EARLIER,
    EARLIER_AT_ONCE,
    LAST,
    Bank,
    awkward_bank,
    build,
    dbt,
    land,
    lay_reference,
)

Warehouse = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def bank() -> Bank:
    return awkward_bank()


@pytest.fixture(scope="session")
def bare_bank(bank: Bank) -> Bank:
    """The same bank, delivering only what is required."""
    bare = Bank()
    for table in TABLES:
        if table.required:
            columns = {*table.required_columns, "extract_month"}
            bare.rows[table.name] = [
                {name: value for name, value in row.items() if name in columns}
                for row in bank.rows[table.name]
            ]
    return bare


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the awkward bank's reference data."""
    made = once(tmp_path_factory, "laid", lambda folder: lay_reference(folder / "reference"))
    return made / "reference"


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """Makes the warehouse of a name, once for all test processes."""
    file = "warehouse.duckdb"
    return lambda name, make: once(tmp_path_factory, name, lambda at: make(at / file)) / file


@pytest.fixture(scope="session")
def whole(bank: Bank, reference: Path, made_once: Warehouse) -> Path:
    """The warehouse of all months, to be read only; dbt's unit tests ran with it."""

    def make(path: Path) -> None:
        land(path, bank, LAST)
        dbt(path, "build", reference=reference)

    return made_once("whole", make)


@pytest.fixture(scope="session")
def earlier(bank: Bank, reference: Path, made_once: Warehouse) -> Path:
    """The warehouse as it was some months earlier, built some months at a time."""

    def make(path: Path) -> None:
        land(path, bank, EARLIER)
        build(path, reference, months_at_once=EARLIER_AT_ONCE)

    return made_once("earlier", make)


@pytest.fixture(scope="session")
def bare(bare_bank: Bank, made_once: Warehouse) -> Path:
    """The warehouse of the bare bank, with the default reference data."""

    def make(path: Path) -> None:
        land(path, bare_bank, LAST)
        build(path, None)

    return made_once("bare", make)
