"""`make bench`: speed and memory, as ratios against a named baseline measured in the same run."""

from __future__ import annotations

import argparse
import os
import sys

from benchmarks import arbitration, purchase_models, refresh_size, value_build
from orchestration.platform.environment import QUIET
from orchestration.platform.settings import read_settings

MILLION = 1_000_000
PLANNED, RELAXED = 100_000, 20_000


def main(arguments: list[str] | None = None) -> int:
    asked = argparse.ArgumentParser(prog="make bench", description=__doc__.split("\n")[0])
    asked.add_argument(
        "--only",
        choices=("value", "purchases", "plan", "size"),
        help="default: all but size, which refreshes whole banks",
    )
    asked.add_argument(
        "--customers", type=int, default=100_000, help="of the bank that is built or refreshed"
    )
    asked.add_argument("--months", type=int, default=24, choices=sorted(value_build.AS_OF))
    asked.add_argument("--rounds", type=int, default=3, help="pairs; the median is shown")
    given = asked.parse_args(arguments)
    os.environ.update(QUIET)
    settings = read_settings()
    if given.only in (None, "purchases"):
        for row in purchase_models.measure(settings, MILLION, given.rounds):
            print(row, flush=True)
    if given.only in (None, "plan"):
        for row in arbitration.measure(settings, PLANNED, RELAXED, given.rounds):
            print(row, flush=True)
    if given.only in (None, "value"):
        print(value_build.measure(settings, given.customers, given.months, given.rounds))
    if given.only == "size":
        print(refresh_size.measure(settings, given.customers))
    return 0


if __name__ == "__main__":
    sys.exit(main())
