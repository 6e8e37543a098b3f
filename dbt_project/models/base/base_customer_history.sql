{%- set attributes = [
    'birth_date', 'sex', 'district_id', 'customer_since', 'occupation', 'education',
    'marital_status', 'monthly_income', 'household_id', 'employee_id', 'marketing_consent',
] %}
-- The linter loses the indentation of columns written by a loop.
-- sqlfluff:exclude_rules:ST05,ST06,RF04,LT02
with delivered as (
    select * from {{ ref('stg_customer') }}
),

followed as (
    select
        *,
        {%- for attribute in attributes %}
        lag({{ attribute }}) over by_extract as previous_{{ attribute }},
        {%- endfor %}
        row_number() over by_extract as delivery
    from delivered
    window by_extract as (partition by customer_id order by extract_month)
),

version as (
    select
        *,
        -- Nothing is known before the first extract: it stands for all the time before it.
        case when delivery = 1 then date '1900-01-01' else extract_month end as valid_from
    from followed
    where
        delivery = 1
        {%- for attribute in attributes %}
        or {{ attribute }} is distinct from previous_{{ attribute }}
        {%- endfor %}
)

select
    customer_id,
    valid_from,
    lead(valid_from) over (partition by customer_id order by valid_from) as valid_to,
    {%- for attribute in attributes %}
    {{ attribute }}{{ "," if not loop.last }}
    {%- endfor %}
from version
