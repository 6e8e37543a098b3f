"""The licence of each locked package, and those that pyproject.toml allows."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from typing import cast

from supply_chain.locked import PROJECT, LockInvalid, Package

# Names of licences in metadata that are older than SPDX expressions; a name that covers several
# versions is the one that says least.
NAMES = {
    "apache 2.0": "Apache-2.0",
    "apache-2": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "3-clause bsd license": "BSD-3-Clause",
    "bsd": "BSD",
    "bsd license": "BSD",
    "bsd 2-clause license": "BSD-2-Clause",
    "bsd 3-clause license": "BSD-3-Clause",
    "isc license (iscl)": "ISC",
    "isc license": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
}
SPDX = re.compile(r"^[(]?[A-Za-z0-9.-]+( (AND|OR|WITH) [(]?[A-Za-z0-9.-]+[)]?)*$")
# Words of metadata that look like one.
VAGUE = {"BSD", "UNKNOWN", "Dual"}


@dataclass(frozen=True)
class Policy:
    """`[tool.licences]` of pyproject.toml; an exception is a licence found by hand, or one that is
    not allowed in general, and its reason."""

    allowed: frozenset[str]
    exceptions: Mapping[str, Mapping[str, str]]


def policy() -> Policy:
    stated = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    own = stated["tool"]["licences"]
    return Policy(frozenset(own["allowed"]), own["exceptions"])


def licence(package: Package, rules: Policy) -> str:
    """The licence as an SPDX expression where the metadata allow it, else in their words; empty
    where they state none."""
    if package.name in rules.exceptions:
        return rules.exceptions[package.name]["licence"]
    about = cast(Message, package.installed.metadata)
    if expression := about.get("License-Expression"):
        return str(expression)
    stated = str(about.get("License") or "").strip()
    named = NAMES.get(stated.lower(), stated)
    # Some state the whole text of their licence.
    if is_expression(named):
        return named
    classifiers = [
        text.split(" :: ")[-1]
        for text in about.get_all("Classifier") or ()
        if text.startswith("License :: ") and text != "License :: OSI Approved"
    ]
    return " OR ".join(NAMES.get(one.lower(), one) for one in classifiers) or named[:60]


def is_expression(text: str) -> bool:
    """Whether a licence is written as SPDX writes it."""
    return bool(SPDX.match(text)) and not VAGUE & set(text.split())


def complaints(packages: Sequence[Package], rules: Policy) -> list[str]:
    """Each package whose licence is not allowed, and exceptions that no package needs."""
    found = []
    for package in packages:
        try:
            own = licence(package, rules)
        except LockInvalid as invalid:
            found.append(str(invalid))
            continue
        if package.name not in rules.exceptions and not is_allowed(own, rules.allowed):
            found.append(
                f"{package.name} {package.version}: licence {own or 'unknown'} is not allowed. "
                "Replace the package, or state its licence and the reason in [tool.licences] of "
                "pyproject.toml."
            )
    names = {package.name for package in packages}
    found += [
        f"[tool.licences.exceptions] is invalid: {name} is not locked. Remove it."
        for name in sorted(set(rules.exceptions) - names)
    ]
    return found


def is_allowed(expression: str, allowed: Collection[str]) -> bool:
    """Whether an expression of licences holds with the allowed ones alone."""
    yes, no = "allowed", "refused"
    while "(" in expression:
        inner = re.sub(
            r"\(([^()]*)\)",
            lambda found: yes if is_allowed(found[1], {*allowed, yes}) else no,
            expression,
        )
        if inner == expression:
            return False
        expression = inner
    return any(
        all(one.strip() in {*allowed, yes} for one in re.split(r"\s+AND\s+", choice))
        for choice in re.split(r"\s+OR\s+", expression)
    )
