"""A refresh whose steps have processes of their own publishes what one process does."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from orchestration.platform.resources import WAREHOUSE_POOL
from tests.acceptance.conftest import SMALL_BANK
from tests.integration.spark import compared

pytestmark = pytest.mark.slow

# What tells when and by which run a release was made.
OF_THE_RUN = "meta"


@pytest.fixture(scope="module")
def spread(tmp_path_factory: pytest.TempPathFactory, command) -> Path:
    """The home of one release, whose steps had processes of their own."""
    home = tmp_path_factory.mktemp("spread") / "home"
    result = command(home, "refresh", executor="multiprocess", **SMALL_BANK)
    assert result.returncode == 0, result.stdout + result.stderr
    # What steps print is in the log; their progress is what a refresh in one process shows.
    assert "  gate G5                 done" in result.stdout
    assert result.stderr == "" and "dagster - DEBUG" not in result.stdout
    assert "Done. PASS=" in (home / "logs" / "refresh.log").read_text()
    return home


def test_both_publish_the_same_release(small_bank, spread):
    releases = small_bank / "home" / "published" / "releases"
    # Another test refreshes that home again.
    first = min(releases.iterdir(), key=lambda path: path.stat().st_mtime)
    with duckdb.connect() as connection:
        connection.execute(f"attach '{first}' as in_process (read_only)")
        connection.execute(
            f"attach '{spread / 'published' / 'current.duckdb'}' as multiprocess (read_only)"
        )
        in_process, multiprocess = (
            {
                ".".join(row)
                for row in connection.execute(
                    "select schema_name, table_name from duckdb_tables() where database_name = ?",
                    [name],
                ).fetchall()
            }
            for name in ("in_process", "multiprocess")
        )
        assert in_process == multiprocess and len(in_process) > 150
        apart = [
            found
            for table in sorted(in_process)
            if not table.startswith(f"{OF_THE_RUN}.")
            and not (
                found := compared(connection, table, f"in_process.{table}", f"multiprocess.{table}")
            ).is_same
        ]
        assert apart == []
        digests = [
            connection.execute(
                f"select table_name, rows, digest from {name}.meta.engine order by all"
            ).fetchall()
            for name in ("in_process", "multiprocess")
        ]
        assert digests[0] == digests[1] and len(digests[0]) > 90


def test_each_step_has_a_process_and_one_at_a_time_writes_the_warehouse(spread, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", str(spread / "dagster"))
    with dg.DagsterInstance.get() as instance:
        (run,) = instance.get_runs()
        begun = [
            entry.dagster_event
            for entry in instance.all_logs(run.run_id, dg.DagsterEventType.STEP_WORKER_STARTED)
        ]
        processes = {
            event.step_key: event.event_specific_data.metadata["pid"].value for event in begun
        }
        steps = instance.get_run_step_stats(run.run_id)
        pools = instance.event_log_storage.get_concurrency_info(WAREHOUSE_POOL)
    assert len(processes) > 19 and len(set(processes.values())) == len(processes)
    assert {one.step_key for one in steps} == set(processes)
    times = sorted((one.start_time, one.end_time) for one in steps)
    assert all(before[1] <= after[0] for before, after in pairwise(times))
    assert pools.slot_count == 1 and pools.claimed_slots == []
