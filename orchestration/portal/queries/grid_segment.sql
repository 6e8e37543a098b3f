-- The three largest customer groups of each district, of customers with an account.
select
    customer.district_id,
    score.segment_name,
    count(*) as customers
from base.customer
inner join scores.customer as score on customer.customer_id = score.customer_id
where customer.accounts > 0 and customer.district_id is not null and score.segment_name is not null
group by customer.district_id, score.segment_name
qualify
    row_number() over (
        partition by customer.district_id order by count(*) desc, score.segment_name
    ) <= 3
order by customer.district_id, customers desc, score.segment_name
