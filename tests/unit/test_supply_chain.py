"""Licences, bill of materials and vulnerabilities of the locked packages.

The schemas of CycloneDX come with pip-audit, which `make audit-deps` installs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from jsonschema import Draft7Validator
from referencing import Registry, Resource

from supply_chain import licences, sbom, vulnerabilities
from supply_chain.__main__ import main
from supply_chain.licences import Policy
from supply_chain.locked import LockInvalid, Package, locked
from tests.conftest import PROJECT

SCHEMAS = PROJECT / ".venv" / "pip_audit" / "cyclonedx" / "schema" / "_res"
NUMPY = "0" * 64


@pytest.fixture(scope="module")
def packages() -> list[Package]:
    return locked()


def lock(folder: Path, text: str) -> Path:
    path = folder / "requirements.lock"
    path.write_text(text)
    return path


def pinned(*names: str) -> str:
    return "".join(f"{name} \\\n    --hash=sha256:{NUMPY}\n    # via x\n" for name in names)


def test_every_locked_package_has_an_allowed_licence(packages: list[Package]) -> None:
    """What `make licences` requires."""
    assert len(packages) > 100
    assert licences.complaints(packages, licences.policy()) == []


def test_a_licence_that_is_not_allowed_is_named_with_its_package(packages, monkeypatch, capsys):
    rules = licences.policy()
    strict = Policy(rules.allowed - {"MPL-2.0"}, rules.exceptions)
    found = licences.complaints(packages, strict)
    assert {line.split()[0] for line in found} >= {"hypothesis", "certifi"}
    assert any(line.startswith("hypothesis") and "licence MPL-2.0 is not" in line for line in found)
    stale = Policy(rules.allowed, {**rules.exceptions, "left-pad": {"licence": "WTFPL"}})
    assert licences.complaints(packages, stale) == [
        "[tool.licences.exceptions] is invalid: left-pad is not locked. Remove it."
    ]
    monkeypatch.setattr(licences, "policy", lambda: strict)
    assert main(["licences"]) == 1
    assert "hypothesis" in capsys.readouterr().err
    monkeypatch.undo()
    assert main(["licences"]) == 0


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("", False),
        ("GPL-3.0-only OR MIT", True),
        ("GPL-3.0-only AND MIT", False),
        ("MIT AND ISC OR GPL-3.0-only", True),
        ("ISC AND (MIT OR GPL-3.0-only)", True),
        ("(ISC AND GPL-3.0-only) OR (GPL-2.0-only OR (LGPL-2.1 AND MIT))", False),
        ("MIT WITH Classpath-exception-2.0", False),
        ("MIT (", False),
    ],
)
def test_an_expression_holds_where_the_allowed_licences_are_enough(expression, holds):
    assert licences.is_allowed(expression, {"MIT", "ISC"}) is holds


def test_a_lock_without_a_digest_or_another_version_is_refused(tmp_path):
    with pytest.raises(LockInvalid, match="2 packages, 1 of them pinned with hashes"):
        locked(lock(tmp_path, pinned("numpy==1.0") + "pandas==2.0\n"))
    (old,) = locked(lock(tmp_path, pinned("numpy==1.0", "x==1; sys_platform == 'plan9'")))
    assert (old.purl, old.hashes) == ("pkg:pypi/numpy@1.0", (NUMPY,))
    (problem,) = licences.complaints([old], Policy(frozenset(), {}))
    assert "is installed: expected 1.0, as locked. Run make install." in problem
    (missing,) = locked(lock(tmp_path, pinned("no-such-package==1.0")))
    with pytest.raises(LockInvalid, match="no-such-package 1.0 is not installed"):
        list(missing.requires())


@pytest.fixture
def bill(tmp_path) -> dict:
    file = tmp_path / "sbom.json"
    assert main(["sbom", str(file)]) == 0
    return json.loads(file.read_text())


@pytest.mark.skipif(not SCHEMAS.is_dir(), reason="make audit-deps installs the schemas")
def test_the_bill_of_materials_is_valid(bill):
    names = ("bom-1.5.SNAPSHOT.schema.json", "jsf-0.82.SNAPSHOT.schema.json")
    stated = {name: SCHEMAS / name for name in (*names, "spdx.SNAPSHOT.schema.json")}
    schemas = [json.loads(path.read_text()) for path in stated.values()]
    registry = Registry().with_resources(
        [(one["$id"], Resource.from_contents(one)) for one in schemas]
        + [
            # The schemas refer to each other by the names of their files.
            (
                f"http://cyclonedx.org/schema/{name}",
                Resource.from_contents(json.loads(p.read_text())),
            )
            for name, p in stated.items()
        ]
    )
    (schema,) = (one for one in schemas if one["$id"].endswith("bom-1.5.schema.json"))
    validator = Draft7Validator(schema, registry=registry)
    assert list(validator.iter_errors(bill)) == []
    assert list(validator.iter_errors({**bill, "specVersion": 7}))


def test_the_bill_of_materials_is_complete(bill, packages):
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    components = {one["bom-ref"]: one for one in bill["components"]}
    assert set(components) == {package.purl for package in packages}
    duckdb = next(one for one in bill["components"] if one["name"] == "duckdb")
    text = Path("requirements.lock").read_text()
    assert duckdb["hashes"] and all(one["content"] in text for one in duckdb["hashes"])
    assert duckdb["licenses"] == [{"expression": "MIT"}]
    assert all(one.get("licenses") for one in bill["components"])
    needs = {one["ref"]: set(one["dependsOn"]) for one in bill["dependencies"]}
    by_name = {one["name"]: one["bom-ref"] for one in bill["components"]}
    assert by_name["numpy"] in needs[by_name["pandas"]]
    assert by_name["dagster"] in needs[bill["metadata"]["component"]["bom-ref"]]
    assert set().union(*needs.values()) <= set(components)
    again = sbom.bill(packages, licences.policy(), [])
    assert again["serialNumber"] == bill["serialNumber"]


class Audit:
    """pip-audit as it answers, for what it is asked."""

    def __init__(self, printed: str = "", report: list[dict] | None = None) -> None:
        self.printed, self.report = printed, report
        self.asked: list[str] = []

    def __call__(self, arguments: Sequence[str]) -> tuple[int, str]:
        self.asked = list(arguments)
        if self.report is not None:
            Path(arguments[-1]).write_text(json.dumps({"dependencies": self.report}))
        return 0, self.printed


SOUND = {"name": "numpy", "version": "2.4", "vulns": []}
SKIPPED = {"name": "pandas", "skip_reason": "Dependency not found on PyPI"}
BUG = {"id": "PYSEC-1", "fix_versions": ["2.5"], "aliases": [], "description": "…"}
DOWN = (
    "Traceback (most recent call last):\n"
    "requests.exceptions.ConnectionError: HTTPSConnectionPool(host='x', port=443): Max retries\n"
)


@pytest.mark.parametrize(
    ("audit", "offline", "status", "words"),
    [
        (Audit(report=[SOUND]), False, 0, "1 of 1 locked packages audited by osv, 0 problems"),
        (Audit(report=[{**SOUND, "vulns": [BUG]}]), True, 1, "numpy 2.4: PYSEC-1, fixed in 2.5"),
        (Audit(report=[SOUND, SKIPPED]), True, 1, "pandas: not audited, osv does not know it"),
        (Audit(report=[SKIPPED]), False, 3, vulnerabilities.NOTHING),
        (Audit(DOWN), False, 3, vulnerabilities.NOTHING),
        (Audit(DOWN), True, 0, vulnerabilities.NOTHING),
        (Audit("ERROR: requirement numpy is not hashed"), True, 1, "the audit failed"),
        (Audit(""), True, 1, "the audit failed"),
    ],
)
def test_an_audit_ends_with_what_was_audited(audit, offline, status, words, capsys):
    found = vulnerabilities.audit(
        service="osv", url="http://mirror", ignored={}, allow_offline=offline, run=audit
    )
    shown = capsys.readouterr()
    assert (found, words in shown.out + shown.err) == (status, True)
    assert {"--require-hashes", "--no-deps", "--disable-pip"} <= set(audit.asked)
    assert audit.asked[audit.asked.index("--osv-url") + 1] == "http://mirror"


def test_an_accepted_vulnerability_is_named_with_its_reason(capsys):
    audit = Audit(report=[SOUND])
    ignored = {"PYSEC-1": "the function is not called"}
    vulnerabilities.audit(service="pypi", url="", ignored=ignored, allow_offline=False, run=audit)
    assert audit.asked[audit.asked.index("--ignore-vuln") + 1] == "PYSEC-1"
    assert "accepted: PYSEC-1: the function is not called" in capsys.readouterr().out
