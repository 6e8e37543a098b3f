{{ config(materialized='table') }}

with run as (
    select * from {{ ref('base_refresh_window') }}
),

history_month as (
    {{ each_month('run', 'first_month', 'as_of_month') }}
),

unit_cost as (
    select *
    from {{ in_force(
        ref('activity_unit_cost'), ['seed.channel', 'seed.kind'], 'history_month'
    ) }} as in_force
),

booking_kind as (
    {%- for kind in booking_groups().values() | sum(start=[]) %}
    select '{{ kind }}' as kind{{ " union all" if not loop.last }}
    {%- endfor %}
)

select
    by_channel.channel,
    booking_kind.kind,
    by_channel.month,
    coalesce(by_kind.unit_cost, by_channel.unit_cost) as unit_cost
from unit_cost as by_channel
cross join booking_kind
left join unit_cost as by_kind
    on
        by_channel.channel = by_kind.channel
        and booking_kind.kind = by_kind.kind
        and by_channel.month = by_kind.month
where by_channel.kind = '*'
