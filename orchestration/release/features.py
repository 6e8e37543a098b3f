"""The input rows of the released scores, so that they can be scored again."""

from __future__ import annotations

import duckdb

MONTHLY, OFFER = "customer_month", "offer"


def released_features(connection: duckdb.DuckDBPyConnection) -> dict[str, duckdb.DuckDBPyRelation]:
    """The rows of `features.customer_month` and `features.offer` of the as-of month, by table.

    Customers with all that a model may read: the features, the contribution of the last period and
    its pace, scaled to the horizon of the models, and the value tier. Offers with what is known of
    each for contacts of the month after. The same queries give the scores' own rows. Nothing where
    the warehouse holds no features.
    """
    from orchestration.models.contact_frames import offers_to_score
    from orchestration.models.cutoffs import LONG_HORIZON, plan_cutoffs
    from orchestration.models.datasets import customer_sql, feature_columns
    from orchestration.models.offer_scoring import offers_without_campaign

    if not feature_columns(connection):
        return {}
    ((first_month, as_of),) = connection.execute(
        "select first_month, as_of from landing.refresh_window"
    ).fetchall()
    month = as_of.replace(day=1)
    plan = plan_cutoffs(first_month, month)
    horizon = plan.horizon if plan else LONG_HORIZON
    customers = connection.sql(
        "select customer_id, $month::date as month, * exclude (customer_id) "
        f"from ({customer_sql(connection, horizon)}) order by customer_id",
        params={"month": month},
    )
    offers = offers_to_score(connection, offers_without_campaign(connection))
    return {
        MONTHLY: customers,
        OFFER: connection.from_df(offers).project("offer as product_id, *"),
    }
