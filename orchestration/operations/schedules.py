"""The schedules, which are off until somebody switches them on in Dagster.

Times are UTC. The monthly refresh is due on a business day (`JINGXI_BUSINESS_DAY`, the third by
default), when a month's records have been delivered. Training is due on the next one in each
quarter's first month, from the features of that refresh. Both look every morning, so that a day on
which nothing ran is made up for; their run keys name the month and the quarter. Storage ends on
Sundays.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import dagster as dg

from orchestration.home.jobs import retain_job
from orchestration.operations.business_days import business_day, holidays_of
from orchestration.operations.jobs import AssetJob, refresh_tags
from orchestration.platform.partitions import months_of
from orchestration.platform.releases import served
from orchestration.platform.settings import Settings

MONTHLY, QUARTERLY, WEEKLY = "monthly_refresh", "quarterly_training", "weekly_retention"
MONTHLY_CRON, QUARTERLY_CRON, WEEKLY_CRON = "0 3 * * *", "0 3 * 1,4,7,10 *", "0 2 * * 0"


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
    """All schedules, switched off."""
    return [
        dg.ScheduleDefinition(
            name=MONTHLY,
            job=refresh,
            cron_schedule=MONTHLY_CRON,
            execution_fn=_refresh_due(settings),
            default_status=dg.DefaultScheduleStatus.STOPPED,
            description="Each month: refreshes as of the newest complete month and rebuilds missed "
            f"ones. Due from business day {settings.business_day} on.",
        ),
        dg.ScheduleDefinition(
            name=QUARTERLY,
            job=train,
            cron_schedule=QUARTERLY_CRON,
            execution_fn=_training_due(settings),
            default_status=dg.DefaultScheduleStatus.STOPPED,
            description="Each quarter: candidates for the models, compared with those in use.",
        ),
        dg.ScheduleDefinition(
            name=WEEKLY,
            job=retain_job,
            cron_schedule=WEEKLY_CRON,
            default_status=dg.DefaultScheduleStatus.STOPPED,
            description="Each Sunday: removes what is beyond the limits (JINGXI_KEPT_…).",
        ),
    ]


def _refresh_due(
    settings: Settings,
) -> Callable[[dg.ScheduleEvaluationContext], dg.RunRequest | dg.SkipReason]:
    def request(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        waiting = _waiting(settings, context.scheduled_execution_time, settings.business_day)
        if waiting is not None:
            return waiting
        due = month_due(settings, context.scheduled_execution_time)
        if due is None:
            return dg.SkipReason(
                f"nothing is published in {settings.home} yet. Run make refresh, which covers the "
                "whole history."
            )
        # The key prevents monthly refreshes of a source whose last month is done.
        return dg.RunRequest(run_key=due, tags=refresh_tags(due))

    return request


def _training_due(
    settings: Settings,
) -> Callable[[dg.ScheduleEvaluationContext], dg.RunRequest | dg.SkipReason]:
    def request(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        now = context.scheduled_execution_time
        waiting = _waiting(settings, now, settings.business_day + 1)
        return waiting or dg.RunRequest(run_key=f"{now.year}-Q{(now.month + 2) // 3}")

    return request


def _waiting(settings: Settings, now: datetime, number: int) -> dg.SkipReason | None:
    """Why nothing is due before a business day of the month; None from that day on."""
    day = business_day(now.date(), number, holidays_of(settings))
    if now.date() >= day:
        return None
    return dg.SkipReason(f"due on {day}, business day {number} of the month")
