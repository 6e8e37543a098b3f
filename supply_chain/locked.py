"""The packages of a lock file, and what their installed metadata say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).resolve().parents[1]
LOCK = PROJECT / "requirements.lock"
PINNED = re.compile(
    r"^([A-Za-z0-9][^\s=]*==[^\\\n]*)((?:\\\n\s+--hash=sha256:[0-9a-f]{64} ?)+)", re.M
)
HASH = re.compile(r"sha256:([0-9a-f]{64})")


class LockInvalid(Exception):
    """The lock, or the environment that was installed from it, is not as expected."""


@dataclass(frozen=True)
class Package:
    """A pinned package of the lock with the digests of its files."""

    name: str
    version: str
    hashes: tuple[str, ...]

    @property
    def purl(self) -> str:
        return f"pkg:pypi/{self.name}@{self.version}"

    @cached_property
    def installed(self) -> Distribution:
        """
        Raises
        ------
        LockInvalid
            Where the environment has no such package, or another version of it.
        """
        found = _environment().get(self.name)
        if found is None:
            raise LockInvalid(f"{self.name} {self.version} is not installed: run make install.")
        if found.version != self.version:
            raise LockInvalid(
                f"{self.name} {found.version} is installed: expected {self.version}, as locked. "
                "Run make install."
            )
        return found

    def requires(self) -> Iterator[str]:
        """The names of the packages that it needs here, without extras."""
        for text in self.installed.requires or ():
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                yield canonicalize_name(needed.name)


@cache
def _environment() -> dict[str, Distribution]:
    """The packages of this environment by name: to look each up by itself takes ten times as
    long."""
    found: dict[str, Distribution] = {}
    for one in distributions():
        # The first on the path is the one that is imported.
        found.setdefault(canonicalize_name(one.name), one)
    return found


def locked(lock: Path = LOCK) -> list[Package]:
    """The packages that the lock installs on this platform, by name.

    Raises
    ------
    LockInvalid
        For a line that is no pinned package with its hashes.
    """
    text = lock.read_text(encoding="utf-8")
    found = list(PINNED.finditer(text))
    pinned = [line for line in text.splitlines() if line and line[0] not in "# "]
    if len(found) != len(pinned):
        raise LockInvalid(
            f"{lock} is invalid: {len(pinned)} packages, {len(found)} of them pinned with hashes. "
            "Run make lock."
        )
    packages = []
    for one in found:
        needed = Requirement(one[1].strip())
        if needed.marker is None or needed.marker.evaluate():
            version = str(needed.specifier).removeprefix("==")
            name = canonicalize_name(needed.name)
            packages.append(Package(name, version, tuple(sorted(HASH.findall(one[2])))))
    return sorted(packages, key=lambda package: package.name)
