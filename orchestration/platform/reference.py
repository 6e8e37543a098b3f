"""Reference data: the bank's own prices, costs, risk, tiers and plan in place of the defaults.

The defaults are dbt seeds in the project. A bank that sets its own names a folder in
JINGXI_REFERENCE_PATH: each file there (`transfer_curve.csv`, …) takes the place of the seed of that
name, whole; the others keep their defaults. The files are checked here for their form, by the dbt
test `reference_data_cover_every_case_once` for their sense.
"""

from __future__ import annotations

import csv
import hashlib
import os
from pathlib import Path

import duckdb
import yaml  # type: ignore[import-untyped]

from orchestration.platform.engine import connect
from orchestration.platform.environment import DBT_PROJECT
from orchestration.platform.refusal import Refused
from orchestration.platform.settings import Settings

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
    """Check the bank's own reference data and put them where dbt's seeds take them from.

    Raises
    ------
    ReferenceRefused
        For a folder that is not there, a file of another name than a seed's, columns that are
        missing or unknown, or values that are not of the column's type.
    """
    given = _given(settings)
    folder = settings.home / "reference"
    types = column_types()
    for name, path in given.items():
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / path.name, list(types[name]), _checked(settings, path, types[name]))
    os.environ["DBT_REFERENCE"] = str(folder)
    os.environ["DBT_REFERENCE_SEEDS"] = ",".join(given)


def record(connection: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """Add the bank's own reference data to the files that this refresh has read."""
    for name, path in _given(settings).items():
        content = path.read_bytes()
        rows = max(len([line for line in content.splitlines() if line.strip()]) - 1, 0)
        connection.execute(
            "insert into meta.input_file (table_name, path, rows, landed, quarantined, "
            "after_as_of, before_first_month, sha256) values (?, ?, ?, ?, 0, 0, 0, ?)",
            [f"reference.{name}", path.name, rows, rows, hashlib.sha256(content).hexdigest()],
        )


def digest_of(settings: Settings) -> str:
    """A digest of the bank's own reference data; the defaults are part of the project."""
    digest = hashlib.sha256()
    for name, path in _given(settings).items():
        digest.update(name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _given(settings: Settings) -> dict[str, Path]:
    """Seed → the bank's own file; none without a folder."""
    folder = settings.reference_path
    if folder is None:
        return {}
    known = ", ".join(f"{name}.csv" for name in column_types())
    if not folder.is_dir():
        raise ReferenceRefused(f"the folder of the reference data is not there: {folder}")
    given = {path.stem: path for path in sorted(folder.glob("*.csv"))}
    unknown = [f"{name}.csv" for name in given if name not in column_types()]
    if unknown or not given:
        which = f"{', '.join(unknown)}, which is " if unknown else ""
        raise ReferenceRefused(
            f"{folder} holds {which}no reference data; known are {known} (docs/value.md)"
        )
    return given


def _checked(settings: Settings, path: Path, types: dict[str, str]) -> list[list[str]]:
    """The rows of a file, their values in the order of the seed's columns."""
    with path.open(encoding="utf-8-sig", newline="") as lines:
        try:
            header, *rows = [row for row in csv.reader(lines) if row] or [[]]
        except UnicodeDecodeError:
            raise ReferenceRefused(f"{path} is not UTF-8: save it as UTF-8 CSV") from None
    header = [name.strip() for name in header]
    missing = [name for name in types if name not in header]
    extra = [name for name in header if name not in types]
    if missing or extra:
        raise ReferenceRefused(
            f"{path} has other columns than the seed"
            + (f"; missing: {', '.join(missing)}" if missing else "")
            + (f"; unknown: {', '.join(extra)}" if extra else "")
        )
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise ReferenceRefused(
                f"{path}, line {number}: {len(row)} values for {len(header)} columns"
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
            # An amount with more places than the column holds would be rounded in silence.
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
                    f"{path}, column {name}: {len(wrong)} value(s) that are no {kind} ({shown})"
                )


def _write(path: Path, header: list[str], rows: list[list[str]]) -> None:
    # Whole or not at all: a refresh under way may be reading it.
    partial = path.with_suffix(".partial")
    with partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
    os.replace(partial, path)
