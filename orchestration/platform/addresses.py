"""Where a browser finds Dagster, MLflow and the reports: all follow from `JINGXI_UI_URL`.

`make ui` serves them at three neighbouring ports of this machine, server mode on one host, MLflow
and the reports below a path of it. The portal's pages find out by themselves
(`reports/templates/portal/served.js`).
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from orchestration.platform.settings import Settings

MLFLOW_PATH, REPORTS_PATH = "/mlflow", "/reports"
# Ports above Dagster's.
MLFLOW_PORT, REPORTS_PORT = 1, 2
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def reports_address(settings: Settings, file: Path) -> str:
    """The address of a file in the folder of the reports."""
    shown = quote(file.relative_to(settings.reports).as_posix())
    return f"{_beside(settings, REPORTS_PORT, REPORTS_PATH)}/{shown}"


def mlflow_address(settings: Settings) -> str:
    """The address of MLflow's pages: the tracking server's own, if the reader reaches it, else the
    one beside Dagster."""
    parts = urlsplit(settings.mlflow_tracking_uri)
    is_server = parts.scheme in ("http", "https")
    if not is_server or (_is_here(settings.mlflow_tracking_uri) and not _is_here(settings.ui_url)):
        return _beside(settings, MLFLOW_PORT, MLFLOW_PATH)
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, place, parts.path.rstrip("/"), "", ""))


def _is_here(address: str) -> bool:
    return urlsplit(address).hostname in LOOPBACK


def _beside(settings: Settings, port: int, path: str) -> str:
    parts = urlsplit(settings.ui_url.rstrip("/"))
    if not _is_here(settings.ui_url) or parts.port is None:
        return urlunsplit((*parts[:2], parts.path + path, "", ""))
    host = parts.netloc.rpartition(":")[0]
    return f"{parts.scheme}://{host}:{parts.port + port}"
