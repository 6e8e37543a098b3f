"""A model store that does not answer, or wrongly, is refused in time, by name, before any work."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from orchestration.platform.environment import prepare
from orchestration.platform.model_store import ModelStoreUnavailable, check_model_store, masked
from orchestration.platform.settings import Settings

LIMIT_SECONDS = 10
SECRET = "hunter-2"


@contextmanager
def answering(status: int, body: str, headers: dict[str, str] | None = None) -> Iterator[str]:
    """The address of a server that gives every request the same answer."""

    class Same(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Same) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def accepting(opening: bytes) -> Iterator[str]:
    """The address of a server that takes connections and never ends its answer: it sends
    `opening`, then a byte every half second; nothing at all where `opening` is empty."""
    ended = threading.Event()

    def serve(listener: socket.socket) -> None:
        while not ended.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            with connection:
                connection.sendall(opening)
                while not ended.wait(0.5):
                    if opening:
                        try:
                            connection.sendall(b"x")
                        except OSError:
                            break

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            ended.set()
            thread.join()


@contextmanager
def nobody() -> Iterator[str]:
    """An address at which nothing listens; kept from others while it is used."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"


def refusal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, uri: str) -> str:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    settings = Settings(home=tmp_path)
    begun = time.monotonic()
    with pytest.raises(ModelStoreUnavailable) as refused:
        check_model_store(settings)
    assert time.monotonic() - begun < LIMIT_SECONDS
    message = str(refused.value)
    assert SECRET not in message and len(message) < 700
    assert masked(uri) in message
    return message


@pytest.mark.slow
@pytest.mark.parametrize(
    ("server", "words"),
    [
        (nobody, "nothing listens there (connection refused). Start it"),
        (lambda: accepting(b""), "no answer within 6 s. Start it"),
        (
            lambda: accepting(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"),
            "no answer within 6 s. Start it",
        ),
        (
            lambda: answering(500, "broken"),
            "it responded with HTTP 500 Internal Server Error. Start it",
        ),
        (lambda: answering(503, "", {"Retry-After": "3600"}), "HTTP 503"),
        (lambda: answering(401, "who are you?"), "Set MLFLOW_TRACKING_USERNAME"),
        (lambda: answering(403, "not you"), "Set MLFLOW_TRACKING_USERNAME"),
        (lambda: answering(404, "no such page"), "HTTP 404"),
        (
            lambda: answering(200, "<html>" + "a page " * 500),
            "the response is not MLflow's. Correct",
        ),
        (lambda: answering(200, '{"jobs": []}'), "the response is not MLflow's. Correct"),
        (lambda: answering(302, "", {"Location": "/login"}), "it redirects to /login"),
    ],
    ids=["dead", "silent", "endless", "500", "503", "401", "403", "404", "page", "json", "moved"],
)
def test_a_server_that_answers_wrongly_or_not_at_all_is_refused_within_ten_seconds(
    monkeypatch, tmp_path, server: Callable[[], object], words
):
    with server() as address:
        message = refusal(monkeypatch, tmp_path, f"http://ana:{SECRET}@{address}")
        assert words in message and f"http://***@{address} cannot be used: tried GET" in message


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        (f"http://ana:{SECRET}@model-store.invalid:5000", "its name cannot be resolved"),
        ("carrier-pigeon://loft", "expected one of http, https, sqlite,"),
        ("{folder}/mlruns", "its scheme is invalid"),
        ("sqlite:///{folder}/missing/mlflow.db", "missing does not exist. Create it"),
        ("sqlite:///{folder}/notes.txt", "is not a SQLite database"),
        ("sqlite:///{folder}", "it is not a file that this account can read and write"),
        ("sqlite:///:memory:", "loses all models when its process ends"),
        (f"postgresql://ana:{SECRET}@127.0.0.1:9/models", "tried a connection; it failed"),
    ],
)
def test_an_address_that_leads_nowhere_is_refused(monkeypatch, tmp_path, uri, words):
    (tmp_path / "notes.txt").write_text("not a database at all")
    assert words in refusal(monkeypatch, tmp_path, uri.format(folder=tmp_path))


def test_a_store_to_be_made_is_accepted_and_not_created(monkeypatch, tmp_path):
    check_model_store(Settings(home=tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/models.db")
    check_model_store(Settings(home=tmp_path))
    assert not list(tmp_path.iterdir())


def test_the_users_timeout_overrides_the_default(monkeypatch, tmp_path):
    for name in list(os.environ):
        monkeypatch.setenv(name, os.environ[name])
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    prepare(Settings(home=tmp_path))
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"
    assert os.environ.pop("MLFLOW_HTTP_REQUEST_MAX_RETRIES") == "3"


@pytest.mark.parametrize(
    "arguments",
    [
        ("refresh",),
        ("train",),
        ("promote", "--model", "clv", "--version", "1", "--approver", "Ana", "--reason", "r" * 10),
        ("rollback-model", "--model", "clv", "--approver", "Ana", "--reason", "r" * 10),
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_command_is_refused_before_anything_is_built(monkeypatch, tmp_path, command, arguments):
    with nobody() as address:
        begun = time.monotonic()
        result = command(
            tmp_path, *arguments, tracking_uri=f"http://ana:{SECRET}@{address}", customers=100
        )
        seconds = time.monotonic() - begun
    assert result.returncode == 2, result.stdout + result.stderr
    assert f"the model store http://***@{address} cannot be used" in result.stderr
    assert "nothing listens there" in result.stderr and "Start it" in result.stderr
    assert SECRET not in result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.rglob("*.parquet")) and not list(tmp_path.rglob("*.duckdb"))
    # The start of a process on a busy machine is in it.
    assert seconds < 3 * LIMIT_SECONDS
