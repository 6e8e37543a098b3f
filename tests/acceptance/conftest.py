"""What several acceptance tests share: one refreshed bank, made once for all workers."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import duckdb
import pytest

from sources.export import export_delivery
from sources.synthetic import SyntheticBank
from tests.acceptance import deliveries
from tests.conftest import once

KNOWN = Path(__file__).parent / "known_bank"
SMALL_BANK = {"customers": 800, "seed": 11}


@pytest.fixture(scope="session")
def small_bank(
    tmp_path_factory: pytest.TempPathFactory,
    command: Callable[..., CompletedProcess[str]],
) -> Path:
    """A folder with the home of one release of `SMALL_BANK` (`home`), what its refresh printed
    (`summary.txt`) and a copy of the home (`copy`).

    `home` is changed by `test_synthetic_refresh`, `copy` by `test_models_outside`; nobody else
    writes in either. `TEST_SMALL_BANK` names a folder that holds such a home and summary already.
    """

    given = os.environ.get("TEST_SMALL_BANK")

    def make(place: Path) -> None:
        if not given:
            result = command(place / "home", "refresh", **SMALL_BANK)
            assert result.returncode == 0, result.stdout + result.stderr
            (place / "summary.txt").write_text(result.stdout)
        place = Path(given or place)
        shutil.rmtree(place / "copy", ignore_errors=True)
        shutil.copytree(place / "home", place / "copy", symlinks=True)

    made = once(tmp_path_factory, "small_bank", make)
    return Path(given or made)


@pytest.fixture(scope="session")
def known_bank(
    tmp_path_factory: pytest.TempPathFactory, command: Callable[..., CompletedProcess[str]]
) -> Path:
    """The home of one release of the bank whose figures are known."""

    def make(place: Path) -> None:
        result = command(
            place / "home",
            "refresh",
            source="files",
            source_path=KNOWN / "delivery",
            reference_path=KNOWN / "reference",
            first_month="2024-01",
            as_of="2025-12",
        )
        assert result.returncode == 0, result.stdout + result.stderr

    return once(tmp_path_factory, "known_bank", make) / "home"


@pytest.fixture(scope="session")
def faulty_bank(
    tmp_path_factory: pytest.TempPathFactory,
    command: Callable[..., CompletedProcess[str]],
) -> Path:
    """A folder with a bank's delivery (`original`); the home of one release made from it with a few
    bad rows (`delivered`, `summary.txt`), with a temporary folder of the system's own (`system`);
    and copies of what was delivered (`redelivered`) and of that home, moved (`copy`).

    The home (`faulty_home`) is changed by `test_homes`, the copy and `delivered`, whose path
    identifies its bank, by `test_corrupted_deliveries`.
    """

    def make(place: Path) -> None:
        original, delivered = place / "original", place / "delivered"
        with duckdb.connect() as connection:
            made = SyntheticBank(place / "made", place / "truth", **deliveries.BANK)
            made.prepare(connection)
            export_delivery(connection, made.delivery, original, "csv")
        shutil.copytree(original, delivered, copy_function=os.link)
        deliveries.a_few_bad_rows(delivered)
        deliveries.someone_misplaced(delivered)
        shutil.copytree(delivered, place / "redelivered")
        (place / "system").mkdir()
        home = faulty_home(place)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TMPDIR", str(place / "system"))
            result = command(home, "refresh", prepared=False, source="files", source_path=delivered)
        assert result.returncode == 0, result.stdout + result.stderr
        (place / "summary.txt").write_text(result.stdout)
        shutil.copytree(home, place / "copy", symlinks=True)

    return once(tmp_path_factory, "faulty_bank", make)


def faulty_home(place: Path) -> Path:
    """The path of the home of `faulty_bank`, with every kind of sign that a path may hold."""
    return place / 'it\'s the "银行" home'
