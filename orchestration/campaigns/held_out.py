"""What the champion of uplift said of campaigns that it had not learned from."""

from __future__ import annotations

import duckdb
import pandas as pd

from ml.registry import ChampionUnusable
from orchestration.models.context import TrainingContext
from orchestration.models.registration import is_on
from orchestration.models.studies.response import evaluation_border
from orchestration.models.studies.uplift import randomised_contacts, split_at
from orchestration.models.uplift_evaluation import POLICY

CREATE = """
create schema if not exists campaigns;
create or replace table campaigns.uplift_policy (
    policy varchar,
    metric varchar,
    value double,
    low double,
    high double,
    difference double,
    difference_low double,
    difference_high double,
    contacts integer,
    evaluated_from varchar,
    uplift_model_version varchar,
    primary key (policy, metric)
)
"""


def held_out_uplift(
    connection: duckdb.DuckDBPyConnection, context: TrainingContext
) -> pd.DataFrame | None:
    """What the champion's twin, fitted before them, says of the newest campaigns' contacts:
    contact_id, predicted. Writes `campaigns.uplift_policy` beside, as it was logged with the
    champion.

    None, and an empty table, where the model is off or its champion cannot be read.
    """
    connection.execute(CREATE)
    if not is_on(connection, "uplift"):
        return None
    registry = context.registry()
    champion = registry.champion("uplift")
    contacts = randomised_contacts(connection)
    border = evaluation_border(contacts)
    if champion is None or border is None:
        return None
    try:
        twin = registry.load_twin(champion)
        table = registry.table(champion, POLICY)
    except ChampionUnusable:
        return None
    table = table.assign(uplift_model_version=champion.version)
    connection.register("policy_rows", table)
    connection.execute("insert into campaigns.uplift_policy by name select * from policy_rows")
    connection.unregister("policy_rows")
    _, later = split_at(contacts, border)
    return pd.DataFrame(
        {
            "contact_id": later.outcome["contact_id"].to_numpy(),
            "predicted": twin.predict(later.features),
        }
    )
