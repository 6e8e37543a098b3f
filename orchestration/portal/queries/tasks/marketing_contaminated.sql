-- Campaigns of the last year whose groups do not have the sizes that were drawn.
select count(*) as count, null::date as due, null::decimal(18, 2) as amount
from (
    select distinct campaign_id
    from campaigns.measurement
    where is_sample_ratio_mismatch and last_contact > $month - interval 12 month
)
