"""What `jingxi scenario` refuses before anything is built, and the file that it writes."""

from __future__ import annotations

from decimal import Decimal

import pytest

from orchestration.platform.releases import ReleaseRefused
from orchestration.platform.settings import Settings
from orchestration.valuation.scenarios import NAME, ScenarioRefused, _write_csv, value_scenario


@pytest.mark.parametrize(
    "name", ["+100bp", "-50bp", "base case", "2026-01", "a", "a.b,c_d", "基准"]
)
def test_valid_names_are_accepted(name):
    assert NAME.fullmatch(name)


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "a/b", "/a", "a\\b", ".hidden", "a.", " a", "a ", "a\n", "a%b", "x" * 65],
)
def test_a_name_that_is_no_folder_is_refused(tmp_path, name):
    settings = Settings(home=tmp_path, reference_path=tmp_path)
    with pytest.raises(ScenarioRefused, match="(?s)^NAME=.* is invalid: expected"):
        value_scenario(settings, name)
    assert list(tmp_path.iterdir()) == []


def test_reference_data_and_a_release_are_needed(tmp_path):
    with pytest.raises(ScenarioRefused, match="REFERENCE_PATH .* is missing"):
        value_scenario(Settings(home=tmp_path), "up")
    with pytest.raises(ReleaseRefused, match="no release"):
        value_scenario(Settings(home=tmp_path, reference_path=tmp_path), "up")


def test_the_file_opens_in_a_spreadsheet_without_running_anything(tmp_path):
    path = tmp_path / "difference.csv"
    rows = [{"dimension_key": "=1+1", "difference": Decimal("-1.00"), "raroc": None}]
    _write_csv(path, rows, bom=True)
    assert path.read_bytes() == (b"\xef\xbb\xbfdimension_key,difference,raroc\r\n'=1+1,-1.00,\r\n")
