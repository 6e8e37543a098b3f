"""`make doctor`: check every part of a home; with HEAL=1 repair what can be derived from the rest.

Nothing is repaired that somebody could have changed: a damaged release, model, trail or delivery is
named with its cure. Without HEAL nothing is written.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import yaml  # type: ignore[import-untyped]

from orchestration.decisions.export import MANIFEST
from orchestration.home import parts
from orchestration.home.retention import RELEASE_ID, remove
from orchestration.home.status import SERVING, holder, reading
from orchestration.landing import health
from orchestration.landing.months import STATE_FILE
from orchestration.landing.token_key import KEY_BYTES
from orchestration.platform import audit, environment
from orchestration.platform.engine import WarehouseBusy, connect, connect_in_memory
from orchestration.platform.environment import FORMER_EVENT_LOG
from orchestration.platform.erased import folder as erased_persons
from orchestration.platform.erased import read_register
from orchestration.platform.files import OTHERS
from orchestration.platform.identity import HEAL, ROLLBACK, roles_file, who
from orchestration.platform.model_store import check_model_store
from orchestration.platform.refusal import Refused
from orchestration.platform.releases import (
    CURRENT,
    audit_heads,
    proposed,
    releases_of,
    serve,
)
from orchestration.platform.settings import Settings
from sources.delimited import quoted

OK, HEALED, WRONG = "ok", "healed", "wrong"
RESTORE = "Restore it from a backup"
REBUILD = "run make refresh, which builds it anew"
CHAMPIONS = Path(__file__).parent / "champions.sql"
PAGE_END = b"</html>"
QUICK = "pragma quick_check(1)"
# The number of rows, and a figure of each column for which all its values are read.
READ = "count(*), bit_xor(hash(columns(*)))"


@dataclass(frozen=True)
class Finding:
    """The state of a part: `ok`, `healed` or `wrong`; what was found, and the cure."""

    part: str
    state: str
    detail: str = ""
    cure: str = ""


@dataclass(frozen=True)
class Fault:
    """What is wrong with a part, and the cure: what a person does, or what heals it."""

    detail: str
    cure: str
    heal: Callable[[], object] | None = None


def examine(settings: Settings, *, heal: bool = False) -> list[Finding]:
    """Check every part. To heal, hold the home's lock.

    Raises
    ------
    orchestration.platform.identity.ActRefused
        When it is to heal, without the role.
    """
    checked = {name: _faults(settings, check) for name, check in PARTS.items()}
    curable = any(fault.heal for faults in checked.values() for fault in faults)
    # What cannot be recorded is not healed.
    if not heal or not curable or audit.examine(settings, {}).problem:
        return [_finding(name, faults) for name, faults in checked.items()]
    with audit.audited(settings, HEAL, str(settings.home)) as doing:
        found = [_healed(settings, name, faults) for name, faults in checked.items()]
        done = [f"{one.part}: {one.detail}" for one in found if one.state == HEALED]
        doing.detail = "; ".join(done) or "nothing"
    return found


def show_findings(found: list[Finding]) -> None:
    """Print a line for each part, and the cure of each that is wrong."""
    for one in found:
        print(f"  {one.part:<18}{one.state:<8}{one.detail}".rstrip())
        if one.cure:
            print(f"  {'':<18}{'':<8}{one.cure}")


def as_json(found: list[Finding]) -> list[dict[str, str]]:
    return [asdict(one) for one in found]


def _faults(settings: Settings, check: Callable[[Settings], Iterator[Fault]]) -> list[Fault]:
    """The faults of a part; an error of the check itself is one."""
    try:
        return list(check(settings))
    except Refused as error:
        detail, _, cure = str(error).partition(". ")
        return [Fault(detail, cure)]
    except (OSError, duckdb.Error, sqlite3.DatabaseError) as error:
        return [Fault(f"it cannot be read ({_first(error)})", f"{RESTORE}.")]


def _finding(part: str, faults: list[Fault], state: str = WRONG) -> Finding:
    if not faults:
        return Finding(part, OK)
    cures = dict.fromkeys(
        f"make doctor HEAL=1 heals it: {fault.cure}" if fault.heal else fault.cure
        for fault in faults
    )
    details = "; ".join(fault.detail for fault in faults)
    return Finding(part, state, details, " ".join(cures) if state == WRONG else "")


def _healed(settings: Settings, part: str, faults: list[Fault]) -> Finding:
    """Heal a part and check it again."""
    if not any(fault.heal for fault in faults):
        return _finding(part, faults)
    for fault in faults:
        if fault.heal:
            fault.heal()
    left = _faults(settings, PARTS[part])
    return _finding(part, left) if left else _finding(part, faults, HEALED)


def _first(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _below(settings: Settings, path: Path) -> str:
    return str(path.relative_to(settings.home)) if path.is_relative_to(settings.home) else str(path)


def _home(settings: Settings) -> Iterator[Fault]:
    if not settings.home.is_dir():
        yield Fault(f"{settings.home} does not exist", "Set HOME (JINGXI_HOME) to a home.")


def _releases(settings: Settings) -> Iterator[Fault]:
    """Each release opens, has its tables with their rows, and can be read to its end."""
    for path in releases_of(settings):
        fault = fault_of_release(settings, path)
        if fault:
            others = "make rollback serves another one"
            yield Fault(f"release {path.stem} {fault}", f"{RESTORE}; {others}.")


def _proposed(settings: Settings) -> Iterator[Fault]:
    path = proposed(settings)
    fault = path and fault_of_release(settings, path)
    if path and fault:
        yield Fault(
            f"release {path.stem}, which waits for approval, {fault}",
            "Run make refresh, which replaces it.",
        )


def fault_of_release(settings: Settings, path: Path) -> str | None:
    """Why a release is not what was published; None if it is, as far as its checksums show."""
    try:
        with connect(settings, path, read_only=True) as connection:
            ((text,),) = connection.table("meta.release").project("row_counts").fetchall()
            counts = json.loads(text or "{}")
            found = _rows_read(connection)
    except (duckdb.Error, ValueError) as error:
        return f"cannot be read ({_first(error)})"
    for table, rows in counts.items():
        if table not in found:
            return f"has no table {table}"
        if found[table] != rows:
            return f"has {found[table]:,} rows in {table}: expected {rows:,}"
    return None


def _rows_read(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Table → its rows, each value of which is read, and so each block's checksum compared."""
    tables = [row[1:3] for row in connection.execute("show all tables").fetchall()]
    found = {}
    for schema, table in tables:
        relation = connection.table(f"{quoted(schema)}.{quoted(table)}")
        found[f"{schema}.{table}"] = relation.aggregate(READ).fetchall()[0][0]
    return found


def _link(settings: Settings) -> Iterator[Fault]:
    """The link names a sound release."""
    link, releases = settings.published / CURRENT, releases_of(settings)
    if link.is_symlink() or link.exists():
        path = link.resolve()
        if not link.is_symlink() or path.parent != settings.published / "releases":
            yield Fault(f"{_below(settings, link)} is no link to a release", "Run make rollback.")
            return
        if path.exists():
            fault = fault_of_release(settings, path)
            if fault:
                yield Fault(
                    f"the served release {path.stem} {fault}",
                    f"{RESTORE}, or run make rollback.",
                )
            return
        detail = f"{_below(settings, link)} points to {path.name}, which is missing"
    elif not releases:
        return
    else:
        detail = f"{_below(settings, link)} is missing"
    sound = [path for path in releases if fault_of_release(settings, path) is None]
    if not sound:
        yield Fault(detail, f"No release is sound. {RESTORE}.")
        return
    last = _last_served(settings)
    chosen = next((path for path in sound if path.stem == last), sound[-1])
    yield Fault(
        detail,
        f"{chosen.stem} is served; make rollback RELEASE=<id> serves another one.",
        lambda: _serve(settings, chosen),
    )


def _last_served(settings: Settings) -> str | None:
    """The release that readers had last, by the trail."""
    found = None
    with suppress(audit.TrailBroken):
        for entry in audit.entries(settings):
            if entry.act in SERVING and entry.outcome == audit.DONE:
                found = entry.release_id
    return found


def _serve(settings: Settings, path: Path) -> None:
    with audit.audited(settings, ROLLBACK, path.stem, release_id=path.stem) as doing:
        doing.detail = "the link was broken"
    serve(settings, path, ROLLBACK)


def _landing(settings: Settings) -> Iterator[Fault]:
    """The state file, and every landed file, read to its end and in its own month."""
    folder = settings.landing
    files = sorted(folder.glob("*/*/*.parquet"))
    again = "Run make refresh without MONTHS, with the months of these files delivered again"
    state = folder / STATE_FILE
    first = ""
    if files or state.exists():
        try:
            found = json.loads(state.read_bytes())
            first = str(found["first_month"])[:7]
        except (OSError, ValueError, KeyError, TypeError) as error:
            yield Fault(
                f"{_below(settings, state)} cannot be read ({type(error).__name__})",
                f"{RESTORE}, or {REBUILD}.",
            )
    damaged = []
    # In memory: what is only checked writes nothing, not even a temporary file.
    with connect_in_memory(settings) as connection:
        for path in files:
            month = path.parent.name.partition("=")[2]
            event = path.parent.name.startswith("month=")
            try:
                connection.read_parquet(str(path)).aggregate(READ).fetchall()
                if event and first and month < first:
                    damaged.append(f"{_below(settings, path)} (before {first})")
            except duckdb.Error:
                damaged.append(_below(settings, path))
    if damaged:
        yield Fault(
            f"{len(damaged)} of {len(files)} files cannot be read, or are of another history: "
            f"{', '.join(damaged[:3])}{' …' if damaged[3:] else ''}",
            f"{RESTORE}. {again}.",
        )


def _warehouse(settings: Settings) -> Iterator[Fault]:
    path = settings.warehouse
    if not path.exists():
        return
    try:
        fault = health.unfit(settings, read_only=True)
        if fault is None:
            with connect(settings, path, read_only=True) as connection:
                _rows_read(connection)
    except WarehouseBusy:
        return
    except duckdb.Error as error:
        fault = f"it cannot be read ({_first(error)})"
    if fault:
        yield Fault(
            f"{_below(settings, path)}: {fault}",
            "it is moved aside, and the next refresh builds it anew.",
            lambda: _move_aside(path),
        )


def _move_aside(path: Path) -> None:
    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%S}"
    for one in (path, path.with_name(f"{path.name}.wal")):
        if one.exists():
            one.rename(one.with_name(f"damaged-{stamp}-{one.name}"))


def _models(settings: Settings) -> Iterator[Fault]:
    """The model store, and the files of each champion as they were registered."""
    if settings.mlflow_tracking_uri != settings.own_model_store:
        check_model_store(settings)
        return
    store, artifacts = settings.mlflow_home / "mlflow.db", settings.mlflow_home / "artifacts"
    move = f"or move {settings.mlflow_home} away: the next refresh then trains every model again"
    if not store.exists():
        if artifacts.is_dir() and any(artifacts.iterdir()):
            yield Fault(f"{_below(settings, store)} is missing", f"{RESTORE}, {move}.")
        return
    fault = _fault_of_database(store)
    if fault:
        yield Fault(f"{_below(settings, store)} is damaged ({fault})", f"{RESTORE}, {move}.")
        return
    for name, version, files in _champions(store, artifacts):
        for path, expected in files.items():
            if not path.exists():
                fault = "is missing"
            elif _sha256(path) != expected:
                fault = "is not what was registered"
            else:
                continue
            yield Fault(
                f"the champion of {name}, version {version}: {_below(settings, path)} {fault}",
                f"{RESTORE}, return to the champion before (make rollback-model), or train again "
                "(TRAIN=always).",
            )


def _champions(store: Path, artifacts: Path) -> Iterator[tuple[str, int, dict[Path, str]]]:
    """Model, version, and file → SHA-256 of each champion. MLflow's client opens a store to write
    and downloads what it reads."""
    from ml.registry import (
        MODEL_DIGEST,
        PACKAGE,
        PACKED_MODEL,
        PYFUNC,
        TWIN,
        TWIN_DIGEST,
    )

    with reading(store) as connection:
        found = connection.execute(CHAMPIONS.read_text()).fetchall()
    for name, version, model, run, text in found:
        tags = json.loads(text)
        places = {(run, TWIN): TWIN_DIGEST}
        # Earlier versions have another layout.
        if tags.get(PACKAGE) == PYFUNC:
            places[(model, PACKED_MODEL)] = MODEL_DIGEST
        files = {
            _in_this_home(place, artifacts) / file: tags[tag]
            for (place, file), tag in places.items()
            if tag in tags
        }
        yield name, version, files


def _in_this_home(place: str, artifacts: Path) -> Path:
    """A folder of the store, whose paths may still be those of a home that was moved."""
    path = Path(place)
    tail = path.parts[-4:] if "models" in path.parts[-4:] else path.parts[-3:]
    return path if path.is_relative_to(artifacts) else artifacts.joinpath(*tail)


def _dagster(settings: Settings) -> Iterator[Fault]:
    """Dagster's storage and its configuration."""
    folder = settings.dagster_home
    history, schedules = folder / "history", folder / "schedules"
    for path in (*sorted(history.rglob("*.db")), *sorted(schedules.glob("*.db"))):
        fault = _fault_of_database(path)
        if fault:
            yield Fault(
                f"{_below(settings, path)} is damaged ({fault})",
                f"{RESTORE}, or move {history} and {schedules} away: the list of runs in the UI "
                "then starts empty; releases and models do not depend on it.",
            )


def _configuration(settings: Settings) -> Iterator[Fault]:
    path = settings.dagster_home / "dagster.yaml"
    if not path.exists():
        if settings.dagster_home.is_dir():
            yield Fault(
                f"{_below(settings, path)} is missing",
                "it is written with its defaults.",
                lambda: environment.prepare(settings),
            )
        return
    try:
        content = yaml.safe_load(path.read_bytes())
        fault = None if isinstance(content, dict) else "it is not a mapping"
        if FORMER_EVENT_LOG in path.read_text():
            fault = f"event_log_storage names {FORMER_EVENT_LOG}, which no longer exists"
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        fault = _first(error)
    if fault:
        yield Fault(
            f"{_below(settings, path)} is invalid: {fault}",
            "Correct it, or remove it: it is then written with its defaults.",
        )


def _audit_trail(settings: Settings) -> Iterator[Fault]:
    trail = audit.examine(settings, audit_heads(settings))
    if trail.problem:
        detail, _, cure = trail.problem.partition(". ")
        yield Fault(detail, f"{cure} Until then make doctor heals nothing.")
    key = settings.audit_key
    names = " ".join(entry.subject for entry in trail.entries)
    if key.exists():
        if key.stat().st_size != KEY_BYTES:
            yield Fault(f"{_below(settings, key)} is not {KEY_BYTES} bytes long", f"{RESTORE}.")
    elif "customer " in names or "account " in names:
        yield Fault(
            f"{_below(settings, key)} is missing",
            f"{RESTORE}: with another key the same customer has another token in the trail.",
        )


def _secrets(settings: Settings) -> Iterator[Fault]:
    path = settings.token_key_file
    if path.exists() and path.stat().st_size < KEY_BYTES:
        yield Fault(
            f"{_below(settings, path)} has {path.stat().st_size} bytes, expected {KEY_BYTES}",
            f"{RESTORE}, or make a new key (make rotate-key).",
        )
    has_landed = (settings.landing / STATE_FILE).exists()
    if not path.exists() and has_landed and settings.token_key is None:
        yield Fault(
            f"{_below(settings, path)} is missing: {settings.landing} was landed with it",
            f"{RESTORE}, set JINGXI_TOKEN_KEY, or make a new key (make rotate-key).",
        )


def _erased(settings: Settings) -> Iterator[Fault]:
    """The register of erased persons, and an erasure that did not end."""
    # Raises what is wrong with it.
    read_register(settings)
    unfinished = erased_persons(settings) / "unfinished.json"
    if unfinished.exists():
        yield Fault(
            f"{_below(settings, unfinished)}: an erasure did not end",
            "Erase the customer that the file names again (make erase).",
        )


def _modes(settings: Settings) -> Iterator[Fault]:
    """Nothing that jingxi writes is open to other accounts."""
    opened = []
    for place in settings.own_places:
        inside = place.rglob("*") if place.is_dir() and not place.is_symlink() else ()
        for path in (place, *inside):
            with suppress(FileNotFoundError):
                if not path.is_symlink() and path.lstat().st_mode & OTHERS:
                    opened.append(path)
    if opened:
        more = f" and {len(opened) - 1:,} more" if opened[1:] else ""
        yield Fault(
            f"others may use {_below(settings, opened[0])}{more}",
            "their permissions are removed.",
            lambda: environment.keep_private(settings),
        )


def _roles(settings: Settings) -> Iterator[Fault]:
    # Raises what is wrong with it.
    roles_file(settings)
    who(settings)
    yield from ()


def _reports(settings: Settings) -> Iterator[Fault]:
    """The pages of releases and runs are whole."""
    damaged = [
        path
        for path in sorted(settings.reports.rglob("*.html"))
        if not path.is_symlink() and not _is_whole_page(path)
    ]
    if damaged:
        yield Fault(
            f"{len(damaged)} damaged: {', '.join(_below(settings, one) for one in damaged[:3])}"
            f"{' …' if damaged[3:] else ''}",
            f"{RESTORE}; a refresh writes those of its own release.",
        )


def _is_whole_page(path: Path) -> bool:
    content = path.read_bytes()
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return content.rstrip().endswith(PAGE_END)


def _exports(settings: Settings) -> Iterator[Fault]:
    """The files of each export are those of its manifest."""
    for folder in sorted(settings.exports.glob("*")):
        if not RELEASE_ID.fullmatch(folder.name):
            continue
        try:
            files = json.loads((folder / MANIFEST).read_bytes())["files"]
            damaged = [
                name
                for name, one in files.items()
                if not (folder / name).exists() or _sha256(folder / name) != one["sha256"]
            ]
        except (OSError, ValueError, KeyError, TypeError):
            damaged = [MANIFEST]
        if damaged:
            yield Fault(
                f"exports/{folder.name}: {', '.join(damaged)} missing or changed",
                f"{RESTORE}; the tables decisions.* of the release hold the same rows.",
            )


def _temporary(settings: Settings) -> Iterator[Fault]:
    if holder(settings) not in (None, _own_hold()):
        return
    left = parts.leftovers(settings)
    if left:
        size = parts.shown_size(sum(map(parts.size_of, left)))
        yield Fault(
            f"{len(left)} left by ended processes ({size}), such as {_below(settings, left[0])}",
            "they are removed.",
            lambda: _remove_all(left),
        )


def _remove_all(left: list[Path]) -> None:
    for path in left:
        remove(path)


def _own_hold() -> str:
    return f"{LOCK_HOLDER} (process {os.getpid()})"


def _disk(settings: Settings) -> Iterator[Fault]:
    link = settings.published / CURRENT
    # Raises where there is no room.
    health.room(settings, link.resolve() if link.exists() else None)
    yield from ()


def _fault_of_database(path: Path) -> str | None:
    """What SQLite finds wrong with a file; asked twice, since a writer may have been at work."""
    found = ""
    for _ in range(2):
        try:
            with reading(path) as connection:
                found = str(connection.execute(QUICK).fetchall()[0][0])
        except sqlite3.DatabaseError as error:
            if "locked" in str(error):
                return None
            found = str(error)
        if found == "ok":
            return None
    return found


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# The name under which HEAL=1 holds the lock.
LOCK_HOLDER = "make doctor"
PARTS: Mapping[str, Callable[[Settings], Iterator[Fault]]] = {
    "home": _home,
    "releases": _releases,
    "link": _link,
    "waiting release": _proposed,
    "landing": _landing,
    "build warehouse": _warehouse,
    "models": _models,
    "Dagster storage": _dagster,
    "dagster.yaml": _configuration,
    "audit trail": _audit_trail,
    "secrets": _secrets,
    "erased persons": _erased,
    "file modes": _modes,
    "roles": _roles,
    "reports": _reports,
    "exports": _exports,
    "temporary files": _temporary,
    "disk": _disk,
}
