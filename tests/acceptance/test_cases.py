"""Deliveries that failed once, each with its right outcome: the folders of `../shared/cases`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestration.delivery_check import Judgement, judgement
from tests.conftest import PROJECT

pytestmark = pytest.mark.slow

CASES = Path(os.environ.get("TEST_CASES") or PROJECT.parent / "shared" / "cases")
# Words of the refusal; or of the notes, where the delivery is read as if the case were not there.
REFUSED = {
    "pq_float32_large": "2025-05.parquet, column amount: is of type FLOAT",
    "pq_timestamptz_utc": "2025-05.parquet, column booked_on: holds instants",
}
READ = {
    "pq_null_typed_column": "",
    "pq_empty_part": "2025-05-part-00001.parquet`: passed over, no rows",
    "header_only_part_beside": "2025-05-part2.csv`: passed over, no rows",
    "excel_blank_tail": "",
}


def overlaid(case: str, folder: Path) -> Path:
    """The base delivery with the case's files put over it."""
    overlay = CASES / case / "overlay"
    if not overlay.is_dir():
        pytest.skip(f"the case is not here: {overlay} (name the folder in TEST_CASES)")
    kinds = {path.suffix.lstrip(".") for path in overlay.rglob("*") if path.is_file()}
    (kind,) = kinds
    shutil.copytree(CASES / "base" / kind, folder)
    shutil.copytree(overlay, folder, dirs_exist_ok=True)
    return folder


def judged(delivery: Path, home: Path) -> Judgement:
    return judgement({"source": "files", "source_path": str(delivery), "home": str(home)})


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judgement]:
    if not CASES.is_dir():
        pytest.skip(f"the cases are not here: {CASES} (name the folder in TEST_CASES)")
    folder = tmp_path_factory.mktemp("base")
    yield judged(CASES / "base" / "csv", folder / "home")


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_right_is_refused_by_file_and_column(case, tmp_path):
    found = judged(overlaid(case, tmp_path / "delivery"), tmp_path / "home")
    assert found.status == "refused"
    assert REFUSED[case] in "\n".join(map(str, found.problems))


@pytest.mark.parametrize("case", READ)
def test_what_says_nothing_changes_no_row(case, base, tmp_path):
    """The gate judges the base delivery itself: its customers are of March, its accounts of June.
    The column of nothing leaves one field unknown and no row out."""
    found = judged(overlaid(case, tmp_path / "delivery"), tmp_path / "home")
    assert found.status == base.status != "refused", found.problems
    assert found.tables == base.tables
    assert found.control == base.control
    assert READ[case] in "\n".join(found.notes)
