"""The value report: what the bank earned, with whom and why, on one page that opens offline.

This module reads the tables of `value` and `decisions` by key; names, contacts and other personal
data are in none of them. `reports/templates/value.html` shows and words the rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import Any

from duckdb import DuckDBPyConnection

import reports
from orchestration.platform.bank_currency import bank_currency
from orchestration.platform.branch_names import branch_names
from orchestration.platform.optional_tables import has_column, has_table
from orchestration.platform.overrides import worded
from reports.formats import ENGLISH
from sources.contract import OPERATING_COST, PRODUCT_LINES
from sources.vocabulary import RESULT_ITEMS

Row = dict[str, Any]

VALUE_REPORT = "value.html"
UNKNOWN_BALANCE, LEFT_OUT, CARRIED, CARRIED_MONTH, PRICED_SHARE = (
    Path(__file__).parent / f"{name}.sql"
    for name in (
        *("unknown_balance", "left_out", "carried_unpriced", "carried_unpriced_month"),
        "priced_share",
    )
)
UNPRICED = "value.profit_unpriced"
NOBODY = "(none)"
CUSTOMER_TIER = "value.customer_tier"
YEAR = 12
QUARTER = 3
# From margin to economic profit, in order.
# Residuals that are margin: the kind of their row. Treasury's first row is always shown.
TREASURY = "treasury: rate"
MARGIN_RESIDUALS = {
    TREASURY: "treasury_rate",
    "treasury: liquidity": "treasury_liquidity",
    "treasury: option": "treasury_option",
    "treasury: policy": "treasury_policy",
    "interest not booked": "not_booked",
    "revaluation": "revaluation",
}
ADJUSTMENT = "adjustment: "
# What a ledger account is in the chain: the measure, and which way; a balance is none.
ADJUSTED: dict[str, tuple[str, int]] = {
    "interest_income": ("net_interest_margin", 1),
    "interest_expense": ("net_interest_margin", -1),
    "fee_income": ("fee_income", 1),
    "direct_cost": ("direct_cost", 1),
    "expected_loss": ("expected_loss", 1),
    OPERATING_COST: ("direct_cost", 1),
}
ADJUSTED |= {item.result_item: ADJUSTED[item.measure] for item in RESULT_ITEMS}
CHAIN = (
    *("net_interest_margin", "fee_income", "direct_cost", "expected_loss"),
    *("contribution_margin", "overhead", "capital_charge", "economic_profit"),
)
DEDUCTED = {"direct_cost", "expected_loss", "overhead", "capital_charge"}
SUBTOTALS = {"contribution_margin", "economic_profit"}
MEASURES = (*CHAIN, "economic_capital")
# A ratio of a mixture, or of few accounts among many, describes nothing.
NO_RATIOS = {"cost_to_income": None, "raroc": None}
FEWEST_PRICED = 0.5
# A ranking that is longer shows so many at either end and the others in one row.
SHOWN_AT_EITHER_END = 10
# Movers by dimension: how many either way.
SHOWN_MOVERS = {"line": 10, "product": 5, "branch": 5, "manager": 5, "customer": 10}
SHOWN_BROKEN_STATEMENTS = 20
# Measures of the targets, in order.
KPIS = ("credited_profit", "growth", "coverage", "conversion", "complaints", "early_defaults")
EFFECTS = ("volume", "rate", "fee", "cost", "risk")


@dataclass(frozen=True)
class Period:
    """The months reported together: at most twelve, ending with the as-of month."""

    first: date
    last: date
    months: int


@dataclass(frozen=True)
class Priced:
    """What accounts without a known balance carry in a period, and what is left without it.

    Such accounts have costs, fees and booked interest, and no transfer price: with those of priced
    accounts they make a mixture.

    Parameters
    ----------
    carried : by dimension of `value.profit_unpriced` and key, the measures
    share : of the period's account-months, those with a known balance
    """

    carried: Mapping[str, Mapping[str, Row]]
    share: float

    @property
    def has_unpriced(self) -> bool:
        return self.share < 1

    @property
    def is_enough(self) -> bool:
        return self.share >= FEWEST_PRICED

    def alone(self, rows: Iterable[Row], dimension: str) -> list[Row]:
        """The rows of a roll-up without the accounts that are not priced, best first."""
        carried = self.carried.get(dimension, {})
        found = []
        for row in rows:
            if less := carried.get(row["key"]):
                left = {name: row[name] - less[name] for name in less if name != "key"}
                row = row | left | _ratios(row | left)
            found.append(self.rated(row))
        return sorted(found, key=lambda row: (-row["economic_profit"], row["key"]))

    def left(self, dimension: str) -> Row | None:
        """What the unpriced accounts of a dimension carry together; None where there are none."""
        carried = self.carried.get(dimension)
        return together(list(carried.values())) | NO_RATIOS if carried else None

    def rated(self, row: Row) -> Row:
        """Without its ratios where fewer than half of the accounts are priced."""
        return row if self.is_enough else row | NO_RATIOS


def render_value_report(
    connection: DuckDBPyConnection, path: Path, language: str = ENGLISH
) -> None:
    """Write the value report of a release or of the build warehouse; replaces it in one step.

    Reads `meta.release` or `landing.refresh_window` for the month and the source, the tables of
    `value`, `decisions.price_floor`, and `base.account` and `base.branch` for names, each where it
    exists. Money is in the bank's own currency and stays DECIMAL; only charts use floats.
    """
    reports.write(reports.render("value.html", page_content(connection), language), path)


def page_content(connection: DuckDBPyConnection) -> Row:
    """What the page shows, section by section; None or empty where there is nothing.

    A row has a `key`; one that is set apart has a `kind` too.
    """
    head = read_head(connection)
    month = head["month"]
    if month is None:
        return {"head": head}
    period, history = read_months(connection, month)
    only_month = Period(month, month, 1)
    lines = roll_up(connection, "line", "product_line", period)
    lines_month = roll_up(connection, "line", "product_line", only_month)
    priced = read_priced(connection, period)
    total = together(lines)
    alone = together(priced.alone(lines, "line"))

    def ranking(rows: list[Row], dimension: str | None) -> list[Row]:
        return _ranking(rows, priced, dimension)

    distribution = _rows(
        connection, "value.profit_distribution", "where month = $1 order by percentile", month
    )
    tiers = _customer_tiers(connection, month)
    floors = _floors(connection)
    return {
        "head": head,
        "currency": bank_currency(connection),
        "overrides": worded(connection),
        "unpriced": unknown_balances(connection, month),
        "left_out": left_out(connection, month),
        "period": period,
        "history": history,
        "priced": {
            "total": priced.rated(alone),
            "history": priced_history(connection, history),
            "is_enough": priced.is_enough,
            "lines": ranking(lines, "line"),
        }
        if priced.has_unpriced
        else None,
        "year_before": _year_before(history),
        "total": total | {name: priced.rated(alone)[name] for name in NO_RATIOS},
        "customers": sum(row["customers"] for row in tiers.values()),
        "losing": sum(row["losing"] for row in tiers.values()),
        "bridge": _bridge(alone) if lines else None,
        "idle_lines": [one for one in PRODUCT_LINES if one not in {row["key"] for row in lines}],
        "chain_month": _chain(
            lines_month, residuals(connection, only_month), read_priced(connection, only_month)
        ),
        "chain_year": _chain(lines, residuals(connection, period), priced)
        if period.months > 1
        else None,
        "reconciled": reconciled(connection, month),
        "defaults": default_seeds(connection),
        "whale": _whale(distribution, total["economic_profit"]),
        "tiers": _tiers(connection, period, tiers, priced),
        "migration": _migration(connection, month, tiers),
        "deciles": _deciles(connection, distribution, only_month),
        "branches": ranking(roll_up(connection, "branch", "branch_id", period), "branch"),
        "branch_names": branch_names(connection),
        "channels": ranking(roll_up(connection, "channel", "channel", period), None),
        "products": ranking(roll_up(connection, "product", "product_id", period), "product"),
        "groups": ranking(roll_up(connection, "group", "group_id", period), "group"),
        "managers": ranking(
            roll_up(connection, "employee", "employee_id", period, "role = 'manager'"), "manager"
        ),
        "employees": ranking(
            roll_up(connection, "employee", "employee_id", period, "role = 'credited'"), "credited"
        ),
        "targets": _targets(connection),
        "movers": _movers(connection),
        "movers_short": len(history) < 2 * QUARTER,
        "not_moved": left_out(connection, month, 2 * QUARTER)["accounts"],
        "plan": _plan(connection, month),
        "floors": floors,
        "names": _product_names(connection),
    }


def _rows(connection: DuckDBPyConnection, table: str, query: str = "", *values: Any) -> list[Row]:
    """The rows of a query that goes on after `from table`; none where the table does not exist."""
    exists = connection.execute(
        "from information_schema.tables where table_schema || '.' || table_name = $1", [table]
    ).fetchall()
    if not exists:
        return []
    found = connection.execute(f"from {table} {query}", list(values))
    names = [column[0] for column in found.description or []]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def unknown_balances(connection: DuckDBPyConnection, month: date) -> Row | None:
    """Accounts of the month, how many have no known balance, and their contribution; None where
    every balance is known."""
    # Releases of earlier versions do not have the column.
    if not has_column(connection, "base.account_month", "is_balance_known") or not has_table(
        connection, "value.account_month"
    ):
        return None
    (found,) = _read(connection, UNKNOWN_BALANCE, {"month": month})
    return found if found["unknown"] else None


def left_out(connection: DuckDBPyConnection, month: date, months: int = YEAR) -> Row:
    """Customers without a rank, and accounts that no price is made of, since a balance in the last
    months is not known; 0 where nothing was valued."""
    if not all(has_table(connection, name) for name in ("base.account_month", CUSTOMER_TIER)):
        return {"customers": 0, "accounts": 0}
    (found,) = _read(connection, LEFT_OUT, {"month": month, "months": months})
    return found


def _read(connection: DuckDBPyConnection, query: Path, values: Row) -> list[Row]:
    """The rows of a query that is kept as a file."""
    read = connection.execute(query.read_text(encoding="utf-8"), values)
    names = [column[0] for column in read.description or ()]
    return [dict(zip(names, row, strict=True)) for row in read.fetchall()]


def read_head(connection: DuckDBPyConnection) -> Row:
    """Release (where published), source and as-of month; month None where nothing was built."""
    queries = {
        "meta.release": (
            "select release_id, source, code_version, strptime(as_of, '%Y-%m')::date as month"
        ),
        "landing.refresh_window": "select source, date_trunc('month', as_of)::date as month",
        "value.profit_by_line": "select max(month) as month",
    }
    found = [row for table, query in queries.items() for row in _rows(connection, table, query)]
    nothing = dict.fromkeys(("release_id", "source", "code_version", "month"))
    return nothing | next(iter(found), {})


def read_months(connection: DuckDBPyConnection, month: date) -> tuple[Period, list[Row]]:
    """The period up to a month, and the profit of every month before it, gaps filled."""
    rows = _rows(
        connection,
        "value.profit_by_line",
        "select month, sum(contribution_margin) as contribution_margin,"
        " sum(economic_profit) as economic_profit"
        " where month <= $1 group by month order by month",
        month,
    )
    nothing = {"contribution_margin": Decimal(0), "economic_profit": Decimal(0)}
    year = [row["month"] for row in rows if row["month"] > month.replace(year=month.year - 1)]
    history: list[Row] = []
    for row in rows:
        while history and (gap := _month_after(history[-1]["month"])) < row["month"]:
            history.append(nothing | {"month": gap})
        history.append(row)
    return Period(min(year, default=month), month, max(len(year), 1)), history


def _month_after(month: date) -> date:
    return (month + timedelta(days=31)).replace(day=1)


def roll_up(
    connection: DuckDBPyConnection,
    name: str,
    key: str,
    period: Period,
    condition: str = "true",
) -> list[Row]:
    """A roll-up's measures over the period by key, the best economic profit first."""
    sums = ", ".join(f"coalesce(sum({measure}), 0) as {measure}" for measure in MEASURES)
    rows = _rows(
        connection,
        f"value.profit_by_{name}",
        f"select {key} as key, {sums},"
        " coalesce(sum(economic_profit) filter (month = $2), 0) as economic_profit_month"
        f" where month between $1 and $2 and {condition}"
        " group by all order by economic_profit desc, key",
        period.first,
        period.last,
    )
    return [row | _ratios(row) for row in rows]


def read_priced(connection: DuckDBPyConnection, period: Period) -> Priced:
    """The part of the period's roll-ups that accounts without a known balance carry."""
    months = {"first": period.first, "last": period.last}
    carried: dict[str, dict[str, Row]] = {}
    if has_table(connection, UNPRICED):
        for row in _read(connection, CARRIED, months):
            carried.setdefault(row.pop("dimension"), {})[row["key"]] = row
    share = 1.0
    if has_column(connection, "base.account_month", "is_balance_known"):
        (found,) = _read(connection, PRICED_SHARE, months)
        share = found["share"]
    return Priced(carried, share)


def priced_history(connection: DuckDBPyConnection, history: Iterable[Row]) -> list[Row]:
    """The months of `read_months`, of the priced accounts alone."""
    found = _read(connection, CARRIED_MONTH, {}) if has_table(connection, UNPRICED) else []
    carried = {row.pop("month"): row for row in found}
    return [
        row | {name: row[name] - less for name, less in carried.get(row["month"], {}).items()}
        for row in history
    ]


def _total(rows: Iterable[Row], name: str) -> Decimal:
    return sum((row[name] for row in rows), Decimal(0))


def together(rows: Sequence[Row]) -> Row:
    """The measures of several rows as one."""
    total = {name: _total(rows, name) for name in (*MEASURES, "economic_profit_month")}
    return total | _ratios(total)


def _ratios(row: Row) -> Row:
    """Income, cost-to-income (as value.cost_to_income) and yearly RAROC of summed months."""
    income = row["net_interest_margin"] + row["fee_income"]
    earned = row["contribution_margin"] - row["overhead"]
    return {
        "income": income,
        "cost_to_income": _ratio(row["direct_cost"] + row["overhead"], income),
        "raroc": _ratio(YEAR * earned, row["economic_capital"]),
    }


def _ratio(part: Decimal, whole: Decimal) -> float | None:
    """part / whole; None unless the whole is above zero."""
    return float(part) / float(whole) if whole > 0 else None


def residuals(connection: DuckDBPyConnection, period: Period) -> dict[str, Decimal]:
    """Treasury's result by part, interest not booked, the revaluation of currencies, and the
    overhead of each pool that no account drives."""
    rows = _rows(
        connection,
        "value.residual",
        "select residual, sum(amount) as amount where month between $1 and $2"
        " group by residual having sum(amount) <> 0 order by residual",
        period.first,
        period.last,
    )
    found = {row["residual"]: row["amount"] for row in rows}
    margins = {name: found.pop(name) for name in MARGIN_RESIDUALS if name in found}
    return {TREASURY: Decimal(0)} | margins | (found or {"unallocated overhead": Decimal(0)})


def _customer_tiers(connection: DuckDBPyConnection, month: date) -> dict[str, Row]:
    """By tier: its place among the tiers, None without a rank, and the month's customers."""
    rows = _rows(
        connection,
        CUSTOMER_TIER,
        "select tier, min(tier_number) as place, count_if(month = $1) as customers, count_if("
        "month = $1 and tier_number > 0 and economic_profit_12m < 0) as losing group by tier",
        month,
    )
    return {row["tier"]: row for row in rows}


def _product_names(connection: DuckDBPyConnection) -> dict[str, str]:
    rows = _rows(
        connection,
        "base.account",
        "select product_id, max(product_name) as name where product_name <> product_id"
        " group by product_id",
    )
    return {row["product_id"]: row["name"] for row in rows}


def _ends(rows: list[Row]) -> tuple[list[Row], list[Row], list[Row]]:
    """The first, those between, the last; all are the first where they are few."""
    end = SHOWN_AT_EITHER_END
    if len(rows) <= 2 * end + 1:
        return rows, [], []
    return rows[:end], rows[end:-end], rows[-end:]


# --- Months and lines -----------------------------------------------------------------------


def _year_before(history: list[Row]) -> Row | None:
    """The sums of the twelve months before the last twelve."""
    earlier = history[-2 * YEAR : -YEAR]
    if len(earlier) < YEAR:
        return None
    return {name: _total(earlier, name) for name in ("economic_profit", "contribution_margin")}


def _bridge(total: Row) -> list[Row]:
    """From margin and fees down to economic profit: each step's bar, from start to end."""
    steps, level = [], 0.0
    for measure in CHAIN:
        amount = -total[measure] if measure in DEDUCTED else total[measure]
        start = 0.0 if measure in SUBTOTALS else level
        level = start + float(amount)
        kind = "bad" if amount < 0 else "sum" if measure in SUBTOTALS else "good"
        steps.append(
            {"measure": measure, "amount": amount, "start": start, "end": level, "kind": kind}
        )
    return steps


def _chain(lines: list[Row], residuals: dict[str, Decimal], priced: Priced) -> list[Row]:
    """Margin to economic profit by business line, to the cent, and what belongs to no line; of the
    lines' total the part of the priced accounts, where others are not."""
    if not lines:
        return []
    below = []
    for name, amount in residuals.items():
        # Treasury's result and booked interest of other months are margin that no account shows;
        # unallocated overhead and unused capacity are cost; an adjustment is what its account is.
        if name.startswith(ADJUSTMENT):
            kind, effect = "below", _adjusted(name.removeprefix(ADJUSTMENT), amount)
        elif name in MARGIN_RESIDUALS:
            margins = ("net_interest_margin", "contribution_margin", "economic_profit")
            kind, effect = MARGIN_RESIDUALS[name], dict.fromkeys(margins, amount)
        else:
            kind, effect = "below", {"overhead": amount, "economic_profit": -amount}
        below.append(effect | {"key": name, "kind": kind})
    total = together(lines)
    bank = {name: sum((row.get(name, 0) for row in below), total[name]) for name in CHAIN}
    alone = together(priced.alone(lines, "line")) | {"kind": "priced"}
    return [
        *lines,
        total | {"kind": "total"},
        *([alone] if priced.left("line") else []),
        *below,
        bank | {"kind": "bank"},
    ]


def _adjusted(account: str, amount: Decimal) -> Row:
    """What an adjustment of a ledger account changes from margin to economic profit."""
    if account not in ADJUSTED:
        return {}
    measure, sign = ADJUSTED[account]
    result = -amount if measure in DEDUCTED else sign * amount
    return {measure: sign * amount, "contribution_margin": result, "economic_profit": result}


def reconciled(connection: DuckDBPyConnection, month: date) -> Row | None:
    """How many statements agree to the cent, by what is compared, and those that do not."""
    holds = f"coalesce(abs(difference) <= {_tolerance(connection)}, false)"
    kinds = _rows(
        connection,
        "value.reconciliation",
        f"select dimension, count(*) filter ({holds}) as held,"
        f" count(*) filter (not {holds}) as broken,"
        f" count(*) filter (month = $1 and {holds}) as held_month,"
        f" count(*) filter (month = $1 and not {holds}) as broken_month,"
        f" count(*) filter ({holds} and difference <> 0) as tolerated,"
        f" coalesce(sum(abs(difference)) filter ({holds}), 0) as tolerated_amount"
        " where month <= $1 group by dimension order by dimension",
        month,
    )
    if not kinds:
        return None
    broken = _rows(
        connection,
        "value.reconciliation",
        f"where month <= $1 and not {holds}"
        " order by month desc, abs(difference) desc, dimension, dimension_key, measure limit $2",
        month,
        SHOWN_BROKEN_STATEMENTS,
    )
    counts = ("held", "broken", "held_month", "broken_month", "tolerated", "tolerated_amount")
    compared = {row["dimension"] for row in kinds if row["held_month"] + row["broken_month"]}
    outside = [total for total in ("ledger", "source") if total in compared]
    return {name: sum(row[name] for row in kinds) for name in counts} | {
        "against": outside[0] if outside else None,
        "kinds": kinds,
        "statements": broken,
    }


def _tolerance(connection: DuckDBPyConnection) -> str:
    """The tolerance of a statement; older releases have none."""
    column = connection.execute(
        "from duckdb_columns() where (schema_name, table_name, column_name) = "
        "('value', 'reconciliation', 'tolerance')"
    ).fetchall()
    return "tolerance" if column else "0"


def default_seeds(connection: DuckDBPyConnection) -> list[str]:
    """The seeds of reference data that are the project's defaults."""
    rows = _rows(connection, "meta.reference_data", "where origin = 'default' order by seed")
    return [row["seed"] for row in rows]


# --- Customers ------------------------------------------------------------------------------


def _whale(distribution: list[Row], lines_profit: Decimal) -> Row | None:
    """The curve of cumulative profit; in money where all together bring no profit.

    `best` are the customers up to the best tenth, `peak` those up to where more customers bring
    no more profit, `last` all.
    """
    if not distribution:
        return None
    last = distribution[-1]
    # The best customer alone where there are fewer than ten.
    within = [row for row in distribution if row["percentile"] <= 10]
    in_shares = last["cumulative_profit_share"] is not None
    measure = "cumulative_profit_share" if in_shares else "cumulative_economic_profit_12m"
    return {
        "best": within[-1] if within else distribution[0],
        "peak": max(distribution, key=lambda row: row["cumulative_economic_profit_12m"]),
        "last": last,
        "in_shares": in_shares,
        "measure": measure,
        "curve": [(0.0, 0.0)]
        + [(float(row["cumulative_customer_share"]), float(row[measure])) for row in distribution],
        "not_among": lines_profit - last["cumulative_economic_profit_12m"],
    }


def _place(tier: str, tiers: dict[str, Row]) -> tuple[bool, float, str]:
    """Tiers in their order; names that are no tiers after them, those in brackets last."""
    place = tiers[tier]["place"] if tier in tiers else None
    return tier.startswith("("), math.inf if place is None else place, tier


def _tiers(
    connection: DuckDBPyConnection, period: Period, tiers: dict[str, Row], priced: Priced
) -> list[Row]:
    # Who has a rank has priced accounts only.
    rows = [
        row | NO_RATIOS if priced.has_unpriced and row["key"].startswith("(") else row
        for row in roll_up(connection, "tier", "tier", period)
    ]
    if not rows:
        return []
    everyone = sum(row["customers"] for row in tiers.values())
    total = together(rows)

    def described(row: Row, customers: int | None) -> Row:
        return row | {
            "customers": customers,
            "customer_share": customers / everyone if customers is not None and everyone else None,
            "profit_share": _ratio(row["economic_profit"], total["economic_profit"]),
        }

    shown = [
        described(
            row,
            None
            if (tier := row["key"]) == NOBODY
            else tiers[tier]["customers"]
            if tier in tiers
            else 0,
        )
        for row in sorted(rows, key=lambda row: _place(row["key"], tiers))
    ]
    whole = described(total, everyone) | {"kind": "total"}
    return [*shown, whole | NO_RATIOS if priced.has_unpriced else whole]


def _migration(connection: DuckDBPyConnection, month: date, tiers: dict[str, Row]) -> Row | None:
    """From tier (row) to tier (column): customers, and whether they moved up, down or stayed."""
    rows = _rows(connection, "value.tier_migration", "where month = $1", month)
    if not rows:
        return None
    moves = {(row["tier_before"], row["tier"]): row["customers"] for row in rows}
    before, after = (
        sorted(set(ends), key=lambda tier: _place(tier, tiers)) for ends in zip(*moves, strict=True)
    )

    def counted(to: dict[str, int]) -> Row:
        return {"to": to, "all": sum(to.values())}

    shown = [
        counted({to: moves.get((tier, to), 0) for to in after})
        | {"key": tier, "course": {to: _course(tiers, tier, to) for to in after}}
        for tier in before
    ]
    total = counted({to: sum(row["to"][to] for row in shown) for to in after})
    return {"after": after, "rows": [*shown, total | {"kind": "total"}]}


def _course(tiers: dict[str, Row], before: str, after: str) -> str:
    places = [tiers[tier]["place"] for tier in (before, after) if tier in tiers]
    if before == after or len(places) < 2 or None in places:
        return "stay"
    return "up" if places[1] < places[0] else "down"


def _deciles(
    connection: DuckDBPyConnection, distribution: list[Row], only_month: Period
) -> list[Row]:
    """Tenths of the month's customers: their twelve months, and the month itself."""
    if not distribution:
        return []
    in_month = {row["key"]: row for row in roll_up(connection, "decile", "decile", only_month)}
    whole = distribution[-1]["cumulative_economic_profit_12m"]

    def tenth(key: int | None, rows: list[Row], month: Row) -> Row:
        customers = sum(row["customers"] for row in rows)
        profit = _total(rows, "economic_profit_12m")
        return {
            "key": key,
            "customers": customers,
            "contribution_margin": _total(rows, "contribution_margin_12m"),
            "economic_profit": profit,
            "each": profit / customers,
            "share": _ratio(profit, whole),
            "cumulative": _ratio(rows[-1]["cumulative_economic_profit_12m"], whole),
            "profit_month": month.get("economic_profit"),
            "raroc_month": month.get("raroc"),
        }

    tenths = [
        tenth(decile, list(rows), in_month.get(decile, {}))
        for decile, rows in groupby(distribution, key=lambda row: row["decile"])
    ]
    # Decile 0 is nobody's, or has no rank; the others are the month's customers.
    everyone = together([row for decile, row in in_month.items() if decile]) if in_month else {}
    return [*tenths, tenth(None, distribution, everyone) | {"kind": "total"}]


# --- Branches, products, employees -----------------------------------------------------------


def _ranking(rows: list[Row], priced: Priced, dimension: str | None) -> list[Row]:
    """Best to worst by economic profit of the priced accounts; then nobody's share, what other
    accounts carry, and the total of all, whose ratios are those of the priced.

    Without a dimension the accounts that are not priced cannot be taken out, and there are no
    ratios. Empty where everything is nobody's: the bank delivered no such dimension.
    """
    left = priced.left(dimension) if dimension else None
    alone = priced.alone(rows, dimension) if dimension else rows
    if dimension is None and priced.has_unpriced:
        alone = [row | NO_RATIOS for row in rows]
    owned = [row for row in alone if row["key"] != NOBODY]
    if not owned:
        return []
    best, middle, worst = _ends(owned)
    between = {"kind": "between", "others": len(middle)}
    is_rated = priced.is_enough and not (dimension is None and priced.has_unpriced)
    ratios = {name: together(alone)[name] for name in NO_RATIOS} if is_rated else NO_RATIOS
    return [
        *best,
        *([together(middle) | between | ({} if is_rated else NO_RATIOS)] if middle else []),
        *worst,
        *(row | {"kind": "below"} for row in alone if row["key"] == NOBODY),
        *([left | {"kind": "unpriced"}] if left else []),
        together(rows) | ratios | {"kind": "total"},
    ]


def _targets(connection: DuckDBPyConnection) -> Row | None:
    """By employee: each measure of the targets and the total, the highest total first."""
    rows = _rows(connection, "decisions.manager_kpi", "order by employee_id, measure")
    if not rows:
        return None
    # A measure decides how an amount of its row is worded.
    amounts = ("numerator", "denominator", "value", "floor_value", "target_value")
    employees = []
    for key, found in groupby(rows, key=lambda row: row["employee_id"]):
        by_measure = {
            row["measure"]: row | {name: (row["measure"], row[name]) for name in amounts}
            for row in found
        }
        total = by_measure.pop("total") | {"kind": "total"}
        employees.append(
            {
                "key": key,
                "attained": {name: row["attainment"] for name, row in by_measure.items()},
                "total": total["attainment"],
                "rows": [
                    *sorted(by_measure.values(), key=lambda row: KPIS.index(row["measure"])),
                    total,
                ],
            }
        )
    employees.sort(key=lambda one: (one["total"] is None, -(one["total"] or 0), one["key"]))
    best, between, last = _ends(employees)
    return {
        "measures": [name for name in KPIS if any(name in one["attained"] for one in employees)],
        "best": best,
        "between": [{"kind": "between", "others": len(between), "attained": {}}] if between else [],
        "last": last,
    }


# --- Movers and plan ------------------------------------------------------------------------


def _movers(connection: DuckDBPyConnection) -> list[Row]:
    """By dimension: the largest gains and losses with their effects."""
    movers = _rows(connection, "value.mover", "order by dimension, direction, place")
    found = []
    for dimension, limit in SHOWN_MOVERS.items():
        own = [
            row
            | {"key": row["dimension_key"]}
            | {"effects": {effect: row[f"{effect}_effect"] for effect in EFFECTS}}
            | ({"kind": "below"} if row["dimension_key"] == NOBODY else {})
            for row in movers
            if row["dimension"] == dimension
        ]
        # Where everything is nobody's the bank delivered no such dimension.
        if all("kind" in row for row in own):
            continue
        shown = {
            direction: [
                row for row in own if row["direction"] == direction and row["place"] <= limit
            ]
            for direction in ("gain", "loss")
        }
        found.append({"dimension": dimension, **shown})
    return found


def _plan(connection: DuckDBPyConnection, month: date) -> Row | None:
    """Plan against actual of the latest planned month, the furthest behind first."""
    rows = _rows(
        connection,
        "value.plan_actual",
        "where month = (select max(month) from value.plan_actual where month <= $1)"
        " order by dimension, measure, difference, dimension_key",
        month,
    )
    if not rows:
        return None
    groups = []
    for (dimension, measure), found in groupby(
        rows, key=lambda row: (row["dimension"], row["measure"])
    ):
        behind, between, ahead = _ends(list(found))
        groups.append(
            {"dimension": dimension, "measure": measure, "behind": behind, "ahead": ahead}
            | {"between": len(between)}
        )
    return {"month": rows[0]["month"], "groups": groups}


# --- Price floors ---------------------------------------------------------------------------


def _floors(connection: DuckDBPyConnection) -> Row | None:
    """By kind: product and terms with the floor of each tier, and what each rate is made of.

    Terms of a product that follow each other with the same floors share a row.
    """
    rows = _rows(
        connection,
        "decisions.price_floor",
        "order by floor_kind, product_line, product_id, term_months, tier_number, tier",
    )
    if not rows:
        return None
    numbers = {row["tier"]: row["tier_number"] or math.inf for row in rows}
    keys = ("product_id", "floor_kind", "term_months")
    groups: list[Row] = []
    for (product, kind, term), found in groupby(rows, key=lambda row: [row[key] for key in keys]):
        by_tier = {row.pop("tier"): row for row in found}
        for row in by_tier.values():
            del row["term_months"]
        same = {"key": product, "floor_kind": kind, "by_tier": by_tier}
        if groups and same.items() <= groups[-1].items():
            groups[-1]["last_term"] = term
        else:
            groups.append(same | {"first_term": term, "last_term": term})
    tiers = sorted(numbers, key=lambda tier: (numbers[tier], tier))
    return {
        "tiers": tiers,
        "kinds": {
            kind: [
                one | {"by_tier": {tier: one["by_tier"].get(tier) for tier in tiers}}
                for one in found
            ]
            for kind, found in groupby(groups, key=lambda one: one["floor_kind"])
        },
        # A fee's floor has no rates.
        "parts": [
            row | group | {"tier": tier, "floor": row}
            for group in groups
            for tier, row in group["by_tier"].items()
            if row["annual_rate"] is not None
        ],
    }
