-- What all completed campaigns of an offer have shown together, by outcome.
select
    learning.*,
    coalesce(offer.product_name, learning.product_id) as product_name
from campaigns.learning as learning
left join value.offer as offer on learning.product_id = offer.product_id
qualify
    row_number() over (
        partition by learning.product_id, learning.outcome order by learning.campaigns desc
    ) = 1
order by learning.outcome desc, learning.random_effect desc, learning.product_id asc
