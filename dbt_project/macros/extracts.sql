{# The current picture of a master: the rows of its latest extract. #}
{% macro latest_extract(relation) -%}
    (
        select * from {{ relation }}
        where extract_month = (select max(extract_month) from {{ relation }})
    )
{%- endmacro %}
