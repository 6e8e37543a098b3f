"""The schedules, which are off until somebody switches them on in Dagster.

Times are UTC. The monthly refresh runs on the third, when a month's records have been delivered.
Training runs on the next day in each quarter's first month, from the features of that refresh.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import dagster as dg

from orchestration.operations.jobs import AssetJob, refresh_tags
from orchestration.platform.partitions import months_of
from orchestration.platform.releases import served
from orchestration.platform.settings import Settings

MONTHLY, QUARTERLY = "monthly_refresh", "quarterly_training"
MONTHLY_CRON, QUARTERLY_CRON = "0 3 3 * *", "0 3 4 1,4,7,10 *"


def month_due(settings: Settings, now: datetime) -> str | None:
    """The as-of month (`YYYY-MM`) of a refresh at `now`: the newest complete month, or that of the
    settings; None before the first release.

    Months in which nothing ran are rebuilt with it.
    """
    with dg.partition_loading_context(effective_dt=now):
        newest = months_of(settings).get_last_partition_key()
    if served(settings) is None or newest is None:
        return None
    return min(newest, settings.as_of) if settings.as_of else newest


def schedules(
    settings: Settings,
    refresh: AssetJob,
    train: AssetJob,
) -> list[dg.ScheduleDefinition]:
    """Both schedules, switched off."""
    return [
        dg.ScheduleDefinition(
            name=MONTHLY,
            job=refresh,
            cron_schedule=MONTHLY_CRON,
            execution_fn=_refresh_due(settings),
            default_status=dg.DefaultScheduleStatus.STOPPED,
            description="as of the newest complete month; rebuilds missed months, too",
        ),
        dg.ScheduleDefinition(
            name=QUARTERLY,
            job=train,
            cron_schedule=QUARTERLY_CRON,
            default_status=dg.DefaultScheduleStatus.STOPPED,
            description="challengers from the current features, judged by the policy",
        ),
    ]


def _refresh_due(
    settings: Settings,
) -> Callable[[dg.ScheduleEvaluationContext], dg.RunRequest | dg.SkipReason]:
    def request(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        due = month_due(settings, context.scheduled_execution_time)
        if due is None:
            return dg.SkipReason(
                f"nothing is published in {settings.home} yet. Run make refresh, which covers the "
                "whole history."
            )
        # The key prevents monthly refreshes of a source whose last month is done.
        return dg.RunRequest(run_key=due, tags=refresh_tags(due))

    return request
