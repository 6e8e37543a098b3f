"""Abnormal transactions: how unlike an account's own past each day of the as-of month is.

dbt compares every day with the account's habits (`dbt_project/models/alerts`). Here the detector
learns from a bounded sample of past days, judges the month's days in batches and explains the most
abnormal ones.
"""

from __future__ import annotations

from dataclasses import fields
from math import ceil

import duckdb
import numpy as np
import pandas as pd

from ml.anomaly.detector import FEATURES, AbnormalDays
from ml.anomaly.reasons import DayEvidence, KindEvidence, explain
from orchestration.platform.tables import write_table

TABLE = "alerts.transaction"
# An investigator looks at some ten cases a working day, about 200 a month: with two for each 1,000
# customers one of them is enough for a bank of 100,000.
CAPACITY_PER_1000 = 2.0
# With less history, habits cannot be separated from chance.
LEAST_MONTHS, LEAST_DAYS = 3, 300
# A severity begins at days that are rarer than one in 100, 1,000 and 10,000 ordinary ones.
WATCHED, WARNED, ALARMING = 2.0, 3.0, 4.0
# Days of a batch, in vectors of the engine: some 100,000.
VECTORS = 50

DAYS = f"select customer_id, account_id, booked_on, surprise, {', '.join(FEATURES)} "

# What the words are made of, the most unusual kind of a day first.
EVIDENCE = """
    select
        kind.account_id,
        kind.kind,
        kind.channel,
        kind.is_in,
        exp(kind.size) as largest_amount,
        exp(kind.location) as usual_amount,
        kind.known_bookings,
        kind.bookings_2d,
        kind.bookings_10d,
        kind.just_below_round_10d,
        kind.daily,
        kind.strangers,
        kind.new_channels,
        kind.amount_surprise,
        kind.count_surprise,
        kind.stranger_surprise,
        kind.channel_surprise,
        day.swept_share,
        day.passed_share,
        day.days_silent,
        day.sweep_surprise,
        day.pass_surprise
    from alerts.kind_day as kind
    inner join alerts.account_day as day
        on day.account_id = kind.account_id and day.booked_on = kind.booked_on
    inner join chosen on chosen.account_id = kind.account_id and chosen.booked_on = kind.booked_on
    order by
        chosen.rank,
        kind.amount_surprise + kind.count_surprise + kind.stranger_surprise
        + kind.channel_surprise desc,
        kind.kind
"""

# The booking that stands for a day: the largest of its most unusual kind.
BOOKING = """
    select
        booking.transaction_id,
        chosen.account_id,
        chosen.customer_id,
        booking.booked_on,
        booking.month,
        booking.kind,
        booking.channel,
        booking.amount,
        chosen.score,
        chosen.rank,
        chosen.severity,
        chosen.reason,
        chosen.usual_amount,
        chosen.rule_score,
        chosen.forest_score,
        customer.employee_id
    from chosen
    inner join staging.stg_transaction as booking
        on booking.account_id = chosen.account_id
        and booking.booked_on = chosen.booked_on
        and booking.kind = chosen.kind
        and (booking.amount > 0) = chosen.is_in
    left join base.customer as customer on customer.customer_id = chosen.customer_id
    qualify row_number() over (
        partition by chosen.account_id
        order by abs(abs(booking.amount)::double - chosen.largest_amount), booking.transaction_id
    ) = 1
    order by chosen.rank
"""


def write_transaction_alerts(
    connection: duckdb.DuckDBPyConnection,
    *,
    capacity_per_1000: float = CAPACITY_PER_1000,
    seed: int,
) -> int:
    """Write `alerts.transaction` for the bookings of the as-of month; returns the alerts.

    Without bookings, or with too little history before the month to know habits from, the table is
    empty.

    Parameters
    ----------
    capacity_per_1000 : float, alerts for each 1,000 customers that hold an account
    seed : int, of the isolation forest

    Raises
    ------
    ValueError
        When the capacity is below zero.
    """
    if capacity_per_1000 < 0:
        raise ValueError(
            f"capacity_per_1000 is invalid: expected 0 or more, got {capacity_per_1000}"
        )
    capacity = _capacity(connection, capacity_per_1000)
    chosen = _chosen(_judged(connection, seed), capacity) if capacity else pd.DataFrame()
    if chosen.empty:
        return write_table(connection, TABLE, None)
    connection.register("chosen", chosen)
    try:
        evidence = connection.execute(EVIDENCE).df()
        connection.register("chosen", chosen.merge(_explained(evidence), on="account_id"))
        return write_table(connection, TABLE, connection.sql(BOOKING).to_arrow_table())
    finally:
        connection.unregister("chosen")


def _capacity(connection: duckdb.DuckDBPyConnection, per_1000: float) -> int:
    ((customers,),) = connection.execute(
        "select count(*) from base.customer where accounts > 0"
    ).fetchall()
    return ceil(per_1000 * customers / 1000)


def _judged(connection: duckdb.DuckDBPyConnection, seed: int) -> pd.DataFrame:
    """Days of the as-of month with a score from WATCHED; none where there is too little to learn
    from."""
    ((months,),) = connection.execute("select months from alerts.sample").fetchall()
    if months < LEAST_MONTHS:
        return pd.DataFrame()
    past = connection.execute(
        f"{DAYS} from alerts.customer_day where not is_judged order by customer_id, booked_on"
    ).df()
    if len(past) < LEAST_DAYS:
        return pd.DataFrame()
    detector = AbnormalDays(seed).fit(past, past["surprise"].to_numpy())
    found = []
    month = connection.execute(f"{DAYS} from alerts.customer_day where is_judged")
    while not (days := month.fetch_df_chunk(VECTORS)).empty:
        scores = detector.score(days, days["surprise"].to_numpy())
        named = days[["customer_id", "account_id", "booked_on"]]
        found.append(pd.concat([named, scores], axis=1)[scores["score"] >= WATCHED])
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def _chosen(days: pd.DataFrame, capacity: int) -> pd.DataFrame:
    """The most abnormal days with rank and severity; an account's worst day stands for its month,
    since its reviewer sees the other days too."""
    if days.empty:
        return days
    worst = days.sort_values(["score", "booked_on"], ascending=[False, True]).drop_duplicates(
        "account_id"
    )
    chosen = worst.sort_values(["score", "account_id"], ascending=[False, True]).head(capacity)
    score = chosen["score"]
    return chosen.assign(
        rank=np.arange(1, len(chosen) + 1),
        severity=np.select(
            [score >= ALARMING, score >= WARNED], ["alarm", "warning"], default="watch"
        ),
    )


def _explained(evidence: pd.DataFrame) -> pd.DataFrame:
    """One row an account: the reason, and the kind of booking that leads it."""
    return pd.DataFrame(
        [
            {
                "account_id": account_id,
                "kind": rows["kind"].iloc[0],
                "is_in": bool(rows["is_in"].iloc[0]),
                "largest_amount": float(rows["largest_amount"].iloc[0]),
                "usual_amount": float(rows["usual_amount"].iloc[0]),
                "reason": _reason(rows),
            }
            for account_id, rows in evidence.groupby("account_id", sort=False)
        ]
    )


def _reason(rows: pd.DataFrame) -> str:
    records = rows.to_dict("records")
    kinds = [
        KindEvidence(**{field.name: record[field.name] for field in fields(KindEvidence)})
        for record in records
    ]
    day = DayEvidence(**{field.name: records[0][field.name] for field in fields(DayEvidence)})
    return explain(kinds, day)
