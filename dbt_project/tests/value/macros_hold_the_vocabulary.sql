{{ config(meta={'dagster': {'ref': {'name': 'value_account_month'}}}) }}
-- Models read the lists of macros/vocabulary.sql, which are generated from the seeds. A row that is
-- in one of them only would be in some tables and not in others. To regenerate the lists:
-- python -m orchestration.platform.vocabulary
-- depends_on: {{ ref('value_account_month') }}
with seeded as (
    {%- for flag in ['is_credit', 'holds_loans', 'may_overdraw', 'is_invested', 'is_entrusted',
        'is_on_scorecard'] %}
    select '{{ flag }} ' || product_line as word
    from {{ ref('product_line') }}
    where {{ flag }}
    union all
    {%- endfor %}
    select 'line ' || product_line as word from {{ ref('product_line') }}
    union all
    select price || ' ' || product_line as word from {{ ref('product_line') }}
    union all
    select 'channel ' || channel as word from {{ ref('channel') }}
    union all
    select 'by hand ' || channel as word
    from {{ ref('channel') }}
    where is_by_hand
    union all
    select booking_group.booking_group || ' ' || booking_kind.kind as word
    from {{ ref('booking_group') }} as booking_group
    left join {{ ref('booking_kind') }} as booking_kind
        on booking_group.booking_group = booking_kind.booking_group
    union all
    select outcome_window || ' ' || days as word from {{ ref('outcome_window') }}
),

written as (
    {%- for flag in ['is_credit', 'holds_loans', 'may_overdraw', 'is_invested', 'is_entrusted',
        'is_on_scorecard', 'deposit_rate', 'loan_rate', 'fee'] %}
    {%- for line in product_lines(flag) %}
    select '{{ flag }} {{ line }}' as word
    union all
    {%- endfor %}
    {%- endfor %}
    {%- for line in product_lines() %}
    select 'line {{ line }}' as word
    union all
    {%- endfor %}
    {%- for channel in booking_channels() %}
    select 'channel {{ channel }}' as word
    union all
    {%- endfor %}
    {%- for channel in booking_channels('is_by_hand') %}
    select 'by hand {{ channel }}' as word
    union all
    {%- endfor %}
    {%- for group, kinds in booking_groups().items() %}
    {%- for kind in kinds %}
    select '{{ group }} {{ kind }}' as word
    union all
    {%- endfor %}
    {%- endfor %}
    select 'response {{ response_days() }}' as word
)

select coalesce(seeded.word, written.word) as word
from seeded
full join written on seeded.word = written.word
where seeded.word is null or written.word is null
