"""Opened accounts, with their owners' features before and their margin after the opening."""

from __future__ import annotations

from datetime import date

import duckdb
import pandas as pd

from ml.response.model import OFFER
from ml.response.product_value import LINE
from orchestration.models.windows import complete_windows

FIRST_MONTHS = 12


def opening_frame(connection: duckdb.DuckDBPyConnection, first_month: date) -> pd.DataFrame:
    """Accounts whose first twelve months are over, oldest first.

    Features are those of the owner at the end of the month before the opening, in whole windows
    (`complete_windows`; `first_month` is that of the history). Columns: account_id,
    customer_id, opened_on, matured_on, offer, offer_line, brought (contribution margin of the first
    twelve months before expected loss, currency units) and the features.
    """
    openings = connection.execute(
        f"""
        select
            opened.features_month,
            opened.account_id,
            opened.customer_id,
            opened.opened_on::timestamp as opened_on,
            opened.matured_on::timestamp as matured_on,
            opened.product_id as {OFFER},
            opened.product_line as {LINE},
            opened.brought::double as brought,
            feature.* exclude (customer_id, month)
        from outcomes.account_opening as opened
        inner join features.customer_month as feature
            on feature.customer_id = opened.customer_id
            and feature.month = opened.features_month
        order by opened.opened_on, opened.account_id
        """
    ).df()
    return complete_windows(openings, openings.pop("features_month"), first_month)
