-- What accounts that are not priced carry in twelve months, by the district that customers have now.
select
    coalesce(customer.district_id, '(none)') as district_id,
    sum(unpriced.contribution_margin) as contribution_margin_12m
from value.profit_unpriced as unpriced
left join base.customer as customer on unpriced.dimension_key = customer.customer_id
where
    unpriced.dimension = 'customer'
    and unpriced.month > $month - interval 12 month and unpriced.month <= $month
group by all
