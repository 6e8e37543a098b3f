"""Months as partitions: from a source's first month to its last."""

from datetime import date

import pytest

from orchestration.partitions import first_day, last_day, months_of
from orchestration.settings import Settings
from orchestration.sources.choice import source_of
from orchestration.sources.synthetic.timeline import month


def test_the_partitions_of_the_synthetic_bank_are_the_months_it_has(tmp_path):
    bank = source_of(Settings(home=tmp_path))
    keys = months_of(Settings(home=tmp_path)).get_partition_keys()
    assert len(keys) == bank.months
    assert (keys[0], keys[-1]) == (month(0).label, month(bank.months - 1).label)


def test_a_banks_own_files_go_on_to_the_last_complete_month(tmp_path):
    months = months_of(Settings(home=tmp_path, source="files", first_month="2024-02"))
    assert months.get_first_partition_key() == "2024-02"
    today = date.today()
    last = first_day(months.get_last_partition_key())
    assert (today.year - last.year) * 12 + today.month - last.month == 1


@pytest.mark.parametrize(
    ("text", "last"),
    [("2024-02", date(2024, 2, 29)), ("2023-12", date(2023, 12, 31)), ("2025-04", None)],
)
def test_the_last_day_of_a_month(text, last):
    assert last_day(text) == (last or date(2025, 4, 30))
