-- Customers of the two best tiers who have no relationship manager.
select count(*) as count, null::date as due, sum(contribution_margin_12m) as amount
from value.customer_tier
semi join base.customer
    on
        customer.customer_id = customer_tier.customer_id and customer.employee_id is null
        and customer.accounts > 0
where
    month = $month and tier_number <= 2
    -- A bank that delivers no managers has none to name.
    and exists (select 1 from base.customer where employee_id is not null)
