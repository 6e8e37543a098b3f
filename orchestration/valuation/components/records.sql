-- The rows of a delivered file that landed for the account and month, by the casts of the landing.
select
    '{{ table }}' as "table",
    $file as file,
    cast(_row as bigint) as "row",
    {{ columns }}
from (select _row, {{ casts }} from ({{ relation }}))
where
    account_id = $account
    and date_trunc('month', {{ dated_by }}) = $month
    and _row not in (select row_number from quarantine.{{ table }} where file = $file)
order by {{ dated_by }}, _row
