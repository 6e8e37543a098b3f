-- Whose the account's result is: the owners on the last day of the month, or of the account; without
-- an owner, the managers of the customers. Each measure is divided as value.profit_by_employee does.
{%- set measures = [
    'net_interest_margin', 'fee_income', 'direct_cost', 'expected_loss', 'overhead', 'capital_charge'
] %}
with own as (
    select
        value.*,
        least(last_day(value.month), account.closed_on) as credited_on
    from value.account_month as value
    inner join base.account as account on value.account_id = account.account_id
    where value.account_id = $account and value.month = $month
),

credit as (
    select
        credit.*
        {%- for measure in measures %},
        {{ share_of_units(
            'own.' ~ measure, 'credit.units', 'credit.all_units', 'credit.account_id',
            'credit.party'
        ) }} as {{ measure }}
        {%- endfor %}
    from value.account_credit as credit
    inner join own on credit.account_id = own.account_id and credit.month = own.month
),

employee as (
    select
        employee_id,
        {{ from_millionths(divide_units('1000000 * sum(units)', 'max(all_units)')) }} as share
    from credit
    group by employee_id
),

owner as (
    select
        'owner' as part,
        owner.employee_id,
        owner.role,
        owner.valid_from,
        owner.valid_to,
        cast(owner.share as varchar) as numerator,
        1 as denominator
    from own
    inner join base.account_owner as owner
        on
            own.account_id = owner.account_id
            and own.credited_on >= owner.valid_from
            and (owner.valid_to is null or own.credited_on <= owner.valid_to)
),

-- Parts by employee, with what the owners leave over.
found as (
    select
        *,
        null as customer_id
    from owner
    union all
    select
        'not covered by the owners' as part,
        '(none)' as employee_id,
        null as role,
        null as valid_from,
        null as valid_to,
        cast(1 - sum(cast(numerator as decimal(9, 6))) as varchar) as numerator,
        1 as denominator,
        null as customer_id
    from owner
    having sum(cast(numerator as decimal(9, 6))) < 1
    union all
    select
        'manager of the customer' as part,
        coalesce(customer.employee_id, '(none)') as employee_id,
        null as role,
        null as valid_from,
        null as valid_to,
        '1' as numerator,
        coalesce(holder.holder_count, 1) as denominator,
        holder.customer_id
    from own
    left join base.account_holder as holder
        on own.account_id = holder.account_id and holder.is_beneficial
    left join base.customer_history as customer
        on
            holder.customer_id = customer.customer_id
            and customer.valid_from <= last_day(own.month)
            and (customer.valid_to is null or customer.valid_to > last_day(own.month))
    where not exists(select 1 from owner)
)

select
    'credited_share' as measure,
    coalesce(employee.employee_id, found.employee_id) as scope,
    coalesce(employee.share, 0) as published,
    coalesce(found.part, 'nothing') as part,
    null as employee_id,
    found.role,
    found.customer_id,
    found.valid_from,
    found.valid_to,
    null as share,
    {%- for measure in measures %}
    null as {{ measure }},
    {%- endfor %}
    coalesce(found.numerator, '0') as numerator,
    coalesce(found.denominator, 1) as denominator
from employee
full outer join found on employee.employee_id = found.employee_id
union all
select
    'credited_profit' as measure,
    null as scope,
    null as published,
    'part of the economic profit' as part,
    credit.employee_id,
    null as role,
    nullif(nullif(credit.party, credit.employee_id), '(none)') as customer_id,
    null as valid_from,
    null as valid_to,
    {{ from_millionths(divide_units('cast(1000000 as bigint) * units', 'all_units')) }} as share,
    {%- for measure in measures %}
    credit.{{ measure }},
    {%- endfor %}
    cast({{ economic_profit() }} as varchar) as numerator,
    1 as denominator
from credit
order by measure desc, scope, customer_id, valid_from
