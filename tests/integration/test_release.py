"""Write, audit, publish: what is served is a whole, audited build or the release before."""

import hashlib
import json
import os
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from orchestration.platform import audit, build_numbers, releases
from orchestration.platform.engine import WarehouseBusy, connect
from orchestration.platform.files import write_whole
from orchestration.platform.identity import ActRefused, operating_system_user
from orchestration.platform.resources import Home
from orchestration.platform.settings import KEPT_RELEASES, read_settings
from orchestration.release import approval, jobs
from orchestration.release import publish as releasing
from orchestration.release.assets import release_asset
from orchestration.release.summary import failure_summary


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.setenv("JINGXI_HOME", str(tmp_path / "home"))
    settings = read_settings()
    settings.warehouse.parent.mkdir(parents=True)
    return settings


@pytest.fixture
def warehouse(settings):
    """A small build that may be published: all layers in order, all gates passed."""
    with connect(settings, settings.warehouse) as connection:
        for schema in ("landing", "base", "value", "scores", "alerts", "meta", "quarantine"):
            connection.execute(f"create schema {schema}")
        connection.execute(
            "create table landing.refresh_window as select date '2025-12-31' as as_of, "
            "'synthetic' as source"
        )
        connection.execute(
            "create table base.customer as select range as customer_id from range(5)"
        )
        for table in ("customer", "transaction"):
            connection.execute(f"create table quarantine.{table} as select 'A' as value")
        for table in ("transaction", "booking"):
            connection.execute(f"create table alerts.{table} as select 'A' as account_id")
        connection.execute(
            "create table meta.gate_result (gate varchar, severity varchar, success boolean, "
            "build_number bigint)"
        )
        for layer in build_numbers.LAYERS:
            number = build_numbers.begin(connection, layer, "run")
            build_numbers.finish(connection, layer)
            for gate, judged in build_numbers.GATES.items():
                if judged[-1] == layer:
                    connection.execute(
                        "insert into meta.gate_result values (?, 'fail', true, ?)", [gate, number]
                    )
        yield connection


def publish(connection, settings):
    return releasing.publish(connection, settings, run_id="run", code_version="test")


def digest(settings):
    return hashlib.sha256((settings.published / "current.duckdb").read_bytes()).hexdigest()


def test_a_release_is_read_through_the_link_with_its_metadata(warehouse, settings):
    release = publish(warehouse, settings)
    with duckdb.connect(str(settings.published / "current.duckdb"), read_only=True) as reader:
        assert reader.execute("select count(*) from base.customer").fetchall() == [(5,)]
        assert reader.execute(
            "select release_id, as_of, source, code_version, dagster_run_id, "
            "row_counts->>'base.customer' from meta.release"
        ).fetchall() == [(release.release_id, "2025-12", "synthetic", "test", "run", "5")]
        quarantined, alerts = (
            reader.execute(
                "select table_name from duckdb_tables() where schema_name = ?", [schema]
            ).fetchall()
            for schema in ("quarantine", "alerts")
        )
    # Of a table with personal columns nothing that was delivered amiss is published.
    assert quarantined == [("transaction",)]
    # Steps of the build stay in the build.
    assert alerts == [("transaction",)]
    assert not os.access(release.path, os.W_OK) or os.geteuid() == 0
    assert release.path.stat().st_mode & 0o777 == 0o400


def break_layer(connection):
    build_numbers.begin(connection, "value", "run")


def build_again(connection):
    build_numbers.begin(connection, "base", "other run")
    build_numbers.finish(connection, "base")


def measure_again(connection):
    build_numbers.begin(connection, "campaigns", "other run")
    build_numbers.finish(connection, "campaigns")


def predict_again(connection):
    build_numbers.begin(connection, "campaign_inputs", "other run")
    build_numbers.finish(connection, "campaign_inputs")


def fail_gate(connection):
    connection.execute("update meta.gate_result set success = false where gate = 'G2'")


def lose_gate(connection):
    connection.execute("delete from meta.gate_result where gate = 'G3'")


def judge_earlier(connection):
    connection.execute("update meta.gate_result set build_number = 0 where gate = 'G1'")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (break_layer, "value did not finish"),
        (build_again, "older than layer base"),
        (build_again, "G2 checked an earlier build"),
        (measure_again, "G5 checked an earlier build of layer campaigns and decisions"),
        (predict_again, "contacts is older than layer campaign_inputs"),
        (fail_gate, "G2 failed on layer base"),
        (lose_gate, "G3 has not checked layer models"),
        (judge_earlier, "G1 checked an earlier build"),
    ],
)
def test_an_incomplete_build_is_refused_and_the_old_release_stays(
    warehouse, settings, fault, words
):
    publish(warehouse, settings)
    before = digest(settings)
    fault(warehouse)
    with pytest.raises(releases.ReleaseRefused, match=words):
        publish(warehouse, settings)
    assert digest(settings) == before


def test_a_build_is_judged_up_to_the_step_asked_for(warehouse):
    """Training needs the features and the layers before them, not models that are older."""
    lose_gate(warehouse)
    assert build_numbers.complaints(warehouse, "features") == []
    assert build_numbers.complaints(warehouse) == ["gate G3 has not checked layer models"]
    fail_gate(warehouse)
    assert build_numbers.complaints(warehouse, "features") == ["gate G2 failed on layer base"]


def test_a_release_carries_no_step_between_two_tables(warehouse):
    warehouse.execute("create schema decisions")
    for table in ("contact_plan", "contact_reason"):
        warehouse.execute(f"create table decisions.{table} as select 'C1' as customer_id")
    published = releasing.published_tables(warehouse)
    assert ("decisions", "contact_plan") in published
    assert ("decisions", "contact_reason") not in published


def test_lists_follow_the_plan_and_the_measurement_of_campaigns_does_not(warehouse):
    build_numbers.begin(warehouse, "plan", "another run")
    build_numbers.finish(warehouse, "plan")
    assert build_numbers.complaints(warehouse) == [
        "layer decisions is older than layer plan, which it reads"
    ]
    assert build_numbers.complaints(warehouse, "plan", "campaigns") == []


def test_a_failed_warning_does_not_stop_a_release(warehouse, settings):
    warehouse.execute("insert into meta.gate_result values ('G2', 'warn', false, 2)")
    warehouse.execute(
        "update meta.gate_result set build_number = "
        "(select build_number from meta.layer_build where layer = 'base') where gate = 'G2'"
    )
    assert publish(warehouse, settings).path.exists()


def test_a_fault_while_copying_leaves_the_old_release_and_no_remains(
    warehouse, settings, monkeypatch
):
    publish(warehouse, settings)
    before = digest(settings)

    def no_space(path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(releasing, "flush", no_space)
    with pytest.raises(OSError, match="No space"):
        publish(warehouse, settings)
    assert digest(settings) == before
    assert len(list((settings.published / "releases").iterdir())) == 1


def test_the_last_twelve_releases_are_kept_and_the_served_one_always(warehouse, settings):
    names = [publish(warehouse, settings).release_id for _ in range(14)]
    kept = {path.stem for path in releases.releases_of(settings)}
    assert kept == set(names[-12:])
    assert releases.served(settings).stem == names[-1]


def test_a_runs_gate_report_is_kept_as_long_as_its_release(warehouse, settings):
    runs = settings.reports / "runs"
    made = []
    for number in range(KEPT_RELEASES + 2):
        run = runs / f"run{number}"
        run.mkdir(parents=True)
        made.append((run, publish(warehouse, settings).path))
    failed = runs / "published nothing"
    failed.mkdir()
    assert all(run.exists() == release.exists() for run, release in made)
    assert failed.exists() and len(list(runs.iterdir())) == KEPT_RELEASES + 1


def test_customer_pages_and_reports_are_removed_with_their_release(warehouse, settings):
    made = []
    for _ in range(KEPT_RELEASES + 2):
        release = publish(warehouse, settings)
        folders = [at / release.release_id for at in (settings.reports, settings.customer_pages)]
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "page.html").touch()
        made.append((release.path, folders))
    publish(warehouse, settings)
    left = [release.exists() for release, _ in made]
    assert left == [False] * 3 + [True] * (KEPT_RELEASES - 1)
    for release, folders in made:
        assert {folder.exists() for folder in folders} == {release.exists()}


def test_a_release_is_flushed_to_disk_before_the_link_moves(warehouse, settings, monkeypatch):
    """A machine that stops at any moment serves the release before, or all of this one."""
    done, replace, flush = [], os.replace, releasing.flush

    def replaced(source, target):
        done.append(("renamed", Path(target).name))
        replace(source, target)

    def flushed(path):
        done.append(("flushed", path.name))
        flush(path)

    monkeypatch.setattr(os, "replace", replaced)
    for module in (releasing, releases):
        monkeypatch.setattr(module, "flush", flushed)
    release = publish(warehouse, settings).path
    *_, (what, draft), renamed, folder, link, links = done
    assert what == "flushed" and draft.startswith(".") and "unfinished" in draft
    assert (renamed, folder) == (("renamed", release.name), ("flushed", "releases"))
    assert (link, links) == (("renamed", releases.CURRENT), ("flushed", "published"))


def test_rollback_serves_the_release_before_and_refuses_an_unknown_one(warehouse, settings):
    first, second = (publish(warehouse, settings).release_id for _ in range(2))
    assert releases.roll_back(settings, None).stem == first
    assert releases.served(settings).stem == first
    with pytest.raises(releases.ReleaseRefused, match="no release precedes"):
        releases.roll_back(settings, None)
    with pytest.raises(releases.ReleaseRefused, match=second):
        releases.roll_back(settings, "2020-01-nonsense")
    assert releases.roll_back(settings, second).stem == second
    assert [
        (one.act, one.subject, one.release_id, one.outcome, one.detail.partition(".")[0])
        for one in audit.entries(settings)
    ] == [
        ("publish", first, first, "done", "run run"),
        ("publish", second, second, "done", "run run"),
        ("rollback", first, first, "done", f"served before: {second}"),
        *(
            ("rollback", "the release before", None, "refused", reason)
            for reason in ("no release precedes the served one",)
        ),
        *(
            ("rollback", "2020-01-nonsense", None, "refused", reason)
            for reason in ("release 2020-01-nonsense does not exist",)
        ),
        ("rollback", second, second, "done", f"served before: {first}"),
    ]


def test_a_release_carries_the_audit_trail_and_its_head(warehouse, settings):
    first, second = (publish(warehouse, settings) for _ in range(2))
    (line, _) = audit.entries(settings)
    with duckdb.connect(str(second.path), read_only=True) as reader:
        columns = ", ".join(audit.Entry.__dataclass_fields__)
        (copied,) = reader.execute(f"select {columns} from meta.audit").fetchall()
        head = reader.execute("select audit_lines, audit_hash from meta.release").fetchall()
    assert audit.Entry(*copied) == line and head == [(1, line.hash)]
    heads = releases.audit_heads(settings)
    assert heads == {first.release_id: (0, audit.START), second.release_id: (1, line.hash)}
    assert audit.examine(settings, heads).problem is None
    settings.audit_trail.write_text("")
    assert f"release {second.release_id} was published after 1 lines" in str(
        audit.examine(settings, heads).problem
    )


def test_a_refused_and_a_failed_publication_are_in_the_audit_trail(
    warehouse, settings, monkeypatch
):
    lose_gate(warehouse)
    with pytest.raises(releases.ReleaseRefused):
        publish(warehouse, settings)
    assert not list((settings.published).glob("*"))
    warehouse.execute(
        "insert into meta.gate_result select 'G3', 'fail', true, build_number "
        "from meta.layer_build where layer = 'models'"
    )

    def broken(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(releases, "point_at", broken)
    with pytest.raises(OSError, match="no space"):
        publish(warehouse, settings)
    refused, done, failed = audit.entries(settings)
    assert refused.outcome == "refused" and "G3 has not checked layer models" in refused.detail
    assert (done.outcome, failed.outcome, failed.detail) == ("done", "failed", "OSError")
    assert done.subject == failed.subject
    assert releases.served(settings) is None


def test_a_broken_audit_trail_is_not_published(warehouse, settings):
    for _ in range(2):
        publish(warehouse, settings)
    before = digest(settings)
    text = settings.audit_trail.read_text()
    settings.audit_trail.write_text(text.replace("publish", "nothing", 1))
    with pytest.raises(audit.TrailBroken, match="line 1: its hash is not that of its contents"):
        publish(warehouse, settings)
    settings.audit_trail.write_text(text.replace("publish", "nothing"))
    with pytest.raises(audit.TrailBroken, match="the last line: its hash is not that of its"):
        publish(warehouse, settings)
    assert digest(settings) == before


def test_an_adjustment_is_recorded_once_and_again_when_it_changes(warehouse, settings):
    warehouse.execute(
        "create table base.adjustment as select 'A1' as adjustment_id, "
        "date '2025-11-01' as month, 'B001' as branch_id, 'lending' as product_line, "
        "'fees' as item, 12.50::decimal(18, 2) as amount, 'in the words of a person' as reason, "
        "'F0012' as maker, 'F0007' as checker"
    )
    for _ in range(2):
        publish(warehouse, settings)
    warehouse.execute("update base.adjustment set amount = 13")
    publish(warehouse, settings)
    assert [
        (one.subject, one.detail, one.outcome)
        for one in audit.entries(settings)
        if one.act == "adjust"
    ] == [
        (
            "adjustment A1",
            f"maker F0012, checker F0007, amount {amount}, 2025-11, B001, lending, fees",
            "done",
        )
        for amount in ("12.50", "13.00")
    ]
    assert "in the words of a person" not in settings.audit_trail.read_text()


def test_publishing_and_rolling_back_need_a_data_engineer(warehouse, settings):
    publish(warehouse, settings), publish(warehouse, settings)
    served = releases.served(settings)
    people = {operating_system_user(): {"roles": ["stakeholder"]}}
    write_whole(settings.own_roles, json.dumps({"people": people}))
    with pytest.raises(ActRefused, match="publish of build is refused: role data engineer"):
        publish(warehouse, settings)
    with pytest.raises(ActRefused, match="rollback of .* is refused: role data engineer"):
        releases.roll_back(settings, None)
    assert releases.served(settings) == served
    assert [(one.act, one.role, one.outcome) for one in audit.entries(settings)][2:] == [
        ("publish", "none", "refused"),
        ("rollback", "none", "refused"),
    ]


def test_an_open_reader_keeps_its_release_while_another_is_published(warehouse, settings):
    publish(warehouse, settings)
    with duckdb.connect(str(settings.published / "current.duckdb"), read_only=True) as reader:
        warehouse.execute("insert into base.customer values (99)")
        publish(warehouse, settings)
        assert reader.execute("select count(*) from base.customer").fetchall() == [(5,)]


def test_a_busy_warehouse_is_named_with_the_remedy(settings, command):
    import subprocess
    import sys

    program = (
        f"import duckdb, sys; c = duckdb.connect({str(settings.warehouse)!r}); "
        "print('open', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline().strip() == "open"
        with (
            pytest.raises(WarehouseBusy, match=r"published/current\.duckdb"),
            connect(settings, settings.warehouse),
        ):
            pass
        other.stdin.close()


def test_a_failure_after_publication_is_a_warning(warehouse, settings, monkeypatch, capsys):
    """The release is served by then: a failed run would report that nothing was published."""

    def broken(*_, **__):
        raise OSError("no space left on device")

    warehouse.close()
    monkeypatch.setattr("orchestration.release.assets.record_restatement", lambda *_: None)
    monkeypatch.setattr("orchestration.release.assets.columns_of", broken)
    monkeypatch.setattr("orchestration.platform.gate_report.render_report", broken)
    monkeypatch.setattr(releasing, "_keep_latest", broken)
    result = dg.materialize([release_asset([])], resources={"home": Home()})
    assert result.success
    current = releases.served(settings)
    (event,) = result.get_asset_materialization_events()
    metadata = event.materialization.metadata
    assert metadata["release_id"].value == current.stem
    assert "gate_report" not in metadata and "dagster/column_schema" not in metadata
    message = capsys.readouterr().err
    assert [(one.act, one.outcome) for one in audit.entries(settings)] == [
        ("publish", "done"),
        ("export", "refused"),
    ]
    for what in ("a gate report", "its columns in the UI"):
        assert f"{current.stem} is served without {what}: OSError: no space left" in message
    assert "could not be removed: no space left" in message


def test_a_failure_after_publication_is_not_reported_as_nothing_published(warehouse, settings):
    class Failed:
        run_id = "run"
        all_events = ()

    assert "nothing was published" in failure_summary(settings, Failed, 1.0)
    release = publish(warehouse, settings)
    message = failure_summary(settings, Failed, 1.0)
    assert "its release was published before the failure" in message
    assert f"  served: {release.release_id}" in message
    Failed.run_id = "a later run"
    message = failure_summary(settings, Failed, 1.0)
    assert "nothing was published" in message
    assert f"still served: {release.release_id}" in message


WAITS = "RELEASE (JINGXI_RELEASE) is approval"
GOOD = "figures agree with the ledger"


def propose(connection, settings):
    return releasing.publish(
        connection, settings, run_id="run", code_version="test", waits=WAITS
    ).path


def test_a_proposed_release_is_read_by_nobody_until_another_person_approves_it(warehouse, settings):
    publish(warehouse, settings)
    before = digest(settings)
    waiting = propose(warehouse, settings)
    assert digest(settings) == before and releases.proposed(settings) == waiting
    assert waiting not in releases.releases_of(settings)
    served = approval.approve(settings, None, "Ana Lima", GOOD)
    assert releases.served(settings) == served and served.stem == waiting.stem
    assert releases.proposed(settings) is None and not waiting.exists()
    assert served.stat().st_mode & 0o777 == 0o400
    *_, proposal, approved = audit.entries(settings)
    assert (proposal.act, proposal.release_id, WAITS in proposal.detail) == (
        "propose",
        served.stem,
        True,
    )
    assert (approved.act, approved.release_id, approved.detail) == (
        "approve",
        served.stem,
        f"approver Ana Lima; {GOOD}",
    )


@pytest.mark.parametrize(
    ("approver", "reason", "words"),
    [
        (None, GOOD, "ran the refresh: expected another person"),
        ("", GOOD, "the approver is missing"),
        ("Ana Lima", "good", "the reason is too short"),
    ],
)
def test_an_approval_without_a_second_person_or_a_reason_is_refused(
    warehouse, settings, approver, reason, words
):
    waiting = propose(warehouse, settings)
    approver = f" {settings.user.upper()} " if approver is None else approver
    for decide in (approval.approve, approval.reject):
        with pytest.raises(releases.ReleaseRefused, match=words):
            decide(settings, None, approver, reason)
    assert releases.proposed(settings) == waiting and releases.served(settings) is None
    assert [one.outcome for one in audit.entries(settings)] == ["done", "refused", "refused"]


def test_a_later_proposal_replaces_the_one_that_waits(warehouse, settings):
    first = propose(warehouse, settings)
    (settings.reports / first.stem).mkdir(parents=True)
    second = propose(warehouse, settings)
    assert releases.proposed(settings) == second
    assert not first.exists() and not (settings.reports / first.stem).exists()
    with pytest.raises(releases.ReleaseRefused, match=f"Waiting: {second.stem}"):
        approval.approve(settings, first.stem, "Ana Lima", GOOD)
    assert approval.approve(settings, second.stem, "Ana Lima", GOOD).stem == second.stem


def test_a_rejected_release_is_removed_and_the_served_one_stays(warehouse, settings):
    publish(warehouse, settings)
    before = digest(settings)
    waiting = propose(warehouse, settings)
    assert approval.reject(settings, None, "Ana Lima", "the margin of cards is wrong") == (
        waiting.stem
    )
    assert not waiting.exists() and digest(settings) == before
    with pytest.raises(releases.ReleaseRefused, match="Waiting: none"):
        approval.approve(settings, None, "Ana Lima", GOOD)


@pytest.mark.parametrize("step", ["serve", "keep_latest"])
def test_an_approval_that_is_cut_off_is_made_again_or_complete(
    warehouse, settings, monkeypatch, step
):
    publish(warehouse, settings)
    before = digest(settings)
    waiting = propose(warehouse, settings)

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as cut:
        cut.setattr(approval, step, killed)
        with pytest.raises(KeyboardInterrupt):
            approval.approve(settings, None, "Ana Lima", GOOD)
    if step == "serve":
        assert digest(settings) == before and releases.proposed(settings) == waiting
        approval.approve(settings, None, "Ana Lima", GOOD)
    assert releases.served(settings).stem == waiting.stem
    assert releases.proposed(settings) is None


def run_job(job, op, **config):
    return job.execute_in_process(
        resources={"home": Home()},
        run_config={"ops": {op: {"config": config}}},
        raise_on_error=False,
    )


def test_the_jobs_approve_reject_and_roll_back_or_fail_with_the_reason(warehouse, settings):
    first = publish(warehouse, settings).release_id
    waiting = propose(warehouse, settings)
    refused = run_job(jobs.approve_job, jobs.APPROVE_OP, approver="Ana Lima", reason="good")
    assert not refused.success and releases.proposed(settings) == waiting
    (failure,) = [one for one in refused.all_events if one.is_step_failure]
    assert "the reason is too short" in str(failure.step_failure_data.error)
    done = run_job(jobs.approve_job, jobs.APPROVE_OP, approver="Ana Lima", reason=GOOD)
    assert done.success and releases.served(settings).stem == waiting.stem
    assert run_job(jobs.rollback_job, jobs.ROLL_BACK_OP).success
    assert releases.served(settings).stem == first
    again = propose(warehouse, settings)
    assert run_job(jobs.reject_job, jobs.REJECT_OP, approver="Ana Lima", reason=GOOD).success
    assert not again.exists() and releases.served(settings).stem == first


def test_the_mode_of_the_settings_makes_a_release_wait(warehouse, settings):
    assert approval.waits_for_approval(warehouse, settings) is None
    careful = settings.model_copy(update={"release": "approval"})
    assert approval.waits_for_approval(warehouse, careful) == WAITS
    # There is nothing yet that a first release could change.
    bounded = settings.model_copy(update={"release_bound": 0.05})
    assert approval.waits_for_approval(warehouse, bounded) is None
