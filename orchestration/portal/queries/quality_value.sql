-- The values most seen in quarantine, five of each table, rule and column; personal ones are tokens.
with
{%- for table in tables %}
{{ ',' if not loop.first }} "{{ table }}" as (
    select '{{ table }}' as table_name, rule, column_name, value, count(*) as rows
    from quarantine."{{ table }}"
    where value is not null
    group by all
)
{%- endfor %}

select *
from (
    {%- for table in tables %}
    {{ 'union all' if not loop.first }} select * from "{{ table }}"
    {%- endfor %}
)
qualify
    row_number() over (
        partition by table_name, rule, column_name order by rows desc, value
    ) <= 5
order by table_name, rule, column_name, rows desc, value
