{#- Spans of trailing figures in months; the month itself is the last. -#}
{%- set spans = [1, 3, 6, 12] -%}

{#- Columns of base_customer_month that are summed: column → spans. -#}
{%- set trailing_counts = {'bookings': spans} -%}
{%- for count in channel_counts() + group_counts() %}
    {%- do trailing_counts.update({count: [3, 12]}) %}
{%- endfor %}
{%- for line in product_lines() %}
    {%- do trailing_counts.update({'opened_' ~ line: [1, 3, 12]}) %}
{%- endfor %}
{%- do trailing_counts.update({
    'accounts_opened': [1, 3, 12], 'accounts_closed': [3, 12], 'contacts': [3, 12],
    'responses': [12], 'interactions': [3, 12], 'complaints': [3, 12],
}) -%}
{%- set trailing_flows = {
    'inflow': spans, 'outflow': spans, 'income': [1, 3, 12], 'card_payments': [1, 3, 12],
    'cash_withdrawals': [3, 12], 'loan_repayments': [3, 12], 'wealth_invested': [3, 12],
} -%}

{#- And of value_profit_by_customer, and the contribution of each line. -#}
{%- set trailing_values = {} -%}
{%- for measure in [
    'contribution_margin', 'net_interest_margin', 'fee_income', 'direct_cost', 'expected_loss',
] %}
    {%- do trailing_values.update({measure: spans}) %}
{%- endfor %}
{%- set trailing_lines = {} -%}
{%- for line in product_lines() %}
    {%- do trailing_lines.update({'contribution_' ~ line: [3, 12]}) %}
{%- endfor %}

{#- What else base_customer_month gives of a span: span → [(expression, name)]. -#}
{%- set others = {
    3: [('count(*)', 'months_in_3')],
    6: [('max(figures.days_past_due)', 'days_past_due_max_6m')],
    12: [
        ('count(*)', 'months_in_12'),
        ('min(figures.overdraft)', 'overdraft_deepest_12m'),
        ('max(figures.days_past_due)', 'days_past_due_max_12m'),
        ('sum(figures.sentiment_hundredths)', 'sentiment_hundredths_12m'),
        ('sum(figures.sentiments)', 'sentiments_12m'),
        ('max(figures.income)', 'income_max_12m'),
        ('sum(case when figures.income > 0 then 1 else 0 end)', 'months_with_income_12m'),
    ],
} -%}
{%- for line in product_lines() %}
    {%- for span in [3, 12] %}
        {%- do others[span].extend([
            ('sum(figures.average_' ~ line ~ ')', 'average_' ~ line ~ '_' ~ span ~ 'm'),
            ('count(figures.average_' ~ line ~ ')', 'known_' ~ line ~ '_' ~ span ~ 'm'),
        ]) %}
    {%- endfor %}
{%- endfor %}

{#- One group for each table and span, since an aggregate with a filter takes ten times as long as
    one without: name → table, span, [(expression, name)]. -#}
{%- set groups = {} -%}
{%- for name, table, listed in [
    ('customer', ref('base_customer_month'), [trailing_counts, trailing_flows]),
    ('profit', ref('value_profit_by_customer'), [trailing_values]),
    ('line', 'line_month', [trailing_lines]),
] %}
    {%- for span in spans if not (name == 'customer' and span == 1) %}
        {%- set columns = (others.get(span, []) | list) if name == 'customer' else [] %}
        {%- for summed in listed %}
            {%- for column, of_spans in summed.items() if span in of_spans %}
                {%- do columns.append(('sum(figures.' ~ column ~ ')', column ~ '_' ~ span ~ 'm')) %}
            {%- endfor %}
        {%- endfor %}
        {%- if columns %}
            {%- do groups.update({name ~ '_' ~ span: (table, span, columns)}) %}
        {%- endif %}
    {%- endfor %}
{%- endfor %}

-- The linter cannot track the indentation of columns that a loop writes.
-- sqlfluff:exclude_rules:ST05,ST06,RF04,LT02
with run as (
    select * from {{ ref('base_refresh_window') }}
),

spine as (
    select
        customer_id,
        month,
        last_day(month) as month_end
    from {{ ref('features_spine') }}
    where {{ in_part('customer_id') }}
),

back as (
    {{ each_number('run', 12) }}
),

-- The months that figures cover, with how far they lie back.
seen as (
    select
        spine.customer_id,
        spine.month as row_month,
        back.number - 1 as months_back,
        {{ months_later('spine.month', '1 - back.number') }} as month
    from spine
    cross join back
),

line_month as (
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
    where holder.is_beneficial and {{ in_part('holder.customer_id') }}
    group by holder.customer_id, account_month.month
),

-- Only decimals and integers are summed: exact in any order.
{%- for name, group in groups.items() %}
{{ name }} as (
    select
        seen.customer_id,
        seen.row_month,
        {%- for expression, column in group[2] %}
        {{ expression }} as {{ column }}{{ "," if not loop.last }}
        {%- endfor %}
    from seen
    inner join {{ group[0] }} as figures
        on seen.customer_id = figures.customer_id and seen.month = figures.month
    where seen.months_back < {{ group[1] }}
    group by seen.customer_id, seen.row_month
),
{% endfor %}
profile as (
    select
        spine.month,
        history.*
    from spine
    inner join {{ ref('base_customer_history') }} as history
        on
            spine.customer_id = history.customer_id
            and spine.month_end >= history.valid_from
            and (history.valid_to is null or spine.month_end < history.valid_to)
),

-- Of all customers of a household, whether or not they have a row here.
household as (
    select
        customer_month.month,
        history.household_id,
        count(*) as household_size
    from {{ ref('base_customer_month') }} as customer_month
    inner join {{ ref('base_customer_history') }} as history
        on
            customer_month.customer_id = history.customer_id
            and last_day(customer_month.month) >= history.valid_from
            and (history.valid_to is null or last_day(customer_month.month) < history.valid_to)
    where
        history.household_id is not null
        and customer_month.month in (select spine.month from spine)
    group by customer_month.month, history.household_id
),

profiled as (
    select
        customer_month.*,
        spine.month_end,
        {%- for name, group in groups.items() %}
        {%- for expression, column in group[2] %}
        {%- if name.startswith('customer') %}
        {{ name }}.{{ column }},
        {%- else %}
        coalesce({{ name }}.{{ column }}, 0) as {{ column }},
        {%- endif %}
        {%- endfor %}
        {%- endfor %}
        profile.birth_date,
        profile.customer_since,
        {%- for attribute in feature_attributes() %}
        profile.{{ attribute }},
        {%- endfor %}
        household.household_size
    from spine
    inner join {{ ref('base_customer_month') }} as customer_month
        on spine.customer_id = customer_month.customer_id and spine.month = customer_month.month
    {%- for name in groups %}
    {{ 'inner' if name.startswith('customer') else 'left' }} join {{ name }}
        on spine.customer_id = {{ name }}.customer_id and spine.month = {{ name }}.row_month
    {%- endfor %}
    left join profile
        on spine.customer_id = profile.customer_id and spine.month = profile.month
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
    cast(profiled.sentiment_hundredths_12m as double)
    / nullif(100 * cast(profiled.sentiments_12m as double), 0) as sentiment_12m,
    {%- for column, months in trailing_counts.items() %}
    {%- for span in months %}
    cast(profiled.{{ column }}{{ '_' ~ span ~ 'm' if span > 1 }} as integer)
        as {{ column }}_{{ span }}m,
    {%- endfor %}
    {%- endfor %}
    cast(profiled.months_with_income_12m as integer) as months_with_income_12m,
    {%- for column, months in trailing_flows.items() %}
    {%- for span in months %}
    cast(profiled.{{ column }}{{ '_' ~ span ~ 'm' if span > 1 }} as double)
        as {{ column }}_{{ span }}m,
    {%- endfor %}
    {%- endfor %}
    {%- for summed in [trailing_values, trailing_lines] %}
    {%- set outer = loop %}
    {%- for column, months in summed.items() %}
    {%- set inner = loop %}
    {%- for span in months %}
    cast(profiled.{{ column }}_{{ span }}m as double) as {{ column }}_{{ span }}m
    {{- "," if not (outer.last and inner.last and loop.last) }}
    {%- endfor %}
    {%- endfor %}
    {%- endfor %}
from profiled
left join first_holding on profiled.customer_id = first_holding.customer_id
