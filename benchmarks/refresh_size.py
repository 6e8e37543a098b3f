"""Measure whole refreshes of the synthetic bank in several sizes, each in a home of its own.

The bank has 36 months. It is generated first, apart. The full refresh is as of the month before the
last and builds 35 months from nothing, with training; the further month is a second refresh in the
same home as of the last month, as each month in a bank: it rebuilds what changed, with the
champions as they are. Beside them, on the same data: the layers' SQL bare in DuckDB
(`benchmarks/layers.py`) and one mart by DuckDB, pandas and polars (`benchmarks/mart_peers.py`).

Memory is that of the whole process tree. All sizes have the same memory for the engine.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TypeVar
from unittest import mock

from benchmarks import layers, mart_peers
from benchmarks.homes import environment_of
from benchmarks.mart_peers import Mart
from benchmarks.measuring import Run, TreeRun, in_process, in_tree
from orchestration.landing.chosen_source import source_of
from orchestration.platform.engine import connect, connect_in_memory
from orchestration.platform.partitions import PERIOD, first_day
from orchestration.platform.settings import Settings, read_settings

Done = TypeVar("Done")
LAST_MONTH = str(PERIOD["synthetic"][1])
MONTH_BEFORE = f"{first_day(LAST_MONTH) - timedelta(days=1):%Y-%m}"


@dataclass(frozen=True)
class Refresh:
    """A refresh: its as-of month and the first month that it rebuilt (`YYYY-MM`), the bookings that
    had landed by then, the whole run, and its stages in the order in which they began."""

    as_of: str
    rebuilt_from: str
    bookings: int
    whole: Run
    stages: dict[str, Run]


@dataclass
class Size:
    """What was measured of a bank of so many customers; `problems` says why a part is missing."""

    customers: int
    generation: Run | None = None
    full: Refresh | None = None
    bare: dict[str, Run] = field(default_factory=dict)
    mart: Mart | None = None
    further: Refresh | None = None
    problems: dict[str, str] = field(default_factory=dict)

    @property
    def is_measured(self) -> bool:
        """Whether both refreshes and the bare SQL are there. A peer that failed is a result."""
        return bool(self.full and self.bare and self.further)


def measure(settings: Settings, customers: int) -> Size:
    """Everything of one size, in `bench/size-<customers>` of the home, which is emptied before. A
    part that fails is one of the problems, and the others are measured as far as they can be."""
    size = Size(customers)
    home = settings.home / "bench" / f"size-{customers}"
    settings = settings.model_copy(
        update={
            **{"home": home, "customers": customers, "source": "synthetic", "source_path": None},
            **{
                "mapping": None,
                "first_month": None,
                "reference_path": None,
                "release": "auto",
                "release_bound": None,
            },
            **{"as_of": MONTH_BEFORE, "train": "always", "promotion": "auto"},
        }
    )
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)

    def tried(part: str, work: Callable[[], Done]) -> Done | None:
        # Any error: hours of other sizes and parts must not be lost.
        try:
            return work()
        except Exception as error:
            size.problems[part] = f"{type(error).__name__}: {error}"
            return None

    size.generation = tried("the generation", lambda: _generated(settings))
    if not size.generation:
        return size
    size.full = tried("the full refresh", lambda: _refreshed(settings, ()))
    if not size.full:
        return size
    size.mart = tried("the mart", lambda: mart_peers.measure(settings, size.problems))
    # Before the further month, which leaves other statements and another warehouse.
    size.bare = tried("the bare SQL", lambda: layers.measure(settings)) or {}
    later = settings.model_copy(update={"as_of": LAST_MONTH, "train": "auto"})
    size.further = tried("the further month", lambda: _refreshed(later, ("--months", LAST_MONTH)))
    return size


def _generated(settings: Settings) -> Run:
    return in_process(
        [sys.executable, "-m", "benchmarks.refresh_size"],
        settings.home / "bench.log",
        **environment_of(settings),
    )


def _refreshed(settings: Settings, options: Sequence[str]) -> Refresh:
    run = in_tree(
        [sys.executable, "-m", "orchestration", "refresh", *options],
        settings.home / "bench.log",
        **environment_of(settings),
    )
    with connect(settings, settings.warehouse, read_only=True) as connection:
        ((rebuilt_from, bookings),) = connection.execute(
            "select strftime(month_from, '%Y-%m'), (select count(*) from landing.transaction) "
            "from landing.refresh_window"
        ).fetchall()
    return Refresh(
        str(settings.as_of),
        rebuilt_from,
        bookings,
        Run(run.seconds, run.peak_bytes()),
        _stages(settings.home, run),
    )


def _stages(home: Path, run: TreeRun) -> dict[str, Run]:
    from dagster import DagsterInstance

    with (
        mock.patch.dict(os.environ, DAGSTER_HOME=str(home / "dagster")),
        DagsterInstance.get() as instance,
    ):
        (last,) = instance.get_runs(limit=1)
        steps = instance.get_run_step_stats(last.run_id)
    spans = sorted(
        (step.start_time, step.end_time, step.step_key)
        for step in steps
        if step.start_time is not None and step.end_time is not None
    )
    return {name: Run(end - start, run.peak_bytes(start, end)) for start, end, name in spans}


if __name__ == "__main__":
    given = read_settings()
    with connect_in_memory(given) as connection:
        source_of(given).prepare(connection)
