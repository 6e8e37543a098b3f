"""G4, continued: what offers are expected to bring, and abnormal transactions."""

from __future__ import annotations

from collections.abc import Collection

from expectations.rules import Profile, Rule, Suite, column_between, column_zero
from expectations.suites.probability_scores import BY_CHAMPION, PROMOTE, RESCORE
from expectations.suites.switched import is_off, model_profile

SEVERITIES = ("watch", "warning", "alarm")
# An average offer that brings less or more than this in a year is a mistake of units.
MOST_MEAN_VALUE = 1_000_000.0

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


def offer_suite(models: Collection[str]) -> Suite:
    """Rules about the money of offers, and about alerts of transactions; `models` are on."""
    uplift, value = "uplift" in models, "product_value" in models
    response = "response" in models
    profiles: dict[str, Profile | str] = {
        "score_uplift": model_profile(
            EFFECT,
            on=uplift and response,
            off_means=is_off("uplift"),
            key=("product_id",),
            about="scores.offer",
            needs=("scores.offer",),
        ),
        "score_product_value": model_profile(
            WORTH,
            on=value and response,
            off_means=is_off("product_value"),
            key=("product_id",),
            about="scores.offer",
            needs=("scores.offer", "value.offer"),
        ),
        "alert_transaction": Profile(
            ABNORMAL,
            key=("severity",),
            about="alerts.transaction",
            needs=("alerts.transaction", "base.account"),
        ),
    }

    def never(subject: str, column: str, meaning: str, cure: str) -> Rule:
        return Rule(subject, column_zero(column), "fail", meaning, cure)

    rules = (
        never("score_uplift", "outside_range", "every uplift is between -1 and 1", PROMOTE),
        never(
            "score_uplift",
            "above_response",
            "no contact adds more than those contacted respond",
            RESCORE,
        ),
        never("score_uplift", "without_version", "every uplift names its version", BY_CHAMPION),
        never("score_product_value", "without_value", "every offer's value is known", PROMOTE),
        never(
            "score_product_value", "without_version", "every value names its version", BY_CHAMPION
        ),
        never(
            "score_product_value",
            "without_loss",
            "the expected loss of every offer is known and at least 0",
            "look at exposure and loss given default of new accounts: value.offer",
        ),
        never(
            "score_product_value",
            "without_profit",
            "what may be offered has an expected profit",
            RESCORE,
        ),
        Rule(
            "score_product_value",
            column_between("mean_value", -MOST_MEAN_VALUE, MOST_MEAN_VALUE),
            "warn",
            "a product brings a possible amount in a year",
            "look at value.account_month of new accounts: units, or one account far off",
            figure="mean value of a product in its first year",
        ),
        Rule(
            "alert_transaction",
            (
                "expect_column_values_to_be_in_set",
                {"column": "severity", "value_set": list(SEVERITIES)},
            ),
            "fail",
            f"every alert of a transaction is one of {', '.join(SEVERITIES)}",
            "look at the scores step's rules of alerts",
        ),
        never(
            "alert_transaction",
            "unknown_accounts",
            "every abnormal transaction is of an account of the base",
            RESCORE,
        ),
        never("alert_transaction", "without_reason", "every alert says why", RESCORE),
        never("alert_transaction", "of_other_months", "alerts are of the as-of month", RESCORE),
    )
    return Suite("G4", "offers", profiles, rules)
