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
def test_a_half_made_store_is_replaced(settings):
    partial = settings.mlflow_home / "mlflow.db.partial"
    partial.write_bytes(b"half a store")
    make_model_store(settings)
    assert not partial.exists()
    registry = Registry(settings.mlflow_tracking_uri, str(settings.mlflow_home / "artifacts"))
    assert registry.champion("clv") is None


def test_an_existing_store_is_left_alone(settings):
    store = settings.mlflow_home / "mlflow.db"
    store.write_bytes(b"somebody's models")
    make_model_store(settings)
    assert store.read_bytes() == b"somebody's models"


def test_no_store_is_made_where_an_address_is_set(settings, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    make_model_store(settings)
    assert not list(settings.mlflow_home.glob("*.db*"))
