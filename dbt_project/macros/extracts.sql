{# The current state of a master: the rows of its latest extract. #}
{% macro latest_extract(relation) -%}
    (
        select * from {{ relation }}
        where extract_month = (select max(extract_month) from {{ relation }})
    )
{%- endmacro %}

{# The history of a master from its delivered extracts: one row per key and version, from the first
   extract with the version to the next extract with another. #}
{% macro versions_of(relation, key, attributes) -%}
with delivered as (
    select * from {{ relation }}
),

followed as (
    select
        *,
        {%- for attribute in attributes %}
        lag({{ attribute }}) over by_extract as previous_{{ attribute }},
        {%- endfor %}
        row_number() over by_extract as delivery
    from delivered
    window by_extract as (partition by {{ key }} order by extract_month)
),

version as (
    select
        *,
        -- The first extract is valid for all earlier dates, because nothing earlier is known.
        case when delivery = 1 then date '1900-01-01' else extract_month end as valid_from
    from followed
    where
        delivery = 1
        {%- for attribute in attributes %}
        or {{ attribute }} is distinct from previous_{{ attribute }}
        {%- endfor %}
)

select
    {{ key }},
    valid_from,
    lead(valid_from) over (partition by {{ key }} order by valid_from) as valid_to,
    {%- for attribute in attributes %}
    {{ attribute }}{{ "," if not loop.last }}
    {%- endfor %}
from version
{%- endmacro %}
