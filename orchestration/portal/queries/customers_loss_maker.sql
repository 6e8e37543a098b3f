-- Customers with a negative economic profit over twelve months, and what it is made of; not those
-- without a rank, whose profit is not known.
with earned as (
    select
        customer_id,
        sum(net_interest_margin + fee_income) as income,
        sum(direct_cost) as direct_cost,
        sum(expected_loss) as expected_loss,
        sum(overhead) as overhead,
        sum(capital_charge) as capital_charge
    from value.profit_by_customer
    where month > $month - interval 12 month and month <= $month
    group by customer_id
)

select
    tier.customer_id,
    tier.tier,
    customer.employee_id,
    customer.branch_id,
    tier.economic_profit_12m,
    earned.income,
    earned.direct_cost,
    earned.expected_loss,
    earned.overhead,
    earned.capital_charge
from value.customer_tier as tier
inner join base.customer as customer on tier.customer_id = customer.customer_id
left join earned on tier.customer_id = earned.customer_id
where tier.month = $month and tier.tier_number is not null and tier.economic_profit_12m < 0
    and not list_contains($barred, tier.customer_id)
order by tier.economic_profit_12m, tier.customer_id
