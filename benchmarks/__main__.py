"""`make bench`: speed and memory, as ratios against a named baseline measured in the same run."""

from __future__ import annotations

import argparse
import os
import sys

from benchmarks import value_build
from orchestration.environment import QUIET
from orchestration.settings import read_settings

MEGABYTE = 1024**2


def table(rows: list[value_build.Row]) -> str:
    """A block a task."""
    lines = []
    for row in rows:
        ours, base = row.ours, row.baseline
        lines += [
            row.task,
            f"  {'':<12}{'seconds':>10}{'peak memory':>14}",
            f"  {'jingxi':<12}{ours.seconds:>10.1f}{ours.peak_bytes / MEGABYTE:>11.0f} MB",
            f"  {'baseline':<12}{base.seconds:>10.1f}{base.peak_bytes / MEGABYTE:>11.0f} MB",
            f"  {'ratio':<12}{ours.seconds / base.seconds:>10.2f}"
            f"{ours.peak_bytes / base.peak_bytes:>14.2f}",
            f"  {row.note}",
        ]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    asked = argparse.ArgumentParser(prog="make bench", description=__doc__.split("\n")[0])
    asked.add_argument("--customers", type=int, default=100_000)
    asked.add_argument("--months", type=int, default=24, choices=sorted(value_build.AS_OF))
    asked.add_argument("--rounds", type=int, default=3, help="pairs; the median is shown")
    given = asked.parse_args(arguments)
    os.environ.update(QUIET)
    rows = [value_build.measure(read_settings(), given.customers, given.months, given.rounds)]
    print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
