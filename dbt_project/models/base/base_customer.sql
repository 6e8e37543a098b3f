{%- set counts = ['bookings'] + channel_counts() + group_counts() -%}

with run as (
    select * from {{ ref('base_refresh_window') }}
),

customer_month as (
    select
        customer_month.*,
        {{ months_from_to('customer_month.month', 'run.as_of_month') }} as months_ago
    from {{ ref('base_customer_month') }} as customer_month
    cross join run
    where customer_month.month <= run.as_of_month
),

present as (
    select *
    from customer_month
    where months_ago = 0
),

behaviour as (
    select
        customer_id,
        {%- for count in counts %}
        {%- for months in [1, 3, 6, 12] %}
        sum(case when months_ago < {{ months }} then {{ count }} else 0 end)
            as {{ count }}_{{ months }}m,
        {%- endfor %}
        {%- endfor %}
        {%- for measure in ['inflow', 'outflow', 'income', 'card_payments'] %}
        {%- for months in [1, 3, 6, 12] %}
        sum(case when months_ago < {{ months }} then {{ measure }} else 0 end)
            as {{ measure }}_{{ months }}m,
        {%- endfor %}
        {%- endfor %}
        sum(contacts) as contacts_12m,
        sum(responses) as responses_12m,
        sum(interactions) as interactions_12m,
        sum(complaints) as complaints_12m
    from customer_month
    where months_ago < 12
    group by customer_id
),

profile as (
    select history.*
    from {{ ref('base_customer_history') }} as history
    cross join run
    where
        history.valid_from <= run.as_of
        and (history.valid_to is null or history.valid_to > run.as_of)
),

-- The home branch: the branch of the oldest account; open accounts come first.
home as (
    select
        holder.customer_id,
        account.branch_id,
        row_number() over (
            partition by holder.customer_id
            order by
                case when account.closed_on is null then 0 else 1 end,
                case when holder.is_beneficial then 0 else 1 end,
                account.opened_on,
                account.account_id
        ) as place,
        min(account.opened_on) over (partition by holder.customer_id) as first_opened_on
    from {{ ref('base_account_holder') }} as holder
    inner join {{ latest_extract(ref('stg_account')) }} as account
        on holder.account_id = account.account_id
),

last_contact as (
    select
        customer_id,
        max(contacted_on) as last_contacted_on
    from {{ ref('stg_contact') }}
    where arm = 'treatment'
    group by customer_id
),

last_response as (
    select
        customer_id,
        max(responded_on) as last_responded_on
    from {{ ref('stg_response') }}
    group by customer_id
),

last_complaint as (
    select
        customer_id,
        max(occurred_on) as last_complaint_on
    from {{ ref('stg_interaction') }}
    where topic = 'complaint'
    group by customer_id
),

standing_order as (
    select
        holder.customer_id,
        count(*) as standing_orders
    from {{ latest_extract(ref('stg_standing_order')) }} as standing_order
    inner join {{ ref('base_account_holder') }} as holder
        on standing_order.account_id = holder.account_id and holder.role = 'owner'
    group by holder.customer_id
)

select
    present.customer_id,
    profile.birth_date,
    {{ full_years_from_to('profile.birth_date', 'run.as_of') }} as age,
    profile.sex,
    profile.district_id,
    district.region,
    coalesce(profile.customer_since, home.first_opened_on) as customer_since,
    {{ months_from_to('coalesce(profile.customer_since, home.first_opened_on)', 'run.as_of') }}
        as tenure_months,
    {%- for attribute in customer_attributes() %}
    profile.{{ attribute }},
    {%- endfor %}
    profile.household_id,
    case
        when profile.household_id is not null
            then cast(
                count(*) over (
                    partition by profile.household_id
                ) as integer
            )
    end as household_size,
    profile.employee_id,
    home.branch_id,
    profile.marketing_consent,
    present.accounts,
    present.joint_accounts,
    present.authorised_accounts,
    {%- for line in product_lines() %}
    present.accounts_{{ line }},
    present.balance_{{ line }},
    {%- endfor %}
    present.overdraft,
    present.credit_limit,
    present.loans,
    present.loan_principal,
    present.days_past_due,
    present.is_defaulted,
    present.cards,
    cast(coalesce(standing_order.standing_orders, 0) as integer) as standing_orders,
    {%- for count in counts %}
    {%- for months in [1, 3, 6, 12] %}
    cast(behaviour.{{ count }}_{{ months }}m as integer) as {{ count }}_{{ months }}m,
    {%- endfor %}
    {%- endfor %}
    {%- for measure in ['inflow', 'outflow', 'income', 'card_payments'] %}
    {%- for months in [1, 3, 6, 12] %}
    cast(behaviour.{{ measure }}_{{ months }}m as decimal(18, 2)) as {{ measure }}_{{ months }}m,
    {%- endfor %}
    {%- endfor %}
    present.last_booked_on,
    present.last_active_on,
    {{ days_from_to('present.last_booked_on', 'run.as_of') }} as days_since_booking,
    {{ days_from_to('present.last_active_on', 'run.as_of') }} as days_since_active,
    cast(behaviour.contacts_12m as integer) as contacts_12m,
    last_contact.last_contacted_on,
    cast(behaviour.responses_12m as integer) as responses_12m,
    last_response.last_responded_on,
    cast(behaviour.interactions_12m as integer) as interactions_12m,
    cast(behaviour.complaints_12m as integer) as complaints_12m,
    last_complaint.last_complaint_on
from present
cross join run
inner join behaviour on present.customer_id = behaviour.customer_id
left join profile on present.customer_id = profile.customer_id
left join {{ latest_extract(ref('stg_district')) }} as district
    on profile.district_id = district.district_id
left join home on present.customer_id = home.customer_id and home.place = 1
left join last_contact on present.customer_id = last_contact.customer_id
left join last_response on present.customer_id = last_response.customer_id
left join last_complaint on present.customer_id = last_complaint.customer_id
left join standing_order on present.customer_id = standing_order.customer_id
