"""The dbt manifest: layers read forwards, tests stay in their layer, everything is documented."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestration.landing.changes import UNDATED
from orchestration.platform.dbt import PARSE_LOG, TRANSLATION, LayerTranslator
from sources.contract import BY_NAME

LAYERS = (
    *("staging", "base", "value", "outcomes", "features", "scores", "alerts", "contacts"),
    *("campaigns", "decisions"),
)
# Layers that are built in the step of another.
STEP = {
    "outcomes": "features",
    "scores": "customer_scores",
    "alerts": "features",
    "campaigns": "contacts",
}
# Prices are decisions that are built in the step of value; credit alerts follow from scores.
STEP_OF_FOLDER = {"decisions/pricing": "value", "alerts/credit": "customer_scores"}
# Each rule of money or of contacts in them has a unit test.
OF_MONEY = ("value", "outcomes", "decisions", "scores", "alerts", "contacts", "campaigns")
# What a layer may read besides itself.
READS = {
    "staging": {"landing"},
    "base": {"staging", "reference"},
    "value": {"base", "reference"},
    "outcomes": {"base", "value"},
    # The rows that have features are those whose outcomes are learned from; no figure is read.
    "features": {"base", "value", "outcomes"},
    # Only the bookings identify a counterparty.
    "scores": {"base", "features"},
    "alerts": {"staging", "base", "value", "scores"},
    "contacts": {"base", "value", "scores", "alerts", "reference"},
    "decisions": {"base", "value", "scores", "alerts", "contacts"},
    # Plans of earlier releases, and predictions of models.
    "campaigns": {"base", "value", "decisions", "models"},
}
# The one read of what a later stage makes: expected loss takes the probabilities of default that
# earlier refreshes scored. Scores follow value, so that value never reads those of its own refresh.
OF_EARLIER_REFRESHES = {("value_credit_risk", "source.jingxi.scores.account_default")}
# The grid shows where districts lie, which no table of base holds; prices read the tiers' bounds.
NOT_OF_A_LAYER_READ = {
    ("decisions_grid", "model.jingxi.stg_district"),
    ("decisions_price_floor", "seed.jingxi.tier_scheme"),
}
IDENTITY = {
    column.name for table in BY_NAME.values() for column in table.columns if column.personal
}
# What describes the person behind the customer, as delivered; ids of places and people included.
PROFILE = {
    *("birth_date", "sex", "district_id", "household_id"),
    *(column.name for column in BY_NAME["customer"].attributes),
}
NEVER_A_FEATURE = IDENTITY | {"sex", "birth_date", "district_id", "household_id", "employee_id"}


@pytest.fixture(scope="module")
def manifest(parsed_project: Path) -> dict[str, Any]:
    return json.loads((parsed_project / "manifest.json").read_text())


@pytest.fixture(scope="module")
def models(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    found = [node for node in manifest["nodes"].values() if node["resource_type"] == "model"]
    assert len(found) > 30
    return found


def layer_of(manifest: dict[str, Any], unique_id: str) -> str:
    if unique_id.startswith("source."):
        return str(manifest["sources"][unique_id]["schema"])
    return str(manifest["nodes"][unique_id]["schema"])


def test_the_project_parses_without_a_warning(parsed_project):
    log = (parsed_project / PARSE_LOG).read_text()
    assert "Running with dbt" in log
    assert "WARN" not in log.upper(), log


def test_each_layer_reads_only_earlier_layers(manifest, models):
    wrong = [
        (model["name"], read)
        for model in models
        for read in model["depends_on"]["nodes"]
        if layer_of(manifest, read) not in READS[model["schema"]] | {model["schema"]}
    ]
    assert set(wrong) == OF_EARLIER_REFRESHES | NOT_OF_A_LAYER_READ


def test_no_step_waits_for_tables_of_earlier_refreshes(manifest, models):
    translator = LayerTranslator(settings=TRANSLATION)
    left = {source for _, source in OF_EARLIER_REFRESHES}
    assert left == {
        unique_id
        for unique_id, source in manifest["sources"].items()
        if source["config"]["meta"].get("of_earlier_refreshes")
    }
    for model in models:
        spec = translator.get_asset_spec(manifest, model["unique_id"], None)
        reads = set(model["depends_on"]["nodes"])
        waits = {dep.asset_key.to_user_string() for dep in spec.deps}
        if model["schema"] not in ("contacts", "decisions", "scores", "alerts"):
            assert not any(key.startswith("scores/") for key in waits), model["name"]
        assert len(waits) == len(reads - left), model["name"]


def test_staging_models_do_not_read_each_other(manifest, models):
    for model in models:
        if model["schema"] == "staging":
            assert {layer_of(manifest, read) for read in model["depends_on"]["nodes"]} == {
                "landing"
            }


def test_every_contract_table_is_staged_under_its_own_name(models):
    staged = {model["name"] for model in models if model["schema"] == "staging"}
    assert staged == {f"stg_{name}" for name in BY_NAME} | {"stg_refresh_window"}


def test_no_table_built_by_month_reads_a_master_that_is_filed_under_no_month(manifest, models):
    """A change of such a master rebuilds no month: see `orchestration/landing/changes.py`."""
    read: set[str] = set()
    waiting = [model["unique_id"] for model in models if materialized(model) == "incremental"]
    while waiting:
        one = waiting.pop()
        if one not in read:
            read.add(one)
            waiting += manifest["nodes"].get(one, {}).get("depends_on", {}).get("nodes", [])
    landed = {one.split(".")[-1] for one in read if one.startswith("source.jingxi.landing.")}
    assert {"transaction", "account", "customer", "loan", "contact"} <= landed
    assert landed & set(UNDATED) == set()


def materialized(model: dict[str, Any]) -> str:
    return str(model["config"]["materialized"])


def step_of(model: dict[str, Any]) -> str:
    schema = str(model["schema"])
    return STEP_OF_FOLDER.get(str(Path(model["path"]).parent), STEP.get(schema, schema))


def test_a_model_has_exactly_the_tag_of_its_step_and_the_folder_of_its_layer(models):
    for model in models:
        assert model["schema"] in LAYERS
        assert model["tags"] == [step_of(model)], model["name"]
        assert model["path"].split("/")[0] == model["schema"]


def test_a_table_is_named_by_its_layer_and_its_alias(models):
    relations = [(model["schema"], model["alias"]) for model in models]
    assert len(set(relations)) == len(relations)
    assert ("base", "account_month") in relations
    assert ("value", "account_month") in relations


def test_a_dbt_test_touches_models_of_the_one_layer_whose_step_runs_it(manifest):
    """A step with a check on an earlier layer's asset would not wait for that layer's gate."""
    tests = [node for node in manifest["nodes"].values() if node["resource_type"] == "test"]
    assert tests
    for test in tests:
        touched = {layer_of(manifest, unique_id) for unique_id in test["depends_on"]["nodes"]}
        layers = touched - {"reference"}
        assert len(layers) == 1, (test["name"], touched)
        steps = {
            step_of(manifest["nodes"][unique_id])
            for unique_id in test["depends_on"]["nodes"]
            if layer_of(manifest, unique_id) in layers
        }
        assert set(test["tags"]) & {*LAYERS, *STEP.values()} == steps, (test["name"], test["tags"])


def test_no_dbt_test_sits_on_a_source(manifest):
    tests = [node for node in manifest["nodes"].values() if node["resource_type"] == "test"]
    assert not [
        test["name"]
        for test in tests
        if any(unique_id.startswith("source.") for unique_id in test["depends_on"]["nodes"])
    ]


def test_a_seed_belongs_to_the_step_that_reads_it(manifest, models):
    for unique_id, seed in manifest["nodes"].items():
        if seed["resource_type"] != "seed":
            continue
        readers = {step_of(model) for model in models if unique_id in model["depends_on"]["nodes"]}
        if seed["path"].startswith("vocabulary/"):
            # Models read macros written from these; a test of the value layer compares the two.
            assert not readers, seed["name"]
            readers = {"value"}
        assert seed["tags"] == sorted(readers), seed["name"]
        assert seed["schema"] == "reference"
        assert seed["description"]


def test_every_model_states_its_grain_owner_and_readers(models):
    for model in models:
        meta = model["config"]["meta"]
        assert model["description"].strip(), model["name"]
        assert meta.get("owner"), model["name"]
        assert meta.get("read_by"), model["name"]
        grain = meta.get("grain")
        assert grain, model["name"]
        assert grain == ["one row"] or set(grain) <= set(model["columns"]), model["name"]


def test_every_column_is_described_and_typed(models):
    for model in models:
        assert model["columns"], model["name"]
        for name, column in model["columns"].items():
            assert column["description"].strip(), f"{model['name']}.{name}"
            assert column["data_type"], f"{model['name']}.{name}"


def test_one_yml_beside_each_model(models):
    for model in models:
        sql = Path(model["original_file_path"])
        assert model["patch_path"].split("://")[1] == str(sql.with_suffix(".yml"))


def test_contracts_are_enforced_after_staging(models):
    for model in models:
        assert model["config"]["contract"]["enforced"] is (model["schema"] != "staging")


def test_the_grain_of_every_table_is_tested(manifest, models):
    tested = {
        test["attached_node"]: test["test_metadata"]["kwargs"]["columns"]
        for test in manifest["nodes"].values()
        if test["resource_type"] == "test"
        and (test.get("test_metadata") or {}).get("name") == "one_row_per"
    }
    for model in models:
        grain = model["config"]["meta"]["grain"]
        if model["schema"] != "staging" and grain != ["one row"]:
            assert tested[model["unique_id"]] == grain, model["name"]


def test_identities_reach_no_model_and_profiles_are_tagged(models):
    tagged = 0
    for model in models:
        assert not IDENTITY & set(model["columns"]), model["name"]
        for name in PROFILE & set(model["columns"]):
            # A branch has a district too: only a customer's describes a person.
            if "customer" in model["name"]:
                assert "personal" in model["columns"][name]["tags"], f"{model['name']}.{name}"
                tagged += 1
    assert tagged >= 2 * len(PROFILE)


def test_features_reveal_neither_identity_nor_sex(models):
    features = [model for model in models if model["schema"] == "features"]
    assert features
    for model in features:
        assert not NEVER_A_FEATURE & set(model["columns"])


def test_every_money_rule_has_a_unit_test(manifest, models):
    tested = {test["model"] for test in manifest["unit_tests"].values()}
    assert tested >= {
        "base_account_activity",
        "base_account_month",
        "base_opening_balance",
        "base_ledger_reconciliation",
        *(
            model["name"]
            for model in models
            if model["schema"] in OF_MONEY
            # Reads two tables account_month, which a unit test cannot distinguish.
            and model["name"] != "alerts_loan"
        ),
    }


def test_models_and_the_release_are_exposures(manifest):
    exposed = {exposure["name"] for exposure in manifest["exposures"].values()}
    assert exposed == {
        *("clv_model", "response_model", "uplift_model", "product_value_model"),
        *("alerts", "contact_plan", "release"),
    }


def test_freshness_of_bookings_warns_and_never_fails(manifest):
    transaction = manifest["sources"]["source.jingxi.landing.transaction"]
    assert transaction["freshness"]["warn_after"]["count"] > 0
    assert not transaction["freshness"]["error_after"]["count"]
