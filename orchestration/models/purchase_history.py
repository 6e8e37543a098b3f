"""Purchases summed up to what the purchase models read: one row a customer, by the engine."""

from __future__ import annotations

from datetime import date

import duckdb
import pandas as pd


def purchase_history(
    connection: duckdb.DuckDBPyConnection, relation: str, until: date, unit_days: float = 7
) -> pd.DataFrame:
    """Customers with a purchase by a day, and how often, how recently and for how much they bought.

    Purchases of one day are one purchase: the models count occasions, and a day is the finest time
    the log has.

    Parameters
    ----------
    connection : open connection
    relation : SQL name of a relation with customer_id, day (date or timestamp) and amount; trusted
    until : last day observed; later rows are not read
    unit_days : days in the unit of time, 7 for weeks

    Returns
    -------
    frame ordered by customer_id:
        customer_id
        frequency : int, days with a purchase after the first such day
        recency : float, from the first purchase to the last, in units of time
        T : float, from the first purchase to `until`, in units of time
        monetary_value : float, mean amount of the days counted in frequency; 0 where there are none

    Raises
    ------
    ValueError
        For a unit that is not positive, or rows without a customer, day or amount.
    """
    if not unit_days > 0:
        raise ValueError(f"unit_days is invalid: expected a number above 0, got {unit_days}")
    nothing = connection.execute(
        f"""
        select
            count(*) filter (where customer_id is null),
            count(*) filter (where day is null),
            count(*) filter (where amount is null)
        from {relation}
        where day is null or day::date <= $until
        """,
        {"until": until},
    ).fetchall()[0]
    columns = zip(("customer_id", "day", "amount"), nothing, strict=True)
    empty = [f"{name} in {count} row(s)" for name, count in columns if count]
    if empty:
        raise ValueError(
            f"{relation} is invalid: expected a value in every row, found no "
            f"{', no '.join(empty)}. Complete the log or filter it."
        )
    return connection.execute(
        f"""
        with purchase as (
            select customer_id, day::date as day, sum(amount) as amount
            from {relation}
            where day::date <= $until
            group by all
        ),
        numbered as (
            select *, min(day) over (partition by customer_id) as first_day
            from purchase
        )
        select
            customer_id,
            count(*) - 1 as frequency,
            (max(day) - first_day) / $unit_days::double as recency,
            ($until::date - first_day) / $unit_days::double as "T",
            coalesce(avg(amount) filter (where day > first_day), 0)::double as monetary_value
        from numbered
        group by customer_id, first_day
        order by customer_id
        """,
        {"until": until, "unit_days": unit_days},
    ).df()
