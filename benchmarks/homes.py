"""Homes for benchmarks: the settings of the working home, in another place, of another bank."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import SecretStr

from orchestration.platform.environment import PROJECT, code_version
from orchestration.platform.settings import PREFIX, Settings

# Places of another home; a process of this one must not write there.
PLACES = {"DAGSTER_HOME", "MLFLOW_TRACKING_URI"}
MARK = "measured.json"
SHOWN_LINES = 12


class CommandFailed(Exception):
    """A command in a benchmark's home failed; the message has the last lines of its log."""


def variables(settings: Settings) -> dict[str, str]:
    """The environment of a process that has exactly these settings."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(PREFIX) and name not in PLACES
    }
    named = {
        PREFIX + name.upper(): value.get_secret_value()
        if isinstance(value, SecretStr)
        else str(value)
        for name, value in settings.model_dump().items()
        if value is not None
    }
    return {**kept, **named}


def environment_of(settings: Settings) -> dict[str, str]:
    """What is added to this process's environment for a process that has exactly these settings:
    an empty variable is one that is not set."""
    unset = {PREFIX + name.upper(): "" for name in Settings.model_fields}
    named = {name: value for name, value in variables(settings).items() if name.startswith(PREFIX)}
    memory = {f"{PREFIX}MEMORY": settings.engine_memory}
    return {**unset, **named, **memory, **dict.fromkeys(PLACES, "")}


def own_store(settings: Settings) -> str:
    """MLflow's store inside a home, wherever this process's own environment points."""
    return f"sqlite:///{settings.mlflow_home}/mlflow.db"


def once(settings: Settings, command: Sequence[str]) -> Settings:
    """Run a Python module (`command`: its name and arguments) in a home, unless the home holds the
    result of the same command, settings and code; returns the settings.

    A home of other code, other settings or a killed run is removed first: its champion would stay.

    Raises
    ------
    CommandFailed
        With the last lines of the command's log, `measured.log` in the home. Also for a home with
        other files, which would be lost.
    """
    mark, log = settings.home / MARK, settings.home / "measured.log"
    wanted = {
        "command": list(command),
        "code": code_version(),
        "settings": settings.model_dump(mode="json", exclude={"home"}),
    }
    if mark.exists():
        if json.loads(mark.read_text(encoding="utf-8")) == {**wanted, "done": True}:
            return settings
        shutil.rmtree(settings.home)
    elif settings.home.exists() and any(settings.home.iterdir()):
        raise CommandFailed(
            f"{settings.home} holds files that no measurement wrote. Move them away."
        )
    settings.home.mkdir(parents=True, exist_ok=True)
    mark.write_text(json.dumps({**wanted, "done": False}), encoding="utf-8")
    with log.open("w", encoding="utf-8") as words:
        ended = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=PROJECT,
            env=variables(settings),
            stdout=words,
            stderr=subprocess.STDOUT,
        )
    if ended.returncode:
        raise CommandFailed(
            f"{' '.join(command)} failed in {settings.home}; see {log}\n{_last_lines(log)}"
        )
    mark.write_text(json.dumps({**wanted, "done": True}), encoding="utf-8")
    return settings


def refreshed(settings: Settings) -> Settings:
    """A home with a whole refresh of its settings, run if missing."""
    return once(settings, ("orchestration", "refresh"))


def _last_lines(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(lines[-SHOWN_LINES:])
