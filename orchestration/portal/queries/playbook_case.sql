{% macro rounded(amount) -%}
    case
        when abs({{ amount }}) < 1 then 0
        else
            sign({{ amount }})
            * pow(10, floor(log10(abs({{ amount }}))))
            * case
                when abs({{ amount }}) < 2 * pow(10, floor(log10(abs({{ amount }})))) then 1
                when abs({{ amount }}) < 6 * pow(10, floor(log10(abs({{ amount }})))) then 3
                else 10
            end
    end::bigint
{%- endmacro %}
-- Past contacts to practise on: what was known at the end of the month before, and what came of it.
-- Of contacts with a known chance of either arm whose window is over. Amounts are 1 or 3 times a power
-- of ten. At least $least customers are alike in all that is shown, offer and channel too. By
-- arm and answer one of each offer, $shown at most, by a digest: the same cases in each run.
with campaign as (
    select
        campaign_id,
        window_days
    from campaigns.measurement
    where outcome = 'response' and not is_sample_ratio_mismatch
),

contact as (
    select
        contact.*,
        campaign.window_days
    from base.campaign_contact as contact
    inner join campaign on contact.campaign_id = campaign.campaign_id
    where contact.contacted_on + campaign.window_days <= last_day($month::date)
    qualify
        row_number() over (
            partition by contact.campaign_id, contact.customer_id
            order by contact.contacted_on, contact.contact_id
        ) = 1
),

taken as (
    select contact.contact_id
    from contact
    inner join base.campaign_contact as answer
        on contact.campaign_id = answer.campaign_id and contact.customer_id = answer.customer_id
    where answer.responded_on between contact.contacted_on and contact.contacted_on + contact.window_days
    union
    select contact.contact_id
    from contact
    inner join base.account_holder as holder on contact.customer_id = holder.customer_id
    inner join base.account as account
        on holder.account_id = account.account_id and contact.product_id = account.product_id
    where
        holder.is_beneficial
        and account.opened_on between contact.contacted_on and contact.contacted_on + contact.window_days
),

known as (
    select
        contact.contact_id,
        contact.customer_id,
        contact.product_id,
        contact.channel,
        contact.arm,
        contact.contact_id in (from taken) as is_taken,
        tier.tier as customer_group,
        case
            when date_diff('month', customer.customer_since, contact.month) < 12 then 0
            when date_diff('month', customer.customer_since, contact.month) < 60 then 1
            else 5
        end as years,
        {{ rounded("held.balance_deposits + held.balance_wealth") }} as balance,
        {{ rounded("held.inflow") }} as inflow,
        held.accounts_lending > 0 as has_lending,
        held.accounts_cards > 0 as has_cards,
        held.accounts_wealth > 0 as has_wealth
    from contact
    inner join base.customer as customer on contact.customer_id = customer.customer_id
    inner join base.customer_month as held
        on
            contact.customer_id = held.customer_id
            and held.month = contact.month - interval 1 month
    inner join value.customer_tier as tier
        on held.customer_id = tier.customer_id and held.month = tier.month
    where
        contact.assignment_probability > 0
        and contact.assignment_probability < 1
        and customer.customer_since is not null
),

alike as (
    select
        *,
        count(distinct customer_id) over (
            partition by
                product_id, channel, customer_group, years, balance, inflow, has_lending,
                has_cards, has_wealth
        ) as alike,
        case when arm = 'control' then 'control' when is_taken then 'taken' else 'not taken' end
            as kind
    from known
),

-- A case is what it shows: which of the contacts alike it was, nobody can tell.
shown as (
    select distinct
        * exclude (contact_id, customer_id),
        md5(concat_ws(
            '/', kind, product_id, channel, customer_group, years, balance, inflow, has_lending,
            has_cards, has_wealth, is_taken
        )) as digest
    from alike
    where alike >= $least
),

one_of_each as (
    select *
    from shown
    qualify row_number() over (partition by kind, product_id order by digest) = 1
),

chosen as (
    select *
    from one_of_each
    qualify row_number() over (partition by kind order by digest) <= $shown / 3
)

select
    row_number() over (order by chosen.digest) as number,
    chosen.customer_group,
    chosen.years,
    chosen.balance,
    chosen.inflow,
    chosen.has_lending,
    chosen.has_cards,
    chosen.has_wealth,
    chosen.product_id,
    coalesce(offer.product_name, chosen.product_id) as product_name,
    chosen.channel,
    chosen.arm,
    chosen.is_taken,
    chosen.alike
from chosen
left join value.offer as offer on chosen.product_id = offer.product_id
order by number
