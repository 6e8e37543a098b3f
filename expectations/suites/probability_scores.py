"""The part of G4 that judges probabilities of `scores.customer` and what belongs to them.

A judge is a function of the models that are on; the file of a study names the judges of its scores.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from expectations.rules import Profile, Rule, Suite, column_between, column_zero, row_count_at_least
from expectations.suites.switched import Judge, is_off, model_profile

# Added to the expected events and to those before: chance alone makes a factor of 3 out of few
# events, and any out of none.
EVENTS_ADDED = 5
# A customer who leaves the bank leaves every line; probabilities are rounded to six decimals.
LINE_TOLERANCE = 1e-6
SEVERITIES = ("watch", "warning", "alarm")

CUSTOMER = ("scores.customer", "base.customer")
BEFORE = ("base.customer_month", "landing.refresh_window", "meta.model_version")

AS_OF_MONTH = "(select date_trunc('month', max(as_of))::date from landing.refresh_window)"

SCORED = """
    scored as (
        select
            score.*,
            coalesce(customer.accounts, 0) > 0 as is_holder,
            coalesce(customer.loans, 0) > 0 as is_borrower,
            coalesce(customer.is_defaulted, false) as is_defaulted
        from scores.customer as score
        left join base.customer as customer on customer.customer_id = score.customer_id
    )
"""

SCORED_WITH_TIER = f"""
    scored as (
        select
            score.*,
            coalesce(customer.accounts, 0) > 0
            and coalesce(tier.tier_number, 0) <> 1 as is_below_top
        from scores.customer as score
        left join base.customer as customer on customer.customer_id = score.customer_id
        left join value.customer_tier as tier
            on tier.customer_id = score.customer_id and tier.month = {AS_OF_MONTH}
    )
"""


def _figures(score: str, version: str, due: str) -> str:
    """SQL figures of a probability; `due` is the condition of the customers that must have one."""
    return f"""
            count({score}) as rows,
            count(*) filter ({due} and {score} is null) as missing,
            count(*) filter (not ({due}) and {score} is not null) as not_due,
            count(*) filter ({score} is not null and not ({score} between 0 and 1))
                as outside_probability,
            count(*) filter ({score} is not null and {version} is null) as without_version,
            count(distinct {version}) as versions,
            avg({score}) as mean_probability,
            min({score}) as lowest,
            max({score}) as highest
    """


def _before(model: str, exposed: str, event: str) -> str:
    """Those exposed one horizon before the as-of month, and to how many it has happened since."""
    return f"""
    cohort as (
        select
            as_of.month as as_of_month,
            (as_of.month - to_months(version.horizon_months::integer))::date as month
        from (select {AS_OF_MONTH} as month) as as_of
        cross join (
            select max(horizon_months) as horizon_months
            from meta.model_version
            where model_name = '{model}'
        ) as version
    ),
    life as (
        select
            customer_id,
            bool_or({exposed}) filter (customer_month.month = cohort.month) as is_exposed,
            bool_or({event}) filter (customer_month.month > cohort.month) as has_happened
        from base.customer_month as customer_month
        cross join cohort
        where customer_month.month >= cohort.month and customer_month.month <= cohort.as_of_month
        group by customer_id
    ),
    before as (
        select
            count(*) filter (is_exposed) as exposed_before,
            count(*) filter (is_exposed and has_happened) / nullif(exposed_before, 0)
                as share_before
        from life
    )
    """


def _level(score: str, counted: str) -> str:
    return f"""
            max(exposed_before) as exposed_before,
            max(share_before) as share_before,
            (coalesce(sum({score}) filter ({counted}), 0) + {EVENTS_ADDED})
            / (max(share_before) * count({score}) filter ({counted}) + {EVENTS_ADDED})
                as level_ratio,
            'with {EVENTS_ADDED} events added to either' as chance
    """


PRODUCT_ATTRITION = f"""
    select
        line.product_line,
        count(*) as rows,
        count(*) - count(distinct line.customer_id) as duplicate_customers,
        count(*) filter (line.p_attrition is null or not (line.p_attrition between 0 and 1))
            as outside_probability,
        count(*) filter (score.p_attrition is null) as unscored_customers,
        count(*) filter (line.p_attrition < score.p_attrition - {LINE_TOLERANCE})
            as below_customer,
        avg(line.p_attrition) as mean_probability
    from scores.product_attrition as line
    left join scores.customer as score on score.customer_id = line.customer_id
    group by line.product_line
    order by line.product_line
"""

ACCOUNT_DEFAULT = f"""
    select
        scored_month,
        borrowers,
        count(account.account_id) as rows,
        (borrowers > 0 and rows = 0)::integer as unscored,
        -- Empty where the total of the model is off: value takes the rating table.
        count(*) filter (account.p_default not between 0 and 1) as outside_probability,
        avg(account.p_default) as mean_probability
    from (
        select {AS_OF_MONTH} as scored_month, count(p_default) as borrowers from scores.customer
    )
    left join scores.account_default as account using (scored_month)
    group by scored_month, borrowers
"""

ALERT = """
    select
        alert.severity,
        count(*) as rows,
        count(*) filter (account.account_id is null) as unknown_accounts,
        count(*) filter (
            alert.p_default is null
            or not (alert.p_default between 0 and 1)
            or not (alert.p_default_before between 0 and 1)
        ) as outside_probability,
        count(*) filter (alert.expected_loss_12m is null or alert.expected_loss_12m < 0)
            as without_loss,
        sum(alert.expected_loss_12m) as expected_loss_12m
    from alerts.credit as alert
    left join base.account as account on account.account_id = alert.account_id
    group by alert.severity
    order by alert.severity
"""

RESCORE = "run the refresh again to score again; if the rule fails again, report a bug"
PROMOTE = "roll back to the previous champion (make rollback-model), or train again (make train)"
BY_CHAMPION = "run the refresh again to score with the registry's champion only"


def rules_of_score(subject: str, what: str, due: str) -> tuple[Rule, ...]:
    """Rules about one score of `scores.customer`: `due` names the customers that have it, in the
    plural."""
    return (
        Rule(subject, column_zero("missing"), "fail", f"all {due} have a {what}", RESCORE),
        Rule(subject, column_zero("not_due"), "fail", f"only {due} have a {what}", RESCORE),
        Rule(
            subject,
            column_zero("without_version"),
            "fail",
            f"every {what} names its model version",
            BY_CHAMPION,
        ),
        Rule(
            subject,
            column_between("versions", high=1),
            "fail",
            f"every {what} comes from one model version",
            "score again: the champion changed while scoring",
        ),
    )


@dataclass(frozen=True)
class Impossible:
    """Rows that must not exist: `found` is a condition on the scored customers."""

    name: str
    found: str
    meaning: str
    cure: str


@dataclass(frozen=True)
class Level:
    """Expected events compared with those of as many earlier months, in a population of the same
    size.

    `exposed` and `event` are conditions on `base.customer_month`, `counted` one on the scored
    customers; `events` names the events; the ratio must lie between 1 / `factor` and `factor`.
    """

    exposed: str
    event: str
    events: str
    factor: float
    counted: str = "true"


@dataclass(frozen=True)
class ProbabilityJudge:
    """Rules of a probability of `scores.customer`.

    `what` names the probability and `due` the customers that have it, in the plural; `is_due` is
    the condition on the scored customers, with the columns `is_holder`, `is_borrower`,
    `is_defaulted`, and `is_below_top` if `by_tier`. Reads `scores.customer`, `base.customer`,
    `base.customer_month`, `value.customer_tier`, `meta.model_version`.
    """

    model: str
    score: str
    what: str
    due: str
    is_due: str
    by_tier: bool = False
    impossible: tuple[Impossible, ...] = ()
    level: Level | None = None

    def __call__(self, models: Collection[str]) -> Suite:
        """The profile and its rules, not checked if the model is not among those that are on."""
        subject = f"score_{self.model}"
        tier = ("value.customer_tier", "landing.refresh_window") if self.by_tier else ()
        profile = model_profile(
            self._sql(),
            on=self.model in models,
            off_means=is_off(self.model),
            about="scores.customer",
            needs=(*CUSTOMER, *(BEFORE if self.level else ()), *tier),
        )
        rules = (
            *rules_of_score(subject, self.what, self.due),
            Rule(
                subject,
                column_zero("outside_probability"),
                "fail",
                f"every {self.what} lies between 0 and 1",
                PROMOTE,
            ),
            *(
                Rule(subject, column_zero(one.name), "fail", one.meaning, one.cure)
                for one in self.impossible
            ),
            *((_level_rule(subject, self.level),) if self.level else ()),
        )
        return Suite("G4", subject, {subject: profile}, rules)

    def _sql(self) -> str:
        named = [SCORED_WITH_TIER if self.by_tier else SCORED]
        counted = [_figures(self.score, f"{self.model}_model_version", self.is_due)]
        counted += [f"count(*) filter ({one.found}) as {one.name}" for one in self.impossible]
        if self.level:
            named.append(_before(self.model, self.level.exposed, self.level.event))
            counted.append(_level(self.score, self.level.counted))
        return f"""
    with
    {",".join(named)}
    select
        {",".join(counted)}
    from scored {"cross join before" if self.level else ""}
"""


def _level_rule(subject: str, level: Level) -> Rule:
    return Rule(
        subject,
        column_between("level_ratio", low=1 / level.factor, high=level.factor),
        "warn",
        f"expected {level.events} are within a factor {level.factor:.0f} of those of the months"
        " before",
        "check what changed at the bank; if nothing did, train again (make train)",
        nulls="pass",
        figure=f"{level.events} over those in as many months before",
    )


def product_line_judge(model: str) -> Judge:
    """Rules of `scores.product_attrition`, the probabilities of giving up a product line."""

    def judge(models: Collection[str]) -> Suite:
        profile = model_profile(
            PRODUCT_ATTRITION,
            on=model in models,
            off_means=is_off(model),
            key=("product_line",),
            about="scores.product_attrition",
            needs=("scores.product_attrition", "scores.customer"),
        )
        return Suite("G4", "product lines", {"score_product_attrition": profile}, LINE_RULES)

    return judge


def credit_judge(model: str) -> Judge:
    """Rules of `scores.account_default` and `alerts.credit`, which derive from the scores of a
    model of default."""

    def judge(models: Collection[str]) -> Suite:
        def profile(sql: str, key: tuple[str, ...], about: str, *tables: str) -> Profile:
            return model_profile(
                sql,
                on=model in models,
                off_means=is_off(model),
                key=key,
                about=about,
                needs=(about, *tables),
            )

        return Suite(
            "G4",
            "credit",
            {
                "score_account_default": profile(
                    ACCOUNT_DEFAULT,
                    ("scored_month",),
                    "scores.account_default",
                    "scores.customer",
                    "landing.refresh_window",
                ),
                "alert_credit": profile(ALERT, ("severity",), "alerts.credit", "base.account"),
            },
            CREDIT_RULES,
        )

    return judge


LINE_RULES = (
    Rule(
        "score_product_attrition",
        row_count_at_least(1),
        "warn",
        "product lines are scored",
        "if the champion of attrition is a rule, it does not score lines: promote a model (make"
        " promote) to have them; otherwise check the log of step scores",
    ),
    Rule(
        "score_product_attrition",
        column_zero("duplicate_customers"),
        "fail",
        "every customer has at most one probability per product line",
        RESCORE,
    ),
    Rule(
        "score_product_attrition",
        column_zero("outside_probability"),
        "fail",
        "every probability of giving up a line lies between 0 and 1",
        PROMOTE,
    ),
    Rule(
        "score_product_attrition",
        column_zero("unscored_customers"),
        "fail",
        "every customer with scored lines has a score",
        RESCORE,
    ),
    Rule(
        "score_product_attrition",
        column_zero("below_customer"),
        "fail",
        "no probability of giving up a line is below that of leaving the bank",
        "check the scores step: a customer who leaves the bank gives up every line",
    ),
)
CREDIT_RULES = (
    Rule(
        "score_account_default",
        column_zero("unscored"),
        "fail",
        "borrowers' accounts are scored in the as-of month",
        "check the log of step scores; value would fall back to the rating table next month",
    ),
    Rule(
        "score_account_default",
        column_zero("outside_probability"),
        "fail",
        "every account's probability of default lies between 0 and 1",
        PROMOTE,
    ),
    Rule(
        "alert_credit",
        (
            "expect_column_values_to_be_in_set",
            {"column": "severity", "value_set": list(SEVERITIES)},
        ),
        "fail",
        f"every alert is one of {', '.join(SEVERITIES)}",
        "check the step alerts_layer",
    ),
    Rule(
        "alert_credit",
        column_zero("unknown_accounts"),
        "fail",
        "every alert is about an account of the base",
        RESCORE,
    ),
    Rule(
        "alert_credit",
        column_zero("outside_probability"),
        "fail",
        "every alert's probabilities lie between 0 and 1",
        PROMOTE,
    ),
    Rule(
        "alert_credit",
        column_zero("without_loss"),
        "fail",
        "the expected loss of every alert is known and at least 0",
        "check exposure and loss given default of the accounts",
    ),
)
