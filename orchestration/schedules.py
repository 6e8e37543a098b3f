"""When things run by themselves: nothing, until a person switches a schedule on in Dagster.

Times are UTC. The monthly refresh is on the third: by then a month's records have been delivered.
Training follows on the next day of each quarter, from the features of that refresh.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import (
    UnresolvedAssetJobDefinition,
)

from orchestration.engine import connect
from orchestration.jobs import range_tags
from orchestration.partitions import last_day, months_of
from orchestration.release.publish import served
from orchestration.settings import Settings

MONTHLY, QUARTERLY = "monthly_refresh", "quarterly_training"
MONTHLY_CRON, QUARTERLY_CRON = "0 3 3 * *", "0 3 4 1,4,7,10 *"


def months_due(settings: Settings, now: datetime) -> tuple[str, str] | None:
    """First and last month (`YYYY-MM`) that a refresh at `now` is to cover; None before the first
    release, which must cover the whole history.

    The last is the newest complete month, or the as-of month of the settings. The first is the same
    one, or an earlier one that the served release lacks: a month in which nothing ran.
    """
    current = served(settings)
    with dg.partition_loading_context(effective_dt=now):
        newest = months_of(settings).get_last_partition_key()
    if current is None or newest is None:
        return None
    end = min(newest, settings.as_of) if settings.as_of else newest
    with connect(settings, current, read_only=True) as connection:
        ((held,),) = connection.execute("select as_of from meta.release").fetchall()
    return min(_after(held), end), end


def schedules(
    settings: Settings,
    refresh: UnresolvedAssetJobDefinition,
    train: UnresolvedAssetJobDefinition,
) -> list[dg.ScheduleDefinition]:
    """Both schedules, switched off."""
    return [
        dg.ScheduleDefinition(
            name=MONTHLY,
            job=refresh,
            cron_schedule=MONTHLY_CRON,
            execution_fn=_refresh_due(settings),
            default_status=dg.DefaultScheduleStatus.STOPPED,
            description="the newest complete month, and those missed before it, in one run",
        ),
        dg.ScheduleDefinition(
            name=QUARTERLY,
            job=train,
            cron_schedule=QUARTERLY_CRON,
            default_status=dg.DefaultScheduleStatus.STOPPED,
            description="challengers from the features as they stand, judged by the policy",
        ),
    ]


def _refresh_due(
    settings: Settings,
) -> Callable[[dg.ScheduleEvaluationContext], dg.RunRequest | dg.SkipReason]:
    def request(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        due = months_due(settings, context.scheduled_execution_time)
        if due is None:
            return dg.SkipReason(
                f"nothing is published in {settings.home} yet; the first refresh covers the whole "
                "history: make refresh"
            )
        # The key keeps a source that has ended from being refreshed every month anew.
        return dg.RunRequest(run_key=":".join(due), tags=range_tags(*due))

    return request


def _after(month: str) -> str:
    following: date = last_day(month) + timedelta(days=1)
    return f"{following:%Y-%m}"
