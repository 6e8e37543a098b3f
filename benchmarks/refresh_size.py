"""Benchmark a whole refresh of a large bank: seconds and memory by stage, and the default bank's.

The baseline is the refresh of 10,000 customers in the same run, with the same memory for the engine
(`JINGXI_MEMORY`). A stage that takes more than the ratio of the customers grows faster than the
bank does. Memory is that of the whole process tree.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from benchmarks.measuring import MEGABYTE, TreeRun, in_tree
from orchestration.platform.settings import Settings

BASELINE = 10_000


@dataclass(frozen=True)
class Stage:
    """A step of the refresh: how long it took and the most memory the process tree then held."""

    seconds: float
    peak_bytes: int


@dataclass(frozen=True)
class Refresh:
    """A refresh of so many customers, its stages in the order in which they began."""

    customers: int
    run: TreeRun
    stages: dict[str, Stage]


def measured(settings: Settings, customers: int) -> Refresh:
    """Refresh a bank of so many customers in a home of its own; the bank is generated once."""
    home = settings.home / "bench" / f"refresh-{customers}"
    home.mkdir(parents=True, exist_ok=True)
    run = in_tree(
        [sys.executable, "-m", "orchestration", "refresh"],
        home / "bench.log",
        JINGXI_HOME=str(home),
        JINGXI_CUSTOMERS=str(customers),
        JINGXI_TRAIN="always",
    )
    return Refresh(customers, run, _stages(home, run))


def _stages(home: Path, run: TreeRun) -> dict[str, Stage]:
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
    return {name: Stage(end - start, run.peak_bytes(start, end)) for start, end, name in spans}


def report(large: Refresh, base: Refresh, engine_memory: str) -> str:
    """Both refreshes, stage by stage, with the ratio of their seconds."""
    times = large.customers / base.customers
    lines = [
        f"refresh of {large.customers:,} customers beside {base.customers:,} "
        f"({times:g} times as many), engine memory {engine_memory}",
        f"  {'':<32}{'seconds':>9}{'baseline':>10}{'ratio':>7}{'peak':>10}",
    ]
    for name, stage in large.stages.items():
        before = base.stages[name].seconds if name in base.stages else float("nan")
        lines.append(
            f"  {name:<32}{stage.seconds:>9.1f}{before:>10.1f}{stage.seconds / before:>7.1f}"
            f"{stage.peak_bytes / MEGABYTE:>7.0f} MB"
        )
    lines.append(
        f"  {'whole':<32}{large.run.seconds:>9.1f}{base.run.seconds:>10.1f}"
        f"{large.run.seconds / base.run.seconds:>7.1f}"
        f"{large.run.peak_bytes() / MEGABYTE:>7.0f} MB"
    )
    return "\n".join(lines)


def measure(settings: Settings, customers: int) -> str:
    """The block of `make bench`."""
    base = measured(settings, BASELINE)
    return report(measured(settings, customers), base, settings.engine_memory)
