{{ config(materialized='incremental') }}

{%- set counts = ['bookings'] + channel_counts() + group_counts() -%}
{%- set shared = [
    'inflow', 'outflow', 'income', 'card_payments', 'cash_withdrawals', 'loan_repayments',
    'net_invested', 'interest_paid', 'interest_charged', 'fees',
] -%}

-- The linter cannot track the indentation of columns that a loop writes.
-- sqlfluff:exclude_rules:ST05,ST06,RF04,LT02
with run as (
    select * from {{ ref('base_refresh_window') }}
),

holder as (
    select * from {{ ref('base_account_holder') }}
),

account as (
    select * from {{ latest_extract(ref('stg_account')) }} as latest
),

account_month as (
    select
        account_month.*,
        last_day(account_month.month) as month_end
    from {{ ref('base_account_month') }} as account_month
    cross join run
    where account_month.month between run.month_from and run.month_to
),

refreshed_month as (
    {{ each_month('run', 'month_from', 'month_to') }}
),

first_holding as (
    select
        customer_id,
        min({{ month_of('opened_on') }}) as first_month
    from holder
    group by customer_id
),

customer_month as (
    select
        first_holding.customer_id,
        refreshed_month.month,
        last_day(refreshed_month.month) as month_end
    from first_holding
    inner join refreshed_month on first_holding.first_month <= refreshed_month.month
),

held as (
    select
        holder.customer_id,
        account_month.month,
        account_month.month_end,
        account_month.account_id,
        account_month.product_line,
        account_month.is_open,
        holder.holder_count,
        account.opened_on,
        account.closed_on,
        account_month.interest_rate,
        account_month.credit_limit,
        account_month.term_months,
        account_month.days_past_due,
        account_month.is_defaulted,
        account_month.last_booked_on,
        account_month.last_active_on,
        account_month.last_income_on,
        {{ equal_share(
            'account_month.closing_balance', 'holder.holder_count', 'holder.holder_number'
        ) }} as closing_balance,
        {{ equal_share(
            'account_month.average_balance', 'holder.holder_count', 'holder.holder_number'
        ) }} as average_balance,
        {%- for measure in shared %}
        {{ equal_share(
            'account_month.' ~ measure, 'holder.holder_count', 'holder.holder_number'
        ) }} as {{ measure }},
        {%- endfor %}
        {%- for count in counts %}
        account_month.{{ count }}{{ "," if not loop.last }}
        {%- endfor %}
    from account_month
    inner join holder on account_month.account_id = holder.account_id
    inner join account on account_month.account_id = account.account_id
    where holder.is_beneficial
    {{ clustered_by('holder.customer_id, account_month.month') }}
),

holding as (
    select
        customer_id,
        month,
        sum(case when is_open then 1 else 0 end) as accounts,
        sum(case when is_open and holder_count > 1 then 1 else 0 end) as joint_accounts,
        sum(case when {{ month_of('opened_on') }} = month then 1 else 0 end) as accounts_opened,
        sum(case when {{ month_of('closed_on') }} = month then 1 else 0 end) as accounts_closed,
        {%- for line in product_lines() %}
        sum(case when is_open and product_line = '{{ line }}' then 1 else 0 end)
            as accounts_{{ line }},
        sum(
            case
                when product_line = '{{ line }}' and {{ month_of('opened_on') }} = month then 1
                else 0
            end
        ) as opened_{{ line }},
        -- Empty where no balance of the line is known.
        case
            when bool_or(product_line = '{{ line }}')
                then sum(case when product_line = '{{ line }}' then closing_balance end)
            else 0
        end as balance_{{ line }},
        -- Empty where no balance of the line is known.
        case
            when bool_or(product_line = '{{ line }}')
                then sum(case when product_line = '{{ line }}' then average_balance end)
            else 0
        end as average_{{ line }},
        {%- endfor %}
        sum(
            case
                when
                    closing_balance < 0
                    and product_line in {{ quoted_list(product_lines('may_overdraw')) }}
                    then closing_balance
            end
        ) as overdraft,
        {%- for measure in counts + shared %}
        sum({{ measure }}) as {{ measure }},
        {%- endfor %}
        -- On a merchant's account a sale is a card sale, not the sale of an investment.
        sum(
            case
                when product_line in {{ quoted_list(product_lines('is_invested')) }}
                    then net_invested
                else 0
            end
        ) as wealth_invested,
        max(days_past_due) as days_past_due,
        bool_or(is_defaulted) as is_defaulted,
        sum(case when is_open then credit_limit end) as credit_limit,
        sum(
            case
                when is_open and credit_limit > 0 and closing_balance < 0 then -closing_balance
            end
        ) as limit_used,
        min(
            case
                when
                    is_open
                    and product_line not in {{ quoted_list(product_lines('holds_loans')) }}
                    and {{ months_from_to('opened_on', 'month') }} <= term_months
                    then term_months - {{ months_from_to('opened_on', 'month') }}
            end
        ) as months_to_maturity,
        sum(case when closing_balance > 0 then closing_balance * interest_rate end)
            as credit_rate_balance,
        sum(
            case when closing_balance > 0 and interest_rate is not null then closing_balance end
        ) as credit_balance,
        sum(case when closing_balance < 0 then closing_balance * interest_rate end)
            as debit_rate_balance,
        sum(
            case when closing_balance < 0 and interest_rate is not null then closing_balance end
        ) as debit_balance
    from held
    group by customer_id, month
),

-- Closed accounts are included: recency concerns every account ever held. A booking before the
-- refreshed months, or before the customer's first account was opened, counts from the first of
-- these months on: a month must not depend on the months refreshed with it.
seen as (
    select
        holder.customer_id,
        greatest(account_month.month, run.month_from, first_holding.first_month) as month,
        max(account_month.last_booked_on) as last_booked_on,
        max(account_month.last_active_on) as last_active_on,
        max(account_month.last_income_on) as last_income_on
    from {{ ref('base_account_month') }} as account_month
    inner join holder on account_month.account_id = holder.account_id
    inner join first_holding on holder.customer_id = first_holding.customer_id
    cross join run
    where holder.is_beneficial and account_month.month <= run.month_to
    group by
        holder.customer_id,
        greatest(account_month.month, run.month_from, first_holding.first_month)
),

last_seen as (
    select
        customer_month.customer_id,
        customer_month.month,
        max(seen.last_booked_on) over so_far as last_booked_on,
        max(seen.last_active_on) over so_far as last_active_on,
        max(seen.last_income_on) over so_far as last_income_on
    from customer_month
    left join seen
        on
            customer_month.customer_id = seen.customer_id
            and customer_month.month = seen.month
    window so_far as (
        partition by customer_month.customer_id
        order by customer_month.month
        rows between unbounded preceding and current row
    )
),

authorised as (
    select
        holder.customer_id,
        account_month.month,
        count(*) as authorised_accounts
    from {{ ref('base_account_month') }} as account_month
    cross join run
    inner join holder on account_month.account_id = holder.account_id
    where
        account_month.month between run.month_from and run.month_to
        and account_month.is_open
        and not holder.is_beneficial
    group by holder.customer_id, account_month.month
),

loan as (
    select
        holder.customer_id,
        refreshed_month.month,
        count(*) as loans,
        sum({{ translated('loan.principal', 'closing_rate') }}) as loan_principal,
        sum({{ translated('loan.instalment', 'closing_rate') }}) as loan_instalment,
        max(loan.term_months - {{ months_from_to('loan.granted_on', 'refreshed_month.month') }})
            as loan_remaining_months
    from {{ latest_extract(ref('stg_loan')) }} as loan
    inner join account on loan.account_id = account.account_id
    inner join holder on loan.account_id = holder.account_id
    inner join refreshed_month
        on
            refreshed_month.month >= {{ month_of('loan.granted_on') }}
            and {{ months_from_to('loan.granted_on', 'refreshed_month.month') }}
            < coalesce(loan.term_months, 600)
    left join {{ ref('base_account_rate') }} as fx
        on loan.account_id = fx.account_id and refreshed_month.month = fx.month
    where
        holder.is_beneficial
        and (account.closed_on is null or account.closed_on > last_day(refreshed_month.month))
    group by holder.customer_id, refreshed_month.month
),

card as (
    select
        coalesce(card.customer_id, holder.customer_id) as customer_id,
        refreshed_month.month,
        count(*) as cards
    from {{ latest_extract(ref('stg_card')) }} as card
    inner join account on card.account_id = account.account_id
    left join holder on card.account_id = holder.account_id and holder.role = 'owner'
    inner join refreshed_month on refreshed_month.month >= {{ month_of('card.issued_on') }}
    where account.closed_on is null or account.closed_on > last_day(refreshed_month.month)
    group by coalesce(card.customer_id, holder.customer_id), refreshed_month.month
),

contact as (
    select
        contact.customer_id,
        contact.month,
        count(*) as contacts
    from {{ ref('stg_contact') }} as contact
    where contact.arm = 'treatment'
    group by contact.customer_id, contact.month
),

response as (
    select
        customer_id,
        month,
        count(*) as responses
    from {{ ref('stg_response') }}
    group by customer_id, month
),

interaction as (
    select
        customer_id,
        month,
        count(*) as interactions,
        sum(case when topic = 'complaint' then 1 else 0 end) as complaints,
        -- Hundredths make the sum exact in any order of the rows.
        sum(cast(round(sentiment * 100) as bigint)) as sentiment_hundredths,
        count(sentiment) as sentiments
    from {{ ref('stg_interaction') }}
    group by customer_id, month
)

select
    customer_month.customer_id,
    customer_month.month,
    cast(coalesce(holding.accounts, 0) as integer) as accounts,
    cast(coalesce(holding.joint_accounts, 0) as integer) as joint_accounts,
    cast(coalesce(authorised.authorised_accounts, 0) as integer) as authorised_accounts,
    cast(coalesce(holding.accounts_opened, 0) as integer) as accounts_opened,
    cast(coalesce(holding.accounts_closed, 0) as integer) as accounts_closed,
    {%- for line in product_lines() %}
    cast(coalesce(holding.accounts_{{ line }}, 0) as integer) as accounts_{{ line }},
    cast(coalesce(holding.opened_{{ line }}, 0) as integer) as opened_{{ line }},
    cast(
        case when holding.customer_id is null then 0 else holding.balance_{{ line }} end
        as decimal(18, 2)
    ) as balance_{{ line }},
    cast(
        case when holding.customer_id is null then 0 else holding.average_{{ line }} end
        as decimal(18, 2)
    ) as average_{{ line }},
    {%- endfor %}
    cast(coalesce(holding.overdraft, 0) as decimal(18, 2)) as overdraft,
    {%- for count in counts %}
    cast(coalesce(holding.{{ count }}, 0) as integer) as {{ count }},
    {%- endfor %}
    {%- for measure in shared if measure != 'net_invested' %}
    cast(coalesce(holding.{{ measure }}, 0) as decimal(18, 2)) as {{ measure }},
    {%- endfor %}
    cast(coalesce(holding.wealth_invested, 0) as decimal(18, 2)) as wealth_invested,
    last_seen.last_booked_on,
    last_seen.last_active_on,
    last_seen.last_income_on,
    cast(holding.credit_limit as decimal(18, 2)) as credit_limit,
    cast(coalesce(holding.limit_used, 0) as decimal(18, 2)) as limit_used,
    cast(holding.months_to_maturity as integer) as months_to_maturity,
    -- Rounded: an average of equal rates differs from them in its last digits.
    round(cast(holding.credit_rate_balance as double) / cast(holding.credit_balance as double), 6)
        as credit_rate,
    round(cast(holding.debit_rate_balance as double) / cast(holding.debit_balance as double), 6)
        as debit_rate,
    cast(coalesce(loan.loans, 0) as integer) as loans,
    cast(coalesce(loan.loan_principal, 0) as decimal(18, 2)) as loan_principal,
    cast(coalesce(loan.loan_instalment, 0) as decimal(18, 2)) as loan_instalment,
    cast(loan.loan_remaining_months as integer) as loan_remaining_months,
    cast(holding.days_past_due as integer) as days_past_due,
    coalesce(holding.is_defaulted, false) as is_defaulted,
    cast(coalesce(card.cards, 0) as integer) as cards,
    cast(coalesce(contact.contacts, 0) as integer) as contacts,
    cast(coalesce(response.responses, 0) as integer) as responses,
    cast(coalesce(interaction.interactions, 0) as integer) as interactions,
    cast(coalesce(interaction.complaints, 0) as integer) as complaints,
    cast(coalesce(interaction.sentiment_hundredths, 0) as integer) as sentiment_hundredths,
    cast(coalesce(interaction.sentiments, 0) as integer) as sentiments
from customer_month
{%- for relation in [
    'last_seen', 'authorised', 'loan', 'card', 'contact', 'response', 'interaction', 'holding',
] %}
left join {{ relation }}
    on
        customer_month.customer_id = {{ relation }}.customer_id
        and customer_month.month = {{ relation }}.month
{%- endfor %}
