"""The commands behind `make licences`, `make sbom` and `make audit-deps`."""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from supply_chain import licences, sbom, vulnerabilities
from supply_chain.locked import PROJECT, LockInvalid, locked


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m supply_chain", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    listed = commands.add_parser("licences", help="the locked packages with a licence not allowed")
    listed.add_argument("--all", action="store_true", help="list the licence of every package")
    commands.add_parser("sbom", help="write the bill of materials").add_argument("file", type=Path)
    audit = commands.add_parser("audit", help="known vulnerabilities of the locked packages")
    audit.add_argument("--service", choices=("pypi", "osv"), default="pypi")
    audit.add_argument("--osv-url", default="", help="a mirror of the OSV database")
    audit.add_argument("--allow-offline", action="store_true")
    asked = parser.parse_args(arguments)
    stated = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    if asked.command == "audit":
        return vulnerabilities.audit(
            service="osv" if asked.osv_url else asked.service,
            url=asked.osv_url,
            ignored=stated["tool"]["vulnerabilities"],
            allow_offline=asked.allow_offline,
        )
    rules = licences.policy()
    try:
        packages = locked()
        if asked.command == "sbom":
            own = [
                canonicalize_name(Requirement(one).name)
                for one in stated["project"]["dependencies"]
            ]
            asked.file.write_text(json.dumps(sbom.bill(packages, rules, own), indent=1) + "\n")
            print(f"{len(packages)} packages in {asked.file}")
            return 0
    except LockInvalid as invalid:
        print(invalid, file=sys.stderr)
        return 1
    if asked.all:
        for package in packages:
            print(f"{package.name:<32}{package.version:<16}{licences.licence(package, rules)}")
    found = licences.complaints(packages, rules)
    for line in found:
        print(line, file=sys.stderr)
    if not found:
        print(f"{len(packages)} locked packages, every licence is allowed")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
