"""What the benchmarks measure of a command: the memory of all its processes, stage by stage."""

import subprocess
import sys

import pytest

from benchmarks.measuring import MEGABYTE, TreeRun, held_bytes, in_tree, process_tree
from benchmarks.refresh_size import Refresh, Stage, report

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


def test_the_words_of_a_command_are_kept(tmp_path):
    run = in_tree([sys.executable, "-c", "print('printed')"], tmp_path / "log")
    assert (tmp_path / "log").read_text() == "printed\n"
    assert run.seconds > 0


def test_a_command_that_fails_is_an_error_that_names_the_log(tmp_path):
    with pytest.raises(RuntimeError, match="log"):
        in_tree([sys.executable, "-c", "raise SystemExit(3)"], tmp_path / "log")


def test_the_peak_is_that_of_a_span_of_time():
    run = TreeRun(0.0, 3.0, ((0.0, 10), (1.0, 30), (2.0, 20)))
    assert run.peak_bytes() == 30
    assert run.peak_bytes(1.5, 2.5) == 20
    assert run.peak_bytes(5.0, 6.0) == 0


def test_stages_are_shown_as_ratios_to_the_baseline():
    base = Refresh(10, TreeRun(0.0, 4.0, ((0.0, MEGABYTE),)), {"base": Stage(2.0, MEGABYTE)})
    large = Refresh(
        100,
        TreeRun(0.0, 60.0, ((0.0, 7 * MEGABYTE),)),
        {"base": Stage(30.0, 5 * MEGABYTE), "scores": Stage(9.0, 7 * MEGABYTE)},
    )
    head, _, *rows = report(large, base, "2000MB").splitlines()
    assert "100 customers beside 10 (10 times as many), engine memory 2000MB" in head
    shown = {row.split()[0]: row.split()[1:] for row in rows}
    assert shown["base"] == ["30.0", "2.0", "15.0", "5", "MB"]
    assert shown["scores"][:3] == ["9.0", "nan", "nan"]
    assert shown["whole"] == ["60.0", "4.0", "15.0", "7", "MB"]
