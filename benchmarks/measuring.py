"""What every benchmark measures alike: a process of its own, its time and its peak of memory."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestration.environment import PROJECT

MEGABYTE = 1024**2


@dataclass(frozen=True)
class Run:
    """How long the measured work took, and the most memory its process held."""

    seconds: float
    peak_bytes: int


@dataclass(frozen=True)
class Row:
    """A block of `make bench`: the task, the medians of ours and of a named baseline, a note."""

    task: str
    ours: Run
    baseline: Run
    baseline_name: str
    note: str

    def __str__(self) -> str:
        ours, base = self.ours, self.baseline
        lines = [self.task, f"  {'':<14}{'seconds':>10}{'peak memory':>14}"]
        for name, run in (("jingxi", ours), (self.baseline_name, base)):
            lines.append(f"  {name:<14}{run.seconds:>10.2f}{run.peak_bytes / MEGABYTE:>11.0f} MB")
        lines.append(
            f"  {'ratio':<14}{ours.seconds / base.seconds:>10.3f}"
            f"{ours.peak_bytes / base.peak_bytes:>14.2f}"
        )
        return "\n".join([*lines, f"  {self.note}"])


def in_process(command: Sequence[str], log: Path, **environment: str) -> Run:
    """Run a command to its end, its words into `log`.

    Raises
    ------
    RuntimeError
        When it fails.
    """
    named: Mapping[str, str] = {**os.environ, **environment}
    began = time.monotonic()
    with log.open("a") as words:
        process = subprocess.Popen(command, cwd=PROJECT, env=named, stdout=words, stderr=words)
        _, status, used = os.wait4(process.pid, 0)
    seconds = time.monotonic() - began
    if status:
        raise RuntimeError(f"{command[0]} failed; see {log}")
    return Run(seconds, used.ru_maxrss * 1024)


def median(runs: Sequence[Run]) -> Run:
    """The middle of the times and of the peaks, each by itself."""
    return Run(
        statistics.median(run.seconds for run in runs),
        int(statistics.median(run.peak_bytes for run in runs)),
    )
