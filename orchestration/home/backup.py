"""`make backup` and `make restore`: a home as one archive, verified file by file.

The archive is a tar of regular files, the last of which is `manifest.json`: their SHA-256, sizes
and modes, and the release that is served. It is taken while readers read and a refresh runs. Files
that are only ever replaced as a whole are pinned by hard links in a moment and copied afterwards;
databases are copied by SQLite. What a refresh builds anew is left out.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import re
import shutil
import sqlite3
import tarfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import quote

from orchestration.home import parts
from orchestration.platform import audit, environment
from orchestration.platform.environment import VERSION
from orchestration.platform.erased import folder as erased_persons
from orchestration.platform.files import flush
from orchestration.platform.identity import BACKUP, RESTORE
from orchestration.platform.refusal import Refused
from orchestration.platform.releases import CURRENT, fault_of, point_at
from orchestration.platform.settings import Settings, named

MANIFEST = "manifest.json"
FORMAT = 1
LONGEST_MANIFEST = 256 << 20
# How often the landing folder is looked at while a refresh replaces its files.
TRIES, PAUSE_SECONDS = 100, 0.1
CHUNK = 1 << 20
# Those of SQLite, with the files that it has beside them.
DATABASE = re.compile(r"\.db(-wal|-shm|-journal)?$")
STAGING = ".restoring-"
SECRETS = "secrets"
AUDIT_KEY = "audit/token.key"


class BackupRefused(Refused):
    """The backup cannot be taken or restored; nothing is left behind."""


@dataclass(frozen=True)
class _Pinned:
    """The name of a file in the home, and a path under which its content stays as it is."""

    name: str
    path: Path
    mode: int
    mtime_ns: int


def back_up(settings: Settings, to: Path, *, include_secrets: bool = False) -> dict[str, Any]:
    """Write the archive of a home; it appears under its name whole or not at all.

    Raises
    ------
    BackupRefused
        Where the target exists, lies in the home or cannot be written, and where nothing is
        published that is sound.
    orchestration.platform.identity.ActRefused
        Without the role.
    """
    to = to.expanduser().resolve()
    if to.exists() or to.is_relative_to(settings.home) or not to.parent.is_dir():
        raise BackupRefused(
            f"TO is invalid: expected a new file in an existing folder outside {settings.home}, "
            f"got {to}. Choose another path."
        )
    with audit.audited(settings, BACKUP, to.name) as doing:
        staging = settings.temporary / f"backup-{os.getpid()}-{uuid.uuid4().hex}"
        draft = to.with_name(f".{to.name}.{uuid.uuid4().hex}.partial")
        try:
            staging.mkdir(parents=True)
            pinned, served = _pin(settings, staging, include_secrets=include_secrets)
            doing.release_id = served
            manifest = _write(draft, pinned, served, include_secrets=include_secrets)
            os.replace(draft, to)
            flush(to.parent)
        except OSError as error:
            raise BackupRefused(
                f"TO is invalid: {to} cannot be written ({error.strerror or error}). Make room, or "
                "choose another path."
            ) from error
        finally:
            draft.unlink(missing_ok=True)
            shutil.rmtree(staging, ignore_errors=True)
        found = {
            **{"archive": str(to), "bytes": to.stat().st_size, "files": len(manifest["files"])},
            **{"served": served, "secrets": include_secrets, "manifest_sha256": _digest(manifest)},
        }
        doing.detail = f"{found['files']} files, manifest {found['manifest_sha256']}" + (
            ", with secrets" if include_secrets else ""
        )
    return found


def restore(settings: Settings, archive: Path) -> dict[str, Any]:
    """Write the home of an archive into the home of the settings, which must be empty.

    Every file is verified before any is moved into place; the folder of the releases comes last.

    Raises
    ------
    BackupRefused
        For a home that is not empty, and an archive that is truncated, changed or no backup.
    """
    archive = archive.expanduser().resolve()
    if not archive.is_file():
        raise BackupRefused(f"{archive} (FROM) is invalid: it is not a file. Name a backup.")
    home = settings.home
    existed = home.exists()
    held = list(home.iterdir()) if home.is_dir() else [home] if existed else []
    # What a killed restore left holds nothing of anybody's.
    killed = [path for path in held if path.name.startswith(STAGING)]
    if len(held) > len(killed):
        raise BackupRefused(
            f"{named('home')} is invalid: expected an empty or new folder, and {home} is not "
            "empty. Choose another folder, or move its contents away."
        )
    os.umask(0o077)
    for path in killed:
        shutil.rmtree(path)
    staging = home / f"{STAGING}{uuid.uuid4().hex}"
    moved: list[Path] = []
    try:
        staging.mkdir(parents=True)
        manifest = _extract(archive, staging)
        _check_served(settings, staging, manifest)
        for path in sorted(staging.iterdir(), key=lambda one: one.name == "published"):
            moved.append(home / path.name)
            path.rename(home / path.name)
        staging.rmdir()
        flush(home)
    except BaseException as error:
        for path in (staging, *moved):
            shutil.rmtree(path, ignore_errors=True)
            with suppress(OSError):
                path.unlink(missing_ok=True)
        if not existed:
            with suppress(OSError):
                home.rmdir()
        if isinstance(error, OSError):
            raise BackupRefused(
                f"{named('home')} is invalid: {home} cannot be written "
                f"({error.strerror or error}). Make room, or choose another folder."
            ) from error
        raise
    environment.prepare(settings)
    digest = _digest(manifest)
    served = manifest["served"]
    detail = f"taken {manifest['taken_at']}, manifest {digest}"
    audit.record(settings, RESTORE, archive.name, release_id=served, detail=detail)
    return {
        **{"home": str(home), "files": len(manifest["files"]), "served": served},
        **{"taken_at": manifest["taken_at"], "manifest_sha256": digest},
        "bring_yourself": [] if manifest["secrets"] else _keys(manifest),
    }


def show_backup(found: Mapping[str, Any]) -> None:
    """Print the result of `back_up`."""
    print(
        f"{found['archive']}: {found['files']:,} files, {parts.shown_size(found['bytes'])}, "
        f"serves {found['served'] or 'nothing yet'}"
    )
    print(f"  manifest SHA-256  {found['manifest_sha256']}")
    if not found["secrets"]:
        print(
            f"  The keys {SECRETS}/token.key and {AUDIT_KEY} are not in it: keep a copy of them "
            "elsewhere, or use INCLUDE_SECRETS=1 and guard the archive as you guard the keys."
        )


def show_restored(found: Mapping[str, Any]) -> None:
    """Print the result of `restore`."""
    print(
        f"{found['home']}: {found['files']:,} files of {found['taken_at']}, "
        f"serves {found['served'] or 'nothing yet'}"
    )
    print(f"  manifest SHA-256  {found['manifest_sha256']}")
    for name in found["bring_yourself"]:
        print(f"  before the next refresh, copy {name} of the former home into {found['home']}")
    print("  make doctor checks all of it")


def _pin(
    settings: Settings, staging: Path, *, include_secrets: bool
) -> tuple[list[_Pinned], str | None]:
    """Pin everything that the archive takes, in the order in which one refers to the other.

    A release names lines of the audit trail and versions of the model store, which were there
    before it; the store names files, which were there before it.
    """
    found, served = _pin_releases(settings, staging)
    found += _pin_landing(settings, staging)
    found += _pin_trail(settings, staging)
    databases = [settings.mlflow_home / "mlflow.db"]
    if settings.dagster_home.is_relative_to(settings.home):
        databases += sorted(settings.dagster_home.rglob("*.db"))
    for path in databases:
        if path.exists():
            found += _copy_database(settings, staging, path)
    folders = [
        *(settings.mlflow_home / "artifacts", settings.reports, settings.exports),
        *(settings.operations, settings.reference_proposal, settings.scenarios),
        # Without it a delivery brings erased persons back.
        *(settings.own_roles, settings.kept, erased_persons(settings)),
    ]
    if settings.dagster_home.is_relative_to(settings.home):
        folders.append(settings.dagster_home)
    if include_secrets:
        folders += [settings.token_key_file.parent, settings.audit_key]
    for folder in folders:
        for path in parts.files_in(folder):
            if not path.name.startswith(".") and not DATABASE.search(path.name):
                found += _pin_file(settings, staging, path)
    return found, served


def _pin_releases(settings: Settings, staging: Path) -> tuple[list[_Pinned], str | None]:
    """The releases and the one that the link names, at one moment."""
    link = settings.published / CURRENT
    for _ in range(TRIES):
        target = os.readlink(link) if link.is_symlink() else None
        found = [
            one
            for folder in ("releases", "proposed")
            for path in sorted((settings.published / folder).glob("*.duckdb"))
            for one in _pin_file(settings, staging, path)
        ]
        served = f"published/{target}" if target else None
        if served is None or served in {one.name for one in found}:
            if target and (fault := fault_of(settings, settings.published / target)):
                raise BackupRefused(
                    f"the served release {Path(target).stem} {fault}. Run make doctor."
                )
            return found, Path(target).stem if target else None
        # It was published after the folder was read.
        time.sleep(PAUSE_SECONDS)
    raise BackupRefused(f"{link} names a release that is missing. Run make doctor.")


def _pin_landing(settings: Settings, staging: Path) -> list[_Pinned]:
    """The landed files before or after a refresh replaces them, never some of each."""
    for _ in range(TRIES):
        before = _listing(settings.landing)
        found = [
            one
            for path in sorted(before)
            if ".writing" not in path.parts
            for one in _pin_file(settings, staging, path)
        ]
        if _listing(settings.landing) == before:
            return found
        time.sleep(PAUSE_SECONDS)
    raise BackupRefused(
        f"a refresh is replacing {settings.landing}. Wait for it to end, and run make backup again."
    )


def _listing(folder: Path) -> dict[Path, tuple[int, int]]:
    found = {}
    for path in parts.files_in(folder):
        with suppress(FileNotFoundError):
            stat = path.stat()
            found[path] = (stat.st_ino, stat.st_mtime_ns)
    return found


def _pin_trail(settings: Settings, staging: Path) -> list[_Pinned]:
    """The trail as it stands between two acts."""
    folder = settings.audit_trail.parent
    found = []
    if settings.audit_trail.exists():
        copy = staging / uuid.uuid4().hex
        with settings.audit_trail.open("rb") as trail:
            fcntl.flock(trail, fcntl.LOCK_SH)
            copy.write_bytes(trail.read())
        found.append(_pinned(settings, settings.audit_trail, copy))
    for path in sorted(folder.glob("unfinished-*.txt")):
        found += _pin_file(settings, staging, path)
    return found


def _copy_database(settings: Settings, staging: Path, path: Path) -> Iterator[_Pinned]:
    copy = staging / uuid.uuid4().hex
    try:
        # Under SQLite's own locks: a run may be writing.
        with (
            closing(sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True)) as source,
            closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
            # One file, whatever the journal of its owner is.
            target.execute("pragma journal_mode = delete")
    except sqlite3.DatabaseError as error:
        raise BackupRefused(f"{path} cannot be read: {error}. Run make doctor.") from error
    yield _pinned(settings, path, copy)


def _pin_file(settings: Settings, staging: Path, path: Path) -> Iterator[_Pinned]:
    """A file under a name of its own, linked, or copied where the disk has no links; nothing for a
    file that is gone."""
    pinned = staging / uuid.uuid4().hex
    try:
        try:
            os.link(path, pinned, follow_symlinks=False)
        except FileNotFoundError:
            raise
        except OSError:
            shutil.copyfile(path, pinned)
        one = _pinned(settings, path, pinned)
    except FileNotFoundError:
        pinned.unlink(missing_ok=True)
        return
    yield one


def _pinned(settings: Settings, path: Path, pinned: Path) -> _Pinned:
    """A file of the home and where its content is pinned."""
    stat = path.stat()
    name = path.relative_to(settings.home).as_posix()
    return _Pinned(name, pinned, stat.st_mode & 0o700, stat.st_mtime_ns)


class _Hashed:
    """A file that is hashed as it is read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.sha256 = file, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        content = self._file.read(size)
        self.sha256.update(content)
        return content


def _write(
    draft: Path, pinned: list[_Pinned], served: str | None, *, include_secrets: bool
) -> dict[str, Any]:
    files = {}
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as target:
        with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for one in sorted(pinned, key=lambda one: one.name):
                with one.path.open("rb") as content:
                    # What is appended meanwhile, to a log, is of a later time.
                    size = os.fstat(content.fileno()).st_size
                    hashed = _Hashed(content)
                    archive.addfile(_member(one.name, size), hashed)  # type: ignore[arg-type]
                files[one.name] = {
                    **{"sha256": hashed.sha256.hexdigest(), "bytes": size},
                    **{"mode": one.mode, "mtime_ns": one.mtime_ns},
                }
                one.path.unlink()
            manifest = {
                **{"format": FORMAT, "jingxi": VERSION, "served": served},
                **{"taken_at": datetime.now(UTC).isoformat(timespec="seconds")},
                **{"secrets": include_secrets, "files": files},
            }
            text = _text(manifest)
            archive.addfile(_member(MANIFEST, len(text)), io.BytesIO(text))
        target.flush()
        os.fsync(target.fileno())
    return manifest


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = size, 0o600, int(time.time())
    return member


def _text(manifest: Mapping[str, Any]) -> bytes:
    return json.dumps(manifest, sort_keys=True, indent=1).encode()


def _digest(manifest: Mapping[str, Any]) -> str:
    return hashlib.sha256(_text(manifest)).hexdigest()


def _extract(archive: Path, staging: Path) -> dict[str, Any]:
    """Write the files of an archive and verify them against its manifest, which is returned."""
    found: dict[str, str] = {}
    manifest: dict[str, Any] | None = None
    with _readable(archive):
        if archive.stat().st_size % tarfile.RECORDSIZE:
            raise tarfile.ReadError("its end is missing")
        with tarfile.open(archive, "r:") as members:
            for member in members:
                content = _checked(archive, member, members, staging)
                if manifest is not None or member.name in found:
                    raise tarfile.ReadError(f"{member.name} is there twice, or after the manifest")
                if member.name == MANIFEST:
                    if member.size > LONGEST_MANIFEST:
                        raise tarfile.ReadError("its manifest is too long")
                    manifest = json.loads(content.read())
                    continue
                found[member.name] = _written(content, staging / member.name)
        if manifest is None:
            raise tarfile.ReadError("it has no manifest")
        if manifest["format"] != FORMAT:
            raise tarfile.ReadError(f"its format is {manifest['format']}, expected {FORMAT}")
        expected = {name: one["sha256"] for name, one in manifest["files"].items()}
        for name in sorted({*found, *expected}):
            if found.get(name) != expected.get(name):
                raise tarfile.ReadError(f"{name} is not what was backed up")
        for name, one in manifest["files"].items():
            # Releases are ordered by their time.
            os.utime(staging / name, ns=(one["mtime_ns"], one["mtime_ns"]))
            (staging / name).chmod(one["mode"] & 0o700)
    return manifest


@contextmanager
def _readable(archive: Path) -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, ValueError, KeyError, TypeError, AttributeError, EOFError) as error:
        raise BackupRefused(
            f"{archive} (FROM) is invalid: it is truncated, changed or no backup ({error}). "
            "Nothing is restored. Use another backup."
        ) from error


def _checked(
    archive: Path, member: tarfile.TarInfo, members: tarfile.TarFile, staging: Path
) -> IO[bytes]:
    """The content of a member that is a regular file inside the home."""
    place = PurePosixPath(member.name)
    if not member.isreg() or place.is_absolute() or ".." in place.parts:
        raise BackupRefused(
            f"{archive} (FROM) is invalid: {member.name!r} is no regular file inside a home. "
            "Nothing is restored. Use another backup."
        )
    tarfile.data_filter(member, str(staging))
    content = members.extractfile(member)
    if content is None:
        raise tarfile.ReadError(f"{member.name} has no content")
    return content


def _written(content: IO[bytes], path: Path) -> str:
    """Write a file and flush it; returns its SHA-256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sha256 = hashlib.sha256()
    with path.open("xb") as file:
        while chunk := content.read(CHUNK):
            sha256.update(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    return sha256.hexdigest()


def _check_served(settings: Settings, staging: Path, manifest: Mapping[str, Any]) -> None:
    """Point the link to the release that was served, which must be readable."""
    served = manifest["served"]
    if served is None:
        return
    moving = settings.model_copy(update={"home": staging})
    path = moving.published / "releases" / f"{served}.duckdb"
    fault = fault_of(moving, path)
    if fault is not None or path.stem != served:
        raise BackupRefused(
            f"the backup (FROM) is invalid: its release {served} {fault}. Use another one."
        )
    point_at(moving, path)


def _keys(manifest: Mapping[str, Any]) -> list[str]:
    """The keys that a home with these files needs."""
    files = manifest["files"]
    landed = any(name.startswith("landing/") for name in files)
    audited = "audit/audit.jsonl" in files
    return [
        *([f"{SECRETS}/token.key"] if landed else []),
        *([AUDIT_KEY] if audited else []),
    ]
