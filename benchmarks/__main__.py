"""`make bench`: speed and memory, beside named baselines measured in the same run."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import arbitration, purchase_models, refresh_size, report, results
from benchmarks.measuring import Row
from orchestration.platform.environment import QUIET
from orchestration.platform.memory import parse_memory
from orchestration.platform.settings import Settings, read_settings

MILLION = 1_000_000
PLANNED, RELAXED = 100_000, 20_000
SIZES = [10_000, 100_000]


def main(arguments: list[str] | None = None) -> int:
    """1 when something could not be measured."""
    asked = argparse.ArgumentParser(prog="make bench", description=__doc__.split("\n")[0])
    asked.add_argument("--only", choices=("purchases", "plan", "size"), help="default: all")
    asked.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="customers of each bank")
    asked.add_argument("--rounds", type=int, default=3, help="pairs; the median is shown")
    asked.add_argument(
        "--report", type=Path, help="measure nothing: write docs/performance.md from this JSON file"
    )
    given = asked.parse_args(arguments)
    if min(given.sizes) < 100 or given.rounds < 1:
        asked.error("SIZES or ROUNDS is invalid: expected sizes of 100 or more, and 1 or more")
    if given.report:
        report.write_page(results.read(given.report))
        return 0
    os.environ.update(QUIET)
    settings = read_settings()
    try:
        path, found = results.begin(settings)
    except results.OtherMemory as error:
        raise SystemExit(str(error)) from error
    settings = settings.model_copy(update={"memory": parse_memory(found.memory)})
    failed = False
    tasks: dict[str, Callable[[], list[Row]]] = {
        "purchases": lambda: purchase_models.measure(settings, MILLION, given.rounds),
        "plan": lambda: arbitration.measure(settings, PLANNED, RELAXED, given.rounds),
    }
    for name in [name for name in tasks if given.only in (None, name)]:
        try:
            rows = tasks[name]()
        except RuntimeError as error:
            failed = True
            print(f"{name}: {error}\n", flush=True)
            continue
        found.put_rows(rows)
        results.write(found, path)
        print("\n".join(map(str, rows)), "\n", flush=True)
    if given.only in (None, "size"):
        failed |= _sizes(settings, sorted(set(given.sizes)), found, path)
    print(f"{path}\nthe page of it: make bench REPORT={path}")
    return int(failed)


def _sizes(settings: Settings, sizes: list[int], found: results.Results, path: Path) -> bool:
    """Measure what is not measured yet; whether anything failed."""
    for customers in sizes:
        if found.measured(customers):
            print(f"{customers:,} customers: measured before at this commit\n", flush=True)
            continue
        print(f"{customers:,} customers: generation, two refreshes and their peers", flush=True)
        size = refresh_size.measure(settings, customers)
        found.put(size)
        results.write(found, path)
        for part, why in size.problems.items():
            print(f"  {part}: {why}", flush=True)
    print(report.figures(found))
    return any(size.problems for size in found.sizes if size.customers in sizes)


if __name__ == "__main__":
    sys.exit(main())
