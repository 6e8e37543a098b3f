{#- Why the lifetime values of customers differ, one row by cause. -#}
with features_before as (
    select
        customer_id,
        hash({{ features }}) as digest
    from before.features.customer_month
),

features_after as (
    select
        customer_id,
        hash({{ features }}) as digest
    from after.features.customer_month
),

compared as (
    select
        case
            when before_score.customer_id is null then 'new customer'
            when after_score.customer_id is null then 'customer gone'
            when
                before_score.clv_model_version is distinct from after_score.clv_model_version
                then
                    case
                        when features_before.digest is distinct from features_after.digest
                            then 'model and features'
                        else 'model'
                    end
            when features_before.digest is distinct from features_after.digest then 'features'
            else 'training data or code'
        end as cause,
        coalesce(before_score.clv_12m, 0) as clv_before,
        coalesce(after_score.clv_12m, 0) as clv_after
    from before.scores.customer as before_score
    full join after.scores.customer as after_score using (customer_id)
    left join features_before using (customer_id)
    left join features_after using (customer_id)
    where before_score.clv_12m is distinct from after_score.clv_12m
)

select
    cause,
    count(*) as customers,
    sum(clv_before) as clv_12m_before,
    sum(clv_after) as clv_12m_after,
    sum(clv_after) - sum(clv_before) as clv_12m_difference
from compared
group by cause
order by cause
