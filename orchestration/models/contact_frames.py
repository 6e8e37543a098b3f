"""Contacts of campaigns with what was known of customer, offer and market before each of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import duckdb
import pandas as pd

from ml.response.model import OFFER, OFFER_LINE
from orchestration.models.datasets import feature_columns
from orchestration.models.windows import complete_windows

# Contacts beyond which a model learns from a fixed sample, as from customers (MOST_CUSTOMERS).
MOST_CONTACTS = 160_000
CONTEXT = (
    "lagged_rate_offer",
    "lagged_rate_line",
    "lagged_rate_all",
    "lagged_contacts_offer",
    "market_rate_short",
    "market_rate_long",
)


def contact_frame(
    connection: duckdb.DuckDBPyConnection,
    first_month: date,
    arms: Sequence[str] = ("treatment",),
) -> pd.DataFrame:
    """Contacts of these arms whose response window is over, oldest first; of more than
    `MOST_CONTACTS` a fixed sample.

    Columns: contact_id, customer_id, arm, assignment_probability, contacted_on, matured_on,
    responded; `offer` and `offer_line`; what was known of the offer and the market (`CONTEXT`, see
    `outcomes.contact`); and the features of the end of the month before, in whole windows
    (`complete_windows`; `first_month` is that of the history).
    """
    features = ", ".join(f'feature."{name}"' for name in feature_columns(connection))
    context = ", ".join(f"contact.{name}" for name in CONTEXT)
    contacts = connection.execute(
        f"""
        select
            contact.features_month,
            contact.contact_id,
            contact.customer_id,
            contact.arm,
            contact.assignment_probability,
            contact.contacted_on,
            contact.matured_on,
            contact.is_responded::integer as responded,
            contact.product_id as {OFFER},
            contact.product_line as {OFFER_LINE},
            {context},
            {features}
        from (
            from outcomes.contact
            where list_contains($arms, arm)
                and (customer_id, features_month) in (from features.spine)
            order by md5(contact_id)
            limit {MOST_CONTACTS}
        ) as contact
        inner join features.customer_month as feature
            on feature.customer_id = contact.customer_id
            and feature.month = contact.features_month
        order by contact.contacted_on, contact.contact_id
        """,
        {"arms": list(arms)},
    ).df()
    return complete_windows(contacts, contacts.pop("features_month"), first_month)


def offers_to_score(
    connection: duckdb.DuckDBPyConnection, also: Sequence[str] = ()
) -> pd.DataFrame:
    """What is known of each offer for contacts of the month after the as-of date.

    Parameters
    ----------
    also : products of the product master to score though no campaign has offered them yet

    Returns
    -------
    Frame of one row an offer, in the order of their names: `offer`, `offer_line` and `CONTEXT`.

    Raises
    ------
    ValueError
        For products that are not in the product master; names all of them.
    """
    found = connection.execute(
        f"""
        select product_id as {OFFER}, product_line as {OFFER_LINE}, {", ".join(CONTEXT)}
        from features.offer
        where is_offered or list_contains($also::varchar[], product_id)
        order by product_id
        """,
        {"also": list(also)},
    ).df()
    if unknown := sorted(set(also) - set(found[OFFER])):
        raise ValueError(f"offers {', '.join(unknown)} are invalid: expected products of the bank")
    return found
