"""Incremental profit of the contact plan by the hidden truth, compared with simpler policies and
with the optimal plan of the truth under the same limits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import duckdb
import numpy as np
import pandas as pd

from ml.decisions.arbitration import solve
from orchestration.decisions.options import Options, read_options
from orchestration.decisions.plan import policies
from orchestration.platform.settings import Settings

TRUTH = """
    select
        truth.uplift * truth.contribution_12m
            - truth.response_probability_treatment * option.incentive_cost::double
            - option.contact_cost::double as profit,
        truth.uplift,
        truth.contribution_12m as value,
        plan.arm is not null as is_planned
    from contacts.option as option
    left join read_parquet($truth) as truth
        on truth.customer_id = option.customer_id and truth.product_id = option.product_id
    left join (select * from decisions.contact_plan where arm = 'treatment') as plan
        on plan.customer_id = option.customer_id and plan.product_id = option.product_id
        and plan.channel = option.channel
    order by option.option_number
"""


@dataclass(frozen=True)
class PlanRecovery:
    """A policy's contacts and the profit that the truth expects of them, currency units; `best` is
    that of the truth's own plan."""

    policy: str
    contacts: int
    profit: float
    best: float

    @property
    def share(self) -> float:
        return self.profit / self.best if self.best > 0 else float("nan")


def plan_recoveries(
    connection: duckdb.DuckDBPyConnection, settings: Settings, seed: int
) -> list[PlanRecovery]:
    """Each policy of a home's build compared with the truth's plan; empty without a plan.

    Raises
    ------
    LookupError
        For options that are missing in the truth.
    """
    options = read_options(connection)
    if options.rows.empty:
        return []
    truth = connection.execute(TRUTH, {"truth": str(settings.truth / "offer.parquet")}).df()
    unknown = int(truth["profit"].isna().sum())
    if unknown:
        raise LookupError(f"the truth does not know {unknown:,} of {len(truth):,} options")
    profit = truth["profit"].to_numpy()
    own = options.problem(of_control=False, profit=profit)
    best = solve(own)
    return [
        PlanRecovery(name, int(chosen.sum()), float(profit[chosen].sum()), best.profit)
        for name, chosen in (
            ("truth's own plan", best.chosen),
            ("contact plan", truth["is_planned"].to_numpy(dtype=bool)),
            *_others(options, truth, seed),
        )
    ]


def _others(options: Options, truth: pd.DataFrame, seed: int) -> Iterator[tuple[str, np.ndarray]]:
    for name, plan in policies(options, seed):
        yield name, plan.chosen
    # What would be had if one of the plan's two parts were known, the other as estimated.
    rows = options.rows
    for name, uplift, value in (
        ("plan by true uplift", truth["uplift"], rows["value"]),
        ("plan by true value", rows["uplift"], truth["value"]),
    ):
        guess = (uplift * value).to_numpy() - rows["paid"].to_numpy()
        yield name, solve(options.problem(of_control=False, profit=guess)).chosen
