"""Who did what: an append-only, hash-chained trail in a file of its own, which outlives releases.

Each line is an act as canonical JSON with the SHA-256 of the line before and its own. Each release
keeps the number and hash of the last line of its time, by which removed last lines are found.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestration.platform import identity
from orchestration.platform.files import flush, write_whole
from orchestration.platform.identity import ALLOWED, Person
from orchestration.platform.refusal import Refused
from orchestration.platform.settings import Settings

DONE, REFUSED, FAILED = "done", "refused", "failed"
UNFINISHED = "unfinished_line"
START = "0" * 64
LONGEST = 1_000
TOKEN_DIGITS = 16
KEY_BYTES = 32
TAIL = 1 << 16


class TrailBroken(Refused):
    """The trail is not what was written; the message names the first such line."""


@dataclass(frozen=True)
class Entry:
    """One line of the trail."""

    sequence: int
    happened_at: str
    user_name: str
    role: str
    act: str
    subject: str
    release_id: str | None
    detail: str
    outcome: str
    previous: str
    hash: str

    def line(self) -> str:
        return _canonical(asdict(self))

    def digest(self) -> str:
        """The SHA-256 of everything but itself."""
        content = {name: value for name, value in asdict(self).items() if name != "hash"}
        return hashlib.sha256(_canonical(content).encode()).hexdigest()


@dataclass
class Act:
    """An act that is going on; what is set before it ends is recorded."""

    name: str
    subject: str
    person: Person
    release_id: str | None = None
    detail: str = ""
    role: str = ""

    def require_own(self, managers: Callable[[], Collection[str | None]]) -> None:
        """As `Person.require_own`."""
        self.person.require_own(self.name, self.subject, managers)


@dataclass
class Trail:
    """What `examine` found: the lines up to the first broken one, why it is broken, and remarks."""

    entries: list[Entry] = field(default_factory=list)
    count: int = 0
    head: str = START
    problem: str | None = None
    notes: list[str] = field(default_factory=list)


@contextmanager
def audited(
    settings: Settings,
    act: str,
    subject: str,
    *,
    release_id: str | None = None,
    detail: str = "",
    allowed: Sequence[str] | None = None,
    personal: bool = False,
) -> Iterator[Act]:
    """Do an act that needs a role, and record how it ended.

    Parameters
    ----------
    allowed
        The roles, where they are not those of `ALLOWED`.
    personal
        The subject is a person's: of an error only its kind is recorded, since a message may
        contain an id.

    Raises
    ------
    orchestration.platform.identity.ActRefused
        Without the role. This and every error of the act are recorded, and raised again.
    """
    roles = ALLOWED[act] if allowed is None else allowed
    # Until who it is has been found out, which may be refused.
    unknown = Person(identity.acting_name(), frozenset())
    doing = Act(act, subject, unknown, release_id, detail, "none")
    try:
        doing.person = identity.who(settings)
        doing.role = doing.person.acting(roles) or "none"
        doing.person.require(act, subject, roles)
        # An act that cannot be recorded does not begin.
        _append(settings, doing.person.name, [])
        yield doing
    except BaseException as error:
        refused = isinstance(error, (Refused, ValueError))
        message = str(error).partition("\n")[0]
        why = type(error).__name__
        if refused and not personal and message:
            why = message
        doing.detail = "; ".join(part for part in (doing.detail, why) if part)
        _note(settings, doing, REFUSED if refused else FAILED)
        raise
    _note(settings, doing, DONE)


def require(settings: Settings, act: str, subject: str) -> None:
    """Refuse an act without its role, and record the refusal; nothing is recorded otherwise."""
    try:
        identity.who(settings).require(act, subject, ALLOWED[act])
    except Refused:
        with audited(settings, act, subject):
            raise


def record(
    settings: Settings,
    act: str,
    subject: str,
    *,
    release_id: str | None = None,
    detail: str = "",
    outcome: str = DONE,
) -> None:
    """Append one line."""
    record_all(settings, act, [(subject, detail)], release_id=release_id, outcome=outcome)


def record_all(
    settings: Settings,
    act: str,
    done: Sequence[tuple[str, str]],
    *,
    release_id: str | None = None,
    outcome: str = DONE,
) -> None:
    """Append a line for each subject with its detail, all in one write."""
    if not done:
        return
    person = identity.who(settings)
    role = person.acting(ALLOWED[act]) or "none"
    _append(
        settings,
        person.name,
        [
            _entry(person.name, role, act, subject, release_id, detail, outcome)
            for subject, detail in done
        ],
    )


def customer(settings: Settings, customer_id: str) -> str:
    """A customer as the trail names it: a token, so that it holds no id and no text typed for one.
    The same id has the same token in all of the trail."""
    return f"customer {_token(settings, customer_id)}"


def account(settings: Settings, account_id: str) -> str:
    return f"account {_token(settings, account_id)}"


def seal(settings: Settings, text: str) -> str:
    """A text's code under the trail's own key: a line with it is of this home and no other."""
    return _token(settings, text)


def entries(settings: Settings) -> Iterator[Entry]:
    """The lines of the trail, each checked against the one before.

    Raises
    ------
    TrailBroken
        At the first line that is not what was written.
    """
    path = settings.audit_trail
    if not path.exists():
        return
    before, number = START, 0
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            entry = _parsed(line, number, path)
            if entry.sequence != number:
                raise _broken(
                    path,
                    number,
                    f"expected sequence number {number}, found {entry.sequence}: lines before it "
                    "were removed, added or moved",
                )
            if entry.previous != before:
                raise _broken(
                    path, number, "its hash of the line before is not that line's: one was replaced"
                )
            before = entry.hash
            yield entry


def verify(settings: Settings) -> None:
    """
    Raises
    ------
    TrailBroken
        As `entries`, before an act that would end with a line of it.
    """
    for _ in entries(settings):
        pass


def examine(
    settings: Settings,
    heads: Mapping[str, tuple[int, str]],
    *,
    since: str | None = None,
    act: str | None = None,
    user: str | None = None,
    subject: str | None = None,
) -> Trail:
    """Verify the trail, also against the releases; `entries` are those asked for.

    Parameters
    ----------
    heads
        Release → the number of lines and the hash of the last at its publication.
    since
        A day or time in ISO form.
    subject
        A subject as the trail has it, or the id of a customer or account.
    """
    named = {subject} if subject else set()
    if subject and settings.audit_key.exists():
        named |= {customer(settings, subject), account(settings, subject)}
    found = Trail()
    try:
        for entry in entries(settings):
            found.count, found.head = entry.sequence, entry.hash
            for release_id, (count, head) in heads.items():
                if count == entry.sequence and head != entry.hash:
                    raise _broken(
                        settings.audit_trail,
                        entry.sequence,
                        f"it is not the line that release {release_id} has: the trail was written "
                        "anew",
                    )
            if (
                (since is None or entry.happened_at >= since)
                and (act is None or entry.act == act)
                and (user is None or entry.user_name == user)
                and (not named or entry.subject in named)
            ):
                found.entries.append(entry)
        missing = {one: head for one, head in heads.items() if head[0] > found.count}
        if missing:
            release_id, (count, _) = max(missing.items(), key=lambda one: one[1][0])
            raise _broken(
                settings.audit_trail,
                found.count + 1,
                f"it is missing: release {release_id} was published after {count:,} lines, and "
                f"{found.count:,} are left",
            )
    except TrailBroken as broken:
        found.problem = str(broken)
    tail = unfinished(settings)
    if tail:
        found.notes.append(
            f"the last line is unfinished ({tail} bytes without a line end): a process ended while "
            "it wrote. The next act moves it aside and records that"
        )
    return found


def unfinished(settings: Settings) -> int:
    """The bytes after the last line end."""
    path = settings.audit_trail
    if not path.exists():
        return 0
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        return len(_end(file.fileno())[1])


def _note(settings: Settings, act: Act, outcome: str) -> None:
    _append(
        settings,
        act.person.name,
        [
            _entry(
                *(act.person.name, act.role, act.name, act.subject),
                *(act.release_id, act.detail, outcome),
            )
        ],
    )


def _entry(
    user: str, role: str, act: str, subject: str, release_id: str | None, detail: str, outcome: str
) -> Entry:
    """A line without its place in the chain."""
    return Entry(
        sequence=0,
        happened_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        user_name=_text(user),
        role=_text(role),
        act=act,
        subject=_text(subject),
        release_id=None if release_id is None else _text(release_id),
        detail=_text(detail),
        outcome=outcome,
        previous="",
        hash="",
    )


def _text(value: str) -> str:
    """At most `LONGEST` characters, each of which UTF-8 can write."""
    return value[:LONGEST].encode("utf-8", "replace").decode()


def _append(settings: Settings, user: str, added: Sequence[Entry]) -> None:
    """Write lines at the end of the trail and flush them to disk, alone among all processes.

    A last line without a line end is of a process that was killed: it is moved to a file beside
    the trail, and a line records that.

    Raises
    ------
    TrailBroken
        Where the last line is not what was written.
    """
    path = settings.audit_trail
    _make_folder(settings)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        last, cut = _end(descriptor)
        size = os.lseek(descriptor, 0, os.SEEK_END) - len(cut)
        before, number = START, 0
        if last:
            entry = _parsed(last, None, path)
            before, number = entry.hash, entry.sequence
        if cut:
            aside = path.with_name(f"unfinished-{number + 1}.txt")
            write_whole(aside, cut)
            os.ftruncate(descriptor, size)
            detail = f"{len(cut)} bytes moved to {aside.name}"
            moved = _entry(user, "none", UNFINISHED, path.name, None, detail, DONE)
            added = [moved, *added]
        if not added:
            return
        lines = bytearray()
        for entry in added:
            number += 1
            placed = replace(entry, sequence=number, previous=before)
            placed = replace(placed, hash=placed.digest())
            before = placed.hash
            lines += placed.line().encode() + b"\n"
        os.lseek(descriptor, size, os.SEEK_SET)
        try:
            rest = memoryview(lines)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, size)
            raise
        if not size:
            flush(path.parent)
    finally:
        os.close(descriptor)


def _end(descriptor: int) -> tuple[bytes, bytes]:
    """The last whole line, and what stands behind it."""
    size = os.lseek(descriptor, 0, os.SEEK_END)
    length = TAIL
    while True:
        start = max(0, size - length)
        content = os.pread(descriptor, size - start, start)
        whole, newline, cut = content.rpartition(b"\n")
        if start == 0 or b"\n" in whole:
            line = whole.rpartition(b"\n")[2] + newline
            return line, cut
        length *= 2


def _parsed(line: bytes, number: int | None, path: Path) -> Entry:
    """An entry of a line that is exactly what `Entry.line` writes and has its own hash."""
    try:
        content: Any = json.loads(line)
        entry = Entry(**content)
        written = entry.line().encode() + b"\n" == line
    except (ValueError, TypeError, RecursionError) as error:
        raise _broken(path, number, "it is not an entry") from error
    if set(content) != {one.name for one in fields(Entry)} or not written:
        raise _broken(path, number, "it is not an entry as jingxi writes it")
    if entry.digest() != entry.hash:
        raise _broken(path, number, "its hash is not that of its contents: a field was changed")
    return entry


def _broken(path: Path, number: int | None, why: str) -> TrailBroken:
    place = "the last line" if number is None else f"line {number}"
    return TrailBroken(
        f"{path} is invalid: {place}: {why}. Keep the file as evidence, and restore it from a "
        "backup; meta.audit of each release has the lines up to its publication. Without a backup, "
        "rename it: the next act begins a new trail, and make audit shows the difference as long "
        "as releases of the former one are at hand."
    )


def _canonical(content: dict[str, Any]) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _make_folder(settings: Settings) -> None:
    settings.audit_trail.parent.mkdir(parents=True, exist_ok=True, mode=0o700)


def _token(settings: Settings, text: str) -> str:
    """Keyed by the trail's own key, made at first use: without it nobody can test a list of ids."""
    path = settings.audit_key
    if not path.exists():
        _make_folder(settings)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        write_whole(draft, secrets.token_bytes(KEY_BYTES))
        try:
            # Of two processes the first makes the key.
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
        flush(path.parent)
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise Refused(
            f"{path} is invalid: expected {KEY_BYTES} bytes, found {len(key)}. Restore it from a "
            "backup, or remove it (the same customer then has another token in the trail)."
        )
    content = text.encode("utf-8", "surrogatepass")
    return hmac.new(key, content, hashlib.sha256).hexdigest()[:TOKEN_DIGITS]
