with run as (
    select * from {{ ref('base_refresh_window') }}
),

cutoff as (
    select distinct cutoff as month
    from {{ ref('outcomes_cutoff_month') }}
    {%- for horizon in outcome_horizons() %}
    union
    select {{ months_later('as_of_month', '-' ~ horizon) }}
    from run
    {%- endfor %}
),

-- To score; of those with loans, also to compare with.
scored as (
    select
        customer_month.customer_id,
        customer_month.month
    from {{ ref('base_customer_month') }} as customer_month
    cross join run
    where
        customer_month.month = run.as_of_month
        or (
            customer_month.month
            = {{ months_later('run.as_of_month', '-' ~ course_months()) }}
            and customer_month.loans > 0
        )
),

-- To learn from.
sampled as (
    select
        sample.customer_id,
        cutoff.month
    from {{ ref('outcomes_customer_sample') }} as sample
    cross join cutoff
),

contacted as (
    select
        customer_id,
        {{ months_later('month', -1) }} as month
    from {{ ref('base_campaign_contact') }}
    where is_response_complete
    order by {{ digest('contact_id') }}, contact_id
    limit {{ sampled_contacts() }}
),

opened as (
    select
        customer_id,
        features_month as month
    from {{ ref('outcomes_account_opening') }}
    order by {{ digest('account_id') }}, account_id
    limit {{ sampled_openings() }}
),

wanted as (
    {%- for part in ['scored', 'sampled', 'contacted', 'opened'] %}
    select
        customer_id,
        month
    from {{ part }}
    {{ 'union' if not loop.last }}
    {%- endfor %}
)

select
    wanted.customer_id,
    wanted.month
from wanted
inner join {{ ref('base_customer_month') }} as customer_month
    on wanted.customer_id = customer_month.customer_id and wanted.month = customer_month.month
where not {{ is_erased('wanted.customer_id') }}
