"""Models: trained where no champion fits, compared on a later period, promoted or not."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import dagster as dg

from orchestration import builds
from orchestration.resources import Home

if TYPE_CHECKING:
    from orchestration.models.registration import TrainingReport

CLV, RESPONSE = (dg.AssetKey(["models", name]) for name in ("clv", "response"))
MODELS = (CLV, RESPONSE)


def models_assets(
    features: Sequence[dg.AssetKey], value: Sequence[dg.AssetKey], contacts: dg.AssetKey
) -> dg.AssetsDefinition:
    """The registered models as one step: the gate after it judges them together."""

    def spec(key: dg.AssetKey, deps: Sequence[dg.AssetKey], description: str) -> dg.AssetSpec:
        return dg.AssetSpec(
            key,
            deps=list(deps),
            group_name="models",
            kinds={"mlflow", "scikitlearn"},
            description=description,
        )

    @dg.multi_asset(
        name="models_layer",
        specs=[
            spec(
                CLV,
                [*features, *value],
                "customer lifetime value: contribution margin of the next months",
            ),
            spec(
                RESPONSE,
                [*features, contacts],
                "calibrated probability of response to an offer, when contacted",
            ),
        ],
    )
    def models(context: dg.AssetExecutionContext, home: Home) -> Iterator[dg.MaterializeResult]:
        from orchestration import ahead
        from orchestration.models.training import train_clv, train_response

        ahead.finish()
        ahead.make_model_store(home.settings)
        with builds.build(home, "models", context.run_id) as connection:
            training = home.training(connection, context.run_id)
            reports = (train_clv(connection, training), train_response(connection, training))
        for key, report in zip(MODELS, reports, strict=True):
            yield _said(context, key, report)

    return models


def _said(
    context: dg.AssetExecutionContext, key: dg.AssetKey, report: "TrainingReport"
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
            **figures,
        },
    )
