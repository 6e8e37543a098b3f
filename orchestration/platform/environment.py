"""The process environment of a refresh: everything stays in the home, nothing is sent anywhere."""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

from orchestration.platform.files import OTHERS, keep_to_owner, write_whole
from orchestration.platform.model_store import settle_in
from orchestration.platform.refusal import Refused
from orchestration.platform.settings import Settings

PROJECT = Path(__file__).resolve().parents[2]
DBT_PROJECT = PROJECT / "dbt_project"
VERSION = "0.1.0"

# Set in code: a forgotten variable would send usage data outside the bank.
QUIET = {
    "DO_NOT_TRACK": "1",
    "DAGSTER_DISABLE_TELEMETRY": "1",
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    "GX_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}

# Waiting threads release the processor. Spinning, OpenMP's default, made training ten times slower
# when another process used one of two cores.
SHARING = {"OMP_WAIT_POLICY": "PASSIVE"}
# A model store that fails during a run fails its step within two minutes per request. With MLflow's
# defaults a dead address takes five minutes, a silent one sixteen, and a server may request any
# wait.
PATIENCE = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
}

# Dagster reads the times in its databases as UTC, and PostgreSQL writes them in a session's zone.
TIMES = {"PGTZ": "UTC"}

DAGSTER_YAML = """\
# Written once; yours to edit. One run at a time: the build warehouse has one writer.
telemetry:
  enabled: false
nux:
  enabled: false
concurrency:
  runs:
    max_concurrent_runs: 1
  # One step at a time, too, in the pool of those that write it.
  pools:
    default_limit: 1
    granularity: op
# A run that never starts, or does not end when it is canceled, is closed; its place in a pool is
# freed.
run_monitoring:
  enabled: true
  free_slots_after_run_end_seconds: 60
# Whether the published assets of a month were built in time.
freshness:
  enabled: true
# Days for which the looks of schedules and sensors are kept. Runs end with `make retain`.
retention:
  schedule:
    purge_after_days: {skipped: 30, failure: 90, success: 180}
  sensor:
    purge_after_days: {skipped: 7, failure: 90, success: 180}
"""


class HomeRefused(Refused):
    """The home, or a file in it that a refresh cannot rebuild, is not usable."""


FORMER_EVENT_LOG = "orchestration.event_log"
# Digests of the files that earlier versions wrote: an unedited one is replaced.
WRITTEN_BEFORE = {
    "ecdb1ce63d959574c18f2ad1bf85a78db9a81f4f1420d9b13fce1b2f223252a6",
    "2b8a3669061c021f313ddfbd021316372db5346ce89ead62180a061de4b49ca3",
    "abb34d23b609405ed50150600ef1e456deab7ebcf24d87e311971527425f33fd",
    "857407216a9ce1814cf18c319334edabb4ce91806d25ca56ccb64ac1973e86c6",
    "e2ae18a6f482228e838e26ce86c3d3dae07f3a68708ce647b64406a14d53a888",
}

SOURCE_FOLDERS = ("orchestration", "sources", "ml", "expectations", "dbt_project")
SOURCE_SUFFIXES = {".py", ".sql", ".yml", ".csv", ".html"}


def prepare(settings: Settings, *, reading: bool = False) -> None:
    """Create the home's folders, for their owner alone, and point every component at them.

    A command that is only `reading` writes nothing and works in a home on a read-only disk.

    Raises
    ------
    HomeRefused
        When the home cannot be written.
    """
    os.umask(OTHERS)
    if not reading:
        _make(settings)
        settle_in(settings)
    os.environ.update({**QUIET, **TIMES})
    for name, value in {**SHARING, **PATIENCE}.items():
        os.environ.setdefault(name, value)
    os.environ["DAGSTER_HOME"] = str(settings.dagster_home)
    os.environ["MLFLOW_TRACKING_URI"] = settings.mlflow_tracking_uri
    os.environ["DBT_WAREHOUSE"] = str(settings.warehouse)
    os.environ["DBT_MEMORY_LIMIT"] = settings.engine_memory
    os.environ["DBT_DUCKDB_THREADS"] = str(settings.engine_threads)
    os.environ["DBT_TEMP_DIRECTORY"] = str(settings.scratch / "dbt")
    # The holder of the lock has its own folder below it.
    within = Path(tempfile.gettempdir()).is_relative_to(settings.temporary)
    if settings.temporary.is_dir() and not within:
        use_temporary(settings.temporary)


def _make(settings: Settings) -> None:
    try:
        for folder in (
            settings.warehouse.parent,
            settings.landing,
            settings.published / "releases",
            settings.reports,
            settings.dagster_home,
            settings.mlflow_home / "artifacts",
            settings.scratch,
            settings.home / "logs",
        ):
            folder.mkdir(parents=True, exist_ok=True)
        refuse_open_key(settings)
        keep_private(settings)
        configuration = settings.dagster_home / "dagster.yaml"
        if (
            not configuration.exists()
            or hashlib.sha256(configuration.read_bytes()).hexdigest() in WRITTEN_BEFORE
        ):
            write_whole(configuration, DAGSTER_YAML)
        elif FORMER_EVENT_LOG in configuration.read_text():
            raise HomeRefused(
                f"{configuration} is invalid: event_log_storage names {FORMER_EVENT_LOG}, which no "
                "longer exists. Remove event_log_storage: Dagster's default reads the same files."
            )
        # Existing folders need not be writable.
        write_whole(settings.temporary / ".writable", "")
    except OSError as error:
        raise HomeRefused(
            f"HOME (JINGXI_HOME) is invalid: {settings.home} cannot be written: "
            f"{error.strerror or error}. "
            "Make it writable for this account, make room, or choose another folder."
        ) from error


def refuse_open_key(settings: Settings) -> None:
    """Refuse a key of tokens that others may read: they may have read it."""
    path = settings.token_key_file
    if path.exists() and path.stat().st_mode & OTHERS:
        raise HomeRefused(
            f"{path} is invalid: expected mode 0600, found "
            f"{path.stat().st_mode & 0o777:04o}. Run chmod 600 on it; where others may have read "
            "it, then run make rotate-key."
        )


def keep_private(settings: Settings) -> None:
    """Remove the permissions of others from what jingxi writes, and from the home itself if it
    holds nothing else."""
    for place in settings.own_places:
        keep_to_owner(place)
    if set(settings.home.iterdir()) <= set(settings.own_places):
        with suppress(PermissionError):
            settings.home.chmod(0o700)


def use_temporary(folder: Path) -> None:
    """Set the folder of all components' temporary files, which may hold customers' records."""
    os.environ["TMPDIR"] = str(folder)
    tempfile.tempdir = str(folder)


@cache
def code_version() -> str:
    """The version and a digest of the code and seeds that define the tables, also without git."""
    digest = hashlib.sha256()
    for folder in SOURCE_FOLDERS:
        for path in sorted((PROJECT / folder).rglob("*")):
            relative = path.relative_to(PROJECT)
            if path.suffix in SOURCE_SUFFIXES and not {"target", "logs"} & set(relative.parts):
                digest.update(str(relative).encode())
                digest.update(path.read_bytes())
    return f"{VERSION}+{digest.hexdigest()[:12]}"
