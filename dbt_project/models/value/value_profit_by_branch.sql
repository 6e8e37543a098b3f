-- The linter cannot track the indentation of columns that a loop writes.
-- sqlfluff:exclude_rules:ST05,ST06,RF04,LT02
{{ account_profit_by('branch_id', 'branch_id', 'value_account_branch') }}
