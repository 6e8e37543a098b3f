from meta.model_kind
order by model_name, customers desc, customer_kind
