{{ config(materialized='table') }}

{#- New accounts are observed over this many months, each in its first twelve. -#}
{%- set months_back = -24 -%}

with run as (
    select * from {{ ref('base_refresh_window') }}
),

as_of_month as (
    select as_of_month as month from run
),

product as (
    select * from {{ ref('base_product') }}
),

rule as (
    select * from {{ in_force_by_product(ref('offer_rule'), 'as_of_month', 'product') }}
        as in_force
),

campaigned as (
    select
        product_id,
        count(distinct campaign_id) as campaigns,
        max_by(incentive_cost, contacted_on) as incentive_cost
    from {{ ref('base_campaign_contact') }}
    group by product_id
),

new_account as (
    select
        account_month.product_id,
        count(distinct account_month.account_id) as new_accounts,
        count(*) as account_months,
        sum(account_month.exposure) as exposure,
        sum(account_month.exposure * account_month.probability_of_default) as weighted_default
    from {{ ref('value_account_month') }} as account_month
    inner join {{ ref('base_account') }} as account
        on account_month.account_id = account.account_id
    cross join run
    where
        account_month.month between {{ months_later('run.as_of_month', months_back + 1) }}
        and run.as_of_month
        and account_month.month
        < {{ months_later(month_of('account.opened_on'), 12) }}
    group by account_month.product_id
),

parameter as (
    select parameter.*
    from {{ ref('value_product_parameter') }} as parameter
    inner join as_of_month on parameter.month = as_of_month.month
)

select
    product.product_id,
    product.product_name,
    product.product_line,
    rule.is_credit,
    rule.minimum_age,
    rule.maximum_age,
    rule.minimum_months,
    rule.minimum_inflow,
    coalesce(rule.excludes, product.product_id) as excludes,
    cast(coalesce(rule.incentive_cost, campaigned.incentive_cost, 0) as decimal(18, 2))
        as incentive_cost,
    cast(coalesce(campaigned.campaigns, 0) as integer) as campaigns,
    cast(coalesce(new_account.new_accounts, 0) as integer) as new_accounts,
    {{ to_money('coalesce(cast(new_account.exposure as double) / new_account.account_months, 0)') }}
        as exposure,
    cast(
        round(
            coalesce(
                cast(new_account.weighted_default as double)
                / nullif(cast(new_account.exposure as double), 0), 0
            ),
            6
        ) as decimal(9, 6)
    ) as probability_of_default,
    cast(coalesce(parameter.loss_given_default, 0) as decimal(9, 6)) as loss_given_default
from product
inner join rule on product.product_id = rule.for_product_id
left join campaigned on product.product_id = campaigned.product_id
left join new_account on product.product_id = new_account.product_id
left join parameter on product.product_id = parameter.product_id
where
    rule.is_offered
    -- A product that no campaign has offered yet needs a rule of its own.
    and (campaigned.product_id is not null or rule.product_id <> '*')
