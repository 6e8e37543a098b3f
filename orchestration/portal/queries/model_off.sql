-- Models that score nobody, with the reason.
select model_name, note
from meta.model_version
where version is null
order by model_name
