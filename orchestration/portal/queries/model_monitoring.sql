from meta.model_monitoring
order by model_name, metric, cutoff
