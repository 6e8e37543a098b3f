"""The SQL of the layers base, value and features, bare in DuckDB: the baseline of dbt's layers.

It is the SQL that dbt sent in the refresh, with its column types and, where memory is small, its
parts by months; without dbt's start, tests and statistics. It builds a copy of the warehouse, one
statement after the other, each layer in a process of its own with the same memory limit.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.homes import environment_of
from benchmarks.measuring import Run, in_process
from orchestration.platform.dbt import MANIFEST, RUN, target_path
from orchestration.platform.engine import connect
from orchestration.platform.settings import Settings, read_settings

LAYERS = ("base", "value", "features")
# dbt builds a table or view beside the old one and then renames it.
BESIDE = '__dbt_tmp"'


@dataclass(frozen=True)
class Statement:
    """What dbt sent to build a model, and the statement that removes the model."""

    create: str
    drop: str


def statements(manifest: Path, sent: Path) -> dict[str, list[Statement]]:
    """The statements of each layer's models, each after those that it reads.

    Parameters
    ----------
    manifest : the manifest of the dbt project
    sent : the folder `run` of dbt's target after a first, whole refresh; a later one leaves
        statements that replace some months
    """
    nodes = json.loads(manifest.read_text(encoding="utf-8"))["nodes"]
    return {
        layer: [_statement(node, sent) for node in in_order(models_of(nodes, layer))]
        for layer in LAYERS
    }


def models_of(nodes: Mapping[str, Any], layer: str) -> dict[str, Any]:
    """The models that the step of a layer builds, by their ids."""
    return {
        name: node
        for name, node in nodes.items()
        if node["resource_type"] == "model" and node["tags"] == [layer]
    }


def in_order(models: Mapping[str, Any]) -> list[Any]:
    """Each model after those that it reads."""
    ordered: list[str] = []
    while len(ordered) < len(models):
        ordered += [
            name
            for name, node in models.items()
            if name not in ordered
            and all(read in ordered or read not in models for read in node["depends_on"]["nodes"])
        ]
    return [models[name] for name in ordered]


def _statement(node: Mapping[str, Any], sent: Path) -> Statement:
    file = sent / node["package_name"] / node["original_file_path"]
    kind = "view" if node["config"]["materialized"] == "view" else "table"
    return Statement(
        file.read_text(encoding="utf-8").replace(BESIDE, '"'),
        f"drop {kind} if exists {node['relation_name']}",
    )


def measure(settings: Settings) -> dict[str, Run]:
    """Seconds and peak memory of each layer's SQL, in a copy of a home's warehouse, which is
    removed. The home must hold one whole refresh and no other.

    Raises
    ------
    RuntimeError
        When a statement fails, as where the memory does not suffice.
    OSError
        When the disk has no room for the copy.
    """
    target = target_path(settings)
    found = statements(target / MANIFEST, target / RUN / "run")
    # DuckDB names the catalog after the file, and the statements name the catalog.
    copy = settings.home / "bare" / settings.warehouse.name
    copy.parent.mkdir(exist_ok=True)
    try:
        shutil.copy(settings.warehouse, copy)
        _forget(settings, copy, [one for layer in LAYERS for one in found[layer]])
        return {
            layer: _measured(settings, copy, [one.create for one in found[layer]])
            for layer in LAYERS
        }
    finally:
        shutil.rmtree(copy.parent)


def _forget(settings: Settings, warehouse: Path, built: Sequence[Statement]) -> None:
    with connect(settings, warehouse) as connection:
        for statement in reversed(built):
            connection.execute(statement.drop)
        connection.execute("checkpoint")


def _measured(settings: Settings, warehouse: Path, creating: Sequence[str]) -> Run:
    given, result = warehouse.parent / "statements.json", warehouse.parent / "seconds.json"
    given.write_text(json.dumps(creating), encoding="utf-8")
    run = in_process(
        [sys.executable, "-m", "benchmarks.layers", str(warehouse), str(given), str(result)],
        settings.home / "bench.log",
        **environment_of(settings),
    )
    return Run(json.loads(result.read_text()), run.peak_bytes)


def run_bare(warehouse: Path, creating: Sequence[str]) -> float:
    """Run the statements one after the other, nothing else; the seconds, with the checkpoint."""
    began = time.monotonic()
    with connect(read_settings(), warehouse) as connection:
        connection.execute("set preserve_insertion_order = false")
        for statement in creating:
            connection.execute(statement)
    return time.monotonic() - began


if __name__ == "__main__":
    seconds = run_bare(Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text()))
    Path(sys.argv[3]).write_text(json.dumps(seconds))
