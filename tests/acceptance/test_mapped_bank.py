"""The known bank delivered as GBK extracts of a core banking system: the same release through the
example's mapping."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from tests.acceptance.conftest import KNOWN
from tests.conftest import PROJECT
from tests.mapping_banks import write_core_banking

pytestmark = [pytest.mark.slow, pytest.mark.long]

MAPPING = PROJECT / "docs" / "examples" / "mapping" / "core_banking.yml"
COMPARED = ("base", "value", "features", "contacts")


@pytest.fixture(scope="module")
def mapped_bank(tmp_path_factory, command) -> Path:
    place = tmp_path_factory.mktemp("mapped")
    write_core_banking(KNOWN / "delivery", place / "extracts")
    result = command(
        place / "home",
        "refresh",
        source="files",
        source_path=place / "extracts",
        mapping=MAPPING,
        reference_path=KNOWN / "reference",
        first_month="2024-01",
        as_of="2025-12",
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return place


def test_the_release_has_the_tables_of_the_known_bank(mapped_bank, known_bank):
    with duckdb.connect() as connection:
        for side, home in (("mapped", mapped_bank / "home"), ("known", known_bank)):
            path = home / "published" / "current.duckdb"
            connection.execute(f"attach '{path}' as {side} (read_only)")
        tables = connection.execute(
            "select schema_name, table_name from duckdb_tables() "
            "where database_name = 'known' and schema_name in (select unnest(?))",
            [list(COMPARED)],
        ).fetchall()
        assert len(tables) > 60
        differing = [
            f"{schema}.{table}"
            for schema, table in tables
            if connection.execute(
                f'select count(*) from ((from mapped."{schema}"."{table}" except all '
                f'from known."{schema}"."{table}") union all '
                f'(from known."{schema}"."{table}" except all '
                f'from mapped."{schema}"."{table}"))'
            ).fetchall()
            != [(0,)]
        ]
    assert differing == []


def test_the_release_names_its_files_and_its_mapping(mapped_bank):
    path = mapped_bank / "home" / "published" / "current.duckdb"
    with duckdb.connect(str(path), read_only=True) as connection:
        files = dict(connection.execute("select path, table_name from meta.input_file").fetchall())
    assert files["core_banking.yml"] == "mapping"
    assert files["KHXX.txt"] == "customer" and files["JYMX/JYMX_202401.txt"] == "transaction"


def test_a_check_reads_the_extracts_through_the_mapping(mapped_bank, command):
    result = command(
        mapped_bank / "home",
        *("check", str(mapped_bank / "extracts"), "--mapping", str(MAPPING), "--json"),
        *("--as-of", "2025-12"),
        first_month="2024-01",
        reference_path=KNOWN / "reference",
    )
    found = json.loads(result.stdout)
    assert found["problems"] == [] and result.returncode == 0, found
    assert {row["table"]: row["landed"] for row in found["tables"]}["transaction"] == 68


def test_an_account_is_explained_from_the_extracts(mapped_bank, command):
    """The bookings behind an amount, with the file and row of each, through the same mapping."""
    arguments = ("explain", "--account", "A01", "--month", "2024-01", "--json")
    given = {"source": "files", "source_path": mapped_bank / "extracts"}
    result = command(mapped_bank / "home", *arguments, mapping=MAPPING, **given)
    assert result.returncode == 0, result.stderr
    assert "JYMX/JYMX_202401.txt" in result.stdout
    other = mapped_bank / "other.yml"
    other.write_text(MAPPING.read_text(encoding="utf-8") + "# another\n", encoding="utf-8")
    result = command(mapped_bank / "home", *arguments, mapping=other, **given)
    assert "JYMX/JYMX_202401.txt" not in result.stdout
    assert "the mapping is not that of the release" in result.stdout
