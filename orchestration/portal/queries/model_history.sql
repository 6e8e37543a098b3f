select
    model_name,
    happened_at,
    event,
    version,
    previous_version,
    approver,
    reason,
    mode,
    state,
    dagster_run_id
from meta.model_audit
order by model_name, happened_at desc, version desc
