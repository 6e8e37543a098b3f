with horizon as (
    select * from {{ ref('outcomes_cutoff_month') }}
),

cutoff as (
    select distinct
        cutoff,
        horizon
    from horizon
),

sample as (
    select * from {{ ref('outcomes_customer_sample') }}
),

open_line as (
    {%- for line in product_lines() %}
    select
        customer_id,
        month,
        '{{ line }}' as line
    from {{ ref('base_customer_month') }}
    where
        accounts_{{ line }} > 0
        and {{ in_part('customer_id') }}
        and customer_id in (select sample.customer_id from sample)
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

-- Each line held at the cut-off, and the first month at whose end it no longer is.
held as (
    select
        held.customer_id,
        horizon.cutoff,
        held.line,
        horizon.horizon,
        min(case when open_line.customer_id is null then horizon.number end) as lost_in
    from open_line as held
    inner join horizon on held.month = horizon.cutoff
    left join open_line
        on
            held.customer_id = open_line.customer_id
            and held.line = open_line.line
            and horizon.month = open_line.month
    group by held.customer_id, horizon.cutoff, held.line, horizon.horizon
),

at_risk as (
    select
        held.customer_id,
        held.cutoff,
        held.line,
        horizon.number,
        coalesce(horizon.number = held.lost_in, false) as is_lost
    from held
    inner join horizon
        on
            held.cutoff = horizon.cutoff
            and coalesce(held.lost_in, held.horizon) >= horizon.number
),

-- A margin is the margin of its parts' shares, as in value.profit_by_customer: shares of the margin
-- itself differ from it by cents.
margin as (
    select
        holder.customer_id,
        account_month.product_line as line,
        account_month.month,
        sum(
            {%- for sign, part in [
                ('', 'net_interest_margin'), ('+ ', 'fee_income'), ('- ', 'direct_cost'),
                ('- ', 'expected_loss'),
            ] %}
            {{ sign }}{{ equal_share(
                'account_month.' ~ part, 'holder.holder_count', 'holder.holder_number'
            ) }}
            {%- endfor %}
        ) as contribution
    from {{ ref('value_account_month') }} as account_month
    inner join {{ ref('base_account_holder') }} as holder
        on account_month.account_id = holder.account_id
    where
        holder.is_beneficial
        and account_month.month > (select min(cutoff.cutoff) from cutoff)
        and {{ in_part('holder.customer_id') }}
        and holder.customer_id in (select sample.customer_id from sample)
    group by holder.customer_id, account_month.product_line, account_month.month
),

earned as (
    select
        margin.customer_id,
        horizon.cutoff,
        margin.line,
        horizon.number,
        cast(margin.contribution as decimal(18, 2)) as contribution,
        {{ discounted('margin.contribution', 'horizon.discount_factor') }}
            as contribution_discounted
    from margin
    inner join horizon on margin.month = horizon.month
    inner join {{ ref('base_customer_month') }} as customer_month
        on
            margin.customer_id = customer_month.customer_id
            and horizon.cutoff = customer_month.month
)

select
    coalesce(at_risk.customer_id, earned.customer_id) as customer_id,
    coalesce(at_risk.cutoff, earned.cutoff) as cutoff,
    coalesce(at_risk.line, earned.line) as line,
    coalesce(at_risk.number, earned.number) as number,
    at_risk.line is not null as is_at_risk,
    coalesce(at_risk.is_lost, false) as is_lost,
    coalesce(earned.contribution, 0) as contribution,
    coalesce(earned.contribution_discounted, 0) as contribution_discounted
from at_risk
full outer join earned
    on
        at_risk.customer_id = earned.customer_id
        and at_risk.cutoff = earned.cutoff
        and at_risk.line = earned.line
        and at_risk.number = earned.number
