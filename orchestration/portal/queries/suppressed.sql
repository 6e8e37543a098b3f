-- Customers to whom no offer is to be made, and whether the contact policy alone rules it out.
select
    customer_id,
    list_contains($by_policy, suppression) as is_by_policy
from contacts.contactability
where suppression is not null
