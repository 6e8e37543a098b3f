"""The jobs with which a person decides what readers see: `approve_release`, `reject_release`,
`rollback_release` and `override_gate`."""

from collections.abc import Callable

import dagster as dg
from pydantic import Field

from orchestration.platform.resources import Home
from orchestration.platform.settings import Settings

APPROVE, REJECT, ROLL_BACK = "approve_release", "reject_release", "rollback_release"
# An op may not share the name of a job.
APPROVE_OP, REJECT_OP = "serve_release_that_waits", "remove_release_that_waits"
ROLL_BACK_OP = "serve_earlier_release"
OVERRIDE, OVERRIDE_OP = "override_gate", "accept_failed_rule"


class Decision(dg.Config):
    """On whose word the release that waits is served or removed."""

    release_id: str = Field(default="", description="the release that waits; empty: whichever does")
    approver: str = Field(
        default="",
        description="who answers for it, not the one who ran the refresh; with a roles file the "
        "person who runs this",
    )
    reason: str = Field(description="why, in at least ten characters; kept in the audit")


class Target(dg.Config):
    """The release to serve again."""

    release_id: str = Field(default="", description="empty: the release before the served one")


class GateOverride(dg.Config):
    """Which failed rule is accepted, until when and on whose word."""

    rule: str = Field(
        description="as the gate report names it: G1/landing_quarantine.above_tolerance"
    )
    table: str = Field(
        default="", description="table, model or column, where the rule is about several"
    )
    bound: str = Field(default="", description="figure up to which it may fail; empty: any")
    expires: str = Field(default="", description="last day, YYYY-MM-DD, at most 92 days ahead")
    approver: str = Field(
        default="",
        description="who answers for it, not the one who runs the refresh; with a roles file the "
        "person who runs this",
    )
    reason: str = Field(
        default="", description="why, in at least ten characters; kept in the audit"
    )
    withdraw: bool = Field(default=False, description="end the override instead")


def _carry_out(context: dg.OpExecutionContext, home: Home, act: Callable[[Settings], str]) -> None:
    context.add_output_metadata({"release_id": home.alone(context, act)})


@dg.op(name=APPROVE_OP)
def approve_op(context: dg.OpExecutionContext, config: Decision, home: Home) -> None:
    """Check, record and serve the release; its lists are exported."""
    from orchestration.release import approval

    def serve(settings: Settings) -> str:
        path = approval.approve(settings, config.release_id or None, config.approver, config.reason)
        approval.follow(settings, path, context.log.warning)
        return path.stem

    _carry_out(context, home, serve)


@dg.op(name=REJECT_OP)
def reject_op(context: dg.OpExecutionContext, config: Decision, home: Home) -> None:
    """Check, record and remove the release."""
    from orchestration.release import approval

    _carry_out(
        *(context, home),
        lambda settings: approval.reject(
            settings, config.release_id or None, config.approver, config.reason
        ),
    )


@dg.op(name=ROLL_BACK_OP)
def rollback_op(context: dg.OpExecutionContext, config: Target, home: Home) -> None:
    """Check, record and serve the release."""
    from orchestration.platform.releases import roll_back

    _carry_out(
        *(context, home), lambda settings: roll_back(settings, config.release_id or None).stem
    )


@dg.op(name=OVERRIDE_OP)
def override_op(context: dg.OpExecutionContext, config: GateOverride, home: Home) -> None:
    """Check and record the override, or its end."""
    from orchestration.release import gate_overrides

    asked = gate_overrides.Asked(**config.model_dump(exclude={"withdraw"}))
    act = gate_overrides.withdraw if config.withdraw else gate_overrides.override
    covered = home.alone(context, lambda settings: act(settings, asked))
    context.add_output_metadata({"rule": covered, "withdrawn": config.withdraw})


@dg.job(
    name=APPROVE,
    executor_def=dg.in_process_executor,
    description="A person approves the release that waits; readers see it from then on.",
)
def approve_job() -> None:
    approve_op()


@dg.job(
    name=REJECT,
    executor_def=dg.in_process_executor,
    description="A person rejects the release that waits; readers keep the one before.",
)
def reject_job() -> None:
    reject_op()


@dg.job(
    name=ROLL_BACK,
    executor_def=dg.in_process_executor,
    description="Readers get an earlier release again; nothing is built.",
)
def rollback_job() -> None:
    rollback_op()


@dg.job(
    name=OVERRIDE,
    executor_def=dg.in_process_executor,
    description="A person accepts for a limited time that a rule of a gate fails.",
)
def override_job() -> None:
    override_op()
