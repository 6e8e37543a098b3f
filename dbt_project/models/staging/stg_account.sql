select
    account_id,
    product_id,
    branch_id,
    opened_on,
    closed_on,
    currency,
    interest_rate,
    credit_limit,
    term_months,
    matures_on,
    priced_on,
    branch_since,
    extract_month
from {{ source('landing', 'account') }}
