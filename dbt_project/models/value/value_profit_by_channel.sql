{%- set fee_kinds, fee_amount = booked_results()['fee_income'] -%}

-- The linter cannot track the indentation of columns that a loop writes.
-- sqlfluff:exclude_rules:ST05,ST06,RF04,LT02
with run as (
    select * from {{ ref('base_refresh_window') }}
),

account_month as (
    select account_month.*
    from {{ ref('value_account_month') }} as account_month
    cross join run
    where account_month.month between run.month_from and run.month_to
),

sale as (
    {{ sale_by('channel') }}
),

-- What bookings bring and cost, by their channel and by the channel that sold the account.
activity as (
    select
        activity.month,
        activity.channel,
        coalesce(sale.channel, '(none)') as sold_by,
        sum(
            case when activity.kind in {{ fee_kinds }}
                then {{ fee_amount | replace('amount', 'activity.amount') }}
            else 0 end
        ) as fee_income,
        sum(activity.bookings * unit_cost.unit_cost) as direct_cost
    from {{ ref('base_account_activity') }} as activity
    cross join run
    inner join {{ ref('value_unit_cost') }} as unit_cost
        on
            activity.channel = unit_cost.channel
            and activity.kind = unit_cost.kind
            and activity.month = unit_cost.month
    left join sale
        on activity.account_id = sale.account_id and activity.month >= sale.month
    where activity.month between run.month_from and run.month_to
    group by activity.month, activity.channel, coalesce(sale.channel, '(none)')
),

part as (
    select
        channel,
        month,
        {%- for measure in additive_measures() %}
        {{ '' if measure in ['fee_income', 'direct_cost'] else '0 as ' }}{{ measure }}
        {{- "," if not loop.last }}
        {%- endfor %}
    from activity
    union all
    -- The account's rest: what no booking brings or costs. It leaves an unknown balance unknown.
    select
        sold_by as channel,
        month,
        {%- for measure in additive_measures() %}
        {{ '-' ~ measure if measure in ['fee_income', 'direct_cost'] else 'null' }} as {{ measure }}
        {{- "," if not loop.last }}
        {%- endfor %}
    from activity
    union all
    select
        coalesce(sale.channel, '(none)') as channel,
        account_month.month,
        {%- for measure in additive_measures() %}
        account_month.{{ measure }}{{ "," if not loop.last }}
        {%- endfor %}
    from account_month
    left join sale
        on account_month.account_id = sale.account_id and account_month.month >= sale.month
),

summed as (
    select
        channel,
        month,
        {%- for measure in additive_measures() %}
        sum({{ measure }}) as {{ measure }}{{ "," if not loop.last }}
        {%- endfor %}
    from part
    group by channel, month
),

-- Unit costs have four places: the channels of a month sum to whole cents.
in_cents as (
    select
        channel,
        month,
        {%- for measure in additive_measures() %}
        {% if measure == 'direct_cost' -%}
            {{ cents_of_parts(measure, 'month', 'channel') }} as direct_cost
        {%- else -%}
            {{ measure }}
        {%- endif %}{{ "," if not loop.last }}
        {%- endfor %}
    from summed
)

select
    channel,
    month,
    {{- profit_columns() }}
from in_cents
