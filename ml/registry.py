"""The model registry: log and register models, and set their champions."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import skops.io

from ml.audit import (
    ABANDONED,
    DONE,
    PROMOTIONS,
    REQUESTED,
    Audit,
    AuditRecord,
    Event,
    champions_before,
)
from ml.serving import (
    MODEL,
    NUMBER,
    TEXT,
    TEXTS,
    TRUSTED_TYPES,
    answer_of,
    columns_read,
    requirements,
)

CHAMPION, CHALLENGER = "champion", "challenger"
TWIN = "evaluation_twin.skops"
EVALUATION = "evaluation"
LEARNER, RULE = "model", "rule"

# Tags of a version: digests of its files as they were registered, and how it became champion.
MODEL_DIGEST, TWIN_DIGEST, TABLE_DIGESTS = "model_sha256", "twin_sha256", "tables_sha256"
PROMOTED_BY, PROMOTED_AT, PROMOTION_REASON, PREVIOUS_CHAMPION, PROMOTION_EVENT = (
    "promoted_by",
    "promoted_at",
    "promotion_reason",
    "previous_champion",
    "promotion_event",
)
# The layout of a version's files. Older versions have no such tag: they score here, but cannot be
# loaded without this project.
PACKAGE, PYFUNC = "package", "pyfunc"
PACKED_MODEL = f"data/{MODEL}"
# The tag with the digest of the training rows, and the others that identify the training set.
DATA_DIGEST = "data_digest"
TRAINING_SET = (
    *("source", "trained_as_of", "refit_cutoffs", "evaluated_from", "refit_rows"),
    *("code_version", "dagster_run_id", DATA_DIGEST),
)
# MLflow truncates a dataset's digest to this length.
DIGEST_LENGTH = 36
REMEDY = (
    "restore its artifacts from a backup, return to the previous champion (make rollback-model), "
    "or train again (TRAIN=always)"
)


class ChampionUnusable(Exception):
    """A registered version, the champion or another, that cannot be loaded or trusted."""


@dataclass(frozen=True)
class Candidate:
    """A fitted model with all that is logged with it.

    `model` scores; `twin` is the same learner fitted before the evaluation period, with which later
    challengers are compared, since `model` was fitted on that period, too. `example` holds rows to
    score, which give types and typical values; no row is logged. `purpose` describes the registered
    model, `title` and `description` its run and this version. `texts` are files by name
    (`model_card.md`). Of several learners of one training only the best takes the alias
    `challenger`; the others have `alias=False`.
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
    texts: Mapping[str, str] = field(default_factory=dict)
    alias: bool = True
    purpose: str = ""
    title: str = ""
    description: str = ""


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
        In MLflow's form.
    artifact_root : str
        The artifact folder of experiments created here (MLflow's default is ./mlruns).
    """

    def __init__(self, tracking_uri: str, artifact_root: str) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        import mlflow
        import mlflow.pyfunc

        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        for name in ("mlflow", "mlflow.store.db.utils", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        mlflow.set_tracking_uri(tracking_uri)
        mlflow.set_registry_uri(tracking_uri)
        self._mlflow = mlflow
        self._client = mlflow.MlflowClient(tracking_uri, tracking_uri)
        self._artifact_root = artifact_root
        self._audit = Audit(self._client, lambda: self._experiment(PROMOTIONS))

    @property
    def client(self) -> Any:
        """MLflow's own client."""
        return self._client

    def _experiment(self, name: str) -> str:
        known = self._client.get_experiment_by_name(name)
        if known is not None:
            return str(known.experiment_id)
        return str(
            self._client.create_experiment(name, artifact_location=f"{self._artifact_root}/{name}")
        )

    def register(self, candidate: Candidate) -> Version:
        """Log a candidate in a run of its own and register it, with the digests of its files.

        A learner becomes the challenger, unless its `alias` is false.

        Raises
        ------
        TypeError
            For a model or twin that holds untrusted types.
        """
        mlflow = self._mlflow
        with (
            warnings.catch_warnings(),
            tempfile.TemporaryDirectory() as folder,
            # With its tags from the start, which identify the run if it is killed.
            mlflow.start_run(
                experiment_id=self._experiment(candidate.name),
                run_name=candidate.title or None,
                description=candidate.description or None,
                tags=dict(candidate.tags),
            ) as run,
        ):
            warnings.simplefilter("ignore")
            model, twin = Path(folder) / MODEL, Path(folder) / TWIN
            skops.io.dump(candidate.model, model)
            skops.io.dump(candidate.twin, twin)
            for path in (model, twin):
                # Check here rather than at the first load, when the version is champion.
                if strange := set(skops.io.get_untrusted_types(file=path)) - set(TRUSTED_TYPES):
                    raise TypeError(
                        f"model {candidate.name} holds untrusted types: "
                        f"{', '.join(sorted(strange))}. Add them to ml.serving.TRUSTED_TYPES."
                    )
            mlflow.log_params(dict(candidate.parameters))
            mlflow.log_metrics(dict(candidate.metrics))
            for name, figure in candidate.figures.items():
                mlflow.log_figure(figure, f"{name}.png")
            for name, text in candidate.texts.items():
                mlflow.log_text(text, name)
            tables = {}
            for name, table in candidate.tables.items():
                path = Path(folder) / f"{name}.csv"
                table.to_csv(path, index=False)
                mlflow.log_artifact(str(path))
                tables[name] = _digest(path)
            signature = _signature(candidate)
            _log_training_set(candidate, signature.inputs)
            info = self._packed(candidate, model, signature)
            mlflow.log_artifact(str(twin))
            tags = {
                **{name: str(value) for name, value in candidate.tags.items()},
                "kind": candidate.kind,
                PACKAGE: PYFUNC,
                MODEL_DIGEST: _digest(model),
                TWIN_DIGEST: _digest(twin),
                TABLE_DIGESTS: json.dumps(tables),
            }
        # Register with the tags in one step: a version without them has no known origin.
        with redirect_stderr(io.StringIO()):  # MLflow prints a line for each version there
            registered = mlflow.register_model(
                info.model_uri, candidate.name, await_registration_for=0, tags=tags
            )
        if candidate.purpose:
            self._client.update_registered_model(candidate.name, candidate.purpose)
        if candidate.description:
            self._client.update_model_version(
                candidate.name, registered.version, candidate.description
            )
        if candidate.kind == LEARNER and candidate.alias:
            self._client.set_registered_model_alias(candidate.name, CHALLENGER, registered.version)
        return Version(candidate.name, str(registered.version), run.info.run_id, tags)

    def _packed(self, candidate: Candidate, model: Path, signature: Any) -> Any:
        """Log the model's file with the code that reads it, its requirements and an example."""
        search_path = sys.path
        try:
            # MLflow runs the example through the logged model, and leaves its code on sys.path.
            return self._mlflow.pyfunc.log_model(
                name="model",
                loader_module="ml.serving",
                data_path=str(model),
                code_paths=[str(Path(__file__).parent)],
                model_config={"model_name": candidate.name},
                signature=signature,
                input_example=_typical(candidate.example, signature.inputs),
                pip_requirements=requirements(),
            )
        finally:
            sys.path = search_path

    def run_address(self, run_id: str, base: str) -> str:
        """The address of a run in MLflow's UI, which is served at `base`."""
        experiment = self._client.get_run(run_id).info.experiment_id
        return f"{base}/#/experiments/{experiment}/runs/{run_id}"

    def close_unfinished(self, dagster_run_ids: Collection[str]) -> int:
        """End the runs that these Dagster runs started and left RUNNING; returns their number.

        `settle` closes the records of promotions.
        """
        from mlflow.entities import RunStatus

        experiments = [
            experiment.experiment_id
            for experiment in self._client.search_experiments()
            if experiment.name != PROMOTIONS
        ]
        left = [
            run
            for run in self._client.search_runs(
                experiments, filter_string="attributes.status = 'RUNNING'"
            )
            if run.data.tags.get("dagster_run_id") in dagster_run_ids
        ]
        for run in left:
            self._client.set_terminated(run.info.run_id, RunStatus.to_string(RunStatus.KILLED))
        return len(left)

    def learned_from(self, version: Version) -> tuple[int, dict[str, str]]:
        """The number of rows that the scoring model was fitted on, and the columns that it reads,
        with their types in MLflow's signature."""
        info = self._mlflow.models.get_model_info(f"models:/{version.name}/{version.version}")
        rows = self._client.get_run(version.run_id).data.params.get("refit_rows", "0")
        columns = info.signature.inputs.to_dict() if info.signature else []
        return int(rows), {column["name"]: column["type"] for column in columns}

    def tag(self, version: Version, tags: Mapping[str, str]) -> Version:
        """Add tags to a version, such as the policy's verdict; returns the version with them."""
        for name, value in tags.items():
            self._client.set_model_version_tag(version.name, version.version, name, value)
        return self.version(version.name, version.version)

    def promote(
        self,
        version: Version,
        *,
        by: str,
        reason: str,
        event: Event = "promoted",
        mode: str = "",
        dagster_run_id: str = "",
    ) -> Version:
        """Make a version the champion and record it; returns it with the tags of the promotion.

        Opens the record, moves the alias, and closes the record; `ml.audit` describes the state
        after a process is killed in between.

        Raises
        ------
        ValueError
            When the version is already champion, or the approver or the reason is empty.
        """
        if not by.strip() or not reason.strip():
            raise ValueError(f"model {version.name}: expected an approver and a reason")
        self.settle(version.name)
        standing = self.champion(version.name)
        if standing is not None and standing.version == version.version:
            raise ValueError(f"model {version.name}: version {version.version} is already champion")
        record = self._audit.open(
            model_name=version.name,
            event=event,
            version=version.version,
            previous_version=standing.version if standing else "",
            approver=by.strip(),
            reason=reason.strip(),
            dagster_run_id=dagster_run_id,
            mode=mode,
        )
        self._client.set_registered_model_alias(version.name, CHAMPION, version.version)
        return self._complete(record)

    def rollback(
        self,
        name: str,
        *,
        by: str,
        reason: str,
        alike: Sequence[str] = (),
        mode: str = "",
        dagster_run_id: str = "",
    ) -> tuple[Version, tuple[str, ...]]:
        """Make the previous champion champion again.

        Versions that cannot be loaded are skipped, and so are those that differ from the current
        champion in one of the tags `alike`, as those of another bank. Returns the version, and the
        skipped ones with the reasons; the record has them, too.

        Raises
        ------
        LookupError
            When there is no champion, or no earlier one that may return.
        """
        self.settle(name)
        standing = self.champion(name)
        if standing is None:
            raise LookupError(f"model {name} has no champion")
        passed_over: list[str] = []
        for number in champions_before(self.audit(name), standing.version):
            complaint = self._not_fit_to_return(name, number, standing, alike)
            if not complaint:
                recorded = f"{reason.strip()} (passed over: {'; '.join(passed_over)})"
                version = self.promote(
                    self.version(name, number),
                    by=by,
                    reason=recorded if passed_over else reason,
                    event="rollback",
                    mode=mode,
                    dagster_run_id=dagster_run_id,
                )
                return version, tuple(passed_over)
            passed_over.append(f"version {number}: {complaint}")
        raise LookupError(
            f"model {name}: no champion before version {standing.version} can return"
            + (f"; passed over: {'; '.join(passed_over)}" if passed_over else "")
        )

    def _not_fit_to_return(
        self, name: str, number: str, standing: Version, alike: Sequence[str]
    ) -> str:
        try:
            version = self.version(name, number)
            other = [tag for tag in alike if version.tags.get(tag) != standing.tags.get(tag)]
            if other:
                return f"made for another {', '.join(other)}"
            self.load(version)
        except (LookupError, ChampionUnusable) as error:
            return str(error)
        return ""

    def audit(self, name: str | None = None) -> list[AuditRecord]:
        """Every promotion and rollback of a model, or of all, oldest first."""
        return self._audit.records(name)

    def past_champions(self, name: str) -> list[str]:
        """The numbers of the versions that `rollback` may return to, nearest first."""
        standing = self.champion(name)
        return champions_before(self.audit(name), standing.version) if standing else []

    def settle(self, name: str) -> None:
        """Close the records that a killed process left open: as done if the alias points to their
        version, else as abandoned."""
        standing = self.champion(name)
        for record in self.audit(name):
            if record.state != REQUESTED:
                continue
            if standing is not None and standing.version == record.version:
                self._complete(record)
            else:
                self._audit.close(record, ABANDONED)

    def _complete(self, record: AuditRecord) -> Version:
        tags = {
            PROMOTED_BY: record.approver,
            PROMOTED_AT: record.at.isoformat(),
            PROMOTION_REASON: record.reason,
            PREVIOUS_CHAMPION: record.previous_version,
            PROMOTION_EVENT: record.event,
        }
        version = self.tag(Version(record.model_name, record.version, "", {}), tags)
        self._audit.close(record, DONE)
        return version

    def champion(self, name: str) -> Version | None:
        """The champion of a model; None without one.

        The error of a store that cannot be read is raised, not taken for a missing champion.
        """
        return self._aliased(name, CHAMPION)

    def challenger(self, name: str) -> Version | None:
        """The newest candidate of a model; None without one."""
        return self._aliased(name, CHALLENGER)

    def _aliased(self, name: str, alias: str) -> Version | None:
        from mlflow.exceptions import MlflowException

        try:
            found = self._client.get_model_version_by_alias(name, alias)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise
        return _version(found)

    def models(self) -> list[str]:
        """The names of all registered models, in order."""
        return sorted(
            model.name for model in self._client.search_registered_models(max_results=1000)
        )

    def versions(self, name: str) -> list[Version]:
        """All versions of a model, oldest first; empty for an unknown model."""
        if name not in self.models():
            return []
        found = self._client.search_model_versions(f"name = '{name}'")
        return sorted((_version(one) for one in found), key=lambda version: int(version.version))

    def version(self, name: str, version: str) -> Version:
        """A version of a model.

        Raises
        ------
        LookupError
            For an unknown model or version; the message lists the existing ones.
        """
        known = self.versions(name)
        for one in known:
            if one.version == str(version):
                return one
        if known:
            existing = ", ".join(one.version for one in known)
            raise LookupError(f"model {name} has no version {version}: expected one of {existing}")
        existing = ", ".join(self.models()) or "none"
        raise LookupError(f"model {name} is not registered. Registered models: {existing}.")

    def load_champion(self, name: str) -> Any:
        """The champion's fitted model.

        Raises
        ------
        ChampionUnusable
            When there is no champion, or as `load`.
        """
        champion = self.champion(name)
        if champion is None:
            raise ChampionUnusable(f"model {name} has no champion. Train one (TRAIN=always).")
        return self.load(champion)

    def load(self, version: Version) -> Any:
        """The fitted model of a version.

        Raises
        ------
        ChampionUnusable
            When its file is missing, differs from the registered one, or holds an untrusted type.
            Its digest is checked before anything is read from it.
        """
        file = PACKED_MODEL if version.tags.get(PACKAGE) == PYFUNC else MODEL
        uri = f"models:/{version.name}/{version.version}/{file}"
        return self._loaded(version, MODEL, uri, version.tags.get(MODEL_DIGEST))

    def load_twin(self, version: Version) -> Any:
        """The evaluation twin of a version; raises ChampionUnusable like `load`."""
        uri = f"runs:/{version.run_id}/{TWIN}"
        return self._loaded(version, TWIN, uri, version.tags.get(TWIN_DIGEST))

    # Not MLflow's own loader: it imports the code that reads a model from a folder beside the
    # model, so that anyone with write access there could run code.
    def _loaded(self, version: Version, what: str, uri: str, digest: str | None) -> Any:
        return self._usable(
            lambda path: skops.io.load(path, trusted=TRUSTED_TYPES), version, what, uri, digest
        )

    def has_table(self, version: Version, name: str) -> bool:
        """Whether a table of this name was logged with a version."""
        return name in _digests(version)

    def table(self, version: Version, name: str) -> pd.DataFrame:
        """A table logged with a version.

        Raises
        ------
        ChampionUnusable
            When it is missing, or differs from the logged one.
        """
        what, uri = f"{name}.csv", f"runs:/{version.run_id}/{name}.csv"
        return self._usable(pd.read_csv, version, what, uri, _digests(version).get(name))

    def _usable(
        self,
        read: Callable[[Path], Any],
        version: Version,
        what: str,
        uri: str,
        digest: str | None,
    ) -> Any:
        named = f"model {version.name}: {what} of version {version.version}"
        if digest is None:
            raise ChampionUnusable(
                f"{named} was registered without a digest, so that it cannot be verified. Train "
                "again (TRAIN=always)."
            )
        try:
            with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
                warnings.simplefilter("ignore")
                path = self._fetched(uri, folder)
                found = _digest(path)
                if found == digest:
                    return read(path)
        except Exception as error:
            raise ChampionUnusable(
                f"{named} cannot be loaded ({type(error).__name__}: "
                f"{' '.join(str(error).split())}); {REMEDY}"
            ) from error
        raise ChampionUnusable(
            f"{named} was tampered with or is damaged: expected SHA-256 {digest}, found {found}; "
            f"{REMEDY}"
        )

    def _fetched(self, uri: str, folder: str) -> Path:
        return Path(self._mlflow.artifacts.download_artifacts(uri, dst_path=folder))


def _signature(candidate: Candidate) -> Any:
    """The signature of the columns read and returned; whole numbers as doubles, which may be
    missing."""
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ColSpec, Schema

    example, answer = candidate.example, answer_of(candidate.name)
    own = columns_read(candidate.name, candidate.model)
    first = [str(name) for name in example.columns if name in own]
    return ModelSignature(
        inputs=Schema(
            [
                ColSpec(_kind(example, name), name, required=name not in answer.optional)
                for name in (*first, *(name for name in own if name not in first))
            ]
        ),
        outputs=Schema([ColSpec(kind, name) for name, kind in answer.columns.items()]),
    )


def _kind(example: pd.DataFrame, name: str) -> str:
    if name not in example:
        return TEXT if name in TEXTS else NUMBER
    if pd.api.types.is_bool_dtype(example[name]):
        return "boolean"
    return NUMBER if pd.api.types.is_numeric_dtype(example[name]) else TEXT


def _typical(example: pd.DataFrame, inputs: Any) -> pd.DataFrame:
    """One row of each column's median or most frequent value, which is no customer's."""
    row: dict[str, Any] = {}
    for column in inputs.inputs:
        known = example[column.name].dropna() if column.name in example else pd.Series(dtype=float)
        if column.type.name == NUMBER:
            row[column.name] = float(known.median()) if len(known) else float("nan")
        elif len(known) or column.required:
            row[column.name] = known.mode().iloc[0] if len(known) else None
    return pd.DataFrame([row])


def _log_training_set(candidate: Candidate, schema: Any) -> None:
    """Log the origin and the digest of the training set, without its rows."""
    import mlflow
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.meta_dataset import MetaDataset

    recorded = {**candidate.parameters, **candidate.tags}
    if not recorded.get(DATA_DIGEST):
        return
    origin = {name: str(recorded[name]) for name in TRAINING_SET if name in recorded}
    mlflow.log_input(
        MetaDataset(  # type: ignore[abstract]
            CodeDatasetSource({"table": "features.customer_month", **origin}),
            name=f"{candidate.name} training set",
            digest=str(recorded[DATA_DIGEST])[:DIGEST_LENGTH],
            schema=schema,
        ),
        context="training",
    )


def _version(found: Any) -> Version:
    return Version(found.name, str(found.version), str(found.run_id), dict(found.tags))


def _digests(version: Version) -> dict[str, str]:
    """Digests of the tables logged with a version, by name."""
    return dict(json.loads(version.tags.get(TABLE_DIGESTS, "{}")))


def _digest(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def listed(names: list[str]) -> str:
    """Names as a tag: JSON, in order."""
    return json.dumps(names)
