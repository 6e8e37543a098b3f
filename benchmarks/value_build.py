"""Benchmark the build of value by dbt against the same SQL run directly in DuckDB.

The direct run is the baseline: DuckDB's own work, without dbt's start, contracts and tests. Both
run in processes of their own on the same warehouse file, one after the other, with the same memory
limit; `rounds` pairs, the median of each.
"""

from __future__ import annotations

import json
import sys
from datetime import date
from pathlib import Path

from benchmarks.measuring import Row, Run, in_process, median
from orchestration.landing.delivery import open_delivery
from orchestration.landing.engine import Window, land
from orchestration.landing.token_key import token_key
from orchestration.platform import environment, reference
from orchestration.platform.engine import connect
from orchestration.platform.environment import DBT_PROJECT
from orchestration.platform.partitions import first_day, last_day
from orchestration.platform.settings import Settings, read_settings
from orchestration.value import default_probability

# The synthetic bank begins in 2023-01.
AS_OF = {12: "2023-12", 24: "2024-12", 36: "2025-12"}


def warehouse_with_base(settings: Settings, months: int) -> Path:
    """A warehouse of the synthetic bank with landing and base, built once per home."""
    settings = settings.model_copy(update={"as_of": AS_OF[months]})
    environment.prepare(settings)
    reference.prepare_reference(settings)
    done = settings.home / "base.done"
    if done.exists():
        return settings.warehouse
    with connect(settings, settings.warehouse) as connection:
        delivery = open_delivery(settings, connection)
        window = Window(
            first_month=first_day(delivery.first_month),
            month_from=first_day(delivery.first_month),
            month_to=first_day(delivery.as_of),
            as_of=last_day(delivery.as_of),
        )
        land(connection, delivery.source, window, settings.landing, token_key(settings))
        default_probability.ensure(connection, settings)
    _dbt(settings, "tag:staging tag:base")
    done.write_text(f"{date.today()}\n")
    return settings.warehouse


def _dbt(settings: Settings, select: str) -> Run:
    program = Path(sys.executable).parent / "dbt"
    target = settings.home / "dbt"
    return _measured(
        [
            *(str(program), "--no-use-colors", "build", "--exclude-resource-type", "unit_test"),
            *("--select", *select.split()),
            *("--project-dir", str(DBT_PROJECT), "--profiles-dir", str(DBT_PROJECT)),
            *("--target-path", str(target), "--log-path", str(target)),
        ],
        settings,
    )


def _measured(command: list[str], settings: Settings) -> Run:
    return in_process(
        command,
        settings.home / "bench.log",
        JINGXI_HOME=str(settings.home),
        DBT_WAREHOUSE=str(settings.warehouse),
    )


def value_statements(manifest: Path) -> list[str]:
    """The SQL of the value step's models as dbt compiled it, each after those it reads."""
    nodes = json.loads(manifest.read_text())["nodes"]
    models = {
        name: node
        for name, node in nodes.items()
        if node["resource_type"] == "model" and node["tags"] == ["value"]
    }
    ordered: list[str] = []
    while len(ordered) < len(models):
        ordered += [
            name
            for name, node in models.items()
            if name not in ordered
            and all(read in ordered or read not in models for read in node["depends_on"]["nodes"])
        ]
    statements = [
        f"create schema if not exists {schema}"
        for schema in sorted({node["schema"] for node in models.values()})
    ]
    for name in ordered:
        node = models[name]
        kind = "view" if node["config"]["materialized"] == "view" else "table"
        statements.append(f"create {kind} {node['relation_name']} as {node['compiled_code']}")
    return statements


def run_bare(warehouse: Path, statements: list[str]) -> None:
    """The statements one after the other, nothing else."""
    with connect(read_settings(), warehouse) as connection:
        connection.execute("set preserve_insertion_order = false")
        for statement in statements:
            connection.execute(statement)


def _forget_value(settings: Settings) -> None:
    with connect(settings, settings.warehouse) as connection:
        for schema in ("decisions", "value"):
            connection.execute(f"drop schema if exists {schema} cascade")
        connection.execute("checkpoint")


def measure(settings: Settings, customers: int, months: int, rounds: int) -> Row:
    """The row of `make bench`."""
    home = settings.home / "bench" / f"value-{customers}-{months}"
    settings = settings.model_copy(update={"home": home, "customers": customers})
    warehouse = warehouse_with_base(settings, months)
    by_dbt, bare = [], []
    for _ in range(rounds):
        _forget_value(settings)
        by_dbt.append(_dbt(settings, "tag:value"))
        statements = home / "value.json"
        statements.write_text(json.dumps(value_statements(home / "dbt" / "manifest.json")))
        _forget_value(settings)
        bare.append(
            _measured(
                [sys.executable, "-m", "benchmarks.value_build", str(warehouse), str(statements)],
                settings,
            )
        )
    with connect(settings, settings.warehouse, read_only=True) as connection:
        ((rows, differing),) = connection.execute(
            "select (select count(*) from value.account_month), "
            "(select count(*) from value.reconciliation where difference <> 0)"
        ).fetchall()
    return Row(
        f"value of {customers:,} customers x {months} months by dbt, beside its SQL bare in DuckDB",
        median(by_dbt),
        median(bare),
        "bare DuckDB",
        f"{rows:,} account-months, {differing} statements that do not reconcile",
    )


if __name__ == "__main__":
    run_bare(Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text()))
