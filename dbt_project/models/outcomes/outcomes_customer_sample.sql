select customer_id
from {{ ref('base_customer') }}
where not {{ is_erased('customer_id') }}
order by {{ digest('customer_id') }}, customer_id
limit {{ sampled_customers() }}
