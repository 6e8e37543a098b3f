-- What to talk about with each customer group; planned offers first.
select *
from decisions.guide
order by customers desc, segment_name, planned_contacts desc, product_id
