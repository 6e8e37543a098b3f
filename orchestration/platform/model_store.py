"""The model store: whether it answers, asked before anything is built, and where its files lie."""

from __future__ import annotations

import configparser
import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from orchestration.platform.refusal import Refused
from orchestration.platform.settings import Settings

# One read, and the whole check: name resolution has no limit of its own, and a server that sends a
# byte now and then never reaches the first.
REQUEST_SECONDS, CHECK_SECONDS = 4, 6
# Whose answer is of this shape is MLflow, of any version since 2.
QUESTION = "/api/2.0/mlflow/registered-models/search"
ANSWER = {"registered_models", "next_page_token"}
MOST_BYTES = 4_000_000
DATABASES = ("postgresql", "mysql", "mssql")
# Asked by MLflow itself when they are used.
HOSTED = ("databricks", "databricks-uc", "uc", "uc-oss")
# Where MLflow's database keeps the places of files.
LOCATIONS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
    ("model_versions", "source"),
)
# `make ui` without PORT.
OWN_PAGES = "http://127.0.0.1:3001"
SQLITE_HEADER = b"SQLite format 3\x00"
LONGEST_WORDS = 300

WHERE = "correct MLFLOW_TRACKING_URI; unset, the home's own store is used"
START = f"start it, or {WHERE}"
IDENTIFY = (
    "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, as the "
    "store's owner says"
)
CERTIFICATE = "name its authority in MLFLOW_TRACKING_SERVER_CERT_PATH"


class ModelStoreUnavailable(Refused):
    """The model store does not answer, or not as a model store does."""


class _NotAStore(Exception):
    """What answers is no model store, or keeps us out; `cure` says what to do."""

    def __init__(self, words: str, cure: str) -> None:
        super().__init__(words)
        self.cure = cure


def check_model_store(settings: Settings) -> None:
    """Ask the store named by MLFLOW_TRACKING_URI for its registered models, once.

    The home's own store is not asked: it is made where there is none. Without MLflow's client,
    whose import alone may take as long as all of this.

    Raises
    ------
    ModelStoreUnavailable
        Within ten seconds; names the address without its credentials, what was tried and the cure.
    """
    uri = settings.mlflow_tracking_uri
    if uri == settings.own_model_store:
        return
    scheme = urlsplit(uri).scheme
    if scheme == "sqlite":
        _check_file(uri)
    elif scheme in ("http", "https"):
        _judge(uri, f"GET {QUESTION}", _within(CHECK_SECONDS, lambda: _ask(uri)))
    elif scheme.split("+")[0] in DATABASES:
        _judge(uri, "a connection", _within(CHECK_SECONDS, lambda: _connect(uri)))
    elif scheme not in (*HOSTED, *entry_points(group="mlflow.tracking_store").names):
        kinds = ", ".join(("http", "https", "sqlite", *DATABASES))
        raise _refused(uri, f"its kind is not among those known ({kinds})", WHERE)


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
    """Have the home's own store look for its artifacts where the home lies now.

    MLflow keeps absolute places. A home that was copied would read the other one's models, a home
    that was moved none. What another place holds (an experiment made elsewhere by hand) is left.
    A store that cannot be read or written is left to those who need it, and named by them.
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
    # `urlunsplit` would take slashes from a database's empty host.
    if not parts.netloc:
        return uri.partition("?")[0] + ("?***" if query else "")
    return urlunsplit((parts.scheme, hidden + place, parts.path, query, ""))


def pages(settings: Settings) -> str:
    """The address of MLflow's pages on this store: a server's own, else that of `make ui`."""
    uri = settings.mlflow_tracking_uri
    if urlsplit(uri).scheme not in ("http", "https"):
        return OWN_PAGES
    parts = urlsplit(uri)
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, place, parts.path.rstrip("/"), "", ""))


def _refused(uri: str, words: str, cure: str) -> ModelStoreUnavailable:
    advice = cure[0].upper() + cure[1:]
    return ModelStoreUnavailable(f"the model store {masked(uri)} cannot be used: {words}. {advice}")


def _check_file(uri: str) -> None:
    from sqlalchemy.engine import make_url

    database = make_url(uri).database
    if not database or database == ":memory:":
        raise _refused(uri, "a store in memory ends with its process, models included", WHERE)
    path = Path(database)
    if not path.parent.is_dir():
        raise _refused(
            uri, f"its folder {path.parent.absolute()} does not exist", f"make it, or {WHERE}"
        )
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.R_OK | os.W_OK):
        raise _refused(uri, "it is no file that this account can read and write", WHERE)
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
        # MLflow's client would follow, and lose what it posts.
        allow_redirects=False,
        **_identity(uri),
    ) as response:
        code = response.status_code
        if code in (401, 403):
            # Whoever signs requests by a plug-in is judged by its first use.
            if not os.environ.keys() & {"MLFLOW_TRACKING_AUTH", "MLFLOW_TRACKING_AWS_SIGV4"}:
                raise _NotAStore(f"was not let in (HTTP {code})", IDENTIFY)
            return
        if response.is_redirect:
            place = masked(response.headers["Location"])
            raise _NotAStore(f"was sent on to {place} (HTTP {code})", WHERE)
        if code != 200:
            raise _NotAStore(f"it answered HTTP {code} {response.reason}", START)
        body = next(response.iter_content(MOST_BYTES), b"{}")
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not found.keys() <= ANSWER:
        raise _NotAStore("what answered is not MLflow", WHERE)


def _identity(uri: str) -> dict[str, Any]:
    """What MLflow's client would show of itself, by its own environment variables and file."""
    told = os.environ
    shown: dict[str, Any] = {}
    if told.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1"):
        shown["verify"] = False
    elif told.get("MLFLOW_TRACKING_SERVER_CERT_PATH"):
        shown["verify"] = told["MLFLOW_TRACKING_SERVER_CERT_PATH"]
    if told.get("MLFLOW_TRACKING_CLIENT_CERT_PATH"):
        shown["cert"] = told["MLFLOW_TRACKING_CLIENT_CERT_PATH"]
    kept = configparser.ConfigParser(interpolation=None)
    kept.read(Path("~/.mlflow/credentials").expanduser())
    user, password = (
        told.get(f"MLFLOW_TRACKING_{name}")
        or str(kept.get("mlflow", f"mlflow_tracking_{name.lower()}", fallback=""))
        for name in ("USERNAME", "PASSWORD")
    )
    if user and password:
        shown["auth"] = (user, password)
    elif told.get("MLFLOW_TRACKING_TOKEN"):
        shown["headers"] = {"Authorization": f"Bearer {told['MLFLOW_TRACKING_TOKEN']}"}
    return shown


def _connect(uri: str) -> None:
    import sqlalchemy

    # Not through MLflow: its first use of a database makes the tables, which takes longer.
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
    """What came of it, and the cure."""
    from requests import exceptions

    told = " ".join(str(one) for one in _chain(error))
    if isinstance(error, _NotAStore):
        return str(error), error.cure
    if isinstance(error, (TimeoutError, exceptions.Timeout)):
        return f"no answer within {CHECK_SECONDS} s", START
    if isinstance(error, exceptions.SSLError):
        return "its certificate is not accepted", CERTIFICATE
    if "resolve" in told or "Name or service" in told:
        return "its name cannot be resolved", WHERE
    if "refused" in told:
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


def _within(seconds: float, ask: Callable[[], object]) -> Exception | None:
    """The error of a call; TimeoutError where it has not ended in time (it is left to itself)."""
    found: list[Exception | None] = []

    def work() -> None:
        try:
            ask()
        except Exception as error:
            found.append(error)
        else:
            found.append(None)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    return found[0] if found else TimeoutError()
