{#- Delivered files of one release only, or with other contents. -#}
select
    table_name,
    count(*) filter (where before_file.path is null) as files_added,
    count(*) filter (where after_file.path is null) as files_gone,
    count(*) filter (where before_file.path is not null and after_file.path is not null)
        as files_changed,
    coalesce(sum(after_file.rows), 0) - coalesce(sum(before_file.rows), 0) as rows_difference
from before.meta.input_file as before_file
full join after.meta.input_file as after_file using (table_name, path)
where
    before_file.sha256 is distinct from after_file.sha256
    and table_name not like 'reference.%'
group by table_name
order by table_name
