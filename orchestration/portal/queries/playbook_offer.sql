-- What may be offered, and to which line it belongs.
select
    product_id,
    product_name,
    product_line
from value.offer
order by product_name, product_id
