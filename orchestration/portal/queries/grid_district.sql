-- Districts, and what belongs to none; the most contribution first.
select *
from decisions.grid
order by contribution_margin_12m desc, district_id
