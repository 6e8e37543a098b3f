"""The job's steps: every gate upstream of its layer, and a snapshot of everything defined."""

import json
import os
import re
import shutil
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import dagster as dg
import pytest
from dagster._core.execution.api import create_execution_plan

from orchestration.decisions.assets import PLAN
from orchestration.definitions import build_definitions
from orchestration.models.studies import STUDIES
from orchestration.platform import build_numbers, progress
from orchestration.platform.resources import WAREHOUSE_POOL
from orchestration.platform.runs import REFRESH, TRAIN
from orchestration.platform.settings import read_settings
from orchestration.portal import PAGES
from orchestration.portal.links import SHOWN, VIEWS
from sources.contract import SIGNS

SNAPSHOT = Path(__file__).parent / "snapshots" / "definitions.json"

# What lies behind each gate.
GUARDED = {
    "G1": {"base_layer", "value_layer", "features_layer", "release__published"},
    "G2": {"value_layer", "features_layer", "release__published"},
    "GV": {"features_layer", "models_layer", "release__published"},
    "G3": {
        *("scores_layer", "alerts_layer", "customer_scores_layer", "campaign_inputs"),
        "release__published",
    },
    "G4": {
        *("contacts_layer", "plan_layer", "campaigns_layer", "decisions_layer"),
        "release__published",
    },
    "G5": {"release__published"},
}
# What each gate judges: it must not run before.
JUDGED = {
    "G1": {"landing_layer"},
    "G2": {"base_layer"},
    "GV": {"value_layer"},
    "G3": {"models_layer", "features_layer"},
    "G4": {"scores_layer", "alerts_layer", "customer_scores_layer"},
    "G5": {"contacts_layer", "plan_layer", "campaigns_layer", "decisions_layer"},
}


@pytest.fixture(scope="module")
def definitions(tmp_path_factory, parsed_project):
    home = tmp_path_factory.mktemp("home")
    shutil.copytree(parsed_project, home / "dbt")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JINGXI_HOME", str(home))
        patch.delenv("DAGSTER_HOME", raising=False)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield build_definitions(read_settings())


@pytest.fixture(scope="module")
def upstream(definitions):
    """Step → every step before it."""
    plan = create_execution_plan(definitions.resolve_job_def(REFRESH))
    direct = {step.key: set(step.get_execution_dependency_keys()) for step in plan.steps}

    def before(step):
        found = set(direct[step])
        for other in direct[step]:
            found |= before(other)
        return found

    return {step: before(step) for step in direct}


def test_the_webserver_can_load_the_definitions(definitions):
    """An op and a job of one name pass until the whole repository is resolved."""
    dg.Definitions.validate_loadable(definitions)


@pytest.mark.parametrize("gate", build_numbers.GATES)
def test_a_gate_runs_after_the_steps_it_judges_and_before_those_it_guards(upstream, gate):
    step = f"gate_{gate}"
    assert JUDGED[gate] <= upstream[step]
    for guarded in GUARDED[gate]:
        assert step in upstream[guarded], f"{guarded} does not wait for {gate}"


def test_every_gate_is_blocking_on_every_asset_it_stands_behind(definitions):
    for check in definitions.resolve_all_asset_specs():
        assert check.group_name
    gates = [
        spec
        for checks in definitions.asset_checks
        for spec in checks.check_specs
        if spec.name in build_numbers.GATES
    ]
    assert {spec.name for spec in gates} == set(build_numbers.GATES)
    # What a gate judges of earlier layers stops the gate's own step, and nobody waits for it.
    assert {
        (spec.name, spec.asset_key.to_user_string()) for spec in gates if not spec.blocking
    } == {
        ("G3", "features/customer_month"),
        ("G4", "scores/reason"),
        ("G5", "contacts/candidate"),
        ("G5", "contacts/contactability"),
        *(("G5", key.to_user_string()) for key in PLAN),
    }


@pytest.mark.parametrize("name", STUDIES)
def test_a_model_is_trained_alone_by_its_asset_and_judged_by_its_own_check(definitions, name):
    model = dg.AssetKey(["models", name])
    alone = definitions.resolve_job_def(TRAIN).get_subset(asset_selection={model})
    selected = {
        step.key: set(alone.asset_layer.get_selected_entity_keys_for_node(step.node_handle))
        for step in create_execution_plan(alone).steps
    }
    assert selected == {
        "models_layer": {model},
        "gate_G3": {dg.AssetCheckKey(model, "G3")},
    }


def test_every_step_that_opens_the_warehouse_is_in_its_pool(definitions):
    """The portal alone reads the release."""
    plan = create_execution_plan(definitions.resolve_job_def(REFRESH))
    pools = {step.key: step.pool for step in plan.steps}
    assert pools.pop("portal__site") is None
    assert len(pools) > 18 and set(pools.values()) == {WAREHOUSE_POOL}


def test_a_job_of_one_op_runs_in_the_process_of_its_run_whatever_the_executor(
    definitions, monkeypatch
):
    monkeypatch.setenv("JINGXI_HOME", str(read_settings().home))
    chosen = build_definitions(read_settings(executor="multiprocess"))
    executors = {
        job.name: job.executor_def.name for job in chosen.get_repository_def().get_all_jobs()
    }
    spread = {name for name, executor in executors.items() if executor == "multiprocess"}
    assert spread == {REFRESH, TRAIN, "__ASSET_JOB"}
    assert len(executors) > 10


def test_the_subject_of_every_rule_is_an_asset_of_its_gate(definitions):
    from expectations.suites import (
        base_suite,
        decisions_suite,
        landing_suite,
        models_suite,
        scores_suite,
        value_suite,
    )

    stood_on = {
        (spec.name, ".".join(spec.asset_key.path))
        for checks in definitions.asset_checks
        for spec in checks.check_specs
    }
    made = (base_suite, value_suite, models_suite, decisions_suite)
    judges = [judge for study in STUDIES.values() for judge in study.gate]
    suites = (landing_suite(SIGNS), scores_suite(judges), *(suite() for suite in made))
    named = {
        (one.gate, rule.about or one.profiles[rule.subject].about)
        for one in suites
        for rule in one.rules
    }
    assert all(about for _, about in named)
    assert {one for one in named if "{" not in one[1]} <= stood_on


def test_every_asset_has_owners_a_description_and_kinds(definitions):
    specs = definitions.resolve_all_asset_specs()
    assert not [spec.key for spec in specs if not spec.owners or not spec.description]
    assert not [spec.key for spec in specs if not spec.kinds]
    assert {spec.group_name for spec in specs} == {
        # Steps whose assets are of the groups of others.
        *set(build_numbers.LAYERS) - {"campaign_inputs", "customer_scores", "plan"},
        "outcomes",
        "staging",
        "reference",
        "release",
        "portal",
    }


def test_what_the_ui_lists_begins_with_a_sentence_in_plain_words(definitions):
    """The UI's lists show the beginning. A name of a column or file is no plain word."""
    listed = [
        *((spec.key.to_user_string(), spec) for spec in definitions.resolve_all_asset_specs()),
        *((one.name, one) for one in definitions.jobs),
        *((one.name, one) for one in (*definitions.sensors, *definitions.schedules)),
    ]
    unfit = {}
    for name, one in listed:
        first = re.split(r"(?<=[.;]) ", one.description or "")[0]
        plain = [word for word in first.split() if re.fullmatch("[A-Za-z'-]+[,:;.]?", word)]
        if not (len(first) < 120 and first[:1].isupper() and first[-1] in ".;" and len(plain) > 3):
            unfit[name] = first
        if "```" in one.description or re.search(r"\bselect\b.*\bfrom\b", one.description):
            unfit[name] = "SQL"
    assert unfit == {}


def test_the_sql_of_a_table_stands_apart_from_its_description(definitions):
    specs = {spec.key.to_user_string(): spec for spec in definitions.resolve_all_asset_specs()}
    sql = specs["value/account_month"].metadata["sql"].value
    assert sql.startswith("```sql") and "contribution_margin" in sql
    assert {
        name for name in specs if name.startswith("landing/") and "sql" in specs[name].metadata
    } == set()


def test_every_asset_leads_to_its_page_and_to_what_was_delivered(definitions):
    specs = {
        spec.key.to_user_string(): spec.metadata for spec in definitions.resolve_all_asset_specs()
    }
    files = {page.file for page in PAGES} | {f"models/{name}.html" for name in STUDIES}
    current = "http://127.0.0.1:3002/current/"
    pages = {
        name: links["portal_page"].value.removeprefix(current) for name, links in specs.items()
    }
    assert set(pages.values()) == files
    assert pages["decisions/worklist"] == "lists.html" and pages["landing/card"] == "quality.html"
    assert pages["models/clv"] == "models/clv.html" and pages["scores/clv"] == "customers.html"
    graph = definitions.resolve_asset_graph()
    for name, links in specs.items():
        is_record = name.startswith(("landing/", "reference/"))
        assert ("delivered_tables" in links) == (not is_record), name
        if not is_record:
            behind = parse_qs(urlsplit(links["delivered_tables"].value).query)["asset-selection"]
            selected = dg.AssetSelection.from_string(*behind).resolve(graph)
            assert selected == {
                key for key in upstream_of(graph, name) if key.path[0] == "landing"
            }, name
        if name in SHOWN["models"]:
            assert links["mlflow_model"].value == f"http://127.0.0.1:3001/#/{name}"


def upstream_of(graph, name):
    found, todo = set(), [dg.AssetKey(name.split("/"))]
    while todo:
        new = set(graph.get(todo.pop()).parent_keys) - found
        found |= new
        todo += new
    return found


def test_pages_and_views_name_assets_that_exist(definitions):
    graph = definitions.resolve_asset_graph()
    known = {key.to_user_string() for key in graph.get_all_asset_keys()}
    assert set(SHOWN) == {page.name for page in PAGES}
    assert {asset for assets in SHOWN.values() for asset in assets} <= known
    seen = {
        view.role: {
            key.to_user_string()
            for key in dg.AssetSelection.from_string(view.selection).resolve(graph)
        }
        for view in VIEWS
    }
    for role, (within, beyond) in {
        "engineer": ("base/ledger_reconciliation", "value/account_month"),
        "models": ("outcomes/customer_line", "base/customer"),
        "finance": ("value/profit_by_customer", "scores/customer"),
        "marketing": ("campaigns/measurement", "landing/campaign"),
        "risk": ("alerts/transaction", "models/clv"),
        "manager": ("decisions/contact_plan", "landing/transaction"),
    }.items():
        view = seen.pop(role)
        assert within in view and beyond not in view, role
    assert seen == {}


def test_published_assets_of_a_bank_with_files_are_due_each_month(definitions):
    from orchestration.operations.freshness import with_freshness

    due = [dg.AssetKey(["value", "account_month"]), dg.AssetKey(["release", "published"])]
    files = read_settings().model_copy(update={"source": "files"})
    found = with_freshness(definitions, files, due).resolve_all_asset_specs()
    assert {spec.key for spec in found if spec.freshness_policy is not None} == set(due)
    assert not [spec for spec in definitions.resolve_all_asset_specs() if spec.freshness_policy]


def test_every_asset_can_be_materialized(definitions):
    graph = definitions.resolve_asset_graph()
    assert not [key for key in graph.get_all_asset_keys() if not graph.get(key).is_executable]


def test_no_step_carries_a_check_on_an_asset_of_another_step(definitions):
    """Such a step would be exempt from that asset's blocking checks."""
    for assets in definitions.assets:
        own = set(assets.keys)
        foreign = [str(key) for key in assets.check_keys if key.asset_key not in own]
        assert foreign == []


def test_the_definitions_are_those_of_the_snapshot(definitions):
    """After a wanted change: UPDATE_SNAPSHOTS=1 make test, and read the difference."""
    specs = definitions.resolve_all_asset_specs()
    found = {
        "assets": {
            spec.key.to_user_string(): {
                "group": spec.group_name,
                "monthly": spec.partitions_def is not None,
                "deps": sorted(dep.asset_key.to_user_string() for dep in spec.deps),
            }
            for spec in sorted(specs, key=lambda spec: spec.key)
        },
        "gates": sorted(
            f"{spec.name} {spec.asset_key.to_user_string()}"
            for checks in definitions.asset_checks
            for spec in checks.check_specs
        ),
        "jobs": sorted(job.name for job in definitions.jobs),
        "sensors": sorted(sensor.name for sensor in definitions.sensors),
        "schedules": sorted(schedule.name for schedule in definitions.schedules),
    }
    if os.environ.get("UPDATE_SNAPSHOTS"):
        SNAPSHOT.parent.mkdir(exist_ok=True)
        SNAPSHOT.write_text(json.dumps(found, indent=1) + "\n")
    assert found == json.loads(SNAPSHOT.read_text())


def test_every_step_of_the_refresh_has_a_chinese_name_and_keeps_its_own_in_english(definitions):
    steps = [node.name for node in definitions.resolve_job_def(REFRESH).nodes]
    english = {progress.name_of(step) for step in steps}
    assert {"landing", "gate G3", "customer_scores", "release"} <= english
    with progress.displayed(len(steps), quiet=True, language="zh"):
        chinese = [progress.name_of(step) for step in steps]
    assert [name for name in chinese if not re.search("[\u4e00-\u9fff]", name)] == []
    assert "价值核算" in chinese and len(set(chinese)) == len(english)
