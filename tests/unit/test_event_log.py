"""Dagster's databases stay open for the length of a run, and others are left alone."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from orchestration.platform.event_log import kept_open


def write(file: Path, value: int) -> str:
    """Write a row in a connection of its own, as Dagster does; the mode that it was written in."""
    engine = create_engine(f"sqlite:///{file}", poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text("create table if not exists event (value integer)"))
        connection.execute(text("insert into event values (:value)"), {"value": value})
        return str(connection.execute(text("pragma synchronous")).scalar())


def write_ahead(file: Path) -> Path:
    engine = create_engine(f"sqlite:///{file}", poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text("pragma journal_mode = wal"))
    return file.with_name(f"{file.name}-wal")


FULL, NORMAL = "2", "1"


def test_the_log_ahead_is_written_back_once_at_the_end(tmp_path: Path) -> None:
    file = tmp_path / "runs" / "index.db"
    file.parent.mkdir()
    ahead = write_ahead(file)
    assert write(file, 1) == FULL
    assert not ahead.exists()
    with kept_open(tmp_path):
        assert write(file, 2) == NORMAL
        assert ahead.exists()
        write(file, 3)
    assert not ahead.exists()
    assert write(file, 4) == FULL
    engine = create_engine(f"sqlite:///{file}", poolclass=NullPool)
    with engine.connect() as connection:
        assert connection.execute(text("select sum(value) from event")).scalar() == 10


def test_a_database_elsewhere_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "mlflow" / "mlflow.db"
    file.parent.mkdir()
    ahead = write_ahead(file)
    with kept_open(tmp_path / "dagster"):
        assert write(file, 1) == FULL
        assert not ahead.exists()


def test_one_run_may_keep_open_what_another_call_keeps_open(tmp_path: Path) -> None:
    file = tmp_path / "index.db"
    ahead = write_ahead(file)
    with kept_open(tmp_path):
        with kept_open(tmp_path):
            write(file, 1)
        assert write(file, 2) == NORMAL
        assert ahead.exists()
    assert not ahead.exists()
