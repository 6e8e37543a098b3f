-- Predicted and measured uplift by tenth of the predictions, the highest first.
select *
from campaigns.uplift_decile
order by
    case scope when 'all' then 1 when 'offer' then 2 else 3 end, scope_id asc, decile desc
