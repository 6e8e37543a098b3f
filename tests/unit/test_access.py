"""Who may ask what in server mode: the decisions of the gateway, and the name on a run."""

from __future__ import annotations

import json
from http.server import SimpleHTTPRequestHandler
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest

from orchestration.operations import server
from orchestration.operations.access import RoleAccess, listed, mutations
from orchestration.operations.gateway import Denied, Passed
from orchestration.platform import audit, identity, run_queue
from orchestration.platform.files import write_whole
from orchestration.platform.identity import operating_system_user, who
from orchestration.platform.run_queue import USER_TAG
from orchestration.platform.settings import Settings
from orchestration.platform.sign_in import SECRET_HEADER, USER_HEADER, SignInRefused
from tests.conftest import PROJECT

SECRET = "0123456789abcdef" * 4
PEOPLE = {
    "ines": {"roles": ["data engineer"]},
    "lea": {"roles": ["ML engineer"]},
    "ana": {"roles": ["approver"]},
    "mei": {"roles": ["stakeholder"]},
    "otto": {"roles": ["auditor"]},
    "tove": {"roles": ["manager"], "book": ["E00005", "branch B001"]},
}
DAGSTER, MLFLOW, REPORTS = 3000, 3001, 3002
LAUNCH = "mutation Launch($p: ExecutionParams!) { launchRun(executionParams: $p) { __typename } }"
WIPE = "mutation { wipeAssets(assetPartitionRanges: []) { __typename } }"
LOOK = "query Runs { runsOrError { __typename } }"
WEBSERVER, READER = 3010, 3011


@pytest.fixture
def settings(tmp_path) -> Settings:
    made = Settings(home=tmp_path, proxy_secret=SECRET)
    write_whole(made.own_roles, json.dumps({"people": PEOPLE}))
    return made


@pytest.fixture
def access(settings) -> RoleAccess:
    return RoleAccess(settings, server.doors(3000))


def asked(
    access,
    user,
    query=None,
    *,
    port=DAGSTER,
    method="POST",
    target="/graphql",
    secret=SECRET,
    **more,
):
    headers = [
        (USER_HEADER, user),
        ("X-Jingxi-Proxy", secret),
        ("Content-Type", "application/json"),
    ]
    headers += [(name.replace("_", "-"), value) for name, value in more.items()]
    body = json.dumps({"query": query}).encode() if query else b""
    return access.judge(port, method, target, headers, body)


def lines(settings):
    return [(one.user_name, one.act, one.subject, one.outcome) for one in audit.entries(settings)]


@pytest.mark.parametrize("user", ["ines", "lea", "ana"])
def test_who_has_a_role_that_launches_reaches_the_webserver(access, settings, user):
    for query in (LOOK, LAUNCH):
        found = asked(access, user, query)
        assert isinstance(found, Passed) and found.behind[1] == WEBSERVER
        # The run coordinator checks them again.
        assert {USER_HEADER, SECRET_HEADER} <= {name.lower() for name, _ in found.headers}
    assert lines(settings) == [(user, "ui_launch", "Dagster: launchRun", "done")]


@pytest.mark.parametrize("user", ["mei", "otto"])
def test_who_may_only_look_reaches_the_read_only_one(access, settings, user):
    found = asked(access, user, LOOK)
    assert isinstance(found, Passed) and found.behind[1] == READER
    found = asked(access, user, "mutation { logTelemetry(action: 1) { __typename } }")
    assert isinstance(found, Passed) and found.behind[1] == READER
    assert lines(settings) == []
    refused = asked(access, user, LAUNCH)
    assert isinstance(refused, Denied) and refused.status.startswith("403")
    assert "role data engineer or ML engineer or approver is required" in refused.reason
    assert lines(settings) == [(user, "ui_launch", "Dagster: launchRun", "refused")]


@pytest.mark.parametrize(
    ("user", "passes"), [("ines", True), ("lea", False), ("ana", False), ("mei", False)]
)
def test_only_a_data_engineer_changes_what_is_not_a_launch(access, settings, user, passes):
    assert isinstance(asked(access, user, WIPE), Passed) == passes
    target = "/report_asset_materialization/x"
    assert isinstance(asked(access, user, target=target), Passed) == passes
    assert [one[1:3] for one in lines(settings)] == [
        ("ui_change", "Dagster: wipeAssets"),
        ("ui_change", f"Dagster: POST {target}"),
    ]


def test_a_mutation_is_found_wherever_it_stands():
    def found(query):
        return mutations(json.dumps({"query": query, "operationName": "Runs"}).encode())

    assert found(LOOK) == set()
    assert found(f"{LOOK} {LAUNCH}") == {"launchRun"}
    assert found("mutation { quiet: deleteRun(runId: 1) { __typename } }") == {"deleteRun"}
    assert found("mutation { ... on Mutation { a } ...Rest } fragment Rest on Mutation { b }") == {
        *("a", "b")
    }


@pytest.mark.parametrize(
    ("body", "more"),
    [
        (b"not json", {}),
        (b"[]", {}),
        (b'{"query": 1}', {}),
        (b'{"query": "mutation {"}', {}),
        (b'{"query": "mutation { ...A } fragment A on Mutation { ...A }"}', {}),
        (b'{"query": "' + b"{a" * 5000 + b'"}', {}),
        (LAUNCH.encode(), {"kind": "application/graphql"}),
        (json.dumps({"query": LOOK}).encode(), {"target": "/graphql?query=mutation"}),
    ],
)
def test_what_cannot_be_read_is_refused(access, body, more):
    kind = more.get("kind", "application/json")
    headers = [(USER_HEADER, "ines"), (SECRET_HEADER, SECRET), ("Content-Type", kind)]
    found = access.judge(DAGSTER, "POST", more.get("target", "/graphql"), headers, body)
    assert isinstance(found, Denied) and found.status == "400 Bad Request"


@pytest.mark.parametrize(
    ("method", "path", "passes"),
    [
        ("GET", "/mlflow/", True),
        ("POST", "/mlflow/ajax-api/2.0/mlflow/runs/search", True),
        ("POST", "/mlflow/graphql", True),
        ("POST", "/mlflow/ajax-api/2.0/mlflow/registered-models/alias", False),
        ("DELETE", "/mlflow/ajax-api/2.0/mlflow/registered-models/search", False),
        ("PATCH", "/mlflow/ajax-api/2.0/mlflow/registered-models/update", False),
    ],
)
def test_models_are_changed_by_jobs_and_commands_alone(access, settings, method, path, passes):
    found = asked(access, "ines", port=MLFLOW, method=method, target=path)
    assert isinstance(found, Passed) == passes
    if passes:
        assert not {USER_HEADER, SECRET_HEADER} & {name.lower() for name, _ in found.headers}
        assert lines(settings) == []
    else:
        assert lines(settings) == [("ines", "ui_change", f"MLflow: {method} {path}", "refused")]


LIST = "/2025-12/en/lists/E00005.html"


@pytest.mark.parametrize(
    ("user", "path", "passes"),
    [
        ("tove", LIST, True),
        ("tove", "/2025-12/zh/lists/branch_20_B001.html", True),
        ("tove", "/2025-12/csv/lists/E00005/worklist.csv", True),
        ("tove", "/2025-12/en/lists/E00006.html", False),
        ("tove", "/2025-12/en/lists/branch_20_B002.html", False),
        ("tove", "/2025-12/csv/lists/E00006/worklist.csv", False),
        ("tove", "/2025-12/en/index.html", True),
        ("tove", "/2025-12/en/lists.html", True),
        ("tove", "/2025-12/csv/lists_unit.csv", True),
        ("mei", "/2025-12/en/lists.html", True),
        *((user, LIST, False) for user in ("mei", "lea", "ana")),
        *((user, LIST, True) for user in ("ines", "otto")),
    ],
)
def test_a_manager_opens_the_lists_of_the_own_book_alone(access, settings, user, path, passes):
    for method in ("GET", "HEAD"):
        found = asked(access, user, port=REPORTS, method=method, target=path)
        assert isinstance(found, Passed) == passes
    name = path.rpartition("lists/")[2].partition("/")[0].removesuffix(".html")
    refused = [] if passes else [(user, "read_list", f"lists: {name}", "refused")] * 2
    assert lines(settings) == refused
    if not passes:
        assert found.status.startswith("403") and "is required" in found.reason


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/r/en/lists/E00006.html?x=1",
            "/r/en/lists/E00006.html#E00005.html",
            "//r/en/lists//E00006",
        ),
        *(
            "/r/en/%6Cists/E0000%36.html",
            "/r/./en/lists/../lists/E00006.html",
            "/r/en/LISTS/E00006.html",
        ),
        *(
            "/r/en/lists/E00005.html/../E00006.html",
            "/r/en/lists%2FE00006.html",
            "/.r.portal/en/lists/E00006.html",
        ),
    ],
)
def test_a_list_is_found_however_its_path_is_written(access, path):
    assert isinstance(asked(access, "tove", port=REPORTS, method="GET", target=path), Denied)


def test_a_path_of_a_list_is_read_as_the_server_behind_reads_it(tmp_path):
    """Whatever `http.server` opens in a folder of lists is found to be in one."""
    pieces = [
        "lists",
        "E1.html",
        "..",
        ".",
        "%2e%2e",
        "a",
        "",
        "%2F",
        "%6cists",
        "#",
        "?",
        "lists%2FE1.html",
    ]
    handler = object.__new__(SimpleHTTPRequestHandler)
    handler.directory = str(tmp_path)
    for chosen in product(pieces, repeat=4):
        target = "/" + "/".join(chosen)
        opened = Path(handler.translate_path(target)).relative_to(tmp_path).parts
        if "lists" in opened[:-1]:
            assert listed(target), target
        else:
            assert not listed(target), target


def test_a_name_without_the_secret_is_refused(access, settings):
    for secret in ("", SECRET[:-1], SECRET + "0", "é" * 40):
        found = asked(access, "ines", LAUNCH, secret=secret)
        assert isinstance(found, Denied) and "does not come from the proxy" in found.reason
    twice = asked(access, "ines", LAUNCH, X_Forwarded_User="mei")
    assert isinstance(twice, Denied) and "is invalid" in twice.reason
    for user in ("", "in es", "inès", "x" * 129):
        assert isinstance(asked(access, user, LOOK), Denied), user
    assert lines(settings) == []


def test_nobody_passes_who_is_not_named_or_without_a_roles_file(access, settings):
    for _ in range(2):
        found = asked(access, "eve", LOOK)
        assert isinstance(found, Denied) and "not named in a roles file" in found.reason
        settings.own_roles.unlink(missing_ok=True)
    assert isinstance(asked(access, "ines", LOOK), Denied)


def test_nothing_is_passed_that_cannot_be_recorded(access, settings, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(audit, "_append", full)
    found = asked(access, "ines", LAUNCH)
    assert isinstance(found, Denied) and found.status.startswith("503")
    assert isinstance(asked(access, "ines", LOOK), Passed)


@pytest.fixture
def instance(settings, monkeypatch):
    """An instance whose queue records who launched a run."""
    monkeypatch.setenv("JINGXI_HOME", str(settings.home))
    overrides = {
        "run_coordinator": {
            "module": "orchestration.platform.run_queue",
            "class": "SignedInRunCoordinator",
        },
        "concurrency": {"runs": {"max_concurrent_runs": 1}},
    }
    with dg.instance_for_test(overrides=overrides) as made:
        yield made


def submitted(instance, headers, tags):
    @dg.job
    def empty():
        pass

    run = instance.create_run_for_job(empty, tags=tags)
    context = SimpleNamespace(dagster_run=run, get_request_header=headers.get)
    # What is put into the queue is passed to the code location, which is none here.
    object.__setattr__(instance, "report_dagster_event", lambda *_, **__: None)
    instance.run_coordinator.submit_run(context)
    return instance.get_run_by_id(run.run_id)


def test_a_run_has_the_name_of_who_signed_in_whatever_was_asked(instance, monkeypatch):
    assert instance.get_concurrency_config().run_queue_config.max_concurrent_runs == 1
    monkeypatch.setenv("JINGXI_PROXY_SECRET", SECRET)
    headers = {USER_HEADER: "ana", SECRET_HEADER: SECRET}
    run = submitted(instance, headers, {USER_TAG: "somebody else"})
    assert run.tags[USER_TAG] == "ana" and run_queue.launcher(instance, run) == "ana"
    with pytest.raises(SignInRefused):
        submitted(instance, {USER_HEADER: "ana", SECRET_HEADER: "guessed"}, {})


def test_a_run_of_the_daemon_is_the_accounts(instance):
    run = submitted(instance, {}, {USER_TAG: "ana"})
    assert run.tags[USER_TAG] == operating_system_user()


def test_outside_server_mode_the_tag_is_worth_nothing():
    with dg.instance_for_test() as instance:

        @dg.job
        def empty():
            pass

        run = instance.create_run_for_job(empty, tags={USER_TAG: "ana"})
        assert run_queue.launcher(instance, run) is None


def test_acts_of_a_run_are_those_of_who_launched_it(settings):
    with identity.acting_for("ana"):
        assert who(settings).name == "ana" and who(settings).roles == {"approver"}
        with audit.audited(settings, identity.PROMOTE, "model clv version 2"):
            pass
    assert who(settings).name == operating_system_user()
    assert lines(settings) == [("ana", "promote", "model clv version 2", "done")]


def test_a_part_does_not_start_without_what_protects_it(settings, monkeypatch):
    with pytest.raises(server.ServerRefused, match="JINGXI_PROXY_SECRET is missing"):
        server.check(Settings(home=settings.home), "gateway")
    settings.own_roles.unlink()
    with pytest.raises(server.ServerRefused, match="roles.yml is missing"):
        server.check(settings, "gateway")
    with pytest.raises(server.ServerRefused, match="MLFLOW_BACKEND_STORE_URI is missing"):
        server.check(settings, "mlflow")
    for part in ("code", "webserver", "daemon"):
        with pytest.raises(server.ServerRefused, match="dagster.yaml is invalid"):
            server.check(settings, part)
    settings.dagster_home.mkdir()
    content = (PROJECT / "deploy" / "dagster.yaml").read_text()
    (settings.dagster_home / "dagster.yaml").write_text(content)
    server.check(settings, "webserver")


def test_no_command_line_holds_a_secret(settings, monkeypatch):
    monkeypatch.setenv(server.STORE, "postgresql://jingxi:hidden@db/mlflow")
    settings.operations.mkdir()
    for made in server.commands(settings, 3000).values():
        assert "hidden" not in " ".join(made()) and SECRET not in " ".join(made())
