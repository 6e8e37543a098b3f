from meta.model_decile
order by model_name, decile
