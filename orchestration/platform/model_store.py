"""The model store: check that it responds before anything is built; keep its file paths current."""

from __future__ import annotations

import configparser
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from orchestration.platform.deadline import within
from orchestration.platform.refusal import Refused, Retryable
from orchestration.platform.settings import Settings

# Limits of one read and of the whole check: name resolution has no timeout of its own, and a server
# that keeps sending single bytes never exceeds the limit of a read.
REQUEST_SECONDS, CHECK_SECONDS = 4, 6
# A response with these keys identifies MLflow, since version 2.
QUESTION = "/api/2.0/mlflow/registered-models/search"
ANSWER = {"registered_models", "next_page_token"}
MOST_BYTES = 4_000_000
DATABASES = ("postgresql", "mysql", "mssql")
# MLflow itself connects to these at first use.
HOSTED = ("databricks", "databricks-uc", "uc", "uc-oss")
# The columns of MLflow's database with paths of files.
LOCATIONS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
    ("model_versions", "source"),
)
SQLITE_HEADER = b"SQLite format 3\x00"
LONGEST_WORDS = 300

WHERE = "correct MLFLOW_TRACKING_URI; unset, the home's own store is used"
START = f"start it, or {WHERE}"
IDENTIFY = (
    "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN; the "
    "store's owner has them"
)
CERTIFICATE = "set MLFLOW_TRACKING_SERVER_CERT_PATH to the certificate of its authority"


class ModelStoreUnavailable(Refused):
    """The model store does not respond, or the address is not a model store."""


class ModelStoreSilent(ModelStoreUnavailable, Retryable):
    """Nothing answers at the address of the model store, or it reports an error of its own."""


class _NotAStore(Exception):
    """The server is not a model store or denies access; `cure` is what to do."""

    def __init__(self, words: str, cure: str) -> None:
        super().__init__(words)
        self.cure = cure


def check_model_store(settings: Settings) -> None:
    """Request the registered models from the store of MLFLOW_TRACKING_URI, once.

    The home's own store is not checked: it is created when missing. MLflow's client is not used,
    since its import alone may take as long as the check.

    Raises
    ------
    ModelStoreUnavailable
        Within ten seconds, with the address without credentials, what was tried and the cure.
    """
    uri = settings.mlflow_tracking_uri
    if uri == settings.own_model_store:
        return
    scheme = urlsplit(uri).scheme
    if scheme == "sqlite":
        _check_file(uri)
    elif scheme in ("http", "https"):
        _judge(uri, f"GET {QUESTION}", within(CHECK_SECONDS, lambda: _ask(uri)))
    elif scheme.split("+")[0] in DATABASES:
        _judge(uri, "a connection", within(CHECK_SECONDS, lambda: _connect(uri)))
    elif scheme not in (*HOSTED, *entry_points(group="mlflow.tracking_store").names):
        kinds = ", ".join(("http", "https", "sqlite", *DATABASES))
        raise _refused(uri, f"its scheme is invalid: expected one of {kinds}", WHERE)


def make_model_store(settings: Settings) -> None:
    """Make the home's own store where there is none, whole or not at all.

    MLflow makes its tables one by one, and refuses a store in which some are missing: a refresh
    killed just then could never train again. A process of its own makes them: MLflow keeps a
    connection to a store that it has opened, and SQLite does not write a file that was renamed. A
    failure is reported by whoever opens the store.
    """
    store = settings.mlflow_home / "mlflow.db"
    if store.exists() or settings.mlflow_tracking_uri != settings.own_model_store:
        return
    # `environment` imports this module.
    from orchestration.platform.environment import PROJECT

    partial = store.with_name("mlflow.db.partial")
    partial.unlink(missing_ok=True)
    program = (
        "import sys; from ml.registry import Registry; Registry(*sys.argv[1:]).champion('clv')"
    )
    places = [f"sqlite:///{partial}", str(settings.mlflow_home / "artifacts")]
    made = subprocess.run(
        [sys.executable, "-c", program, *places], cwd=PROJECT, capture_output=True
    )
    if made.returncode == 0:
        os.replace(partial, store)


def settle_in(settings: Settings) -> None:
    """Update the artifact paths of the home's own store to the home's current path.

    MLflow stores absolute paths: a copied home would read the original's models, a moved home none.
    Other paths (an experiment created elsewhere by hand) are left unchanged. A store that cannot be
    read or written is skipped; the code that uses it reports the error.
    """
    store, root = settings.mlflow_home / "mlflow.db", settings.mlflow_home / "artifacts"
    if not store.exists():
        return
    with suppress(sqlite3.DatabaseError), closing(sqlite3.connect(store)) as connection:
        experiments = connection.execute(
            "select name, artifact_location from experiments"
        ).fetchall()
        elsewhere: dict[Path, bool] = {}
        for name, location in experiments:
            place = Path(str(location))
            former = place.parent
            is_a_homes = place.is_absolute() and former.parts[-2:] == root.parts[-2:]
            if is_a_homes and place.name == name and former != root:
                brought = (root / name).is_dir() or not former.is_dir()
                elsewhere[former] = elsewhere.get(former, False) or brought
        with connection:
            for former in (one for one, brought in elsewhere.items() if brought):
                for table, column in LOCATIONS:
                    connection.execute(
                        f"update {table} set {column} = ? || substr({column}, ?) "
                        f"where substr({column}, 1, ?) = ?",
                        [
                            *(str(root), len(str(former)) + 1),
                            *(len(str(former)) + 1, f"{former}/"),
                        ],
                    )


def masked(uri: str) -> str:
    """The address without user, password and parameters."""
    parts = urlsplit(uri)
    place = parts.netloc.rpartition("@")[2]
    hidden = "***@" if "@" in parts.netloc else ""
    query = "***" if parts.query else ""
    # `urlunsplit` would drop slashes of a database address with an empty host.
    if not parts.netloc:
        return uri.partition("?")[0] + ("?***" if query else "")
    return urlunsplit((parts.scheme, hidden + place, parts.path, query, ""))


def _refused(uri: str, words: str, cure: str) -> ModelStoreUnavailable:
    advice = cure[0].upper() + cure[1:]
    refused = ModelStoreSilent if cure == START else ModelStoreUnavailable
    return refused(f"the model store {masked(uri)} cannot be used: {words}. {advice}")


def _check_file(uri: str) -> None:
    from sqlalchemy.engine import make_url

    database = make_url(uri).database
    if not database or database == ":memory:":
        raise _refused(uri, "a store in memory loses all models when its process ends", WHERE)
    path = Path(database)
    if not path.parent.is_dir():
        raise _refused(
            uri, f"its folder {path.parent.absolute()} does not exist", f"create it, or {WHERE}"
        )
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.R_OK | os.W_OK):
        raise _refused(uri, "it is not a file that this account can read and write", WHERE)
    if path.exists() and path.stat().st_size:
        with path.open("rb") as content:
            if content.read(len(SQLITE_HEADER)) != SQLITE_HEADER:
                raise _refused(
                    uri,
                    "the file is not a SQLite database",
                    f"restore it from a backup, or {WHERE}",
                )


def _ask(uri: str) -> None:
    import requests

    with requests.get(
        uri.rstrip("/") + QUESTION,
        params={"max_results": "1"},
        timeout=REQUEST_SECONDS,
        stream=True,
        # MLflow's client would follow a redirect and lose the body of a POST.
        allow_redirects=False,
        **_identity(uri),
    ) as response:
        code = response.status_code
        if code in (401, 403):
            # Requests here lack a plug-in's signature: the first use of the store decides.
            if not os.environ.keys() & {"MLFLOW_TRACKING_AUTH", "MLFLOW_TRACKING_AWS_SIGV4"}:
                raise _NotAStore(f"access is denied (HTTP {code})", IDENTIFY)
            return
        if response.is_redirect:
            place = masked(response.headers["Location"])
            raise _NotAStore(f"it redirects to {place} (HTTP {code})", WHERE)
        if code != 200:
            raise _NotAStore(f"it responded with HTTP {code} {response.reason}", START)
        body = next(response.iter_content(MOST_BYTES), b"{}")
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not found.keys() <= ANSWER:
        raise _NotAStore("the response is not MLflow's", WHERE)


def _identity(uri: str) -> dict[str, Any]:
    """The arguments of `requests` with the credentials and certificates of MLflow's client, from
    its environment variables and file."""
    variables = os.environ
    arguments: dict[str, Any] = {}
    if variables.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1"):
        arguments["verify"] = False
    elif variables.get("MLFLOW_TRACKING_SERVER_CERT_PATH"):
        arguments["verify"] = variables["MLFLOW_TRACKING_SERVER_CERT_PATH"]
    if variables.get("MLFLOW_TRACKING_CLIENT_CERT_PATH"):
        arguments["cert"] = variables["MLFLOW_TRACKING_CLIENT_CERT_PATH"]
    kept = configparser.ConfigParser(interpolation=None)
    kept.read(Path("~/.mlflow/credentials").expanduser())
    user, password = (
        variables.get(f"MLFLOW_TRACKING_{name}")
        or str(kept.get("mlflow", f"mlflow_tracking_{name.lower()}", fallback=""))
        for name in ("USERNAME", "PASSWORD")
    )
    if user and password:
        arguments["auth"] = (user, password)
    elif variables.get("MLFLOW_TRACKING_TOKEN"):
        arguments["headers"] = {"Authorization": f"Bearer {variables['MLFLOW_TRACKING_TOKEN']}"}
    return arguments


def _connect(uri: str) -> None:
    import sqlalchemy

    # Not through MLflow: its first use of a database creates the tables, which takes longer.
    engine = sqlalchemy.create_engine(uri)
    try:
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text("select 1"))
    finally:
        engine.dispose()


def _judge(uri: str, tried: str, found: Exception | None) -> None:
    if found is not None:
        words, cure = _diagnosis(found)
        raise _refused(uri, f"tried {tried}; {_without_credentials(words, uri)}", cure) from None


def _diagnosis(error: Exception) -> tuple[str, str]:
    """The reason of a failed check, and the cure."""
    from requests import exceptions

    messages = " ".join(str(one) for one in _chain(error))
    if isinstance(error, _NotAStore):
        return str(error), error.cure
    if isinstance(error, (TimeoutError, exceptions.Timeout)):
        return f"no answer within {CHECK_SECONDS} s", START
    if isinstance(error, exceptions.SSLError):
        return "its certificate is not accepted", CERTIFICATE
    if "resolve" in messages or "Name or service" in messages:
        return "its name cannot be resolved", WHERE
    if "refused" in messages:
        return "nothing listens there (connection refused)", START
    words = " ".join(str(error).split()).rstrip(". ")[:LONGEST_WORDS]
    return f"it failed ({type(error).__name__}: {words})", START


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _without_credentials(words: str, uri: str) -> str:
    parts = urlsplit(uri)
    words = words.replace(uri, masked(uri))
    for secret in filter(None, (parts.netloc.rpartition("@")[0], parts.password, parts.query)):
        words = words.replace(secret, "***")
    return words
