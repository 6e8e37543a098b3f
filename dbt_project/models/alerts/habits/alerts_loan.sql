with run as (
    select * from {{ ref('base_refresh_window') }}
)

select
    month.account_id,
    account.customer_id,
    month.days_past_due,
    coalesce(month.is_defaulted, false) as is_defaulted,
    coalesce(customer.is_defaulted, false) as is_borrower_defaulted,
    value.exposure,
    parameter.loss_given_default,
    customer.employee_id
from {{ ref('base_account_month') }} as month
inner join run on month.month = run.as_of_month
inner join {{ ref('alerts_account') }} as account on month.account_id = account.account_id
inner join {{ ref('base_customer') }} as customer on account.customer_id = customer.customer_id
inner join {{ ref('value_account_month') }} as value
    on month.account_id = value.account_id and month.month = value.month
inner join {{ ref('value_product_parameter') }} as parameter
    on month.product_id = parameter.product_id and month.month = parameter.month
-- Only loans have days past due.
where month.is_open and month.days_past_due is not null
