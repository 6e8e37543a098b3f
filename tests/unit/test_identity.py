"""Who acts, and which role allows it."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys

import duckdb
import pytest
import yaml

from orchestration.platform import audit, identity
from orchestration.platform.identity import (
    ALLOWED,
    PUBLISH,
    ROLES,
    ActRefused,
    IdentityRefused,
    approver_of,
    operating_system_user,
    who,
)
from orchestration.platform.releases import ReleaseRefused, point_at
from orchestration.platform.settings import Settings
from orchestration.valuation.explanation import explain
from orchestration.valuation.price import price
from tests.conftest import PROJECT


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.delenv("JINGXI_USER", raising=False)
    return Settings(home=tmp_path)


def roles(settings: Settings, text: str) -> None:
    settings.own_roles.write_text(text)
    settings.own_roles.chmod(0o600)


def has(settings: Settings, **entry: object) -> None:
    roles(settings, json.dumps({"people": {operating_system_user(): entry}}))


def test_without_a_roles_file_everybody_has_every_role_under_any_name(tmp_path):
    person = who(Settings(home=tmp_path, user="Ana Lima"))
    assert (person.name, person.roles, person.source) == ("Ana Lima", frozenset(ROLES), None)
    for act, allowed in ALLOWED.items():
        person.require(act, "it", allowed)
        assert person.acting(allowed) == "every role: no roles file"
    person.require_own("customer_page", "it", lambda: [])
    assert approver_of(Settings(home=tmp_path, user="Ana Lima"), "Ola Nilsen") == "Ola Nilsen"


def test_with_a_roles_file_the_name_is_the_operating_systems(settings, monkeypatch):
    has(settings, roles=["data engineer"])
    # A variable of the environment is no identity.
    for name in ("LOGNAME", "USER", "SUDO_USER"):
        monkeypatch.setenv(name, "somebody else")
    person = who(settings)
    assert person.name == operating_system_user() and person.roles == {"data engineer"}
    with pytest.raises(IdentityRefused, match=r"USER \(JINGXI_USER\) is invalid: expected"):
        who(Settings(home=settings.home, user="Ana Lima"))
    assert who(Settings(home=settings.home, user=person.name)) == person
    with pytest.raises(IdentityRefused, match="APPROVER=Ana Lima is invalid"):
        approver_of(settings, "Ana Lima")
    assert approver_of(settings, "") == approver_of(settings, person.name.upper()) == person.name


def test_the_name_is_that_of_who_signed_in_else_of_the_process(tmp_path, monkeypatch):
    own, other = pwd.getpwuid(os.getuid()), pwd.getpwnam("nobody")
    for content, name in (
        (str(other.pw_uid), "nobody"),
        (str(identity.NO_LOGIN), own.pw_name),
        ("", own.pw_name),
        ("123456789", "123456789"),
    ):
        file = tmp_path / "loginuid"
        file.write_text(content)
        monkeypatch.setattr(identity, "LOGIN", file)
        assert operating_system_user() == name
    monkeypatch.setattr(identity, "LOGIN", tmp_path / "none")
    assert operating_system_user() == own.pw_name


@pytest.mark.parametrize("act", sorted(ALLOWED))
@pytest.mark.parametrize("role", ROLES)
def test_each_act_is_for_its_roles_alone(settings, act, role):
    has(settings, roles=[role], **({"book": ["E1"]} if role == "manager" else {}))
    if role in ALLOWED[act]:
        with audit.audited(settings, act, "it"):
            pass
    else:
        with (
            pytest.raises(ActRefused, match=f"^{act} of it is refused: role {ALLOWED[act][0]}"),
            audit.audited(settings, act, "it"),
        ):
            raise AssertionError("the act began")
    (line,) = audit.entries(settings)
    expected = (role, "done") if role in ALLOWED[act] else ("none", "refused")
    assert (line.role, line.outcome) == expected


def test_a_person_who_is_not_in_the_file_has_no_role(settings):
    roles(settings, "people: {somebody else: {roles: [auditor]}}")
    with pytest.raises(ActRefused, match=r"is not named in .*roles\.yml\. Ask a person"):
        audit.require(settings, PUBLISH, "it")
    (line,) = audit.entries(settings)
    assert (line.user_name, line.outcome) == (operating_system_user(), "refused")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("people: {ana: {roles: [manger]}}", "people.ana.roles.0: Input should be 'data engineer'"),
        ("people: {ana: {roles: []}}", "people.ana.roles: List should have at least 1 item"),
        ("people: {ana: {role: [auditor]}}", "people.ana.role: Extra inputs are not permitted"),
        ("persons: {}", "persons: Extra inputs are not permitted"),
        ("people: {}", "people: Dictionary should have at least 1 item"),
        ("people: {ana: {roles: [manager]}}", "people.ana: expected a book"),
        ("people: {ana: {roles: [auditor], book: [E1]}}", "people.ana: expected a book"),
        (
            "people:\n  ana: {roles: [auditor]}\n  ana: {roles: [approver]}",
            "line 3: ana appears twice",
        ),
        ("people: {ana: {roles: [auditor]}", "line 1: expected ',' or '}'"),
        ("people: {[1]: {roles: [auditor]}}", "line 1: found unhashable key"),
        ("a: !!python/object/apply:os.system [id]", "people: Field required"),
        ("", "the file: Input should be"),
        ("- ana", "the file: Input should be"),
    ],
)
def test_an_invalid_roles_file_is_refused_with_file_and_key(settings, text, words):
    roles(settings, text)
    with pytest.raises(IdentityRefused) as refused:
        who(settings)
    message = str(refused.value)
    assert message.startswith(f"{settings.own_roles} is invalid: ") and words in message
    with pytest.raises(IdentityRefused), audit.audited(settings, PUBLISH, "it"):
        raise AssertionError("the act began")
    assert [line.outcome for line in audit.entries(settings)] == ["refused"]


def test_names_are_read_as_they_are_written(settings):
    name = operating_system_user()
    roles(settings, f"people: {{{name}: {{roles: [manager], book: [0012, yes, E3]}}}}")
    assert who(settings).book == {"0012", "yes", "E3"}


def test_a_roles_file_that_others_write_is_refused(settings):
    has(settings, roles=["auditor"])
    settings.own_roles.chmod(0o664)
    with pytest.raises(IdentityRefused, match="others may write it"):
        who(settings)


def test_the_roles_file_may_be_named_and_the_homes_own_is_not_passed_over(settings, tmp_path):
    elsewhere = tmp_path / "bank" / "roles.yml"
    named = Settings(home=settings.home, roles=elsewhere)
    with pytest.raises(IdentityRefused, match=r"roles\.yml does not exist"):
        who(named)
    elsewhere.parent.mkdir()
    elsewhere.write_text(f"people: {{{operating_system_user()}: {{roles: [auditor]}}}}")
    elsewhere.chmod(0o644)
    assert who(named).roles == {"auditor"} and who(named).source == elsewhere
    has(settings, roles=["stakeholder"])
    with pytest.raises(IdentityRefused, match="the home's own roles file"):
        who(named)


def test_the_example_is_valid_and_has_every_role(settings):
    roles(settings, (PROJECT / "deploy" / "roles.yml").read_text())
    assert not who(settings).roles
    people = yaml.safe_load(settings.own_roles.read_text())["people"].values()
    assert {role for entry in people for role in entry["roles"]} == set(ROLES)


def test_a_manager_explains_accounts_and_prices_deals_of_the_own_book_alone(settings):
    path = settings.published / "releases" / "r1.duckdb"
    path.parent.mkdir(parents=True)
    with duckdb.connect(str(path)) as connection:
        connection.execute("create schema meta; create schema base")
        connection.execute("create table meta.release as select 'r1' as release_id")
        connection.execute(
            "create table base.customer as select * from "
            "(values ('C1', 'E1'), ('C2', 'E2'), ('C3', null)) as one(customer_id, employee_id)"
        )
        connection.execute(
            "create table base.account_holder as select * from "
            "(values ('A1', 'C3'), ('A1', 'C1'), ('A2', 'C2')) as one(account_id, customer_id)"
        )
    point_at(settings, path)
    has(settings, roles=["manager"], book=["E1"])

    def priced(customer_id: str) -> None:
        price(settings, "LOAN", "1000", None, customer_id)

    for ask, own, foreign in (
        (lambda one: explain(settings, one), "A1", ("A2", "A9")),
        (priced, "C1", ("C2", "C3", "C9")),
    ):
        # What this small release does not have shows that the manager was let in.
        with pytest.raises(ReleaseRefused, match=r"expected the \w+ .*value\.transfer_"):
            ask(own)
        for one in foreign:
            with pytest.raises(ActRefused, match=r"role auditor is required outside the book of"):
                ask(one)
    assert [(one.act, one.release_id, one.detail) for one in audit.entries(settings)] == [
        ("explain", "r1", "as manager; ReleaseRefused"),
        *[("explain", "r1", "as manager; ActRefused")] * 2,
        ("price", "r1", "as manager; ReleaseRefused"),
        *[("price", "r1", "as manager; ActRefused")] * 3,
    ]
    assert not any(name in settings.audit_trail.read_text() for name in ("A1", "C1", "E2"))


# The command.


def jingxi(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: text for name, text in os.environ.items() if "JINGXI" not in name}
    return subprocess.run(
        [sys.executable, "-m", "orchestration", *arguments],
        cwd=PROJECT,
        env={**environment, "JINGXI_HOME": str(settings.home)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_commands_refuse_who_lacks_the_role_and_show_that_in_the_trail(settings):
    has(settings, roles=["stakeholder"])
    for arguments, role in (
        (("refresh",), "data engineer"),
        (("rollback",), "data engineer"),
        (("customer", "--id", "C1"), "manager or auditor"),
        (("audit",), "auditor"),
    ):
        ended = jingxi(settings, *arguments)
        assert ended.returncode == 2
        assert f"is refused: role {role} is required" in ended.stderr
        assert "has stakeholder. Ask a person who has it" in ended.stderr
    has(settings, roles=["auditor"])
    ended = jingxi(settings, "audit", "--json")
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert [(one["act"], one["role"], one["outcome"]) for one in found["entries"]] == [
        (act, "none", "refused") for act in ("refresh", "rollback", "customer_page", "audit")
    ]
    assert found["problem"] is None and found["head"] == found["entries"][-1]["hash"]


def test_audit_ends_with_1_and_names_the_first_broken_line(settings):
    for name in ("r1", "r2", "r3"):
        audit.record(settings, PUBLISH, name)
    ended = jingxi(settings, "audit", "--act", "publish")
    assert ended.returncode == 0 and "3 lines, unbroken; head " in ended.stdout
    text = settings.audit_trail.read_text()
    settings.audit_trail.write_text(text.replace('"r2"', '"r9"'))
    ended = jingxi(settings, "audit")
    assert ended.returncode == 1
    assert "audit.jsonl is invalid: line 2: its hash is not that of its contents" in ended.stderr
    assert "publish  done  r1" in ended.stdout and "r3" not in ended.stdout
    assert jingxi(settings, "audit", "--since", "yesterday").returncode == 2
