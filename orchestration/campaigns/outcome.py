"""Outcomes of assigned customers and the same from before, as temporary tables of the engine."""

from __future__ import annotations

from datetime import date

import duckdb

RESPONSE, CONTRIBUTION, BALANCE = "response", "contribution", "balance"
OUTCOMES = (RESPONSE, CONTRIBUTION, BALANCE)
# Months after the contact's that contribution is summed over, at whose end the balance stands.
SPAN = 3
# Months before the contact's whose contribution is the covariate.
LEAST_BEFORE, MOST_BEFORE = 3, 12

# The same months for all customers of a campaign: those of its last contact that are over, those
# of its first that are known.
WINDOW = f"""
    create or replace temp table campaign_window as
    select
        campaign_id,
        least({SPAN}, date_diff('month', max(month), $month::date)) as span,
        least(
            {MOST_BEFORE},
            greatest(0, date_diff(
                'month', (select min(month) from value.profit_by_customer), min(month)
            ))
        ) as months_before
    from temp.campaign_assignment
    group by campaign_id
"""

# Who has no row of a month held nothing then, earned nothing and had no balance: nobody is left out
# for what happened after the assignment.
OUTCOME = f"""
    create or replace temp table campaign_outcome as
    with
    assigned as (
        select assignment.*, span, coalesce(months_before, 0) as months_before
        from temp.campaign_assignment as assignment
        inner join temp.campaign_window using (campaign_id)
    ),
    profit as (
        select
            assigned.campaign_id,
            assigned.customer_id,
            sum(profit.contribution_margin) filter (profit.month > assigned.month) as after,
            sum(profit.contribution_margin) filter (profit.month < assigned.month) as before
        from assigned
        inner join value.profit_by_customer as profit
            on profit.customer_id = assigned.customer_id
            and profit.month <= $month
            and profit.month >= assigned.month - to_months(assigned.months_before::integer)
            and profit.month <= assigned.month + to_months(assigned.span::integer)
        group by assigned.campaign_id, assigned.customer_id
    ),
    balance as (
        select
            assigned.campaign_id,
            assigned.customer_id,
            sum(held.balance_deposits + held.balance_wealth)
                filter (held.month = assigned.month + to_months(assigned.span::integer)) as after,
            sum(held.balance_deposits + held.balance_wealth)
                filter (held.month = assigned.month - to_months(1)) as before
        from assigned
        inner join base.customer_month as held
            on held.customer_id = assigned.customer_id
            and held.month <= $month
            and held.month in (
                assigned.month + to_months(assigned.span::integer), assigned.month - to_months(1)
            )
        group by assigned.campaign_id, assigned.customer_id
    ),
    known as (
        select
            assigned.*,
            (is_recorded or is_opened)::integer as taken,
            coalesce(profit.after, 0) as contribution,
            coalesce(balance.after, 0) as balance,
            case
                when months_before >= {LEAST_BEFORE}
                    then coalesce(profit.before, 0)::double / months_before
            end as contribution_before,
            case when months_before >= 1 then coalesce(balance.before, 0)::double end
                as balance_before
        from assigned
        left join profit using (campaign_id, customer_id)
        left join balance using (campaign_id, customer_id)
    )
    select
        campaign_id, '{RESPONSE}' as outcome, arm, share,
        taken::double as y,
        -- Balances are skew: their logarithm tells more of who will take a product.
        ln(1 + greatest(0, balance_before)) as x
    from known
    union all
    select campaign_id, '{CONTRIBUTION}', arm, share, contribution::double, contribution_before
    from known
    where span > 0
    union all
    select campaign_id, '{BALANCE}', arm, share, balance::double, balance_before
    from known
    where span > 0
"""

ROWS = "select campaign_id, outcome, arm, share, y, x from temp.campaign_outcome"


def observe(connection: duckdb.DuckDBPyConnection, month: date) -> None:
    """Make the temporary tables `campaign_window` and `campaign_outcome` of the assignments, from
    months up to `month`."""
    connection.execute(WINDOW, {"month": month})
    connection.execute(OUTCOME, {"month": month})
