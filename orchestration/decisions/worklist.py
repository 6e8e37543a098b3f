"""Who is to be contacted by whom, in which order, with what to say: `decisions.worklist`.

A list holds the plan's treatment arm alone, and of it those who may be contacted: the flags of
`contacts.contactability` are asked once more, whatever the plan says. A customer of the control
arm is on no list; a list that told of him would be the end of the comparison. What a channel sends
by itself is on no list either: those are the contacts that somebody makes.
"""

from __future__ import annotations

from datetime import date

import duckdb

from orchestration.decisions.reason_words import reason_sql, register_words
from orchestration.platform.optional_tables import or_empty

# Whom nothing forbids to contact; who is not in contactability is not.
CONTACTABLE = """
    select customer_id from contacts.contactability
    where
        suppression is null
        and is_universal_control is not true and is_campaign_control is not true
"""

CREATE = """
create schema if not exists decisions;
create or replace table decisions.worklist (
    unit varchar,
    unit_rank integer not null,
    customer_id varchar,
    product_id varchar,
    product_name varchar,
    product_line varchar,
    channel varchar,
    best_channel varchar,
    campaign_id varchar,
    employee_id varchar,
    branch_id varchar,
    expected_incremental_profit decimal(18, 2),
    product_value decimal(18, 2),
    clv_12m decimal(18, 2),
    value_tier varchar,
    segment_name varchar,
    products_held varchar,
    reason varchar,
    talking_points varchar,
    talking_points_zh varchar,
    expires_on date,
    status varchar not null,
    primary key (unit, customer_id, product_id)
);
create or replace table decisions.guide (
    segment_name varchar,
    product_id varchar,
    product_name varchar,
    product_line varchar,
    customers integer not null,
    planned_contacts integer not null,
    expected_incremental_profit decimal(18, 2) not null,
    talking_points varchar,
    talking_points_zh varchar,
    primary key (segment_name, product_id)
)
"""

NO_SEGMENT = "(none)"
NO_REASON = "chosen for its expected profit"

TO_CONTACT = f"""
    create or replace temp table worklist_contact as
    select
        plan.*,
        coalesce(score.segment_name, '{NO_SEGMENT}') as segment_name,
        score.clv_12m,
        coalesce(tier.tier, '') as value_tier,
        contactability.best_channel,
        coalesce(channel.needs_person, true) as needs_person
    from decisions.contact_plan as plan
    inner join ({CONTACTABLE}) as contactable on contactable.customer_id = plan.customer_id
    inner join contacts.contactability as contactability
        on contactability.customer_id = plan.customer_id
    left join {{channel}} as channel on channel.channel = plan.channel
    left join {{score}} as score on score.customer_id = plan.customer_id
    left join {{tier}} as tier
        on tier.customer_id = plan.customer_id and tier.month = date_trunc('month', $as_of::date)
    where plan.arm = 'treatment' and (plan.expires_on is null or plan.expires_on > $as_of)
"""

# A group of customers is spoken to by the words of its segment's name, else by its tier, else as
# everybody is; each language by itself, so that a point in one of them is not lost.
POINTS = f"""
    create or replace temp table worklist_points as
    with
    spoken as (
        select distinct product_line, segment_name, value_tier from {{asked}}
    ),
    word as (
        select
            segment_name,
            regexp_replace(trim(unnest(words)), '^rather ', '') as audience,
            unnest(range(len(words))) as place
        from (
            select
                segment_name,
                string_split(regexp_replace(segment_name, ' [(][^)]*[)]$', ''), ',') as words
            from (select distinct segment_name from spoken where segment_name <> '{NO_SEGMENT}')
        )
    ),
    audience as (
        select spoken.*, word.audience, 1 as level, word.place
        from spoken inner join word on word.segment_name = spoken.segment_name
        union all by name
        select *, value_tier as audience, 2 as level, 0 as place from spoken
        union all by name
        select *, '*' as audience, 3 as level, 0 as place from spoken
    ),
    said as (
        select audience.*, point.language, point.text
        from audience
        inner join contacts.talking_point as point
            on point.product_line = audience.product_line and point.audience = audience.audience
        qualify
            audience.level = min(audience.level) over (
                partition by
                    audience.product_line, audience.segment_name, audience.value_tier,
                    point.language
            )
    )
    select
        product_line,
        segment_name,
        value_tier,
        string_agg(text, ' ' order by place, text) filter (language = 'en') as talking_points,
        string_agg(text, '' order by place, text) filter (language = 'zh') as talking_points_zh
    from said
    group by all
"""

BY_PERSON = "(select * from temp.worklist_contact where needs_person)"
LIST = f"""
    insert into decisions.worklist by name
    with
    held as (
        select
            holder.customer_id,
            string_agg(
                distinct coalesce(account.product_name, account.product_id), ', '
                order by coalesce(account.product_name, account.product_id)
            ) as products_held
        from base.account_holder as holder
        inner join base.account as account on account.account_id = holder.account_id
        where holder.is_beneficial and account.is_open
        group by holder.customer_id
    ),
    said as ({reason_sql("customer_id, product_id", BY_PERSON, "reason", "worklist_words")})
    select
        contact.unit,
        row_number() over (
            partition by contact.unit
            order by
                contact.expected_incremental_profit desc, contact.customer_id, contact.product_id
        ) as unit_rank,
        contact.customer_id,
        contact.product_id,
        coalesce(offer.product_name, contact.product_id) as product_name,
        contact.product_line,
        contact.channel,
        contact.best_channel,
        contact.campaign_id,
        contact.employee_id,
        contact.branch_id,
        contact.expected_incremental_profit,
        contact.product_value,
        contact.clv_12m,
        nullif(contact.value_tier, '') as value_tier,
        nullif(contact.segment_name, '{NO_SEGMENT}') as segment_name,
        held.products_held,
        coalesce(said.reason, '{NO_REASON}') as reason,
        points.talking_points,
        points.talking_points_zh,
        contact.expires_on,
        'open' as status
    from temp.worklist_contact as contact
    left join value.offer as offer on offer.product_id = contact.product_id
    left join held on held.customer_id = contact.customer_id
    left join said
        on said.customer_id = contact.customer_id and said.product_id = contact.product_id
    left join temp.worklist_points as points
        on points.product_line = contact.product_line
        and points.segment_name = contact.segment_name
        and points.value_tier = contact.value_tier
    where contact.needs_person
    order by contact.unit, unit_rank
"""

# Every group with every offer, also those of which nobody is in this month's plan: the manager
# meets them all.
GROUPS = """
    create or replace temp table worklist_group as
    select segment.*, offer.product_id, offer.product_name, offer.product_line, '' as value_tier
    from (
        select segment_name, count(*) as customers
        from {score} where segment_name is not null group by segment_name
    ) as segment
    cross join value.offer as offer
"""

GUIDE = """
    insert into decisions.guide by name
    with planned as (
        select
            segment_name,
            product_id,
            count(*) as planned_contacts,
            sum(expected_incremental_profit) as expected_incremental_profit
        from temp.worklist_contact
        group by segment_name, product_id
    )
    select
        segment.segment_name,
        segment.product_id,
        segment.product_name,
        segment.product_line,
        segment.customers,
        coalesce(planned.planned_contacts, 0) as planned_contacts,
        coalesce(planned.expected_incremental_profit, 0) as expected_incremental_profit,
        points.talking_points,
        points.talking_points_zh
    from temp.worklist_group as segment
    left join planned
        on planned.segment_name = segment.segment_name
        and planned.product_id = segment.product_id
    left join temp.worklist_points as points
        on points.product_line = segment.product_line
        and points.segment_name = segment.segment_name
    order by segment.segment_name, segment.product_id
"""

TEMPORARY = ("worklist_contact", "worklist_points", "worklist_words", "worklist_group")


def write_worklist(connection: duckdb.DuckDBPyConnection, as_of: date) -> int:
    """Write `decisions.worklist` and `decisions.guide`; returns the lines of the lists.

    One row a unit (a relationship manager, or the branch of those who have none), customer and
    product, ranked within the unit by expected incremental profit; only contacts by a person, which
    the plan bounds by what a unit can do. Reasons are in words, without the personal columns that
    managers may not read. Contacts that have expired by the as-of date are left out. The guide has
    a row for each segment and offer: customers, contacts planned on any channel, and what to say.

    Parameters
    ----------
    as_of : last day of the as-of month; the value tier is that month's
    """
    score = or_empty(
        connection,
        "scores.customer",
        customer_id="varchar",
        clv_12m="decimal(18, 2)",
        segment_name="varchar",
    )
    tier = or_empty(
        connection, "value.customer_tier", customer_id="varchar", month="date", tier="varchar"
    )
    channel = or_empty(connection, "contacts.channel", channel="varchar", needs_person="boolean")
    for statement in CREATE.split(";"):
        connection.execute(statement)
    connection.execute(TO_CONTACT.format(score=score, tier=tier, channel=channel), {"as_of": as_of})
    register_words(connection, "temp.worklist_contact", "reason", "worklist_words")
    connection.execute(POINTS.format(asked="temp.worklist_contact"))
    connection.execute(LIST)
    connection.execute(GROUPS.format(score=score))
    connection.execute(POINTS.format(asked="temp.worklist_group"))
    connection.execute(GUIDE)
    for table in TEMPORARY:
        connection.execute(f"drop table temp.{table}")
    return int(connection.execute("select count(*) from decisions.worklist").fetchall()[0][0])
