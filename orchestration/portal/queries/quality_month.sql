-- What the gates count by month and check to be nothing: gate, what is counted, month, how many.
{%- set counted = [
    ('G1', 'landing_booking_month', 'if(bookings = 0, 1, 0)', 'months without a booking'),
    ('G1', 'landing_booking_month', 'silent_days_at_end', 'days without a booking at the end'),
    ('G2', 'base_account_month', 'abs(bookings_difference)', 'bookings lost or doubled'),
    ('G2', 'base_account_month', 'balance_breaks', 'balances that do not follow from bookings'),
    ('G2', 'base_account_month', 'balances_unknown', 'accounts without a known balance'),
    ('G2', 'base_account_month', 'balances_not_booked', 'delivered balances that bookings miss'),
    ('G2', 'base_account_month', 'month_gaps', 'months missing in an account'),
    ('G2', 'base_ledger', 'lines_missing + lines_differing', 'ledger lines that bookings miss'),
    ('GV', 'value_month', 'unbalanced', 'account-months whose profit does not add up'),
    ('GV', 'value_reconciliation', 'lines_differing', 'statements that do not reconcile'),
    ('GV', 'value_provision', 'unexplained', 'provisions without their change'),
    ('G3', 'feature_month', 'duplicate_customers + after_as_of', 'features doubled or too late'),
] %}
{%- for gate, table, figure, what in counted if table in tables %}
{{ 'union all' if not loop.first }}
select
    {{ loop.index }} as place,
    '{{ gate }}' as gate,
    '{{ what }}' as what,
    month,
    coalesce(sum({{ figure }}), 0)::bigint as count
from profile.{{ table }}
where month is not null
group by month
{%- endfor %}
order by place, month
