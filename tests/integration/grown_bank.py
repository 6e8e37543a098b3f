"""The awkward bank of the project that this is imported from, landed and built by dbt.

`python -m tests.integration.grown_bank FOLDER`, in a copy of the project that has grown: see
`test_vocabulary_grows.py`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from orchestration.platform.environment import DBT_PROJECT
from sources.contract import BY_NAME, FLAG
from tests.integration.bank import LAST, awkward_bank, land


def grow(folder: Path) -> None:
    """Land the bank, its customers with a value in every attribute, and build all layers."""
    bank = awkward_bank()
    for number, row in enumerate(bank.rows["customer"]):
        for column in BY_NAME["customer"].attributes:
            second = bool(number % 2)
            value = second if column.type == FLAG else f"{column.name} {second:d}"
            row.setdefault(column.name, value)
    path = folder / "warehouse.duckdb"
    land(path, bank, LAST)
    places = {
        **{"project-dir": DBT_PROJECT, "profiles-dir": DBT_PROJECT},
        **{"target-path": folder / "target", "log-path": folder},
    }
    subprocess.run(
        [
            *(Path(sys.executable).with_name("dbt"), "--no-use-colors", "build"),
            *("--exclude-resource-type", "unit_test"),
            *(f"--{name}={at}" for name, at in places.items()),
        ],
        env={**os.environ, "DBT_WAREHOUSE": str(path), "DO_NOT_TRACK": "1"},
        check=True,
    )


if __name__ == "__main__":
    grow(Path(sys.argv[1]))
