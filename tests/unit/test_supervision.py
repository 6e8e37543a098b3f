"""A signal ends the work and all of its processes, whatever they do about signals themselves."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import PROJECT

DEAF = """
import signal, time
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
time.sleep(600)
"""
PROGRAM = f"""
import os, signal, subprocess, sys, time
from orchestration.platform.supervision import supervise

def work():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    deaf = [sys.executable, "-c", {DEAF!r}]
    children = [subprocess.Popen(deaf, start_new_session=own) for own in (False, True)]
    print(os.getpid(), *(child.pid for child in children), flush=True)
    {{body}}

print("begun", flush=True)
ended = supervise(work)
print(ended.status, ended.signal and ended.signal.name, ended.asked, flush=True)
os._exit(ended.status)
"""
WAITING = "time.sleep(600)"


def line_of(process: subprocess.Popen) -> str:
    """The next line and nothing more: `communicate` does not see what a buffer has taken."""
    line = b""
    while not line.endswith(b"\n") and (one := os.read(process.stdout.fileno(), 1)):
        line += one
    return line.decode()


def heard() -> None:
    """Whoever runs the tests may ignore a signal: `nohup`, or a shell's command in background."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def begun(body: str = WAITING, **options) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(body=body)],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
        **{"preexec_fn": heard, **options},
    )
    assert line_of(process) == "begun\n"
    return process


def processes(process: subprocess.Popen) -> list[int]:
    return [int(number) for number in line_of(process).split()]


def living(numbers: list[int]) -> list[int]:
    """Those of the processes that run; one that ended and waits to be collected does not."""
    found = []
    for number in numbers:
        try:
            state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            continue
        if state != "Z":
            found.append(number)
    return found


def gone(numbers: list[int], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while living(numbers) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not living(numbers)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_everything_and_sets_the_exit_status(number):
    process = begun()
    numbers = processes(process)
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert output.split() == [str(128 + number), number.name, "True"]
    # At once: nothing still builds once the command has ended.
    assert len(numbers) == 3 and living(numbers) == []


def test_a_signal_at_any_moment_is_handled():
    """Before the work has begun, while it starts its processes, within it."""
    rng = random.Random(11)
    for _ in range(12):
        process = begun()
        # The moment is what is tried, not a state that could be waited for.
        time.sleep(rng.uniform(0, 0.15))
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 128 + signal.SIGTERM, output
        *first, last = output.splitlines()
        assert last == f"{128 + signal.SIGTERM} SIGTERM True"
        assert living([int(number) for line in first for number in line.split()]) == []


def test_the_work_ends_with_a_watcher_that_is_killed():
    process = begun()
    worker, child, _ = processes(process)
    process.kill()
    process.wait()
    assert gone([worker, child])


def test_the_exit_status_is_passed_on_and_no_process_remains():
    process = begun(body="return 3")
    numbers = processes(process)
    output, _ = process.communicate(timeout=60)
    assert (process.returncode, output.split()) == (3, ["3", "None", "False"])
    assert living(numbers) == []


def test_a_kill_of_the_work_itself_is_reported():
    process = begun()
    numbers = processes(process)
    os.kill(numbers[0], signal.SIGKILL)
    output, _ = process.communicate(timeout=60)
    assert output.split() == ["137", "SIGKILL", "False"]
    assert living(numbers) == []


def test_a_child_ends_with_its_block_and_with_the_process_that_started_it():
    program = (
        "import subprocess, sys\n"
        "from orchestration.platform.supervision import ended_with_this_process\n"
        f"child = subprocess.Popen([sys.executable, '-c', {DEAF!r}])\n"
        "with ended_with_this_process(child):\n"
        "    print(child.pid, flush=True)\n"
        "    sys.stdin.read()\n"
        "print(child.wait(60), flush=True)\n"
    )
    for killed in (True, False):
        process = subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        child = int(line_of(process))
        if killed:
            process.kill()
            process.wait()
            assert gone([child])
        else:
            printed, _ = process.communicate(b"", timeout=60)
            assert int(printed) == -signal.SIGKILL


def test_an_ignored_hangup_stays_ignored():
    """As `nohup` has it."""
    process = begun(
        body="sys.stdin.read(); return 0",
        stdin=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    processes(process)
    process.send_signal(signal.SIGHUP)
    output, _ = process.communicate("", timeout=60)
    assert (process.returncode, output.split()) == (0, ["0", "None", "False"])


POLITE = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(print("wound up", flush=True)))
print("ready", flush=True)
time.sleep(600)
"""
PATIENT = f"""
import os, signal, subprocess, sys, time
from orchestration.platform.supervision import supervise

def work():
    server = subprocess.Popen([sys.executable, "-c", {POLITE!r}])
    deaf = [subprocess.Popen([sys.executable, "-c", {DEAF!r}]) for _ in range({{deaf}})]
    print(os.getpid(), server.pid, *(one.pid for one in deaf), flush=True)
    {{body}}

ended = supervise(work, patience={{patience}})
print(ended.status, flush=True)
os._exit(ended.status)
"""


@pytest.mark.parametrize(
    ("deaf", "patience", "body"),
    [(0, 60, WAITING), (1, 1, WAITING), (0, 60, "time.sleep(1); return 3")],
)
def test_servers_may_end_by_themselves_within_the_timeout(deaf, patience, body):
    """Whether a signal ends the work or it ends itself; who is deaf is killed behind that."""
    program = PATIENT.format(deaf=deaf, patience=patience, body=body)
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=heard,
    )
    lines = [line_of(process), line_of(process)]
    (numbers,) = ([int(word) for word in line.split()] for line in lines if line != "ready\n")
    assert "ready\n" in lines
    if body == WAITING:
        process.send_signal(signal.SIGTERM)
    # Long before a patience of a minute is over.
    output, _ = process.communicate(timeout=30)
    assert "wound up" in output
    assert living(numbers) == []
