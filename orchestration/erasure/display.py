"""The certificate of an erasure, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestration.erasure.places import PLACES

if TYPE_CHECKING:
    from orchestration.erasure import Certificate


def show_certificate(certificate: Certificate) -> None:
    """Print what was done where, and that nothing is left."""
    ids = ", ".join(f"{count} {identity}" for identity, count in certificate.ids.items())
    print(f"erased: {certificate.subject}, {certificate.erased_at}")
    print(f"  ids replaced: {ids}")
    holds = {place.name: place.holds for place in PLACES}
    for name, changes in certificate.places.items():
        print(f"  {name:<12} {changes:>8,} changes  ({holds[name]})")
    print(f"  searched     {certificate.searched_files:>8,} files, none has an id of the person")
    for note in certificate.notes:
        print(f"  note: {note}")
    print("The next refresh builds the whole history anew, without the person in any model.")
