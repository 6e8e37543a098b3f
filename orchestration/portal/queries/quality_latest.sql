-- The latest date of each table and column.
select
    table_name,
    column_name,
    latest,
    date_diff('day', latest, as_of) as days_behind,
    latest > as_of as is_after_as_of
from profile.base_latest_date
-- A version from the beginning has the first day of all.
where latest > date '1900-01-01'
order by table_name, column_name
