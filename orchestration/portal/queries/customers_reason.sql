-- The two reasons that raise a customer's score of a model most, as the lists have them.
select
    customer_id,
    string_agg(
        feature || ' ' || coalesce(nullif(value, ''), 'none')
        || ' (usual ' || coalesce(nullif(usual, ''), 'none') || ' of ' || usual_of
        || case when before <> '' then ', before ' || before else '' end || ')',
        '; ' order by rank
    ) as reason
from (
    select *
    from scores.reason
    where model_name = $model and direction = 'raises'
    qualify row_number() over (partition by customer_id order by rank) <= 2
)
group by customer_id
