-- The two largest customer groups of each district, of customers with an account. A group's name
-- describes its customers: of fewer than five in a district it would describe persons.
select
    customer.district_id,
    score.segment_name,
    count(*) as customers
from base.customer
inner join scores.customer as score on customer.customer_id = score.customer_id
where customer.accounts > 0 and customer.district_id is not null and score.segment_name is not null
group by customer.district_id, score.segment_name
having count(*) >= 5
qualify
    row_number() over (
        partition by customer.district_id order by count(*) desc, score.segment_name
    ) <= 2
order by customer.district_id, customers desc, score.segment_name
