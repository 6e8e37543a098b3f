"""Contacts of campaigns with what was known of customer, offer and market before each of them.

Joined and summed by the engine: a response is known once its window is over (`RESPONSE_DAYS` after
the contact), and counts for no contact before that day.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import duckdb
import pandas as pd

from ml.response.model import OFFER, OFFER_LINE
from orchestration.models.datasets import feature_columns
from sources.vocabulary import days_of

RESPONSE_DAYS = days_of("response")
# Weight, in contacts, with which a rate is shrunk to that of its line, and the line's to the total.
PRIOR_CONTACTS = 20
# Contacts beyond which a model learns from a fixed sample, as from customers (MOST_CUSTOMERS).
MOST_CONTACTS = 160_000
SHORT_TENOR, LONG_TENOR = 3, 120
CONTEXT = (
    "lagged_rate_offer",
    "lagged_rate_line",
    "lagged_rate_all",
    "lagged_contacts_offer",
    "market_rate_short",
    "market_rate_long",
)


def _known(name: str, key: str) -> str:
    """CTE of matured contacts so far by `key`: its value, the day, contacts and responses."""
    return f"""
        {name} as (
            select
                key,
                known_on,
                sum(contacts) over by_day as contacts,
                sum(responses) over by_day as responses
            from (
                select
                    {key} as key,
                    contacted_on + {RESPONSE_DAYS} as known_on,
                    count(*) as contacts,
                    count(*) filter (where is_responded) as responses
                from base.campaign_contact
                where arm = 'treatment' and is_response_complete
                group by all
            )
            window by_day as (partition by key order by known_on)
        )
    """


def _context_sql(asked: str) -> str:
    """What was known of each offer on each day it is asked for: `CONTEXT` beside the columns of
    `asked`, which are product_id, product_line, asked_on, market_month."""
    rate_all = "everything.responses / everything.contacts"
    rate_line = (
        f"(line.responses + {PRIOR_CONTACTS} * {rate_all}) / (line.contacts + {PRIOR_CONTACTS})"
    )
    rate_offer = (
        f"(offer.responses + {PRIOR_CONTACTS} * coalesce({rate_line}, {rate_all})) "
        f"/ (offer.contacts + {PRIOR_CONTACTS})"
    )
    return f"""
        with
        asked as ({asked}),
        {_known("known_offer", "product_id")},
        {_known("known_line", "product_line")},
        {_known("known_all", "true")},
        market as (
            select
                month,
                max(annual_rate) filter (tenor_months = {SHORT_TENOR})::double as market_rate_short,
                max_by(annual_rate, tenor_months) filter (tenor_months <= {LONG_TENOR})::double
                    as market_rate_long
            from value.transfer_curve
            group by month
        )
        select
            asked.*,
            {rate_offer} as lagged_rate_offer,
            {rate_line} as lagged_rate_line,
            {rate_all} as lagged_rate_all,
            coalesce(offer.contacts, 0)::double as lagged_contacts_offer,
            market.market_rate_short,
            market.market_rate_long
        from asked
        asof left join known_offer as offer
            on asked.product_id = offer.key and asked.asked_on >= offer.known_on
        asof left join known_line as line
            on asked.product_line = line.key and asked.asked_on >= line.known_on
        asof left join known_all as everything
            on everything.key = true and asked.asked_on >= everything.known_on
        left join market on market.month = asked.market_month
    """


def contact_frame(
    connection: duckdb.DuckDBPyConnection, arms: Sequence[str] = ("treatment",)
) -> pd.DataFrame:
    """Contacts of these arms whose response window is over, oldest first; of more than
    `MOST_CONTACTS` a fixed sample.

    Columns: contact_id, customer_id, arm, assignment_probability, contacted_on, matured_on,
    responded; `offer` and `offer_line`; the features of the end of the month before; and `CONTEXT`:

    - rates of response of the same offer, of its line and of all, of the contacts of the treatment
      arm whose window was over by the day of this one, shrunken (`PRIOR_CONTACTS`); NULL where
      there was none;
    - the number of those of the same offer;
    - the market's rate for short and long tenors, of the transfer curve in force the month before.
    """
    features = ", ".join(f'feature."{name}"' for name in feature_columns(connection))
    context = ", ".join(f"context.{name}" for name in CONTEXT)
    asked = """
        select distinct
            product_id,
            product_line,
            contacted_on as asked_on,
            (month - to_months(1))::date as market_month
        from base.campaign_contact
        where list_contains($arms, arm) and is_response_complete
    """
    return connection.execute(
        f"""
        with
        context as ({_context_sql(asked)}),
        contact as (
            from base.campaign_contact
            where list_contains($arms, arm) and is_response_complete
            order by hash(contact_id), contact_id
            limit {MOST_CONTACTS}
        )
        select
            contact.contact_id,
            contact.customer_id,
            contact.arm,
            contact.assignment_probability,
            contact.contacted_on,
            contact.contacted_on + {RESPONSE_DAYS} as matured_on,
            contact.is_responded::integer as responded,
            contact.product_id as {OFFER},
            contact.product_line as {OFFER_LINE},
            {context},
            {features}
        from contact
        inner join features.customer_month as feature
            on feature.customer_id = contact.customer_id
            and feature.month = contact.month - to_months(1)
        inner join context
            on context.product_id is not distinct from contact.product_id
            and context.product_line is not distinct from contact.product_line
            and context.asked_on = contact.contacted_on
            and context.market_month = contact.month - to_months(1)
        order by contact.contacted_on, contact.contact_id
        """,
        {"arms": list(arms)},
    ).df()


def offers(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Products that a campaign has offered so far."""
    return [
        name
        for (name,) in connection.execute(
            "select distinct product_id from base.campaign_contact order by all"
        ).fetchall()
    ]


def offers_to_score(
    connection: duckdb.DuckDBPyConnection, as_of: date, also: Sequence[str] = ()
) -> pd.DataFrame:
    """What is known of each offer for contacts of the month after the as-of date.

    Parameters
    ----------
    as_of : last day seen
    also : products of the product master (`base.product`) to score though no campaign has offered
        them yet

    Returns
    -------
    Frame of one row an offer, in the order of their names: `offer`, `offer_line` and `CONTEXT`.

    Raises
    ------
    ValueError
        For products that are not in the product master; names all of them.
    """
    asked = """
        select
            product_id,
            max(product_line) as product_line,
            $as_of::date as asked_on,
            date_trunc('month', $as_of::date)::date as market_month
        from base.campaign_contact
        where contacted_on <= $as_of and product_id is not null
        group by product_id
    """
    never_offered = sorted(set(also) - set(offers(connection)))
    parameters: dict[str, object] = {"as_of": as_of}
    if never_offered:
        parameters["also"] = never_offered
        known = connection.execute(
            "select product_id from base.product where list_contains($also, product_id)",
            {"also": never_offered},
        ).fetchall()
        unknown = sorted(set(never_offered) - {name for (name,) in known})
        if unknown:
            raise ValueError(
                f"offers {', '.join(unknown)} are invalid: expected products of the bank"
            )
        asked += """
            union all
            select
                product_id,
                product_line,
                $as_of::date,
                date_trunc('month', $as_of::date)::date
            from base.product
            where list_contains($also, product_id)
        """
    found = connection.execute(f"{_context_sql(asked)} order by asked.product_id", parameters).df()
    named = found.rename(columns={"product_id": OFFER, "product_line": OFFER_LINE})
    return named[[OFFER, OFFER_LINE, *CONTEXT]]
