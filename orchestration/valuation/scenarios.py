"""The months of the served release valued on other reference data, beside the release.

The value models of dbt run in a home of their own, on the release's base tables, over its whole
history. Served release, build warehouse and link do not change.
"""

from __future__ import annotations

import csv
import fcntl
import json
import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import duckdb

from orchestration.decisions.export import safe_text
from orchestration.platform.bank_currency import bank_currency
from orchestration.platform.dbt import BYTES_AN_ACCOUNT_MONTH, DBT_PROGRAM, SHOWN_LINES, target_path
from orchestration.platform.engine import connect
from orchestration.platform.environment import DBT_PROJECT, code_version
from orchestration.platform.files import write_whole
from orchestration.platform.optional_tables import has_table
from orchestration.platform.reference import digest, files_in_force, prepare_reference
from orchestration.platform.refusal import Refused
from orchestration.platform.releases import RELEASE, ReleaseRefused, served
from orchestration.platform.settings import Settings, named
from orchestration.platform.supervision import ended_with_this_process
from orchestration.valuation.queries import Row, rows
from orchestration.value.default_probability import TABLE as DEFAULT_PROBABILITY
from sources.message import Message

FOLDER = Path(__file__).parent / "scenario"
NAME = re.compile(r"[\w+-]([\w+., -]{0,62}[\w+-])?")
DATABASE, DIFFERENCE, SUMMARY = "scenario.duckdb", "difference.csv", "scenario.json"
CHECK = "reference_data_cover_every_case_once"
# The seed of gate G2 is not tagged with the layer; the check and the reconciliation read it.
SEEDS = ("tag:value,resource_type:seed", "ledger_tolerance")
KEPT_SCHEMAS = ("value", "decisions", "reference")
SHOWN_COMPLAINTS = 5


class ScenarioRefused(Refused):
    """The scenario cannot be valued."""


class ScenarioFailed(RuntimeError):
    """dbt did not build the scenario."""


def value_scenario(settings: Settings, name: str) -> Row:
    """Value the release's months on the settings' reference data and keep the result in
    `scenarios/<name>`; returns the differences.

    Raises
    ------
    ScenarioRefused
        For a name that is no name of a folder or of a scenario that is running, and for reference
        data that fail their check.
    ReleaseRefused
        When nothing is published yet.
    ScenarioFailed
        When dbt does not build the value models.
    """
    if not NAME.fullmatch(name):
        raise ScenarioRefused(
            Message(
                "NAME={0} is invalid: expected up to 64 letters, digits, spaces and + - . , _, "
                "such as +100bp. Choose another name.",
                name,
            )
        )
    if settings.reference_path is None:
        raise ScenarioRefused(
            Message(
                "{0} is missing: name the folder of the scenario's reference data.",
                named("reference_path"),
            )
        )
    path = served(settings)
    if path is None:
        raise ReleaseRefused(Message("no release is published. Run make refresh."))
    with _one_of_a_name(settings, name), _own_home(settings, name) as inner:
        prepare_reference(inner)
        with connect(inner, inner.warehouse) as connection:
            as_of, months_at_once = _lay_base(connection, inner, path)
        _build(inner, months_at_once)
        with connect(inner, inner.warehouse) as connection:
            _attach(connection, path)
            found = _compared(connection, settings, name, path, as_of)
            _keep(connection, settings, name, found)
    return found


@contextmanager
def _one_of_a_name(settings: Settings, name: str) -> Iterator[None]:
    """Hold the lock of a scenario's name; the operating system releases it with this process."""
    settings.scenarios.mkdir(parents=True, exist_ok=True)
    with (settings.scenarios / f".{name}.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ScenarioRefused(
                Message(
                    "NAME={0} is invalid: expected a scenario that is not running, and another "
                    "process is valuing this one. Wait for it to end, or choose another name.",
                    name,
                )
            ) from error
        yield


@contextmanager
def _own_home(settings: Settings, name: str) -> Iterator[Settings]:
    """Settings whose warehouse, reference data and temporary files are the scenario's own."""
    home = settings.temporary / f"scenario-{name}"
    shutil.rmtree(home, ignore_errors=True)
    inner = settings.model_copy(update={"home": home})
    for folder in (inner.warehouse.parent, inner.scratch, target_path(inner)):
        folder.mkdir(parents=True)
    try:
        yield inner
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _attach(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    quoted = str(path).replace("'", "''")
    connection.execute(f"attach '{quoted}' as {RELEASE} (read_only)")


def _lay_base(
    connection: duckdb.DuckDBPyConnection, inner: Settings, path: Path
) -> tuple[date, int]:
    """Copy what the value models read from the release; returns its as-of month, and how many
    months dbt builds at a time."""
    _attach(connection, path)
    if not has_table(connection, "value.product_parameter", RELEASE):
        raise ReleaseRefused(
            Message(
                "release {0} is invalid: expected the table(s) {1}, which releases of earlier "
                "versions do not have. Run make refresh.",
                *(path.stem, "value.product_parameter"),
            )
        )
    base = connection.execute(
        "select schema_name, table_name from duckdb_tables() where database_name = ? "
        "and (schema_name = 'base' or schema_name || '.' || table_name = ?)",
        [RELEASE, DEFAULT_PROBABILITY],
    ).fetchall()
    for schema, table in base:
        connection.execute(f"create schema if not exists {schema}")
        connection.sql(f'from {RELEASE}.{schema}."{table}"').create(f"{schema}.{table}")
    window = connection.sql(
        "select min(month) as month_from, max(month) as month_to, last_day(max(month)) as as_of, "
        "max(month) as as_of_month, min(month) as first_month, any_value(source) as source "
        f"from {RELEASE}.value.product_parameter, {RELEASE}.meta.release"
    )
    window.create("base.refresh_window")
    ((as_of, accounts),) = connection.execute(
        "select as_of_month, (select count(*) from base.account) from base.refresh_window"
    ).fetchall()
    connection.execute(f"detach {RELEASE}")
    return as_of, max(1, inner.memory_bytes // (BYTES_AN_ACCOUNT_MONTH * max(1, accounts)))


def _build(inner: Settings, months_at_once: int) -> None:
    """Load and check the reference data, then build the value models."""
    if _dbt(inner, months_at_once, *SEEDS, CHECK):
        complaints = _complaints(inner)
        if complaints:
            raise ScenarioRefused(
                Message(
                    "{0} is invalid: {1}. Correct the files; docs/value.md has their columns.",
                    *(named("reference_path"), "; ".join(complaints)),
                )
            )
        raise ScenarioFailed(_last_words(inner))
    if _dbt(inner, months_at_once, "tag:value", "--exclude", *SEEDS, CHECK):
        raise ScenarioFailed(_last_words(inner))


def _dbt(inner: Settings, months_at_once: int, *select: str) -> int:
    """`dbt build` in the scenario's home; returns its exit status."""
    target = target_path(inner)
    arguments = [
        *(DBT_PROGRAM, "--no-use-colors", "build", "--no-write-json"),
        *("--exclude-resource-type", "unit_test", "--project-dir", str(DBT_PROJECT)),
        *("--profiles-dir", str(DBT_PROJECT), "--target-path", str(target)),
        *("--log-path", str(target), "--select", *select),
    ]
    environment = {
        **os.environ,
        "DBT_WAREHOUSE": str(inner.warehouse),
        "DBT_TEMP_DIRECTORY": str(inner.scratch / "dbt"),
        "DBT_MONTHS_AT_ONCE": str(months_at_once),
    }
    with (target / "build.log").open("a") as log:
        process = subprocess.Popen(arguments, stdout=log, stderr=log, env=environment)
        with ended_with_this_process(process):
            return process.wait()


def _complaints(inner: Settings) -> list[str]:
    """What the check of the reference data found, if it ran."""
    compiled = list((target_path(inner) / "compiled").rglob(f"{CHECK}.sql"))
    if not compiled:
        return []
    with connect(inner, inner.warehouse) as connection:
        found = connection.execute(compiled[0].read_text()).fetchmany(SHOWN_COMPLAINTS)
    return [what for (what,) in found]


def _last_words(inner: Settings) -> str:
    lines = (target_path(inner) / "build.log").read_text(errors="replace").splitlines()
    return "dbt did not build the scenario: " + "\n".join(lines[-SHOWN_LINES:])


def _compared(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    name: str,
    path: Path,
    as_of: date,
) -> Row:
    """The scenario beside the release, and what makes them differ."""
    ((differing,),) = connection.execute(
        "select count(*) from value.reconciliation where abs(difference) > tolerance"
    ).fetchall()
    if differing:
        raise ScenarioFailed(
            f"{differing} lines of value.reconciliation differ: expected none. Run make refresh "
            "with this reference data to see which."
        )
    released = dict(
        connection.execute(f"select seed, sha256 from {RELEASE}.meta.reference_data").fetchall()
    )
    ((code,),) = connection.execute(f"select code_version from {RELEASE}.meta.release").fetchall()
    values: Row = {"as_of": as_of}
    return {
        "name": name,
        "release": path.stem,
        "as_of": f"{as_of:%Y-%m}",
        "changed": [
            seed
            for seed, file in files_in_force(settings).items()
            if digest(file) != released.get(seed)
        ],
        "same_code": code == code_version(),
        "customers_of_another_tier": rows(connection, FOLDER / "tier_move.sql", values)[0][
            "customers"
        ],
        "currency": bank_currency(connection),
        "folder": str(settings.scenarios / name),
        "file": str(settings.scenarios / name / DIFFERENCE),
        "differences": rows(connection, FOLDER / "difference.sql", values),
    }


def _keep(connection: duckdb.DuckDBPyConnection, settings: Settings, name: str, found: Row) -> None:
    """Replace the scenario's folder, whole or not at all."""
    target = settings.scenarios / name
    draft = settings.scenarios / f".{name}.{uuid.uuid4().hex}.partial"
    draft.mkdir()
    try:
        quoted = str(draft / DATABASE).replace("'", "''")
        connection.execute(f"attach '{quoted}' as kept")
        built = connection.execute(
            "select distinct table_schema, table_name from information_schema.tables "
            "where table_catalog = current_database() and list_contains(?, table_schema)",
            [list(KEPT_SCHEMAS)],
        ).fetchall()
        for schema, table in built:
            connection.execute(f"create schema if not exists kept.{schema}")
            connection.sql(f'from {schema}."{table}"').create(f"kept.{schema}.{table}")
        connection.execute("detach kept")
        write_whole(draft / SUMMARY, json.dumps(found, default=str, indent=1))
        _write_csv(draft / DIFFERENCE, found["differences"], settings.export_bom)
        shutil.rmtree(target, ignore_errors=True)
        os.replace(draft, target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _write_csv(path: Path, found: Sequence[Row], bom: bool) -> None:
    """RFC 4180; a text that a spreadsheet takes for a formula gets an apostrophe in front."""
    with path.open("w", encoding="utf-8-sig" if bom else "utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(found[0])
        for row in found:
            writer.writerow(safe_text(one) if isinstance(one, str) else one for one in row.values())
