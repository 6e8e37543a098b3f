-- Why a model does not score.
select
    model_name,
    note
from meta.model_version
where alias is null
