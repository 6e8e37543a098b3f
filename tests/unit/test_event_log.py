"""The batched event log writes what Dagster's own writes."""

import dagster as dg
import pytest
from dagster import DagsterInstance
from dagster._core.storage.event_log import SqliteEventLogStorage

from orchestration import environment
from orchestration.event_log import BatchedEventLog
from orchestration.settings import Settings

MONTHS = dg.MonthlyPartitionsDefinition(start_date="2024-01", fmt="%Y-%m", end_offset=0)
ASKED = {
    "dagster/asset_partition_range_start": "2024-01",
    "dagster/asset_partition_range_end": "2024-06",
}


@dg.asset(partitions_def=MONTHS, backfill_policy=dg.BackfillPolicy.single_run())
def table():
    return dg.MaterializeResult(metadata={"rows": 3})


@dg.asset_check(asset=table, blocking=True)
def whole():
    return dg.AssetCheckResult(passed=True)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Materialise the table's half year in a home of its own; what the log then tells."""

    def told(batched: bool):
        settings = Settings(home=tmp_path / str(batched))
        monkeypatch.delenv("DAGSTER_HOME", raising=False)
        monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000" if batched else "0")
        environment.prepare(settings)
        if not batched:
            configuration = settings.dagster_home / "dagster.yaml"
            text = configuration.read_text()
            configuration.write_text(text[: text.index("event_log_storage")])
        job = dg.Definitions(
            assets=[table], asset_checks=[whole], jobs=[dg.define_asset_job("all")]
        ).resolve_job_def("all")
        with DagsterInstance.get() as instance:
            storage = instance.event_log_storage
            assert isinstance(storage, SqliteEventLogStorage)
            assert isinstance(storage, BatchedEventLog) == batched
            result = job.execute_in_process(instance=instance, tags=ASKED)
            assert result.success
            events = [
                (record.dagster_event.event_type_value, record.dagster_event.partition)
                for record in instance.all_logs(result.run_id)
                if record.dagster_event
            ]
            check = instance.event_log_storage.get_asset_check_execution_history(
                whole.check_key, limit=5
            )
            latest = instance.get_latest_materialization_event(table.key).asset_materialization
            assert instance.get_asset_keys() == [table.key]
            return (
                sorted(events, key=str),
                (latest.partition, latest.metadata["rows"].value, sorted(latest.tags)),
                instance.get_materialized_partitions(table.key),
                [(one.status.value, one.run_id == result.run_id) for one in check],
            )

    # What `prepare` sets lasts as long as the process: put it back.
    for name in (*environment.QUIET, *environment.SHARING, "MLFLOW_TRACKING_URI", "DBT_WAREHOUSE"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("DBT_TEMP_DIRECTORY", "")
    return told


def test_a_batch_tells_the_same_as_events_one_by_one(run):
    told = run(batched=True)
    assert told == run(batched=False)
    _, latest, months, checks = told
    assert latest[:2] == ("2024-06", 3)
    assert months == {f"2024-0{number}" for number in range(1, 7)}
    assert ("SUCCEEDED", True) in checks
