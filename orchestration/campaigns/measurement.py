"""Measures campaigns against their controls: the schema `campaigns`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from ml.evaluation.experiment import Experiment, Strata, measure, sample_ratio, variance_reduction
from orchestration.campaigns import learning, plan_outcome, playbook, uplift_decile
from orchestration.campaigns.sums import NO_SUMS, rows_of, sums_by
from orchestration.platform.tables import write_table

RESPONSE, CONTRIBUTION, BALANCE = "response", "contribution", "balance"
OUTCOMES = (RESPONSE, CONTRIBUTION, BALANCE)
# With fewer responses in an arm a normal interval is a rough one (Brown, Cai and DasGupta, 2001).
FEW_RESPONSES = 5


@dataclass(frozen=True)
class Measured:
    """One outcome of one campaign: `campaign` is a row of `campaigns.campaign`."""

    campaign: dict[str, Any]
    outcome: str
    strata: Strata
    experiment: Experiment
    is_complete: bool


def measure_campaigns(connection: duckdb.DuckDBPyConnection) -> int:
    """Write `campaigns.measurement`, `learning`, `playbook`, `uplift_decile` and `plan_outcome`.

    From the sums that dbt has built in the same schema. Returns the rows of
    `campaigns.measurement`, one a campaign and outcome.
    """
    measured = list(_measured(connection))
    frame = _frame([_row(one) for one in measured])
    if frame is not None:
        # Windows are of days or of months: a column with gaps would be one of floats.
        frame = frame.astype({"window_days": "Int64", "window_months": "Int64"})
    written = write_table(connection, "campaigns.measurement", frame)
    lessons = learning.rows(_lessons(measured))
    write_table(connection, "campaigns.learning", _frame(lessons))
    mismatched = {
        one.campaign["campaign_id"] for one in measured if sample_ratio(one.strata).is_mismatch
    }
    guide = _frame(playbook.rows(connection, mismatched))
    if guide is not None:
        guide = guide.astype(dict.fromkeys(playbook.COUNTS, "Int64"))
    write_table(connection, "campaigns.playbook", guide)
    write_table(connection, "campaigns.uplift_decile", _frame(uplift_decile.rows(connection)))
    write_table(connection, "campaigns.plan_outcome", _frame(plan_outcome.rows(connection)))
    return written


def _frame(rows: Sequence[dict[str, Any]]) -> pd.DataFrame | None:
    return pd.DataFrame(list(rows)) if rows else None


def _measured(connection: duckdb.DuckDBPyConnection) -> Iterator[Measured]:
    sums = sums_by(connection, "campaigns.outcome_sum", ("campaign_id", "outcome"))
    for campaign in rows_of(connection, "campaigns.campaign", ("first_contact", "campaign_id")):
        for outcome in OUTCOMES:
            one = sums.get((campaign["campaign_id"], outcome), NO_SUMS)
            experiment = measure(
                one.of_all, treated_strata=one.of_treated, has_covariate=one.has_covariate
            )
            kind = "response" if outcome == RESPONSE else "outcome"
            is_over = campaign[f"is_{kind}_complete"]
            yield Measured(campaign, outcome, one.of_all, experiment, is_over)


def _lessons(measured: Iterable[Measured]) -> list[learning.Lesson]:
    """Completed effects in order of time, the covariate's noise taken out where there is one."""
    lessons = []
    for one in measured:
        effect = one.experiment.adjusted
        if not np.isfinite(effect.variance):
            effect = one.experiment.plain
        if one.is_complete and effect.variance > 0:
            lessons.append(learning.Lesson(one.campaign, one.outcome, effect))
    return lessons


def _row(one: Measured) -> dict[str, Any]:
    campaign, experiment = one.campaign, one.experiment
    plain, adjusted = experiment.plain, experiment.adjusted
    ratio = sample_ratio(one.strata)
    is_response = one.outcome == RESPONSE
    return {
        **{
            name: campaign[name]
            for name in (
                *("campaign_id", "campaign_name", "product_id", "product_line", "channel"),
                *("first_contact", "last_contact", "contact_cost", "incentive_cost"),
                *("contaminated_treated", "contaminated_control", "in_both_arms"),
            )
        },
        "outcome": one.outcome,
        "window_days": campaign["window_days"] if is_response else None,
        "window_months": None if is_response else campaign["window_months"],
        "is_complete": one.is_complete,
        "treated": experiment.treated,
        "control": experiment.control,
        "treated_mean": plain.treated_mean,
        "control_mean": plain.control_mean,
        "effect": plain.value,
        "effect_low": plain.low,
        "effect_high": plain.high,
        "p_value": plain.p_value,
        "method": experiment.method,
        "effect_on_treated": experiment.of_treated.value,
        "cuped_effect": adjusted.value,
        "cuped_low": adjusted.low,
        "cuped_high": adjusted.high,
        "cuped_variance_reduction": variance_reduction(plain, adjusted),
        **_profit(one, campaign["contact_cost"] + campaign["incentive_cost"]),
        "sample_ratio_expected": ratio.expected,
        "sample_ratio_observed": ratio.observed,
        "sample_ratio_p": ratio.p_value,
        "is_sample_ratio_mismatch": ratio.is_mismatch if np.isfinite(ratio.p_value) else None,
        "note": "; ".join(_notes(one)) or None,
    }


def _profit(one: Measured, cost: Any) -> dict[str, Any]:
    """Additional profit of the treated over no treatment, less the costs."""
    if one.outcome != CONTRIBUTION:
        return {}
    treated, spent = one.experiment.treated, float(cost)
    plain, adjusted = one.experiment.of_treated, one.experiment.adjusted_of_treated
    return {
        "incremental_profit": plain.value * treated - spent,
        "incremental_low": plain.low * treated - spent,
        "incremental_high": plain.high * treated - spent,
        "return_on_cost": (plain.value * treated - spent) / spent if spent > 0 else None,
        "cuped_incremental_profit": adjusted.value * treated - spent,
        "cuped_incremental_low": adjusted.low * treated - spent,
        "cuped_incremental_high": adjusted.high * treated - spent,
    }


def _notes(one: Measured) -> Iterable[str]:
    campaign, outcome = one.campaign, one.outcome
    if outcome != RESPONSE and campaign["window_months"] < 1:
        yield "no month after the last contact's is over"
        return
    if not one.is_complete:
        yield "the window is still running"
    yield from one.experiment.notes
    if sample_ratio(one.strata).is_mismatch:
        yield "arms are not of the sizes assigned: the effect is not to be trusted"
    if not one.experiment.plain.variance > 0 and one.experiment.method != "none":
        yield "no variation: no interval"
    if outcome == RESPONSE:
        yield from _response_notes(campaign, one.experiment)
    if outcome == CONTRIBUTION and campaign["has_no_cost"]:
        yield "no cost per contact delivered: taken as nothing"


def _response_notes(campaign: dict[str, Any], experiment: Experiment) -> Iterable[str]:
    if campaign["recorded_treated"] and experiment.control and not campaign["recorded_control"]:
        yield (
            "no response of a control was delivered: were they not recorded, the effect is too high"
        )
    if min(campaign["taken_treated"], campaign["taken_control"]) < FEW_RESPONSES:
        yield f"less than {FEW_RESPONSES} responses in an arm: the interval is rough"
