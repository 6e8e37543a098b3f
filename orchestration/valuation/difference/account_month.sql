{#- Why the profit of account-months differs, one row by cause and line. The causes exclude each other;
    the first that holds counts. -#}
with
{%- for side in ['before', 'after'] %}
record_{{ side }} as (
    select
        account_id,
        month,
        sum(digest) as digest
    from (
        {%- for table, columns in records.items() %}
        select
            account_id,
            month,
            cast(hash({{ columns }}) as hugeint) as digest
        from {{ side }}.{{ table }}
        {{ "union all" if not loop.last }}
        {%- endfor %}
    )
    group by account_id, month
),
{% endfor %}
compared as (
    select
        coalesce(after_month.product_line, before_month.product_line) as product_line,
        case
            when month not in (select month from before.value.account_month) then 'new month'
            when month not in (select month from after.value.account_month) then 'month gone'
            when
                $has_records
                and (
                    before_month.account_id is null or after_month.account_id is null
                    or record_before.digest is distinct from record_after.digest
                )
                then 'records'
            when
                before_month.default_model_version
                is distinct from after_month.default_model_version
                then 'model'
            when $has_reference and $has_code then 'reference data or code'
            when $has_reference then 'reference data'
            when $has_code then 'code'
            else 'other accounts'
        end as cause,
        coalesce(before_month.contribution_margin, 0) as contribution_before,
        coalesce(after_month.contribution_margin, 0) as contribution_after,
        coalesce(before_month.economic_profit, 0) as economic_profit_before,
        coalesce(after_month.economic_profit, 0) as economic_profit_after
    from before.value.account_month as before_month
    full join after.value.account_month as after_month using (account_id, month)
    left join record_before using (account_id, month)
    left join record_after using (account_id, month)
    where
        before_month.contribution_margin is distinct from after_month.contribution_margin
        or before_month.economic_profit is distinct from after_month.economic_profit
)

select
    cause,
    product_line,
    count(*) as account_months,
    sum(contribution_before) as contribution_before,
    sum(contribution_after) as contribution_after,
    sum(contribution_after) - sum(contribution_before) as contribution_difference,
    sum(economic_profit_after) - sum(economic_profit_before) as economic_profit_difference
from compared
group by cause, product_line
order by cause, product_line
