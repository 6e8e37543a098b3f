"""The plan of an earlier refresh against what came of it."""

from __future__ import annotations

from datetime import date
from typing import Any

import duckdb
import pandas as pd

from ml.evaluation.experiment import Strata, measure
from orchestration.campaigns.assignment import OF_TREATED, SHARE, sums_by_stratum

# Days after the last of the plan's month in which contacts and openings still count as its own.
PLAN_DAYS = 60
KEYS = ("plan_month", "campaign_id")

CREATE = """
create or replace table campaigns.plan_outcome (
    plan_month date,
    campaign_id varchar,
    product_id varchar,
    status varchar,
    planned_treated bigint,
    planned_control bigint,
    contacted_treated bigint,
    contacted_control bigint,
    coverage double,
    contamination double,
    expected_responses double,
    expected_incremental_responses double,
    observed_responses bigint,
    treated_rate double,
    control_rate double,
    effect double,
    effect_low double,
    effect_high double,
    expected_incremental_profit decimal(18, 2),
    realised_incremental_profit decimal(18, 2),
    realised_low decimal(18, 2),
    realised_high decimal(18, 2),
    spent decimal(18, 2),
    note varchar,
    primary key (plan_month, campaign_id)
)
"""

# By planned arm, whatever was done. The bank may run a plan under a campaign of its own name: what
# counts is the customer and the product. An arm's chance is told as of a contact.
PLANNED = f"""
    create or replace temp table campaign_plan as
    with
    plan as (
        select
            *,
            (plan_month - interval 1 day)::date as planned_on,
            least($as_of, last_day(plan_month) + {PLAN_DAYS}) as last_day_seen
        from decisions.earlier_plan
        where plan_month <= $as_of::date
    )
    select
        plan.*,
        {SHARE.format(table="plan")} as share,
        exists (
            from base.campaign_contact as contact
            where contact.customer_id = plan.customer_id
                and contact.product_id = plan.product_id
                and contact.arm = 'treatment'
                and contact.contacted_on > plan.planned_on
                and contact.contacted_on <= plan.last_day_seen
        ) as is_contacted,
        exists (
            from base.campaign_contact as contact
            where contact.customer_id = plan.customer_id
                and contact.product_id = plan.product_id
                and contact.contacted_on > plan.planned_on
                and contact.responded_on > plan.planned_on
                and contact.responded_on <= plan.last_day_seen
        )
        or exists (
            from base.account as account
            inner join base.account_holder as holder on holder.account_id = account.account_id
            where holder.customer_id = plan.customer_id
                and holder.is_beneficial
                and account.product_id = plan.product_id
                and account.opened_on > plan.planned_on
                and account.opened_on <= plan.last_day_seen
        ) as is_taken
    from plan
"""

SUMMED = f"""
    select
        plan_month,
        campaign_id,
        case when min(product_id) = max(product_id) then min(product_id) end as product_id,
        max(last_day(plan_month)) + {PLAN_DAYS} <= $as_of as is_complete,
        count(*) filter (arm = 'treatment') as planned_treated,
        count(*) filter (arm = 'control') as planned_control,
        count(*) filter (arm = 'treatment' and is_contacted) as contacted_treated,
        count(*) filter (arm = 'control' and is_contacted) as contacted_control,
        count(*) filter (arm = 'treatment' and is_taken) as observed_responses,
        sum(p_response::decimal(38, 12)) filter (arm = 'treatment')::double as expected_responses,
        sum(uplift::decimal(38, 12)) filter (arm = 'treatment')::double
            as expected_incremental_responses,
        coalesce(sum(expected_incremental_profit) filter (arm = 'treatment'), 0)
            as expected_incremental_profit,
        coalesce(
            sum((contact_cost + p_response * incentive_cost)::decimal(38, 12))
                filter (arm = 'treatment'), 0
        )::double as expected_cost,
        coalesce(sum(contact_cost) filter (arm = 'treatment' and is_contacted), 0)
        + coalesce(sum(incentive_cost) filter (arm = 'treatment' and is_taken), 0) as spent
    from temp.campaign_plan
    group by plan_month, campaign_id
    order by plan_month, campaign_id
"""

ROWS = """
    select plan_month, campaign_id, arm, share, is_taken::double as y, null::double as x
    from temp.campaign_plan
"""


def has_earlier_plan(connection: duckdb.DuckDBPyConnection) -> bool:
    ((count,),) = connection.execute(
        "select count(*) from duckdb_tables() "
        "where schema_name = 'decisions' and table_name = 'earlier_plan' and not temporary"
    ).fetchall()
    return bool(count)


def rows(connection: duckdb.DuckDBPyConnection, as_of: date) -> list[dict[str, Any]]:
    """Rows of `campaigns.plan_outcome`; none without `decisions.earlier_plan`."""
    if not has_earlier_plan(connection):
        return []
    connection.execute(PLANNED, {"as_of": as_of})
    found = connection.execute(SUMMED, {"as_of": as_of})
    names = [column[0] for column in found.description or ()]
    plans = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    sums = sums_by_stratum(connection, ROWS, KEYS)
    treated_sums = sums_by_stratum(connection, ROWS, KEYS, weight=OF_TREATED)
    connection.execute("drop table temp.campaign_plan")
    return [
        _row(plan, strata, treated)
        for plan, strata, treated in zip(plans, _strata(sums), _strata(treated_sums), strict=True)
    ]


def _strata(sums: pd.DataFrame) -> list[Strata]:
    """By plan and campaign, in their order."""
    return [Strata.of(frame) for _, frame in sums.groupby(list(KEYS))]


def _row(plan: dict[str, Any], strata: Strata, treated_strata: Strata) -> dict[str, Any]:
    found = measure(strata, treated_strata=treated_strata, has_covariate=False)
    kept = (
        *("plan_month", "campaign_id", "product_id", "planned_treated", "planned_control"),
        *("contacted_treated", "contacted_control", "expected_responses", "observed_responses"),
        *("expected_incremental_responses", "expected_incremental_profit", "spent"),
    )
    notes = list(found.notes)
    if not plan["is_complete"]:
        notes.insert(0, f"{PLAN_DAYS} days after the plan's month are not over")
    return {
        **{name: plan[name] for name in kept},
        "status": "complete" if plan["is_complete"] else "open",
        "coverage": _share(plan["contacted_treated"], plan["planned_treated"]),
        "contamination": _share(plan["contacted_control"], plan["planned_control"]),
        "treated_rate": found.plain.treated_mean,
        "control_rate": found.plain.control_mean,
        "effect": found.plain.value,
        "effect_low": found.plain.low,
        "effect_high": found.plain.high,
        "realised_incremental_profit": _realised(plan, found.of_treated.value),
        "realised_low": _realised(plan, found.of_treated.low),
        "realised_high": _realised(plan, found.of_treated.high),
        "note": "; ".join(notes) or None,
    }


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _realised(plan: dict[str, Any], effect: float) -> float | None:
    """Additional responses at the worth that the plan gave each, less what was spent.

    The plan's worth of an additional response is its expected profit before costs over the
    additional responses it expected.
    """
    expected = plan["expected_incremental_responses"]
    if not expected or expected <= 0:
        return None
    worth = (float(plan["expected_incremental_profit"]) + plan["expected_cost"]) / expected
    return effect * plan["planned_treated"] * worth - float(plan["spent"])
