"""Predictions of the uplift champion on campaigns outside its training data."""

from __future__ import annotations

import duckdb
import pandas as pd

from ml.registry import ChampionUnusable
from orchestration.models.context import TrainingContext
from orchestration.models.registration import is_on
from orchestration.models.studies.response import evaluation_border
from orchestration.models.studies.uplift import randomised_contacts, split_at
from orchestration.models.uplift_evaluation import POLICY
from orchestration.platform.tables import write_table


def write_held_out_uplift(connection: duckdb.DuckDBPyConnection, context: TrainingContext) -> int:
    """Write `models.held_out_uplift`, what the champion's twin, fitted before the newest campaigns,
    predicts of their contacts, and `campaigns.uplift_policy`, as logged with the champion.

    Both are empty where the model is off or its champion cannot be read. Returns the predictions.

    Raises
    ------
    FrameInvalid
        For a prediction that is not a number, or of a contact twice.
    """
    found = _of_champion(connection, context) if is_on(connection, "uplift") else None
    policy, predicted = found or (None, None)
    write_table(connection, "campaigns.uplift_policy", policy)
    return write_table(connection, "models.held_out_uplift", predicted)


def _of_champion(
    connection: duckdb.DuckDBPyConnection, context: TrainingContext
) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    registry = context.registry()
    champion = registry.champion("uplift")
    contacts = randomised_contacts(connection, context.first_month)
    border = evaluation_border(contacts)
    if champion is None or border is None:
        return None
    try:
        twin = registry.load_twin(champion)
        policy = registry.table(champion, POLICY).assign(uplift_model_version=champion.version)
    except ChampionUnusable:
        return None
    _, later = split_at(contacts, border)
    predicted = later.outcome[["contact_id"]].assign(predicted=twin.predict(later.features))
    return policy, predicted
