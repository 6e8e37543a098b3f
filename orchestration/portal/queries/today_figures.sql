-- The bank at the as-of month.
select
    (select count(*) from base.customer where accounts > 0) as customers,
    (select count(*) from value.customer_tier where month = $month) as customers_of_month,
    (
        select sum(contribution_margin)
        from value.profit_by_line
        where month > $month - interval 12 month and month <= $month
    ) as contribution_margin_12m,
    (
        select sum(economic_profit)
        from value.profit_by_line
        where month > $month - interval 12 month and month <= $month
    ) as economic_profit_12m
