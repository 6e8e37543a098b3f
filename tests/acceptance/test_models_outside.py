"""Registered models used with MLflow and the release alone, without this project."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import mlflow
import numpy as np
import pandas as pd
import pytest

from ml.hazard import DiscreteTimeHazard
from ml.registry import (
    CHAMPION,
    DATA_DIGEST,
    DIGEST_LENGTH,
    LEARNER,
    Candidate,
    Registry,
    Version,
)
from ml.response import ProductValueModel, UpliftModel
from ml.serving import P_RESPONSE, answer_of, scores
from orchestration.models.datasets import features_of
from orchestration.models.studies import STUDIES
from orchestration.platform.model_store import settle_in
from orchestration.platform.settings import Settings
from tests.conftest import PROJECT
from tests.ports import free_ports

pytestmark = [pytest.mark.slow, pytest.mark.long]

PERIODS = 6
KEYS = ["customer_id", "product_id"]
# Rounded to the cent where it is published.
CENT = 0.005

# The example of the documents, and what runs it for each model asked for.
DEFINED, PRINTED = re.findall(
    r"```python\n(.*?)```", (PROJECT / "docs" / "models.md").read_text(encoding="utf-8"), re.DOTALL
)
BEFORE = """
import importlib.util
for name in ("ml", "orchestration", "sources", "expectations", "benchmarks"):
    assert importlib.util.find_spec(name) is None, name
"""
AFTER = """
import json, sys

release, into, *asked = sys.argv[1:]
for place, name in enumerate(asked):
    model = mlflow.pyfunc.load_model(f"models:/{name}")
    score(model, release).to_csv(f"{into}/{place}.csv", index=False)
    answer = model.predict(model.input_example).to_dict("list")
    with open(f"{into}/{place}.json", "w") as file:
        json.dump({"code": sys.modules["ml"].__file__, "answer": answer}, file)
"""


@dataclass(frozen=True)
class Answers:
    """A model's answers outside the project: to the published rows and its example; its code."""

    rows: pd.DataFrame
    answer: dict[str, list[Any]]
    code: Path


@dataclass(frozen=True)
class Outside:
    """An environment with the packages that the models name, in a folder that holds no project."""

    folder: Path

    @property
    def bin(self) -> Path:
        return self.folder / "environment" / "bin"

    def settings(self, home: Path) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("JINGXI_", "MLFLOW_", "PYTHON", "VIRTUAL_ENV"))
        }
        return {
            **kept,
            "PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}",
            "JINGXI_HOME": str(home),
            "MLFLOW_TRACKING_URI": f"sqlite:///{home}/mlflow/mlflow.db",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }

    def run(self, home: Path, *arguments: str) -> str:
        result = subprocess.run(
            [str(self.bin / "python"), *arguments],
            cwd=self.folder,
            env=self.settings(home),
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    def scored(self, home: Path, into: str, *asked: str) -> dict[str, Answers]:
        """The answers of each model (`clv@champion`, `clv/1`), by the example of the documents."""
        script, folder = self.folder / "example.py", self.folder / into
        script.write_text("\n".join((BEFORE, DEFINED, PRINTED, AFTER)), encoding="utf-8")
        folder.mkdir()
        printed = self.run(home, str(script), str(served(home)), str(folder), *asked)
        found = {}
        for place, name in enumerate(asked):
            rows = pd.read_csv(folder / f"{place}.csv", dtype=dict.fromkeys(KEYS, str))
            actual = json.loads((folder / f"{place}.json").read_text())
            found[name] = Answers(rows, actual["answer"], Path(actual["code"]))
        best = found["clv@champion"].rows.nlargest(1, "clv_12m")["customer_id"].item()
        assert best in printed
        return found


def served(home: Path) -> Path:
    return home / "published" / "current.duckdb"


def store_of(home: Path) -> Registry:
    return Registry(f"sqlite:///{home}/mlflow/mlflow.db", str(home / "mlflow" / "artifacts"))


def query(home: Path, sql: str) -> pd.DataFrame:
    with duckdb.connect(str(served(home)), read_only=True) as connection:
        return connection.execute(sql).df()


@pytest.fixture(scope="module")
def home(small_bank) -> Iterator[Path]:
    home = small_bank / "copy"
    settle_in(Settings(home=home))
    yield home
    mlflow.set_tracking_uri(None)
    mlflow.set_registry_uri(None)


def rows_of_offers(home: Path) -> pd.DataFrame:
    """Each published customer with each offer, and the response released for both."""
    customers = query(home, "from features.customer_month order by customer_id")
    offers = query(home, "from features.offer order by product_id")
    response = query(home, f"select customer_id, product_id, {P_RESPONSE} from scores.offer")
    return customers.merge(offers, how="cross").merge(response, on=KEYS)


def fitted(name: str, frame: pd.DataFrame) -> Any:
    """A learner of a model that so small a bank has no events for, whatever it learns."""
    generator = np.random.default_rng(3)
    happened, n = generator.random(len(frame)) < 0.4, len(frame)
    if name == "uplift":
        model = UpliftModel(trees=3, folds=2, least_contacts=20, least_responses=5)
        return model.fit(frame, happened.astype(int), np.arange(n) % 2, np.full(n, 0.5))
    if name == "product_value":
        return ProductValueModel().fit(frame, generator.lognormal(4, 1, n))
    time = np.where(happened, generator.integers(1, PERIODS + 1, n), PERIODS)
    return DiscreteTimeHazard(periods=PERIODS, trees=5).fit(frame, time, happened)


@pytest.fixture(scope="module")
def registry(home) -> Registry:
    """The home's, with one version more of each model that the bank is too small for."""
    registry, rows = store_of(home), rows_of_offers(home)
    customers = query(home, "from features.customer_month")
    for name in sorted(set(STUDIES) - set(registry.models())):
        frame = customers if STUDIES[name].scores == "customer" else rows
        known = frame.drop(columns=["month", "product_id", P_RESPONSE], errors="ignore")
        model = fitted(name, features_of(known))
        registry.register(
            Candidate(name, model, model, LEARNER, {}, {}, {}, example=frame.head(50))
        )
    return registry


@pytest.fixture(scope="module")
def champions(registry) -> dict[str, Version]:
    found = {name: registry.champion(name) for name in registry.models()}
    return {name: version for name, version in found.items() if version is not None}


@pytest.fixture(scope="module")
def pins(champions) -> dict[str, list[str]]:
    """The requirements of each champion, as MLflow's client finds them."""
    return {
        name: Path(mlflow.pyfunc.get_model_dependencies(f"models:/{name}@champion"))
        .read_text()
        .split()
        for name in champions
    }


@pytest.fixture(scope="module")
def outside(home, pins, tmp_path_factory) -> Outside:
    place = Outside(tmp_path_factory.mktemp("outside"))
    made = [sys.executable, "-m", "venv", str(place.bin.parent)]
    subprocess.run(made, check=True, timeout=120)
    wanted = sorted({pin for named in pins.values() for pin in named})
    # What the example reads a release with is the reader's own.
    wanted.append(f"duckdb=={installed('duckdb')}")
    place.run(home, "-m", "pip", "install", "--quiet", "--no-compile", *wanted)
    return place


@pytest.fixture(scope="module")
def answers(outside, home, registry, champions) -> dict[str, Answers]:
    """The answers of every champion and every registered version in that environment."""
    versions = [f"{name}/{one.version}" for name in STUDIES for one in registry.versions(name)]
    return outside.scored(home, "answers", *(f"{name}@champion" for name in champions), *versions)


def test_every_champion_gives_the_released_scores(home, champions, answers):
    switched_on = query(home, "from meta.model_version where version is not null")
    assert sorted(champions) == sorted(switched_on["model_name"])
    for name in champions:
        rows = answers[f"{name}@{CHAMPION}"].rows
        keys = [key for key in KEYS if key in rows]
        table = "scores.offer" if "product_id" in keys else "scores.customer"
        released = query(home, f"from {table}")
        both = released.merge(rows, on=keys, suffixes=("", "_outside"), validate="1:1")
        assert len(both) == len(released) == len(rows) > 0, name
        kinds = query(home, f"describe {table}").set_index("column_name")["column_type"]
        for column in answer_of(name).columns:
            expected, actual = both[column], both[f"{column}_outside"]
            assert expected.notna().any(), column
            if kinds[column] == "VARCHAR":
                assert actual.fillna("").tolist() == expected.fillna("").tolist(), column
            else:
                within = 1e-9 + (CENT if kinds[column].startswith("DECIMAL") else 0)
                np.testing.assert_allclose(
                    actual.astype(float),
                    expected.astype(float),
                    rtol=0,
                    atol=within,
                    err_msg=column,
                )


def test_every_registered_version_gives_the_same_scores_outside_as_in_the_project(
    home, registry, answers
):
    """Learners that no release has scored with too: one at least of every model."""
    rows, learners = rows_of_offers(home), set()
    for name in STUDIES:
        for version in registry.versions(name):
            actual = answers[f"{name}/{version.version}"].rows
            keys = [key for key in KEYS if key in actual]
            asked = rows.drop_duplicates(keys, ignore_index=True)
            expected = asked[keys].join(scores(name, registry.load(version), asked))
            assert expected.drop(columns=keys).notna().any(axis=None)
            pd.testing.assert_frame_equal(
                actual.sort_values(keys, ignore_index=True),
                expected.sort_values(keys, ignore_index=True),
                check_dtype=False,
                rtol=0,
                atol=1e-9,
                obj=f"{name} version {version.version}",
            )
            learners |= {name} if version.kind == LEARNER else set()
    assert learners == set(STUDIES)


def test_predictions_use_the_code_stored_with_the_model(home, answers):
    for name, one in answers.items():
        assert one.code.is_relative_to(home / "mlflow" / "artifacts"), name


def test_every_model_is_described_for_a_client_of_mlflow(home, registry, champions, pins):
    published = {
        *query(home, "from features.customer_month limit 0"),
        *query(home, "from features.offer limit 0"),
        P_RESPONSE,
    }
    client = mlflow.MlflowClient()
    for name, champion in champions.items():
        info = mlflow.models.get_model_info(f"models:/{name}@champion")
        assert set(info.signature.inputs.input_names()) <= published, name
        assert info.signature.outputs.input_names() == list(answer_of(name).columns)
        assert info.saved_input_example_info is not None
        assert all(re.fullmatch(r"[\w-]+==[\w.]+", pin) for pin in pins[name]), pins[name]
        assert client.get_registered_model(name).description
        run = client.get_run(champion.run_id)
        assert run.info.run_name.startswith(f"{name} ")
        assert run.data.tags["mlflow.note.content"]
        (data,) = run.inputs.dataset_inputs
        assert data.dataset.digest == champion.tags[DATA_DIGEST][:DIGEST_LENGTH]
        version = client.get_model_version(name, champion.version)
        assert version.description
        assert version.tags.items() >= {"kind": champion.kind}.items()


def test_the_asset_of_every_model_links_to_its_run(home, champions, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", str(home / "dagster"))
    with dg.DagsterInstance.get() as instance:
        for name, champion in champions.items():
            event = instance.get_latest_materialization_event(dg.AssetKey(["models", name]))
            assert event is not None and event.asset_materialization is not None
            link = event.asset_materialization.metadata["mlflow_run"].value
            assert str(link).endswith(f"/runs/{champion.run_id}"), name


@pytest.fixture
def answering(outside, home) -> Iterator[str]:
    """The address of `mlflow models serve` for the champion of `clv`."""
    port = free_ports()
    log = outside.folder / "serve.log"
    with log.open("w") as file:
        process = subprocess.Popen(
            [
                *(str(outside.bin / "mlflow"), "models", "serve", "-m", "models:/clv@champion"),
                *("--env-manager", "local", "--port", str(port)),
            ],
            cwd=outside.folder,
            env=outside.settings(home),
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    address, last = f"http://127.0.0.1:{port}", time.monotonic() + 120
    try:
        while True:
            assert process.poll() is None and time.monotonic() < last, log.read_text()
            try:
                urllib.request.urlopen(f"{address}/ping", timeout=5).close()
                break
            except OSError:
                time.sleep(0.2)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def test_mlflow_serves_a_model_with_the_same_scores(answering, home, answers):
    def asked(body: bytes) -> pd.DataFrame:
        request = urllib.request.Request(
            f"{answering}/invocations", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            return pd.DataFrame(json.load(response)["predictions"])

    info = mlflow.models.get_model_info("models:/clv@champion")
    example = mlflow.artifacts.download_artifacts(
        f"{info.artifact_path}/serving_input_example.json"
    )
    known = answers["clv@champion"]
    pd.testing.assert_frame_equal(
        asked(Path(example).read_bytes()), pd.DataFrame(known.answer), rtol=0, atol=1e-9
    )
    columns = ", ".join(f'"{name}"' for name in info.signature.inputs.input_names())
    rows = query(home, f"select {columns} from features.customer_month order by customer_id")
    body = (
        f'{{"dataframe_split": {rows.to_json(orient="split", index=False, double_precision=15)}}}'
    )
    expected = known.rows.sort_values("customer_id", ignore_index=True)
    pd.testing.assert_frame_equal(
        asked(body.encode()), expected.drop(columns="customer_id"), rtol=0, atol=1e-9
    )


def test_a_copied_home_answers_from_its_own_files(
    outside, home, champions, answers, tmp_path, command
):
    copied, away = tmp_path / "copied home", home.with_name("away")
    shutil.copytree(home, copied, symlinks=True)
    home.rename(away)
    try:
        customer = answers["clv@champion"].rows["customer_id"][0]
        result = command(copied, "customer", "--id", str(customer))
        assert result.returncode == 0, result.stdout + result.stderr
        asked = [f"{name}@{CHAMPION}" for name in champions]
        again = outside.scored(copied, "copied", *asked)
    finally:
        away.rename(home)
    for name in asked:
        pd.testing.assert_frame_equal(again[name].rows, answers[name].rows)
        assert again[name].code.is_relative_to(copied / "mlflow" / "artifacts"), name
