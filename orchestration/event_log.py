"""Dagster's event log on SQLite, with a batch of events in one transaction.

A refresh of 36 months says of each of some 60 tables and months that it is planned and that it is
there. Dagster's own storage opens, commits and closes two files for every such event: a third of a
refresh's time. See docs/decisions/0004.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy
from dagster import StringSource
from dagster._core.events import ASSET_EVENTS
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._serdes import ConfigurableClassData
from sqlalchemy.engine import Connection


class BatchedEventLog(SqliteEventLogStorage):
    """The same files in the same place; configured by the folder of Dagster's home."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._batch = threading.local()
        super().__init__(base_dir, inst_data)
        # A batch holds two files open at once, each under this lock.
        self._db_lock = threading.RLock()  # type: ignore[assignment]

    @classmethod
    def config_type(cls) -> Any:
        return {"dagster_home": StringSource}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> BatchedEventLog:
        return cls(str(Path(config_value["dagster_home"]) / "history" / "runs"), inst_data)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        of_assets = [event for event in events if event.dagster_event_type in ASSET_EVENTS]
        with self._one_transaction():
            by_run: dict[str, list[EventLogEntry]] = {}
            for event in of_assets:
                by_run.setdefault(event.run_id, []).append(event)
            for run_id, own in by_run.items():
                with self.run_connection(run_id) as connection:
                    connection.execute(SqlEventLogStorageTable.insert(), self._rows(own))
            if of_assets:
                self._mirror(of_assets)
            for event in events:
                if event.dagster_event_type not in ASSET_EVENTS:
                    self.store_event(event)

    def _rows(self, events: Sequence[EventLogEntry]) -> list[dict[str, Any]]:
        return [self._event_to_row(event) for event in events]

    def _mirror(self, events: Sequence[EventLogEntry]) -> None:
        """Repeat the events of assets in the index over all runs, as `store_event` does."""
        number = SqlEventLogStorageTable.c.id
        with self.index_connection() as connection:
            before = connection.execute(sqlalchemy.select(sqlalchemy.func.max(number))).scalar()
            connection.execute(SqlEventLogStorageTable.insert(), self._rows(events))
            numbers: Iterable[int] = connection.execute(
                sqlalchemy.select(number).where(number > (before or 0)).order_by(number)
            ).scalars()
            numbered = list(zip(numbers, events, strict=True))
            self._store_asset_event_tags(connection, events, [number for number, _ in numbered])
            # What the index says of an asset is what its latest event of each type says.
            latest = {
                (event.get_dagster_event().asset_key, event.dagster_event_type): (number, event)
                for number, event in numbered
            }
            for of_event, event in latest.values():
                self._store_asset_event(connection, event, of_event)

    @contextmanager
    def _one_transaction(self) -> Iterator[None]:
        with ExitStack() as opened:
            self._batch.opened, self._batch.connections = opened, {}
            try:
                yield
            finally:
                self._batch.connections = None

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        connections = getattr(self._batch, "connections", None)
        if connections is None:
            with super()._connect(shard) as connection:
                yield connection
            return
        if shard not in connections:
            connections[shard] = self._batch.opened.enter_context(super()._connect(shard))
        yield connections[shard]
