"""Dagster's event log on SQLite, with a batch of events in one transaction.

A refresh of 36 months says of each of some 60 tables and months that it is planned and that it is
there. Dagster's own storage opens, commits and closes two files for every such event: a third of a
refresh's time. See docs/decisions/0004.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from dagster import StringSource
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import SqliteEventLogStorage
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
        with ExitStack() as opened:
            self._batch.opened, self._batch.connections = opened, {}
            try:
                for event in events:
                    self.store_event(event)
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
