"""Notices to real local receivers: what is reported, once for each cause, and what never stops."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import duckdb
import pytest

from expectations.rules import Breach, GateOutcome, GateResult
from orchestration.cli import _close_run
from orchestration.operations import notices
from orchestration.operations.notices import message, outbox, receivers
from orchestration.operations.notices.failed_places import KILLED
from orchestration.platform import environment
from orchestration.platform.failures import failure
from orchestration.platform.runs import PROCESS_TAG, execute
from orchestration.platform.settings import Settings, read_settings
from orchestration.platform.supervision import Ended
from tests.conftest import PROJECT
from tests.ports import free_ports
from tests.sinks import Mails, Web, mail_server, web, write_certificate

# What an error quotes of a record.
RECORD = "Wanda Wal <!channel> \r\nBcc: all@bank.example"
AS_OF = "2025-11"


@pytest.fixture(autouse=True)
def _a_slow_machine_is_no_dead_receiver(monkeypatch) -> None:
    for module in (outbox, receivers):
        monkeypatch.setattr(module, "RECEIVER_SECONDS", 60)
    monkeypatch.setattr(receivers, "READ_SECONDS", 50)


@pytest.fixture
def hook() -> Iterator[Web]:
    with web() as server:
        yield server


@pytest.fixture
def mails() -> Iterator[Mails]:
    with mail_server() as server:
        yield server


@pytest.fixture
def settings(tmp_path, monkeypatch, hook, mails) -> Settings:
    for name in ("DAGSTER_HOME", "MLFLOW_TRACKING_URI"):
        monkeypatch.setenv(name, "")
    given = {
        "HOME": str(tmp_path / "home"),
        "NOTICE_WEBHOOK": hook.url,
        "NOTICE_FROM": "jingxi@bank.example",
        "NOTICE_TO": "data@bank.example,risk@bank.example",
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(mails.port),
        "SMTP_SECURITY": "none",
        "UI_URL": "https://jingxi.bank.example/",
    }
    for name, value in given.items():
        monkeypatch.setenv(f"JINGXI_{name}", value)
    settings = read_settings()
    environment.prepare(settings)
    publish(settings)
    return settings


def publish(settings: Settings) -> None:
    release = settings.published / "releases" / "r1.duckdb"
    with duckdb.connect(str(release)) as connection:
        connection.execute("create schema meta")
        connection.execute(
            "create table meta.release as select 'r1' as release_id, $as_of as as_of",
            {"as_of": AS_OF},
        )
    (settings.published / "current.duckdb").symlink_to("releases/r1.duckdb")


@pytest.fixture
def instance(settings) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def broken_gate() -> GateOutcome:
    def result(meaning: str, severity: str, about: str) -> GateResult:
        return GateResult(
            *("G2", "base", "keys", meaning, severity, False, f"seen {RECORD}", f"row {RECORD}"),
            *(meaning, "ask the bank"),
            breaches=(Breach(about, RECORD),),
        )

    rules = (
        result("every account has an owner", "fail", "base.account"),
        result("balances continue", "warn", "base.account_month"),
    )
    return GateOutcome("G2", "base", 1, "run", rules)


def job(work, name: str = "refresh", step: str = "base_layer") -> dg.JobDefinition:
    @dg.op(name=step)
    def one() -> None:
        work()

    @dg.job(name=name, executor_def=dg.in_process_executor)
    def run() -> None:
        one()

    return run


def raising(error: Exception):
    def work() -> None:
        raise error

    return work


def run(settings, instance, definition: dg.JobDefinition) -> list[str]:
    """Execute a job and report it, as a command does."""
    result = execute(definition, instance, {}, {})
    failures = [event for event in result.all_events if event.is_step_failure]
    record = instance.get_run_record_by_id(result.run_id)
    return notices.report_run(settings, record, failures)


def failing_gate() -> dg.JobDefinition:
    outcome = broken_gate()
    return job(raising(failure(outcome.message(), outcome.places())), step="gate_G2")


SUCCESS = (lambda: None,)


def test_a_failed_gate_is_reported_with_its_rule_the_release_and_the_run(
    settings, instance, hook, mails
):
    assert run(settings, instance, failing_gate()) == []
    (text,), (mail,) = hook.texts, mails.taken
    (record,) = instance.get_run_records()
    assert text.splitlines()[:2] == [
        "*jingxi: refresh failed*",
        "where: gate G2: base.account: every account has an owner",
    ]
    assert f"since: {datetime.fromtimestamp(record.end_time, UTC):%Y-%m-%d %H:%M} UTC" in text
    assert f"served meanwhile: release r1, as of {AS_OF}" in text
    link = f"run: https://jingxi.bank.example/runs/{record.dagster_run.run_id}"
    assert link in text
    assert mail["Subject"] == "jingxi: refresh failed"
    assert (mail["From"], mail["To"]) == (
        "jingxi@bank.example",
        "data@bank.example, risk@bank.example",
    )
    assert mail.get_content().splitlines() == text.splitlines()[1:]
    assert "balances continue" not in text
    assert "Wanda" not in text


def test_a_failed_step_is_reported_by_the_kind_of_its_error_without_its_text(
    settings, instance, hook, mails
):
    def work() -> None:
        try:
            raise duckdb.ConversionException(f"Could not convert string '{RECORD}' to DATE")
        except duckdb.Error as error:
            raise RuntimeError(f"failed on {RECORD}") from error

    run(settings, instance, job(work))
    (text,) = hook.texts
    assert "where: step base_layer: ConversionException\n" in text
    assert "Wanda" not in text + mails.texts[0]
    assert [name for name in mails.taken[0] if name.lower() == "bcc"] == []


def test_the_same_failure_is_reported_once_until_a_success_clears_it(
    settings, instance, hook, mails
):
    for _ in range(3):
        run(settings, instance, failing_gate())
    assert len(hook.bodies) == len(mails.taken) == 1
    run(settings, instance, job(raising(OSError(28, "no space left"))))
    assert "where: step base_layer: OSError" in hook.texts[1]
    run(settings, instance, job(*SUCCESS))
    subject, *lines = hook.texts[2].splitlines()
    assert subject == "*jingxi: refresh succeeded, all clear*"
    assert [line.split(", since")[0] for line in lines[:2]] == [
        "over: refresh, gate G2: base.account: every account has an owner",
        "over: refresh, step base_layer: OSError",
    ]
    assert f"served: release r1, as of {AS_OF}" in lines
    run(settings, instance, job(*SUCCESS))
    assert len(hook.bodies) == len(mails.taken) == 3
    run(settings, instance, failing_gate())
    assert "failed" in hook.texts[3]


def test_a_success_of_training_clears_nothing_of_a_refresh(settings, instance, hook):
    run(settings, instance, failing_gate())
    run(settings, instance, job(*SUCCESS, name="train"))
    assert len(hook.bodies) == 1


def test_a_failure_before_the_last_success_is_history(settings, instance, hook):
    """The daemon may look at a run after a command has succeeded."""
    execute(failing_gate(), instance, {}, {})
    (failed,) = instance.get_run_records()
    run(settings, instance, job(*SUCCESS))
    assert notices.report_run(settings, failed) == []
    assert hook.bodies == []


def test_a_killed_run_is_reported_and_one_that_a_person_ended_is_not(settings, hook):
    definition, tags = job(*SUCCESS), {PROCESS_TAG: str(os.getpid())}
    for asked in (True, False):
        with dg.DagsterInstance.get() as instance:
            instance.create_run_for_job(definition, status=dg.DagsterRunStatus.STARTED, tags=tags)
        assert hook.bodies == []
        _close_run(settings, "refresh", Ended(137, signal.SIGKILL, asked=asked))
    assert f"where: {KILLED}" in hook.texts[0]
    # Killed before its run began: the same cause.
    _close_run(settings, "refresh", Ended(137, signal.SIGKILL))
    assert len(hook.bodies) == 1
    _close_run(settings, "train", Ended(137, signal.SIGKILL))
    assert "*jingxi: train failed*" in hook.texts[1]
    assert "run: https://jingxi.bank.example/runs\n" in hook.texts[1]


def test_a_dead_receiver_gets_what_it_missed_with_the_next_notice(settings, instance, hook, mails):
    hook.status = 500
    (line,) = run(settings, instance, failing_gate())
    assert line == "notices: webhook answered HTTP 500; 1 notice(s) wait for the next"
    assert len(mails.taken) == 1
    hook.status = 200
    run(settings, instance, job(*SUCCESS))
    assert [text.splitlines()[0] for text in hook.texts] == [
        "*jingxi: refresh failed*",
        "*jingxi: refresh succeeded, all clear*",
    ]
    assert len(mails.taken) == 2


def test_nothing_that_listens_nowhere_stops_the_other_receiver(settings, instance, hook):
    dead = settings.model_copy(update={"smtp_port": free_ports()})
    (line,) = run(dead, instance, failing_gate())
    assert line.startswith("notices: e-mail cannot be used (ConnectionRefusedError); 1 notice(s)")
    assert len(hook.bodies) == 1


def test_a_receiver_that_hangs_is_left_after_seconds(settings, hook, monkeypatch):
    monkeypatch.setattr(receivers, "RECEIVER_SECONDS", 0.5)
    hook.hangs = True
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hanging = settings.model_copy(update={"smtp_port": silent.getsockname()[1]})
        began = time.monotonic()
        lines = notices.report(hanging, "refresh")
        # The sinks wait for a minute.
        assert time.monotonic() - began < 40
    assert [line.split(";")[0] for line in lines] == [
        "notices: webhook no answer within 0.5 s",
        "notices: e-mail no answer within 0.5 s",
    ]


def test_a_redirect_is_not_followed(settings, instance, hook):
    hook.status = 302
    (line,) = run(settings, instance, failing_gate())
    assert "webhook answered HTTP 302" in line
    assert "/elsewhere" not in hook.paths


def test_hostile_text_is_one_inert_line(settings, hook, mails):
    hostile = f"file {RECORD}\x1b[31m\u202e <https://evil.example|here> & {'x' * 4000}"
    notices.report(settings, "refresh", [hostile])
    (text,), (mail,) = hook.texts, mails.taken
    where = text.splitlines()[1]
    assert where.startswith("where: file Wanda Wal &lt;!channel&gt; Bcc: all@bank.example [31m")
    assert "&lt;https://evil.example|here&gt; &amp; xxx" in where
    assert len(mail.get_content().splitlines()[0]) <= message.LONGEST_LINE
    assert not {"\x1b", "\u202e", "<"} & set(text)
    assert mail["Bcc"] is None


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_mail_is_sent_encrypted_after_a_sign_in(settings, hook, tmp_path, monkeypatch, security):
    certificate = tmp_path / "server.pem"
    write_certificate(certificate)
    named = {
        "JINGXI_SMTP_HOST": "localhost",
        "JINGXI_SMTP_SECURITY": security,
        "JINGXI_SMTP_USER": "jingxi",
        "JINGXI_SMTP_PASSWORD": "secret-of-the-mail",
    }
    for name, value in named.items():
        monkeypatch.setenv(name, value)
    with mail_server(certificate, tls=security == "tls") as mails:
        monkeypatch.setenv("JINGXI_SMTP_PORT", str(mails.port))
        # An authority that nobody knows: nothing is sent, and no password.
        (line,) = notices.report(read_settings(), "refresh")
        assert "e-mail cannot be used (SSLCertVerificationError)" in line
        assert (mails.taken, mails.accounts) == ([], [])
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert notices.report(read_settings(), "refresh") == []
        assert (len(mails.taken), mails.accounts) == (1, ["jingxi"])
        monkeypatch.setenv("JINGXI_SMTP_PASSWORD", "wrong")
        (line,) = notices.report(read_settings(), "train")
        assert "e-mail cannot be used (SMTPAuthenticationError)" in line


def test_a_damaged_or_unwritable_state_does_not_keep_a_notice_back(settings, hook, monkeypatch):
    state = settings.operations / outbox.STATE
    settings.operations.mkdir()
    for content in (b"\x00\xff", b"[]", b'{"open": {"a": 1}}'):
        state.write_bytes(content)
        assert notices.report(settings, "refresh") == []
    assert len(hook.bodies) == 3

    def full(*_: object) -> None:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(outbox, "write_whole", full)
    assert notices.report(settings, "train") == []
    assert len(hook.bodies) == 4


def test_a_damaged_release_is_reported_as_such(settings, hook):
    (settings.published / "releases" / "r1.duckdb").unlink()
    notices.report(settings, "refresh")
    assert "served meanwhile: the served release cannot be read" in hook.texts[0]


def test_without_a_receiver_nothing_is_written(tmp_path):
    settings = Settings(home=tmp_path)
    assert notices.report(settings, "refresh") == []
    assert list(tmp_path.iterdir()) == []


def test_what_a_receiver_missed_is_bounded(settings, hook, monkeypatch):
    monkeypatch.setattr(outbox, "MOST_KEPT", 3)
    hook.status = 500
    now = datetime.now(UTC)
    for number in range(5):
        cause = message.Cause("refresh", (f"step {number}",), now + timedelta(seconds=number))
        outbox.send(settings, cause, at=now)
    kept = json.loads((settings.operations / outbox.STATE).read_text())["outbox"]
    assert [one["lines"][0] for one in kept["webhook"]] == [
        f"where: step {number}" for number in (2, 3, 4)
    ]
    assert kept["e-mail"] == []


def test_a_refused_delivery_of_a_command_is_reported_and_its_secrets_stay_in_the_environment(
    settings, hook, tmp_path
):
    delivery = tmp_path / "delivery"
    delivery.mkdir()
    (delivery / "customer.csv").write_text("customer_id,birth_date\nC1,1980-01-01\n")
    named = {"JINGXI_SOURCE": "files", "JINGXI_SOURCE_PATH": str(delivery)}
    hook.status = 500
    for _ in range(2):
        ended = subprocess.run(
            [sys.executable, "-m", "orchestration", "refresh"],
            cwd=PROJECT,
            env={**os.environ, **named},
            capture_output=True,
            text=True,
        )
        assert ended.returncode == 2, ended.stderr
        assert "webhook answered HTTP 500" in ended.stderr
        hook.status = 500
    hook.status = 200
    notices.report(settings, "train")
    refused, _ = hook.texts
    assert "where: delivery refused: " in refused and "transaction" in refused
    written = [path.read_bytes() for path in settings.home.rglob("*") if path.is_file()]
    for text in (ended.stdout.encode(), ended.stderr.encode(), *written):
        assert b"secret-of-the-hook" not in text
