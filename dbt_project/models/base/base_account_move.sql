{{ config(materialized='incremental') }}

with version as (
    select
        account_id,
        valid_from as month,
        branch_id,
        branch_since as moved_on,
        lag(branch_id) over (partition by account_id order by valid_from) as former_branch_id,
        row_number() over (partition by account_id order by valid_from) as version_number
    from {{ ref('base_account_history') }}
),

moved as (
    select
        version.account_id,
        version.month,
        coalesce(version.former_branch_id, '(none)') as former_branch_id,
        coalesce(version.branch_id, '(none)') as branch_id,
        account_month.product_line,
        version.moved_on,
        account_month.days_open,
        {{ days_from_to(
            'greatest(account.opened_on, version.month)', 'version.moved_on'
        ) }} as days_before
    from version
    cross join {{ ref('base_refresh_window') }} as run
    inner join {{ ref('base_account_month') }} as account_month
        on version.account_id = account_month.account_id and version.month = account_month.month
    inner join {{ ref('base_account') }} as account on version.account_id = account.account_id
    where
        version.version_number > 1
        and version.branch_id is distinct from version.former_branch_id
        and version.month between run.month_from and run.month_to
)

select
    account_id,
    month,
    former_branch_id,
    branch_id,
    product_line,
    moved_on,
    cast(days_before as integer) as days_before,
    days_open
from moved
-- A move on the first day of the month splits nothing, nor does one after the last.
where days_before > 0 and days_before < days_open
