"""The part of G4 that checks `scores.offer` and abnormal transactions."""

from __future__ import annotations

from collections.abc import Collection

from expectations.rules import (
    AS_OF,
    Profile,
    Rule,
    Suite,
    column_between,
    column_zero,
    row_count_at_least,
)
from expectations.suites.probability_scores import BY_CHAMPION, PROMOTE, RESCORE
from expectations.suites.switched import Judge, is_off, model_profile

SEVERITIES = ("watch", "warning", "alarm")
# The model without which no offer is scored.
RESPONSE = "response"

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

EFFECT = """
    select
        product_id,
        count(*) as rows,
        count(*) filter (uplift is null or not (uplift between -1 and 1)) as outside_range,
        count(*) filter (uplift > p_response + 0.000001) as above_response,
        count(*) filter (uplift_model_version is null) as without_version,
        avg(uplift) as mean_uplift
    from scores.offer group by product_id order by product_id
"""

WORTH = """
    select
        score.product_id,
        count(*) as rows,
        count(*) filter (product_value is null) as without_value,
        count(*) filter (product_value_model_version is null) as without_version,
        avg(product_value)::double as mean_value,
        count(*) filter (expected_loss is null or expected_loss < 0) as without_loss,
        count(*) filter (
            uplift is not null and expected_incremental_profit is null
            and score.product_id in (select product_id from value.offer)
        ) as without_profit
    from scores.offer as score group by score.product_id order by score.product_id
"""

ABNORMAL = """
    select
        severity,
        count(*) as alerts,
        count(*) filter (
            account_id not in (select account_id from base.account)
        ) as unknown_accounts,
        count(*) filter (reason is null or reason = '') as without_reason,
        count(*) filter (
            month <> (select date_trunc('month', max(as_of)) from landing.refresh_window)
        ) as of_other_months
    from alerts.transaction group by severity order by severity
"""


def never(subject: str, column: str, meaning: str, cure: str, binding: str = "") -> Rule:
    return Rule(subject, column_zero(column), "fail", meaning, cure, binding=binding)


def response_judge(models: Collection[str]) -> Suite:
    """Rules of the probabilities of response, which every scored offer has."""
    profile = model_profile(
        OFFER,
        on=RESPONSE in models,
        off_means=f"{is_off(RESPONSE)}: it has no campaigns",
        key=("product_id",),
        about="scores.offer",
        needs=("scores.offer", "base.customer"),
    )
    rules = (
        Rule(
            "score_offer",
            row_count_at_least(1),
            "fail",
            "offers are scored",
            "check the log of step scores",
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
            "every customer has at most one score per offer",
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
    )
    return Suite("G4", "response", {"score_offer": profile}, rules)


def uplift_judge(model: str) -> Judge:
    """Rules of the uplift."""

    def judge(models: Collection[str]) -> Suite:
        profile = model_profile(
            EFFECT,
            on={model, RESPONSE} <= set(models),
            off_means=is_off(model),
            key=("product_id",),
            about="scores.offer",
            needs=("scores.offer",),
        )
        rules = (
            never("score_uplift", "outside_range", "every uplift is between -1 and 1", PROMOTE),
            never(
                "score_uplift",
                "above_response",
                "no uplift exceeds the response probability",
                RESCORE,
            ),
            never("score_uplift", "without_version", "every uplift names its version", BY_CHAMPION),
        )
        return Suite("G4", "uplift", {"score_uplift": profile}, rules)

    return judge


def product_value_judge(model: str, *, most_mean_value: float) -> Judge:
    """Rules of the money of offers. A product whose mean value of a year lies outside
    ±`most_mean_value` points to wrong units."""

    def judge(models: Collection[str]) -> Suite:
        profile = model_profile(
            WORTH,
            on={model, RESPONSE} <= set(models),
            off_means=is_off(model),
            key=("product_id",),
            about="scores.offer",
            needs=("scores.offer", "value.offer"),
        )
        rules = (
            never("score_product_value", "without_value", "every offer's value is known", PROMOTE),
            never(
                "score_product_value",
                "without_version",
                "every value names its version",
                BY_CHAMPION,
            ),
            never(
                "score_product_value",
                "without_loss",
                "the expected loss of every offer is known and at least 0",
                "check exposure and loss given default of new accounts: value.offer",
            ),
            never(
                "score_product_value",
                "without_profit",
                "every offer has an expected profit",
                RESCORE,
            ),
            Rule(
                "score_product_value",
                column_between("mean_value", -most_mean_value, most_mean_value),
                "warn",
                "the mean value of a product in a year is plausible",
                "check value.account_month of new accounts for wrong units or one extreme account",
                figure="mean value of a product in its first year",
            ),
        )
        return Suite("G4", "product value", {"score_product_value": profile}, rules)

    return judge


def transaction_alert_suite() -> Suite:
    """Rules of `alerts.transaction`, which needs no model."""
    profile = Profile(
        ABNORMAL,
        key=("severity",),
        about="alerts.transaction",
        needs=("alerts.transaction", "base.account"),
    )
    rules = (
        Rule(
            "alert_transaction",
            (
                "expect_column_values_to_be_in_set",
                {"column": "severity", "value_set": list(SEVERITIES)},
            ),
            "fail",
            f"every alert of a transaction is one of {', '.join(SEVERITIES)}",
            "check the step alerts_layer",
        ),
        never(
            "alert_transaction",
            "unknown_accounts",
            "every transaction alert is about an account of the base",
            RESCORE,
        ),
        never("alert_transaction", "without_reason", "every alert has a reason", RESCORE),
        never(
            "alert_transaction", "of_other_months", "alerts are of the as-of month", RESCORE, AS_OF
        ),
    )
    return Suite("G4", "transactions", {"alert_transaction": profile}, rules)
