-- The change of published months' contribution and of the number of customers, as shares.
select
    (
        select coalesce(sum(abs(money_after - money_before)), 0) from meta.restatement
        where table_name = 'value.account_month' and measure = 'contribution_margin'
    ) / (
        select nullif(sum(abs(month_sum)), 0)::double
        from (
            select sum(contribution_margin) as month_sum
            from release.value.account_month group by month
        )
    ),
    abs((select count(*) from base.customer) - before.customers) / before.customers::double
from (select count(*) as customers from release.base.customer) as before
