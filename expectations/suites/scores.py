"""G4: the scores that are to be published."""

from __future__ import annotations

from expectations.rules import Profile, Rule, Suite, column_between, column_zero, row_count_at_least
from expectations.suites.features import BARRED_FEATURES
from expectations.suites.offer_scores import offer_suite
from expectations.suites.probability_scores import (
    BY_CHAMPION,
    PROMOTE,
    RESCORE,
    probability_suite,
    rules_of_score,
)
from expectations.suites.switched import is_off, model_profile

# Customers' value to come against what they brought in as many months before.
CLV_FACTOR = 3.0
LONG_MONTHS = 36
# Value of 36 months against that of the horizon: a month further off is worth this much more at
# most. Discounting and customers who leave make it worth less.
MOST_LONG_PACE = 1.5
FEWEST_SEGMENTS, MOST_SEGMENTS = 2, 20
MOST_SEGMENT_SHARE = 0.8

POPULATION = """
    select
        (select count(*) from base.customer) as customers,
        (select count(*) from scores.customer) as scored,
        (
            select count(*) from base.customer
            anti join scores.customer as score on score.customer_id = customer.customer_id
        ) as without_score,
        (
            select count(*) from scores.customer as score
            anti join base.customer on customer.customer_id = score.customer_id
        ) as unknown_customers,
        (
            select count(*) - count(distinct customer_id) from scores.customer
        ) as duplicate_customers
"""

CLV = f"""
    with
    horizon as (select max(clv_horizon_months) as months from scores.customer),
    last_month as (
        select date_trunc('month', max(as_of))::date as month from landing.refresh_window
    ),
    customer as (
        select sum(contribution_margin)::double as contribution
        from value.profit_by_customer
        semi join scores.customer as score on score.customer_id = profit_by_customer.customer_id
        where month > (
            select last_month.month - to_months(horizon.months::integer) from last_month, horizon
        )
        group by profit_by_customer.customer_id
    ),
    earned as (
        select
            sum(contribution) as contribution,
            1.645 * sqrt(count(*)) * coalesce(stddev_samp(contribution), 0) as chance
        from customer
    )
    select
        count(*) as rows,
        count(*) filter (clv_12m is null or not isfinite(clv_12m::double)) as not_finite,
        count(*) filter (
            clv_low is null or clv_high is null
            or not (clv_low <= clv_12m and clv_12m <= clv_high)
        ) as outside_interval,
        count(*) filter (clv_model_version is null) as without_version,
        count(distinct clv_model_version) as versions,
        count(*) filter (clv_horizon_months is null or clv_horizon_months not between 1 and 36)
            as without_horizon,
        count(*) filter (clv_36m is null or not isfinite(clv_36m::double)) as clv_36m_not_finite,
        sum(clv_12m)::double as clv,
        case when clv > 0 then sum(clv_36m)::double / clv end as clv_36m_ratio,
        clv_36m_ratio * max(clv_horizon_months) / {LONG_MONTHS} as clv_36m_pace,
        max(earned.contribution) as contribution_before,
        case when contribution_before > 0 then clv / contribution_before end as clv_ratio,
        clv / (contribution_before + max(earned.chance)) as clv_ratio_low,
        case
            when contribution_before > max(earned.chance)
                then clv / (contribution_before - max(earned.chance))
            else 'inf'::double
        end as clv_ratio_high
    from scores.customer cross join earned
"""

OFFER = """
    select
        product_id,
        count(*) as rows,
        count(*) - count(distinct customer_id) as duplicate_customers,
        count(*) filter (p_response is null or not (p_response between 0 and 1))
            as outside_probability,
        count(*) filter (response_model_version is null) as without_version,
        count(*) filter (
            customer_id not in (select customer_id from base.customer)
        ) as unknown_customers,
        avg(p_response) as mean_probability,
        min(p_response) as lowest,
        max(p_response) as highest
    from scores.offer
    group by product_id
    order by product_id
"""


SEGMENT = """
    with
    segmented as (
        select
            score.segment,
            any_value(score.segment_name) as segment_name,
            count(*) as customers,
            count(*) filter (coalesce(customer.accounts, 0) > 0) as holders,
            count(*) filter (score.segment_model_version is null) as without_version
        from scores.customer as score
        left join base.customer as customer on customer.customer_id = score.customer_id
        group by score.segment
    )
    select
        coalesce(sum(customers) filter (segment is not null), 0) as rows,
        coalesce(sum(holders) filter (segment is null), 0) as missing,
        coalesce(sum(customers - holders) filter (segment is not null), 0) as not_due,
        coalesce(sum(without_version) filter (segment is not null), 0) as without_version,
        (select count(distinct segment_model_version) from scores.customer) as versions,
        count(segment) as segments,
        max(customers) filter (segment is not null) / nullif(rows, 0) as largest_share,
        'largest: ' || coalesce(
            arg_max(coalesce(segment_name, segment), customers) filter (segment is not null), 'none'
        ) as detail
    from segmented
"""

REASON = f"""
    select
        reason.model_name,
        count(*) as rows,
        count(*) filter (reason.rank is null or reason.rank not between 1 and 3) as outside_rank,
        count(*) filter (customer.customer_id is null) as unknown_customers,
        -- A level of a barred feature is barred too: sex=f, birth_date_year.
        count(*) filter (
            regexp_matches(lower(reason.feature), '^({"|".join(BARRED_FEATURES)})($|[^a-z])')
        ) as barred_features
    from scores.reason as reason
    left join base.customer as customer on customer.customer_id = reason.customer_id
    group by reason.model_name
    order by reason.model_name
"""


def scores_suite(models: tuple[str, ...] = ("clv",)) -> Suite:
    """G4. Reads `scores.*`, `alerts.credit`, `base.*`, `value.profit_by_customer`,
    `value.customer_tier`, `meta.model_version`.

    `models` names those that are on: the rules about a model that is off pass and say so.
    """
    probabilities = probability_suite(models)
    none_on = "no model is on for this source"
    profiles: dict[str, Profile | str] = {
        "score_population": model_profile(
            POPULATION,
            on=bool(models),
            off_means=none_on,
            about="scores.customer",
            needs=("scores.customer", "base.customer"),
        ),
        "score_clv": model_profile(
            CLV,
            on="clv" in models,
            off_means=is_off("clv"),
            about="scores.customer",
            needs=("scores.customer", "value.profit_by_customer", "landing.refresh_window"),
        ),
        "score_segment": model_profile(
            SEGMENT,
            on="segment" in models,
            off_means=is_off("segment"),
            about="scores.customer",
            needs=("scores.customer", "base.customer"),
        ),
        "score_offer": model_profile(
            OFFER,
            on="response" in models,
            off_means=f"{is_off('response')}: it has no campaigns",
            key=("product_id",),
            about="scores.offer",
            needs=("scores.offer", "base.customer"),
        ),
        "score_reason": model_profile(
            REASON,
            on=bool(models),
            off_means=none_on,
            key=("model_name",),
            about="scores.reason",
            needs=("scores.reason", "base.customer"),
        ),
    }
    rules = (
        Rule(
            "score_population",
            column_between("scored", low=1),
            "fail",
            "customers were scored",
            "look at the scores step's log",
        ),
        Rule(
            "score_population",
            column_zero("without_score"),
            "fail",
            "every customer has a score",
            RESCORE,
        ),
        Rule(
            "score_population",
            column_zero("unknown_customers"),
            "fail",
            "every score belongs to a customer of the base",
            RESCORE,
        ),
        Rule(
            "score_population",
            column_zero("duplicate_customers"),
            "fail",
            "no customer has two scores",
            RESCORE,
        ),
        Rule(
            "score_clv",
            column_zero("not_finite"),
            "fail",
            "every customer lifetime value is a finite figure",
            PROMOTE,
        ),
        Rule(
            "score_clv",
            column_zero("outside_interval"),
            "fail",
            "every customer lifetime value lies in its interval",
            PROMOTE,
        ),
        Rule(
            "score_clv",
            column_zero("without_version"),
            "fail",
            "every customer lifetime value names its model version",
            BY_CHAMPION,
        ),
        Rule(
            "score_clv",
            column_between("versions", low=1, high=1),
            "fail",
            "all customers are scored by one model version",
            "score again: the champion changed while scoring",
        ),
        Rule(
            "score_clv",
            column_zero("without_horizon"),
            "fail",
            "every customer lifetime value states its horizon",
            RESCORE,
        ),
        Rule(
            "score_clv",
            column_between("clv_ratio", low=1 / CLV_FACTOR, high=CLV_FACTOR),
            "warn",
            f"the value to come is within a factor {CLV_FACTOR:.0f} of what came in as many months",
            "check what changed at the bank; a growing bank's customers are new and short of"
            " history",
            nulls="pass",
            figure="value to come over what came before",
            interval=("clv_ratio_low", "clv_ratio_high"),
        ),
        Rule(
            "score_clv",
            column_zero("clv_36m_not_finite"),
            "fail",
            f"every value of {LONG_MONTHS} months is a finite figure",
            PROMOTE,
        ),
        Rule(
            "score_clv",
            column_between("clv_36m_ratio", low=1.0),
            "warn",
            f"{LONG_MONTHS} months bring in all as much as the horizon at least",
            "look at the margins assumed after the horizon",
            nulls="pass",
            figure=f"value of {LONG_MONTHS} months over that of the horizon",
        ),
        Rule(
            "score_clv",
            column_between("clv_36m_pace", high=MOST_LONG_PACE),
            "warn",
            f"a month of the {LONG_MONTHS} brings in all at most {MOST_LONG_PACE} times one of the"
            " horizon",
            "look at the retention and the growth assumed after the horizon",
            nulls="pass",
            figure=f"value a month of {LONG_MONTHS} over that of the horizon",
        ),
        *rules_of_score("score_segment", "segment", "customers with an account"),
        Rule(
            "score_segment",
            column_between("segments", low=FEWEST_SEGMENTS, high=MOST_SEGMENTS),
            "warn",
            f"there are {FEWEST_SEGMENTS} to {MOST_SEGMENTS} segments",
            "look at the segment model's card; roll it back if it tells nobody apart",
        ),
        Rule(
            "score_segment",
            column_between("largest_share", high=MOST_SEGMENT_SHARE),
            "warn",
            f"no segment holds more than {MOST_SEGMENT_SHARE:.0%} of the customers",
            "look at the segment model's card; roll it back if it tells nobody apart",
            nulls="pass",
            figure="share of the largest segment",
        ),
        Rule(
            "score_offer",
            row_count_at_least(1),
            "fail",
            "offers were scored",
            "look at the scores step's log",
        ),
        Rule(
            "score_offer",
            column_zero("outside_probability"),
            "fail",
            "every response probability lies between 0 and 1",
            PROMOTE,
        ),
        Rule(
            "score_offer",
            column_zero("duplicate_customers"),
            "fail",
            "a customer has one score an offer",
            RESCORE,
        ),
        Rule(
            "score_offer",
            column_zero("unknown_customers"),
            "fail",
            "every offer's score belongs to a customer of the base",
            RESCORE,
        ),
        Rule(
            "score_offer",
            column_zero("without_version"),
            "fail",
            "every response probability names its model version",
            BY_CHAMPION,
        ),
        Rule(
            "score_reason",
            column_zero("outside_rank"),
            "fail",
            "every reason has a rank of 1 to 3",
            "look at the scores step",
        ),
        Rule(
            "score_reason",
            column_zero("unknown_customers"),
            "fail",
            "every reason is about a customer of the base",
            RESCORE,
        ),
        Rule(
            "score_reason",
            column_zero("barred_features"),
            "fail",
            "no reason states the sex or identifies a person",
            "take the column out of features.customer_month and train anew",
        ),
    )
    offers = offer_suite(models)
    return Suite(
        "G4",
        "scores",
        {**profiles, **probabilities.profiles, **offers.profiles},
        (*rules, *probabilities.rules, *offers.rules),
    )
