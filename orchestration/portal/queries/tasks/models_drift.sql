select count(*) as count, null::date as due, null::decimal(18, 2) as amount
from profile.model_drift
where drifting_features > 0
