"""The memory budget of DuckDB: `JINGXI_MEMORY`, or a share of the memory free to this process.

It limits DuckDB's buffers in the working process. Python's own data need memory in addition: the
whole process tree of a refresh needs about twice as much (docs/decisions/0019).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

MEGABYTE, GIGABYTE = 10**6, 10**9
UNITS = {"MB": MEGABYTE, "GB": GIGABYTE}
FORM = re.compile(r"(\d+(?:\.\d+)?)\s*(MB|GB)", re.IGNORECASE)

# With less, a refresh of the smallest bank does not finish.
LEAST = 400 * MEGABYTE
# More does not make a refresh faster: data that do not fit are spilled and read back from the page
# cache.
MOST_BY_DEFAULT = 4 * GIGABYTE
# DuckDB's operators reserve memory per thread.
LEAST_A_THREAD = 200 * MEGABYTE


def parse_memory(text: str) -> int:
    """`2GB`, `1.5GB`, `800MB` → bytes; decimal units, in either case.

    Raises
    ------
    ValueError
        For a text of another form, or less than a refresh needs.
    """
    found = FORM.fullmatch(text.strip())
    if not found:
        raise ValueError(
            f"{text!r} is not an amount of memory: expected a number with MB or GB, such as 2GB or "
            "800MB"
        )
    amount = int(float(found[1]) * UNITS[found[2].upper()])
    if amount < LEAST:
        raise ValueError(f"{text!r} is too small: expected at least {shown(LEAST)}")
    return amount


def shown(amount: int) -> str:
    """Bytes as a setting, which is also what DuckDB reads: `4000MB`."""
    return f"{amount // MEGABYTE}MB"


def default_budget(free: int) -> int:
    """Half of the free memory, between `LEAST` and `MOST_BY_DEFAULT`; bytes."""
    return max(LEAST, min(free // 2, MOST_BY_DEFAULT))


def engine_threads(budget: int, processors: int) -> int:
    """One thread per processor, fewer if each would have less memory than `LEAST_A_THREAD`."""
    return max(1, min(processors, budget // LEAST_A_THREAD))


def processors() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_bytes(root: Path = Path("/")) -> int:
    """The memory that this process may still use: the machine's available memory, or what its
    control groups (version 1 or 2) leave, whichever is less.

    `root` is the folder of `proc` and `sys`. Without `/proc/meminfo` it is the physical memory.
    """
    try:
        meminfo = (root / "proc" / "meminfo").read_text()
    except OSError:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    (available,) = re.findall(r"^MemAvailable:\s+(\d+) kB$", meminfo, re.MULTILINE)
    return max(0, min([int(available) * 1024, *_left_in_groups(root)]))


def _left_in_groups(root: Path) -> Iterator[int]:
    """The limit less the usage of each control group of this process, up to the outermost."""
    try:
        lines = (root / "proc" / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return
    mount = root / "sys" / "fs" / "cgroup"
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            names, top = ("memory.max", "memory.current", "inactive_file"), mount
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            top = mount / "memory"
        else:
            continue
        # In a container the path is the host's but the mount the container's: read its top, too.
        folder = top / path.strip("/")
        for group in [folder, *folder.parents]:
            left = _left(group, *names)
            if left is not None:
                yield left
            if group == top:
                break


def _left(group: Path, limit: str, used: str, reclaimable: str) -> int | None:
    try:
        most = (group / limit).read_text().strip()
        if most == "max":
            return None
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        # Cached file pages count as used, but are released on demand.
        return int(most) - int((group / used).read_text()) + int(stat.get(reclaimable, 0))
    except OSError:
        return None
