"""Models: trained where no champion fits, compared on a later period, promoted or not."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import dagster as dg

from orchestration.models.reason_words import verdict
from orchestration.models.studies import STUDIES
from orchestration.platform import build_numbers
from orchestration.platform.addresses import mlflow_address
from orchestration.platform.asset_metadata import COLUMN_SCHEMA, ROW_COUNT, sentences, team
from orchestration.platform.audit import record
from orchestration.platform.identity import PROMOTE
from orchestration.platform.model_store import check_model_store, make_model_store
from orchestration.platform.progress import report_progress
from orchestration.platform.resources import WAREHOUSE_POOL, Home
from orchestration.platform.wording import Found
from sources.message import Message

if TYPE_CHECKING:
    from ml.registry import Registry
    from orchestration.models.registration import TrainingReport

DESCRIPTIONS = {name: one.description for name, one in STUDIES.items()}
MODELS = tuple(dg.AssetKey(["models", name]) for name in STUDIES)


def models_assets() -> dg.AssetsDefinition:
    """An asset a registered model; one step trains those selected, two at a time (decision 27)."""

    @dg.multi_asset(
        name="models_layer",
        specs=[
            dg.AssetSpec(
                ["models", name],
                deps=[table.split(".") for table in one.reads],
                group_name="models",
                kinds={"mlflow", "scikitlearn"},
                owners=team("modelling"),
                description=sentences(one.description),
            )
            for name, one in STUDIES.items()
        ],
        can_subset=True,
        pool=WAREHOUSE_POOL,
    )
    def models(context: dg.AssetExecutionContext, home: Home) -> Iterator[dg.MaterializeResult]:
        # Imported here: the code location must load without scikit-learn and MLflow.
        from orchestration.models.context import training_context
        from orchestration.models.governance import write_audit
        from orchestration.models.monitoring import monitor
        from orchestration.models.records import Records
        from orchestration.models.training import train

        check_model_store(home.settings)
        make_model_store(home.settings)
        selected = [key.path[-1] for key in MODELS if key in context.selected_asset_keys]
        with build_numbers.build(
            home, "models", context.run_id, selected, all_parts=STUDIES
        ) as connection:
            training = training_context(connection, home.settings, context.run_id, context.run.tags)
            registry = training.registry()
            records = Records(connection, training)
            studies = [STUDIES[name].study(records) for name in selected]
            reports = train(
                connection,
                training,
                registry,
                studies,
                lambda study: monitor(connection, records, registry, [study]),
            )
            write_audit(connection, registry)
        for report in reports:
            if report.promoted:
                subject = f"model {report.model_name} version {report.version}"
                record(home.settings, PROMOTE, subject, detail="by the policy")
        base = mlflow_address(home.settings)
        for report in reports:
            links = {}
            if report.run_id:
                links["mlflow_run"] = registry.run_address(report.run_id, base)
            if report.version is not None:
                version = f"{report.model_name}/versions/{report.version}"
                links["mlflow_version"] = f"{base}/#/models/{version}"
            yield _result(context, report, links, _learned_from(registry, report))

    return models


def _learned_from(
    registry: "Registry", report: "TrainingReport"
) -> dict[str, int | dg.TableSchema]:
    """The training data of the champion; empty where the model is off."""
    rows, columns = 0, dict[str, str]()
    if report.version is not None:
        rows, columns = registry.learned_from(registry.version(report.model_name, report.version))
    schema = dg.TableSchema([dg.TableColumn(name, kind) for name, kind in columns.items()])
    return {ROW_COUNT: rows, COLUMN_SCHEMA: schema}


def _result(
    context: dg.AssetExecutionContext,
    report: "TrainingReport",
    links: Mapping[str, str],
    learned_from: Mapping[str, int | dg.TableSchema],
) -> dg.MaterializeResult:
    state = f"version {report.version} ({report.kind})" if report.version else "off"
    reasons = "; ".join(report.reasons)
    message = f"{report.model_name}: {state}; {reasons}"
    if report.version is None or report.kind == "rule":
        shown = Message("version {0} (rule)", report.version) if report.version else Message("off")
        words = Message("{0}: {1}; {2}", report.model_name, shown, verdict(reasons) or "")
        report_progress(Found(message, words), warns=True)
    else:
        context.log.info(message)
    figures: dict[str, float] = {}
    for name, estimate in report.metrics.items():
        figures |= {
            name: estimate.value,
            f"{name}_low": estimate.low,
            f"{name}_high": estimate.high,
            f"{name}_rule": report.rule_metrics[name],
        }
    return dg.MaterializeResult(
        asset_key=["models", report.model_name],
        metadata={
            "champion": state,
            "trained": report.trained,
            "promoted": report.promoted,
            "reasons": reasons,
            **{name: dg.MetadataValue.url(link) for name, link in links.items()},
            **learned_from,
            **figures,
        },
    )
