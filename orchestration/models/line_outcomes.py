"""Outcomes of each product line that a customer held at a past cut-off, computed in SQL."""

from __future__ import annotations

import duckdb
import numpy as np
import pandas as pd

from ml.clv.retention_margin import LineOutcomes, monthly_discount
from ml.lines import contract_months, monthly_pace
from orchestration.models.datasets import EXACT
from sources.contract import PRODUCT_LINES
from sources.vocabulary import lines_where


def _equal_share(amount: str) -> str:
    """The macro equal_share: cents that do not divide go one each to the first holders."""
    cents = f"cast({amount} * 100 as bigint)"
    return f"""
        case
            when holder.holder_count = 1 then {amount}
            else cast(
                cast(
                    sign({cents}) * (
                        abs({cents}) // holder.holder_count
                        + case
                            when holder.holder_number <= abs({cents}) % holder.holder_count then 1
                            else 0
                        end
                    ) as decimal(18, 0)
                ) * cast(0.01 as decimal(3, 2)) as decimal(18, 2)
            )
        end
    """


# A margin is the margin of its parts' shares, as in value.profit_by_customer: shares of the margin
# itself differ from it by cents.
CONTRIBUTION = (
    f"{_equal_share('value.net_interest_margin')} + {_equal_share('value.fee_income')}"
    f" - {_equal_share('value.direct_cost')} - {_equal_share('value.expected_loss')}"
)


def _held_sql(lines: list[str]) -> str:
    """One row a customer and line held at the cut-off."""
    return " union all ".join(
        f"""
        select
            row,
            customer_id,
            cutoff,
            '{line}' as line,
            pace_{line} as pace,
            remaining_{line} as remaining
        from line_customer
        where accounts_{line} > 0
        """
        for line in lines
    )


# In tables of the session, as the lines held, the rest and the profile are summed up from the same.
MONTHS = f"""
    create or replace temp table line_month as
    select
        customer.row,
        account_month.product_line as line,
        datediff('month', customer.cutoff, account_month.month) as number,
        bool_or(account_month.is_open) as is_open,
        coalesce(sum({CONTRIBUTION}), 0) as contribution
    from line_customer as customer
    inner join base.account_holder as holder on customer.customer_id = holder.customer_id
    inner join base.account_month as account_month
        on holder.account_id = account_month.account_id
    left join value.account_month as value
        on
            account_month.account_id = value.account_id
            and account_month.month = value.month
    where
        holder.is_beneficial
        and account_month.month > customer.cutoff
        and account_month.month <= customer.cutoff + to_months($horizon)
        -- Bounds that are known before the join: only these months are read.
        and account_month.month > $first
        and account_month.month <= $last::date + to_months($horizon)
    group by all
"""
HELD = """
    create or replace temp table line_held as
    with
    held as ({held}),
    open_month as (
        select
            row,
            line,
            number,
            row_number() over (partition by row, line order by number) as place
        from line_month
        where is_open
    ),
    -- Months open without a gap from the first: their number is their place.
    kept as (
        select row, line, count(*) as months
        from open_month
        where number = place
        group by all
    )
    select
        held.*,
        coalesce(kept.months, 0) < $horizon as is_lost,
        least(coalesce(kept.months, 0) + 1, $horizon)::integer as months_held
    from held
    left join kept on held.row = kept.row and held.line = kept.line
"""
TABLES = ("line_month", "line_held")
RELATIONS = ("line_customer", "line_discount")


def line_outcomes(
    connection: duckdb.DuckDBPyConnection,
    frame: pd.DataFrame,
    horizon: int,
    annual_discount_rate: float = 0.0,
) -> LineOutcomes:
    """What became, within a horizon, of the lines that customers held at past cut-offs.

    A line is lost in the first month after the cut-off at whose end the customer, alone or jointly,
    holds no open account of it. Accounts held jointly are shared as the value layer shares them, so
    that the lines held and the rest add up to the contribution in value.profit_by_customer to the
    cent.

    Parameters
    ----------
    connection : open connection to the warehouse; tables of the session are made and taken away
    frame : customers at cut-offs as the models learn from them: customer_id, cutoff (first days of
        months) and the features
    horizon : months after the cut-off
    annual_discount_rate : rate of the discounted amounts, see `monthly_discount`

    Raises
    ------
    ValueError
        For a frame without customers, or where none has a known line.
    """
    lines = [line for line in PRODUCT_LINES if f"accounts_{line}" in frame.columns]
    if frame.empty or not lines:
        raise ValueError("customers at cut-offs with columns accounts_<line> are needed")
    months = np.arange(1, horizon + 1)
    factors = monthly_discount(annual_discount_rate, horizon)
    connection.register("line_customer", _customers(frame, lines))
    connection.register("line_discount", pd.DataFrame({"number": months, "factor": factors}))
    try:
        connection.execute(
            MONTHS,
            {"horizon": horizon, "first": frame["cutoff"].min(), "last": frame["cutoff"].max()},
        )
        connection.execute(HELD.format(held=_held_sql(lines)), {"horizon": horizon})
        held, other, profile = _lines(connection), _other(connection), _profile(connection)
    finally:
        for table in TABLES:
            connection.execute(f"drop table if exists temp.{table}")
        for relation in RELATIONS:
            connection.unregister(relation)
    return LineOutcomes(
        lines=held,
        other=other["other"].to_numpy(),
        other_discounted=other["other_discounted"].to_numpy(),
        profile=profile,
        horizon=horizon,
    )


def _customers(frame: pd.DataFrame, lines: list[str]) -> pd.DataFrame:
    columns = {
        "row": np.arange(len(frame)),
        "customer_id": frame["customer_id"].to_numpy(),
        "cutoff": pd.to_datetime(frame["cutoff"]).dt.date.to_numpy(),
    }
    loan_lines = lines_where("holds_loans")
    for line in lines:
        columns[f"accounts_{line}"] = frame[f"accounts_{line}"].to_numpy()
        columns[f"pace_{line}"] = monthly_pace(frame, line)
        columns[f"remaining_{line}"] = contract_months(frame, line, loan_lines)
    return pd.DataFrame(columns)


def _lines(connection: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    return connection.execute(
        f"""
        select
            held.row,
            held.customer_id,
            held.cutoff,
            held.line,
            held.months_held,
            held.is_lost,
            coalesce(sum(line_month.contribution), 0)::double as contribution,
            coalesce(sum((line_month.contribution * line_discount.factor)::{EXACT}), 0)::double
                as contribution_discounted
        from line_held as held
        left join line_month
            on
                held.row = line_month.row
                and held.line = line_month.line
                and line_month.number <= held.months_held
        left join line_discount on line_month.number = line_discount.number
        group by all
        order by held.row, held.line
        """
    ).df()


def _other(connection: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    return connection.execute(
        f"""
        with other as (
            select
                line_month.row,
                sum(line_month.contribution) as other,
                sum((line_month.contribution * line_discount.factor)::{EXACT}) as other_discounted
            from line_month
            inner join line_discount on line_month.number = line_discount.number
            left join line_held as held
                on
                    line_month.row = held.row
                    and line_month.line = held.line
                    and line_month.number <= held.months_held
            where held.row is null
            group by line_month.row
        )
        select
            coalesce(other.other, 0)::double as other,
            coalesce(other.other_discounted, 0)::double as other_discounted
        from line_customer as customer
        left join other on customer.row = other.row
        order by customer.row
        """
    ).df()


def _profile(connection: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    return connection.execute(
        f"""
        with at_risk as (
            select
                held.*,
                line_discount.number,
                held.is_lost and line_discount.number = held.months_held as lost
            from line_held as held
            inner join line_discount on line_discount.number <= held.months_held
        )
        select
            at_risk.line,
            at_risk.remaining,
            at_risk.number::integer as month,
            count(*)::bigint as at_risk,
            sum(at_risk.lost::integer)::bigint as lost,
            sum((at_risk.pace * case when at_risk.lost then 0.5 else 1 end)::{EXACT})::double
                as pace,
            coalesce(sum(line_month.contribution), 0)::double as contribution
        from at_risk
        left join line_month
            on
                at_risk.row = line_month.row
                and at_risk.line = line_month.line
                and at_risk.number = line_month.number
        group by all
        order by all
        """
    ).df()
