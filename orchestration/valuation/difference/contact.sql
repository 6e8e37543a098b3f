{#- Planned contacts of two releases: a contact is a customer, an offer and a month. -#}
with compared as (
    select
        case
            when before_plan.customer_id is null then 'added'
            when after_plan.customer_id is null then 'dropped'
            when
                before_plan.arm is distinct from after_plan.arm
                or before_plan.channel is distinct from after_plan.channel
                then 'other arm or channel'
            else 'kept'
        end as change,
        coalesce(before_plan.expected_incremental_profit, 0) as profit_before,
        coalesce(after_plan.expected_incremental_profit, 0) as profit_after
    from before.decisions.contact_plan as before_plan
    full join after.decisions.contact_plan as after_plan
        using (plan_month, customer_id, product_id)
)

select
    change,
    count(*) as contacts,
    sum(profit_before) as expected_profit_before,
    sum(profit_after) as expected_profit_after
from compared
group by change
order by change
