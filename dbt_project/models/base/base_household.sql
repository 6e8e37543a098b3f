with customer as (
    select * from {{ ref('base_customer') }}
)

select
    household_id,
    cast(count(*) as integer) as members,
    min(birth_date) as eldest_birth_date,
    cast(sum(accounts) as integer) as accounts,
    {%- for line in product_lines() %}
    cast(sum(balance_{{ line }}) as decimal(18, 2)) as balance_{{ line }},
    {%- endfor %}
    cast(sum(bookings_12m) as integer) as bookings_12m
from customer
where household_id is not null
group by household_id
