"""The registry on a real store: what is logged, who is champion, and what may not be loaded."""

from __future__ import annotations

import pickle
import shutil
import sqlite3
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import skops.io
import yaml
from mlflow.exceptions import MlflowException
from sklearn.base import BaseEstimator
from threadpoolctl import threadpool_limits

from ml.clv.model import LAST_PERIOD, PACE, LastPeriodAgain, TwoPartRegressor
from ml.evaluation.metrics import decile_table
from ml.evaluation.plots import calibration_figure, gains_figure
from ml.registry import (
    CHALLENGER,
    LEARNER,
    RULE,
    TRUSTED_TYPES,
    TWIN,
    Candidate,
    ChampionUnusable,
    Registry,
    Version,
    listed,
)
from ml.response.model import OFFER, OfferBaseRate, ResponseModel

awakened: list[str] = []


def awake(where: str) -> None:
    awakened.append(where)


class Stranger(BaseEstimator):
    """A type that no model file may hold; says when it is brought to life from one."""

    def __init__(self) -> None:
        self.memory = "kept"

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        return np.zeros(len(frame))

    def __setstate__(self, state: dict[str, Any]) -> None:
        awake("from a file")
        super().__setstate__(state)


class Store:
    """A registry of its own on disk, with the client to look into it."""

    def __init__(self, folder: Path) -> None:
        self.artifacts = folder / "artifacts"
        self.uri = f"sqlite:///{folder / 'mlflow.db'}"
        self.registry = Registry(self.uri, str(self.artifacts))
        self.client = mlflow.MlflowClient(self.uri, self.uri)

    def again(self) -> Registry:
        return Registry(self.uri, str(self.artifacts))

    def folder(self, version: Version) -> Path:
        """Where the files of a version's model lie."""
        source = str(self.client.get_model_version(version.name, version.version).source)
        return self.artifacts / version.name / "models" / Path(source).name / "artifacts"

    def twin(self, version: Version) -> Path:
        return Path(self.client.get_run(version.run_id).info.artifact_uri) / TWIN

    def challenger(self, name: str) -> str:
        return str(self.client.get_model_version_by_alias(name, CHALLENGER).version)


def customers(n: int, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    generator = np.random.default_rng(seed)
    pace = generator.lognormal(5, 1, n)
    frame = pd.DataFrame(
        {
            "products": generator.integers(1, 6, n),
            "segment": generator.choice(["retail", "private"], n),
            LAST_PERIOD: pace,
            PACE: pace,
        }
    )
    grown = pace * np.where(frame["segment"] == "private", 1.3, 0.9)
    return frame, np.where(generator.random(n) < 0.8, grown, 0.0)


def contacts(n: int, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    generator = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {"age": generator.uniform(20, 80, n), OFFER: generator.choice(["card", "fund"], n)}
    )
    return frame, (generator.random(n) < frame["age"].to_numpy() / 200).astype(int)


FRAME, Y = customers(600, seed=1)
LATER, LATER_Y = customers(300, seed=2)
CONTACTS, RESPONSES = contacts(1000, seed=3)
PARAMETERS = {"trees": 5, "training_cutoffs": listed(["2023-03", "2023-06"])}
METRICS = {"gini": 0.625, "gini_low": 0.5}
TAGS = {"source": "synthetic", "trained_as_of": "2025-12-31"}


def learner(seed: int, trees: int = 5) -> TwoPartRegressor:
    return TwoPartRegressor(seed=seed, trees=trees).fit(FRAME, Y).calibrate(LATER, LATER_Y)


def clv(name: str, model: Any, twin: Any, kind: str = LEARNER, **logged: Any) -> Candidate:
    return Candidate(name, model, twin, kind, PARAMETERS, METRICS, TAGS, LATER.head(20), **logged)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    # On cores shared with others, threads that wait for one another cost such small fits seconds.
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("mlflow"))


@pytest.fixture(scope="module")
def candidate() -> Candidate:
    predicted = LATER[PACE].to_numpy()
    return clv(
        "clv",
        learner(seed=1),
        learner(seed=2, trees=4),
        figures={
            "calibration": calibration_figure(LATER_Y, predicted, "CZK"),
            "gains": gains_figure(LATER_Y, {"model": predicted}),
        },
        tables={"deciles": decile_table(LATER_Y, predicted)},
    )


@pytest.fixture(scope="module")
def champion(store: Store, candidate: Candidate) -> Version:
    version = store.registry.register(candidate)
    store.registry.promote(version)
    return version


def test_nobody_is_champion_before_a_promotion(store):
    assert store.registry.champion("newcomer") is None
    rule = LastPeriodAgain().fit(FRAME, Y)
    store.registry.register(clv("newcomer", rule, rule))
    assert store.registry.champion("newcomer") is None
    with pytest.raises(ChampionUnusable, match="model newcomer.*TRAIN=always"):
        store.registry.load_champion("newcomer")


def test_the_promoted_version_is_the_champion_with_all_that_was_said_of_it(store, champion):
    found = store.registry.champion("clv")
    assert found == champion
    assert (found.name, found.version, found.kind) == ("clv", "1", LEARNER)
    assert TAGS.items() <= found.tags.items()
    assert store.again().champion("clv") == champion


def test_the_champion_predicts_as_the_model_that_was_registered(store, champion, candidate):
    loaded = store.again().load_champion("clv")
    assert isinstance(loaded, TwoPartRegressor)
    np.testing.assert_array_equal(
        loaded.predict_interval(LATER), candidate.model.predict_interval(LATER)
    )
    assert loaded.get_params() == candidate.model.get_params()


def test_the_twin_predicts_as_the_twin_that_was_registered(store, champion, candidate):
    found = store.again().champion("clv")
    loaded = store.registry.load_twin(found)
    np.testing.assert_array_equal(loaded.predict(LATER), candidate.twin.predict(LATER))
    assert (loaded.predict(LATER) != candidate.model.predict(LATER)).any()


@pytest.mark.parametrize(
    ("model", "frame", "y"),
    [
        (LastPeriodAgain(), FRAME, Y),
        (OfferBaseRate(), CONTACTS, RESPONSES),
        (ResponseModel(trees=5), CONTACTS, RESPONSES),
    ],
    ids=["last period again", "base rate", "response model"],
)
def test_every_kind_of_model_comes_back_as_it_was(store, model, frame, y):
    fitted = model.fit(frame, y)
    name = type(model).__name__
    version = store.registry.register(
        Candidate(name, fitted, fitted, RULE, {}, {}, {}, frame.head(20))
    )
    store.registry.promote(version)
    loaded = store.registry.load_champion(name)
    np.testing.assert_array_equal(loaded.predict(frame), fitted.predict(frame))
    assert store.registry.champion(name).kind == RULE


def test_a_new_learner_is_the_challenger_and_champion_only_once_promoted(store):
    models = [learner(seed, trees=2 + seed) for seed in (1, 2)]
    first, second = (store.registry.register(clv("race", model, model)) for model in models)
    store.registry.promote(first)
    assert (first.version, second.version) == ("1", "2")
    assert store.challenger("race") == "2"
    assert store.registry.champion("race") == first
    for version, model in ((second, models[1]), (first, models[0])):
        store.registry.promote(version)
        assert store.registry.champion("race") == version
        np.testing.assert_array_equal(
            store.registry.load_champion("race").predict(LATER), model.predict(LATER)
        )


def test_the_run_holds_parameters_metrics_tags_figures_and_tables(store, champion, candidate):
    run = store.client.get_run(champion.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params == {name: str(value) for name, value in PARAMETERS.items()}
    assert METRICS.items() <= run.data.metrics.items()
    assert TAGS.items() <= run.data.tags.items()
    logged = {file.path: file.file_size for file in store.client.list_artifacts(champion.run_id)}
    assert {"calibration.png", "gains.png", "deciles.csv"} <= set(logged)
    pictures = [Path(run.info.artifact_uri) / f"{name}.png" for name in ("calibration", "gains")]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures)
    table = store.registry.table(champion, "deciles")
    pd.testing.assert_frame_equal(table, candidate.tables["deciles"])


def test_a_table_that_was_not_logged_is_named(store, champion):
    with pytest.raises(ChampionUnusable, match=r"model clv: .*gains\.csv.*TRAIN=always"):
        store.registry.table(champion, "gains")


def test_the_signature_names_the_features_with_whole_numbers_as_doubles(store, champion):
    signature = mlflow.models.get_model_info("models:/clv@champion").signature
    assert {column.name: column.type.name for column in signature.inputs} == {
        "products": "double",
        "segment": "string",
        LAST_PERIOD: "double",
        PACE: "double",
    }
    assert signature.outputs is not None


def test_the_served_model_answers_as_the_champion_with_missing_values_too(store, champion):
    asked = LATER.astype({"products": float})
    asked.loc[:5, "products"] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        served = mlflow.pyfunc.load_model("models:/clv@champion").predict(asked)
    np.testing.assert_array_equal(served, store.registry.load_champion("clv").predict(asked))


def test_artifacts_lie_under_the_root_given_and_no_model_is_a_pickle(store, champion):
    files = [path.name for path in store.artifacts.rglob("*") if path.is_file()]
    assert "model.skops" in files
    assert not [name for name in files if name.endswith((".pkl", ".pickle", ".joblib"))]
    run = store.client.get_run(champion.run_id)
    assert Path(run.info.artifact_uri).is_relative_to(store.artifacts / "clv")


def test_the_types_trusted_are_those_the_models_hold_and_no_other():
    models: list[Any] = [
        learner(seed=1),
        LastPeriodAgain().fit(FRAME, Y).calibrate(LATER, LATER_Y),
        ResponseModel(trees=2).fit(CONTACTS, RESPONSES),
        OfferBaseRate().fit(CONTACTS, RESPONSES),
    ]
    held = [skops.io.get_untrusted_types(data=skops.io.dumps(model)) for model in models]
    assert sorted(set().union(*held)) == sorted(TRUSTED_TYPES)


# What may not be loaded.


@pytest.fixture
def files(store: Store, champion: Version, tmp_path: Path) -> Iterator[Path]:
    """The champion's files, restored afterwards."""
    folder, kept = store.folder(champion), tmp_path / "kept"
    shutil.copytree(folder, kept)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(kept, folder)
    store.registry.load_champion("clv")


class Trap:
    """Unpickled, it leaves a mark."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return awake, ("from a pickle",)


def overwrite_the_middle(folder: Path) -> None:
    path = folder / "model.skops"
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 256] = bytes(256)
    path.write_bytes(content)


def cut_short(folder: Path) -> None:
    path = folder / "model.skops"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGES = {
    "its file is deleted": lambda folder: (folder / "model.skops").unlink(),
    "its folder is deleted": shutil.rmtree,
    "its file is empty": lambda folder: (folder / "model.skops").write_bytes(b""),
    "its file is cut short": cut_short,
    "its file is overwritten in the middle": overwrite_the_middle,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_champion_is_unusable_when(store, files, damage):
    damage(files)
    with pytest.raises(ChampionUnusable, match=r"model clv: .*TRAIN=always") as caught:
        store.registry.load_champion("clv")
    assert caught.value.__cause__ is not None


def test_a_file_that_holds_a_type_not_trusted_is_refused_before_it_comes_to_life(store, files):
    skops.io.dump(Stranger(), files / "model.skops")
    awakened.clear()
    with pytest.raises(ChampionUnusable, match="Stranger"):
        store.registry.load_champion("clv")
    assert awakened == []
    skops.io.load(files / "model.skops", trusted=[f"{__name__}.Stranger"])
    assert awakened == ["from a file"]


def test_a_trusted_model_that_hides_a_type_not_trusted_is_refused(store, files, candidate):
    model = learner(seed=1)
    model.encoder_ = Stranger()
    skops.io.dump(model, files / "model.skops")
    awakened.clear()
    with pytest.raises(ChampionUnusable, match="Stranger"):
        store.registry.load_champion("clv")
    assert awakened == []


def test_a_pickle_in_the_place_of_the_model_file_is_refused_and_does_not_run(store, files):
    trap = pickle.dumps(Trap())
    (files / "model.skops").write_bytes(trap)
    awakened.clear()
    with pytest.raises(ChampionUnusable, match="model clv"):
        store.registry.load_champion("clv")
    assert awakened == []
    pickle.loads(trap)
    assert awakened == ["from a pickle"]


def test_a_twin_that_is_gone_or_holds_a_type_not_trusted_leaves_the_champion_usable(
    store, candidate
):
    version = store.registry.register(clv("two", candidate.model, candidate.twin))
    store.registry.promote(version)
    awakened.clear()
    skops.io.dump(Stranger(), store.twin(version))
    with pytest.raises(ChampionUnusable, match="model two: .*Stranger"):
        store.registry.load_twin(version)
    assert awakened == []
    store.twin(version).unlink()
    with pytest.raises(ChampionUnusable, match="model two: .*TRAIN=always"):
        store.registry.load_twin(version)
    np.testing.assert_array_equal(
        store.registry.load_champion("two").predict(LATER), candidate.model.predict(LATER)
    )


def test_a_model_of_a_type_not_trusted_is_not_registered_and_leaves_no_open_run(store):
    with pytest.raises(MlflowException, match="Stranger"):
        store.registry.register(clv("stranger", Stranger(), Stranger()))
    assert store.registry.champion("stranger") is None
    assert store.client.search_model_versions("name = 'stranger'") == []
    assert mlflow.active_run() is None
    experiment = store.client.get_experiment_by_name("stranger")
    (run,) = store.client.search_runs([experiment.experiment_id])
    assert run.info.status == "FAILED"


def test_names_are_listed_as_json_in_their_order():
    assert listed(["b", "a", "ø"]) == '["b", "a", "\\u00f8"]'


def test_a_rule_does_not_take_the_challengers_place(store, candidate):
    rule = LastPeriodAgain().fit(FRAME, Y)
    first = store.registry.register(clv("beaten", candidate.model, candidate.twin))
    store.registry.promote(store.registry.register(clv("beaten", rule, rule, RULE)))
    assert store.challenger("beaten") == first.version


def test_a_store_that_cannot_be_read_is_not_one_without_a_champion(store, champion):
    table, gone = "registered_model_aliases", "aliases_gone"
    with sqlite3.connect(store.uri.removeprefix("sqlite:///")) as connection:
        connection.execute(f"alter table {table} rename to {gone}")
        try:
            with pytest.raises(MlflowException):
                store.registry.champion("clv")
        finally:
            connection.execute(f"alter table {gone} rename to {table}")


def test_a_model_description_that_asks_for_a_pickle_is_refused(store, files):
    (files / "model.pkl").write_bytes(pickle.dumps(Trap()))
    description = files / "MLmodel"
    described = yaml.safe_load(description.read_text())
    described["flavors"]["sklearn"] |= {
        "serialization_format": "pickle",
        "pickled_model": "model.pkl",
    }
    description.write_text(yaml.safe_dump(described))
    (files / "model.skops").unlink()
    awakened.clear()
    with pytest.raises(ChampionUnusable):
        store.registry.load_champion("clv")
    assert awakened == []


def test_a_model_description_cannot_widen_what_is_trusted(store, files):
    skops.io.dump(Stranger(), files / "model.skops")
    description = files / "MLmodel"
    described = yaml.safe_load(description.read_text())
    described["flavors"]["sklearn"]["skops_trusted_types"] += [f"{Stranger.__module__}.Stranger"]
    description.write_text(yaml.safe_dump(described))
    awakened.clear()
    with pytest.raises(ChampionUnusable):
        store.registry.load_champion("clv")
    assert awakened == []
