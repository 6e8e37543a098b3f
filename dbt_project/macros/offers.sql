{# What was known of an offer on a day: rates of response of contacts whose window was over by then. #}

{# Weight, in contacts, with which a rate is shrunk to that of its line, and the line's to the total. #}
{% macro prior_contacts() %}{{ return(20) }}{% endmacro %}
{% macro market_tenors() %}{{ return({'short': 3, 'long': 120}) }}{% endmacro %}

{% macro offer_context() %}
    {{ return([
        'lagged_rate_offer', 'lagged_rate_line', 'lagged_rate_all', 'lagged_contacts_offer',
        'market_rate_short', 'market_rate_long',
    ]) }}
{% endmacro %}

{# The columns of `asked` with `offer_context` beside them. `asked` is a query named before, of
   product_id, product_line, asked_on and market_month: the month whose transfer curve was in force. #}
{% macro with_offer_context(asked) -%}
matured as (
    select
        product_id,
        product_line,
        cast(contacted_on + {{ response_days() }} as date) as known_on,
        count(*) as contacts,
        sum(case when is_responded then 1 else 0 end) as responses
    from {{ ref('base_campaign_contact') }}
    where arm = 'treatment' and is_response_complete
    group by product_id, product_line, contacted_on
),
{% for name, key in {'offer': 'product_id', 'line': 'product_line', 'everything': none}.items() %}
{{ name }}_by_day as (
    select
        {{ key ~ ',' if key }}
        known_on,
        sum(contacts) as contacts,
        sum(responses) as responses
    from matured
    group by {{ key ~ ', ' if key }}known_on
),

known_{{ name }} as (
    select
        {{ key ~ ',' if key }}
        known_on,
        lead(known_on) over by_day as known_until,
        cast(sum(contacts) over by_day as bigint) as contacts,
        cast(sum(responses) over by_day as bigint) as responses
    from {{ name }}_by_day
    window by_day as ({{ 'partition by ' ~ key if key }} order by known_on)
),
{% endfor %}
market as (
    select
        month,
        cast(
            max(case when tenor_months = {{ market_tenors()['short'] }} then annual_rate end)
            as double
        ) as market_rate_short,
        cast(
            max_by(annual_rate, tenor_months)
                filter (where tenor_months <= {{ market_tenors()['long'] }})
            as double
        ) as market_rate_long
    from {{ ref('value_transfer_curve') }}
    where currency = '*'
    group by month
)

select
    {{ asked }}.*,
    {{ shrunken('offer', 'coalesce(' ~ shrunken('line', overall_rate()) ~ ', '
        ~ overall_rate() ~ ')') }} as lagged_rate_offer,
    {{ shrunken('line', overall_rate()) }} as lagged_rate_line,
    {{ overall_rate() }} as lagged_rate_all,
    cast(coalesce(offer.contacts, 0) as double) as lagged_contacts_offer,
    market.market_rate_short,
    market.market_rate_long
from {{ asked }}
{%- for name, key in {'offer': 'product_id', 'line': 'product_line', 'everything': none}.items() %}
left join known_{{ name }} as {{ name }}
    on
        {{ asked }}.asked_on >= {{ name }}.known_on
        and ({{ name }}.known_until is null or {{ asked }}.asked_on < {{ name }}.known_until)
        {{ 'and ' ~ asked ~ '.' ~ key ~ ' = ' ~ name ~ '.' ~ key if key }}
{%- endfor %}
left join market on {{ asked }}.market_month = market.month
{%- endmacro %}

{% macro overall_rate() -%}
    everything.responses / everything.contacts
{%- endmacro %}

{# A rate shrunk to a more general one. #}
{% macro shrunken(relation, general) -%}
    ({{ relation }}.responses + {{ prior_contacts() }} * {{ general }})
    / ({{ relation }}.contacts + {{ prior_contacts() }})
{%- endmacro %}
