{%- set attributes = ['birth_date', 'sex', 'district_id', 'customer_since']
    + customer_attributes() + ['household_id', 'employee_id', 'marketing_consent'] %}
-- The linter cannot track the indentation of columns that a loop writes.
-- sqlfluff:exclude_rules:ST05,ST06,RF04,LT02
{{ versions_of(ref('stg_customer'), 'customer_id', attributes) }}
