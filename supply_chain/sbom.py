"""A software bill of materials in CycloneDX 1.5 (JSON) of the locked packages.

Written from the lock and the installed metadata alone: it needs no network.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from supply_chain.licences import Policy, is_expression, licence
from supply_chain.locked import Package

PRODUCT = "jingxi"


def bill(packages: Sequence[Package], rules: Policy, own: Sequence[str]) -> dict[str, Any]:
    """The bill; `own` are the names of the packages that the product itself names.

    Raises
    ------
    supply_chain.locked.LockInvalid
        Where a package is not installed as locked.
    """
    names = {package.name: package.purl for package in packages}
    product = f"pkg:pypi/{PRODUCT}@{version(PRODUCT)}"
    needs = {product: own} | {package.purl: list(package.requires()) for package in packages}
    # The same packages have the same serial number.
    digests = "".join(digest for package in packages for digest in package.hashes)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, product + digests)}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
            "component": {
                "type": "application",
                "bom-ref": product,
                "name": PRODUCT,
                "version": version(PRODUCT),
                "purl": product,
                "licenses": [{"expression": "Apache-2.0"}],
            },
        },
        "components": [_component(package, rules) for package in packages],
        "dependencies": [
            {"ref": ref, "dependsOn": sorted({names[name] for name in needed if name in names})}
            for ref, needed in needs.items()
        ],
    }


def _component(package: Package, rules: Policy) -> dict[str, Any]:
    own = licence(package, rules)
    named: dict[str, Any] = (
        {"expression": own} if is_expression(own) else {"license": {"name": own}}
    )
    return {
        "type": "library",
        "bom-ref": package.purl,
        "name": package.name,
        "version": package.version,
        "purl": package.purl,
        "hashes": [{"alg": "SHA-256", "content": digest} for digest in package.hashes],
        **({"licenses": [named]} if own else {}),
    }
