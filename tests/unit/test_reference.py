"""A bank's own reference data: their form is checked, column order and defaults do not matter."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import duckdb
import pytest

from orchestration.platform.reference import (
    DEFAULTS,
    VOCABULARY,
    ReferenceRefused,
    column_types,
    digest_of,
    prepare_reference,
    record,
)
from orchestration.platform.settings import Settings


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("DBT_REFERENCE", "DBT_REFERENCE_SEEDS"):
        monkeypatch.setenv(name, "")
    folder = tmp_path / "own"
    folder.mkdir()
    return folder


def settings_of(own: Path | None, tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", reference_path=own)


def test_every_seed_declares_the_columns_of_its_file() -> None:
    files = {path.stem: path for path in DEFAULTS.rglob("*.csv") if path.parent.name != VOCABULARY}
    for name, types in column_types().items():
        with files[name].open() as lines:
            assert next(csv.reader(lines)) == list(types), name
    assert set(files) == set(column_types())


def test_a_file_is_put_in_the_seeds_column_order(own: Path, tmp_path: Path) -> None:
    # A byte order mark, Windows line ends, spaces and an empty line do no harm.
    (own / "hurdle_rate.csv").write_bytes(
        b"\xef\xbb\xbfannual_rate, effective_from\r\n0.12, 1900-01-01\r\n\r\n0.15,2024-06-01\r\n"
    )
    settings = settings_of(own, tmp_path)
    prepare_reference(settings)
    written = Path(os.environ["DBT_REFERENCE"], "hurdle_rate.csv").read_text()
    assert written == "effective_from,annual_rate\n1900-01-01,0.12\n2024-06-01,0.15\n"
    assert os.environ["DBT_REFERENCE_SEEDS"] == "hurdle_rate"


def test_without_a_folder_the_defaults_stand(tmp_path: Path, own: Path) -> None:
    prepare_reference(settings_of(None, tmp_path))
    assert os.environ["DBT_REFERENCE_SEEDS"] == ""
    assert digest_of(settings_of(None, tmp_path)) == digest_of(settings_of(None, tmp_path))


def test_a_change_of_a_file_changes_the_digest(own: Path, tmp_path: Path) -> None:
    settings = settings_of(own, tmp_path)
    (own / "hurdle_rate.csv").write_text("effective_from,annual_rate\n1900-01-01,0.1\n")
    before = digest_of(settings)
    (own / "hurdle_rate.csv").write_text("effective_from,annual_rate\n1900-01-01,0.2\n")
    assert digest_of(settings) != before != digest_of(settings_of(None, tmp_path))


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("hurdle.csv", "a\n", ["found hurdle.csv", "hurdle_rate.csv"]),
        ("hurdle_rate.csv", "annual_rate\n0.1\n", ["missing: effective_from"]),
        ("hurdle_rate.csv", "", ["missing: effective_from, annual_rate"]),
        (
            "hurdle_rate.csv",
            "effective_from,annual_rate,note\n1900-01-01,0.1,x\n",
            ["unknown: note"],
        ),
        (
            "hurdle_rate.csv",
            "effective_from,annual_rate\n1900-01-01\n",
            ["line 2 is invalid: expected 2 values, found 1"],
        ),
        (
            "hurdle_rate.csv",
            "effective_from,annual_rate\n1900-01-01,0.1\n2024-13-01,0.1\n",
            ["column effective_from is invalid: expected date", "(line 3: '2024-13-01')"],
        ),
        (
            "hurdle_rate.csv",
            "effective_from,annual_rate\n1900-01-01,ten\n",
            ["column annual_rate is invalid: expected decimal(9,6)", "(line 2: 'ten')"],
        ),
        # It would be rounded in silence.
        (
            "overhead_pool.csv",
            "pool,product_line,branch_id,effective_from,driver,monthly_amount,"
            "amount_per_open_account\nit,*,*,1900-01-01,booking,100.005,0\n",
            ["column monthly_amount is invalid: expected decimal(18,2)", "(line 2: '100.005')"],
        ),
    ],
)
def test_a_file_of_another_form_is_refused(
    own: Path, tmp_path: Path, name: str, text: str, expected: list[str]
) -> None:
    (own / name).write_text(text)
    with pytest.raises(ReferenceRefused) as refused:
        prepare_reference(settings_of(own, tmp_path))
    for words in expected:
        assert words in str(refused.value)


def test_another_encoding_is_refused(own: Path, tmp_path: Path) -> None:
    (own / "hurdle_rate.csv").write_bytes("effective_from,annual_rate\n\xe9,1\n".encode("latin-1"))
    with pytest.raises(ReferenceRefused, match="not UTF-8"):
        prepare_reference(settings_of(own, tmp_path))


def test_a_missing_or_empty_folder_is_refused(own: Path, tmp_path: Path) -> None:
    with pytest.raises(ReferenceRefused, match="is invalid: expected files among .*found none"):
        prepare_reference(settings_of(own, tmp_path))
    with pytest.raises(ReferenceRefused, match="is not a folder"):
        prepare_reference(settings_of(own / "none", tmp_path))


def test_the_files_read_are_recorded_with_their_digest(own: Path, tmp_path: Path) -> None:
    (own / "hurdle_rate.csv").write_text("effective_from,annual_rate\n1900-01-01,0.1\n")
    with duckdb.connect() as connection:
        connection.execute(
            "create schema meta; create table meta.input_file (table_name varchar, path varchar, "
            "extract_month date, rows bigint, landed bigint, quarantined bigint, "
            "after_as_of bigint, before_first_month bigint, sha256 varchar)"
        )
        record(connection, settings_of(own, tmp_path))
        assert connection.execute(
            "select table_name, path, rows, length(sha256) from meta.input_file"
        ).fetchall() == [("reference.hurdle_rate", "hurdle_rate.csv", 1, 64)]
        seeds = connection.execute(
            "select seed, origin, path, rows, length(sha256) from meta.reference_data"
        ).fetchall()
    assert {seed for seed, *_ in seeds} == set(column_types())
    assert [row for row in seeds if row[1] == "delivered"] == [
        ("hurdle_rate", "delivered", "hurdle_rate.csv", 1, 64)
    ]
    assert ("ledger_tolerance", "default", None, 1, 64) in seeds
