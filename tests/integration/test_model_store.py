"""The home's MLflow store appears whole or not at all."""

import pytest

from ml.registry import Registry
from orchestration.platform.model_store import make_model_store
from orchestration.platform.settings import Settings


@pytest.fixture
def settings(tmp_path):
    made = Settings(home=tmp_path)
    (made.mlflow_home / "artifacts").mkdir(parents=True)
    return made


@pytest.mark.slow
def test_what_a_killed_making_left_behind_is_made_anew(settings):
    partial = settings.mlflow_home / "mlflow.db.partial"
    partial.write_bytes(b"half a store")
    make_model_store(settings)
    assert not partial.exists()
    registry = Registry(settings.mlflow_tracking_uri, str(settings.mlflow_home / "artifacts"))
    assert registry.champion("clv") is None


def test_a_store_that_stands_is_left_alone(settings):
    store = settings.mlflow_home / "mlflow.db"
    store.write_bytes(b"somebody's models")
    make_model_store(settings)
    assert store.read_bytes() == b"somebody's models"


def test_a_store_elsewhere_is_its_owners_to_make(settings, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    make_model_store(settings)
    assert not list(settings.mlflow_home.glob("*.db*"))
