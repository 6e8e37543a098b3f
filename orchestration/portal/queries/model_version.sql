-- Every model: the version that scores, or why none does, with its drift.
select
    version.*,
    drift.features,
    drift.drifting_features,
    drift.largest_psi,
    drift.largest_psi_feature
from meta.model_version as version
left join profile.model_drift as drift on version.model_name = drift.model_name
order by version.model_name
