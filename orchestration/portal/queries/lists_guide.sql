-- What to talk about with each segment and offer.
select
    segment_name,
    product_id,
    product_name,
    talking_points,
    talking_points_zh
from decisions.guide
where talking_points is not null or talking_points_zh is not null
order by product_name, product_id, segment_name
