{#- Models of another version, and when they were trained. -#}
select
    model_name,
    before_model.version as version_before,
    after_model.version as version_after,
    after_model.kind,
    after_model.trained_as_of
from before.meta.model_version as before_model
full join after.meta.model_version as after_model using (model_name)
where before_model.mlflow_run_id is distinct from after_model.mlflow_run_id
order by model_name
