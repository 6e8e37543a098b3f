"""Overrides of gates in a real job: which failed rules become warnings, and what is published."""

import json
import shutil
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest

from expectations.gate import judge
from expectations.rules import GateOutcome, Profile, Rule, Suite, column_between, column_zero
from orchestration.cli import main
from orchestration.landing.engine import INPUT_FILE
from orchestration.platform import audit, build_numbers, overrides
from orchestration.platform.engine import connect
from orchestration.platform.gate_report import render_report
from orchestration.platform.gates import GATE_RESULT
from orchestration.platform.identity import operating_system_user
from orchestration.platform.overrides import Overriding
from orchestration.platform.releases import ReleaseRefused
from orchestration.platform.settings import Settings, read_settings
from orchestration.platform.tables import ensure_table
from orchestration.release import approval, gate_overrides, jobs
from orchestration.release.gate_overrides import Asked
from orchestration.release.summary import read_summary
from orchestration.release.value_report import page_content
from tests.integration.test_gates import ACCOUNT, BUILT, Bank
from tests.integration.test_release import publish, run_job, settings, warehouse

__all__ = ["settings", "warehouse"]

Judged = tuple[GateOutcome, list[str]]

PROFILE = Profile("select * from base.built", key=("name",), about="base.{name}")
BROKEN = Rule("trial", column_zero("broken"), "fail", "nothing is broken", "mend it")
ODD = Rule("trial", column_between("odd", high=1), "fail", "nothing is odd", "look at it")
BINDING = replace(BROKEN, binding="it is the ledger")
REASON = "the branch closed in May"
LAST = (overrides.today() + timedelta(30)).isoformat()
ASKED = Asked("G2/trial.broken", "base.account", "5", LAST, "Ana Lima", REASON)
WORDS = f"overridden by Ana Lima until {LAST}: {REASON}"


def suite(_: object, first: Rule = BROKEN) -> Suite:
    return Suite("G2", "trial", {"trial": PROFILE}, (first, ODD))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("JINGXI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("JINGXI_USER", "Tove Berg")
    known = {"G2/trial.broken": (PROFILE, BROKEN), "G2/trial.odd": (PROFILE, ODD)}
    monkeypatch.setattr(gate_overrides, "rules", lambda: known)
    found = read_settings()
    for folder in (found.warehouse.parent, found.reports):
        folder.mkdir(parents=True, exist_ok=True)
    return found


@pytest.fixture
def bank(home: Settings) -> Bank:
    return Bank(suite)


def judged_alone(account: str, customer: str = "0, 0", first: Rule = BROKEN) -> Judged:
    """The outcome of the gate in the home of the environment, and why overrides do not count."""
    given = Overriding(read_settings(), 1)
    with duckdb.connect() as connection:
        connection.execute("create schema base")
        rows = BUILT.format(f"('account', {account}), ('customer', {customer})")
        connection.execute(f"create table base.built as {rows}")
        ensure_table(connection, GATE_RESULT)
        return judge(connection, suite(None, first), 1, "run", given.covers), given.notes


def test_an_overridden_rule_is_yellow_and_the_refresh_goes_on(bank: Bank, home: Settings) -> None:
    gate_overrides.override(home, ASKED)
    run = bank.run("all", account="3, 0")
    assert run.result.success and "release" in run.steps("STEP_SUCCESS")
    assert run.colours() == {"account": (False, "WARN"), "customer": (True, "WARN")}
    assert run.checks[ACCOUNT].description == (
        f"G2 warns: base.account: broken 3, limit 0; {WORDS}. Mend it"
    )
    (record,) = (row.data for row in run.checks[ACCOUNT].metadata["broken_rules"].value.records)
    assert record["severity"] == "overridden"
    with connect(home, home.warehouse) as connection:
        (row,) = overrides.recorded(connection)
    assert (row["gate"], row["rule"], row["place"]) == ("G2", "trial.broken", "base.account")
    assert (row["lowest"], row["highest"], row["bound"]) == (3, 3, 5)
    assert (row["approver"], row["reason"], row["refreshed_by"]) == (
        *("Ana Lima", REASON),
        "Tove Berg",
    )
    assert row["audit_line"] == 1 and row["expires"] == date.fromisoformat(LAST)


@pytest.mark.parametrize(
    ("account", "customer", "seen"),
    [
        ("3, 2", "0, 0", "base.account: nothing is odd"),
        ("3, 0", "1, 0", "base.account, base.customer: nothing is broken"),
        ("0, 0", "3, 0", "base.customer: nothing is broken"),
        ("6, 0", "0, 0", "base.account: nothing is broken"),
        ("-6, 0", "0, 0", "base.account: nothing is broken"),
        ("null, 0", "0, 0", "base.account: nothing is broken"),
    ],
    ids=["another rule", "another table too", "another table", "above", "below", "no figure"],
)
def test_whatever_else_fails_stops(home: Settings, account: str, customer: str, seen: str) -> None:
    gate_overrides.override(home, ASKED)
    outcome, _ = judged_alone(account, customer)
    assert not outcome.success and outcome.places() == [seen]


def test_beside_an_overridden_rule_one_that_fails_is_red_and_stops(
    bank: Bank, home: Settings
) -> None:
    gate_overrides.override(home, ASKED)
    run = bank.run("all", account="3, 0", customer="0, 2")
    assert run.steps("STEP_FAILURE") == {"gate_G2"}
    assert run.colours() == {"account": (False, "WARN"), "customer": (False, "ERROR")}
    # A later run does not build on it either.
    assert bank.run("later").steps("STEP_FAILURE") == {"value__account"}


def test_two_overrides_cover_two_tables(bank: Bank, home: Settings) -> None:
    gate_overrides.override(home, ASKED)
    assert not judged_alone("3, 0", "1, 0")[0].success
    gate_overrides.override(home, replace(ASKED, table="base.customer", approver="Bo Holm"))
    (result,) = judged_alone("3, 0", "1, 0")[0].warned
    assert result.overridden == f"{WORDS}; {WORDS.replace('Ana Lima', 'Bo Holm')}"
    # A record is of the build that was judged last.
    bank.run("all", account="3, 0"), bank.run("all")
    with connect(home, home.warehouse) as connection:
        assert overrides.recorded(connection) == []


def expire(home: Settings, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(overrides, "today", lambda: date.fromisoformat(LAST) + timedelta(1))
    return "it is not in force: expired"


def withdraw(home: Settings, monkeypatch: pytest.MonkeyPatch) -> str:
    gate_overrides.withdraw(home, Asked("G2/trial.broken", "base.account", approver="Ana"))
    return "it is not in force: withdrawal"


def narrow(home: Settings, monkeypatch: pytest.MonkeyPatch) -> str:
    gate_overrides.override(home, replace(ASKED, bound="2"))
    return "its bound is 2, 3 is seen"


def refresh_oneself(home: Settings, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("JINGXI_USER", " ana  LIMA")
    return "its approver runs this refresh: expected another person"


def change_the_line(home: Settings, monkeypatch: pytest.MonkeyPatch) -> str:
    text = home.audit_trail.read_text()
    home.audit_trail.write_text(text.replace('\\"bound\\": 5.0', '\\"bound\\": 9.0'))
    assert home.audit_trail.read_text() != text
    return "line 1: its hash is not that of its contents: a field was changed"


def write_the_line_anew(home: Settings, monkeypatch: pytest.MonkeyPatch) -> str:
    """With a hash that fits: who may write the trail lacks the seal."""
    (entry,) = audit.entries(home)
    entry = replace(entry, detail=entry.detail.replace('"bound": 5.0', '"bound": 9.0'))
    home.audit_trail.write_text(replace(entry, hash=entry.digest()).line() + "\n")
    return "it is not in force: given in another home"


def move_to_another_home(home: Settings, monkeypatch: pytest.MonkeyPatch) -> str:
    other = home.home.with_name("other")
    shutil.copytree(home.audit_trail.parent, other / "audit")
    (other / "build").mkdir(), (other / "reports").mkdir()
    monkeypatch.setenv("JINGXI_HOME", str(other))
    return "it is not in force: given in another home"


@pytest.mark.parametrize(
    "lapse",
    [
        *(expire, withdraw, narrow, refresh_oneself),
        *(change_the_line, write_the_line_anew, move_to_another_home),
    ],
)
def test_an_override_that_does_not_count_stops_the_refresh_and_says_why(
    home: Settings, lapse, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate_overrides.override(home, ASKED)
    why = lapse(home, monkeypatch)
    outcome, notes = judged_alone("3, 0")
    assert not outcome.success
    (note,) = notes
    assert why in note


def test_a_binding_rule_stops_whatever_the_trail_has(home: Settings) -> None:
    gate_overrides.override(home, ASKED)
    assert not judged_alone("3, 0", first=BINDING)[0].success
    assert judged_alone("3, 0")[0].success


@pytest.fixture
def judged(warehouse: duckdb.DuckDBPyConnection, settings: Settings, monkeypatch):
    """A build that may be published but for the trial rule on base.account, which is overridden."""
    known = {"G2/trial.broken": (PROFILE, BROKEN), "G2/trial.odd": (PROFILE, ODD)}
    monkeypatch.setattr(gate_overrides, "rules", lambda: known)
    gate_overrides.override(settings, ASKED)
    rows = warehouse.execute("select gate, build_number from meta.gate_result").fetchall()
    warehouse.execute("drop table meta.gate_result")
    ensure_table(warehouse, GATE_RESULT)
    warehouse.execute("create table base.built as " + BUILT.format("('account', 3, 0)"))
    warehouse.execute("drop schema quarantine cascade")
    warehouse.execute(f"create table meta.input_file {INPUT_FILE}")
    ensure_table(warehouse, "meta.model_version")
    for gate, number in rows:
        if gate != "G2":
            warehouse.execute(
                "insert into meta.gate_result (gate, subject, severity, success, build_number) "
                "values (?, 'own', 'fail', true, ?)",
                [gate, number],
            )
            continue
        given = Overriding(settings, number)
        assert judge(warehouse, suite(None), number, "run", given.covers).success
        given.record(warehouse, gate)
    return warehouse


def test_a_release_shows_what_was_overridden_and_by_whom(judged, settings, tmp_path) -> None:
    release = publish(judged, settings)
    *_, line = audit.entries(settings)
    assert (line.act, line.user_name) == ("publish", settings.user)
    assert f"overridden: G2/trial.broken on base.account (broken 3), by Ana Lima until {LAST}" in (
        line.detail
    )
    with connect(settings, release.path, read_only=True) as connection:
        (row,) = overrides.recorded(connection)
        assert page_content(connection)["overrides"] == [row]
        pages = [
            render_report(connection, tmp_path / f"{language}.html", language).read_text()
            for language in ("en", "zh")
        ]
    seen = "rule trial.broken, seen broken 3. Ana Lima accepts this until"
    assert f"Gate G2 failed on base.account: {seen} {LAST}: {REASON}" in " ".join(pages[0].split())
    assert "Ana Lima" in pages[1] and "accepts this" not in pages[1]
    found = read_summary(settings)
    assert found["overrides"] == [overrides.in_words(row)]
    (gate,) = (one for one in found["gates"] if one["gate"] == "G2")
    assert (gate["failed"], gate["warnings"]) == (0, 1)
    assert any(WORDS in line for line in found["warnings"])


def lose_the_record(connection: duckdb.DuckDBPyConnection, settings: Settings, _) -> str:
    connection.execute("delete from meta.gate_override")
    return "there is none"


def fail_worse(connection: duckdb.DuckDBPyConnection, settings: Settings, _) -> str:
    connection.execute("update meta.gate_override set highest = 6")
    return "its bound is 5, 6 is seen"


def fail_elsewhere(connection: duckdb.DuckDBPyConnection, settings: Settings, _) -> str:
    connection.execute("update meta.gate_result set places = ['base.customer'] where gate = 'G2'")
    return "failed on base.customer, and no override covers it: there is none"


def fail_another_rule(connection: duckdb.DuckDBPyConnection, settings: Settings, _) -> str:
    connection.execute("update meta.gate_result set success = false where rule = 'trial.odd'")
    return "gate G2 failed on layer base"


def pretend_another_rule(connection: duckdb.DuckDBPyConnection, settings: Settings, _) -> str:
    connection.execute(
        "update meta.gate_result set success = false, overridden = 'by nobody', "
        "places = ['base.account'] where rule = 'trial.odd'"
    )
    return "rule G2/trial.odd failed on base.account, and no override covers it: there is none"


def let_the_approver_publish(connection, settings: Settings, monkeypatch) -> str:
    connection.execute("update meta.gate_override set refreshed_by = 'Ana Lima'")
    return "its approver runs this refresh"


@pytest.mark.parametrize(
    "fault",
    [
        *(lose_the_record, fail_worse, fail_elsewhere, fail_another_rule, pretend_another_rule),
        *(let_the_approver_publish, lambda *given: expire(*given[1:])),
        lambda *given: withdraw(*given[1:]),
    ],
)
def test_publishing_accepts_the_overridden_failure_and_nothing_else(
    judged, settings, fault, monkeypatch
) -> None:
    why = fault(judged, settings, monkeypatch)
    with pytest.raises(ReleaseRefused) as refusal:
        publish(judged, settings)
    assert why in str(refusal.value)
    assert not list((settings.published / "releases").glob("*.duckdb"))


def test_a_broken_trail_is_not_published(judged, settings, monkeypatch) -> None:
    why = change_the_line(settings, monkeypatch)
    with pytest.raises(audit.TrailBroken) as refusal:
        publish(judged, settings)
    assert "its hash is not that of its contents" in str(refusal.value) and why


def test_a_release_that_waits_is_not_served_after_its_override_expired(
    judged, settings, monkeypatch
) -> None:
    from orchestration.release import publish as releasing

    release = releasing.publish(judged, settings, run_id="r", code_version="t", waits="a person")
    expire(settings, monkeypatch)
    with pytest.raises(ReleaseRefused, match="is not in force: expired"):
        approval.approve(settings, release.release_id, "Ana Lima", REASON)
    monkeypatch.undo()


def test_a_withdrawal_cut_off_behind_the_newest_release_is_found(judged, settings) -> None:
    withdraw(settings, None)
    assert [one.state for one in overrides.read(settings)] == [
        *("replaced or withdrawn", "withdrawal"),
    ]
    gate_overrides.override(settings, ASKED)
    publish(judged, settings)
    withdraw(settings, None)
    lines = settings.audit_trail.read_text().splitlines(keepends=True)
    settings.audit_trail.write_text("".join(lines[:2]))
    with pytest.raises(audit.TrailBroken, match="are left"):
        overrides.read(settings)
    assert build_numbers.complaints(judged) == []


def test_commands_give_list_and_withdraw(home: Settings, capsys) -> None:
    table = ("--table", "base.account")
    given = ("--bound", "5", "--expires", LAST, "--approver", "Ana Lima", "--reason", REASON)
    assert main(["override", "--rule", "G2/trial.broken", *table, *given]) == 0
    assert main(["overrides"]) == 0
    assert capsys.readouterr().out == (
        f"overridden: G2/trial.broken base.account until {LAST}\n"
        f"G2/trial.broken on base.account, bound 5: in force, until {LAST}, by Ana Lima: {REASON}\n"
    )
    ended = ("--withdraw", "--approver", "Ana Lima")
    assert main(["override", "--rule", "G2/trial.broken", *table, *ended]) == 0
    assert main(["overrides", "--json"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "withdrawn: G2/trial.broken base.account"
    assert [one["state"] for one in json.loads(shown[1])] == ["replaced or withdrawn"]
    assert main(["override", "--rule", "G2/trial.broken", *table, *ended]) == 2
    assert "no override of G2/trial.broken base.account is in force" in capsys.readouterr().err


def test_the_job_overrides_withdraws_and_fails_with_the_reason(home: Settings) -> None:
    terms = {"rule": ASKED.rule, "table": ASKED.table, "approver": "Ana Lima"}
    refused = run_job(jobs.override_job, jobs.OVERRIDE_OP, **terms, expires=LAST, reason="short")
    (failure,) = [one for one in refused.all_events if one.is_step_failure]
    assert "REASON is too short" in str(failure.step_failure_data.error)
    assert overrides.read(home) == []
    full = {**terms, "expires": LAST, "reason": REASON}
    assert run_job(jobs.override_job, jobs.OVERRIDE_OP, **full).success
    assert [one.state for one in overrides.read(home)] == ["in force"]
    assert run_job(jobs.override_job, jobs.OVERRIDE_OP, **terms, withdraw=True).success
    assert overrides.read(home)[0].state == "replaced or withdrawn"


def test_only_an_approver_overrides_and_every_attempt_is_recorded(home: Settings) -> None:
    name = operating_system_user()
    home = read_settings(user=name)
    for role, outcome in (("data engineer", "refused"), ("approver", "done")):
        home.own_roles.write_text(json.dumps({"people": {name: {"roles": [role]}}}))
        home.own_roles.chmod(0o600)
        unnamed = home.model_copy(update={"user": name})
        try:
            gate_overrides.override(unnamed, replace(ASKED, approver=""))
        except Exception as error:
            assert "role approver is required" in str(error)
        *_, line = audit.entries(home)
        assert (line.act, line.outcome) == ("override_gate", outcome)
    (one,) = overrides.read(home)
    assert one.terms.approver == name
