{#- A new deal by the rules of the release: the macros are those of decisions.price_floor and of
    value.account_month. One row for each tier, or that of the customer's. -#}
with product_tier as (
    select *
    from decisions.price_floor
    where product_id = $product and ($tier is null or tier = $tier)
    qualify row_number() over (partition by tier order by term_months) = 1
),

rated as (
    select
        cell.tier,
        cell.tier_number,
        cell.basis,
        cell.account_months,
        cell.floor_kind,
        cell.floor_kind = 'highest deposit rate' as is_deposit,
        cell.monthly_direct_cost,
        cell.monthly_overhead,
        cell.capital_rate,
        cell.capital_funded_share,
        term.transfer_price,
        {{ funding_rate('term.transfer_price', 'cell.capital_funded_share') }} as funding_rate,
        parameter.hurdle_rate,
        cast($amount as decimal(38, 2)) as amount,
        {{ per_volume(
            'cell.monthly_direct_cost + cell.monthly_overhead', 'cast($amount as decimal(38, 2))'
        ) }} as cost_rate,
        -- The customer's own probability where a model scored it, on money that is lent.
        case
            when $probability is not null and cell.floor_kind = 'lowest loan rate'
                then cast(round($probability * parameter.loss_given_default, 6) as decimal(18, 6))
            else cell.loss_rate
        end as loss_rate
    from product_tier as cell
    inner join decisions.term_price as term
        on cell.product_id = term.product_id and term.term_months = $term
    inner join value.product_parameter as parameter
        on cell.product_id = parameter.product_id and parameter.month = $month
),

floored as (
    select
        *,
        cast(
            {{ rate_floor('is_deposit', 'funding_rate', 'cost_rate', 'loss_rate', 'capital_rate') }}
            as decimal(18, 6)
        ) as rate_floor
    from rated
),

-- A year of the deal, at the rate asked for or at the floor. Fees are a price of their own.
deal as (
    select
        *,
        coalesce(cast($rate as decimal(18, 6)), rate_floor) as annual_rate,
        {{ to_money(
            'amount * (coalesce(cast($rate as decimal(18, 6)), rate_floor) - funding_rate)'
            ~ ' * case when is_deposit then -1 else 1 end'
        ) }} as net_interest_margin,
        cast(0 as decimal(18, 2)) as fee_income,
        {{ to_money('12 * monthly_direct_cost') }} as direct_cost,
        {{ to_money('12 * monthly_overhead') }} as overhead,
        {{ to_money('amount * loss_rate') }} as expected_loss,
        {{ from_cents(divide_units(
            units('amount') ~ ' * ' ~ units('capital_rate', 6), units('hurdle_rate', 6)
        )) }} as economic_capital,
        {{ to_money('amount * capital_rate') }} as capital_charge
    from floored
)

select
    tier,
    basis,
    account_months,
    floor_kind,
    transfer_price,
    capital_funded_share,
    funding_rate,
    cost_rate,
    loss_rate,
    capital_rate,
    rate_floor,
    annual_rate,
    net_interest_margin,
    direct_cost,
    expected_loss,
    {{ contribution_margin() }} as contribution_margin,
    overhead,
    economic_capital,
    capital_charge,
    {{ economic_profit() }} as economic_profit,
    {{ raroc(1) }} as raroc
from deal
order by tier_number
