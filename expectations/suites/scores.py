"""G4: the scores that are to be published."""

from __future__ import annotations

from expectations.rules import Profile, Rule, Suite, column_between, column_zero, row_count_at_least

# Customers' value to come against what they brought in as many months before.
CLV_FACTOR = 3.0

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

CLV = """
    with
    horizon as (select max(clv_horizon_months) as months from scores.customer),
    last_month as (
        select date_trunc('month', max(as_of))::date as month from landing.refresh_window
    ),
    earned as (
        select sum(contribution_margin)::double as contribution
        from value.profit_by_customer
        semi join scores.customer as score on score.customer_id = profit_by_customer.customer_id
        where month > (
            select last_month.month - to_months(horizon.months::integer) from last_month, horizon
        )
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
        sum(clv_12m)::double as clv,
        max(earned.contribution) as contribution_before,
        case when contribution_before > 0 then clv / contribution_before end as clv_ratio
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


def scores_suite(models: tuple[str, ...] = ("clv",)) -> Suite:
    """G4. Reads `scores.customer`, `scores.offer`, `base.customer`, `value.profit_by_customer`.

    `models` names those that are on: the rules about a model that is off pass and say so.
    """
    clv_off = "" if "clv" in models else "select true"
    response_off = "" if "response" in models else "select true"
    profiles: dict[str, Profile | str] = {
        "score_population": Profile(
            POPULATION,
            needs=("scores.customer", "base.customer") if models else (),
            off_when="" if models else "select true",
            off_means="no model is on for this source",
        ),
        "score_clv": Profile(
            CLV,
            needs=()
            if clv_off
            else ("scores.customer", "value.profit_by_customer", "landing.refresh_window"),
            off_when=clv_off,
            off_means="the clv model is off for this source",
        ),
        "score_offer": Profile(
            OFFER,
            key=("product_id",),
            needs=() if response_off else ("scores.offer", "base.customer"),
            off_when=response_off,
            off_means="the response model is off for this source: it has no campaigns",
        ),
    }
    rescore = "score again; nobody is left out and nobody is invented"
    promote = "roll back to the champion before, or train again"
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
            rescore,
        ),
        Rule(
            "score_population",
            column_zero("unknown_customers"),
            "fail",
            "every score belongs to a customer of the base",
            rescore,
        ),
        Rule(
            "score_population",
            column_zero("duplicate_customers"),
            "fail",
            "no customer has two scores",
            rescore,
        ),
        Rule(
            "score_clv",
            column_zero("not_finite"),
            "fail",
            "every customer lifetime value is a finite figure",
            promote,
        ),
        Rule(
            "score_clv",
            column_zero("outside_interval"),
            "fail",
            "every customer lifetime value lies in its interval",
            promote,
        ),
        Rule(
            "score_clv",
            column_zero("without_version"),
            "fail",
            "every customer lifetime value names its model version",
            "score from the champion of the registry only",
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
            rescore,
        ),
        Rule(
            "score_clv",
            column_between("clv_ratio", low=1 / CLV_FACTOR, high=CLV_FACTOR),
            "warn",
            f"the value to come is within a factor {CLV_FACTOR:.0f} of what came in as many months",
            "check what changed at the bank; a growing bank's customers are new and short of"
            " history",
            nulls="pass",
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
            promote,
        ),
        Rule(
            "score_offer",
            column_zero("duplicate_customers"),
            "fail",
            "a customer has one score an offer",
            rescore,
        ),
        Rule(
            "score_offer",
            column_zero("unknown_customers"),
            "fail",
            "every offer's score belongs to a customer of the base",
            rescore,
        ),
        Rule(
            "score_offer",
            column_zero("without_version"),
            "fail",
            "every response probability names its model version",
            "score from the champion of the registry only",
        ),
    )
    return Suite("G4", "scores", profiles, rules)
