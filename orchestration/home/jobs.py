"""The job `retain_home`, which does what `make retain` does."""

import dagster as dg
from pydantic import Field

from orchestration.platform.resources import Home
from orchestration.platform.settings import Settings

RETAIN_HOME = "retain_home"
# An op may not share the name of a job.
RETAIN_OP = "end_storage"


class Limits(dg.Config):
    """The limits themselves are settings (JINGXI_KEPT_…)."""

    dry_run: bool = Field(default=False, description="show what would be removed; remove nothing")


@dg.op(name=RETAIN_OP)
def retain_op(context: dg.OpExecutionContext, config: Limits, home: Home) -> None:
    """End the storage of what is beyond the limits."""
    from orchestration.home.retention import retain

    def end(settings: Settings) -> str:
        found = retain(settings, dry_run=config.dry_run)
        for note in found["notes"]:
            context.log.warning(note)
        freed = sum(found["before"].values()) - sum(found["after"].values())
        context.add_output_metadata(
            {
                "removed": len(found["ended"]),
                "freed_bytes": freed,
                "sizes": dg.MetadataValue.json({one: found[one] for one in ("before", "after")}),
            }
        )
        return str(freed)

    home.alone(context, end)


@dg.job(
    name=RETAIN_HOME,
    executor_def=dg.in_process_executor,
    description="Removes releases, runs, models and logs that nobody can return to any more.",
)
def retain_job() -> None:
    retain_op()
