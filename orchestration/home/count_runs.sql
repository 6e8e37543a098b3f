-- Of Dagster's storage and of MLflow's store.
select count(*) from runs
