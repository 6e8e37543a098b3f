{#- Trailing windows in months; the months of a customer are contiguous, so rows are months. -#}
{%- set spans = [1, 3, 6, 12] -%}

{#- Columns summed over trailing windows: column → spans. -#}
{%- set trailing_counts = {'bookings': spans} -%}
{%- for count in channel_counts() %}
    {%- do trailing_counts.update({count: [3, 12]}) %}
{%- endfor %}
{%- for count in group_counts() %}
    {%- do trailing_counts.update({count: [3, 12]}) %}
{%- endfor %}
{%- for line in product_lines() %}
    {%- do trailing_counts.update({'opened_' ~ line: [1, 3, 12]}) %}
{%- endfor %}
{%- do trailing_counts.update({
    'accounts_opened': [1, 3, 12], 'accounts_closed': [3, 12], 'contacts': [3, 12],
    'responses': [12], 'interactions': [3, 12], 'complaints': [3, 12], 'months_with_income': [12],
}) -%}
{%- set value_measures = [
    'contribution_margin', 'net_interest_margin', 'fee_income', 'direct_cost', 'expected_loss',
] -%}
{%- set trailing_amounts = {
    'inflow': spans, 'outflow': spans, 'income': [1, 3, 12], 'card_payments': [1, 3, 12],
    'cash_withdrawals': [3, 12], 'loan_repayments': [3, 12], 'wealth_invested': [3, 12],
} -%}
{%- for measure in value_measures %}
    {%- do trailing_amounts.update({measure: spans}) %}
{%- endfor %}
{%- for line in product_lines() %}
    {%- do trailing_amounts.update({'contribution_' ~ line: [3, 12]}) %}
{%- endfor %}

-- The linter cannot track the indentation of columns that a loop writes.
-- sqlfluff:exclude_rules:ST05,ST06,RF04,LT02
with run as (
    select * from {{ ref('base_refresh_window') }}
),

contribution_by_line as (
    select
        holder.customer_id,
        account_month.month,
        {%- for line in product_lines() %}
        sum(
            case
                when account_month.product_line = '{{ line }}'
                    then {{ equal_share(
                        'account_month.contribution_margin', 'holder.holder_count',
                        'holder.holder_number'
                    ) }}
                else 0
            end
        ) as contribution_{{ line }}{{ "," if not loop.last }}
        {%- endfor %}
    from {{ ref('value_account_month') }} as account_month
    inner join {{ ref('base_account_holder') }} as holder
        on account_month.account_id = holder.account_id
    cross join run
    where
        holder.is_beneficial
        and {{ in_part('holder.customer_id') }}
        and account_month.month between {{ months_later('run.month_from', -12) }} and run.month_to
    group by holder.customer_id, account_month.month
),

customer_month as (
    select
        customer_month.*,
        last_day(customer_month.month) as month_end,
        case when customer_month.income > 0 then 1 else 0 end as months_with_income,
        {%- for line in product_lines() %}
        coalesce(by_line.contribution_{{ line }}, 0) as contribution_{{ line }},
        {%- endfor %}
        {%- for measure in value_measures %}
        coalesce(profit.{{ measure }}, 0) as {{ measure }}{{ "," if not loop.last }}
        {%- endfor %}
    from {{ ref('base_customer_month') }} as customer_month
    cross join run
    left join {{ ref('value_profit_by_customer') }} as profit
        on
            customer_month.customer_id = profit.customer_id
            and customer_month.month = profit.month
    left join contribution_by_line as by_line
        on
            customer_month.customer_id = by_line.customer_id
            and customer_month.month = by_line.month
    where
        customer_month.month between {{ months_later('run.month_from', -12) }} and run.month_to
        and {{ in_part('customer_month.customer_id') }}
        and not {{ is_erased('customer_month.customer_id') }}
),

-- Only decimals and integers are summed: exact, so that a month refreshed alone is the same.
windowed as (
    select
        customer_id,
        month,
        month_end,
        accounts,
        joint_accounts,
        authorised_accounts,
        {%- for line in product_lines() %}
        accounts_{{ line }},
        balance_{{ line }},
        sum(average_{{ line }}) over last_3 as average_{{ line }}_3m,
        sum(average_{{ line }}) over last_12 as average_{{ line }}_12m,
        -- Months in which the balance is known.
        count(average_{{ line }}) over last_3 as known_{{ line }}_3m,
        count(average_{{ line }}) over last_12 as known_{{ line }}_12m,
        {%- endfor %}
        overdraft,
        min(overdraft) over last_12 as overdraft_deepest_12m,
        credit_limit,
        limit_used,
        months_to_maturity,
        credit_rate,
        debit_rate,
        loans,
        loan_principal,
        loan_instalment,
        loan_remaining_months,
        days_past_due,
        max(days_past_due) over last_6 as days_past_due_max_6m,
        max(days_past_due) over last_12 as days_past_due_max_12m,
        is_defaulted,
        cards,
        last_booked_on,
        last_active_on,
        last_income_on,
        count(*) over last_3 as months_in_3,
        count(*) over last_12 as months_in_12,
        sum(sentiment_hundredths) over last_12 as sentiment_hundredths,
        sum(sentiments) over last_12 as sentiments,
        max(income) over last_12 as income_max_12m,
        {%- for columns in [trailing_counts, trailing_amounts] %}
        {%- set outer = loop %}
        {%- for column, months in columns.items() %}
        {%- set inner = loop %}
        {%- for span in months %}
        {% if span == 1 -%}
        {{ column }} as {{ column }}_1m
        {%- else -%}
        sum({{ column }}) over last_{{ span }} as {{ column }}_{{ span }}m
        {%- endif -%}
        {{ "," if not (outer.last and inner.last and loop.last) }}
        {%- endfor %}
        {%- endfor %}
        {%- endfor %}
    from customer_month
    window
        last_3 as (
            partition by customer_id order by month rows between 2 preceding and current row
        ),
        last_6 as (
            partition by customer_id order by month rows between 5 preceding and current row
        ),
        last_12 as (
            partition by customer_id order by month rows between 11 preceding and current row
        )
),

refreshed as (
    select windowed.*
    from windowed
    cross join run
    where windowed.month between run.month_from and run.month_to
),

profile as (
    select
        refreshed.month,
        history.*
    from refreshed
    inner join {{ ref('base_customer_history') }} as history
        on
            refreshed.customer_id = history.customer_id
            and refreshed.month_end >= history.valid_from
            and (history.valid_to is null or refreshed.month_end < history.valid_to)
),

-- Counted separately for all customers: a window over the wide rows would sort every feature.
household as (
    select
        customer_month.month,
        history.household_id,
        count(*) as household_size
    from {{ ref('base_customer_month') }} as customer_month
    cross join run
    inner join {{ ref('base_customer_history') }} as history
        on
            customer_month.customer_id = history.customer_id
            and last_day(customer_month.month) >= history.valid_from
            and (history.valid_to is null or last_day(customer_month.month) < history.valid_to)
    where
        history.household_id is not null
        and customer_month.month between run.month_from and run.month_to
    group by customer_month.month, history.household_id
),

profiled as (
    select
        refreshed.*,
        profile.birth_date,
        profile.customer_since,
        {%- for attribute in feature_attributes() %}
        profile.{{ attribute }},
        {%- endfor %}
        household.household_size
    from refreshed
    left join profile
        on refreshed.customer_id = profile.customer_id and refreshed.month = profile.month
    left join household
        on profile.month = household.month and profile.household_id = household.household_id
),

first_holding as (
    select
        customer_id,
        min(opened_on) as first_opened_on
    from {{ ref('base_account_holder') }}
    group by customer_id
)

select
    profiled.customer_id,
    profiled.month,
    {{ full_years_from_to('profiled.birth_date', 'profiled.month_end') }} as age,
    {{ months_from_to(
        'coalesce(profiled.customer_since, first_holding.first_opened_on)', 'profiled.month'
    ) }} as tenure_months,
    cast(profiled.months_in_12 as integer) as months_observed,
    {%- for attribute, data_type in feature_attributes().items() %}
    {{ cast('profiled.' ~ attribute, data_type) }} as {{ attribute }},
    {%- endfor %}
    cast(profiled.household_size as integer) as household_size,
    profiled.accounts,
    profiled.joint_accounts,
    profiled.authorised_accounts,
    {%- for line in product_lines() %}
    profiled.accounts_{{ line }},
    cast(profiled.balance_{{ line }} as double) as balance_{{ line }},
    cast(profiled.average_{{ line }}_3m as double) / nullif(profiled.known_{{ line }}_3m, 0)
        as average_{{ line }}_3m,
    cast(profiled.average_{{ line }}_12m as double) / nullif(profiled.known_{{ line }}_12m, 0)
        as average_{{ line }}_12m,
    {{ ratio(
        'cast(profiled.average_' ~ line ~ '_3m as double) / nullif(profiled.known_' ~ line
        ~ '_3m, 0)',
        'cast(profiled.average_' ~ line ~ '_12m as double) / nullif(profiled.known_' ~ line
        ~ '_12m, 0)'
    ) }} as trend_{{ line }},
    {%- endfor %}
    cast(profiled.overdraft as double) as overdraft,
    cast(profiled.overdraft_deepest_12m as double) as overdraft_deepest_12m,
    cast(profiled.credit_limit as double) as credit_limit,
    {{ ratio('cast(profiled.limit_used as double)', 'cast(profiled.credit_limit as double)') }}
        as limit_used_share,
    profiled.months_to_maturity,
    profiled.credit_rate,
    profiled.debit_rate,
    profiled.loans,
    cast(profiled.loan_principal as double) as loan_principal,
    cast(profiled.loan_instalment as double) as loan_instalment,
    profiled.loan_remaining_months,
    {{ ratio(
        '-cast(' ~ balance_of('profiled', product_lines('holds_loans')) ~ ' as double)',
        'cast(profiled.loan_principal as double)'
    ) }} as loan_outstanding_share,
    profiled.days_past_due,
    profiled.days_past_due_max_6m,
    profiled.days_past_due_max_12m,
    cast(profiled.is_defaulted as integer) as is_defaulted,
    profiled.cards,
    {{ days_from_to('profiled.last_booked_on', 'profiled.month_end') }} as days_since_booking,
    {{ days_from_to('profiled.last_active_on', 'profiled.month_end') }} as days_since_active,
    {{ months_from_to('profiled.last_income_on', 'profiled.month_end') }} as months_since_income,
    cast(profiled.income_max_12m as double) as income_max_12m,
    {{ ratio(
        'cast(profiled.income_3m as double) / profiled.months_in_3',
        'cast(profiled.income_12m as double) / profiled.months_in_12'
    ) }} as trend_income,
    {{ ratio(
        'cast(profiled.inflow_3m as double) / profiled.months_in_3',
        'cast(profiled.inflow_12m as double) / profiled.months_in_12'
    ) }} as trend_inflow,
    {{ ratio(
        'cast(profiled.bookings_3m as double) / profiled.months_in_3',
        'cast(profiled.bookings_12m as double) / profiled.months_in_12'
    ) }} as trend_bookings,
    cast(profiled.inflow_3m - profiled.outflow_3m as double) as net_flow_3m,
    cast(profiled.inflow_12m - profiled.outflow_12m as double) as net_flow_12m,
    cast(profiled.contribution_margin_3m as double) / profiled.months_in_3
    - cast(profiled.contribution_margin_12m as double) / profiled.months_in_12
        as trend_contribution_margin,
    cast(profiled.sentiment_hundredths as double)
    / nullif(100 * cast(profiled.sentiments as double), 0) as sentiment_12m,
    {%- for column, months in trailing_counts.items() %}
    {%- for span in months %}
    cast(profiled.{{ column }}_{{ span }}m as integer) as {{ column }}_{{ span }}m,
    {%- endfor %}
    {%- endfor %}
    {%- for column, months in trailing_amounts.items() %}
    {%- set outer = loop %}
    {%- for span in months %}
    cast(profiled.{{ column }}_{{ span }}m as double) as {{ column }}_{{ span }}m
    {{- "," if not (outer.last and loop.last) }}
    {%- endfor %}
    {%- endfor %}
from profiled
left join first_holding on profiled.customer_id = first_holding.customer_id
