"""Server mode: Dagster's queue, which writes on each run who launched it.

`gateway` passes the headers of the proxy on to Dagster's webserver, whose run coordinator checks
them again.
"""

from __future__ import annotations

from typing import Any

import dagster as dg
from dagster import QueuedRunCoordinator, SubmitRunContext

from orchestration.platform import identity
from orchestration.platform.settings import read_settings
from orchestration.platform.sign_in import SECRET_HEADER, USER_HEADER, signed_in

USER_TAG = "jingxi/user"


class SignedInRunCoordinator(QueuedRunCoordinator[Any]):
    """Writes the tag `USER_TAG` before a run waits in the queue.

    A process that has the proxy's secret, the webserver, takes runs of people who signed in alone.
    The daemon's runs (schedules, sensors, backfills) are those of the account that it runs as,
    whatever tags were asked for.
    """

    def submit_run(self, context: SubmitRunContext) -> dg.DagsterRun:
        settings = read_settings()
        if settings.proxy_secret is None:
            name = identity.operating_system_user()
        else:
            name = signed_in(
                settings,
                context.get_request_header(USER_HEADER),
                context.get_request_header(SECRET_HEADER),
            )
        self._instance.add_run_tags(context.dagster_run.run_id, {USER_TAG: name})
        return super().submit_run(context)


def launcher(instance: dg.DagsterInstance, run: dg.DagsterRun | None) -> str | None:
    """The person who signed in and launched a run; None outside server mode, where anybody may
    write the tag."""
    if run is None or not isinstance(instance.run_coordinator, SignedInRunCoordinator):
        return None
    return run.tags.get(USER_TAG)
