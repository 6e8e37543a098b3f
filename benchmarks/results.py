"""The results of `make bench`: one JSON file a commit, with the machine and the versions."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import distributions, version
from pathlib import Path

from pydantic import TypeAdapter

from benchmarks.measuring import PEERS, Row
from benchmarks.refresh_size import Size
from orchestration.platform.environment import PROJECT, code_version
from orchestration.platform.files import write_whole
from orchestration.platform.memory import processors
from orchestration.platform.settings import Settings

PACKAGES = ("duckdb", "dbt-core", "dbt-duckdb", "dagster", "mlflow", "pandas")
PEER_PACKAGES = ("polars", "lifetimes")


class OtherMemory(Exception):
    """The results at hand were measured with another memory of the engine."""


@dataclass
class Results:
    """Figures of one commit on one machine.

    Attributes
    ----------
    code : version and digest of the code and seeds that define the tables
    memory : the engine's limit, such as `4000MB`, the same in all sizes
    machine, versions : by name
    rows : the tasks beside a named baseline
    sizes : in ascending order of customers
    """

    commit: str
    code: str
    measured_on: date
    memory: str
    machine: dict[str, str]
    versions: dict[str, str]
    rows: list[Row] = field(default_factory=list)
    sizes: list[Size] = field(default_factory=list)

    def put(self, size: Size) -> None:
        """Add a size in place of an earlier measurement of it."""
        others = [one for one in self.sizes if one.customers != size.customers]
        self.sizes = sorted([*others, size], key=lambda one: one.customers)

    def put_rows(self, rows: list[Row]) -> None:
        """Add tasks in place of earlier measurements of them."""
        tasks = {row.task for row in rows}
        self.rows = [*(row for row in self.rows if row.task not in tasks), *rows]

    def measured(self, customers: int) -> Size | None:
        """A size that needs no other measurement."""
        found = (one for one in self.sizes if one.customers == customers and one.is_measured)
        return next(found, None)


DOCUMENT = TypeAdapter(Results)


def read(path: Path) -> Results:
    """The results of a file.

    Raises
    ------
    pydantic.ValidationError
        When the file is no results.
    """
    return DOCUMENT.validate_json(path.read_bytes())


def write(results: Results, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, DOCUMENT.dump_json(results, indent=1).decode() + "\n")


def begin(settings: Settings) -> tuple[Path, Results]:
    """The results of this commit in the home, to be continued, or new ones; and their file.

    Raises
    ------
    OtherMemory
        When JINGXI_MEMORY is set to another amount than that of the results at hand.
    """
    folder, commit = settings.home / "bench" / "results", commit_of(PROJECT)
    for path in sorted(folder.glob(f"*-{commit}.json"), reverse=True):
        found = read(path)
        if found.code != code_version():
            continue
        if settings.memory is not None and settings.engine_memory != found.memory:
            raise OtherMemory(
                f"MEMORY (JINGXI_MEMORY) is invalid: expected {found.memory}, with which the "
                f"results of this commit were measured, got {settings.engine_memory}. Set "
                f"MEMORY={found.memory}, or move {path} away to measure all again."
            )
        return path, found
    results = Results(
        commit, code_version(), date.today(), settings.engine_memory, machine(), versions()
    )
    return folder / f"{results.measured_on}-{commit}.json", results


def commit_of(project: Path) -> str:
    """The commit, marked where files differ from it; the version of the code without git."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(project), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    try:
        changed = "-changed" if git("status", "--porcelain", "--untracked-files=no") else ""
        return git("rev-parse", "--short=12", "HEAD") + changed
    except (OSError, subprocess.CalledProcessError):
        return code_version().replace("+", "-")


def machine() -> dict[str, str]:
    """What the figures depend on; no names of machines or people."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return {
        "processors": f"{processors()}",
        "memory": f"{memory:.0f} GB",
        "load when it began": f"{os.getloadavg()[0]:.1f}",
        "system": f"{platform.system()} {platform.machine()}",
        "Python": platform.python_version(),
    }


def versions() -> dict[str, str]:
    """The versions of what is measured; a peer that is not installed has none."""
    peers = {one.name.lower(): one.version for one in distributions(path=[str(PEERS)])}
    return {name: version(name) for name in PACKAGES} | {
        name: peers[name] for name in PEER_PACKAGES if name in peers
    }
