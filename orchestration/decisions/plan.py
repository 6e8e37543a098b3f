"""The contact plan: whom the bank contacts next month, with what, on which channel.

Control groups are drawn before anybody is chosen (`contacts.contactability`). The plan is made
among the others; whom it would have chosen of the control groups at the same shadow prices is
written down beside, not to be contacted: the two arms differ by chance alone.
"""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import numpy as np
import pandas as pd

from ml.decisions.arbitration import Plan, at_random, choose_at_prices, greedy, solve
from ml.decisions.power import control_share_for, minimum_detectable_effect, power_of
from orchestration.decisions.options import Options, read_options

CREATE = """
create schema if not exists decisions;
create or replace table decisions.contact_plan (
    plan_month date,
    campaign_id varchar,
    customer_id varchar,
    product_id varchar,
    product_line varchar,
    channel varchar,
    unit varchar,
    employee_id varchar,
    branch_id varchar,
    district_id varchar,
    household_id varchar,
    arm varchar,
    control_kind varchar,
    assignment_probability double,
    p_response double,
    uplift double,
    product_value decimal(18, 2),
    expected_loss decimal(18, 2),
    contact_cost decimal(18, 2),
    incentive_cost decimal(18, 2),
    expected_incremental_profit decimal(18, 2),
    reason varchar,
    expires_on date,
    response_model_version varchar,
    uplift_model_version varchar,
    product_value_model_version varchar,
    primary key (customer_id, product_id)
);
create or replace table decisions.constraint_price (
    kind varchar,
    key varchar,
    capacity double,
    used double,
    shadow_price double,
    primary key (kind, key)
);
create or replace table decisions.plan_comparison (
    policy varchar primary key,
    contacts integer,
    expected_incremental_profit decimal(18, 2),
    contact_cost decimal(18, 2),
    upper_bound double,
    gap double,
    method varchar,
    is_chosen boolean
);
create or replace table decisions.control_power (
    campaign_id varchar primary key,
    treated integer,
    control integer,
    base_rate double,
    expected_effect double,
    minimum_detectable_effect double,
    power double,
    control_share_for_power double
)
"""

CHOSEN = """
    insert into decisions.contact_plan
    select
        policy.plan_month,
        'P' || strftime(policy.plan_month, '%Y%m') || '-' || candidate.product_id,
        candidate.customer_id,
        candidate.product_id,
        offer.product_line,
        candidate.channel,
        candidate.unit,
        customer.employee_id,
        customer.branch_id,
        customer.district_id,
        candidate.household_id,
        chosen.arm,
        case
            when chosen.arm = 'treatment' then null
            when candidate.is_universal_control then 'universal'
            else 'campaign'
        end,
        case
            when chosen.arm = 'treatment' then 1 - policy.campaign_control_share::double
            when candidate.is_universal_control then policy.universal_control_share::double
            else policy.campaign_control_share::double
        end,
        candidate.p_response,
        candidate.uplift,
        candidate.product_value,
        candidate.expected_loss,
        candidate.contact_cost,
        candidate.incentive_cost,
        candidate.expected_incremental_profit,
        format(
            'a contact adds {:.1f} points to the probability of taking {} ({:.1f} % when '
            'contacted); taken, it brings {} in a year, less an expected loss of {}; the contact '
            'costs {}{}',
            100 * candidate.uplift, offer.product_name, 100 * candidate.p_response,
            candidate.product_value::varchar, candidate.expected_loss::varchar,
            candidate.contact_cost::varchar,
            case when candidate.incentive_cost > 0
                then ', a response ' || candidate.incentive_cost::varchar else '' end
        ) || coalesce('; ' || score.reason, ''),
        (policy.plan_month + policy.expires_days)::date,
        score.response_model_version,
        score.uplift_model_version,
        score.product_value_model_version
    from temp.plan_chosen as chosen
    inner join temp.plan_option as option on option.option = chosen.option
    inner join contacts.candidate as candidate
        on candidate.customer_id = option.customer_id
        and candidate.product_id = option.product_id
        and candidate.channel = option.channel_name
    inner join contacts.contactability as customer
        on customer.customer_id = candidate.customer_id
    inner join value.offer as offer on offer.product_id = candidate.product_id
    inner join scores.offer as score
        on score.customer_id = candidate.customer_id and score.product_id = candidate.product_id
    cross join contacts.policy as policy
    order by candidate.customer_id
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
    """Write `decisions.contact_plan` and what tells of it; returns the customers to be contacted.

    Empty where nobody may be offered anything, or a model behind the offers is off.
    """
    for statement in filter(str.strip, CREATE.split(";")):
        connection.execute(statement)
    options = read_options(connection)
    if options.rows.empty:
        return 0
    problem = options.problem(of_control=False)
    plan = solve(problem)
    control = choose_at_prices(options.problem(of_control=True), plan.prices)
    _write_chosen(connection, plan.chosen, control)
    _insert(connection, "decisions.constraint_price", prices_of(options, plan))
    _insert(connection, "decisions.plan_comparison", comparison(options, plan, seed))
    _insert(connection, "decisions.control_power", _power(connection.execute(ARMS).df()))
    connection.execute("drop table temp.plan_option")
    return int(plan.chosen.sum())


def _write_chosen(
    connection: duckdb.DuckDBPyConnection, treated: np.ndarray, control: np.ndarray
) -> None:
    chosen = pd.DataFrame(
        {
            "option": np.concatenate([np.flatnonzero(treated), np.flatnonzero(control)]),
            "arm": ["treatment"] * int(treated.sum()) + ["control"] * int(control.sum()),
        }
    )
    connection.register("chosen_rows", chosen)
    connection.execute("create or replace temp table plan_chosen as from chosen_rows")
    connection.unregister("chosen_rows")
    connection.execute(CHOSEN)
    connection.execute("drop table temp.plan_chosen")


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


def _insert(connection: duckdb.DuckDBPyConnection, table: str, rows: pd.DataFrame) -> None:
    if rows.empty:
        return
    connection.register("decided_rows", rows)
    connection.execute(f"insert into {table} by name select * from decided_rows")
    connection.unregister("decided_rows")
