select
    release.release_id,
    release.as_of,
    list(strftime(value.month, '%Y-%m') order by value.month)
        filter (where value.month is not null) as months
from meta.release as release
left join value.account_month as value on value.account_id = $account
group by release.release_id, release.as_of
