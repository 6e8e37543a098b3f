"""The jobs with which a person changes the champion: `promote` and `rollback_model`."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from orchestration.platform.resources import Home

if TYPE_CHECKING:
    from orchestration.models.governance import Appointment
    from orchestration.platform.settings import Settings

PROMOTE, ROLL_BACK = "promote", "rollback_model"
# An op may not share the name of a job: the webserver then loads no definition at all.
PROMOTE_OP, ROLL_BACK_OP = "promote_version", "restore_former_champion"

APPROVER = "who answers for it; with a roles file the person who runs this"
REASON = "why, in at least ten characters; kept in the audit"


class Promotion(dg.Config):
    """Which version becomes champion, on whose word."""

    model: str = Field(description="name of the registered model, such as clv")
    version: str = Field(description="number of the version in the registry")
    approver: str = Field(default="", description=f"{APPROVER}; not the one who trained it")
    reason: str = Field(description=REASON)
    override: bool = Field(
        default=False, description="promote against the policy; recorded in the audit"
    )


class Rollback(dg.Config):
    """Whose champion before the standing one returns, on whose word."""

    model: str = Field(description="name of the registered model, such as clv")
    approver: str = Field(default="", description=APPROVER)
    reason: str = Field(description=REASON)


def _carry_out(
    context: dg.OpExecutionContext, home: Home, act: "Callable[[Settings], Appointment]"
) -> None:
    appointment = home.alone(context, act)
    for line in appointment.lines():
        context.log.info(line)
    context.add_output_metadata(
        {
            "model": appointment.model_name,
            "champion": appointment.version,
            "before": appointment.previous_version or "none",
        }
    )


@dg.op(name=PROMOTE_OP, description="check, record, and make the version champion")
def promote_op(context: dg.OpExecutionContext, config: Promotion, home: Home) -> None:
    from orchestration.models import governance

    _carry_out(
        context,
        home,
        lambda settings: governance.carry_out_promotion(
            settings,
            config.model,
            config.version,
            config.approver,
            config.reason,
            override=config.override,
            dagster_run_id=context.run_id,
        ),
    )


@dg.op(name=ROLL_BACK_OP, description="check, record, and make the former champion champion again")
def rollback_op(context: dg.OpExecutionContext, config: Rollback, home: Home) -> None:
    from orchestration.models import governance

    _carry_out(
        context,
        home,
        lambda settings: governance.carry_out_rollback(
            settings,
            config.model,
            config.approver,
            config.reason,
            dagster_run_id=context.run_id,
        ),
    )


@dg.job(
    name=PROMOTE,
    executor_def=dg.in_process_executor,
    description="A person puts a version of a model in use; nothing is trained or scored.",
)
def promote_job() -> None:
    promote_op()


@dg.job(
    name=ROLL_BACK,
    executor_def=dg.in_process_executor,
    description="The model in use before returns to use; nothing is trained or scored.",
)
def rollback_job() -> None:
    rollback_op()
