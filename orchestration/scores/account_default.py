"""What the default model's scores are kept for: the expected loss of the months to come."""

from __future__ import annotations

import duckdb

from expectations.suites.models import MOST_BIAS
from orchestration.models.context import TrainingContext
from orchestration.models.cutoffs import LONG_HORIZON, plan_cutoffs
from orchestration.platform.tables import append_rows, ensure_table

TABLE, MONITORING = "scores.account_default", "meta.model_monitoring"
# Of such totals G3 warns to use the ranking only, so expected loss does not use them either.
LEVEL_REFUSED = f"""
    select count(*) > 0
    from (
        select low, high from meta.model_evaluation
        where model_name = 'default' and champion and metric = 'total_bias'
        union all
        select low, high from meta.model_monitoring
        where model_name = 'default' and judged = 'model' and metric = 'total_bias'
    )
    where low > {MOST_BIAS} or high < -{MOST_BIAS}
"""
# A probability over a shorter horizon is brought to a year at the same monthly hazard.
KNOWN = """
    select
        loan.account_id,
        $month as scored_month,
        case when not $refused then 1 - power(1 - score.p_default, 12.0 / $horizon) end
            as p_default,
        case when not $refused then score.default_model_version end as default_model_version
    from alerts.loan as loan
    inner join scores."default" as score on score.customer_id = loan.customer_id
    -- The model does not score a borrower in default: the loans that are not keep their rating.
    where not loan.is_borrower_defaulted
"""


def keep_default_probabilities(
    connection: duckdb.DuckDBPyConnection, context: TrainingContext
) -> int:
    """Write the accounts' probabilities into `scores.account_default`; returns those of the month.

    Rows scored at earlier months' ends stay; those of this month or later ones, of a refresh that
    went further, are replaced or removed: a release holds what was known at its date. The rows of a
    champion whose total is off beyond chance, by its evaluation or on the newest cohort, are empty:
    the rating table holds.
    """
    month = context.as_of_month
    # The anchors of the features, too, span the horizon that the champion was trained for.
    plan = plan_cutoffs(context.first_month, month)
    horizon = plan.horizon if plan else LONG_HORIZON
    ensure_table(connection, TABLE)
    connection.execute(f"delete from {TABLE} where scored_month >= ?", [month])
    ensure_table(connection, MONITORING)
    (refused,) = connection.execute(LEVEL_REFUSED).fetchall()[0]
    given = {"month": month, "horizon": horizon, "refused": refused}
    known = connection.execute(KNOWN, given).df()
    append_rows(connection, TABLE, known)
    return len(known)
