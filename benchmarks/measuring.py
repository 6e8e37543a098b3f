"""Measure the time and the peak memory of a process, for all benchmarks."""

from __future__ import annotations

import math
import os
import re
import statistics
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestration.platform.environment import PROJECT

MEGABYTE = 1024**2
PEERS = PROJECT / ".venv" / "peers"
SAMPLED_EVERY = 0.5
# A process's high-water mark loses no more than what its last moments add.
READ_EVERY = 0.05


@dataclass(frozen=True)
class Run:
    """The duration of the measured work and the peak memory of its process."""

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
    """Run a command to its end, with its output in `log`.

    Raises
    ------
    RuntimeError
        With the last line of its output, when it fails.
    """
    named: Mapping[str, str] = {**os.environ, **environment}
    began, peak = time.monotonic(), 0
    with log.open("a") as words:
        process = subprocess.Popen(command, cwd=PROJECT, env=named, stdout=words, stderr=words)
        while True:
            try:
                status = process.wait(READ_EVERY)
                break
            except subprocess.TimeoutExpired:
                peak = max(peak, most_held_bytes(process.pid))
    seconds = time.monotonic() - began
    if status:
        raise RuntimeError(_failed(command, status, log))
    return Run(seconds, peak)


def most_held_bytes(process: int) -> int:
    """The most resident memory of a process since its program began. `ru_maxrss` counts what its
    parent held when it started the process."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    held = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(held[1]) * 1024 if held else 0


def _failed(command: Sequence[str], status: int, log: Path) -> str:
    """What failed and its last line; a status below 0 is the signal that ended it."""
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or [""]
    # An interpreter's module, or a program.
    named = " ".join(command[2:4]) if command[1:2] == ["-m"] else Path(command[0]).name
    return f"{named} ended with status {status}: {lines[-1].strip()} (see {log})"


@dataclass(frozen=True)
class TreeRun:
    """A command and all processes that it started: when it began (seconds since 1970), how long it
    took, and its memory from time to time (time, bytes)."""

    began: float
    seconds: float
    samples: tuple[tuple[float, int], ...]

    def peak_bytes(self, since: float = 0.0, until: float = float("inf")) -> int:
        """The most memory seen between two times."""
        return max((held for at, held in self.samples if since <= at <= until), default=0)


def process_tree(root: int) -> list[int]:
    """A process and its running descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                # The name in brackets may hold anything; what follows its end is numbers.
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found, waiting = [], [root]
    while waiting:
        found.append(waiting.pop())
        waiting += children.get(found[-1], [])
    return found


def held_bytes(process: int) -> int:
    """Proportional set size: pages that several processes share are counted once."""
    try:
        rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
    except OSError:
        return 0
    held = re.search(r"^Pss:\s+(\d+) kB$", rollup, re.MULTILINE)
    return int(held[1]) * 1024 if held else 0


def in_tree(command: Sequence[str], log: Path, **environment: str) -> TreeRun:
    """Run a command to its end, with its output in `log`, and sample its process tree's memory.

    Raises
    ------
    RuntimeError
        With the last line of its output, when it fails.
    """
    named: Mapping[str, str] = {**os.environ, **environment}
    samples: list[tuple[float, int]] = []
    ended = threading.Event()
    began, clock = time.time(), time.monotonic()
    with log.open("a") as words:
        process = subprocess.Popen(command, cwd=PROJECT, env=named, stdout=words, stderr=words)

        def watch() -> None:
            while not ended.wait(SAMPLED_EVERY):
                held = sum(held_bytes(one) for one in process_tree(process.pid))
                samples.append((time.time(), held))

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        status = process.wait()
        ended.set()
        watcher.join()
    if status:
        raise RuntimeError(_failed(command, status, log))
    return TreeRun(began, time.monotonic() - clock, tuple(samples))


def median(runs: Sequence[Run]) -> Run:
    """The median time and the median peak."""
    return Run(
        statistics.median(run.seconds for run in runs),
        int(statistics.median(run.peak_bytes for run in runs)),
    )


def growth(sizes: tuple[float, float], values: tuple[float, float]) -> float | None:
    """The exponent with which a value grows with the size: 1 is in proportion, 0 not at all. None
    where a value is 0 or less, as of a stage that is shorter than the samples of memory."""
    if min(values) <= 0:
        return None
    return math.log(values[1] / values[0]) / math.log(sizes[1] / sizes[0])
