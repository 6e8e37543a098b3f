-- Generated from the studies (orchestration/models/studies):
-- python -m orchestration.models.scores_page
select
    feature.customer_id,
    clv_score.clv_12m,
    clv_score.clv_36m,
    clv_score.clv_low,
    clv_score.clv_high,
    clv_score.clv_horizon_months,
    clv_score.clv_model_version,
    attrition_score.p_attrition,
    attrition_score.value_at_risk,
    attrition_score.attrition_model_version,
    default_score.p_default,
    default_score.default_model_version,
    high_value_score.p_high_value,
    high_value_score.high_value_model_version,
    segment_score.segment,
    segment_score.segment_name,
    segment_score.segment_rule,
    segment_score.segment_model_version
from {{ ref('features_customer_month') }} as feature
inner join {{ ref('base_refresh_window') }} as run on feature.month = run.as_of_month
left join {{ source('scores', 'clv') }} as clv_score
    on feature.customer_id = clv_score.customer_id
left join {{ source('scores', 'attrition') }} as attrition_score
    on feature.customer_id = attrition_score.customer_id
left join {{ source('scores', 'default') }} as default_score
    on feature.customer_id = default_score.customer_id
left join {{ source('scores', 'high_value') }} as high_value_score
    on feature.customer_id = high_value_score.customer_id
left join {{ source('scores', 'segment') }} as segment_score
    on feature.customer_id = segment_score.customer_id
