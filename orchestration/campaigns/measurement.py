"""Measures campaigns against their controls: the schema `campaigns`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from ml.evaluation.experiment import Experiment, Strata, measure, sample_ratio, variance_reduction
from orchestration.campaigns import learning, plan_outcome, uplift_decile
from orchestration.campaigns.assignment import OF_TREATED, RESPONSE_DAYS, assign, sums_by_stratum
from orchestration.campaigns.outcome import CONTRIBUTION, OUTCOMES, RESPONSE, ROWS, SPAN, observe
from orchestration.models.cutoffs import plus_months

# With fewer responses in an arm a normal interval is a rough one (Brown, Cai and DasGupta, 2001).
FEW_RESPONSES = 5

CREATE = """
create or replace table campaigns.measurement (
    campaign_id varchar,
    campaign_name varchar,
    product_id varchar,
    product_line varchar,
    channel varchar,
    first_contact date,
    last_contact date,
    outcome varchar,
    window_days integer,
    window_months integer,
    is_complete boolean,
    treated bigint,
    control bigint,
    treated_mean double,
    control_mean double,
    effect double,
    effect_low double,
    effect_high double,
    p_value double,
    method varchar,
    effect_on_treated double,
    cuped_effect double,
    cuped_low double,
    cuped_high double,
    cuped_variance_reduction double,
    contact_cost decimal(18, 2),
    incentive_cost decimal(18, 2),
    incremental_profit decimal(18, 2),
    incremental_low decimal(18, 2),
    incremental_high decimal(18, 2),
    return_on_cost double,
    cuped_incremental_profit decimal(18, 2),
    cuped_incremental_low decimal(18, 2),
    cuped_incremental_high decimal(18, 2),
    sample_ratio_expected double,
    sample_ratio_observed double,
    sample_ratio_p double,
    is_sample_ratio_mismatch boolean,
    contaminated_treated bigint,
    contaminated_control bigint,
    in_both_arms bigint,
    note varchar,
    primary key (campaign_id, outcome)
)
"""

# Costs are those spent: on every treatment contact, and on the responses of the treated.
CAMPAIGN = f"""
    with
    contact as (
        select
            campaign_id,
            min(campaign_name) as campaign_name,
            min(product_id) as product_id,
            min(product_line) as product_line,
            min(channel) as channel,
            min(contacted_on) as first_contact,
            max(contacted_on) as last_contact,
            coalesce(sum(cost_per_contact) filter (arm = 'treatment'), 0) as contact_cost,
            coalesce(max(incentive_cost), 0) as incentive,
            max(cost_per_contact) is null as has_no_cost
        from base.campaign_contact
        where contacted_on <= $as_of
        group by campaign_id
    ),
    assigned as (
        select
            campaign_id,
            bool_and(contacted_on + {RESPONSE_DAYS} <= $as_of) as is_response_complete,
            count(*) filter (arm = 'treatment' and (is_recorded or is_opened)) as taken_treated,
            count(*) filter (arm = 'control' and (is_recorded or is_opened)) as taken_control,
            count(*) filter (arm = 'treatment' and is_recorded) as recorded_treated,
            count(*) filter (arm = 'control' and is_recorded) as recorded_control,
            count(*) filter (arm = 'treatment' and is_contaminated) as contaminated_treated,
            count(*) filter (arm = 'control' and is_contaminated) as contaminated_control,
            count(*) filter (is_in_both_arms) as in_both_arms
        from temp.campaign_assignment
        group by campaign_id
    )
    select *
    from contact
    inner join assigned using (campaign_id)
    inner join temp.campaign_window using (campaign_id)
    order by first_contact, campaign_id
"""


@dataclass(frozen=True)
class Measured:
    """One outcome of one campaign: `campaign` holds the columns of `CAMPAIGN`."""

    campaign: dict[str, Any]
    outcome: str
    strata: Strata
    experiment: Experiment
    is_complete: bool


def measure_campaigns(
    connection: duckdb.DuckDBPyConnection,
    as_of_month: date,
    predictions: pd.DataFrame | None = None,
) -> int:
    """Write `campaigns.measurement`, `uplift_decile`, `learning` and `plan_outcome`.

    From base and value, and `decisions.earlier_plan` where there is one. Nothing dated after the
    end of `as_of_month` is used; the same inputs give the same tables.

    Parameters
    ----------
    as_of_month : first day of the last month seen
    predictions : columns contact_id, predicted (uplift of the probability of response), of contacts
        the model has not learned from; without it `uplift_decile` is empty

    Returns
    -------
    rows of `campaigns.measurement`, one a campaign and outcome

    Raises
    ------
    ValueError
        For predictions that are not finite, or of a contact twice.
    """
    if predictions is not None:
        uplift_decile.check(predictions)
    as_of = plus_months(as_of_month, 1) - timedelta(days=1)
    connection.execute("create schema if not exists campaigns")
    assign(connection, as_of)
    observe(connection, as_of_month)
    measured = _measured(connection, as_of)
    write(connection, "measurement", CREATE, [_row(one) for one in measured])
    write(connection, "learning", learning.CREATE, learning.rows(_lessons(measured)))
    deciles = uplift_decile.rows(connection, predictions, as_of)
    write(connection, "uplift_decile", uplift_decile.CREATE, deciles)
    outcomes = plan_outcome.rows(connection, as_of)
    write(connection, "plan_outcome", plan_outcome.CREATE, outcomes)
    for table in ("campaign_assignment", "campaign_window", "campaign_outcome"):
        connection.execute(f"drop table temp.{table}")
    return len(measured)


def write(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    create: str,
    rows: Sequence[dict[str, Any]],
) -> None:
    """Replace a table of the schema by these rows, of the columns that it is created with."""
    connection.execute(create)
    if not rows:
        return
    # Unknown figures, NaN in the frame, become null.
    connection.register("campaign_rows", pd.DataFrame(list(rows)))
    connection.execute(f"insert into campaigns.{table} by name select * from campaign_rows")
    connection.unregister("campaign_rows")


def _measured(connection: duckdb.DuckDBPyConnection, as_of: date) -> list[Measured]:
    found = connection.execute(CAMPAIGN, {"as_of": as_of})
    names = [column[0] for column in found.description or ()]
    campaigns = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    keys = ("campaign_id", "outcome")
    sums = sums_by_stratum(connection, ROWS, keys)
    treated_sums = sums_by_stratum(connection, ROWS, keys, weight=OF_TREATED)
    by_key, treated_by_key = (
        {key: frame for key, frame in table.groupby(list(keys))} for table in (sums, treated_sums)
    )
    nothing = sums.iloc[:0]
    measured = []
    for campaign in campaigns:
        for outcome in OUTCOMES:
            key = campaign["campaign_id"], outcome
            frame = by_key.get(key, nothing)
            strata = Strata.of(frame)
            experiment = measure(
                strata,
                treated_strata=Strata.of(treated_by_key.get(key, nothing)),
                has_covariate=bool(frame["covariates"].sum() > 0),
            )
            is_over = (
                campaign["is_response_complete"]
                if outcome == RESPONSE
                else campaign["span"] >= SPAN
            )
            measured.append(Measured(campaign, outcome, strata, experiment, is_over))
    return measured


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
    incentive_cost = campaign["incentive"] * campaign["taken_treated"]
    is_response = one.outcome == RESPONSE
    return {
        **{
            name: campaign[name]
            for name in (
                *("campaign_id", "campaign_name", "product_id", "product_line", "channel"),
                *("first_contact", "last_contact", "contact_cost"),
                *("contaminated_treated", "contaminated_control", "in_both_arms"),
            )
        },
        "outcome": one.outcome,
        "window_days": RESPONSE_DAYS if is_response else None,
        "window_months": None if is_response else campaign["span"],
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
        "incentive_cost": incentive_cost,
        **_profit(one, campaign["contact_cost"] + incentive_cost),
        "sample_ratio_expected": ratio.expected,
        "sample_ratio_observed": ratio.observed,
        "sample_ratio_p": ratio.p_value,
        "is_sample_ratio_mismatch": ratio.is_mismatch if np.isfinite(ratio.p_value) else None,
        "note": "; ".join(_notes(one)) or None,
    }


def _profit(one: Measured, cost: Any) -> dict[str, Any]:
    """What the treated have brought more than they would have untreated, less the costs."""
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
    if outcome != RESPONSE and campaign["span"] < 1:
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
