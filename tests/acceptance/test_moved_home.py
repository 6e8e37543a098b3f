"""A refreshed home that is backed up, restored at another path and refreshed there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from ml.registry import Registry
from tests.acceptance.conftest import SMALL_BANK

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def moved(
    small_bank: Path,
    tmp_path_factory: pytest.TempPathFactory,
    command: Callable[..., CompletedProcess[str]],
) -> Path:
    """The home restored elsewhere; the one that it was taken from is gone."""
    place = tmp_path_factory.mktemp("moved")
    shutil.copytree(small_bank / "copy", place / "former", symlinks=True)
    archive = place / "home.tar"
    taken = command(place / "former", "backup", str(archive), "--include-secrets")
    assert taken.returncode == 0, taken.stdout + taken.stderr
    shutil.rmtree(place / "former")
    home = place / "another path" / "home"
    restored = command(home, "restore", str(archive))
    assert restored.returncode == 0, restored.stdout + restored.stderr
    return home


def test_every_part_of_it_is_in_order(moved, command):
    for arguments in (("doctor",), ("audit",), ("summary",), ("status",)):
        done = command(moved, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr


def test_mlflow_loads_its_champions(moved):
    registry = Registry(f"sqlite:///{moved}/mlflow/mlflow.db", str(moved / "mlflow" / "artifacts"))
    champions = [registry.champion(name) for name in registry.models()]
    assert len(champions) > 3
    for champion in champions:
        registry.load(champion)


@pytest.mark.long
def test_a_refresh_goes_on_and_retention_leaves_it_in_order(moved, command):
    done = command(moved, "refresh", train="never", **SMALL_BANK)
    assert done.returncode == 0, done.stdout + done.stderr
    ended = command(moved, "retain", "--json", kept_releases=2)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert not [one for one in json.loads(ended.stdout)["ended"] if one["part"] == "MLflow run"]
    assert len(json.loads(command(moved, "releases", "--json").stdout)) == 2
    assert command(moved, "doctor").returncode == 0
