"""Known vulnerabilities of the locked packages, by pip-audit in an environment of its own.

pip-audit ends with status 0 where its database answers about no package at all, so that its report
is examined: a package that was not audited is not taken for a sound one.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from supply_chain.locked import LOCK

FOUND, UNREACHABLE = 1, 3
# What pip-audit's last line has where its database does not answer.
NO_ANSWER = re.compile(
    r"requests\.exceptions|urllib3\.exceptions|ServiceError|[Cc]onnection|[Tt]imed? ?out"
)
NOTHING = "the vulnerability database is not reachable: nothing was audited"

Run = Callable[[Sequence[str]], tuple[int, str]]


def run(arguments: Sequence[str]) -> tuple[int, str]:
    """pip-audit's status and what it printed."""
    ended = subprocess.run(
        [sys.executable, "-m", "pip_audit", *arguments],
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return ended.returncode, ended.stdout


def audit(
    *,
    service: str,
    url: str,
    ignored: Mapping[str, str],
    allow_offline: bool,
    lock: Path = LOCK,
    run: Run = run,
) -> int:
    """Print each known vulnerability; returns the exit status.

    0: none is known. 1: one is, a package was not audited, or the audit failed. 3: the database is
    not reachable, and nothing was audited; 0 where that is allowed.

    Parameters
    ----------
    url
        Address of a mirror of the OSV database; empty for its own.
    ignored
        Vulnerability → why it is accepted.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        _, printed = run(
            [
                *("--requirement", str(lock), "--require-hashes", "--no-deps", "--disable-pip"),
                *("--progress-spinner", "off", "--vulnerability-service", service),
                *(("--osv-url", url) if url else ()),
                *(part for one in ignored for part in ("--ignore-vuln", one)),
                *("--format", "json", "--output", str(report)),
            ]
        )
        lines = printed.strip().splitlines() or ["no output"]
        if not report.exists():
            if NO_ANSWER.search(lines[-1]):
                return _unreachable(lines[-1], allow_offline)
            print("\n".join([*lines, "the audit failed"]), file=sys.stderr)
            return FOUND
        found = json.loads(report.read_text())["dependencies"]
    skipped = [one["name"] for one in found if "skip_reason" in one]
    if len(skipped) == len(found):
        return _unreachable(f"{service} knows none of {len(found)} packages", allow_offline)
    problems = [
        f"{one['name']} {one['version']}: {bug['id']}, "
        f"fixed in {', '.join(bug['fix_versions']) or 'no version yet'}"
        for one in found
        for bug in one.get("vulns", ())
    ]
    problems += [f"{name}: not audited, {service} does not know it" for name in skipped]
    for line in problems:
        print(line, file=sys.stderr)
    for name, reason in ignored.items():
        print(f"accepted: {name}: {reason}")
    audited = len(found) - len(skipped)
    print(
        f"{audited} of {len(found)} locked packages audited by {service}, {len(problems)} problems"
    )
    return FOUND if problems else 0


def _unreachable(why: str, allow_offline: bool) -> int:
    print(f"{NOTHING} ({why})", file=sys.stderr)
    return 0 if allow_offline else UNREACHABLE
