-- `ahead` is how much better than the rule, as a share of the rule's figure; with its interval.
select
    *,
    if(better = 'lower', rule_value - value, value - rule_value) / nullif(abs(rule_value), 0)
        as ahead,
    if(better = 'lower', -difference_high, difference_low) / nullif(abs(rule_value), 0)
        as ahead_low,
    if(better = 'lower', -difference_low, difference_high) / nullif(abs(rule_value), 0)
        as ahead_high
from meta.model_evaluation
where champion
order by model_name, metric
