-- What raises each customer's score of a model, the most first.
select *
from scores.reason
where model_name = $model and direction = 'raises'
order by customer_id, rank
