"""What the sensors ask for: of real folders, releases, registries and runs."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import duckdb
import pytest
from mlflow import MlflowClient

from orchestration.operations import arrivals
from orchestration.operations.business_days import (
    HolidaysRefused,
    business_day,
    read_holidays,
)
from orchestration.operations.freshness import freshness_of
from orchestration.operations.notices import CHECK, outbox, receivers
from orchestration.operations.sensors import (
    CHAMPION,
    CLEARED,
    DELIVERY,
    DRIFT,
    FAILED,
    after_delivery,
    after_drift,
    after_promotion,
    sensors,
)
from orchestration.platform import environment, failures
from orchestration.platform.engine import WarehouseBusy
from orchestration.platform.failures import tried_again
from orchestration.platform.resources import TRAIN_TAG, Home
from orchestration.platform.runs import execute
from orchestration.platform.settings import Settings, read_settings
from tests.integration.test_delivery_check import BANK
from tests.sinks import Web, web

NOW = datetime(2026, 4, 10, 12, tzinfo=UTC)
QUIET = timedelta(minutes=15)


@pytest.fixture
def hook() -> Iterator[Web]:
    with web() as server:
        yield server


@pytest.fixture
def settings(tmp_path, monkeypatch, hook) -> Settings:
    for name in ("DAGSTER_HOME", "MLFLOW_TRACKING_URI"):
        monkeypatch.setenv(name, "")
    for module in (outbox, receivers):
        monkeypatch.setattr(module, "RECEIVER_SECONDS", 60)
    monkeypatch.setattr(receivers, "READ_SECONDS", 50)
    given = {
        "HOME": str(tmp_path / "home"),
        "SOURCE": "files",
        "SOURCE_PATH": str(tmp_path / "delivery"),
        "NOTICE_WEBHOOK": hook.url,
    }
    for name, value in given.items():
        monkeypatch.setenv(f"JINGXI_{name}", value)
    settings = read_settings()
    environment.prepare(settings)
    settings.source_path.mkdir()
    return settings


def put(settings: Settings, *tables: str) -> None:
    for table in tables:
        path = settings.source_path / f"{table}.csv"
        path.write_text(BANK[table])
        os.utime(path, (1_700_000_000, 1_700_000_000))


def asked(settings: Settings, cursor: str = "", now: datetime = NOW) -> tuple:
    """The key of the run, or the reason of none; the request; the cursor."""
    step, cursor = after_delivery(settings, cursor, now)
    if isinstance(step, dg.SkipReason):
        return step.skip_message, None, cursor
    return step.run_key, step, cursor


def checked(settings: Settings, *, accepted: bool) -> None:
    arrival = arrivals.arrival_of(settings)
    settings.operations.mkdir(exist_ok=True)
    content = {"digest": arrival.digest, "accepted": accepted, "as_of": "2024-03"}
    (settings.operations / arrivals.CHECKED).write_text(json.dumps(content))


def test_a_delivery_without_a_marker_waits_for_its_tables_and_for_quiet(settings):
    assert "no delivery" in asked(settings)[0]
    put(settings, "product", "customer", "account", "transaction")
    (settings.source_path / ".account_holder.csv.x1").write_text("copied still")
    reason, _, cursor = asked(settings)
    assert reason.endswith("required table(s) not delivered yet: account_holder")
    put(settings, "account_holder")
    for later in (timedelta(), QUIET - timedelta(seconds=1)):
        reason, _, cursor = asked(settings, cursor, NOW + later)
        assert reason.endswith("changed less than 15 minutes ago")
    key, request, cursor = asked(settings, cursor, NOW + QUIET)
    assert (key.split()[0], request.job_name) == ("check", CHECK)
    # The quiet time begins again with a change, of which the cursor learns.
    os.utime(settings.source_path / "account.csv")
    reason, _, cursor = asked(settings, cursor, NOW + QUIET)
    assert reason.endswith("changed less than 15 minutes ago")
    assert asked(settings, cursor, NOW + 2 * QUIET)[0] != key


def test_a_table_in_a_folder_of_its_own_counts_as_delivered(settings):
    put(settings, *BANK)
    (settings.source_path / "transaction").mkdir()
    (settings.source_path / "transaction.csv").rename(
        settings.source_path / "transaction" / "2024-01.csv"
    )
    assert "changed less" in asked(settings)[0]


def test_with_a_mapping_the_files_that_it_names_are_waited_for(settings, tmp_path):
    path = tmp_path / "mapping.yml"
    path.write_text(
        "tables:\n"
        "  product: {rows: [{product_id: P, product_line: deposits}]}\n"
        "  account: {file: 'acc_{YYYYMM}.txt', columns: {account_id: NO}}\n"
        "  customer: {file: cust.txt, columns: {customer_id: NO}}\n"
        "  loan: {file: loan.txt, columns: {loan_id: NO}}\n"
    )
    mapped = settings.model_copy(update={"mapping": path})
    (settings.source_path / "acc_202401.txt").write_text("NO\n1\n")
    reason = asked(mapped)[0]
    assert reason.endswith("file(s) of required tables not delivered yet: cust.txt")
    (settings.source_path / "cust.txt").write_text("NO\n1\n")
    assert "changed less" in asked(mapped)[0]
    # Another mapping of the same files is checked again.
    before = arrivals.arrival_of(mapped).digest
    path.write_text(path.read_text() + "# another\n")
    assert arrivals.arrival_of(mapped).digest != before


def test_a_marker_makes_a_delivery_complete_at_once(settings):
    put(settings, *BANK)
    before = arrivals.arrival_of(settings).digest
    (settings.source_path / "_COMPLETE").touch()
    assert asked(settings)[0] == f"check {before} 1"


def test_a_manifest_is_kept_to(settings):
    put(settings, *BANK)
    manifest = settings.source_path / "delivery.json"
    listed = [
        {"path": f"./{table}.csv", "bytes": len(text.encode())} for table, text in BANK.items()
    ]
    for content, reason in (
        ("{", "delivery.json is invalid (JSONDecodeError)"),
        ('{"files": [{"name": "x"}]}', "delivery.json is invalid (KeyError)"),
        (json.dumps({"files": [*listed, {"path": "loan.csv"}]}), "1 file(s) of delivery.json"),
        (json.dumps({"files": [{**listed[0], "bytes": 1}]}), "missing or of another size"),
    ):
        manifest.write_text(content)
        assert reason in asked(settings)[0]
    for content in ("{}", json.dumps({"files": listed})):
        manifest.write_text(content)
        assert asked(settings)[0].startswith("check ")


def test_an_accepted_delivery_is_refreshed_by_one_key_and_a_refused_one_is_not(settings):
    put(settings, *BANK)
    (settings.source_path / "_COMPLETE").touch()
    checked(settings, accepted=True)
    key, request, cursor = asked(settings)
    assert key == f"refresh {arrivals.arrival_of(settings).digest} 1"
    assert (request.job_name, request.tags["dagster/partition"]) == ("refresh", "2024-03")
    # Whatever the cursor holds, as after a reset of it in Dagster.
    assert asked(settings, cursor)[0] == asked(settings)[0] == key
    checked(settings, accepted=False)
    assert "refused this delivery" in asked(settings)[0]
    put(settings, "account")
    os.utime(settings.source_path / "account.csv", (1_700_000_001, 1_700_000_001))
    assert asked(settings)[0].startswith("check ")


def test_a_delivery_that_is_put_back_is_checked_and_refreshed_again(settings, tmp_path):
    """Copied with its times, as backups and rsync do: the files are those of before."""
    instance = dg.DagsterInstance.ephemeral(tempdir=str(tmp_path))
    put(settings, *BANK)
    (settings.source_path / "_COMPLETE").touch()
    account = settings.source_path / "account.csv"
    keys = []
    for spoilt in (False, True, False, True, False):
        put(settings, "account")
        if spoilt:
            account.write_text(BANK["account"].replace("account_id", "wanda", 1))
            os.utime(account, (1_700_000_001, 1_700_000_001))
        key, _, cursor = asked(settings)
        assert asked(settings, cursor)[0] == key
        keys.append(key)
        assert check(settings, instance).success is not spoilt
        # Looked at again, it is the same delivery.
        check(settings, instance)
        if not spoilt:
            keys.append(asked(settings)[0])
    assert [key.split()[0] for key in keys].count("refresh") == 3
    assert len(set(keys)) == len(keys) == 8


def check(settings: Settings, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    return arrivals.check_job({}).execute_in_process(
        resources={"home": Home()}, instance=instance, raise_on_error=False
    )


def test_a_refused_check_is_reported_and_launches_nothing_and_a_good_one_clears_it(settings, hook):
    put(settings, *BANK)
    (settings.source_path / "_COMPLETE").touch()
    account = settings.source_path / "account.csv"
    account.write_text(BANK["account"].replace("product_id", "wanda"))
    with dg.DagsterInstance.ephemeral() as instance:
        assert not check(settings, instance).success
        (text,) = hook.texts
        assert "*jingxi: check_delivery failed*" in text
        assert (
            "where: step judge_delivery: delivery refused: account.csv, column product_id" in text
        )
        assert "wanda" not in text
        assert "refused this delivery" in asked(settings)[0]
        # The sensor of failed runs reports nothing twice.
        tick(settings, FAILED, instance)
        assert len(hook.bodies) == 1
        put(settings, "account")
        assert check(settings, instance).success
        assert "*jingxi: check_delivery succeeded, all clear*" in hook.texts[1]
        _, request, _ = asked(settings)
        assert request.tags["dagster/partition"] == "2024-03"


def tick(settings: Settings, name: str, instance: dg.DagsterInstance) -> None:
    """Evaluate a sensor of a run's status for the newest run."""
    record = instance.get_run_records(limit=1)[0]
    status = {FAILED: dg.DagsterEventType.RUN_FAILURE, CLEARED: dg.DagsterEventType.RUN_SUCCESS}
    (sensor,) = (one for one in sensors(settings, jobs()) if one.name == name)
    event = dg.DagsterEvent(status[name].value, record.dagster_run.job_name)
    context = dg.build_run_status_sensor_context(name, event, instance, record.dagster_run)
    sensor(context.for_run_failure() if name == FAILED else context)


def jobs() -> list[dg.JobDefinition]:
    @dg.op
    def nothing() -> None:
        pass

    def job(name: str) -> dg.JobDefinition:
        @dg.job(name=name, executor_def=dg.in_process_executor)
        def one() -> None:
            nothing()

        return one

    return [job("refresh"), job("train"), job(CHECK)]


def test_the_daemon_reports_a_failed_run_once_and_of_the_success_after_it(settings, hook):
    failing = [True]

    @dg.op
    def base_layer() -> None:
        if failing:
            raise OSError(28, "no space left on device")

    @dg.job(executor_def=dg.in_process_executor)
    def refresh() -> None:
        base_layer()

    with dg.DagsterInstance.ephemeral() as instance:
        execute(refresh, instance, {}, {})
        for _ in range(2):
            tick(settings, FAILED, instance)
        (text,) = hook.texts
        assert "where: step base_layer: OSError" in text
        failing.clear()
        execute(refresh, instance, {}, {})
        for _ in range(2):
            tick(settings, CLEARED, instance)
        assert len(hook.bodies) == 2
        assert "over: refresh, step base_layer: OSError" in hook.texts[1]


def publish(settings: Settings, **tables: str) -> None:
    release = settings.published / "releases" / "r1.duckdb"
    release.unlink(missing_ok=True)
    with duckdb.connect(str(release)) as connection:
        connection.execute("create schema meta")
        connection.execute(
            "create table meta.release as select 'r1' as release_id, '2024-03' as as_of"
        )
        for name, query in tables.items():
            connection.execute(f"create table meta.{name} as {query}")
    link = settings.published / "current.duckdb"
    link.unlink(missing_ok=True)
    link.symlink_to("releases/r1.duckdb")


def test_a_promoted_champion_is_scored_and_published_once(settings, model_store):
    shutil.copy(model_store, settings.mlflow_home)
    assert "nothing is published" in after_promotion(settings).skip_message
    publish(
        settings,
        model_version="select * from (values ('clv', '1'), ('default', '1'), ('offer', null)) "
        "as given (model_name, version)",
    )
    client = MlflowClient(settings.mlflow_tracking_uri, settings.mlflow_tracking_uri)
    for name in ("clv", "default"):
        client.create_registered_model(name)
        for _ in range(2):
            client.create_model_version(name, str(settings.mlflow_home / "artifacts" / name))
        client.set_registered_model_alias(name, "champion", "1")
    assert "scored with the champions" in after_promotion(settings).skip_message
    client.set_registered_model_alias("clv", "champion", "2")
    request = after_promotion(settings)
    assert request.tags.items() >= {"dagster/partition": "2024-03", TRAIN_TAG: "never"}.items()
    assert after_promotion(settings).run_key == request.run_key
    client.set_registered_model_alias("default", "champion", "2")
    assert after_promotion(settings).run_key != request.run_key


def test_a_model_out_of_bounds_is_trained_once_and_alone(settings):
    rows = """select * from (values
        ('G3', 'model_drift', 'warn', false, ['models.clv']),
        ('G3', 'model_monitoring', 'warn', false, ['models.default', 'models.clv']),
        ('G3', 'model_monitoring', 'warn', true, ['models.offer']),
        ('G3', 'model_calibration', 'warn', false, ['models.attrition']),
        ('G4', 'model_drift', 'warn', false, ['models.segment'])
    ) as given ("gate", subject, severity, success, about)"""
    assert "nothing is published" in after_drift(settings).skip_message
    publish(settings, gate_result=rows)
    request = after_drift(settings)
    assert request.asset_selection == [dg.AssetKey(["models", one]) for one in ("clv", "default")]
    assert after_drift(settings).run_key == request.run_key == "train r1"
    publish(settings, gate_result=rows.replace("false", "true"))
    assert "no model" in after_drift(settings).skip_message


def test_nothing_is_asked_for_while_a_refresh_is_under_way(settings):
    publish(settings)
    found = {one.name: one for one in sensors(settings, jobs())}
    with dg.DagsterInstance.ephemeral() as instance:
        instance.create_run_for_job(jobs()[0], status=dg.DagsterRunStatus.STARTED)
        for name in (CHAMPION, DRIFT):
            with dg.build_sensor_context(instance, sensor_name=name) as context:
                assert found[name](context).skip_message == "under way: refresh"
        with dg.build_sensor_context(instance, sensor_name=DELIVERY) as context:
            assert "no delivery" in found[DELIVERY](context).skip_message


def test_every_sensor_is_off_until_switched_on(settings):
    found = sensors(settings, jobs())
    assert {one.name for one in found} == {DELIVERY, CHAMPION, DRIFT, FAILED, CLEARED}
    assert {one.default_status for one in found} == {dg.DefaultSensorStatus.STOPPED}


@pytest.mark.parametrize(
    ("error", "attempts"), [(WarehouseBusy("held"), 4), (OSError("gone"), 1), (None, 1)]
)
def test_only_errors_that_waiting_may_cure_are_tried_again(monkeypatch, error, attempts):
    monkeypatch.setattr(failures, "RETRY_SECONDS", 0)
    met = []

    @dg.op
    def step() -> None:
        met.append(1)
        with tried_again():
            if error is not None:
                raise error

    @dg.job
    def one() -> None:
        step()

    result = one.execute_in_process(raise_on_error=False)
    assert (len(met), result.success) == (attempts, error is None)


def test_a_business_day_is_counted_without_weekends_and_holidays(tmp_path):
    path = tmp_path / "business_holiday.csv"
    path.write_text("date,name\n2026-04-03,Good Friday\n2026-04-06,Easter Monday\n")
    holidays = read_holidays(path)
    april = date(2026, 4, 20)
    assert business_day(april, 3, frozenset()) == date(2026, 4, 3)
    assert business_day(april, 3, holidays) == date(2026, 4, 7)
    # The first of August is a Saturday.
    assert business_day(date(2026, 8, 1), 1, frozenset()) == date(2026, 8, 3)
    for text, what in (
        ("day,name\n2026-04-03,Good Friday\n", "expected the header date,name"),
        ("date,name\n2026-04-03,x\n3.4.2026,y\n", "line 3 is invalid: expected a day"),
    ):
        path.write_text(text)
        with pytest.raises(HolidaysRefused, match=what):
            read_holidays(path)
    with pytest.raises(HolidaysRefused, match="cannot be read"):
        read_holidays(tmp_path / "none.csv")


def test_published_assets_of_a_bank_with_files_are_due_each_month(settings):
    assert freshness_of(Settings(home=settings.home, source="synthetic")) is None
    for number in (1, 3, 15):
        policy = freshness_of(settings.model_copy(update={"business_day": number}))
        day = number + 9
        assert policy.deadline_cron == f"0 12 {day} * *"
        # The window opens with the month.
        opens = datetime(2026, 4, day, 12, tzinfo=UTC) - policy.lower_bound_delta
        assert opens == datetime(2026, 4, 1, tzinfo=UTC)
