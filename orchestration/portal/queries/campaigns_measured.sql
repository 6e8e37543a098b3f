-- Each campaign and outcome, the newest first.
select *
from campaigns.measurement
order by last_contact desc, campaign_id asc, outcome asc
