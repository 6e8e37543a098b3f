"""What the default model's scores are kept for: the expected loss of the months to come."""

from __future__ import annotations

import duckdb

from orchestration.models.context import TrainingContext
from orchestration.models.cutoffs import LONG_HORIZON, plan_cutoffs
from orchestration.platform.tables import append_rows, ensure_table

TABLE = "scores.account_default"
# A probability over a shorter horizon is brought to a year at the same monthly hazard.
KNOWN = """
    select
        loan.account_id,
        $month as scored_month,
        1 - power(1 - score.p_default, 12.0 / $horizon) as p_default,
        score.default_model_version
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
    went further, are replaced or removed: a release holds what was known at its date.
    """
    month = context.as_of_month
    # The anchors of the features, too, span the horizon that the champion was trained for.
    plan = plan_cutoffs(context.first_month, month)
    horizon = plan.horizon if plan else LONG_HORIZON
    ensure_table(connection, TABLE)
    connection.execute(f"delete from {TABLE} where scored_month >= ?", [month])
    known = connection.execute(KNOWN, {"month": month, "horizon": horizon}).df()
    append_rows(connection, TABLE, known)
    return len(known)
