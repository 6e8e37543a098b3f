"""Opened accounts, with their owners' features before and their margin after the opening."""

from __future__ import annotations

import duckdb
import pandas as pd

from ml.response.model import OFFER
from ml.response.product_value import LINE
from orchestration.models.datasets import EXACT

FIRST_MONTHS = 12


def opening_frame(connection: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """Accounts whose first twelve months are over, oldest first.

    Features are those of the owner at the end of the month before the opening. Columns: account_id,
    customer_id, opened_on, matured_on, offer, offer_line, brought (contribution margin of the first
    twelve months before expected loss, currency units) and the features.
    """
    return connection.execute(
        f"""
        with
        owner as (
            select account_id, min(customer_id) as customer_id
            from base.account_holder where role = 'owner' group by account_id
        ),
        opened as (
            select
                account.account_id,
                owner.customer_id,
                account.opened_on,
                date_trunc('month', account.opened_on)::date as month,
                account.product_id,
                account.product_line
            from base.account as account
            inner join owner on owner.account_id = account.account_id
            where date_trunc('month', account.opened_on)::date + to_months({FIRST_MONTHS - 1})
                <= (select max(month) from value.account_month)
        ),
        brought as (
            select
                opened.account_id,
                sum(
                    (value.contribution_margin + value.expected_loss)::{EXACT}
                )::double as brought
            from opened
            inner join value.account_month as value
                on value.account_id = opened.account_id
                and value.month < opened.month + to_months({FIRST_MONTHS})
            group by opened.account_id
        )
        select
            opened.account_id,
            opened.customer_id,
            opened.opened_on::timestamp as opened_on,
            (opened.month + to_months({FIRST_MONTHS}))::timestamp as matured_on,
            opened.product_id as {OFFER},
            opened.product_line as {LINE},
            brought.brought,
            feature.* exclude (customer_id, month)
        from opened
        inner join brought on brought.account_id = opened.account_id
        inner join features.customer_month as feature
            on feature.customer_id = opened.customer_id
            and feature.month = opened.month - to_months(1)
        order by opened.opened_on, opened.account_id
        """
    ).df()
