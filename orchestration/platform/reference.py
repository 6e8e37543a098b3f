"""Reference data: the bank's own prices, costs, risk, tiers and plan instead of the defaults.

The defaults are dbt seeds in the project. A bank with its own sets JINGXI_REFERENCE_PATH to a
folder: each file there (`transfer_curve.csv`, …) replaces the whole seed of that name; the other
seeds keep their defaults. This module checks the form of the files, the dbt test
`reference_data_cover_every_case_once` their content.
"""

from __future__ import annotations

import csv
import hashlib
import os
from pathlib import Path

import duckdb
import pyarrow as pa
import yaml  # type: ignore[import-untyped]

from orchestration.platform.engine import connect
from orchestration.platform.environment import DBT_PROJECT
from orchestration.platform.refusal import Refused
from orchestration.platform.settings import Settings, named
from orchestration.platform.tables import write_table

DEFAULTS = DBT_PROJECT / "seeds"
DECLARED = "*/seeds.yml"
# Macros and contract have these rows too: a line is added in the project.
VOCABULARY = "vocabulary"
SHOWN = 3


class ReferenceRefused(Refused):
    """A file of the bank's reference data does not have the form of its seed."""


def column_types() -> dict[str, dict[str, str]]:
    """Seed → its columns with their types, in order; of seeds that a bank may replace."""
    return {
        seed["name"]: seed["config"]["column_types"]
        for declared in sorted(DEFAULTS.glob(DECLARED))
        if declared.parent.name != VOCABULARY
        for seed in yaml.safe_load(declared.read_text())["seeds"]
    }


def prepare_reference(settings: Settings) -> None:
    """Check the bank's own reference data and copy them to the folder that dbt's seeds read.

    Raises
    ------
    ReferenceRefused
        For a missing folder, a file without a seed of its name, missing or unknown columns, or
        values that are not of the column's type.
    """
    given = _given(settings)
    folder = settings.home / "reference"
    types = column_types()
    for name, path in given.items():
        folder.mkdir(parents=True, exist_ok=True)
        write_rows(folder / path.name, list(types[name]), _checked(settings, path, types[name]))
    os.environ["DBT_REFERENCE"] = str(folder)
    os.environ["DBT_REFERENCE_SEEDS"] = ",".join(given)


def default_files() -> dict[str, Path]:
    """Seed → its default, of all seeds."""
    return {path.stem: path for path in DEFAULTS.rglob("*.csv")}


def files_in_force(settings: Settings) -> dict[str, Path]:
    """Seed → the bank's own file, or the default."""
    defaults = default_files()
    return {name: defaults[name] for name in column_types()} | _given(settings)


def rows_of(settings: Settings, seed: str) -> list[dict[str, str]]:
    """The rows in force of a seed, their form checked, with the columns in the seed's order."""
    types = column_types()[seed]
    rows = _checked(settings, files_in_force(settings)[seed], types)
    return [dict(zip(types, row, strict=True)) for row in rows]


def digest(path: Path) -> str:
    """What `meta.reference_data` identifies a file by."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def record(connection: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """Add the bank's own reference data to `meta.input_file`, and write the origin of each seed to
    `meta.reference_data`."""
    given = _given(settings)
    seeds = []
    for name, path in files_in_force(settings).items():
        rows = max(len([line for line in path.read_bytes().splitlines() if line.strip()]) - 1, 0)
        own = name in given
        seeds.append(
            {
                "seed": name,
                "origin": "delivered" if own else "default",
                "path": path.name if own else None,
                "rows": rows,
                "sha256": digest(path),
            }
        )
        if not own:
            continue
        connection.execute(
            "insert into meta.input_file (table_name, path, rows, landed, quarantined, "
            "after_as_of, before_first_month, sha256) values (?, ?, ?, ?, 0, 0, 0, ?)",
            [f"reference.{name}", path.name, rows, rows, digest(path)],
        )
    write_table(connection, "meta.reference_data", pa.Table.from_pylist(seeds))


def digest_of(settings: Settings) -> str:
    """A digest of the bank's own reference data; the defaults are part of the project."""
    found = hashlib.sha256()
    for name, path in _given(settings).items():
        found.update(name.encode())
        found.update(path.read_bytes())
    return found.hexdigest()


def _given(settings: Settings) -> dict[str, Path]:
    """Seed → the bank's own file, if it is not the default; empty without a folder."""
    folder = settings.reference_path
    if folder is None:
        return {}
    known = ", ".join(f"{name}.csv" for name in column_types())
    if not folder.is_dir():
        raise ReferenceRefused(
            f"{named('reference_path')} is invalid: {folder} is not a folder. Set it to the folder "
            "of the reference data."
        )
    given = {path.stem: path for path in sorted(folder.glob("*.csv"))}
    unknown = [f"{name}.csv" for name in given if name not in column_types()]
    if unknown or not given:
        found = ", ".join(unknown) or "none"
        raise ReferenceRefused(
            f"{folder} is invalid: expected files among {known}, found {found}. See docs/value.md."
        )
    defaults = default_files()
    # A copy of a default, such as an unchanged file of a proposal, is no figure of the bank's own.
    return {
        name: path
        for name, path in given.items()
        if path.read_bytes() != defaults[name].read_bytes()
    }


def _checked(settings: Settings, path: Path, types: dict[str, str]) -> list[list[str]]:
    """The rows of a file, with values in the order of the seed's columns."""
    with path.open(encoding="utf-8-sig", newline="") as lines:
        try:
            header, *rows = [row for row in csv.reader(lines) if row] or [[]]
        except UnicodeDecodeError:
            raise ReferenceRefused(f"{path} is not UTF-8. Save it as UTF-8 CSV.") from None
    header = [name.strip() for name in header]
    missing = [name for name in types if name not in header]
    extra = [name for name in header if name not in types]
    if missing or extra:
        raise ReferenceRefused(
            f"{path} is invalid: expected the columns of the seed"
            + (f"; missing: {', '.join(missing)}" if missing else "")
            + (f"; unknown: {', '.join(extra)}" if extra else "")
        )
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise ReferenceRefused(
                f"{path}, line {number} is invalid: expected {len(header)} values, found {len(row)}"
            )
    places = [header.index(name) for name in types]
    ordered = [[row[place].strip() for place in places] for row in rows]
    _check_types(settings, path, types, ordered)
    return ordered


def _check_types(
    settings: Settings, path: Path, types: dict[str, str], rows: list[list[str]]
) -> None:
    with connect(settings) as connection:
        for place, (name, kind) in enumerate(types.items()):
            values = [row[place] for row in rows]
            if kind == "varchar" or not values:
                continue
            # An amount with more decimals than the column would be rounded silently.
            rounded = (
                f"or try_cast(value as decimal(38, 18)) <> try_cast(value as {kind})"
                if kind.startswith("decimal") or kind == "integer"
                else ""
            )
            wrong = connection.execute(
                "select line, value "
                "from (select unnest(range(2, ?)) as line, unnest(?::varchar[]) as value) "
                f"where value <> '' and (try_cast(value as {kind}) is null {rounded}) "
                "order by line",
                [len(values) + 2, values],
            ).fetchall()
            if wrong:
                shown = ", ".join(f"line {line}: {value!r}" for line, value in wrong[:SHOWN])
                raise ReferenceRefused(
                    f"{path}, column {name} is invalid: expected {kind} in every line, found "
                    f"{len(wrong)} other value(s) ({shown})"
                )


def write_rows(path: Path, header: list[str], rows: list[list[str]]) -> None:
    # Replaced atomically: a running refresh may be reading the file.
    partial = path.with_suffix(".partial")
    with partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
    os.replace(partial, path)
