select
    'direct_cost' as measure,
    'bookings' as part,
    activity.channel,
    activity.kind,
    activity.bookings,
    cost.unit_cost,
    cast(activity.bookings * cost.unit_cost as varchar) as numerator,
    1 as denominator
from base.account_activity as activity
inner join value.unit_cost as cost
    on
        activity.channel = cost.channel
        and activity.kind = cost.kind
        and activity.month = cost.month
where activity.account_id = $account and activity.month = $month
union all
select
    'direct_cost' as measure,
    'account maintenance' as part,
    null as channel,
    null as kind,
    null as bookings,
    parameter.maintenance_cost as unit_cost,
    cast(parameter.maintenance_cost as varchar) as numerator,
    1 as denominator
from base.account_month as held
inner join value.product_parameter as parameter
    on held.product_id = parameter.product_id and held.month = parameter.month
where held.account_id = $account and held.month = $month and held.days_open > 0
order by part desc, channel, kind
