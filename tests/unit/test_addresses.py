"""Addresses of pages: three ports of this machine, or three paths of one host."""

import pytest

from orchestration.platform.addresses import mlflow_address, reports_address
from orchestration.platform.settings import Settings


@pytest.mark.parametrize(
    ("ui", "store", "reports", "mlflow"),
    [
        *(
            ("http://127.0.0.1:4000", None, "http://127.0.0.1:4002", "http://127.0.0.1:4001"),
            ("http://[::1]:4000/", None, "http://[::1]:4002", "http://[::1]:4001"),
        ),
        ("https://bank.example", None)
        + ("https://bank.example/reports", "https://bank.example/mlflow"),
        # Server mode, whose store is behind the proxy: a reader reaches it through the proxy alone.
        ("https://bank.example", "http://127.0.0.1:3012/mlflow")
        + ("https://bank.example/reports", "https://bank.example/mlflow"),
        ("https://bank.example:8443", "https://ines:secret@models.example/mlflow/")
        + ("https://bank.example:8443/reports", "https://models.example/mlflow"),
        ("http://127.0.0.1:4000", "http://127.0.0.1:5000")
        + ("http://127.0.0.1:4002", "http://127.0.0.1:5000"),
    ],
)
def test_reports_and_mlflow_are_beside_dagster(tmp_path, monkeypatch, ui, store, reports, mlflow):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    if store is not None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    settings = Settings(home=tmp_path, ui_url=ui)
    page = settings.reports / "2025-12 a" / "en" / "value.html"
    assert reports_address(settings, page) == f"{reports}/2025-12%20a/en/value.html"
    assert mlflow_address(settings) == mlflow
