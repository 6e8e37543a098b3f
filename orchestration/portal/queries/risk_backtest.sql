-- Expected against realised losses of twelve months, by line (cohort null) and by line and year of
-- opening, with what chance alone allows: Bernstein's inequality as in the gate GV, with 5 % for all
-- cells of a level together.
with summed as (
    select
        product_line,
        cohort,
        grouping(cohort) = 1 as is_line,
        sum(new_defaults) as new_defaults,
        sum(expected_loss) as expected_loss,
        sum(realised_loss) as realised_loss,
        sum(variance)::double as variance,
        max(largest_loss_at_risk)::double as largest
    from value.loss_backtest
    where month > $month - interval 12 month and month <= $month
    group by grouping sets ((product_line), (product_line, cohort))
),

weighed as (
    select
        *,
        largest * ln(40.0 * count(*) over (partition by is_line)) / 3 as part,
        ln(40.0 * count(*) over (partition by is_line)) as evidence
    from summed
)

select
    product_line,
    cohort,
    is_line,
    new_defaults,
    expected_loss,
    realised_loss,
    realised_loss - expected_loss as difference,
    round(part + sqrt(part ** 2 + 2 * variance * evidence), 2)::decimal(18, 2) as by_chance,
    abs(realised_loss - expected_loss)::double
    > part + sqrt(part ** 2 + 2 * variance * evidence) as is_beyond_chance
from weighed
order by is_line desc, product_line, cohort
