"""The example mappings: what lands through them is what lands from the contract's own files."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import duckdb
import pytest
import yaml

from orchestration.landing.engine import Window, land
from sources.contract import TABLES
from sources.files import DeliveredFiles
from sources.interface import Source
from sources.mapping.proposal.propose import propose
from sources.mapping.reading import read_mapping
from sources.mapping.source import MappedFiles
from tests.conftest import PROJECT
from tests.mapping_banks import write_core_banking, write_fineract

EXAMPLES = PROJECT / "docs" / "examples" / "mapping"
KNOWN = PROJECT / "tests" / "acceptance" / "known_bank" / "delivery"
WHOLE = Window(date(2024, 1, 1), date(2024, 1, 1), date(2025, 12, 1), date(2025, 12, 31))


def landed(source: Source, folder: Path) -> tuple[dict[str, list[tuple]], list[tuple], list[tuple]]:
    """The landed tables, the digests of their months, and quarantine's rows."""
    with duckdb.connect() as connection:
        assert [str(problem) for problem in source.problems(connection)] == []
        land(connection, source, WHOLE, folder, b"key")
        tables = {
            table.name: connection.execute(
                f'select * from landing."{table.name}" order by all'
            ).fetchall()
            for table in TABLES
        }
        digests = connection.execute("from meta.landed_month order by all").fetchall()
        faults = [
            row
            for file in {one.table for one in source.files(connection)}
            for row in connection.execute(f'from quarantine."{file}"').fetchall()
        ]
    return tables, digests, faults


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.yml")), ids=lambda path: path.stem)
def test_an_example_has_no_problem_of_its_own(example):
    assert [str(problem) for problem in read_mapping(example).problems] == []


def test_gbk_extracts_of_a_core_banking_system_land_as_the_known_bank(tmp_path):
    bank = write_core_banking(KNOWN, tmp_path / "core")
    mapped = landed(MappedFiles(bank, EXAMPLES / "core_banking.yml"), tmp_path / "mapped")
    plain = landed(DeliveredFiles(KNOWN), tmp_path / "plain")
    for table in plain[0]:
        assert mapped[0][table] == plain[0][table], table
    assert sum(len(rows) for rows in plain[0].values()) > 200
    # The months of both have the same digests: a refresh of one after the other rebuilds nothing.
    assert mapped[1:] == plain[1:]


def test_tables_of_fineract_land_as_the_same_bank_in_the_contracts_form(tmp_path):
    write_fineract(tmp_path / "fineract", tmp_path / "contract")
    source = MappedFiles(tmp_path / "fineract", EXAMPLES / "fineract.yml")
    mapped = landed(source, tmp_path / "mapped")
    plain = landed(DeliveredFiles(tmp_path / "contract"), tmp_path / "plain")
    for table in plain[0]:
        assert mapped[0][table] == plain[0][table], table
    assert len(plain[0]["transaction"]) > 150 and len(plain[0]["loan"]) > 10
    assert mapped[1:] == plain[1:]
    with duckdb.connect() as connection:
        notes = source.notes(connection)
    assert any("do not meet `activation_date is not null`" in note for note in notes)


def test_a_proposal_with_its_questions_answered_lands_the_known_bank(tmp_path):
    """What a data engineer does in half an hour: propose, answer, land."""
    bank = write_core_banking(KNOWN, tmp_path / "core")
    with duckdb.connect() as connection:
        found = propose(connection, bank)
    mapping = yaml.load(found.text, Loader=yaml.BaseLoader)
    written = yaml.load((EXAMPLES / "core_banking.yml").read_text(), Loader=yaml.BaseLoader)
    mapping["defaults"]["money"] = "cents"
    tables = mapping["tables"]
    # Columns without a value in this delivery are of no table's need.
    for name in ("sex", "customer_kind"):
        del tables["customer"]["columns"][name]
    for table, column in (
        ("account", "currency"),
        ("account_owner", "role"),
        ("transaction", "kind"),
        ("ledger", "ledger_account"),
        ("adjustment", "item"),
        ("fx_rate", "average_rate"),
        ("fx_rate", "closing_rate"),
    ):
        tables[table]["columns"][column] = written["tables"][table]["columns"][column]
    path = tmp_path / "mapping.yml"
    path.write_text(yaml.safe_dump(mapping, allow_unicode=True))
    mapped = landed(MappedFiles(bank, path), tmp_path / "mapped")
    plain = landed(DeliveredFiles(KNOWN), tmp_path / "plain")
    for table in plain[0]:
        assert mapped[0][table] == plain[0][table], table
    assert mapped[1:] == plain[1:]


def test_the_mapping_is_an_input_of_the_release(tmp_path):
    from orchestration.landing.delivery import record_mapping

    bank = write_core_banking(KNOWN, tmp_path / "core")
    source = MappedFiles(bank, EXAMPLES / "core_banking.yml")
    with duckdb.connect() as connection:
        land(connection, source, WHOLE, tmp_path / "landing", b"key")
        record_mapping(connection, source)
        rows = connection.execute(
            "select path, sha256 from meta.input_file where table_name = 'mapping'"
        ).fetchall()
    assert rows == [("core_banking.yml", source.draft.digest)]
