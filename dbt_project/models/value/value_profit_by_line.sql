-- The linter loses the indentation of columns written by a loop.
-- sqlfluff:exclude_rules:ST05,ST06,RF04,LT02
{{ account_profit_by('product_line', 'product_line') }}
