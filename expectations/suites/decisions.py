"""G5: the contact plan, its limits and control groups, the lists and campaigns' measurement."""

from __future__ import annotations

from expectations.rules import CONTACTABLE, Profile, Rule, Suite, column_between, column_zero

# Standard deviations within which the share of a random draw lies.
MOST_DEVIATIONS = 5.0
# The largest proven distance from the best plan.
MOST_GAP = 0.01

PLAN = """
    with
    plan as (
        select
            plan.*,
            customer.customer_id is null or customer.suppression is not null
                or customer.customer_room < 1 as is_not_contactable,
            coalesce(customer.is_universal_control or customer.is_campaign_control, false)
                as is_held_out,
            coalesce(base.marketing_consent, false) as has_consent,
            candidate.customer_id is null as is_no_candidate,
            plan.expected_incremental_profit
                <> candidate.expected_incremental_profit as is_otherwise_valued
        from decisions.contact_plan as plan
        left join contacts.contactability as customer
            on customer.customer_id = plan.customer_id
        left join base.customer as base on base.customer_id = plan.customer_id
        left join contacts.candidate as candidate
            on candidate.customer_id = plan.customer_id
            and candidate.product_id = plan.product_id and candidate.channel = plan.channel
    ),
    household as (
        select count(*) as over_household_room from (
            select plan.household_id
            from plan
            inner join contacts.contactability as customer
                on customer.customer_id = plan.customer_id
            where plan.arm = 'treatment' and plan.household_id is not null
            group by plan.household_id
            having count(*) > min(customer.household_room)
        )
    )
    select
        count(*) filter (where arm = 'treatment') as treated,
        count(*) filter (where is_not_contactable) as not_contactable,
        count(*) filter (where not has_consent) as without_consent,
        count(*) filter (
            where customer_id in (select customer_id from alerts.credit)
        ) as in_early_warning,
        count(*) filter (where is_no_candidate) as no_candidate,
        count(*) filter (where is_otherwise_valued) as otherwise_valued,
        count(*) filter (where arm = 'treatment' and is_held_out) as treated_control,
        count(*) filter (where arm = 'control' and not is_held_out) as control_not_drawn,
        count(*) filter (where arm not in ('treatment', 'control') or arm is null) as without_arm,
        count(*) - count(distinct customer_id) as customers_twice,
        count(*) filter (where expected_incremental_profit <= 0) as unprofitable,
        (select over_household_room from household) as over_household_room,
        'first: ' || coalesce(min(customer_id) filter (
            where is_not_contactable or not has_consent or is_no_candidate
        ), 'none') as detail
    from plan
"""

LIMIT = """
    with
    treated as (select * from decisions.contact_plan where arm = 'treatment'),
    used as (
        select 'channel' as kind, channel as key, count(*)::double as used
        from treated group by channel
        union all
        select 'unit', treated.unit, count(*)::double
        from treated inner join contacts.channel using (channel)
        where needs_person group by treated.unit
        union all
        select 'budget', 'all', sum(contact_cost)::double from treated
    ),
    allowed as (
        select 'channel' as kind, channel as key, capacity::double as capacity
        from contacts.channel
        union all
        select 'budget', 'all', budget::double from contacts.policy
        union all
        select distinct
            'unit', unit,
            case when employee_id is null then branch_capacity else manager_capacity end::double
        from contacts.contactability cross join contacts.policy
    )
    select
        kind,
        count(*) as limits,
        count(*) filter (used > capacity + 0.005 or capacity is null) as broken,
        'most over: ' || coalesce(arg_max(key, used - capacity) || ', ' || max(used - capacity),
            'none') as detail
    from used left join allowed using (kind, key)
    group by kind
    order by kind
"""

CANDIDATE = """
    select
        count(*) as rows,
        count(*) filter (customer.suppression is not null) as suppressed,
        count(*) filter (
            abs(
                candidate.expected_incremental_profit::double
                - candidate.uplift
                    * (candidate.product_value - candidate.expected_loss)::double
                + candidate.p_response * candidate.incentive_cost::double
                + candidate.contact_cost::double
            ) > 0.011
        ) as miscalculated,
        count(*) filter (
            candidate.p_response not between 0 and 1 or candidate.uplift not between -1 and 1
            or candidate.expected_loss < 0
        ) as out_of_range
    from contacts.candidate as candidate
    inner join contacts.contactability as customer
        on customer.customer_id = candidate.customer_id
"""

CONTROL = """
    with drawn as (
        select
            count(*) as everybody,
            count(*) filter (is_universal_control) as universal,
            count(*) filter (is_campaign_control and not is_universal_control) as campaign
        from contacts.contactability
    )
    select
        'universal' as control_group,
        universal as held_out,
        (universal - everybody * universal_control_share::double)
        / greatest(sqrt(
            everybody * universal_control_share::double * (1 - universal_control_share::double)
        ), 1) as deviations
    from drawn cross join contacts.policy
    union all
    select
        'campaign',
        campaign,
        (campaign - (everybody - universal) * campaign_control_share::double)
        / greatest(sqrt(
            (everybody - universal)
            * campaign_control_share::double * (1 - campaign_control_share::double)
        ), 1)
    from drawn cross join contacts.policy
"""

WORKLIST = """
    select
        (select count(*) from decisions.worklist) as rows,
        (
            select count(*) from decisions.worklist as line
            anti join (select * from decisions.contact_plan where arm = 'treatment') as plan
                on plan.customer_id = line.customer_id and plan.product_id = line.product_id
        ) as not_planned,
        (
            select count(*) from decisions.contact_plan as plan
            inner join contacts.channel as channel on channel.channel = plan.channel
            anti join decisions.worklist as line
                on line.customer_id = plan.customer_id and line.product_id = plan.product_id
            where plan.arm = 'treatment' and channel.needs_person
        ) as missing
"""

MEASUREMENT = """
    select
        count(*) as rows,
        count(*) filter (
            effect is not null and not (effect_low <= effect and effect <= effect_high)
        ) as outside_interval,
        count(*) filter (is_sample_ratio_mismatch) as sample_ratio_mismatches,
        'a test of each campaign at 1 in 1,000' as chance,
        'first: ' || coalesce(min(campaign_id) filter (is_sample_ratio_mismatch), 'none') as detail
    from campaigns.measurement
"""

PLANNED = "check contacts.contactability and contacts.candidate, then run the whole refresh"
AGAIN = "run the whole refresh; if the rule fails again, report a bug"


def decisions_suite() -> Suite:
    """Rules of the plan, the lists and the measurement."""

    def never(
        subject: str, column: str, meaning: str, cure: str = PLANNED, binding: str = ""
    ) -> Rule:
        return Rule(subject, column_zero(column), "fail", meaning, cure, binding=binding)

    return Suite(
        gate="G5",
        name="decisions",
        profiles={
            "plan": Profile(
                PLAN,
                about="decisions.contact_plan",
                needs=("decisions.contact_plan", "contacts.contactability", "alerts.credit"),
            ),
            "limit": Profile(
                LIMIT,
                key=("kind",),
                about="decisions.contact_plan",
                needs=("decisions.contact_plan", "contacts.channel"),
            ),
            "candidate": Profile(
                CANDIDATE, about="contacts.candidate", needs=("contacts.candidate",)
            ),
            "control_group": Profile(
                CONTROL,
                key=("control_group",),
                about="contacts.contactability",
                needs=("contacts.contactability",),
            ),
            "optimality": Profile(
                "select coalesce(max(gap), 0) gap from decisions.plan_comparison where is_chosen",
                about="decisions.plan_comparison",
                needs=("decisions.plan_comparison",),
            ),
            "worklist": Profile(
                WORKLIST,
                about="decisions.worklist",
                needs=("decisions.worklist", "decisions.contact_plan"),
            ),
            "measurement": Profile(
                MEASUREMENT, about="campaigns.measurement", needs=("campaigns.measurement",)
            ),
        },
        rules=(
            never(
                "plan",
                "not_contactable",
                "every planned customer may be contacted",
                binding=CONTACTABLE,
            ),
            never(
                "plan",
                "without_consent",
                "every planned customer has consented",
                binding=CONTACTABLE,
            ),
            never("plan", "in_early_warning", "no planned customer has an early warning"),
            never("plan", "no_candidate", "every planned contact is a candidate"),
            never("plan", "otherwise_valued", "profit is the candidate's", AGAIN),
            never("plan", "treated_control", "no customer of a control group is contacted", AGAIN),
            never("plan", "control_not_drawn", "controls are drawn before the plan", AGAIN),
            never("plan", "without_arm", "every row has an arm", AGAIN),
            never("plan", "customers_twice", "a customer has at most one offer", AGAIN),
            never("plan", "unprofitable", "no contact has an expected loss", AGAIN),
            never("plan", "over_household_room", "no household exceeds its contacts", AGAIN),
            never("limit", "broken", "no capacity or budget is exceeded", AGAIN),
            never("candidate", "suppressed", "no candidate is suppressed", binding=CONTACTABLE),
            never("candidate", "miscalculated", "expected profit equals its formula", AGAIN),
            never("candidate", "out_of_range", "probabilities and losses are in range", AGAIN),
            Rule(
                "control_group",
                column_between("deviations", -MOST_DEVIATIONS, MOST_DEVIATIONS),
                "fail",
                "control groups have the policy's share, but for chance",
                "check contact_policy: customer ids may collide, or the assignment seed changed",
            ),
            Rule(
                "optimality",
                column_between("gap", high=MOST_GAP),
                "warn",
                f"the plan is proven to be within {MOST_GAP:.0%} of the best",
                "check decisions.plan_comparison; the plan itself keeps every limit",
                figure="proven distance from the best plan, as a share,",
            ),
            never("worklist", "not_planned", "lists hold planned contacts only", AGAIN),
            never("worklist", "missing", "every contact by a person is on a list", AGAIN),
            never("measurement", "outside_interval", "effects lie in their intervals", AGAIN),
            Rule(
                "measurement",
                column_zero("sample_ratio_mismatches"),
                "warn",
                "campaigns' arms have the sizes of their assignment",
                "find the missing customers before using the campaign's effect (measurement)",
                figure="campaigns whose arms have other sizes",
            ),
        ),
    )
