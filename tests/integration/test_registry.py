"""The registry on a real store: what is logged, who is champion, what may not be loaded, and what
is remembered of each champion."""

from __future__ import annotations

import hashlib
import importlib
import json
import pickle
import shutil
import sqlite3
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
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

from ml.audit import ABANDONED, DONE, PROMOTIONS, REQUESTED, AuditRecord, champions_before
from ml.base_rate import ColumnRate
from ml.clv.model import LastPeriodAgain, TwoPartRegressor
from ml.evaluation.metrics import decile_table
from ml.evaluation.plots import calibration_figure, gains_figure
from ml.hazard import DiscreteTimeHazard
from ml.measures import LAST_PERIOD, PACE
from ml.registry import (
    DATA_DIGEST,
    LEARNER,
    MODEL_DIGEST,
    PACKAGE,
    RULE,
    TABLE_DIGESTS,
    TWIN,
    TWIN_DIGEST,
    Candidate,
    ChampionUnusable,
    Registry,
    Version,
    listed,
)
from ml.response.model import OFFER, OfferBaseRate, ResponseModel
from ml.serving import TRUSTED_TYPES

awakened: list[str] = []


def awake(where: str) -> None:
    awakened.append(where)


class Stranger(BaseEstimator):
    """A type that no model file may hold; calls `awake` when it is loaded from one."""

    def __init__(self) -> None:
        self.memory = "kept"

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        return np.zeros(len(frame))

    def __setstate__(self, state: dict[str, Any]) -> None:
        awake("from a file")
        super().__setstate__(state)


class Store:
    """A registry of its own on disk, with the client to look into it."""

    def __init__(self, folder: Path, model_store: Path) -> None:
        shutil.copy(model_store, folder / "mlflow.db")
        self.artifacts = folder / "artifacts"
        self.uri = f"sqlite:///{folder / 'mlflow.db'}"
        self.registry = Registry(self.uri, str(self.artifacts))
        self.client = mlflow.MlflowClient(self.uri, self.uri)

    def again(self) -> Registry:
        return Registry(self.uri, str(self.artifacts))

    def folder(self, version: Version) -> Path:
        """Where the files of a version's model lie."""
        source = str(self.client.get_model_version(version.name, version.version).source)
        return self.artifacts / version.name / "models" / Path(source).name / "artifacts" / "data"

    def twin(self, version: Version) -> Path:
        return Path(self.client.get_run(version.run_id).info.artifact_uri) / TWIN

    def table(self, version: Version, name: str) -> Path:
        return Path(self.client.get_run(version.run_id).info.artifact_uri) / f"{name}.csv"

    def promote(self, version: Version) -> Version:
        return self.registry.promote(version, by="the policy", reason="ahead on all measures")

    def vouch(self, version: Version, tag: str, path: Path) -> Version:
        """Have the registry hold a file for the one registered: who can write there could."""
        return self.registry.tag(version, {tag: hashlib.sha256(path.read_bytes()).hexdigest()})


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
def store(tmp_path_factory: pytest.TempPathFactory, model_store: Path) -> Store:
    return Store(tmp_path_factory.mktemp("mlflow"), model_store)


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
        texts={"model_card.md": "# clv\n\nMade for wealth, not for waiting rooms: ø.\n"},
    )


@pytest.fixture(scope="module")
def champion(store: Store, candidate: Candidate) -> Version:
    return store.promote(store.registry.register(candidate))


def test_no_version_is_champion_before_a_promotion(store):
    assert store.registry.champion("newcomer") is None
    rule = LastPeriodAgain().fit(FRAME, Y)
    store.registry.register(clv("newcomer", rule, rule))
    assert store.registry.champion("newcomer") is None
    with pytest.raises(ChampionUnusable, match="model newcomer.*TRAIN=always"):
        store.registry.load_champion("newcomer")


def test_the_promoted_version_is_the_champion_with_all_its_tags(store, champion):
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
        (ColumnRate("age"), CONTACTS, RESPONSES),
    ],
    ids=["last period again", "base rate", "response model", "rate of a column"],
)
def test_every_kind_of_model_is_restored_unchanged(store, model, frame, y):
    fitted = model.fit(frame, y)
    name = type(model).__name__
    version = store.registry.register(
        Candidate(name, fitted, fitted, RULE, {}, {}, {}, frame.head(20))
    )
    store.promote(version)
    loaded = store.registry.load_champion(name)
    np.testing.assert_array_equal(loaded.predict(frame), fitted.predict(frame))
    assert store.registry.champion(name).kind == RULE


def test_a_new_learner_is_the_challenger_and_champion_only_once_promoted(store):
    models = [learner(seed, trees=2 + seed) for seed in (1, 2)]
    first, second = (store.registry.register(clv("race", model, model)) for model in models)
    store.promote(first)
    assert (first.version, second.version) == ("1", "2")
    assert store.registry.challenger("race") == second
    assert store.registry.champion("race").version == "1"
    for version, model in ((second, models[1]), (first, models[0])):
        assert store.promote(version) == store.registry.champion("race")
        assert store.registry.champion("race").version == version.version
        np.testing.assert_array_equal(
            store.registry.load_champion("race").predict(LATER), model.predict(LATER)
        )


def test_the_run_holds_parameters_metrics_tags_figures_and_tables(store, champion, candidate):
    run = store.client.get_run(champion.run_id)
    assert run.info.status == "FINISHED"
    parameters = {name: str(value) for name, value in PARAMETERS.items()}
    assert run.data.params == {**parameters, "model_name": "clv"}
    assert METRICS.items() <= run.data.metrics.items()
    assert TAGS.items() <= run.data.tags.items()
    logged = {file.path: file.file_size for file in store.client.list_artifacts(champion.run_id)}
    assert {"calibration.png", "gains.png", "deciles.csv"} <= set(logged)
    pictures = [Path(run.info.artifact_uri) / f"{name}.png" for name in ("calibration", "gains")]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures)
    card = Path(run.info.artifact_uri) / "model_card.md"
    assert card.read_text(encoding="utf-8") == candidate.texts["model_card.md"]
    table = store.registry.table(champion, "deciles")
    pd.testing.assert_frame_equal(table, candidate.tables["deciles"])


def test_a_table_that_was_not_logged_is_named(store, champion):
    with pytest.raises(ChampionUnusable, match=r"model clv: .*gains\.csv.*TRAIN=always"):
        store.registry.table(champion, "gains")


def test_the_signature_names_the_columns_read_and_answered_with_whole_numbers_as_doubles(
    store, champion
):
    signature = mlflow.models.get_model_info("models:/clv@champion").signature
    assert {column.name: column.type.name for column in signature.inputs} == {
        "products": "double",
        "segment": "string",
        LAST_PERIOD: "double",
        PACE: "double",
    }
    assert [column.name for column in signature.outputs] == [
        *("clv_12m", "clv_36m", "clv_low", "clv_high")
    ]


def test_a_column_that_no_model_reads_is_not_in_the_signature(store):
    frame = FRAME.assign(constant=1.0, unread="x")
    rule = ColumnRate("products").fit(frame, (Y > 0).astype(int))
    store.registry.register(Candidate("narrow", rule, rule, RULE, {}, {}, {}, frame.head(20)))
    signature = mlflow.models.get_model_info("models:/narrow/1").signature
    assert signature.inputs.input_names() == ["products"]


def test_a_loaded_model_answers_the_published_columns_with_missing_values_too(store, champion):
    asked = LATER.astype({"products": float})
    asked.loc[:5, "products"] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        served = mlflow.pyfunc.load_model("models:/clv@champion").predict(asked)
    model = store.registry.load_champion("clv")
    point, low, high = model.predict_interval(asked).T
    np.testing.assert_array_equal(served["clv_12m"], point)
    np.testing.assert_array_equal(served["clv_low"], low)
    np.testing.assert_array_equal(served["clv_high"], high)
    np.testing.assert_array_equal(served["clv_36m"], model.predict_months(asked, 36))


def test_the_example_holds_medians_and_is_no_customers_row(store, champion):
    example = mlflow.pyfunc.load_model("models:/clv@champion").input_example
    assert len(example) == 1
    rows = LATER.head(20)
    assert example.loc[0, PACE] == rows[PACE].median()
    assert example.loc[0, "segment"] == rows["segment"].mode()[0]
    assert not (rows[example.columns] == example.loc[0]).all(axis=1).any()


def test_requirements_are_pinned_and_the_code_is_stored_with_the_model(store, champion):
    folder = store.folder(champion).parent
    pinned = (folder / "requirements.txt").read_text().split()
    assert pinned and all("==" in line for line in pinned)
    assert f"mlflow=={mlflow.__version__}" in pinned
    assert (folder / "code" / "ml" / "serving.py").is_file()
    assert not list(folder.rglob("__pycache__"))


def test_registering_a_model_leaves_the_search_path_unchanged(store, candidate):
    before = list(sys.path)
    store.registry.register(replace(candidate, name="elsewhere"))
    assert sys.path == before


def test_run_and_version_have_names_and_descriptions_and_the_training_set_its_digest(
    store, candidate
):
    candidate = replace(
        candidate,
        name="described",
        tags={**TAGS, DATA_DIGEST: "ab" * 32},
        purpose="What a customer brings.",
        title="described boosting as of 2025-12",
        description="boosting for described, trained as of 2025-12-31.",
    )
    version = store.registry.register(candidate)
    run = store.client.get_run(version.run_id)
    assert run.info.run_name == candidate.title
    assert run.data.tags["mlflow.note.content"] == candidate.description
    assert store.client.get_registered_model("described").description == candidate.purpose
    found = store.client.get_model_version("described", version.version)
    assert found.description == candidate.description
    assert {"kind", "source", MODEL_DIGEST} <= found.tags.keys()
    (dataset,) = run.inputs.dataset_inputs
    assert dataset.dataset.digest == ("ab" * 32)[:36]
    assert [tag.value for tag in dataset.tags] == ["training"]
    origin = json.loads(dataset.dataset.source)["tags"]
    assert origin["source"] == TAGS["source"] and origin[DATA_DIGEST] == "ab" * 32


def test_a_version_registered_before_models_were_packed_still_loads(store):
    model = learner(seed=4)
    version = store.registry.register(clv("older", model, model))
    packed = store.folder(version)
    (packed / "model.skops").rename(packed.parent / "model.skops")
    store.client.delete_model_version_tag("older", version.version, PACKAGE)
    older = store.registry.version("older", version.version)
    loaded = store.registry.load(older)
    np.testing.assert_array_equal(loaded.predict(LATER), model.predict(LATER))


def test_artifacts_are_stored_under_the_given_root_and_no_model_is_a_pickle(store, champion):
    files = [path.name for path in store.artifacts.rglob("*") if path.is_file()]
    assert "model.skops" in files
    assert not [name for name in files if name.endswith((".pkl", ".pickle", ".joblib"))]
    run = store.client.get_run(champion.run_id)
    assert Path(run.info.artifact_uri).is_relative_to(store.artifacts / "clv")


def test_all_types_of_the_models_are_trusted_and_every_trusted_type_exists():
    models: list[Any] = [
        learner(seed=1),
        LastPeriodAgain().fit(FRAME, Y).calibrate(LATER, LATER_Y),
        ResponseModel(trees=2).fit(CONTACTS, RESPONSES),
        OfferBaseRate().fit(CONTACTS, RESPONSES),
        DiscreteTimeHazard(periods=1, trees=2).fit(CONTACTS, np.ones(len(CONTACTS)), RESPONSES),
    ]
    held = [skops.io.get_untrusted_types(data=skops.io.dumps(model)) for model in models]
    assert set().union(*held) <= set(TRUSTED_TYPES)
    modules = {name.rpartition(".")[::2] for name in TRUSTED_TYPES}
    assert not [
        f"{module}.{kind}"
        for module, kind in modules
        if not hasattr(importlib.import_module(module), kind)
    ]


# What may not be loaded.


@pytest.fixture
def files(store: Store, champion: Version, tmp_path: Path) -> Iterator[Path]:
    """The champion's files, restored afterwards."""
    folder, kept = store.folder(champion), tmp_path / "kept"
    shutil.copytree(folder, kept)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(kept, folder)
    store.registry.tag(champion, {MODEL_DIGEST: champion.tags[MODEL_DIGEST]})
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
def test_a_damaged_champion_is_unusable(store, champion, files, damage):
    damage(files)
    with pytest.raises(ChampionUnusable, match=r"model clv: model\.skops of .*TRAIN=always"):
        store.registry.load_champion("clv")
    with pytest.raises(ChampionUnusable, match=r"model clv: model\.skops of .*TRAIN=always"):
        store.registry.load(champion)


def test_a_file_with_an_untrusted_type_is_refused_before_it_is_loaded(store, champion, files):
    skops.io.dump(Stranger(), files / "model.skops")
    store.vouch(champion, MODEL_DIGEST, files / "model.skops")
    awakened.clear()
    with pytest.raises(ChampionUnusable, match="Stranger"):
        store.registry.load_champion("clv")
    assert awakened == []
    skops.io.load(files / "model.skops", trusted=[f"{__name__}.Stranger"])
    assert awakened == ["from a file"]


def test_a_trusted_model_that_hides_a_type_not_trusted_is_refused(store, champion, files):
    model = learner(seed=1)
    model.encoder_ = Stranger()
    skops.io.dump(model, files / "model.skops")
    store.vouch(champion, MODEL_DIGEST, files / "model.skops")
    awakened.clear()
    with pytest.raises(ChampionUnusable, match="Stranger"):
        store.registry.load_champion("clv")
    assert awakened == []


def test_a_pickle_in_the_place_of_the_model_file_is_refused_and_does_not_run(
    store, champion, files
):
    trap = pickle.dumps(Trap())
    (files / "model.skops").write_bytes(trap)
    store.vouch(champion, MODEL_DIGEST, files / "model.skops")
    awakened.clear()
    with pytest.raises(ChampionUnusable, match="model clv"):
        store.registry.load_champion("clv")
    assert awakened == []
    pickle.loads(trap)
    assert awakened == ["from a pickle"]


def test_a_twin_that_is_gone_or_holds_a_type_not_trusted_leaves_the_champion_usable(
    store, candidate
):
    version = store.promote(store.registry.register(clv("two", candidate.model, candidate.twin)))
    awakened.clear()
    skops.io.dump(Stranger(), store.twin(version))
    with pytest.raises(ChampionUnusable, match="model two: .*was tampered with or is damaged"):
        store.registry.load_twin(version)
    version = store.vouch(version, TWIN_DIGEST, store.twin(version))
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
    with pytest.raises(TypeError, match="Stranger"):
        store.registry.register(clv("stranger", Stranger(), Stranger()))
    assert store.registry.champion("stranger") is None
    assert store.client.search_model_versions("name = 'stranger'") == []
    assert mlflow.active_run() is None
    experiment = store.client.get_experiment_by_name("stranger")
    (run,) = store.client.search_runs([experiment.experiment_id])
    assert run.info.status == "FAILED"


def test_names_are_listed_as_json_in_their_order():
    assert listed(["b", "a", "ø"]) == '["b", "a", "\\u00f8"]'


def test_a_rule_does_not_replace_the_challenger(store, candidate):
    rule = LastPeriodAgain().fit(FRAME, Y)
    first = store.registry.register(clv("beaten", candidate.model, candidate.twin))
    store.promote(store.registry.register(clv("beaten", rule, rule, RULE)))
    assert store.registry.challenger("beaten") == first


def test_an_unreadable_store_is_not_taken_for_one_without_a_champion(store, champion):
    table, gone = "registered_model_aliases", "aliases_gone"
    with sqlite3.connect(store.uri.removeprefix("sqlite:///")) as connection:
        connection.execute(f"alter table {table} rename to {gone}")
        try:
            with pytest.raises(MlflowException):
                store.registry.champion("clv")
        finally:
            connection.execute(f"alter table {gone} rename to {table}")


def test_a_model_description_that_names_other_code_is_not_followed(store, champion, files):
    description = files.parent / "MLmodel"
    kept = description.read_text()
    described = yaml.safe_load(kept)
    described["flavors"]["python_function"]["loader_module"] = f"{__name__}_trap"
    description.write_text(yaml.safe_dump(described))
    (files.parent / "code" / f"{__name__}_trap.py").write_text("raise SystemExit('run')")
    (files / "model.pkl").write_bytes(pickle.dumps(Trap()))
    awakened.clear()
    try:
        assert isinstance(store.registry.load_champion("clv"), TwoPartRegressor)
    finally:
        description.write_text(kept)
    assert awakened == []


# Digests.


def test_one_other_byte_in_the_model_file_is_refused_with_both_digests(store, champion, files):
    """Any byte: the file would still load."""
    path = files / "model.skops"
    content = bytearray(path.read_bytes())
    # The comment at the end of a zip file is read by nobody.
    content[-2:] = (1).to_bytes(2, "little")
    content += b"!"
    path.write_bytes(content)
    skops.io.load(path, trusted=TRUSTED_TYPES)
    found = hashlib.sha256(content).hexdigest()
    with pytest.raises(
        ChampionUnusable, match=r"tampered with or is damaged.*rollback-model"
    ) as no:
        store.registry.load_champion("clv")
    assert f"expected SHA-256 {champion.tags[MODEL_DIGEST]}, found {found}" in str(no.value)


def test_the_digests_are_those_of_the_files(store, champion):
    for tag, path in (
        (MODEL_DIGEST, store.folder(champion) / "model.skops"),
        (TWIN_DIGEST, store.twin(champion)),
    ):
        assert champion.tags[tag] == hashlib.sha256(path.read_bytes()).hexdigest()
    table = store.table(champion, "deciles")
    assert json.loads(champion.tags[TABLE_DIGESTS]) == {
        "deciles": hashlib.sha256(table.read_bytes()).hexdigest()
    }


def test_a_version_without_digests_is_refused(store, candidate):
    version = store.registry.register(clv("old", candidate.model, candidate.twin))
    for tag in (MODEL_DIGEST, TWIN_DIGEST):
        store.client.delete_model_version_tag("old", version.version, tag)
    bare = store.registry.version("old", version.version)
    for read in (store.registry.load, store.registry.load_twin):
        with pytest.raises(ChampionUnusable, match="model old: .*without a digest.*TRAIN=always"):
            read(bare)


def test_a_table_that_was_changed_is_refused(store, candidate):
    tables = {"deciles": candidate.tables["deciles"]}
    version = store.registry.register(
        clv("changed", candidate.model, candidate.twin, tables=tables)
    )
    path = store.table(version, "deciles")
    path.write_text(path.read_text().replace("1", "9", 1))
    with pytest.raises(ChampionUnusable, match=r"model changed: deciles\.csv .*was tampered with"):
        store.registry.table(version, "deciles")


# Versions by number.


def test_only_the_best_learner_of_a_training_is_the_challenger(store, candidate):
    best = store.registry.register(clv("several", candidate.model, candidate.twin))
    other = store.registry.register(clv("several", candidate.model, candidate.twin, alias=False))
    assert store.registry.challenger("several") == best
    assert store.registry.versions("several") == [best, other]
    assert store.registry.version("several", "2") == other


def test_a_version_is_loaded_by_its_number_whichever_is_champion(store):
    models = [learner(seed, trees=2 + seed) for seed in (1, 2)]
    versions = [store.registry.register(clv("numbered", model, model)) for model in models]
    store.promote(versions[1])
    for version, model in zip(versions, models, strict=True):
        loaded = store.registry.load(store.registry.version("numbered", version.version))
        np.testing.assert_array_equal(loaded.predict(LATER), model.predict(LATER))


def test_an_unknown_version_or_model_is_refused_with_the_known_ones(store, champion):
    with pytest.raises(LookupError, match="model clv has no version 7: expected one of 1$"):
        store.registry.version("clv", "7")
    with pytest.raises(LookupError, match="model clw is not registered. Registered models: .*clv"):
        store.registry.version("clw", "1")
    assert store.registry.versions("o'clock") == []


# The audit.


def three(store: Store, name: str, **tags: str) -> list[Version]:
    """Three versions of a rule, promoted one after the other."""
    versions = []
    for number in (1, 2, 3):
        rule = LastPeriodAgain().fit(FRAME, Y)
        candidate = Candidate(name, rule, rule, RULE, {}, {}, {**TAGS, **tags}, LATER.head(20))
        version = store.registry.register(candidate)
        versions.append(store.registry.promote(version, by=f"person {number}", reason="better"))
    return versions


def events_of(records: list[AuditRecord]) -> list[tuple[str, str, str, str]]:
    return [(one.event, one.previous_version, one.version, one.state) for one in records]


def test_every_promotion_is_recorded_in_the_audit_and_on_the_version(store, candidate):
    first = store.registry.register(clv("recorded", candidate.model, candidate.twin))
    second = store.registry.register(clv("recorded", candidate.model, candidate.twin))
    store.registry.promote(first, by="the policy", reason="nobody scored", event="first")
    now = store.registry.promote(
        second, by=" Ana ", reason="better", mode="approval", dagster_run_id="abc"
    )
    one, two = store.registry.audit("recorded")
    assert events_of([one, two]) == [("first", "", "1", DONE), ("promoted", "1", "2", DONE)]
    assert (two.approver, two.reason, two.mode, two.dagster_run_id) == (
        *("Ana", "better", "approval", "abc"),
    )
    assert (two.number, two.at > one.at) == (one.number + 1, True)
    assert now == store.registry.champion("recorded")
    assert {
        "promoted_by": "Ana",
        "promoted_at": two.at.isoformat(),
        "promotion_reason": "better",
        "previous_champion": "1",
        "promotion_event": "promoted",
    }.items() <= now.tags.items()
    run = store.client.get_run(two.run_id)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "recorded 1 to 2, promoted"
    assert store.client.get_experiment(run.info.experiment_id).name == PROMOTIONS


def test_the_audit_of_one_model_is_part_of_that_of_all_and_outlives_a_deletion(store, champion):
    store.client.delete_run(store.registry.audit("clv")[0].run_id)
    own, every = store.registry.audit("clv"), store.registry.audit()
    assert own and [one for one in every if one.model_name == "clv"] == own
    assert [one.number for one in every] == list(range(1, len(every) + 1))


def test_a_promotion_needs_another_version_a_name_and_a_reason(store):
    champion = three(store, "again")[2]
    before = store.registry.audit("again")
    with pytest.raises(ValueError, match="version 3 is already champion"):
        store.promote(champion)
    for by, reason in (("", "better"), ("Ana", "  ")):
        with pytest.raises(ValueError, match="expected an approver and a reason"):
            store.registry.promote(store.registry.version("again", "1"), by=by, reason=reason)
    assert store.registry.audit("again") == before


def test_a_rollback_restores_the_champion_before_and_a_second_the_one_before_that(store):
    three(store, "back")
    for wanted in ("2", "1"):
        version, passed_over = store.registry.rollback("back", by="Ana", reason="too many calls")
        assert (version.version, passed_over) == (wanted, ())
        assert store.registry.champion("back") == version
        assert version.tags["promotion_event"] == "rollback"
    assert events_of(store.registry.audit("back"))[3:] == [
        ("rollback", "3", "2", DONE),
        ("rollback", "2", "1", DONE),
    ]
    with pytest.raises(LookupError, match="model back: no champion before version 1"):
        store.registry.rollback("back", by="Ana", reason="too many calls")
    assert store.registry.champion("back").version == "1"


@pytest.mark.slow
def test_a_rollback_after_a_repeated_promotion_restores_the_version_before_it(store):
    versions = three(store, "forth")
    store.registry.rollback("forth", by="Ana", reason="too many calls")
    store.promote(store.registry.version("forth", versions[2].version))
    version, _ = store.registry.rollback("forth", by="Ana", reason="once more")
    assert version.version == "2"


@pytest.mark.slow
def test_a_rollback_passes_over_versions_that_are_damaged_gone_or_of_another_bank(store):
    bad = [damage for damage in DAMAGES.values()]
    rule = LastPeriodAgain().fit(FRAME, Y)
    sound = three(store, "rough")[0]
    for source in ("synthetic", "berka", "synthetic", "synthetic"):
        candidate = Candidate("rough", rule, rule, RULE, {}, {}, {"source": source}, LATER.head(5))
        store.promote(store.registry.register(candidate))
    shutil.rmtree(store.folder(store.registry.version("rough", "2")))
    bad[4](store.folder(store.registry.version("rough", "3")))
    (store.folder(store.registry.version("rough", "4")) / "model.skops").unlink()
    store.client.delete_model_version("rough", "6")
    version, passed_over = store.registry.rollback(
        "rough", by="Ana", reason="too many calls", alike=["source"]
    )
    assert version.version == sound.version == "1"
    named = [words.split(":")[0] for words in passed_over]
    assert named == ["version 6", "version 5", "version 4", "version 3", "version 2"]
    for words, wanted in zip(
        passed_over,
        ("has no version 6", "another source", "cannot be loaded", "tampered", "cannot be loaded"),
        strict=True,
    ):
        assert wanted in words
    assert "too many calls (passed over: version 6" in store.registry.audit("rough")[-1].reason


def test_a_rollback_without_a_champion_is_refused(store):
    with pytest.raises(LookupError, match="model nobody has no champion"):
        store.registry.rollback("nobody", by="Ana", reason="too many calls")


@pytest.mark.slow
def test_a_rollback_works_after_the_alias_was_moved_by_hand(store):
    three(store, "byhand")
    store.client.set_registered_model_alias("byhand", "champion", "1")
    version, _ = store.registry.rollback("byhand", by="Ana", reason="not by hand")
    assert version.version == "3"


class Killed(BaseException):
    """Nothing of the process is done any more."""


class Interrupted:
    """A client that ends the process at one call."""

    def __init__(self, client: Any, call: str) -> None:
        self._client, self._call = client, call

    def __getattr__(self, name: str) -> Any:
        if name != self._call:
            return getattr(self._client, name)

        def killed(*_: Any, **__: Any) -> None:
            raise Killed

        return killed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("call", "state", "then"),
    [
        ("set_registered_model_alias", ABANDONED, "1"),
        ("set_model_version_tag", DONE, "2"),
    ],
    ids=["before the alias moves", "before the version is tagged"],
)
def test_settling_a_promotion_killed_between_its_steps_follows_the_alias(
    store, candidate, call, state, then
):
    name = f"killed_{then}"
    first, second = (
        store.registry.register(clv(name, candidate.model, candidate.twin)) for _ in range(2)
    )
    store.promote(first)
    dying = store.again()
    dying._client = Interrupted(dying._client, call)
    with pytest.raises(Killed):
        dying.promote(second, by="Ana", reason="better")
    (last,) = store.registry.audit(name)[1:]
    assert (last.state, last.approver) == (REQUESTED, "Ana")
    assert store.registry.champion(name).version == then
    store.registry.settle(name)
    assert events_of(store.registry.audit(name))[1:] == [("promoted", "1", "2", state)]
    champion = store.registry.champion(name)
    assert champion.tags["promoted_by"] == ("Ana" if then == "2" else "the policy")
    if then == "1":
        store.promote(second)
        assert events_of(store.registry.audit(name))[2:] == [("promoted", "1", "2", DONE)]
    version, _ = store.registry.rollback(name, by="Ana", reason="too many calls")
    assert version.version == "1"


def event(number: int, name: str, before: str, version: str, state: str = DONE) -> AuditRecord:
    moment = pd.Timestamp("2026-01-01", tz="UTC").to_pydatetime()
    return AuditRecord(number, "m", name, version, before, "", "", moment, "", "", state, "")


@pytest.mark.parametrize(
    ("events", "standing", "wanted"),
    [
        ([], "3", []),
        ([("first", "", "1")], "1", []),
        ([("first", "", "1"), ("promoted", "1", "2")], "2", ["1"]),
        ([("first", "", "1"), ("promoted", "1", "2"), ("rollback", "2", "1")], "1", []),
        # Promoted again by name after it had been left behind.
        ([("first", "", "1"), ("promoted", "1", "2"), ("promoted", "2", "1")], "1", ["2"]),
        # No event records the promotion of version 5.
        ([("first", "", "1"), ("promoted", "5", "6")], "6", ["5", "1"]),
        ([("first", "", "1"), ("promoted", "1", "2")], "9", ["2", "1"]),
    ],
)
def test_former_champions_are_those_that_no_rollback_undid(events, standing, wanted):
    records = [event(number, *one) for number, one in enumerate(events)]
    assert champions_before(records, standing) == wanted
    # What was never carried out is no part of the story.
    never = event(99, "promoted", standing, "100", ABANDONED)
    assert champions_before([*records, never], standing) == wanted
