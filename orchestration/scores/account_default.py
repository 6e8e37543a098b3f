"""What the default model's scores are kept for: the expected loss of the months to come."""

from __future__ import annotations

import duckdb

from orchestration.models.context import TrainingContext
from orchestration.models.cutoffs import LONG_HORIZON, plan_cutoffs
from orchestration.value.default_probability import CREATE

# A probability over a shorter horizon is brought to a year at the same monthly hazard.
KNOWN = """
    insert into scores.account_default
    select
        loan.account_id,
        $month,
        1 - power(1 - score.p_default, 12.0 / $horizon),
        score.default_model_version
    from alerts.loan as loan
    inner join scores.customer as score on score.customer_id = loan.customer_id
    -- The model does not score a borrower in default: the loans that are not keep their rating.
    where not loan.is_borrower_defaulted and score.p_default is not null
"""


def keep_default_probabilities(
    connection: duckdb.DuckDBPyConnection, context: TrainingContext
) -> int:
    """Write the accounts' probabilities into `scores.account_default`; returns those of the month.

    Rows scored at earlier months' ends stay; those of this month or later ones, of a refresh that
    went further, are replaced or removed: a release holds what was known at its date.
    """
    month = context.as_of_month
    # The anchors of the features, too, span the horizon that the champion was trained for.
    plan = plan_cutoffs(context.first_month, month)
    horizon = plan.horizon if plan else LONG_HORIZON
    for statement in filter(str.strip, CREATE.split(";")):
        connection.execute(statement)
    connection.execute("delete from scores.account_default where scored_month >= ?", [month])
    return int(connection.execute(KNOWN, {"month": month, "horizon": horizon}).fetchall()[0][0])
