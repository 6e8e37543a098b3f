"""An asset a model: what it reads, and its training alone."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from orchestration.models.assets import MODELS, models_assets
from orchestration.models.context import TrainingContext
from orchestration.models.records import Records
from orchestration.models.studies import STUDIES
from orchestration.models.study import Off
from orchestration.platform import build_numbers
from orchestration.platform.resources import Home
from orchestration.platform.settings import read_settings
from tests.integration.bank import FIRST, LAST

pytestmark = pytest.mark.slow

SCHEMAS = ("landing", "staging", "base", "value", "features", "outcomes", "contacts")
TABLE = re.compile(rf"\b(?:{'|'.join(SCHEMAS)})\.\w+")
CLV = dg.AssetKey(["models", "clv"])


class Recording:
    """A connection that notes the tables its queries name."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._tables = {
            name
            for (name,) in connection.execute(
                "select schema_name || '.' || table_name from duckdb_tables() "
                "union all select schema_name || '.' || view_name from duckdb_views()"
            ).fetchall()
        }
        self.read: set[str] = set()

    def execute(self, query: str, *arguments: Any) -> duckdb.DuckDBPyConnection:
        self.read |= set(TABLE.findall(query)) & self._tables
        return self._connection.execute(query, *arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


@pytest.mark.parametrize("name", STUDIES)
def test_a_model_depends_on_the_tables_that_its_study_reads(whole: Path, name: str) -> None:
    context = TrainingContext(
        first_month=FIRST,
        as_of=LAST,
        seed=1,
        mode="auto",
        source="made up",
        tracking_uri="",
        artifact_root="",
        run_id="run",
        code_version="",
        promotion="auto",
        trainer="Ana Lima",
    )
    with duckdb.connect(str(whole), read_only=True) as connection:
        recording: Any = Recording(connection)
        study = STUDIES[name].study(Records(recording, context))
        if not isinstance(study, Off):
            study.read()
            study.newest()
    # Training compares groups by sex, which is not a feature.
    assert recording.read | {"base.customer"} == set(STUDIES[name].reads)


@pytest.fixture
def home(
    tmp_path: Path, whole: Path, model_store: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Home]:
    """A home whose layers up to the features are built, with a history of one month: no model is
    on, so that nothing is fitted."""
    monkeypatch.setenv("JINGXI_HOME", str(tmp_path))
    settings = read_settings()
    settings.warehouse.parent.mkdir()
    shutil.copy(whole, settings.warehouse)
    settings.mlflow_home.mkdir()
    shutil.copy(model_store, settings.mlflow_home / "mlflow.db")
    with duckdb.connect(str(settings.warehouse)) as connection:
        connection.execute(
            "create schema if not exists meta;"
            "create or replace table meta.bank as select 'made up' as identity;"
            "create table meta.gate_result "
            "(gate varchar, build_number bigint, success boolean, severity varchar)"
        )
        connection.execute(
            "update landing.refresh_window set first_month = ?", [date(LAST.year, LAST.month, 1)]
        )
        for layer in build_numbers.LAYERS[: build_numbers.LAYERS.index("models")]:
            number = build_numbers.begin(connection, layer, "run")
            build_numbers.finish(connection, layer)
            for gate, judged in build_numbers.GATES.items():
                if judged[-1] == layer:
                    connection.execute(
                        "insert into meta.gate_result values (?, ?, true, 'fail')", [gate, number]
                    )
    yield Home()


def train(home: Home, *selected: dg.AssetKey) -> set[dg.AssetKey]:
    """Materialise the models selected; returns those that were."""
    result = dg.materialize([models_assets()], selection=list(selected), resources={"home": home})
    return {event.asset_key for event in result.get_asset_materialization_events()}


def found(home: Home, query: str) -> list[Any]:
    with home.warehouse() as connection:
        return connection.execute(query).fetchall()


def complaints(home: Home) -> list[str]:
    with home.warehouse() as connection:
        return build_numbers.complaints(connection, "models")


def test_a_model_selected_alone_is_trained_alone(home: Home) -> None:
    assert train(home, CLV) == {CLV}
    assert found(home, "select model_name from meta.model_version") == [("clv",)]
    # A layer whose other models were never trained is not built upon.
    assert "layer models/attrition is not built" in complaints(home)
    assert "layer models/clv is not built" not in complaints(home)

    assert train(home, *MODELS) == set(MODELS)
    assert complaints(home) == ["gate G3 has not checked layer models"]
    numbers = "select layer, build_number from meta.layer_build where layer like 'models/%'"
    before = dict(found(home, numbers))
    assert train(home, CLV) == {CLV}
    after = dict(found(home, numbers))
    assert {layer for layer in after if after[layer] != before[layer]} == {"models/clv"}
    with home.warehouse() as connection:
        assert build_numbers.judged_by(connection, "G3") == after["models/clv"]


def test_models_older_than_the_features_are_reported(home: Home) -> None:
    train(home, *MODELS)
    with home.warehouse() as connection:
        build_numbers.begin(connection, "features", "a later run")
        build_numbers.finish(connection, "features")
    train(home, CLV)
    older = [line for line in complaints(home) if "is older than layer features" in line]
    assert {line.split()[1] for line in older} == {
        f"models/{name}" for name in STUDIES if name != "clv"
    }


def test_a_build_record_without_model_parts_is_replaced(home: Home) -> None:
    with home.warehouse() as connection:
        build_numbers.begin(connection, "models", "an earlier version")
        build_numbers.finish(connection, "models")
        assert build_numbers.complaints(connection, "models") == [
            "gate G3 has not checked layer models"
        ]
    train(home, *MODELS)
    assert found(home, "select count(*) from meta.layer_build where layer = 'models'") == [(0,)]
