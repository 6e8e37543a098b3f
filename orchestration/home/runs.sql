-- The last runs of Dagster's storage.
select run_id, pipeline_name, status, start_time, end_time
from runs
order by id desc
limit ?
