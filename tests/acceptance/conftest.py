"""What several acceptance tests share: one refreshed bank, made once for all workers."""

import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.conftest import once

SMALL_BANK = {"customers": 800, "seed": 7}


@pytest.fixture(scope="session")
def small_bank(
    tmp_path_factory: pytest.TempPathFactory,
    command: Callable[..., CompletedProcess[str]],
) -> Path:
    """A folder with the home of one release of `SMALL_BANK` (`home`, its summary in
    `home/first-summary.txt`) and a copy of it (`copy`).

    `home` is changed by `test_synthetic_refresh`, `copy` by `test_models_outside`; nobody else
    writes in either.
    """

    def make(place: Path) -> None:
        home = place / "home"
        result = command(home, "refresh", **SMALL_BANK)
        assert result.returncode == 0, result.stdout + result.stderr
        (home / "first-summary.txt").write_text(result.stdout)
        shutil.copytree(home, place / "copy", symlinks=True)

    return once(tmp_path_factory, "small_bank", make)
