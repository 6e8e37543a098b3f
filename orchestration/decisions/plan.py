"""The contact plan: whom the bank contacts next month, with what, on which channel.

Control groups are drawn before anybody is chosen (`contacts.contactability`). The plan is made
among the others; the customers of the control groups that it would have chosen at the same shadow
prices are recorded as well and not contacted, so that the two arms differ by chance alone.
"""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from ml.decisions.arbitration import Plan, at_random, choose_at_prices, greedy, solve
from ml.decisions.power import control_share_for, minimum_detectable_effect, power_of
from orchestration.decisions.options import Options, read_options
from orchestration.decisions.reason_words import reason_in_words
from orchestration.platform.tables import declared, write_table

TABLES = tuple(
    f"decisions.{name}"
    for name in (
        *("contact_plan", "contact_reason", "constraint_price", "plan_comparison"),
        "control_power",
    )
)
CHOSEN = """
    select
        option.* exclude (control_kind),
        chosen.arm,
        case when chosen.arm = 'control' then option.control_kind end as control_kind,
        case
            when chosen.arm = 'control' then option.control_probability
            else option.treatment_probability
        end as assignment_probability
    from contacts.option as option
    inner join chosen on chosen.option_number = option.option_number
    order by option.option_number
"""

ARMS = """
    select
        campaign_id,
        count(*) filter (where arm = 'treatment')::integer as treated,
        count(*) filter (where control_kind = 'campaign')::integer as control,
        avg(greatest(p_response - uplift, 0)) as base_rate,
        avg(uplift) as expected_effect
    from decisions.contact_plan
    where control_kind is distinct from 'universal'
    group by campaign_id
    order by campaign_id
"""


def write_plan(connection: duckdb.DuckDBPyConnection, seed: int) -> int:
    """Write the contact plan and what explains it; returns the customers to be contacted.

    `decisions.contact_plan`, `contact_reason`, `constraint_price`, `plan_comparison` and
    `control_power`; empty where nobody may be offered anything, or a model behind the offers is
    off.
    """
    options = read_options(connection)
    if options.rows.empty:
        for table in TABLES:
            write_table(connection, table, None)
        return 0
    problem = options.problem(of_control=False)
    plan = solve(problem)
    control = choose_at_prices(options.problem(of_control=True), plan.prices)
    rows = _chosen(connection, plan.chosen, control)
    write_table(connection, "decisions.contact_plan", rows)
    write_table(connection, "decisions.contact_reason", reasons_of(rows))
    write_table(connection, "decisions.constraint_price", prices_of(options, plan))
    write_table(connection, "decisions.plan_comparison", comparison(options, plan, seed))
    arms = connection.execute(ARMS).df()
    write_table(connection, "decisions.control_power", None if arms.empty else _power(arms))
    return int(plan.chosen.sum())


def _chosen(
    connection: duckdb.DuckDBPyConnection, treated: np.ndarray, control: np.ndarray
) -> pa.Table:
    """Rows of `decisions.contact_plan`; money stays decimal."""
    chosen = pd.DataFrame(
        {
            "option_number": np.concatenate([np.flatnonzero(treated), np.flatnonzero(control)]),
            "arm": ["treatment"] * int(treated.sum()) + ["control"] * int(control.sum()),
        }
    )
    connection.register("chosen", chosen)
    rows: pa.Table = connection.sql(CHOSEN).to_arrow_table()
    connection.unregister("chosen")
    return rows.select([column.name for column in declared("decisions.contact_plan").columns])


def reasons_of(plan: pa.Table) -> pa.Table:
    """Rows of `decisions.contact_reason`."""
    words = [reason_in_words(reason) for reason in plan["reason"].to_pylist()]
    return plan.select(["customer_id", "product_id"]).append_column(
        "reason", pa.array(words, pa.string())
    )


def prices_of(options: Options, plan: Plan) -> pd.DataFrame:
    """Rows of `decisions.constraint_price`: shared limits by name, how far they are used, and what
    one more unit would bring, currency units."""
    prices = plan.prices.copy()
    names = {"channel": options.channels, "manager": options.units}
    prices["key"] = [
        names[kind][int(key)] if kind in names else "all"
        for kind, key in zip(prices["kind"], prices["key"], strict=True)
    ]
    prices["kind"] = prices["kind"].replace({"manager": "unit"})
    prices["capacity"] = prices["capacity"].replace(np.inf, np.nan)
    return prices


def policies(options: Options, seed: int) -> Iterator[tuple[str, Plan]]:
    """What simpler policies would choose under the same limits."""
    problem, rows = options.problem(of_control=False), options.rows
    yield "greedy_by_profit", greedy(problem, rows["profit"].to_numpy())
    yield (
        "greedy_by_response",
        greedy(problem, rows["p_response"].to_numpy(), only_profitable=False),
    )
    # The best customers first, each with the offer that pays most there.
    yield "most_valuable_customers", greedy(problem, rows["clv_12m"].to_numpy())
    yield "random", at_random(problem, seed, only_profitable=False)


def comparison(options: Options, plan: Plan, seed: int) -> pd.DataFrame:
    """Rows of `decisions.plan_comparison`: what each policy brings as the models expect it."""
    found = [("contact_plan", plan), *policies(options, seed)]
    cost = options.rows["cost"].to_numpy()
    rows: list[dict[str, object]] = [
        {
            "policy": name,
            "contacts": int(one.chosen.sum()),
            "expected_incremental_profit": round(one.profit, 2),
            "contact_cost": round(float(cost[one.chosen].sum()), 2),
            "upper_bound": one.bound,
            "gap": one.gap,
            "method": one.method,
            "is_chosen": one is plan,
        }
        for name, one in found
    ]
    rows.append(
        {
            "policy": "do_nothing",
            "contacts": 0,
            "expected_incremental_profit": 0.0,
            "contact_cost": 0.0,
            "method": "none",
            "is_chosen": False,
        }
    )
    return pd.DataFrame(rows)


def _power(arms: pd.DataFrame) -> pd.DataFrame:
    """Rows of `decisions.control_power`."""
    figures = []
    for arm in arms.to_dict("records"):
        rate, effect = float(arm["base_rate"]), float(arm["expected_effect"])
        treated, control = int(arm["treated"]), int(arm["control"])
        figures.append(
            {
                "minimum_detectable_effect": minimum_detectable_effect(treated, control, rate),
                "power": power_of(treated, control, rate, effect),
                "control_share_for_power": control_share_for(treated + control, rate, effect),
            }
        )
    return pd.concat([arms, pd.DataFrame(figures, index=arms.index)], axis=1)
