"""What the value report reads, and the tables it makes of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any

from duckdb import DuckDBPyConnection
from markupsafe import Markup

from orchestration.release.value_report import pictures
from orchestration.release.value_report.wording import (
    CHAIN,
    DEDUCTED,
    EFFECTS,
    SUBTOTALS,
    count,
    exact,
    money,
    named,
    percent,
    price_floor,
    rate,
    return_on_capital,
    titled,
    whale_words,
)

Row = dict[str, Any]

NOBODY = "(none)"
YEAR = 12
QUARTER = 3
MEASURES = (*CHAIN, "economic_capital")
# A ranking that is longer shows so many at either end and the others in one row.
SHOWN_AT_EITHER_END = 10
# Movers by dimension: heading, and how many either way.
SHOWN_MOVERS = {
    "line": ("Business lines", 10),
    "product": ("Products", 5),
    "branch": ("Branches", 5),
    "manager": ("Managers' books", 5),
    "customer": ("Customers", 10),
}
SHOWN_BROKEN_STATEMENTS = 20


@dataclass(frozen=True)
class Period:
    """The months reported together: at most twelve, ending with the as-of month."""

    first: date
    last: date
    months: int

    @property
    def length(self) -> str:
        return f"{self.months} months" if self.months > 1 else "1 month"

    @property
    def words(self) -> str:
        if self.months == 1:
            return f"{self.last:%Y-%m}, the only month of the history"
        return f"last {self.length}, {self.first:%Y-%m} to {self.last:%Y-%m}"


def page_content(connection: DuckDBPyConnection) -> Row:
    """What the page shows, section by section; None or empty where there is nothing."""
    head = read_head(connection)
    month = head["month"]
    if month is None:
        return {"head": head}
    period, history = read_months(connection, month)
    only_month = Period(month, month, 1)
    lines = roll_up(connection, "line", "product_line", period)
    lines_month = roll_up(connection, "line", "product_line", only_month)
    branches = roll_up(connection, "branch", "branch_id", period)
    products = roll_up(connection, "product", "product_id", period)
    managers = roll_up(connection, "employee", "employee_id", period, "role = 'manager'")
    total = together(lines)
    distribution = _rows(
        connection, "value.profit_distribution", "where month = $1 order by percentile", month
    )
    tiers = _customer_tiers(connection, month)
    names = _product_names(connection)
    floors = _floor_groups(connection)
    return {
        "head": head,
        "period": period,
        "cards": _cards(history, total, tiers.values(), period),
        "bridge": pictures.bridge(total) if lines else None,
        "chain_month": _chain(lines_month, residuals(connection, only_month)),
        "chain_year": _chain(lines, residuals(connection, period)) if period.months > 1 else None,
        "reconciled": reconciled(connection, month),
        **_whale(distribution, total["economic_profit"]),
        "trend": pictures.trend(history) if history else None,
        "tiers": _tiers(connection, period, tiers),
        "migration": _migration(connection, month, tiers),
        "deciles": _deciles(connection, distribution, only_month),
        "branches": _ranking("Branch", "branches", branches, period),
        "products": _ranking("Product", "products", products, period, names),
        "managers": _ranking("Manager", "managers", managers, period),
        "movers": _movers(connection, names),
        "movers_short": len(history) < 2 * QUARTER,
        **_plan(connection, month),
        "floors": _floors(floors, names),
        "floor_parts": _floor_parts(floors, names),
    }


# --- What is read ---------------------------------------------------------------------------


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
    """Treasury's result and the overhead of each pool that no account drives."""
    rows = _rows(
        connection,
        "value.residual",
        "select residual, sum(amount) as amount where month between $1 and $2"
        " group by residual having sum(amount) <> 0 order by residual",
        period.first,
        period.last,
    )
    found = {row["residual"]: row["amount"] for row in rows}
    treasury = found.pop("treasury", Decimal(0))
    return {"treasury": treasury} | (found or {"unallocated overhead": Decimal(0)})


def _customer_tiers(connection: DuckDBPyConnection, month: date) -> dict[str, Row]:
    """By tier: its place among the tiers, and the month's customers."""
    rows = _rows(
        connection,
        "value.customer_tier",
        "select tier, min(tier_number) as place, count(*) filter (month = $1) as customers,"
        " count(*) filter (month = $1 and economic_profit_12m < 0) as losing group by tier",
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


# --- Tables ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cell:
    """A table cell: its text (escaped unless it is markup), CSS classes and inline style."""

    text: str | Markup
    css: str = ""
    style: str = ""


@dataclass(frozen=True)
class Column:
    """A column's title and what it shows of a row; figures stand right."""

    title: str
    cell: Callable[[Row], Cell]
    is_figure: bool = True


@dataclass(frozen=True)
class Table:
    """Columns and rows (`css` sets one apart); a text alone is a heading across the columns."""

    columns: Sequence[Column]
    rows: Sequence[Row | str]

    def cells(self, row: Row) -> list[Cell]:
        return [column.cell(row) for column in self.columns]


def _figure(text: str) -> Cell:
    return Cell(text, "figure loss" if text.startswith(("-", "< -")) else "figure")


def _texts(**titles: str) -> list[Column]:
    """Columns of texts: name and title."""

    def column(name: str) -> Column:
        return Column(titles[name], lambda row: Cell(row[name]), is_figure=False)

    return [column(name) for name in titles]


def _figures(words: Callable[[Any], str], **titles: str) -> list[Column]:
    """Columns of figures: how they are worded, name and title."""

    def column(name: str) -> Column:
        return Column(titles[name], lambda row: _figure(words(row[name])))

    return [column(name) for name in titles]


def _bars(rows: Iterable[Row]) -> Column:
    """Bars of economic profit on the scale of the rows; none on rows set apart."""
    figures = [0.0, *(float(row["economic_profit"]) for row in rows)]
    reach = min(figures), max(figures)

    def cell(row: Row) -> Cell:
        if row.get("css"):
            return Cell("")
        return Cell(pictures.bar(row["economic_profit"], reach), "barred")

    return Column("", cell, is_figure=False)


def _ends(rows: list[Row]) -> tuple[list[Row], list[Row], list[Row]]:
    """The first, those between, the last; all are the first where they are few."""
    end = SHOWN_AT_EITHER_END
    if len(rows) <= 2 * end + 1:
        return rows, [], []
    return rows[:end], rows[end:-end], rows[-end:]


# --- The head and the chain -----------------------------------------------------------------


def _cards(
    history: list[Row], total: Row, tiers: Collection[Row], period: Period
) -> list[tuple[str, str, str]]:
    """The figures at the head: title, figure, and a line below it."""
    if not history:
        return []
    month, over = f"{period.last:%Y-%m}", period.length
    cards = []
    for measure in ("economic_profit", "contribution_margin"):
        below = f"{over}: {money(total[measure])}" if period.months > 1 else ""
        earlier = history[-2 * YEAR : -YEAR]
        if len(earlier) == YEAR:
            below += f"; the 12 before: {money(_total(earlier, measure))}"
        cards.append((f"{CHAIN[measure]}, {month}", money(history[-1][measure]), below))
    cost_to_income, raroc = percent(total["cost_to_income"]), return_on_capital(total["raroc"])
    customers, losing = (count(sum(row[name] for row in tiers)) for name in ("customers", "losing"))
    return [
        *cards,
        (f"Cost-to-income, {over}", cost_to_income, "direct cost and overhead / margin and fees"),
        (f"RAROC, {over}", raroc, "a year, on economic capital; loss and cost deducted"),
        (f"Customers, {month}", customers, f"{losing} of them lost money over {over}"),
    ]


def _chain(lines: list[Row], residuals: dict[str, Decimal]) -> Table | None:
    """Margin to economic profit by business line, to the cent, and what belongs to no line."""
    if not lines:
        return None
    below = []
    for name, amount in residuals.items():
        # Treasury's result is margin that no account shows; unallocated overhead is cost.
        if name == "treasury":
            margins = ("net_interest_margin", "contribution_margin", "economic_profit")
            label, effect = "Treasury residual", dict.fromkeys(margins, amount)
        else:
            label, effect = titled(name), {"overhead": amount, "economic_profit": -amount}
        below.append(dict.fromkeys(CHAIN) | effect | {"label": label, "css": "below"})
    total = together(lines)
    bank = {name: sum((row[name] or 0 for row in below), total[name]) for name in CHAIN}

    def signed(measure: str) -> str:
        sign = "−\u00a0" if measure in DEDUCTED else "=\u00a0" if measure in SUBTOTALS else ""
        return f"{sign}{CHAIN[measure]}"

    def words(amount: Decimal | None) -> str:
        return "" if amount is None else exact(amount)

    return Table(
        [
            *_texts(label="Business line"),
            *_figures(words, **{name: signed(name) for name in CHAIN}),
        ],
        [
            *(row | {"label": titled(row["key"])} for row in lines),
            total | {"label": "All business lines", "css": "total"},
            *below,
            bank | {"label": "Bank", "css": "total"},
        ],
    )


def reconciled(connection: DuckDBPyConnection, month: date) -> Row | None:
    """How many statements agree to the cent, by what is compared, and those that do not."""
    kinds = _rows(
        connection,
        "value.reconciliation",
        "select dimension, count(*) filter (difference = 0) as held,"
        " count(*) filter (difference is distinct from 0) as broken,"
        " count(*) filter (month = $1 and difference = 0) as held_month,"
        " count(*) filter (month = $1 and difference is distinct from 0) as broken_month"
        " where month <= $1 group by dimension order by dimension",
        month,
    )
    if not kinds:
        return None
    broken = _rows(
        connection,
        "value.reconciliation",
        "select * replace (strftime(month, '%Y-%m') as month)"
        " where month <= $1 and difference is distinct from 0"
        " order by month desc, abs(difference) desc, dimension, dimension_key, measure limit $2",
        month,
        SHOWN_BROKEN_STATEMENTS,
    )
    counts = ("held", "broken", "held_month", "broken_month")
    compared = {row["dimension"] for row in kinds if row["held_month"] + row["broken_month"]}
    against = "no total from outside"
    if "ledger" in compared:
        against = "the general ledger"
    elif "source" in compared:
        against = "its bookings, as no ledger was delivered"
    return {name: sum(row[name] for row in kinds) for name in counts} | {
        "against": f"the bank is compared with {against}",
        "kinds": Table(
            [
                *_texts(label="Compared"),
                *_figures(count, held="Reconcile to the cent", broken="Do not"),
            ],
            [row | {"label": titled(row["dimension"])} for row in kinds],
        ),
        "broken_table": Table(
            [
                *_texts(month="Month", dimension="Compared", dimension_key="Of", measure="Measure"),
                *_figures(exact, expected="Expected", actual="Actual", difference="Difference"),
            ],
            broken,
        ),
    }


# --- Customers ------------------------------------------------------------------------------


def _whale(distribution: list[Row], lines_profit: Decimal) -> Row:
    if not distribution:
        return {"whale": None}
    # Up to the best tenth of the customers; the best one where there are fewer than ten.
    within = [row for row in distribution if row["percentile"] <= 10]
    best = within[-1] if within else distribution[0]
    # Up to where more customers bring more profit.
    peak = max(distribution, key=lambda row: row["cumulative_economic_profit_12m"])
    return {
        "whale": pictures.whale(distribution, best, peak),
        "whale_words": whale_words(best, peak, distribution[-1], lines_profit),
    }


def _place(tier: str, tiers: dict[str, Row]) -> tuple[float, str]:
    return tiers[tier]["place"] if tier in tiers else math.inf, tier


def _tiers(connection: DuckDBPyConnection, period: Period, tiers: dict[str, Row]) -> Table | None:
    rows = roll_up(connection, "tier", "tier", period)
    if not rows:
        return None
    everyone = sum(row["customers"] for row in tiers.values())
    total = together(rows)

    def described(row: Row, label: str, customers: int | None) -> Row:
        return row | {
            "label": label,
            "customers": customers,
            "customer_share": customers / everyone if customers is not None and everyone else None,
            "profit_share": _ratio(row["economic_profit"], total["economic_profit"]),
        }

    shown = [
        described(row, "No customer", None)
        if (tier := row["key"]) == NOBODY
        else described(row, titled(tier), tiers[tier]["customers"] if tier in tiers else 0)
        for row in sorted(rows, key=lambda row: _place(row["key"], tiers))
    ]
    return Table(
        [
            *_texts(label="Tier"),
            *_figures(count, customers=f"Customers, {period.last:%Y-%m}"),
            *_figures(percent, customer_share="Share"),
            *_figures(money, contribution_margin="Contribution", economic_profit="Economic profit"),
            _bars(rows),
            *_figures(percent, profit_share="Share", cost_to_income="Cost-to-income"),
            *_figures(return_on_capital, raroc="RAROC"),
        ],
        [*shown, described(total, "All", everyone) | {"css": "total"}],
    )


def _migration(connection: DuckDBPyConnection, month: date, tiers: dict[str, Row]) -> Table | None:
    """From tier (row) to tier (column): customers, and the share of the row as heat."""
    rows = _rows(connection, "value.tier_migration", "where month = $1", month)
    if not rows:
        return None
    moves = {(row["tier_before"], row["tier"]): row["customers"] for row in rows}

    def place(tier: str) -> tuple[bool, float, str]:
        return tier.startswith("("), *_place(tier, tiers)

    before, after = (sorted(set(ends), key=place) for ends in zip(*moves, strict=True))

    def to_column(to: str) -> Column:
        def cell(row: Row) -> Cell:
            if row.get("css"):
                return _figure(count(row["to"][to]))
            return _heat(row["to"][to], row["all"], _course(tiers, row["from"], to))

        return Column(titled(to), cell)

    def counted(label: str, to: dict[str, int]) -> Row:
        return {"label": label, "to": to, "all": sum(to.values())}

    shown = [
        counted(titled(tier), {to: moves.get((tier, to), 0) for to in after}) | {"from": tier}
        for tier in before
    ]
    total = counted("All", {to: sum(row["to"][to] for row in shown) for to in after})
    columns = [*_texts(label="From"), *map(to_column, after), *_figures(count, all="All")]
    return Table(columns, [*shown, total | {"css": "total"}])


def _course(tiers: dict[str, Row], before: str, after: str) -> str:
    if before not in tiers or after not in tiers or before == after:
        return "stay"
    return "up" if tiers[after]["place"] < tiers[before]["place"] else "down"


def _heat(customers: int, whole: int, course: str) -> Cell:
    if not customers:
        return Cell("·", "figure soft")
    share = customers / whole
    words = percent(share) if share >= 0.001 else "< 0.1 %"
    text = Markup('{} <span class="soft share">{}</span>').format(count(customers), words)
    # The root keeps small moves visible beside those who stay.
    return Cell(text, f"figure heat {course}", f"--heat: {0.06 + 0.4 * math.sqrt(share):.2f}")


def _deciles(
    connection: DuckDBPyConnection, distribution: list[Row], only_month: Period
) -> Table | None:
    """Tenths of the month's customers: their twelve months, and the month itself."""
    if not distribution:
        return None
    in_month = {row["key"]: row for row in roll_up(connection, "decile", "decile", only_month)}
    whole = distribution[-1]["cumulative_economic_profit_12m"]

    def tenth(label: str, rows: list[Row], month: Row) -> Row:
        customers = sum(row["customers"] for row in rows)
        profit = _total(rows, "economic_profit_12m")
        return {
            "label": label,
            "customers": customers,
            "contribution": _total(rows, "contribution_margin_12m"),
            "economic_profit": profit,
            "each": profit / customers,
            "share": _ratio(profit, whole),
            "cumulative": _ratio(rows[-1]["cumulative_economic_profit_12m"], whole),
            "profit_month": month.get("economic_profit"),
            "raroc_month": month.get("raroc"),
        }

    tenths = [
        tenth(str(decile), list(rows), in_month.get(decile, {}))
        for decile, rows in groupby(distribution, key=lambda row: row["decile"])
    ]
    # Decile 0 is nobody's; the others are the month's customers.
    everyone = together([row for decile, row in in_month.items() if decile]) if in_month else {}
    return Table(
        [
            *_texts(label="Decile"),
            *_figures(count, customers="Customers"),
            *_figures(money, contribution="Contribution", economic_profit="Economic profit"),
            _bars(tenths),
            *_figures(exact, each="A customer"),
            *_figures(percent, share="Share", cumulative="Cumulative"),
            *_figures(money, profit_month=f"Profit {only_month.last:%Y-%m}"),
            *_figures(return_on_capital, raroc_month=f"RAROC {only_month.last:%Y-%m}"),
        ],
        [*tenths, tenth("All", distribution, everyone) | {"css": "total"}],
    )


# --- Branches, products, managers -----------------------------------------------------------


def _ranking(
    title: str, plural: str, rows: list[Row], period: Period, names: dict[str, str] | None = None
) -> Table | None:
    """Best to worst by economic profit; nobody's share and the total last.

    None where everything is nobody's: the bank delivered no such dimension.
    """
    owned = [
        row | {"label": named(row["key"], names or {})} for row in rows if row["key"] != NOBODY
    ]
    if not owned:
        return None
    best, middle, worst = _ends(owned)
    between = {"label": f"{count(len(middle))} other {plural} between", "css": "between"}
    nobody = {"label": f"No {title.lower()}", "css": "below"}
    return Table(
        [
            *_texts(label=title),
            *_figures(money, economic_profit="Economic profit"),
            _bars([*best, *worst]),
            *_figures(money, economic_profit_month=f"In {period.last:%Y-%m}"),
            *_figures(money, contribution_margin="Contribution", income="Income"),
            *_figures(percent, cost_to_income="Cost-to-income"),
            *_figures(return_on_capital, raroc="RAROC"),
        ],
        [
            *best,
            *([together(middle) | between] if middle else []),
            *worst,
            *(row | nobody for row in rows if row["key"] == NOBODY),
            together(rows) | {"label": "All", "css": "total"},
        ],
    )


# --- Movers and plan ------------------------------------------------------------------------


def _movers(connection: DuckDBPyConnection, names: dict[str, str]) -> list[tuple[str, Table]]:
    """By dimension: the largest gains and losses with their effects, the reason marked."""
    movers = _rows(connection, "value.mover", "order by dimension, direction, place")
    tables = []
    for dimension, (heading, limit) in SHOWN_MOVERS.items():
        own = [row for row in movers if row["dimension"] == dimension]
        # Where everything is nobody's the bank delivered no such dimension.
        if all(row["dimension_key"] == NOBODY for row in own):
            continue
        shown: list[Row | str] = []
        for direction, words in (("gain", "Gained most"), ("loss", "Lost most")):
            found = [row for row in own if row["direction"] == direction and row["place"] <= limit]
            if found:
                shown.append(words)
                shown += [row | _mover_words(row, names) for row in found]
        columns = [
            *_texts(label=titled(dimension)),
            *_figures(money, economic_profit_before="Quarter before"),
            *_figures(money, economic_profit="Quarter now", change="Change"),
            *map(_effect_column, EFFECTS),
            *_texts(why="Reason"),
        ]
        tables.append((heading, Table(columns, shown)))
    return tables


def _mover_words(row: Row, names: dict[str, str]) -> Row:
    key, dimension = row["dimension_key"], row["dimension"]
    if key == NOBODY:
        label: str = f"No {dimension}"
    elif dimension == "product":
        label = named(key, names)
    else:
        label = titled(key) if dimension == "line" else key
    return {"label": label, "why": EFFECTS.get(row["reason"], row["reason"] or "–").lower()}


def _effect_column(effect: str) -> Column:
    def cell(row: Row) -> Cell:
        figure = _figure(money(row[f"{effect}_effect"]))
        return replace(figure, css=f"{figure.css} why") if row["reason"] == effect else figure

    return Column(EFFECTS[effect], cell)


def _plan(connection: DuckDBPyConnection, month: date) -> Row:
    """Plan against actual of the latest planned month, the furthest behind first."""
    rows = _rows(
        connection,
        "value.plan_actual",
        "where month = (select max(month) from value.plan_actual where month <= $1)"
        " order by dimension, measure, difference, dimension_key",
        month,
    )
    if not rows:
        return {"plan": None}
    shown: list[Row | str] = []
    for (dimension, measure), found in groupby(
        rows, key=lambda row: (row["dimension"], row["measure"])
    ):
        behind, between, ahead = _ends(list(found))
        shown += [f"{titled(dimension)}: {titled(measure)}", *behind]
        if between:
            shown += [f"{count(len(between))} others between", *ahead]
    columns = [
        *_texts(dimension_key="Planned"),
        *_figures(money, target="Plan", actual="Actual", difference="Difference"),
        *_figures(percent, attainment="Attained"),
        *_figures(money, target_year_to_date="Plan, year to date"),
        *_figures(money, actual_year_to_date="Actual, year to date"),
        *_figures(money, difference_year_to_date="Difference, year to date"),
    ]
    return {"plan": Table(columns, shown), "plan_month": rows[0]["month"]}


# --- Price floors ---------------------------------------------------------------------------


@dataclass(frozen=True)
class FloorGroup:
    """Terms of a product that follow each other with the same floors, tier by tier."""

    product_id: str
    floor_kind: str
    first_term: int
    last_term: int
    by_tier: dict[str, Row]

    def words(self, names: dict[str, str]) -> Row:
        first = "" if self.first_term == self.last_term else f"{self.first_term}–"
        term = f"{first}{self.last_term} months" if self.last_term else "none"
        return {"label": named(self.product_id, names), "term": term}


def _floor_groups(connection: DuckDBPyConnection) -> list[FloorGroup]:
    rows = _rows(
        connection,
        "decisions.price_floor",
        "order by floor_kind, product_line, product_id, term_months, tier_number, tier",
    )
    groups: list[FloorGroup] = []
    keys = ("product_id", "floor_kind", "term_months")
    for (product, kind, term), found in groupby(rows, key=lambda row: [row[key] for key in keys]):
        by_tier = {row.pop("tier"): row for row in found}
        for row in by_tier.values():
            del row["term_months"]
        last = groups[-1] if groups else None
        if last and (last.product_id, last.floor_kind, last.by_tier) == (product, kind, by_tier):
            groups[-1] = replace(last, last_term=term)
        else:
            groups.append(FloorGroup(product, kind, term, term, by_tier))
    return groups


def _floors(groups: list[FloorGroup], names: dict[str, str]) -> Table | None:
    """Product and term by tier."""
    if not groups:
        return None
    numbers = {
        tier: row["tier_number"] or math.inf
        for group in groups
        for tier, row in group.by_tier.items()
    }
    tiers = sorted(numbers, key=lambda tier: (numbers[tier], tier))
    shown: list[Row | str] = []
    for kind, found in groupby(groups, key=lambda group: group.floor_kind):
        shown.append(f"{titled(kind)}, {'an account and month' if 'fee' in kind else 'a year'}")
        shown += [group.words(names) | {"by_tier": group.by_tier} for group in found]

    def tier_column(tier: str) -> Column:
        return Column(titled(tier), lambda row: _figure(price_floor(row["by_tier"].get(tier))))

    columns = [*_texts(label="Product", term="Term"), *map(tier_column, tiers)]
    return Table(columns, shown)


def _floor_parts(groups: list[FloorGroup], names: dict[str, str]) -> Table | None:
    """What each rate's floor is made of; a fee's has no rates."""
    shown = [
        row | group.words(names) | {"tier": titled(tier), "floor": row}
        for group in groups
        for tier, row in group.by_tier.items()
        if row["annual_rate"] is not None
    ]
    if not shown:
        return None
    columns = [
        *_texts(label="Product", term="Term", tier="Tier"),
        *_figures(rate, transfer_price="Transfer price", cost_rate="Cost", loss_rate="Loss"),
        *_figures(rate, capital_rate="Capital", fee_rate="Fees"),
        *_figures(price_floor, floor="Floor"),
        *_figures(count, account_months="Account months"),
    ]
    return Table(columns, shown)
