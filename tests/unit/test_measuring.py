"""What the benchmarks measure of a command: the memory of all its processes, stage by stage."""

import subprocess
import sys

import pytest

from benchmarks.measuring import (
    MEGABYTE,
    TreeRun,
    growth,
    held_bytes,
    in_process,
    in_tree,
    process_tree,
)

# A process that holds little, and a child of it that holds 200 MB until its input ends.
CHILD = "held = bytearray(200 * 1024**2); print('held', flush=True); input()"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {CHILD!r}])"


def test_the_memory_of_a_child_counts():
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout.readline() == "held\n"
        alone = held_bytes(parent.pid)
        together = sum(held_bytes(one) for one in process_tree(parent.pid))
        parent.communicate("\n")
    assert alone < 100 * MEGABYTE
    assert 200 * MEGABYTE < together < 400 * MEGABYTE


def test_the_memory_of_a_process_is_its_own_and_not_that_of_who_started_it(tmp_path):
    held = bytearray(300 * MEGABYTE)
    waits = "import time; held = bytearray({} * 1024**2); time.sleep(0.5)"
    small, large = (
        in_process([sys.executable, "-c", waits.format(size)], tmp_path / "log").peak_bytes
        for size in (1, 150)
    )
    assert small < 100 * MEGABYTE
    assert 150 * MEGABYTE < large < len(held)


def test_the_words_of_a_command_are_kept(tmp_path):
    run = in_tree([sys.executable, "-c", "print('printed')"], tmp_path / "log")
    assert (tmp_path / "log").read_text() == "printed\n"
    assert run.seconds > 0


@pytest.mark.parametrize("run", [in_tree, in_process])
def test_a_command_that_fails_is_an_error_with_its_last_line_and_the_log(run, tmp_path):
    ending = "import sys; print('no room'); sys.exit(3)"
    with pytest.raises(RuntimeError, match=r"ended with status 3: no room \(see .*log\)"):
        run([sys.executable, "-c", ending], tmp_path / "log")


def test_the_peak_is_that_of_a_span_of_time():
    run = TreeRun(0.0, 3.0, ((0.0, 10), (1.0, 30), (2.0, 20)))
    assert run.peak_bytes() == 30
    assert run.peak_bytes(1.5, 2.5) == 20
    assert run.peak_bytes(5.0, 6.0) == 0


@pytest.mark.parametrize(
    ("values", "exponent"), [((2.0, 20.0), 1.0), ((2.0, 200.0), 2.0), ((5.0, 5.0), 0.0)]
)
def test_growth_is_the_power_of_the_size_that_a_value_follows(values, exponent):
    assert growth((100, 1_000), values) == pytest.approx(exponent)


def test_a_value_that_was_too_small_to_be_seen_has_no_growth():
    assert growth((100, 1_000), (0.0, 3.0)) is None
