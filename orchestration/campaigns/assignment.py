"""Who was assigned to which arm, by campaign; sums by stratum and arm. All by the engine."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import duckdb
import pandas as pd

RESPONSE_DAYS = 60
# More chances of treatment than these are no strata but a propensity of each customer.
MOST_STRATA = 20
# Squares of money are summed in it: a sum of doubles depends on the order of the rows.
EXACT_SQUARE = "decimal(38, 8)"
UNKNOWN, WEIGHTED = "unknown", "weighted"

# Weights that make each arm stand for all customers, or the controls for the treated.
OF_ALL = "case when arm = 'treatment' then 1 / share else 1 / (1 - share) end"
OF_TREATED = "case when arm = 'treatment' then 1 else share / (1 - share) end"

# The chance of treatment, from that of the assigned arm. Whoever is in an arm that had no chance
# has a wrong record: an unknown one. Six decimals: 1 - 0.7 is not quite 0.3.
SHARE = """
    case when {table}.assignment_probability > 0 then
        round(
            case
                when {table}.arm = 'treatment' then {table}.assignment_probability
                else 1 - {table}.assignment_probability
            end, 6
        )
    end
"""

# Intention to treat: one row a campaign and customer, by the first contact.
ASSIGNED = f"""
    create or replace temp table campaign_assignment as
    with
    contact as (
        select
            *,
            row_number() over (
                partition by campaign_id, customer_id order by contacted_on, contact_id
            ) as number,
            count(*) filter (arm = 'control') over (partition by campaign_id, customer_id)
                as controls,
            count(*) filter (arm = 'treatment') over (partition by campaign_id, customer_id)
                as treatments
        from base.campaign_contact
        where contacted_on <= $as_of
    ),
    assigned as (
        select
            contact_id,
            campaign_id,
            customer_id,
            product_id,
            contacted_on,
            month,
            arm,
            {SHARE.format(table="contact")} as share,
            controls > 0 and treatments > 0 as is_in_both_arms
        from contact
        where number = 1
    )
    select
        assigned.*,
        exists (
            from base.campaign_contact as other
            where other.customer_id = assigned.customer_id
                and other.product_id = assigned.product_id
                and other.contact_id <> assigned.contact_id
                and other.arm = 'treatment'
                and other.contacted_on <= $as_of
                and other.contacted_on
                    between assigned.contacted_on and assigned.contacted_on + {RESPONSE_DAYS}
        ) as is_contaminated,
        -- The bank's record of a response, or an account of the product: for both arms alike.
        exists (
            from base.campaign_contact as answer
            where answer.campaign_id = assigned.campaign_id
                and answer.customer_id = assigned.customer_id
                and answer.responded_on
                    between assigned.contacted_on
                    and least($as_of, assigned.contacted_on + {RESPONSE_DAYS})
        ) as is_recorded,
        exists (
            from base.account as account
            inner join base.account_holder as holder on holder.account_id = account.account_id
            where holder.customer_id = assigned.customer_id
                and holder.is_beneficial
                and account.product_id = assigned.product_id
                and account.opened_on
                    between assigned.contacted_on
                    and least($as_of, assigned.contacted_on + {RESPONSE_DAYS})
        ) as is_opened
    from assigned
"""


def assign(connection: duckdb.DuckDBPyConnection, as_of: date) -> None:
    """Make the temporary table `campaign_assignment`: campaign × customer, as known at `as_of`."""
    connection.execute(ASSIGNED, {"as_of": as_of})


def sums_by_stratum(
    connection: duckdb.DuckDBPyConnection,
    rows: str,
    keys: tuple[str, ...],
    parameters: Mapping[str, object] | None = None,
    *,
    strata_within: tuple[str, ...] = (),
    weight: str = OF_ALL,
) -> pd.DataFrame:
    """Sums of outcomes by keys, stratum and arm, as `ml.evaluation.experiment.Strata` takes them.

    Parameters
    ----------
    rows : a query with the columns of `keys` and `strata_within`, arm, share (the chance of
        treatment, null where unknown), y (outcome) and x (covariate, null where there is none)
    strata_within : columns that tell strata of one share apart
    weight : of customers with chances too many for strata

    Returns
    -------
    frame with the keys, stratum, arm, the sums, and `covariates`, the rows with a covariate
    """
    by = ", ".join(keys)
    prefix = "".join(f"{name} || ' ' || " for name in strata_within)
    return connection.execute(
        f"""
        with
        given as ({rows}),
        counted as (
            select {by}, count(distinct share) > {MOST_STRATA} as is_continuous
            from given
            group by {by}
        ),
        -- Who had no choice stays a stratum, whatever the weights of the others.
        placed as (
            select
                given.*,
                is_continuous and share > 0 and share < 1 as is_weighted
            from given
            inner join counted using ({by})
        ),
        weighted as (
            select
                *,
                {prefix}case
                    when share is null then '{UNKNOWN}'
                    when is_weighted then '{WEIGHTED}'
                    else share::varchar
                end as stratum,
                case
                    when coalesce(is_weighted, false) then ({weight})::double
                    else 1.0::double
                end as w,
                y::double as yd,
                coalesce(x, 0)::double as xd
            from placed
        )
        select
            {by},
            stratum,
            arm,
            count(*)::double as n,
            sum(w::{EXACT_SQUARE})::double as w,
            sum((w * yd)::{EXACT_SQUARE})::double as wy,
            sum((w * xd)::{EXACT_SQUARE})::double as wx,
            sum((w * w)::{EXACT_SQUARE})::double as ww,
            sum((w * w * yd)::{EXACT_SQUARE})::double as wwy,
            sum((w * w * xd)::{EXACT_SQUARE})::double as wwx,
            sum((w * w * yd * yd)::{EXACT_SQUARE})::double as wwyy,
            sum((w * w * xd * xd)::{EXACT_SQUARE})::double as wwxx,
            sum((w * w * xd * yd)::{EXACT_SQUARE})::double as wwxy,
            sum(share::{EXACT_SQUARE})::double as p,
            sum((share * (1 - share))::{EXACT_SQUARE})::double as pq,
            count(x) as covariates
        from weighted
        group by {by}, stratum, arm
        order by {by}, stratum, arm
        """,
        dict(parameters or {}),
    ).df()
