select
    model_name,
    happened_at,
    event,
    version,
    previous_version,
    approver,
    reason,
    mode,
    state
from meta.model_audit
order by model_name, happened_at desc, version desc
