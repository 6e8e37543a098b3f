-- What a ranking leaves out: customers without a rank, and accounts with a month, of the last
-- $months, in which their balance is not known.
select
    (
        select count(*) from value.customer_tier where month = $month and tier_number is null
    ) as customers,
    (
        select count(distinct account_id)
        from base.account_month
        where
            not is_balance_known
            and month > $month::date - to_months($months)
            and month <= $month
    ) as accounts
