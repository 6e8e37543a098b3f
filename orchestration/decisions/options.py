"""The candidates as the arbitration takes them: numbers for Python, names stay in the engine."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb
import numpy as np
import pandas as pd

from ml.decisions.arbitration import Problem

NUMBERS = """
    select
        customer_number as customer,
        household_number as household,
        offer_number as offer,
        channel_number as channel,
        unit_number as manager,
        customer_room,
        coalesce(household_room, 0) as household_room,
        expected_incremental_profit::double as profit,
        contact_cost::double as cost,
        p_response,
        uplift,
        (product_value - expected_loss)::double as value,
        contact_cost::double + p_response * incentive_cost::double as paid,
        clv_12m::double as clv_12m,
        is_universal_control,
        is_campaign_control
    from contacts.option order by option_number
"""


@dataclass(frozen=True)
class Options:
    """What may be chosen: one row an option, in the order of `contacts.option`."""

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
    """The candidates of this build."""
    rows = connection.execute(NUMBERS).df()
    channels = connection.execute(
        "select channel, capacity from contacts.channel order by channel"
    ).fetchall()
    ((manager_capacity, branch_capacity, budget),) = connection.execute(
        "select manager_capacity, branch_capacity, budget::double from contacts.policy"
    ).fetchall()
    units = connection.execute(
        "select unit, count(employee_id) > 0 from contacts.option group by unit order by unit"
    ).fetchall()
    return Options(
        rows=rows,
        customer_room=_room(rows, "customer"),
        household_room=_room(rows, "household"),
        channel_capacity=np.array([capacity for _, capacity in channels], dtype=float),
        manager_capacity=np.array(
            [manager_capacity if is_manager else branch_capacity for _, is_manager in units],
            dtype=float,
        ),
        channels=[channel for channel, _ in channels],
        units=[unit for unit, _ in units],
        budget=budget,
    )


def _room(rows: pd.DataFrame, whose: str) -> np.ndarray:
    """Room by number, from 0 without a gap."""
    numbered = rows[rows[whose] >= 0]
    return numbered.groupby(whose)[f"{whose}_room"].max().to_numpy(dtype=np.int64)
