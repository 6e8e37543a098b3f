{# Replaces the months of the refresh window only.

   `delete+insert` by key would leave rows that vanished from the source, and months of an earlier
   refresh with a later as-of month. Months outside the history are deleted too, so that the table
   depends on the as-of date and not on earlier builds. #}
{% macro get_incremental_month_window_sql(arg_dict) %}
    {%- set target = arg_dict['target_relation'] -%}
    {%- set columns = arg_dict['dest_columns'] | map(attribute='name') | join(', ') -%}
    {%- set run = ref('base_refresh_window') -%}
    delete from {{ target }}
    where
        month between (select month_from from {{ run }}) and (select month_to from {{ run }})
        or month < (select first_month from {{ run }})
        or month > (select as_of_month from {{ run }});

    insert into {{ target }} ({{ columns }})
    select {{ columns }} from {{ arg_dict['temp_relation'] }}
{% endmacro %}
