"""Warehouses of the awkward bank, built once for all tests that read them."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestration.sources.contract import TABLES
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

STEPS = (["tag:staging", "tag:base"], ["tag:value"], ["tag:features"], ["tag:contacts"])


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
    return lay_reference(tmp_path_factory.mktemp("awkward") / "reference")


@pytest.fixture(scope="session")
def whole(bank: Bank, reference: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The warehouse of all months, built step by step as the refresh does."""
    path = tmp_path_factory.mktemp("whole") / "warehouse.duckdb"
    land(path, bank, LAST)
    for step in STEPS:
        excluded = ("--exclude-resource-type", "unit_test")
        dbt(path, "build", *excluded, "--select", *step, reference=reference)
    return path


@pytest.fixture(scope="session")
def earlier(bank: Bank, reference: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The warehouse as it was some months earlier, built some months at a time."""
    path = tmp_path_factory.mktemp("earlier") / "warehouse.duckdb"
    land(path, bank, EARLIER)
    build(path, reference, months_at_once=EARLIER_AT_ONCE)
    return path


@pytest.fixture(scope="session")
def bare(bare_bank: Bank, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The warehouse of the bare bank, with the default reference data."""
    path = tmp_path_factory.mktemp("bare") / "warehouse.duckdb"
    land(path, bare_bank, LAST)
    build(path, None)
    return path
