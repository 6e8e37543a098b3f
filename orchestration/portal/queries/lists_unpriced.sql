-- What accounts that are not priced carry in twelve months, by the unit that customers have now.
select
    coalesce(customer.employee_id, 'branch ' || customer.branch_id, 'head office') as unit,
    sum(unpriced.contribution_margin) as contribution_margin_12m
from value.profit_unpriced as unpriced
inner join base.customer as customer on unpriced.dimension_key = customer.customer_id
where
    unpriced.dimension = 'customer'
    and unpriced.month > $month - interval 12 month and unpriced.month <= $month
group by all
