"""The Dagster code location: merges the stages, nothing else."""

from __future__ import annotations

import dagster as dg

from orchestration.alerts.assets import ALERTS, alerts_assets, customer_scores_assets
from orchestration.alerts.checks import scores_gate
from orchestration.base.assets import base_assets
from orchestration.base.checks import base_gate
from orchestration.campaigns.assets import PUBLISHED, campaign_inputs, campaigns_assets
from orchestration.contacts.assets import contacts_assets
from orchestration.customer_page.job import customer_page_job
from orchestration.decisions.assets import PLAN, lists_assets, plan_assets
from orchestration.decisions.checks import decisions_gate
from orchestration.features.assets import features_assets
from orchestration.home.jobs import retain_job
from orchestration.landing.assets import landing_assets
from orchestration.landing.checks import landing_gate
from orchestration.models.assets import models_assets
from orchestration.models.checks import models_gate
from orchestration.models.jobs import promote_job, rollback_job
from orchestration.operations.arrivals import check_job
from orchestration.operations.freshness import with_freshness
from orchestration.operations.jobs import limit, refresh_job, train_job
from orchestration.operations.schedules import schedules
from orchestration.operations.sensors import sensors
from orchestration.platform import environment
from orchestration.platform.dbt import dbt_resource, manifest_of, models_of
from orchestration.platform.executors import executor_of
from orchestration.platform.partitions import months_of
from orchestration.platform.progress import progress_logger
from orchestration.platform.reference import prepare_reference
from orchestration.platform.resources import Home
from orchestration.platform.settings import Settings, read_settings
from orchestration.portal.assets import portal_asset
from orchestration.portal.links import with_links
from orchestration.release.assets import release_asset
from orchestration.release.jobs import approve_job, override_job, reject_job
from orchestration.release.jobs import rollback_job as rollback_release_job
from orchestration.scores.assets import PUBLISHED as SCORES
from orchestration.scores.assets import scores_assets
from orchestration.value.assets import value_assets
from orchestration.value.checks import value_gate


def build_definitions(settings: Settings) -> dg.Definitions:
    """All stages and gates over the months of the settings' source."""
    environment.prepare(settings)
    prepare_reference(settings)
    manifest = manifest_of(settings)
    months = months_of(settings)
    published = [
        key
        for layer in ("base", "value", "features", "decisions", "contacts")
        for key in models_of(manifest, layer)
    ] + [*SCORES, *ALERTS, *PUBLISHED, *PLAN]
    refresh, train = refresh_job(settings, months), train_job(settings)
    check = check_job(limit(settings))
    release = release_asset(published)
    definitions = dg.Definitions(
        assets=[
            landing_assets(months),
            base_assets(manifest, months),
            value_assets(manifest, months),
            features_assets(manifest, months),
            models_assets(),
            scores_assets(),
            alerts_assets(),
            customer_scores_assets(manifest, months),
            campaign_inputs(),
            contacts_assets(manifest, months),
            campaigns_assets(),
            plan_assets(),
            lists_assets(manifest, months),
            release,
            portal_asset(release.key),
        ],
        asset_checks=[
            landing_gate(),
            base_gate(manifest),
            value_gate(manifest),
            models_gate(),
            scores_gate(),
            decisions_gate(),
        ],
        jobs=[
            *(refresh, train, check, promote_job, rollback_job, customer_page_job),
            *(approve_job, reject_job, rollback_release_job, override_job, retain_job),
        ],
        schedules=schedules(settings, refresh, train),
        sensors=sensors(settings, (refresh, train, check)),
        resources={"home": Home(), "dbt": dbt_resource()},
        loggers={"progress": progress_logger, "console": dg.colored_console_logger},
        executor=executor_of(settings),
    )
    due = with_freshness(definitions, settings, [*published, *release.keys])
    return with_links(due, settings)


@dg.definitions
def defs() -> dg.Definitions:
    """Builds the definitions when Dagster loads the code location, not at import."""
    return build_definitions(read_settings())
