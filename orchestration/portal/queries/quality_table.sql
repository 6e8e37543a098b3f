-- Each table of the contract: what was delivered now and in the refresh before.
select
    landed.table_name,
    landed.required,
    landed.rows,
    landed.rows_before,
    landed.set_aside,
    count(file.path) as files,
    max(file.extract_month) filter (file.extract_month > date '1900-01-01') as newest_extract
from profile.landing_table as landed
left join meta.input_file as file on landed.table_name = file.table_name
group by all
order by landed.required desc, landed.table_name
