with value as (
    select * from value.account_month where account_id = $account and month = $month
)

select
    part.measure,
    part.name as part,
    cast(part.amount as varchar) as numerator,
    part.divisor as denominator
from value
cross join lateral (
    values
    ('net_interest_margin', 'interest_income', value.interest_income, 1),
    ('net_interest_margin', 'interest_expense', -value.interest_expense, 1),
    ('net_interest_margin', 'transfer_result', value.transfer_result, 1),
    ('contribution_margin', 'net_interest_margin', value.net_interest_margin, 1),
    ('contribution_margin', 'fee_income', value.fee_income, 1),
    ('contribution_margin', 'direct_cost', -value.direct_cost, 1),
    ('contribution_margin', 'expected_loss', -value.expected_loss, 1),
    ('economic_profit', 'contribution_margin', value.contribution_margin, 1),
    ('economic_profit', 'overhead', -value.overhead, 1),
    ('economic_profit', 'capital_charge', -value.capital_charge, 1),
    ('raroc', '12 x contribution_margin', 12 * value.contribution_margin, value.economic_capital),
    ('raroc', '12 x overhead', -12 * value.overhead, value.economic_capital)
) as part(measure, name, amount, divisor)
where part.divisor > 0
