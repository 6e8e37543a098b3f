"""G4: the scores that are to be published."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from expectations.rules import PERSONAL, PRESENT, Profile, Rule, Suite, column_between, column_zero
from expectations.suites.features import BARRED_FEATURES
from expectations.suites.offer_scores import transaction_alert_suite
from expectations.suites.probability_scores import RESCORE
from expectations.suites.switched import Judge, model_profile

# Erased persons are not scored (orchestration/platform/erased.py).
KEPT = "customer.customer_id not like '_-erased-%'"

POPULATION = f"""
    select
        (select count(*) from base.customer where {KEPT}) as customers,
        (select count(*) from scores.customer) as scored,
        (
            select count(*) from base.customer
            anti join scores.customer as score on score.customer_id = customer.customer_id
            where {KEPT}
        ) as without_score,
        (
            select count(*) from scores.customer as score
            anti join base.customer on customer.customer_id = score.customer_id
        ) as unknown_customers,
        (
            select count(*) - count(distinct customer_id) from scores.customer
        ) as duplicate_customers
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


def scores_suite(judges: Iterable[Judge] = (), models: Collection[str] = ("clv",)) -> Suite:
    """G4. Reads `scores.*`, `alerts.*`, `base.*` and what the judges read.

    `judges` come from the studies; `models` names the models that are on: the rules about a model
    that is off pass with that reason.
    """
    none_on = "no model is on for this source"
    profiles: dict[str, Profile | str] = {
        "score_population": model_profile(
            POPULATION,
            on=bool(models),
            off_means=none_on,
            about="scores.customer",
            needs=("scores.customer", "base.customer"),
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
            "customers are scored",
            "check the log of step scores",
            binding=PRESENT,
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
            "score_reason",
            column_zero("outside_rank"),
            "fail",
            "every reason has a rank of 1 to 3",
            "check the scores step",
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
            "remove the column from features.customer_month and train again (make train)",
            binding=PERSONAL,
        ),
    )
    parts = [*(judge(models) for judge in judges), transaction_alert_suite()]
    for part in parts:
        profiles |= part.profiles
    return Suite(
        "G4", "scores", profiles, (*rules, *(rule for part in parts for rule in part.rules))
    )
