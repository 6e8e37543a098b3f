"""What the default model's scores are for: the expected loss to come, and early warnings."""

from __future__ import annotations

import duckdb
import pandas as pd

from ml.estimator import score_of
from orchestration.models.context import TrainingContext
from orchestration.models.cutoffs import LONG_HORIZON, plan_cutoffs, plus_months
from orchestration.models.datasets import BORROWERS, customers_to_score, features_of
from orchestration.models.scoring import BATCH, Champion, champion_of
from orchestration.value.default_probability import CREATE

# An account is watched when it is a day late or its probability doubled to a level that matters, a
# warning at the first class of arrears or one in ten, an alarm at the second or one in five.
WATCHED, WARNED, ALARMING = 0.05, 0.10, 0.20
LATE, WARNED_LATE, ALARMING_LATE = 1, 30, 60
DOUBLED = 2.0
MONTHS_BEFORE = 3

CREATE_ALERT = """
create schema if not exists alerts;
create or replace table alerts.credit (
    account_id varchar primary key,
    customer_id varchar,
    month date,
    severity varchar,
    reason varchar,
    p_default double,
    p_default_before double,
    expected_lead_months double,
    days_past_due integer,
    exposure decimal(18, 2),
    loss_given_default decimal(9, 6),
    expected_loss_12m decimal(18, 2),
    employee_id varchar,
    default_model_version varchar
)
"""

# Loans, as only they have a record of days past due; the owner answers for the account.
LOAN = """
    create or replace temp table credit_loan as
    select
        month.account_id,
        holder.customer_id,
        coalesce(month.days_past_due, 0) as days_past_due,
        coalesce(month.is_defaulted, false) as is_defaulted,
        coalesce(customer.is_defaulted, false) as is_borrower_defaulted,
        value.exposure,
        parameter.loss_given_default
    from base.account_month as month
    inner join (
        select account_id, min(customer_id) as customer_id
        from base.account_holder where role = 'owner' group by account_id
    ) as holder on holder.account_id = month.account_id
    inner join base.customer as customer on customer.customer_id = holder.customer_id
    inner join value.account_month as value
        on value.account_id = month.account_id and value.month = month.month
    inner join value.product_parameter as parameter
        on parameter.product_id = month.product_id and parameter.month = month.month
    where month.month = $month and month.is_open and month.days_past_due is not null
"""

# What a model says of a shorter horizon is brought to a year at the same monthly hazard.
KNOWN = """
    insert into scores.account_default
    select
        loan.account_id,
        $month,
        1 - power(1 - score.p_default, 12.0 / $horizon),
        score.default_model_version
    from temp.credit_loan as loan
    inner join scores.customer as score on score.customer_id = loan.customer_id
    -- Of a borrower in default the model says nothing: the loans that are not keep their rating.
    where not loan.is_borrower_defaulted and score.p_default is not null
"""

WARN = """
    insert into alerts.credit
    with
    loan as (
        select
            loan.*,
            1 - power(1 - score.p_default, 12.0 / $horizon) as p_default,
            score.default_model_version,
            1 - power(1 - earlier.p_default, 12.0 / $horizon) as p_default_before,
            earlier.expected_lead_months
        from temp.credit_loan as loan
        inner join scores.customer as score on score.customer_id = loan.customer_id
        left join temp.credit_course as earlier on earlier.customer_id = loan.customer_id
        where not loan.is_defaulted and score.p_default is not null
    ),
    why as (
        select
            customer_id,
            string_agg(
                feature || ' ' || coalesce(nullif(value, ''), 'none')
                || ' (usual ' || coalesce(nullif(usual, ''), 'none') || ')',
                '; ' order by rank
            ) as reason
        from scores.reason
        where model_name = 'default' and direction = 'raises'
        group by customer_id
    ),
    judged as (
        select
            *,
            case
                when p_default >= $alarming or days_past_due >= $alarming_late then 'alarm'
                when p_default >= $warned or days_past_due >= $warned_late then 'warning'
                when
                    days_past_due >= $late
                    or (p_default >= $watched and p_default >= $doubled * p_default_before)
                    then 'watch'
            end as severity
        from loan
    )
    select
        judged.account_id,
        judged.customer_id,
        $month,
        judged.severity,
        case
            when judged.is_borrower_defaulted then 'another loan of the borrower is in default; '
            else ''
        end || case
            when judged.days_past_due > 0 then judged.days_past_due || ' days past due; ' else ''
        end || coalesce(why.reason, 'probability of default ' || round(judged.p_default, 3)),
        judged.p_default,
        judged.p_default_before,
        judged.expected_lead_months,
        judged.days_past_due,
        judged.exposure,
        judged.loss_given_default,
        judged.exposure * judged.p_default * judged.loss_given_default,
        customer.employee_id,
        judged.default_model_version
    from judged
    left join why on why.customer_id = judged.customer_id
    left join base.customer as customer on customer.customer_id = judged.customer_id
    where judged.severity is not null
    order by judged.account_id
"""


def use_default_scores(connection: duckdb.DuckDBPyConnection, context: TrainingContext) -> int:
    """Write the accounts' probabilities into `scores.account_default`, for the expected loss of the
    months to come, and `alerts.credit`; returns the alerts.

    Rows scored at earlier months' ends stay; those of this month or later ones, of a refresh that
    went further, are replaced or gone: a release tells what was known at its date.

    Raises
    ------
    ml.registry.ChampionUnusable
        When the champion cannot be loaded; nothing is then written.
    """
    month = context.as_of_month
    # The anchors of the features, too, span the horizon that the champion was trained for.
    plan = plan_cutoffs(context.first_month, month)
    horizon = plan.horizon if plan else LONG_HORIZON
    champion = champion_of(connection, context.registry(), "default")
    for statement in filter(str.strip, f"{CREATE};{CREATE_ALERT}".split(";")):
        connection.execute(statement)
    connection.execute("delete from scores.account_default where scored_month >= ?", [month])
    if champion is None:
        return 0
    connection.execute(LOAN, {"month": month})
    connection.execute(KNOWN, {"month": month, "horizon": horizon})
    _course(connection, context, champion, horizon)
    connection.execute(
        WARN,
        {
            "month": month,
            "watched": WATCHED,
            "warned": WARNED,
            "alarming": ALARMING,
            "late": LATE,
            "warned_late": WARNED_LATE,
            "alarming_late": ALARMING_LATE,
            "doubled": DOUBLED,
            "horizon": horizon,
        },
    )
    for table in ("credit_loan", "credit_course"):
        connection.execute(f"drop table temp.{table}")
    return int(connection.execute("select count(*) from alerts.credit").fetchall()[0][0])


def _course(
    connection: duckdb.DuckDBPyConnection,
    context: TrainingContext,
    champion: Champion,
    horizon: int,
) -> None:
    """What the same champion says of a quarter ago, and when it expects a default from now."""
    connection.execute(
        "create or replace temp table credit_course "
        "(customer_id varchar primary key, p_default double, expected_lead_months double)"
    )
    before = plus_months(context.as_of_month, -MONTHS_BEFORE)
    for frame in customers_to_score(connection, before, horizon, BATCH, BORROWERS):
        said = pd.DataFrame(
            {
                "customer_id": frame["customer_id"],
                "p_default": score_of(champion.model, features_of(frame)),
            }
        )
        connection.register("credit_rows", said)
        connection.execute("insert into temp.credit_course by name select * from credit_rows")
        connection.unregister("credit_rows")
    if not hasattr(champion.model, "expected_lead_time"):
        return
    for frame in customers_to_score(connection, context.as_of_month, horizon, BATCH, BORROWERS):
        said = pd.DataFrame(
            {
                "customer_id": frame["customer_id"],
                "expected_lead_months": champion.model.expected_lead_time(features_of(frame)),
            }
        )
        connection.register("credit_rows", said)
        connection.execute(
            "insert into temp.credit_course by name select * from credit_rows "
            "on conflict do update set expected_lead_months = excluded.expected_lead_months"
        )
        connection.unregister("credit_rows")
