{# Schemas have exactly the names of the layers: staging, base, value, features, reference. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ custom_schema_name | trim if custom_schema_name else target.schema }}
{%- endmacro %}

{# A model's name is unique in the project (base_account_month, value_account_month); its table's
   name need only be unique in its schema (base.account_month, value.account_month). #}
{% macro generate_alias_name(custom_alias_name=none, node=none) -%}
    {%- set layer = node.config.get('schema') -%}
    {%- if custom_alias_name -%}
        {{ custom_alias_name | trim }}
    {%- elif node.resource_type == 'model' and layer and node.name.startswith(layer ~ '_') -%}
        {{ node.name[(layer | length) + 1:] }}
    {%- else -%}
        {{ node.name }}
    {%- endif -%}
{%- endmacro %}
