"""The commands of the tutorial, one after the other, as a newcomer types them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from orchestration.platform.reference import column_types
from tests.conftest import PROJECT

pytestmark = [pytest.mark.slow, pytest.mark.long]

BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
# The command that reads the prices.
PRICES = "make scenario"


def commands() -> list[str]:
    text = (PROJECT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    return [block.strip() for block in BLOCK.findall(text)]


def test_every_command_of_the_tutorial_succeeds(tmp_path: Path) -> None:
    place, own, prices = tmp_path / "data", tmp_path / "own", tmp_path / "prices"
    env = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("JINGXI_", "DAGSTER_", "MLFLOW_", "DBT_"))
    } | {"JINGXI_HOME": str(place)}
    ran = 0
    for command in commands():
        # What the reader's shell keeps for the commands below.
        for line in re.findall(r"^export (.*)$", command, re.MULTILINE):
            env |= dict(part.split("=") for part in line.replace("/tmp/", f"{tmp_path}/").split())
        typed = (
            command.replace("/tmp/", f"{tmp_path}/")
            .replace("'data/", f"'{place}/")
            .replace("CUSTOMERS=800", "CUSTOMERS=300")
        )
        if command.startswith(PRICES):
            # The command before has made the folder, with every file.
            assert len(list(prices.glob("*.csv"))) == len(column_types())
        process = subprocess.Popen(
            ["sh", "-c", typed],
            cwd=PROJECT,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            # A shell in the background ignores Ctrl-C, and so does what it starts.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        output = []
        for line in process.stdout or ():
            output.append(line)
            if "stop with Ctrl-C" in line:
                os.killpg(process.pid, signal.SIGINT)
        status = process.wait(timeout=120)
        shown = "".join(output)
        assert status == 0 or "stop with Ctrl-C" in shown, f"{typed}\n{shown[-4000:]}"
        ran += 1
    assert ran >= 10
    assert (place / "reports" / "index.html").exists()
    assert len(list((own / "published" / "releases").glob("*.duckdb"))) == 2
