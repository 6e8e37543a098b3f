{#- The tables of either release, and which of them has it. -#}
select
    schema_name || '.' || table_name as name,
    list(database_name) as sides
from duckdb_tables()
where list_contains($schemas, schema_name) and list_contains($sides, database_name)
group by schema_name, table_name
order by name
