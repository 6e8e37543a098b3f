"""Promotion and rollback by a person: the checks, the audit record and its table in the release.

Nothing is trained or scored here: the next refresh scores with the champion of that time.
"""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from ml.registry import RULE, ChampionUnusable, Registry, Version
from orchestration.platform import audit
from orchestration.platform.identity import (
    OVERRIDE,
    PROMOTE,
    ROLLBACK_MODEL,
    approver_of,
    same_person,
)
from orchestration.platform.model_store import check_model_store, make_model_store
from orchestration.platform.refusal import Refused
from orchestration.platform.settings import Settings
from orchestration.platform.tables import write_table

LEAST_REASON = 10

# Tags that training leaves with a version.
TRAINER, VERDICT, REASONS, COMPARED_WITH, BOUNDS = (
    "trainer",
    "policy_verdict",
    "policy_reasons",
    "policy_champion",
    "policy_bounds",
)
PASSED, REFUSED = "passed", "refused"

# Tags that must match for a version to score here, and so to return by rollback.
MADE_FOR = ("source", "format", "horizon_months", "features", "discount_rate")

NEXT = "nothing is trained or scored; to score with it, run: make refresh TRAIN=never"


class PromotionRefused(Refused):
    """The champion stays; the message names every reason."""


@dataclass(frozen=True)
class Appointment:
    """A new champion, the version before it (empty for none), and further remarks."""

    model_name: str
    version: str
    previous_version: str
    notes: tuple[str, ...] = ()
    overridden: bool = False

    def lines(self) -> list[str]:
        before = f"before it: version {self.previous_version}" if self.previous_version else "first"
        return [
            f"champion of {self.model_name}: version {self.version} ({before})",
            *self.notes,
            NEXT,
        ]


def open_registry(settings: Settings) -> Registry:
    """The home's registry.

    Raises
    ------
    orchestration.platform.model_store.ModelStoreUnavailable
        When it does not answer.
    """
    check_model_store(settings)
    make_model_store(settings)
    return Registry(settings.mlflow_tracking_uri, settings.artifact_root)


def carry_out_promotion(
    settings: Settings,
    model: str,
    version: str,
    approver: str,
    reason: str,
    *,
    override: bool = False,
    dagster_run_id: str = "",
) -> Appointment:
    """`promote` in the home's registry, with the role that it needs and a line of the trail.

    Raises
    ------
    PromotionRefused
        As `promote`.
    orchestration.platform.refusal.Refused
        Without the role, and for an approver who is somebody else.
    """
    act = OVERRIDE if override else PROMOTE
    with audit.audited(settings, act, f"model {model} version {version}") as doing:
        signed = approver_of(settings, approver)
        doing.detail = _signed(signed, reason)
        appointment = promote(
            open_registry(settings),
            *(model, version, signed, reason),
            override=override,
            mode=settings.promotion,
            dagster_run_id=dagster_run_id,
        )
        # An override that was not needed is an ordinary promotion.
        doing.name = OVERRIDE if appointment.overridden else PROMOTE
        doing.detail = "; ".join((doing.detail, *appointment.notes))
        return appointment


def carry_out_rollback(
    settings: Settings, model: str, approver: str, reason: str, *, dagster_run_id: str = ""
) -> Appointment:
    """`roll_back` in the same way."""
    with audit.audited(settings, ROLLBACK_MODEL, f"model {model}") as doing:
        signed = approver_of(settings, approver)
        doing.detail = _signed(signed, reason)
        appointment = roll_back(
            open_registry(settings),
            *(model, signed, reason),
            mode=settings.promotion,
            dagster_run_id=dagster_run_id,
        )
        doing.subject = f"model {model} version {appointment.version}"
        return appointment


def _signed(approver: str, reason: str) -> str:
    return f"approver {approver.strip()}: {reason.strip()}"


def promote(
    registry: Registry,
    model: str,
    version: str,
    approver: str,
    reason: str,
    *,
    override: bool = False,
    mode: str = "",
    dagster_run_id: str = "",
) -> Appointment:
    """Make a version champion on a person's decision.

    The version must be registered and undamaged, and its trainer must not be the approver. The
    policy must have passed it in comparison with the current champion, unless `override` is set;
    the audit then records the override.

    Raises
    ------
    PromotionRefused
        With every reason; nothing is changed.
    """
    asked = _version(registry, model, version)
    registry.settle(model)
    standing = registry.champion(model)
    if standing is not None and standing.version == asked.version:
        raise PromotionRefused(f"model {model}: version {asked.version} is already champion")
    problems = [
        *_unsigned(approver, reason),
        *_trained_by(asked, approver),
        *_not_whole(registry, asked),
    ]
    against = _against_policy(asked, standing)
    if against and not override:
        problems.append(f"{against}; to promote it against the policy, set override")
    if problems:
        raise PromotionRefused(f"model {model}, version {asked.version}: " + "; ".join(problems))
    overridden = bool(against)
    registry.promote(
        asked,
        by=approver,
        reason=f"{reason.strip()} (override: {against})" if overridden else reason,
        event="override" if overridden else "promoted",
        mode=mode,
        dagster_run_id=dagster_run_id,
    )
    return Appointment(
        model,
        asked.version,
        standing.version if standing else "",
        (f"against the policy: {against}",) if overridden else (),
        overridden,
    )


def roll_back(
    registry: Registry,
    model: str,
    approver: str,
    reason: str,
    *,
    mode: str = "",
    dagster_run_id: str = "",
) -> Appointment:
    """Make the previous champion champion again.

    The model's trainer may approve this, too, so that a rollback is never delayed.

    Raises
    ------
    PromotionRefused
        When approver or reason are missing, or there is no former champion that may return.
    """
    if model not in registry.models():
        raise PromotionRefused(_unknown(registry, model))
    problems = _unsigned(approver, reason)
    if problems:
        raise PromotionRefused(f"model {model}: " + "; ".join(problems))
    registry.settle(model)
    standing = registry.champion(model)
    try:
        version, passed_over = registry.rollback(
            model,
            by=approver,
            reason=reason,
            alike=MADE_FOR,
            mode=mode,
            dagster_run_id=dagster_run_id,
        )
    except LookupError as error:
        raise PromotionRefused(
            f"{error}. Promote another version (make promote), or train again (make train)."
        ) from error
    return Appointment(
        model,
        version.version,
        standing.version if standing else "",
        tuple(f"passed over: {words}" for words in passed_over),
    )


def write_audit(connection: duckdb.DuckDBPyConnection, registry: Registry) -> int:
    """Write `meta.model_audit` from the registry, oldest event first; returns the rows.

    What a killed process left open is closed first, so that each row is `done` or `abandoned`.
    """
    for name in {record.model_name for record in registry.audit() if record.state == "requested"}:
        registry.settle(name)
    rows = [
        (
            *(record.model_name, record.event, record.version, record.previous_version or None),
            *(record.approver, record.reason, record.at, record.dagster_run_id or None),
            *(record.mode or None, record.state),
        )
        for record in registry.audit()
    ]
    write_table(connection, "meta.model_audit", None)
    if rows:
        connection.executemany(
            "insert into meta.model_audit values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows
        )
    return len(rows)


def _version(registry: Registry, model: str, version: str) -> Version:
    try:
        return registry.version(model, version.strip())
    except LookupError as error:
        raise PromotionRefused(str(error)) from error


def _unknown(registry: Registry, model: str) -> str:
    existing = ", ".join(registry.models()) or "none"
    return f"model {model} is not registered. Registered models: {existing}."


def _unsigned(approver: str, reason: str) -> list[str]:
    problems = []
    if not approver.strip():
        problems.append("approver is missing: expected a name")
    if len(reason.strip()) < LEAST_REASON:
        problems.append(f"reason is too short: expected at least {LEAST_REASON} characters")
    return problems


def _trained_by(version: Version, approver: str) -> list[str]:
    trainer = version.tags.get(TRAINER, "")
    if not trainer.strip():
        return ["its trainer is not recorded, so that no approver can differ from it; train again"]
    if same_person(trainer, approver):
        return [f"{approver.strip()} trained it and may not approve it"]
    return []


def _not_whole(registry: Registry, version: Version) -> list[str]:
    try:
        registry.load(version)
        # Later challengers are compared with its twin.
        registry.load_twin(version)
    except ChampionUnusable as error:
        return [str(error)]
    return []


def _against_policy(version: Version, standing: Version | None) -> str:
    verdict = version.tags.get(VERDICT)
    if verdict is None:
        return "the policy has not judged it"
    if verdict != PASSED:
        return f"the policy refused it: {version.tags.get(REASONS) or 'no reasons noted'}"
    compared_with = version.tags.get(COMPARED_WITH)
    # A version that passed has beaten the rule, whichever rule version is champion.
    if compared_with is None or standing is None or standing.kind == RULE:
        return ""
    if compared_with != standing.version:
        named = f"version {compared_with}" if compared_with else "no champion"
        return (
            f"the policy compared it with {named}, not with version {standing.version}, the "
            "current champion"
        )
    return ""
