"""Months as partitions: from a source's first month to its last."""

from datetime import date

import pytest

from orchestration.landing.chosen_source import source_of
from orchestration.landing.delivery import open_delivery
from orchestration.platform.engine import connect
from orchestration.platform.partitions import first_day, last_day, months_of
from orchestration.platform.settings import Settings
from sources.interface import DeliveryRefused
from sources.synthetic.timeline import month


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


def test_a_refresh_is_as_of_a_month_up_to_that_of_the_settings(tmp_path):
    settings = Settings(home=tmp_path, customers=100, as_of="2024-06")
    with connect(settings) as connection:
        assert open_delivery(settings, connection).as_of == "2024-06"
        assert open_delivery(settings, connection, "2023-05").as_of == "2023-05"
        with pytest.raises(DeliveryRefused, match="2024-07 lies after the as-of month 2024-06"):
            open_delivery(settings, connection, "2024-07")
