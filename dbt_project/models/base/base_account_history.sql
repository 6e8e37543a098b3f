{%- set attributes = [
    'product_id', 'branch_id', 'interest_rate', 'credit_limit', 'term_months', 'matures_on',
    'priced_on', 'branch_since',
] %}
-- The linter cannot track the indentation of columns that a loop writes.
-- sqlfluff:exclude_rules:ST05,ST06,RF04,LT02
{{ versions_of(ref('stg_account'), 'account_id', attributes) }}
