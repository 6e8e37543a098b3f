{{ config(materialized='view') }}

-- Every group of the planned contacts, and every segment with every offer, because managers meet
-- all segments.
with served as (
    select
        product_line,
        segment_name,
        value_tier
    from {{ ref('decisions_contact') }}
    union
    select
        offer.product_line,
        score.segment_name,
        '' as value_tier
    from {{ ref('scores_customer') }} as score
    cross join {{ ref('value_offer') }} as offer
    where score.segment_name is not null
),

-- "rather digital, older (S3)" becomes ", digital, older,".
named as (
    select
        *,
        case
            when segment_name <> {{ nobody() }}
                then
                    replace(
                        ', ' || regexp_replace(segment_name, ' [(][^)]*[)]$', '') || ',',
                        ', rather ',
                        ', '
                    )
        end as words
    from served
),

-- A group has the points for the words of its segment's name, otherwise those for its tier,
-- otherwise those for all customers.
suited as (
    select
        named.product_line,
        named.segment_name,
        named.value_tier,
        point.language,
        point.text,
        coalesce(instr(named.words, ', ' || point.audience || ','), 0) as place,
        case
            when instr(named.words, ', ' || point.audience || ',') > 0 then 1
            when point.audience = named.value_tier then 2
            when point.audience = '*' then 3
        end as level
    from named
    inner join {{ ref('contacts_talking_point') }} as point
        on named.product_line = point.product_line
),

-- Each language separately, so that a point in only one of them is kept.
chosen as (
    select *
    from suited
    where level is not null
    qualify
        level
        = min(level) over (partition by product_line, segment_name, value_tier, language)
)

select
    product_line,
    segment_name,
    value_tier,
    {{ joined_text('text', ' ', 'place, text') }} filter (where language = 'en') as talking_points,
    {{ joined_text('text', '', 'place, text') }} filter (where language = 'zh')
        as talking_points_zh
from chosen
group by product_line, segment_name, value_tier
