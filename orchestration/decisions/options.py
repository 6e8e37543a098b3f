"""The candidates as the arbitration takes them: numbers for Python, names stay in the engine."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb
import numpy as np
import pandas as pd

from ml.decisions.arbitration import Problem

OPTION = """
    create or replace temp table plan_option as
    select
        row_number() over (
            order by candidate.customer_id, candidate.product_id, candidate.channel
        ) - 1 as option,
        dense_rank() over (order by candidate.customer_id) - 1 as customer,
        case when customer.household_room is not null
            then dense_rank() over (order by candidate.household_id nulls last) - 1
            else -1
        end as household,
        dense_rank() over (order by candidate.product_id) - 1 as offer,
        channel.channel_number as channel,
        case when candidate.needs_person
            then dense_rank() over (order by candidate.unit) - 1
            else -1
        end as manager,
        candidate.customer_id,
        candidate.product_id,
        candidate.channel as channel_name,
        candidate.unit,
        candidate.household_id,
        customer.household_room,
        customer.customer_room,
        candidate.p_response,
        candidate.uplift,
        candidate.contact_cost::double as cost,
        (candidate.product_value - candidate.expected_loss)::double as value,
        candidate.contact_cost::double + candidate.p_response * candidate.incentive_cost::double
            as paid,
        candidate.expected_incremental_profit::double as profit,
        candidate.is_universal_control,
        candidate.is_campaign_control,
        coalesce(score.clv_12m, 0)::double as clv_12m
    from contacts.candidate as candidate
    inner join contacts.contactability as customer
        on customer.customer_id = candidate.customer_id
    inner join (
        select channel, row_number() over (order by channel) - 1 as channel_number
        from contacts.channel
    ) as channel on channel.channel = candidate.channel
    left join scores.customer as score on score.customer_id = candidate.customer_id
"""

NUMBERS = """
    select option, customer, household, offer, channel, manager, profit, cost, p_response, uplift,
        value, paid, clv_12m, is_universal_control, is_campaign_control
    from temp.plan_option order by option
"""


@dataclass(frozen=True)
class Options:
    """What may be chosen: one row an option, in the order of `plan_option.option`."""

    rows: pd.DataFrame
    customer_room: np.ndarray
    household_room: np.ndarray
    channel_capacity: np.ndarray
    manager_capacity: np.ndarray
    channels: list[str]
    units: list[str]
    budget: float

    @property
    def held_out(self) -> np.ndarray:
        """Which customers, by code, belong to a control group; shape (customers,)."""
        held = np.zeros(len(self.customer_room), dtype=bool)
        rows = self.rows["is_universal_control"] | self.rows["is_campaign_control"]
        held[self.rows["customer"][rows]] = True
        return held

    def problem(self, *, of_control: bool, profit: np.ndarray | None = None) -> Problem:
        """The arbitration among the customers to be treated, or among those held out.

        `profit` of shape (options,) takes the place of what the models expect.
        """
        room = np.where(self.held_out == of_control, self.customer_room, 0)
        rows = self.rows
        return Problem(
            customer=rows["customer"].to_numpy(),
            household=rows["household"].to_numpy(),
            offer=rows["offer"].to_numpy(),
            channel=rows["channel"].to_numpy(),
            manager=rows["manager"].to_numpy(),
            profit=rows["profit"].to_numpy() if profit is None else profit,
            cost=rows["cost"].to_numpy(),
            customer_room=room,
            household_room=self.household_room,
            channel_capacity=self.channel_capacity,
            manager_capacity=self.manager_capacity,
            budget=self.budget,
        )


def read_options(connection: duckdb.DuckDBPyConnection) -> Options:
    """The candidates of this build; leaves `temp.plan_option` behind, which names them."""
    connection.execute(OPTION)
    rows = connection.execute(NUMBERS).df()
    channels = connection.execute(
        "select channel, capacity from contacts.channel order by channel"
    ).fetchall()
    ((manager_capacity, branch_capacity, budget),) = connection.execute(
        "select manager_capacity, branch_capacity, budget::double from contacts.policy"
    ).fetchall()
    units = [
        unit
        for (unit,) in connection.execute(
            "select distinct unit from contacts.candidate order by unit"
        ).fetchall()
    ]
    managers = {
        manager
        for (manager,) in connection.execute(
            "select distinct employee_id from contacts.contactability where employee_id is not null"
        ).fetchall()
    }
    return Options(
        rows=rows,
        customer_room=_room(connection, "customer"),
        household_room=_room(connection, "household"),
        channel_capacity=np.array([capacity for _, capacity in channels], dtype=float),
        manager_capacity=np.array(
            [manager_capacity if unit in managers else branch_capacity for unit in units],
            dtype=float,
        ),
        channels=[channel for channel, _ in channels],
        units=units,
        budget=budget,
    )


def _room(connection: duckdb.DuckDBPyConnection, whose: str) -> np.ndarray:
    """Room by code, from 0 without a gap."""
    return (
        connection.execute(
            f"select max({whose}_room) from temp.plan_option where {whose} >= 0 "
            f"group by {whose} order by {whose}"
        )
        .df()
        .iloc[:, 0]
        .to_numpy(dtype=np.int64)
    )
