"""Models: trained where no champion fits, compared on a later period, promoted or not."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import dagster as dg

from orchestration.platform import build_numbers
from orchestration.platform.asset_metadata import COLUMN_SCHEMA, ROW_COUNT, team
from orchestration.platform.model_store import check_model_store, pages
from orchestration.platform.resources import Home

if TYPE_CHECKING:
    from ml.registry import Registry
    from orchestration.models.registration import TrainingReport

# Each registered model, in the order of training, and what it says.
DESCRIPTIONS = {
    "clv": "customer lifetime value: discounted contribution margin of the months to come",
    "attrition": "probability of leaving, of the customer and of each product line",
    "default": "calibrated probability of a borrower's default, month by month",
    "high_value": "probability of coming into the top value tier",
    "segment": "customers alike in value, behaviour and stage of life",
    "response": "calibrated probability of response to an offer, when contacted",
    "uplift": "what a contact adds to the probability of taking an offer",
    "product_value": "what a product brings in the year after it was taken",
}
# Learned from contacts, not from profit.
OF_CONTACTS = ("response", "uplift")
# The market's rates as known before a contact.
MARKET = dg.AssetKey(["value", "transfer_curve"])
MODELS = tuple(dg.AssetKey(["models", name]) for name in DESCRIPTIONS)


def models_assets(
    features: Sequence[dg.AssetKey], value: Sequence[dg.AssetKey], contacts: dg.AssetKey
) -> dg.AssetsDefinition:
    """The registered models as one step: the gate after it judges them together."""

    @dg.multi_asset(
        name="models_layer",
        specs=[
            dg.AssetSpec(
                key,
                deps=[*features, contacts, MARKET] if name in OF_CONTACTS else [*features, *value],
                group_name="models",
                kinds={"mlflow", "scikitlearn"},
                owners=team("modelling"),
                description=description,
            )
            for key, (name, description) in zip(MODELS, DESCRIPTIONS.items(), strict=True)
        ],
    )
    def models(context: dg.AssetExecutionContext, home: Home) -> Iterator[dg.MaterializeResult]:
        # Imported here: the code location must load without scikit-learn and MLflow.
        from orchestration.models.context import training_context
        from orchestration.models.governance import write_audit
        from orchestration.models.monitoring import monitor
        from orchestration.models.records import Records
        from orchestration.models.studies import studies_of
        from orchestration.models.training import train
        from orchestration.platform import ahead

        ahead.finish()
        check_model_store(home.settings)
        ahead.make_model_store(home.settings)
        with build_numbers.build(home, "models", context.run_id) as connection:
            training = training_context(connection, home.settings, context.run_id, context.run.tags)
            registry = training.registry()
            records = Records(connection, training)
            studies = studies_of(records, registry)
            reports = train(connection, training, registry, studies)
            monitor(connection, records, registry, studies)
            write_audit(connection, registry)
            base = pages(home.settings)
            runs = [
                registry.run_address(report.run_id, base) if report.run_id else None
                for report in reports
            ]
        for key, report, run in zip(MODELS, reports, runs, strict=True):
            yield _said(context, key, report, run, _learned_from(registry, report))

    return models


def _learned_from(
    registry: "Registry", report: "TrainingReport"
) -> dict[str, int | dg.TableSchema]:
    """What the champion has learned from; nothing where the model is off."""
    rows, columns = 0, dict[str, str]()
    if report.version is not None:
        rows, columns = registry.learned_from(registry.version(report.model_name, report.version))
    schema = dg.TableSchema([dg.TableColumn(name, kind) for name, kind in columns.items()])
    return {ROW_COUNT: rows, COLUMN_SCHEMA: schema}


def _said(
    context: dg.AssetExecutionContext,
    key: dg.AssetKey,
    report: "TrainingReport",
    run: str | None,
    learned_from: Mapping[str, int | dg.TableSchema],
) -> dg.MaterializeResult:
    state = f"version {report.version} ({report.kind})" if report.version else "off"
    message = f"{report.model_name}: {state}; {'; '.join(report.reasons)}"
    if report.version is None or report.kind == "rule":
        context.log.warning(message)
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
        asset_key=key,
        metadata={
            "champion": state,
            "trained": report.trained,
            "promoted": report.promoted,
            "reasons": "; ".join(report.reasons),
            **({"mlflow_run": dg.MetadataValue.url(run)} if run else {}),
            **learned_from,
            **figures,
        },
    )
