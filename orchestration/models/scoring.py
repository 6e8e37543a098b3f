"""Scoring: the champions' word on every customer, batch by batch."""

from __future__ import annotations

import duckdb
import numpy as np
import pandas as pd

from ml.response.model import OFFER
from orchestration.models.context import TrainingContext
from orchestration.models.datasets import customers_to_score, offers, plan_cutoffs

BATCH = 50_000

CREATE_CUSTOMER = """
create schema if not exists scores;
create or replace table scores.customer (
    customer_id varchar primary key,
    clv_12m decimal(18, 2),
    clv_low decimal(18, 2),
    clv_high decimal(18, 2),
    clv_horizon_months integer,
    clv_model_version varchar
)
"""

CREATE_OFFER = """
create schema if not exists scores;
create or replace table scores.offer (
    customer_id varchar,
    product_id varchar,
    p_response double,
    response_model_version varchar,
    primary key (customer_id, product_id)
)
"""


def _is_on(connection: duckdb.DuckDBPyConnection, name: str) -> bool:
    return bool(
        connection.execute(
            "select 1 from meta.model_version where model_name = ? and version is not null", [name]
        ).fetchall()
    )


def score_customers(connection: duckdb.DuckDBPyConnection, context: TrainingContext) -> int:
    """Write `scores.customer`: value of the coming period with its interval; returns the rows.

    Every customer of the base has a row; where the model is off the figures are NULL.

    Raises
    ------
    ml.registry.ChampionUnusable
        When the champion cannot be loaded; the table is then not written.
    """
    plan = plan_cutoffs(context.first_month, context.as_of_month)
    if plan is None or not _is_on(connection, "clv"):
        connection.execute(CREATE_CUSTOMER)
        connection.execute(
            "insert into scores.customer (customer_id) "
            "select customer_id from base.customer order by customer_id"
        )
        return _count(connection, "customer")
    registry = context.registry()
    version = registry.champion("clv")
    model = registry.load_champion("clv")
    connection.execute(CREATE_CUSTOMER)
    for frame in customers_to_score(connection, context.as_of_month, plan.horizon, BATCH):
        point, low, high = np.round(model.predict_interval(frame), 2).T
        scored = pd.DataFrame(
            {"customer_id": frame["customer_id"], "point": point, "low": low, "high": high}
        )
        connection.register("scored", scored)
        connection.execute(
            "insert into scores.customer select customer_id, point, low, high, ?, ? from scored",
            [plan.horizon, version.version if version else None],
        )
        connection.unregister("scored")
    return _count(connection, "customer")


def score_offers(connection: duckdb.DuckDBPyConnection, context: TrainingContext) -> int:
    """Write `scores.offer`: probability of response by customer and offer; returns the rows.

    Empty where the model is off.

    Raises
    ------
    ml.registry.ChampionUnusable
        When the champion cannot be loaded; the table is then not written.
    """
    if not _is_on(connection, "response"):
        connection.execute(CREATE_OFFER)
        return 0
    registry = context.registry()
    version = registry.champion("response")
    model = registry.load_champion("response")
    connection.execute(CREATE_OFFER)
    products = offers(connection)
    for frame in customers_to_score(connection, context.as_of_month, 12, BATCH):
        for product in products:
            frame[OFFER] = product
            scored = pd.DataFrame(
                {
                    "customer_id": frame["customer_id"],
                    "product_id": product,
                    "p_response": np.round(model.predict(frame), 6),
                }
            )
            connection.register("scored", scored)
            connection.execute(
                "insert into scores.offer select customer_id, product_id, p_response, ? "
                "from scored",
                [version.version if version else None],
            )
            connection.unregister("scored")
    return _count(connection, "offer")


def _count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    return int(connection.execute(f"select count(*) from scores.{table}").fetchall()[0][0])
