"""The command line itself: help, arguments, what goes where, on a terminal and elsewhere."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from orchestration.cli import app, main
from orchestration.platform.environment import PROJECT

HEAVY = {"dagster", "dagster_dbt", "dbt", "great_expectations", "mlflow", "pandas", "sklearn"}
PROGRAM = [sys.executable, "-m", "orchestration"]


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A home with two releases, the second of which is served."""
    for name in [name for name in os.environ if name.startswith("JINGXI_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("JINGXI_HOME", str(tmp_path))
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "published" / "releases"
    folder.mkdir(parents=True)
    for second, name in enumerate(("first", "second")):
        with duckdb.connect(str(folder / f"{name}.duckdb")) as connection:
            connection.execute("create schema meta")
            connection.execute(f"create table meta.release as select '{name}' as release_id")
        os.utime(folder / f"{name}.duckdb", (second, second))
    (tmp_path / "published" / "current.duckdb").symlink_to("releases/second.duckdb")
    return tmp_path


def on_terminal(*arguments: str, **named: str) -> tuple[int, str]:
    """Exit status and all output of a command whose outputs are a terminal."""
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [*PROGRAM, *arguments],
        **dict.fromkeys(("stdin", "stdout", "stderr"), terminal),
        cwd=PROJECT,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", **named},
    )
    os.close(terminal)
    shown = b""
    try:
        while piece := os.read(controller, 1 << 16):
            shown += piece
    except OSError:
        # Linux ends the reading of a terminal without writers so.
        pass
    os.close(controller)
    return process.wait(), shown.decode()


def test_help_imports_none_of_the_large_libraries():
    program = (
        "import sys\n"
        "from orchestration.cli import main\n"
        "status = main(['--help'])\n"
        "print(status, *sorted({name.split('.')[0] for name in sys.modules}))\n"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout
    *help_lines, last = shown.splitlines()
    status, *imported = last.split()
    assert status == "0" and "orchestration" in imported
    assert not HEAVY & set(imported)
    assert any(line.split()[:1] == ["refresh"] for line in help_lines)


@pytest.mark.parametrize(
    "name", [one.name or one.callback.__name__ for one in app.registered_commands]
)
def test_each_command_explains_itself_and_its_options(name, capsys):
    assert main([name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"Usage: jingxi {name}") and "\x1b" not in shown
    assert all(line.split("  ")[-1].strip() for line in shown.splitlines() if line[:4] == "  --")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Missing command"),
        (["nonsense"], "No such command 'nonsense'"),
        (["refresh", "--month", "2024-01"], "No such option: --month"),
        (["export"], "Missing argument"),
        (["export", "folder", "--format", "xml"], "'csv', 'parquet'"),
        (["promote", "--model", "clv"], "Missing option '--version'"),
        (["customer"], "Missing option '--id'"),
        (["ui", "--port", "three"], "--port"),
    ],
)
def test_wrong_arguments_end_with_status_2_and_print_to_standard_error(arguments, words, capsys):
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert words in shown.err and shown.out == ""


def test_releases_are_lines_for_a_pipe_json_on_request_and_a_table_on_a_terminal(home, capsys):
    assert main(["releases"]) == 0
    assert capsys.readouterr().out == "first\nsecond  (served)\n"
    assert main(["releases", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(one["release"], one["served"]) for one in found] == [
        ("first", False),
        ("second", True),
    ]
    status, shown = on_terminal("releases")
    assert status == 0
    (row,) = (line for line in shown.splitlines() if "second" in line)
    assert row.split()[:2] == ["second", "yes"] and "Releases" in shown


def test_an_error_is_red_on_a_terminal_only_and_not_with_no_color(home):
    assert main(["rollback"]) == 0
    command = ("rollback",)
    piped = subprocess.run([*PROGRAM, *command], cwd=PROJECT, capture_output=True, text=True)
    assert (piped.returncode, piped.stdout) == (2, "")
    assert (
        piped.stderr == "refused: no release precedes the served one. Available: first, second.\n"
    )
    status, shown = on_terminal(*command)
    assert status == 2 and "\x1b[31mrefused: no release" in shown
    status, shown = on_terminal(*command, NO_COLOR="1")
    assert status == 2 and "refused: no release" in shown and "\x1b[3" not in shown


def test_json_is_alone_on_standard_output_and_absent_after_a_refusal(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("JINGXI_HOME", str(tmp_path))
    assert main(["summary", "--json"]) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.startswith("refused: nothing is published")
