"""Until when the published assets of a month must have been built."""

from __future__ import annotations

from datetime import timedelta

import dagster as dg

from orchestration.home.status import SLACK_DAYS
from orchestration.platform.settings import Settings

NOON = timedelta(hours=12)


def freshness_of(settings: Settings) -> dg.FreshnessPolicy | None:
    """A build in each month, until noon (UTC) some days after the business day of the refresh; None
    for a source that ends."""
    if settings.source != "files":
        return None
    day = settings.business_day + SLACK_DAYS
    return dg.FreshnessPolicy.cron(
        deadline_cron=f"0 12 {day} * *", lower_bound_delta=timedelta(days=day - 1) + NOON
    )


def with_freshness(
    definitions: dg.Definitions, settings: Settings, keys: list[dg.AssetKey]
) -> dg.Definitions:
    """The definitions with the policy on some of their assets."""
    policy = freshness_of(settings)
    if policy is None:
        return definitions
    due = set(keys)
    return definitions.map_asset_specs(
        func=lambda spec: dg.apply_freshness_policy(spec, policy) if spec.key in due else spec
    )
