"""The audit trail: what is written, and that every change of it is found."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from dataclasses import asdict, replace

import pytest

from orchestration.platform import audit
from orchestration.platform.audit import Entry, TrailBroken
from orchestration.platform.identity import ADJUST, CUSTOMER_PAGE, PUBLISH, ROLLBACK
from orchestration.platform.refusal import Refused
from orchestration.platform.settings import Settings
from tests.conftest import PROJECT

HOSTILE = 'a "quoted"\nline\r\n\u2028\x00\\, {"act": "publish"}\ud800' + "x" * 5_000


@pytest.fixture
def settings(tmp_path):
    return Settings(home=tmp_path, user="Tove Berg")


@pytest.fixture
def written(settings):
    """A trail of five lines."""
    for number in range(1, 6):
        audit.record(settings, PUBLISH, f"r{number}", release_id=f"r{number}", detail="run")
    return settings


def lines(settings) -> list[bytes]:
    return settings.audit_trail.read_bytes().splitlines(keepends=True)


def trail(settings) -> list[Entry]:
    return list(audit.entries(settings))


def rewrite(settings, found: list[bytes]) -> None:
    settings.audit_trail.write_bytes(b"".join(found))


def problem(settings, **heads: tuple[int, str]) -> str | None:
    return audit.examine(settings, heads).problem


def test_a_line_has_who_what_when_and_the_hash_of_the_line_before(settings):
    audit.record(settings, PUBLISH, "r1", release_id="r1", detail="run 7")
    audit.record(settings, ROLLBACK, "r0", outcome=audit.FAILED)
    first, second = (json.loads(line) for line in lines(settings))
    assert first["happened_at"].endswith("+00:00")
    del first["happened_at"], first["hash"]
    assert first == {
        **{"sequence": 1, "user_name": "Tove Berg", "role": "every role: no roles file"},
        **{"act": "publish", "subject": "r1", "release_id": "r1", "detail": "run 7"},
        **{"outcome": "done", "previous": "0" * 64},
    }
    assert second["previous"] == trail(settings)[0].hash
    assert (second["sequence"], second["outcome"]) == (2, "failed")
    assert problem(settings) is None


def test_a_hash_is_the_sha256_of_the_canonical_line_without_it(settings):
    """By another implementation: the line as text, with its hash cut out."""
    audit.record(settings, PUBLISH, "r1", detail="ä €")
    (line,) = (line.decode().rstrip("\n") for line in lines(settings))
    own = json.loads(line)["hash"]
    content = line.replace(f'"hash":"{own}",', "")
    hashed = subprocess.run(["sha256sum"], input=content.encode(), capture_output=True, check=True)
    assert hashed.stdout.split()[0].decode() == own


def test_only_the_owner_reads_the_trail(written):
    assert stat.S_IMODE(written.audit_trail.stat().st_mode) == 0o600
    assert stat.S_IMODE(written.audit_trail.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("name", [*Entry.__dataclass_fields__])
def test_a_change_of_any_field_is_found(written, name):
    found = lines(written)
    entry = json.loads(found[2])
    entry[name] = entry[name] + 1 if name == "sequence" else f"{entry[name]}0"
    found[2] = json.dumps(entry, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    rewrite(written, found)
    assert "line 3: its hash is not that of its contents" in (problem(written) or "")


def test_a_changed_field_with_a_new_hash_of_its_own_breaks_the_next_line(written):
    found = lines(written)
    entry = replace(trail(written)[2], user_name="somebody else")
    found[2] = replace(entry, hash=entry.digest()).line().encode() + b"\n"
    rewrite(written, found)
    assert "line 4: its hash of the line before is not that line's" in (problem(written) or "")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (lambda found: found.pop(2), "line 3: expected sequence number 3, found 4"),
        (lambda found: found.pop(0), "line 1: expected sequence number 1, found 2"),
        (lambda found: found.reverse(), "line 1: expected sequence number 1, found 5"),
        (lambda found: found.insert(2, found[1]), "line 3: expected sequence number 3, found 2"),
        (lambda found: found.insert(2, b"\n"), "line 3: it is not an entry"),
        (lambda found: found.insert(2, b"[1]\n"), "line 3: it is not an entry"),
        (lambda found: found.insert(2, b"\xff\xfe\n"), "line 3: it is not an entry"),
        (lambda found: found.insert(2, b"[" * 9_999 + b"\n"), "line 3: it is not an entry"),
        (
            lambda found: found.__setitem__(2, found[2].replace(b'"act"', b' "act"')),
            "line 3: it is not an entry as jingxi writes it",
        ),
        (
            lambda found: found.__setitem__(2, found[2].replace(b'{"act"', b'{"act":"x","act"')),
            "line 3: it is not an entry as jingxi writes it",
        ),
    ],
)
def test_a_line_removed_moved_repeated_or_foreign_is_found(written, fault, words):
    found = lines(written)
    fault(found)
    rewrite(written, found)
    message = problem(written) or ""
    assert words in message and str(written.audit_trail) in message
    assert "restore it from a backup" in message


def test_lines_removed_at_the_end_are_found_by_the_head_of_a_release(written):
    head = (5, trail(written)[-1].hash)
    assert problem(written, r5=head) is None
    rewrite(written, lines(written)[:3])
    assert problem(written) is None
    message = problem(written, r5=head, r1=(1, trail(written)[0].hash)) or ""
    assert "line 4: it is missing: release r5 was published after 5 lines, and 3" in message
    written.audit_trail.unlink()
    assert "line 1: it is missing" in (problem(written, r5=head) or "")


def test_a_trail_written_anew_is_found_by_the_head_of_a_release(written):
    head = (4, trail(written)[3].hash)
    written.audit_trail.unlink()
    for _ in range(6):
        audit.record(written, PUBLISH, "another")
    assert "line 4: it is not the line that release r4 has" in (problem(written, r4=head) or "")


def test_the_lines_before_a_broken_one_are_shown(written):
    found = lines(written)
    del found[3]
    rewrite(written, found)
    assert [entry.sequence for entry in audit.examine(written, {}).entries] == [1, 2, 3]


def test_nothing_is_added_to_a_trail_whose_last_line_was_changed(written):
    found = lines(written)
    found[-1] = found[-1].replace(b"Tove", b"Ana ")
    rewrite(written, found)
    with pytest.raises(TrailBroken, match="the last line: its hash is not that of its contents"):
        audit.record(written, PUBLISH, "r6")
    with pytest.raises(TrailBroken), audit.audited(written, PUBLISH, "r6"):
        raise AssertionError("the act began")
    assert lines(written) == found


def test_a_text_of_any_signs_is_one_line(settings):
    audit.record(settings, PUBLISH, HOSTILE, release_id=HOSTILE, detail=HOSTILE)
    audit.record(settings, PUBLISH, "r2")
    assert len(lines(settings)) == 2 and problem(settings) is None
    (entry, _) = trail(settings)
    assert entry.subject == HOSTILE[: audit.LONGEST].replace("\ud800", "?") == entry.detail


def test_a_customer_is_a_token_in_the_trail(settings):
    subject = audit.customer(settings, "C00001234")
    audit.record(settings, CUSTOMER_PAGE, subject)
    assert "C00001234" not in settings.audit_trail.read_text()
    assert subject == audit.customer(settings, "C00001234") != audit.customer(settings, "C00001235")
    assert stat.S_IMODE(settings.audit_key.stat().st_mode) == 0o600
    found = audit.examine(settings, {}, subject="C00001234").entries
    assert [entry.subject for entry in found] == [subject]
    assert not audit.examine(settings, {}, subject="C00001235").entries


def test_a_key_of_another_length_is_refused(settings):
    audit.customer(settings, "C1")
    settings.audit_key.chmod(0o600)
    settings.audit_key.write_bytes(b"short")
    with pytest.raises(Refused, match="expected 32 bytes, found 5"):
        audit.customer(settings, "C1")


def test_lines_are_chosen_by_day_act_user_and_subject(written, tmp_path):
    audit.record(Settings(home=tmp_path, user="Ana Lima"), ROLLBACK, "r1")

    def chosen(**asked: str) -> list[int]:
        return [entry.sequence for entry in audit.examine(written, {}, **asked).entries]

    today = trail(written)[0].happened_at[:10]
    assert chosen(act=ROLLBACK) == chosen(user="Ana Lima") == [6]
    assert chosen(subject="r1") == [1, 6] and chosen(subject="r1", act=PUBLISH) == [1]
    assert chosen(since=today) == [1, 2, 3, 4, 5, 6] and not chosen(since="2999-01-01")


# What ends an act.


@pytest.mark.parametrize(
    ("error", "outcome", "detail"),
    [
        (Refused("no such release"), "refused", "as asked; no such release"),
        (ValueError("two\nlines"), "refused", "as asked; two"),
        (OSError("no space left"), "failed", "as asked; OSError"),
        (KeyboardInterrupt(), "failed", "as asked; KeyboardInterrupt"),
    ],
)
def test_an_act_that_ends_with_an_error_is_recorded_with_its_reason(
    settings, error, outcome, detail
):
    with (
        pytest.raises(type(error)),
        audit.audited(settings, ROLLBACK, "r1", detail="as asked"),
    ):
        raise error
    (entry,) = trail(settings)
    assert (entry.outcome, entry.detail) == (outcome, detail)


def test_of_a_refusal_about_a_person_only_the_kind_is_recorded(settings):
    with (
        pytest.raises(ValueError, match="C1"),
        audit.audited(settings, CUSTOMER_PAGE, "customer 0", personal=True),
    ):
        raise ValueError("there is no customer C1")
    assert trail(settings)[0].detail == "ValueError"


def test_many_lines_are_appended_at_once(settings):
    audit.record_all(settings, ADJUST, [("a", "1.00"), ("b", "2.00")])
    audit.record_all(settings, ADJUST, [])
    assert [(one.subject, one.detail) for one in trail(settings)] == [("a", "1.00"), ("b", "2.00")]


# Processes.

APPENDS = """
import sys
from orchestration.platform import audit
from orchestration.platform.settings import Settings
settings = Settings(home=sys.argv[1], user=sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[3])):
    audit.record(settings, "publish", str(number), detail=sys.argv[2] * 50)
"""


def appending(settings, name: str, count: int) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", APPENDS, str(settings.home), name, str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=PROJECT,
        text=True,
    )


def test_two_processes_append_at_once_and_no_line_is_lost(settings):
    count = 500
    processes = {name: appending(settings, name, count) for name in ("one", "two")}
    for process in processes.values():
        assert process.stdout.readline() == "ready\n"
    for process in processes.values():
        process.stdin.write("\n")
        process.stdin.flush()
    assert [process.wait(60) for process in processes.values()] == [0, 0]
    found = trail(settings)
    assert [entry.sequence for entry in found] == list(range(1, 2 * count + 1))
    for name in processes:
        own = [entry.subject for entry in found if entry.user_name == name]
        assert own == [str(number) for number in range(count)]
    # They did take turns.
    assert len({entry.user_name for entry in found[:count]}) == 2


CUT = """
import os, signal, sys
from orchestration.platform import audit
from orchestration.platform.settings import Settings
write = os.write
def cut(descriptor, content):
    write(descriptor, bytes(content)[:int(sys.argv[2])])
    os.kill(os.getpid(), signal.SIGKILL)
os.write = cut
audit.record(Settings(home=sys.argv[1], user="killed"), "publish", "r6")
"""


@pytest.mark.parametrize("cut", [1, 100, -1])
def test_a_line_cut_by_a_kill_is_moved_aside_and_reported(written, cut):
    before = lines(written)
    killed = subprocess.run(
        [sys.executable, "-c", CUT, str(written.home), str(cut)], cwd=PROJECT, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    *whole, rest = lines(written)
    assert whole == before and rest and not rest.endswith(b"\n")
    found = audit.examine(written, {})
    assert found.problem is None and found.count == 5
    assert f"the last line is unfinished ({len(rest)} bytes" in found.notes[0]
    audit.record(written, PUBLISH, "r7")
    assert lines(written)[:5] == before
    moved, after = trail(written)[5:]
    assert (moved.act, moved.subject) == ("unfinished_line", "audit.jsonl")
    assert moved.detail == f"{len(rest)} bytes moved to unfinished-6.txt"
    assert written.audit_trail.with_name("unfinished-6.txt").read_bytes() == rest
    assert after.subject == "r7"
    found = audit.examine(written, {})
    assert (found.problem, found.notes) == (None, [])


def test_a_full_disk_leaves_the_trail_as_it_was(written, monkeypatch):
    before, write = written.audit_trail.read_bytes(), os.write

    def full(descriptor, content):
        if len(content) < 100:
            raise OSError(28, "No space left on device")
        return write(descriptor, bytes(content)[:-50])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        audit.record(written, PUBLISH, "r6")
    assert written.audit_trail.read_bytes() == before


def test_a_long_trail_is_appended_to_without_reading_it(settings):
    """Of two thousand lines the last one alone is read."""
    audit.record_all(settings, ADJUST, [(str(number), "x" * 900) for number in range(2_000)])
    started = time.process_time()
    for _ in range(20):
        audit.record(settings, PUBLISH, "r")
    assert time.process_time() - started < 1
    assert trail(settings)[-1].sequence == 2_020


def test_an_entry_is_read_as_it_was_written(written):
    (entry, *_) = trail(written)
    assert json.loads(entry.line()) == asdict(entry)
