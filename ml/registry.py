"""The model registry: what is logged of a model, and which version is champion."""

from __future__ import annotations

import io
import json
import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import skops.io

CHAMPION, CHALLENGER = "champion", "challenger"
TWIN = "evaluation_twin.skops"
EVALUATION = "evaluation"
LEARNER, RULE = "model", "rule"

# What skops may load. Anything else in a model file is refused: skops runs no code on load, a
# pickle would. All of it is scikit-learn's trees and this project's own estimators.
TRUSTED_TYPES = [
    "ml.clv.interval.ConformalInterval",
    "ml.clv.model.LastPeriodAgain",
    "ml.clv.model.TwoPartRegressor",
    "ml.encoding.Binner",
    "ml.encoding.FrameEncoder",
    "ml.response.model.OfferBaseRate",
    "ml.response.model.ResponseModel",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
]
REQUIREMENTS = ["scikit-learn", "pandas", "numpy", "skops"]


class ChampionUnusable(Exception):
    """The registry names a champion that cannot be loaded."""


@dataclass(frozen=True)
class Candidate:
    """A fitted model with all that is logged of it.

    `model` scores; `twin` is the same learner fitted before the evaluation period: what a later
    challenger is compared with, since the scoring model has seen that period.
    """

    name: str
    model: Any
    twin: Any
    kind: str
    parameters: Mapping[str, object]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    example: pd.DataFrame
    figures: Mapping[str, Any] = field(default_factory=dict)
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)


@dataclass(frozen=True)
class Version:
    """A registered version: the model itself comes from `load`."""

    name: str
    version: str
    run_id: str
    tags: Mapping[str, str]

    @property
    def kind(self) -> str:
        return self.tags.get("kind", "")


class Registry:
    """MLflow's tracking and registry, opened once.

    Parameters
    ----------
    tracking_uri : str
        MLflow's own form.
    artifact_root : str
        Where experiments made here keep their artifacts (MLflow would use ./mlruns).
    """

    def __init__(self, tracking_uri: str, artifact_root: str) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        import mlflow
        import mlflow.sklearn

        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        for name in ("mlflow", "mlflow.store.db.utils", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        mlflow.set_tracking_uri(tracking_uri)
        mlflow.set_registry_uri(tracking_uri)
        self._mlflow = mlflow
        self._client = mlflow.MlflowClient(tracking_uri, tracking_uri)
        self._artifact_root = artifact_root

    def _experiment(self, name: str) -> str:
        known = self._client.get_experiment_by_name(name)
        if known is not None:
            return str(known.experiment_id)
        return str(
            self._client.create_experiment(name, artifact_location=f"{self._artifact_root}/{name}")
        )

    def register(self, candidate: Candidate) -> Version:
        """Log a candidate in a run of its own and register it; a learner becomes the challenger."""
        mlflow = self._mlflow
        with (
            warnings.catch_warnings(),
            mlflow.start_run(experiment_id=self._experiment(candidate.name)) as run,
        ):
            warnings.simplefilter("ignore")
            # Whole numbers as doubles: a missing value must not break the signature later.
            numbers = candidate.example.select_dtypes("number").columns
            example = candidate.example.astype(dict.fromkeys(numbers, float))
            signature = mlflow.models.infer_signature(example, candidate.model.predict(example))
            mlflow.log_params(dict(candidate.parameters))
            mlflow.log_metrics(dict(candidate.metrics))
            mlflow.set_tags(dict(candidate.tags))
            for name, figure in candidate.figures.items():
                mlflow.log_figure(figure, f"{name}.png")
            for name, table in candidate.tables.items():
                mlflow.log_text(table.to_csv(index=False), f"{name}.csv")
            info = mlflow.sklearn.log_model(
                candidate.model,
                name="model",
                signature=signature,
                serialization_format="skops",
                skops_trusted_types=TRUSTED_TYPES,
                pip_requirements=REQUIREMENTS,
            )
            with tempfile.TemporaryDirectory() as folder:
                skops.io.dump(candidate.twin, Path(folder) / TWIN)
                mlflow.log_artifact(str(Path(folder) / TWIN))
        registered = mlflow.register_model(info.model_uri, candidate.name, await_registration_for=0)
        tags = {**candidate.tags, "kind": candidate.kind}
        for name, value in tags.items():
            self._client.set_model_version_tag(candidate.name, registered.version, name, str(value))
        if candidate.kind == LEARNER:
            self._client.set_registered_model_alias(candidate.name, CHALLENGER, registered.version)
        return Version(candidate.name, str(registered.version), run.info.run_id, tags)

    def promote(self, version: Version) -> None:
        """Make a version the champion."""
        self._client.set_registered_model_alias(version.name, CHAMPION, version.version)

    def champion(self, name: str) -> Version | None:
        """The champion of a model; None where there is none yet.

        A store that cannot be read is not one without a champion: its error goes through.
        """
        from mlflow.exceptions import MlflowException

        try:
            found = self._client.get_model_version_by_alias(name, CHAMPION)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise
        return Version(name, str(found.version), str(found.run_id), dict(found.tags))

    def load_champion(self, name: str) -> Any:
        """The champion's fitted model, by its alias.

        Raises
        ------
        ChampionUnusable
            When there is none, or its files are missing, damaged or hold a type not trusted.
        """
        uri = f"models:/{name}@{CHAMPION}"

        # Not MLflow's own loader: it takes the format and the trusted types from a file beside the
        # model, so that whoever can write there could have a pickle run.
        def read() -> Any:
            with tempfile.TemporaryDirectory() as folder:
                path = self._mlflow.artifacts.download_artifacts(uri, dst_path=folder)
                return skops.io.load(Path(path) / "model.skops", trusted=TRUSTED_TYPES)

        return self._usable(read, name, uri)

    def load_twin(self, version: Version) -> Any:
        """The evaluation twin of a version; raises ChampionUnusable like `load_champion`."""

        def read() -> Any:
            with tempfile.TemporaryDirectory() as folder:
                path = self._mlflow.artifacts.download_artifacts(
                    f"runs:/{version.run_id}/{TWIN}", dst_path=folder
                )
                return skops.io.load(path, trusted=TRUSTED_TYPES)

        return self._usable(read, version.name, f"{TWIN} of run {version.run_id}")

    def table(self, version: Version, name: str) -> pd.DataFrame:
        """A table logged with a version.

        Raises
        ------
        ChampionUnusable
            When it is missing.
        """
        uri = f"runs:/{version.run_id}/{name}.csv"
        return self._usable(
            lambda: pd.read_csv(io.StringIO(self._mlflow.artifacts.load_text(uri))),
            version.name,
            uri,
        )

    @staticmethod
    def _usable(read: Callable[[], Any], name: str, what: str) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return read()
        except Exception as error:
            raise ChampionUnusable(
                f"model {name}: {what} cannot be loaded ({type(error).__name__}: {error}); "
                "restore its artifacts, move the alias to a version that is whole, "
                "or train anew (TRAIN=always)"
            ) from error


def listed(names: list[str]) -> str:
    """Names as a tag: JSON, in order."""
    return json.dumps(names)
