import pytest
from pydantic import ValidationError

from orchestration.platform.partitions import first_day, last_day, months_asked
from orchestration.platform.settings import keep_language, read_settings


def test_an_unknown_setting_is_refused_by_name(monkeypatch):
    monkeypatch.setenv("JINGXI_SOURCES", "berka")
    with pytest.raises(ValueError, match="JINGXI_SOURCES"):
        read_settings()


def test_an_invalid_month_is_refused_with_the_form_expected(monkeypatch):
    monkeypatch.setenv("JINGXI_AS_OF", "2025-13")
    with pytest.raises(ValidationError, match="YYYY-MM"):
        read_settings()


def test_everything_written_lies_under_the_home(monkeypatch, tmp_path):
    monkeypatch.setenv("JINGXI_HOME", str(tmp_path))
    settings = read_settings()
    places = [
        settings.warehouse,
        settings.landing,
        settings.delivery,
        settings.truth,
        settings.published,
        settings.reports,
        settings.dagster_home,
        settings.mlflow_home,
    ]
    assert all(place.is_relative_to(tmp_path) for place in places)
    assert str(tmp_path) in settings.mlflow_tracking_uri


def test_the_language_of_the_last_refresh_is_kept_with_the_home(monkeypatch, tmp_path):
    """For commands without one of their own; the variable, or what is given, comes first."""
    monkeypatch.setenv("JINGXI_HOME", str(tmp_path))
    assert read_settings().language == "en"
    keep_language(read_settings())
    assert not list(tmp_path.iterdir())
    monkeypatch.setenv("JINGXI_LANGUAGE", "zh")
    keep_language(read_settings())
    monkeypatch.delenv("JINGXI_LANGUAGE")
    assert read_settings().language == "zh"
    assert read_settings().kept in read_settings().own_places
    monkeypatch.setenv("JINGXI_LANGUAGE", "en")
    assert read_settings().language == "en"
    assert read_settings(language="zh").language == "zh"
    keep_language(read_settings())
    monkeypatch.delenv("JINGXI_LANGUAGE")
    assert read_settings().language == "en"


@pytest.mark.parametrize("text", ["", "zh", "[]", "{}", '{"language": "fr"}'])
def test_a_home_that_keeps_no_known_language_is_refused_with_the_cure(tmp_path, text):
    (tmp_path / "settings.json").write_text(text)
    with pytest.raises(ValueError, match="settings.json is invalid: expected .* Remove it"):
        read_settings(home=tmp_path)
    assert read_settings(home=tmp_path, language="en").language == "en"


def test_a_month_ends_on_its_last_day():
    assert last_day("2024-02").isoformat() == "2024-02-29"
    assert last_day("1900-02").isoformat() == "1900-02-28"
    assert last_day("2025-12").isoformat() == "2025-12-31"
    assert first_day("2024-02").isoformat() == "2024-02-01"


def test_requested_months_are_read_in_both_forms():
    assert months_asked(None, "2023-01", "2025-12") == ("2023-01", "2025-12")
    assert months_asked("2025-03", "2023-01", "2025-12") == ("2025-03", "2025-03")
    assert months_asked("2025-03:2025-06", "2023-01", "2025-12") == ("2025-03", "2025-06")


@pytest.mark.parametrize("text", ["2025", "2025-06:2025-03", "2022-12", "2026-01", "a:b:c"])
def test_months_outside_the_history_or_of_another_form_are_refused(text):
    with pytest.raises(ValueError, match="MONTHS="):
        months_asked(text, "2023-01", "2025-12")
    # As a run in Dagster's UI is asked.
    with pytest.raises(ValueError, match="jingxi/months="):
        months_asked(text, "2023-01", "2025-12", "jingxi/months")


def test_the_trainer_is_the_login_name_unless_another_is_given(monkeypatch):
    monkeypatch.setenv("LOGNAME", "tove")
    assert read_settings().user == "tove"
    monkeypatch.setenv("JINGXI_USER", "Ana Lima")
    assert read_settings().user == "Ana Lima"


def test_promotion_is_by_the_policy_unless_approval_is_asked_for(monkeypatch):
    assert read_settings().promotion == "auto"
    monkeypatch.setenv("JINGXI_PROMOTION", "approval")
    assert read_settings().promotion == "approval"
    monkeypatch.setenv("JINGXI_PROMOTION", "none")
    with pytest.raises(ValidationError, match="approval"):
        read_settings()


def test_artifacts_are_kept_in_a_place_that_is_whole(monkeypatch, tmp_path):
    monkeypatch.setenv("JINGXI_HOME", str(tmp_path))
    assert read_settings().artifact_root == str(tmp_path / "mlflow" / "artifacts")
    for place in ("/srv/models", "s3://models/jingxi", "mlflow-artifacts:/models"):
        monkeypatch.setenv("JINGXI_ARTIFACTS", f"{place}/")
        assert read_settings().artifact_root == place
    monkeypatch.setenv("JINGXI_ARTIFACTS", "models")
    with pytest.raises(ValidationError, match="expected an absolute folder or an address"):
        read_settings()


def test_a_short_secret_is_refused_and_not_shown(monkeypatch):
    monkeypatch.setenv("JINGXI_PROXY_SECRET", "short-secret")
    with pytest.raises(ValidationError, match="at least 32 characters") as error:
        read_settings()
    assert "short-secret" not in str(error.value)


def test_a_mapping_is_of_a_banks_own_files(monkeypatch, tmp_path):
    monkeypatch.setenv("JINGXI_MAPPING", str(tmp_path / "mapping.yml"))
    with pytest.raises(ValidationError, match="expected SOURCE=files"):
        read_settings()
    monkeypatch.setenv("JINGXI_SOURCE", "files")
    assert read_settings().mapping == tmp_path / "mapping.yml"
