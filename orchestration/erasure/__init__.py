"""Erase a person: accounting rows stay without the person, everything else of the person goes.

An interrupted erasure is repeatable: the register comes first, so that no refresh brings the person
back, and the ids stay in `erasure/unfinished.json` until it ends.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import duckdb

from orchestration.decisions.export import export_release
from orchestration.erasure import files
from orchestration.erasure.databases import HOUSEHOLD, SHARED, Ids, rewrite
from orchestration.erasure.person import Person, attached, find_person
from orchestration.erasure.places import PLACES
from orchestration.platform import audit
from orchestration.platform.engine import connect
from orchestration.platform.erased import add, fill, folder, read_register
from orchestration.platform.files import write_whole
from orchestration.platform.identity import ERASE
from orchestration.platform.optional_tables import has_table
from orchestration.platform.refusal import Refused
from orchestration.platform.releases import releases_of
from orchestration.platform.runs import CUSTOMER_PAGE
from orchestration.platform.settings import Settings
from sources.contract import BY_NAME


class CustomerUnknown(Refused):
    """Nothing in the home is the customer's."""


class AccountsOpen(Refused):
    """The customer still has open accounts."""


class OtherErasureUnfinished(Refused):
    """An erasure of another customer did not end."""


class ErasureIncomplete(Exception):
    """Files of the home still have ids of the person."""


@dataclass
class Certificate:
    """What an erasure did. It names nobody: `subject` is the token of the audit trail."""

    subject: str
    erased_at: str
    ids: dict[str, int]
    places: dict[str, int] = field(default_factory=dict)
    searched_files: int = 0
    remaining: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def erase(
    settings: Settings, customer_id: str, reason: str, *, open_accounts: bool = False
) -> Certificate:
    """Erase a customer from the home, and from every delivery to come.

    Returns
    -------
    The certificate, which is also in `erasure/certificates/`.

    Raises
    ------
    CustomerUnknown
        When neither the landed months nor a release has the customer.
    AccountsOpen
        When the customer has open accounts, unless `open_accounts`.
    ErasureIncomplete
        When a file still has an id of the person. The certificate names the files.
    orchestration.platform.identity.ActRefused
        Without the role.
    """
    if not reason.strip():
        raise ValueError('REASON is missing: expected why, such as REASON="request of 3 May"')
    subject = audit.customer(settings, customer_id)
    with audit.audited(settings, ERASE, subject, personal=True) as doing, connect(settings) as own:
        person = _begun(settings, customer_id) or find_person(own, settings, customer_id)
        if not person.ids["customer"]:
            known = read_register(settings).replacement("customer", customer_id)
            raise CustomerUnknown(
                "CUSTOMER is invalid: "
                + (
                    "this customer was erased before."
                    if known
                    else "no such customer in this home."
                )
                + " Nothing was changed."
            )
        if person.open_accounts and not open_accounts:
            raise AccountsOpen(
                f"the customer has {person.open_accounts} open account(s): expected none. Close "
                "them first, or erase all the same with OPEN_ACCOUNTS=1."
            )
        replaced = add(settings, person.ids, first=person.sorts_first)
        _begin(settings, person)
        fill(own, replaced)
        certificate = Certificate(
            subject,
            datetime.now(UTC).isoformat(timespec="seconds"),
            {identity: len(values) for identity, values in person.ids.items() if values},
        )
        if person.moved:
            certificate.notes.append(
                f"{len(person.moved)} account(s) held with others: a cent of a month may be "
                "another holder's after the next refresh"
            )
        ids = {one: new for (_, one), new in replaced.items()}
        for place in PLACES:
            work = WORK.get(place.name)
            where = settings.dagster_home if place.name == "dagster" else settings.home / place.name
            if work is not None and where.exists():
                certificate.places[place.name] = work(settings, own, replaced)
        # The last file with ids: what an interrupted erasure goes on from.
        _unfinished(settings).unlink()
        _search(settings, own, ids, certificate)
        path = _keep(settings, certificate)
        doing.detail = f"{reason.strip()}; {path.name}, {sum(certificate.places.values())} changes"
        if certificate.remaining:
            raise ErasureIncomplete(
                f"the person is still in {len(certificate.remaining)} file(s): "
                f"{', '.join(certificate.remaining[:5])}. Remove them, and erase again."
            )
    return certificate


def _unfinished(settings: Settings) -> Path:
    return folder(settings) / "unfinished.json"


def _begin(settings: Settings, person: Person) -> None:
    ids = {identity: sorted(values) for identity, values in person.ids.items()}
    write_whole(_unfinished(settings), json.dumps({"ids": ids, "moved": sorted(person.moved)}))


def _begun(settings: Settings, customer_id: str) -> Person | None:
    """The person of an erasure that did not end: a refresh since then may have replaced the ids.

    Raises
    ------
    OtherErasureUnfinished
        When it was another person's.
    """
    path = _unfinished(settings)
    if not path.exists():
        return None
    held = json.loads(path.read_text(encoding="utf-8"))
    if held["ids"]["customer"] != [customer_id]:
        raise OtherErasureUnfinished(
            f"an erasure of another customer did not end: expected its end first. Erase the "
            f"customer that {path} names, then this one."
        )
    ids = {identity: set(values) for identity, values in held["ids"].items()}
    return Person(ids, moved=set(held["moved"]))


Replaced = dict[tuple[str, str], str]
Work = Callable[[Settings, duckdb.DuckDBPyConnection, Replaced], int]


def _databases(folder_name: str) -> Work:
    def work(settings: Settings, own: duckdb.DuckDBPyConnection, replaced: Replaced) -> int:
        return sum(
            rewrite(own, path, Ids({**replaced, **_households(own, path, replaced)}))
            for path in sorted((settings.home / folder_name).rglob("*.duckdb"))
            if not path.is_symlink() and not path.name.startswith(".")
        )

    return work


def _households(
    own: duckdb.DuckDBPyConnection, path: Path, replaced: Replaced
) -> dict[tuple[str, str], str]:
    """The household of the person in a release: alone, or with others."""
    customers = [one for identity, one in replaced if identity == "customer"]
    with attached(own, path) as name:
        if not has_table(own, "base.customer", name):
            return {}
        found = own.execute(
            f"select household_id, count(*) from {name}.base.customer where household_id in "
            f"(select household_id from {name}.base.customer where customer_id in "
            "(select unnest(?))) group by all",
            [customers],
        ).fetchall()
    # Nobody else has the new id: it follows from the person's.
    new = replaced["customer", customers[0]]
    return {
        (HOUSEHOLD if members == 1 else SHARED, household): new if members == 1 else household
        for household, members in found
    }


def _exports(settings: Settings, own: duckdb.DuckDBPyConnection, replaced: Replaced) -> int:
    """Export again what was exported, from the releases without the person."""
    at_hand = {path.stem: path for path in releases_of(settings)}
    done = 0
    for place in sorted(path for path in settings.exports.iterdir() if path.is_dir()):
        path = at_hand.get(place.name)
        if path is None:
            shutil.rmtree(place)
        else:
            with (place / "worklist.csv").open("rb") as file:
                bom = file.read(3) == b"\xef\xbb\xbf"
            with connect(settings, path, read_only=True) as release:
                export_release(
                    *(release, settings.exports, place.name), bom=bom, language=settings.language
                )
        done += 1
    return done


def _texts(folder_name: str) -> Work:
    def work(settings: Settings, own: duckdb.DuckDBPyConnection, replaced: Replaced) -> int:
        ids = {one: new for (_, one), new in replaced.items()}
        return sum(
            files.rewrite_text(path, ids)
            for path in files.everything(
                settings.dagster_home if folder_name == "dagster" else settings.home / folder_name
            )
            if path.suffix in files.TEXTS
        )

    return work


def _customer_pages(settings: Settings, own: duckdb.DuckDBPyConnection, replaced: Replaced) -> int:
    from urllib.parse import quote

    done = 0
    for identity, one in replaced:
        if identity == "customer":
            for path in settings.customer_pages.glob("*/*.html"):
                if path.stem == quote(one, safe=""):
                    path.unlink()
                    done += 1
    return done


def _removed(folder_name: str) -> Work:
    def work(settings: Settings, own: duckdb.DuckDBPyConnection, replaced: Replaced) -> int:
        place = settings.home / folder_name
        found = [path for path in files.everything(place) if settings.scratch not in path.parents]
        for path in found:
            path.unlink()
        # Among temporary files are the sockets of servers that run.
        if place != settings.temporary:
            shutil.rmtree(place)
        return len(found)

    return work


def _dagster(settings: Settings, own: duckdb.DuckDBPyConnection, replaced: Replaced) -> int:
    """Remove runs that were given the id, and write the databases anew without them."""
    customers = {one for identity, one in replaced if identity == "customer"}
    ids = files.distinct([one for _, one in replaced])
    done = 0
    if not any(files.everything(settings.dagster_home)):
        return done
    with dg.DagsterInstance.get() as instance:
        for run in instance.get_runs(dg.RunsFilter(job_name=CUSTOMER_PAGE)):
            asked = json.dumps(run.run_config)
            if any(json.dumps(one) in asked for one in customers):
                instance.delete_run(run.run_id)
                done += 1
    for path in files.everything(settings.dagster_home):
        if ids and files.is_sqlite(path) and files.holds(path, ids):
            files.compact(path)
    return done + _texts("dagster")(settings, own, replaced)


def _landing(settings: Settings, own: duckdb.DuckDBPyConnection, replaced: Replaced) -> int:
    return sum(
        files.rewrite_month(own, BY_NAME[path.parts[-3]], path)
        for path in sorted(settings.landing.glob("*/*/data.parquet"))
        if BY_NAME[path.parts[-3]].identities
    )


WORK: dict[str, Work] = {
    **{name: _databases(name) for name in ("published", "scenarios")},
    "exports": _exports,
    **{name: _texts(name) for name in ("reports", "logs")},
    "customers": _customer_pages,
    **{name: _removed(name) for name in ("build", "tmp", "delivery", "truth")},
    "dagster": _dagster,
    "landing": _landing,
}


def _search(
    settings: Settings,
    own: duckdb.DuckDBPyConnection,
    ids: dict[str, str],
    certificate: Certificate,
) -> None:
    """Look for the ids in every file."""
    wanted = files.distinct(ids)
    if len(wanted) < len(ids):
        certificate.notes.append(
            "ids of few digits are in every file as other numbers: they were replaced by their "
            "columns, and not searched for in bytes"
        )
    outside = not settings.dagster_home.is_relative_to(settings.home)
    for folder_searched in (settings.home, *([settings.dagster_home] if outside else [])):
        for path in files.everything(folder_searched):
            certificate.searched_files += 1
            left = files.where_left(own, path, wanted) if wanted else ""
            if left:
                name = path.relative_to(folder_searched).with_name(left)
                certificate.remaining.append(str(name))


def _keep(settings: Settings, certificate: Certificate) -> Path:
    place = folder(settings) / "certificates"
    place.mkdir(mode=0o700, exist_ok=True)
    stamp = certificate.erased_at.replace(":", "").replace("-", "")[:15]
    path = place / f"{stamp}-{certificate.subject.split()[-1][:8]}.json"
    write_whole(path, json.dumps(asdict(certificate), indent=2) + "\n")
    return path
