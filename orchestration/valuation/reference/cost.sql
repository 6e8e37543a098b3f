{#- The ledger's operating cost of its last twelve months by line, beside what rates and pools charge
    for it. The cost of maintenance is what is left of the cost by rates without bookings. -#}
with cost_month as (
    select distinct month
    from base.operating_cost
    order by month desc
    limit 12
),

ledger as (
    select
        product_line,
        sum(amount) as operating_cost
    from base.operating_cost
    inner join cost_month using (month)
    group by product_line
),

delivered as (
    select
        account_id,
        month,
        sum(amount) as amount
    from base.account_result
    where item in (select unnest($items))
    group by account_id, month
),

charged as (
    select
        valued.product_line,
        sum(valued.direct_cost - coalesce(delivered.amount, 0)) as direct_cost,
        sum(
            case when held.days_open > 0 then parameter.maintenance_cost else 0 end
        ) as maintenance,
        sum(valued.overhead) as overhead
    from value.account_month as valued
    inner join cost_month using (month)
    inner join base.account_month as held
        on valued.account_id = held.account_id and valued.month = held.month
    inner join value.product_parameter as parameter
        on valued.product_id = parameter.product_id and valued.month = parameter.month
    left join delivered
        on valued.account_id = delivered.account_id and valued.month = delivered.month
    group by valued.product_line
),

beside as (
    select
        product_line,
        sum(amount) as amount
    from value.residual
    inner join cost_month using (month)
    where starts_with(residual, 'unallocated overhead') or residual = 'adjustment: operating_cost'
    group by product_line
)

select
    product_line,
    (select min(month) from cost_month) as first_month,
    (select max(month) from cost_month) as last_month,
    coalesce(ledger.operating_cost, 0) as operating_cost,
    coalesce(charged.direct_cost, 0) as direct_cost,
    coalesce(charged.maintenance, 0) as maintenance,
    coalesce(charged.overhead, 0) + coalesce(beside.amount, 0) as pools
from ledger
full join charged using (product_line)
full join beside using (product_line)
where exists (select 1 from cost_month)
order by product_line
