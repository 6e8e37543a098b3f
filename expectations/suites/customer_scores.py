"""The part of G4 that checks customers' lifetime values and segments."""

from __future__ import annotations

from collections.abc import Collection

from expectations.rules import Rule, Suite, column_between, column_zero
from expectations.suites.probability_scores import BY_CHAMPION, PROMOTE, RESCORE, rules_of_score
from expectations.suites.switched import Judge, is_off, model_profile

LONG_MONTHS = 36

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


def value_judge(model: str, *, factor: float, most_long_pace: float) -> Judge:
    """Judges customer lifetime values.

    Parameters
    ----------
    factor : customers' value to come against what they brought in as many months before
    most_long_pace : value a month of 36 months against that of the horizon: a month further off is
        worth this much more at most. Discounting and customers who leave make it worth less.
    """

    def judge(models: Collection[str]) -> Suite:
        profile = model_profile(
            CLV,
            on=model in models,
            off_means=is_off(model),
            about="scores.customer",
            needs=("scores.customer", "value.profit_by_customer", "landing.refresh_window"),
        )
        rules = (
            Rule(
                "score_clv",
                column_zero("not_finite"),
                "fail",
                "every customer lifetime value is finite",
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
                column_between("clv_ratio", low=1 / factor, high=factor),
                "warn",
                f"the value to come is within a factor {factor:.0f} of the value of as many past"
                " months",
                "check what changed at the bank; a growing bank has new customers with little"
                " history",
                nulls="pass",
                figure="value to come over past value",
                interval=("clv_ratio_low", "clv_ratio_high"),
            ),
            Rule(
                "score_clv",
                column_zero("clv_36m_not_finite"),
                "fail",
                f"every value of {LONG_MONTHS} months is finite",
                PROMOTE,
            ),
            Rule(
                "score_clv",
                column_between("clv_36m_ratio", low=1.0),
                "warn",
                f"the total value of {LONG_MONTHS} months is at least that of the horizon",
                "check the margins assumed after the horizon",
                nulls="pass",
                figure=f"value of {LONG_MONTHS} months over that of the horizon",
            ),
            Rule(
                "score_clv",
                column_between("clv_36m_pace", high=most_long_pace),
                "warn",
                f"the mean monthly value of {LONG_MONTHS} months is at most {most_long_pace} times"
                " that of the horizon",
                "check the retention and the growth assumed after the horizon",
                nulls="pass",
                figure=f"monthly value of {LONG_MONTHS} months over that of the horizon",
            ),
        )
        return Suite("G4", "value to come", {"score_clv": profile}, rules)

    return judge


def segment_judge(model: str, *, fewest: int, most: int, largest_share: float) -> Judge:
    """Rules of segments: their number, and the largest one's share of the customers."""

    def judge(models: Collection[str]) -> Suite:
        profile = model_profile(
            SEGMENT,
            on=model in models,
            off_means=is_off(model),
            about="scores.customer",
            needs=("scores.customer", "base.customer"),
        )
        rules = (
            *rules_of_score("score_segment", "segment", "customers with an account"),
            Rule(
                "score_segment",
                column_between("segments", low=fewest, high=most),
                "warn",
                f"there are {fewest} to {most} segments",
                "check the segment model's card; roll it back if it does not separate customers",
            ),
            Rule(
                "score_segment",
                column_between("largest_share", high=largest_share),
                "warn",
                f"no segment holds more than {largest_share:.0%} of the customers",
                "check the segment model's card; roll it back if it does not separate customers",
                nulls="pass",
                figure="share of the largest segment",
            ),
        )
        return Suite("G4", "segments", {"score_segment": profile}, rules)

    return judge
