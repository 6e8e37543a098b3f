-- Models that score by their rule, or not at all.
select count(*) as count, null::date as due, null::decimal(18, 2) as amount
from meta.model_version
where alias is null
