"""What was known before each contact, by brute force over the contacts before it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.response.model import OFFER, OFFER_LINE
from orchestration.models import contact_frames
from orchestration.models.contact_frames import (
    CONTEXT,
    contact_frame,
    offers_to_score,
)
from orchestration.models.cutoffs import plus_months
from orchestration.models.datasets import features_of

FIRST, AS_OF = date(2024, 1, 1), date(2024, 12, 31)
# Of the history, long before all windows.
FIRST_MONTH = date(2000, 1, 1)
PRIOR_CONTACTS = 20
LINE = {"card": "cards", "term": "deposits", "savings": "deposits", "odd": None}
TABLES = """
create schema features; create schema base; create schema value;
create schema if not exists outcomes;
create table base.refresh_window as
    select date '2024-12-31' as as_of, date '2024-12-01' as as_of_month;
create table features.customer_month (customer_id varchar, month date, age integer);
create view features.spine as select customer_id, month from features.customer_month;
create table base.campaign_contact (
    contact_id varchar, customer_id varchar, product_id varchar, product_line varchar,
    contacted_on date, month date, arm varchar, assignment_probability double,
    is_responded boolean, is_response_complete boolean
);
create table base.product (product_id varchar, product_name varchar, product_line varchar);
create table value.transfer_curve (
    currency varchar, month date, tenor_months integer, annual_rate decimal(9, 6)
);
insert into base.product values
    ('card', 'Card', 'cards'), ('term', 'Term', 'deposits'), ('savings', 'Savings', 'deposits'),
    ('fund', 'Fund', 'wealth');
"""
# Offer, day after the first, arm, whether there was a response.
Contact = tuple[str, int, str, bool]


Queries = dict[str, str]


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        yield opened


def build(connection: duckdb.DuckDBPyConnection, queries: Queries) -> None:
    for table in ("features.offer", "outcomes.contact"):
        connection.execute(f"create or replace table {table} as {queries[table]}")


def insert_contacts(
    connection: duckdb.DuckDBPyConnection, contacts: list[Contact], queries: Queries
) -> None:
    connection.execute("drop schema if exists features cascade; drop schema if exists base cascade")
    connection.execute(f"drop schema if exists value cascade; {TABLES}")
    months = [plus_months(FIRST, number) for number in range(-1, 13)]
    features = pd.DataFrame({"customer_id": "c", "month": months, "age": range(-1, 13)})
    curve = pd.DataFrame(
        [
            (currency, month, tenor, level + (number + 1 + tenor / 1000) / 100)
            for number, month in enumerate(months)
            for tenor in (1, 3, 60, 120, 360)
            for currency, level in (("*", 0), ("USD", 9))
        ]
    )
    contact_rows = pd.DataFrame(
        [
            (f"k{number:03}", "c", offer, LINE[offer], on, on.replace(day=1), arm, 0.6, responded)
            + (on + timedelta(days=60) <= AS_OF,)
            for number, (offer, day, arm, responded) in enumerate(contacts)
            if (on := FIRST + timedelta(days=day))
        ]
    )
    for table, rows in (
        ("features.customer_month", features),
        ("value.transfer_curve", curve),
        ("base.campaign_contact", contact_rows),
    ):
        if len(rows):
            connection.register("new_rows", rows)
            connection.execute(f"insert into {table} select * from new_rows")
            connection.unregister("new_rows")
    build(connection, queries)


def by_hand(contacts: list[Contact], offer: str, day: int) -> list[float]:
    """The rates of the offer, its line and all, and the contacts of the offer, known on a day."""
    known = [(o, r) for o, d, arm, r in contacts if arm == "treatment" and d + 60 <= day]
    everything = [r for _, r in known]
    line = [r for o, r in known if LINE[o] and LINE[o] == LINE[offer]]
    own = [r for o, r in known if o == offer]
    rate = np.mean(everything) if everything else np.nan
    of_line = (sum(line) + PRIOR_CONTACTS * rate) / (len(line) + PRIOR_CONTACTS)
    above = of_line if line else rate
    of_offer = (sum(own) + PRIOR_CONTACTS * above) / (len(own) + PRIOR_CONTACTS)
    return [of_offer if own else np.nan, of_line if line else np.nan, rate, len(own)]


CONTACTS = st.lists(
    st.tuples(
        st.sampled_from(sorted(LINE)),
        st.integers(0, 365),
        st.sampled_from(["treatment", "control"]),
        st.booleans(),
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=12, deadline=None)
@given(contacts=CONTACTS)
def test_lagged_rates_are_those_of_the_contacts_whose_window_was_over(outcome_queries, contacts):
    with duckdb.connect() as connection:
        insert_contacts(connection, contacts, outcome_queries)
        found = contact_frame(connection, FIRST_MONTH, arms=("treatment", "control"))
        complete = [one for one in contacts if FIRST + timedelta(days=one[1] + 60) <= AS_OF]
        assert len(found) == len(complete)
        for row in found.to_dict("records"):
            day = (row["contacted_on"].date() - FIRST).days
            np.testing.assert_allclose(
                [row[name] for name in CONTEXT[:4]], by_hand(complete, row[OFFER], day)
            )
        scored = offers_to_score(connection).set_index(OFFER)
        assert list(scored.index) == sorted({one[0] for one in contacts if one[1] <= 365})
        for offer, row in scored.iterrows():
            np.testing.assert_allclose(
                row[list(CONTEXT[:4])].to_numpy(dtype=float), by_hand(complete, str(offer), 365)
            )


@settings(max_examples=8, deadline=None)
@given(contacts=CONTACTS, later=CONTACTS, border=st.integers(60, 200))
def test_later_contacts_and_answers_change_no_earlier_context(
    outcome_queries, contacts, later, border
):
    """Contacts from the border on, and answers not yet over at it, are anything."""
    before = [one for one in contacts if one[1] < border]
    other = [
        (offer, day, arm, responded if day + 60 < border else not responded)
        for offer, day, arm, responded in before
    ]
    with duckdb.connect() as connection:
        insert_contacts(connection, before, outcome_queries)
        known = contact_frame(connection, FIRST_MONTH)
        insert_contacts(
            connection, other + [one for one in later if one[1] >= border], outcome_queries
        )
        again = contact_frame(connection, FIRST_MONTH)
        again = again[again["contacted_on"] < pd.Timestamp(FIRST + timedelta(days=border))]
        kept = ["contact_id", OFFER, *CONTEXT]
        pd.testing.assert_frame_equal(
            known[kept].reset_index(drop=True),
            again[kept].reset_index(drop=True),
            check_dtype=False,
        )


def test_a_response_is_known_sixty_days_after_its_contact_and_not_a_day_before(
    connection, outcome_queries
):
    insert_contacts(
        connection,
        [("card", 0, "treatment", True), ("card", 59, "treatment", False)],
        outcome_queries,
    )
    assert np.isnan(contact_frame(connection, FIRST_MONTH)["lagged_rate_offer"].iloc[1])
    insert_contacts(
        connection,
        [("card", 0, "treatment", True), ("card", 60, "treatment", False)],
        outcome_queries,
    )
    assert contact_frame(connection, FIRST_MONTH)["lagged_rate_offer"].iloc[1] == 1.0


def test_the_markets_rates_are_those_of_the_month_before(connection, outcome_queries):
    insert_contacts(
        connection,
        [("card", 0, "treatment", True), ("card", 100, "treatment", False)],
        outcome_queries,
    )
    found = contact_frame(connection, FIRST_MONTH)
    # December and March, the months -1 and 2; tenors of 3 and, the longest up to it, 120 months.
    assert found["market_rate_short"].tolist() == pytest.approx([0.01003, 0.04003])
    assert found["market_rate_long"].tolist() == pytest.approx([0.0112, 0.0412])
    assert found["age"].tolist() == [-1, 2]
    asked = offers_to_score(connection)
    assert asked["market_rate_short"].tolist() == pytest.approx([0.13003])


def test_without_matured_contacts_or_a_curve_the_context_is_unknown(connection, outcome_queries):
    insert_contacts(connection, [("card", 0, "treatment", True)], outcome_queries)
    connection.execute("delete from value.transfer_curve")
    build(connection, outcome_queries)
    (row,) = contact_frame(connection, FIRST_MONTH).to_dict("records")
    assert [name for name in CONTEXT if not pd.isna(row[name])] == ["lagged_contacts_offer"]
    connection.execute("delete from base.campaign_contact")
    build(connection, outcome_queries)
    assert contact_frame(connection, FIRST_MONTH).empty
    assert offers_to_score(connection).empty


def test_requested_arms_carry_their_probability_and_neither_is_a_feature(
    connection, outcome_queries
):
    insert_contacts(
        connection, [("card", 0, "treatment", True), ("term", 5, "control", False)], outcome_queries
    )
    assert contact_frame(connection, FIRST_MONTH)["arm"].tolist() == ["treatment"]
    both = contact_frame(connection, FIRST_MONTH, arms=("treatment", "control"))
    assert both["arm"].tolist() == ["treatment", "control"]
    assert both["assignment_probability"].tolist() == [0.6, 0.6]
    assert list(features_of(both)) == [OFFER, OFFER_LINE, *CONTEXT, "age"]


def test_offers_to_score_are_those_made_so_far_and_new_ones_asked_for(connection, outcome_queries):
    insert_contacts(
        connection,
        [("term", 0, "treatment", True), ("card", 90, "control", False)],
        outcome_queries,
    )
    assert offers_to_score(connection)[OFFER].tolist() == ["card", "term"]
    asked = offers_to_score(connection, also=["savings", "term", "fund"])
    assert asked[[OFFER, OFFER_LINE]].to_numpy().tolist() == [
        *(["card", "cards"], ["fund", "wealth"], ["savings", "deposits"], ["term", "deposits"]),
    ]
    # A cold start: nothing of its own, the line's rate and that of all are known.
    savings = asked.set_index(OFFER).loc["savings"]
    assert np.isnan(savings["lagged_rate_offer"])
    assert savings["lagged_contacts_offer"] == 0
    assert savings["lagged_rate_line"] == 1.0
    with pytest.raises(ValueError, match="offers bond, gold are invalid"):
        offers_to_score(connection, also=["gold", "savings", "bond"])


def test_contacts_beyond_the_limit_are_sampled_the_same_each_time(
    connection, outcome_queries, monkeypatch
):
    """With what was known before each of them of all contacts, in the sample or not."""
    contacts = [("card", day, "treatment", day % 3 == 0) for day in range(200)]
    insert_contacts(connection, contacts, outcome_queries)
    everything = contact_frame(connection, FIRST_MONTH)
    monkeypatch.setattr(contact_frames, "MOST_CONTACTS", 40)
    some = contact_frame(connection, FIRST_MONTH)
    assert len(some) == 40
    pd.testing.assert_frame_equal(
        some.set_index("contact_id"),
        everything.set_index("contact_id").loc[some["contact_id"]],
    )
    pd.testing.assert_frame_equal(some, contact_frame(connection, FIRST_MONTH))
