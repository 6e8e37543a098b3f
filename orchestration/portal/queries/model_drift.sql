from meta.model_drift
order by model_name, subject desc, psi desc, feature
