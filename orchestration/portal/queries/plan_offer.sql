-- What may be offered.
select
    product_id,
    product_name
from value.offer
order by product_id
