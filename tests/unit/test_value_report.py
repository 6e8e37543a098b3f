"""The value report: figures worked by hand on small tables, and pages with next to nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from orchestration.platform.settings import Settings
from orchestration.release.assets import report_value
from orchestration.release.publish import Release
from orchestration.release.value_report import left_out, render_value_report, unknown_balances

MEASURES = (
    "average_balance",
    "closing_balance",
    "net_interest_margin",
    "fee_income",
    "direct_cost",
    "overhead",
    "expected_loss",
    "contribution_margin",
    "economic_capital",
    "capital_charge",
    "economic_profit",
)
MONEY = "decimal(18, 2)"
MEASURE_COLUMNS = ", ".join(f"{name} {MONEY}" for name in MEASURES) + ", raroc decimal(18, 6)"
EFFECTS = ", ".join(f"{name}_effect {MONEY}" for name in ("volume", "rate", "fee", "cost", "risk"))
TABLES = {
    "value.profit_by_line": f"product_line varchar, month date, {MEASURE_COLUMNS}",
    "value.profit_by_branch": f"branch_id varchar, month date, {MEASURE_COLUMNS}",
    "value.profit_by_channel": f"channel varchar, month date, {MEASURE_COLUMNS}",
    "value.profit_by_group": f"group_id varchar, month date, {MEASURE_COLUMNS}",
    "value.profit_by_product": f"product_id varchar, month date, {MEASURE_COLUMNS}",
    "value.profit_by_tier": f"tier varchar, month date, {MEASURE_COLUMNS}",
    "value.profit_by_decile": f"decile integer, month date, {MEASURE_COLUMNS}",
    "value.profit_by_employee": f"role varchar, employee_id varchar, month date, {MEASURE_COLUMNS}",
    "value.residual": (
        f"month date, residual varchar, branch_id varchar, product_line varchar, amount {MONEY}"
    ),
    "value.reconciliation": (
        "month date, dimension varchar, dimension_key varchar, measure varchar,"
        f" expected {MONEY}, actual {MONEY}, difference {MONEY}"
    ),
    "value.customer_tier": (
        "customer_id varchar, month date, tier varchar, tier_number integer,"
        f" contribution_margin_12m {MONEY}, economic_profit_12m {MONEY}, percentile integer,"
        " decile integer"
    ),
    "value.profit_distribution": (
        "month date, percentile integer, decile integer, customers integer,"
        f" economic_profit_12m {MONEY}, contribution_margin_12m {MONEY},"
        f" cumulative_customers integer, cumulative_economic_profit_12m {MONEY},"
        " cumulative_customer_share decimal(9, 6), cumulative_profit_share decimal(18, 6)"
    ),
    "value.tier_migration": (
        "month date, tier_before varchar, tier varchar, customers integer,"
        f" contribution_margin_12m_before {MONEY}, contribution_margin_12m {MONEY}"
    ),
    "value.mover": (
        "dimension varchar, direction varchar, place integer, dimension_key varchar,"
        f" economic_profit_before {MONEY}, economic_profit {MONEY}, change {MONEY}, {EFFECTS},"
        " reason varchar"
    ),
    "value.plan_actual": (
        "dimension varchar, dimension_key varchar, month date, measure varchar,"
        f" target {MONEY}, actual {MONEY}, difference {MONEY}, target_year_to_date {MONEY},"
        f" actual_year_to_date {MONEY}, difference_year_to_date {MONEY},"
        " attainment decimal(18, 6)"
    ),
    "decisions.price_floor": (
        "product_id varchar, term_months integer, tier varchar, tier_number integer,"
        " product_line varchar, floor_kind varchar, annual_rate decimal(18, 6),"
        f" monthly_fee {MONEY}, transfer_price decimal(9, 6), cost_rate decimal(18, 6),"
        " loss_rate decimal(18, 6), capital_rate decimal(18, 6), fee_rate decimal(18, 6),"
        " basis varchar, account_months integer, no_floor_reason varchar"
    ),
    "decisions.manager_kpi": (
        f"employee_id varchar, measure varchar, numerator {MONEY}, denominator {MONEY},"
        " value decimal(18, 6), floor_value decimal(18, 6), target_value decimal(18, 6),"
        " attainment_cap decimal(9, 6), attainment decimal(9, 6), weight decimal(9, 6),"
        " points decimal(9, 2)"
    ),
    "landing.refresh_window": "as_of date, source varchar",
}
VOID = {"meta", "link", "br", "hr", "img", "input"}


class Page(HTMLParser):
    """Tags that do not close in order, and the tables' rows as lists of texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        self.open: list[str] = []
        self.astray: list[str] = []
        self.addresses: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in {"href", "src"}]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in {"href", "src"}]

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.astray.append(tag)

    def handle_data(self, data: str) -> None:
        if "td" in self.open or "th" in self.open:
            self.rows[-1][-1] += data.strip()

    @property
    def body(self) -> str:
        return self.text[self.text.index("<main>") :]

    @property
    def words(self) -> str:
        return " ".join(self.text.split())

    def row(self, *first: str) -> list[str]:
        """The only row that starts with these texts."""
        (found,) = [row for row in self.rows if tuple(row[: len(first)]) == first]
        return found


def profit(
    margin: float, fee: float, cost: float, loss: float, overhead: float, charge: float
) -> list[float]:
    """The measures of a row, chained as in value.account_month; capital is ten times its charge."""
    contribution = margin + fee - cost - loss
    economic = contribution - overhead - charge
    capital = 10 * charge
    return [0, 0, margin, fee, cost, overhead, loss, contribution, capital, charge, economic]


def insert(connection: duckdb.DuckDBPyConnection, table: str, *rows: list[Any]) -> None:
    for row in rows:
        marks = ", ".join("?" for _ in row)
        missing = ", null" if "raroc" in TABLES[table] else ""
        connection.execute(f"insert into {table} values ({marks}{missing})", row)


@pytest.fixture
def empty() -> Iterator[duckdb.DuckDBPyConnection]:
    """Every table, and no row but the window's."""
    with duckdb.connect() as connection:
        for schema in ("value", "decisions", "landing", "meta", "base"):
            connection.execute(f"create schema {schema}")
        for table, columns in TABLES.items():
            connection.execute(f"create table {table} ({columns})")
        connection.execute("insert into landing.refresh_window values ('2024-02-29', 'mine')")
        yield connection


@pytest.fixture
def bank(empty: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """Two months, two lines, two branches, four customers, of which the last loses money."""
    deposits = profit(1000.10, 200.20, 50.05, 0, 150.15, 0)
    lending = profit(500, 10, 20, 300, 100, 400)
    for month in ("2024-01-01", "2024-02-01"):
        insert(
            empty,
            "value.profit_by_line",
            ["deposits", month, *deposits],
            ["lending", month, *lending],
        )
        insert(
            empty,
            "value.profit_by_branch",
            ["B<1>", month, *deposits],
            ["(none)", month, *lending],
        )
        insert(
            empty,
            "value.profit_by_product",
            ["CURRENT", month, *deposits],
            ["LOAN", month, *lending],
        )
        insert(
            empty,
            "value.profit_by_employee",
            ["manager", "E&1", month, *deposits],
            ["manager", "(none)", month, *lending],
            ["credited", "P&1", month, *profit(600, 120, 30, 0, 90, 0)],
            ["credited", "P2", month, *profit(400.10, 80.20, 20.05, 0, 60.15, 0)],
            ["credited", "(none)", month, *lending],
            ["seller", "E-seller", month, *deposits],
            ["seller", "(none)", month, *lending],
        )
        insert(
            empty,
            "value.profit_by_tier",
            ["top", month, *deposits],
            ["unprofitable", month, *lending],
        )
        insert(
            empty,
            "value.residual",
            [month, "treasury: rate", "B<1>", "deposits", -710.70],
            [month, "treasury: liquidity", "B<1>", "deposits", 10],
            [month, "treasury: rate", "(none)", "lending", 900],
            [month, "interest not booked", "B<1>", "deposits", -40.20],
            [month, "unallocated overhead: head_office", "(none)", "(none)", 33.33],
            [month, "unallocated overhead: premises", "(none)", "(none)", 0],
        )
    insert(
        empty,
        "value.reconciliation",
        ["2024-01-01", "ledger", "B / deposits", "fee_income", 5, 5, 0],
        ["2024-02-01", "ledger", "B / deposits", "fee_income", 7, 7, 0],
        ["2024-02-01", "branch", "all", "overhead", 7, 7, 0],
    )
    month = "2024-02-01"
    insert(
        empty,
        "value.customer_tier",
        ["C1", month, "top", 1, 1500, 1000, 25, 3],
        ["C2", month, "top", 1, 700, 500, 50, 5],
        ["C3", month, "top", 1, 700, 100, 75, 8],
        ["C4", month, "unprofitable", 2, -300, -600, 100, 10],
    )
    insert(
        empty,
        "value.profit_distribution",
        [month, 25, 3, 1, 1000, 1500, 1, 1000, 0.25, 1],
        [month, 50, 5, 1, 500, 700, 2, 1500, 0.5, 1.5],
        [month, 75, 8, 1, 100, 700, 3, 1600, 0.75, 1.6],
        [month, 100, 10, 1, -600, -300, 4, 1000, 1, 1],
    )
    insert(empty, "value.profit_by_decile", [3, month, *deposits], [10, month, *lending])
    insert(
        empty,
        "value.tier_migration",
        [month, "top", "top", 3, 1, 1],
        [month, "top", "unprofitable", 1, 1, 1],
        [month, "(new)", "top", 2, 0, 1],
    )
    insert(
        empty,
        "value.mover",
        ["customer", "gain", 1, "C<b>7</b>", 10, 1300, 1290, 40, 0, 1300, -50, 0, "fee"],
        ["customer", "loss", 1, "C8", 500, -100, -600, 0, 0, 0, 0, -600, "risk"],
        ["manager", "gain", 1, "(none)", 10, 20, 10, 10, 0, 0, 0, 0, "volume"],
    )
    loan = ["top", 1, "lending", "lowest loan rate"]
    parts = [None, 0.03, 0.004, 0.005, 0.006, 0.001]
    insert(
        empty,
        "decisions.price_floor",
        ["LOAN", 12, *loan, 0.044, *parts, "tier", 500, None],
        ["LOAN", 24, *loan, 0.044, *parts, "tier", 500, None],
        ["LOAN", 36, *loan, 0.05, *parts, "product", 9, None],
    )
    fee = ["FUND", 0, "top", 1, "wealth", "lowest monthly fee", None, 1.25]
    insert(empty, "decisions.price_floor", [*fee, None, None, None, None, None, "tier", 200, None])
    return empty


def rendered(connection: duckdb.DuckDBPyConnection, folder: Path) -> Page:
    path = folder / "reports" / "value.html"
    render_value_report(connection, path)
    page = Page(path.read_text(encoding="utf-8"))
    assert page.text.startswith("<!doctype html>")
    assert page.astray == [] and page.open == []
    assert [name.name for name in path.parent.iterdir()] == [path.name]
    return page


def test_lines_residuals_and_the_bank_reconcile_to_the_cent(bank, tmp_path):
    page = rendered(bank, tmp_path)
    month, year = [row for row in page.rows if row[0] == "All business lines"]
    # 1,500.10 + 210.20 - 70.05 - 300.00 = 1,340.25; - 250.15 - 400.00 = 690.10
    chain = ["1,500.10", "210.20", "70.05", "300.00", "1,340.25", "250.15", "400.00", "690.10"]
    assert month[1:] == chain
    assert [year[5], year[8]] == ["2,680.50", "1,380.20"]
    treasury, _ = [row for row in page.rows if row[0] == "Treasury: rate"]
    assert [treasury[1], treasury[5], treasury[8]] == ["189.30"] * 3
    liquidity, _ = [row for row in page.rows if row[0] == "Treasury: liquidity"]
    assert [liquidity[1], liquidity[5], liquidity[8]] == ["10.00"] * 3
    not_booked, _ = [row for row in page.rows if row[0] == "Interest not booked"]
    assert [not_booked[1], not_booked[5], not_booked[8]] == ["-40.20"] * 3
    assert not_booked[6] == ""
    (overhead, _) = [row for row in page.rows if row[0] == "Unallocated overhead: head office"]
    assert [overhead[6], overhead[8]] == ["33.33", "-33.33"]
    assert not any("premises" in row[0] for row in page.rows if row)
    the_bank, _ = [row for row in page.rows if row[0] == "Bank"]
    # 1,500.10 + 199.30 - 40.20; 690.10 + 199.30 - 40.20 - 33.33
    assert [the_bank[1], the_bank[6], the_bank[8]] == ["1,659.20", "283.48", "815.87"]
    assert "3 statements reconcile to the cent, 0 do not; of 2024-02 alone 2 do" in page.words


def test_channels_and_groups_have_their_profit_of_the_period(bank, tmp_path):
    cards, loans = profit(30, 12.50, 2.25, 0, 1, 0), profit(500, 10, 20, 300, 100, 400)
    for month in ("2024-01-01", "2024-02-01"):
        insert(
            bank,
            "value.profit_by_channel",
            ["mobile", month, *cards],
            ["kiosk", month, *profit(0, 0, 4, 0, 0, 0)],
            ["(none)", month, *loans],
        )
        insert(bank, "value.profit_by_group", ["G<1>", month, *cards], ["(none)", month, *loans])
    page = rendered(bank, tmp_path)
    # Of two months: 2 x (30 + 12.50 - 2.25 - 1) = 78.50 and 2 x 40.25 = 80.50 before overhead.
    mobile, group = page.row("mobile"), page.row("G<1>")
    assert mobile[1:2] + mobile[3:5] == group[1:2] + group[3:5] == ["78.50", "39.25", "80.50"]
    assert page.row("kiosk")[1] == "-8.00"
    # 2 x -310 without a channel: the total is that of the rows.
    assert page.row("No channel")[1] == "-620.00" and page.row("No group")[1] == "-620.00"
    totals = [row[1] for row in page.rows if row[0] == "All" and row[1] in ("-549.50", "-541.50")]
    assert totals == ["-549.50", "-541.50"]


def test_profit_without_channels_or_groups_is_no_empty_table(bank, tmp_path):
    page = rendered(bank, tmp_path)
    assert "No booking has a channel." in page.words
    assert "No group of companies was delivered (group_id of customer)." in page.words


def test_a_branch_has_its_name_beside_its_code_where_it_is_delivered(bank, tmp_path):
    assert page_row(bank, tmp_path) == "B<1>"
    bank.execute("create table base.branch (branch_id varchar, branch_name varchar)")
    bank.execute("insert into base.branch values ('B<1>', 'Castel <market>'), ('B2', 'B2')")
    assert page_row(bank, tmp_path) == "Castel <market>B<1>"


def page_row(bank, folder) -> str:
    (name,) = {row[0] for row in rendered(bank, folder).rows if "B<1>" in row[0]}
    return name


def test_a_statement_that_does_not_reconcile_is_shown(bank, tmp_path):
    insert(
        bank,
        "value.reconciliation",
        ["2024-02-01", "ledger", "B<2>", "fee_income", 7, 7.01, 0.01],
        ["2024-02-01", "ledger", "B3", "fee_income", None, 7, None],
    )
    page = rendered(bank, tmp_path)
    assert "3 statements reconcile to the cent, 2 do not" in page.words
    assert page.row("2024-02", "ledger", "B<2>")[3:] == ["fee_income", "7.00", "7.01", "0.01"]
    assert page.row("2024-02", "ledger", "B3")[4:] == ["–", "7.00", "–"]
    assert "B&lt;2&gt;" in page.text


def test_tolerated_lines_and_default_reference_data_are_shown(bank, tmp_path):
    page = rendered(bank, tmp_path)
    assert "tolerance" not in page.words and "defaults" not in page.words
    bank.execute("alter table value.reconciliation add column tolerance decimal(18, 2)")
    bank.execute("update value.reconciliation set tolerance = 0")
    insert(
        bank,
        "value.reconciliation",
        ["2024-02-01", "ledger", "B<2>", "fee_income", 7, 7.01, 0.01, 0.01],
        ["2024-02-01", "ledger", "B3", "fee_income", 7, 6.98, -0.02, 0.05],
        ["2024-02-01", "ledger", "B4", "fee_income", 7, 7.02, 0.02, 0.01],
    )
    bank.execute(
        "create schema if not exists meta; create table meta.reference_data as from (values "
        "('hurdle_rate', 'default'), ('target', 'delivered'), ('tier_scheme', 'default')) "
        "as given (seed, origin)"
    )
    page = rendered(bank, tmp_path)
    assert "5 statements reconcile to the cent, 1 do not" in page.words
    assert "2 lines of the ledger differ within their tolerance, by 0.03 in all." in page.words
    assert "not the bank's own figures: hurdle_rate, tier_scheme." in page.words
    assert [row[2] for row in page.rows if row[:2] == ["2024-02", "ledger"]] == ["B4"]


def test_adjustments_and_unused_capacity_lead_to_the_bank(bank, tmp_path):
    month = "2024-02-01"
    insert(
        bank,
        "value.residual",
        [month, "adjustment: fee_income", "B<1>", "deposits", 120],
        [month, "adjustment: interest_expense", "B<1>", "deposits", 8],
        [month, "adjustment: tax", "B<1>", "deposits", 3],
        [month, "adjustment: customer_balance", "B<1>", "deposits", 5000],
        [month, "unused capacity", "B<1>", "deposits", 40],
        [month, "revaluation", "B<1>", "deposits", -6.25],
    )
    page = rendered(bank, tmp_path)
    fees, _ = [row for row in page.rows if row[0] == "Adjustment: fee income"]
    assert [fees[2], fees[5], fees[8]] == ["120.00"] * 3
    interest, _ = [row for row in page.rows if row[0] == "Adjustment: interest expense"]
    assert [interest[1], interest[5], interest[8]] == ["-8.00"] * 3
    tax, _ = [row for row in page.rows if row[0] == "Adjustment: tax"]
    assert [tax[3], tax[5], tax[8]] == ["3.00", "-3.00", "-3.00"]
    revalued, _ = [row for row in page.rows if row[0] == "Revaluation of other currencies"]
    assert [revalued[1], revalued[5], revalued[8]] == ["-6.25"] * 3
    unused, _ = [row for row in page.rows if row[0] == "Unused capacity"]
    assert [unused[6], unused[8]] == ["40.00", "-40.00"]
    balance, _ = [row for row in page.rows if row[0] == "Adjustment: customer balance"]
    assert set(balance[1:]) == {""}
    # 815.87 without them + 120.00 - 8.00 - 3.00 - 40.00 - 6.25
    the_bank, _ = [row for row in page.rows if row[0] == "Bank"]
    assert [the_bank[2], the_bank[8]] == ["330.20", "878.62"]


def test_the_loss_making_tail_is_described_in_plain_figures(bank, tmp_path):
    page = rendered(bank, tmp_path)
    # Four customers: the best one stands for the best tenth. 1,600 at the peak, 1,000 at the end.
    assert (
        "The best 25 % of the customers (1 of 4) bring 100.0 % of the economic profit:"
        " 1,000 of 1,000. The worst 25 % (1 customer) lose 600.00, 60.0 % of the profit."
    ) in page.words
    # 1,380.20 of all lines in both months.
    assert "that nobody owns are not among them: 380.20." in page.words
    assert "peak at 75 %: 160.0 %" in page.text


def test_a_bank_that_loses_money_in_all_is_described_without_shares(bank, tmp_path):
    bank.execute(
        "update value.profit_distribution set cumulative_profit_share = null,"
        " cumulative_economic_profit_12m = cumulative_economic_profit_12m - 1200"
        " where percentile = 100"
    )
    page = rendered(bank, tmp_path)
    assert "bring 1,000; all together bring -200.00. The worst 25 % (1 customer)" in page.words
    assert "lose 1,800. Who left" in page.words


def test_no_tail_is_shown_where_no_customer_loses(bank, tmp_path):
    bank.execute("delete from value.profit_distribution where percentile = 100")
    page = rendered(bank, tmp_path)
    assert "No hundredth of the customers loses money." in page.words
    assert "The worst" not in page.words


def test_keys_are_escaped_and_rows_without_a_key_come_last(bank, tmp_path):
    page = rendered(bank, tmp_path)
    for raw, escaped in (("B<1>", "B&lt;1&gt;"), ("E&1", "E&amp;1"), ("<b>7", "C&lt;b&gt;7")):
        assert raw not in page.text
        assert escaped in page.text
    branch = page.row("B<1>")
    assert [branch[1], branch[3], branch[4]] == ["2,000", "1,000", "2,301"]
    # (50.05 + 150.15) / (1,000.10 + 200.20); no capital, no RAROC.
    assert branch[6:] == ["16.7 %", "–"]
    # 12 x (190 - 100) / 4,000 on the capital of lending without an owner.
    assert page.row("No branch")[1:] == [
        "-620.00",
        "",
        "-310.00",
        "380.00",
        "1,020",
        "23.5 %",
        "27.0 %",
    ]
    assert "E-seller" not in page.text


def test_movers_carry_their_effects_and_reason(bank, tmp_path):
    page = rendered(bank, tmp_path)
    gained = ["10.00", "1,300", "1,290", "40.00", "0.00", "1,300", "-50.00", "0.00", "fees"]
    assert page.row("C<b>7</b>")[1:] == gained
    assert page.row("C8")[-2:] == ["-600.00", "risk"]
    assert page.text.count('why">') == 2
    # A bank without managers has no movers among them.
    assert "No manager" not in page.text.split('id="movers"')[1]


def test_migration_counts_and_shares_of_the_tier_left(bank, tmp_path):
    page = rendered(bank, tmp_path)
    assert page.row("From") == ["From", "Top", "Unprofitable", "All"]
    assert page.row("Top", "375.0 %") == ["Top", "375.0 %", "125.0 %", "4"]
    assert page.row("(new)") == ["(new)", "2100.0 %", "·", "2"]
    assert page.row("All", "5") == ["All", "5", "1", "6"]
    assert page.text.count('heat down"') == 1


def test_terms_with_the_same_floor_share_a_row(bank, tmp_path):
    page = rendered(bank, tmp_path)
    assert page.row("LOAN", "12–24 months", "4.40 %")
    assert page.row("LOAN", "36 months", "5.00 %*")
    assert page.row("FUND", "none") == ["FUND", "none", "1.25"]
    made_of = page.row("LOAN", "12–24 months", "Top")[3:]
    assert made_of == ["3.00 %", "0.40 %", "0.50 %", "0.60 %", "0.10 %", "4.40 %", "500"]


def test_products_carry_their_names_where_known(bank, tmp_path):
    bank.execute("create table base.account (product_id varchar, product_name varchar)")
    bank.execute("insert into base.account values ('LOAN', 'Loans & more'), ('CURRENT', null)")
    page = rendered(bank, tmp_path)
    assert 'Loans &amp; more <span class="soft">LOAN</span>' in page.text
    assert page.row("CURRENT")


def test_credited_profit_divides_each_account_once(bank, tmp_path):
    rows = rendered(bank, tmp_path).rows
    # Two months: 2 x (600 + 120 - 30 - 90) and 2 x (400.10 + 80.20 - 20.05 - 60.15).
    assert ["P&1", "1,200"] in [row[:2] for row in rows]
    assert ["P2", "800.20"] in [row[:2] for row in rows]
    assert ["No employee", "-620.00"] in [row[:2] for row in rows]
    assert sum(row[:2] == ["All", "1,380"] for row in rows) == 4


def kpi(employee, measure, *figures):
    return [employee, measure, *figures]


def test_targets_show_what_each_attainment_is_made_of(bank, tmp_path):
    insert(
        bank,
        "decisions.manager_kpi",
        # (68 - 0) / (136 - 0); (0.11 - 0.2) / (0.05 - 0.2) = 0.6, points 100 x 0.5 x 0.6.
        kpi("P2", "credited_profit", 68, None, 68, 0, 136, 1.5, 0.5, 0.5, 25),
        kpi("P2", "complaints", 11, 100, 0.11, 0.2, 0.05, 1, 0.6, 0.5, 30),
        kpi("P2", "total", None, None, None, None, None, None, 0.55, 1, 55),
        kpi("P&1", "credited_profit", 204, None, 204, 0, 136, 1.5, 1.5, 0.5, 75),
        kpi("P&1", "complaints", None, None, None, 0.2, 0.05, 1, None, 0.5, None),
        kpi("P&1", "total", None, None, None, None, None, None, 1.5, 0.5, 150),
        kpi("P3", "coverage", None, None, None, 0.1, 0.9, 1, None, 1, None),
        kpi("P3", "total", None, None, None, None, None, None, None, None, None),
    )
    page = rendered(bank, tmp_path)
    heads = ["Employee", "Credited profit", "Coverage", "Complaints", "Total"]
    start = page.rows.index(heads)
    assert page.rows[start + 1 : start + 4] == [
        ["P&1", "150.0 %", "", "–", "150.0 %"],
        ["P2", "50.0 %", "", "60.0 %", "55.0 %"],
        ["P3", "", "–", "", "–"],
    ]
    made_of = [row for row in page.rows if row[0] == "Credited profit"][1]
    assert made_of[1:] == ["68.00", "–", "68.00", "0.00", "136.00", "50.0 %", "50.0 %", "25.00"]
    complaints = [row for row in page.rows if row[0] == "Complaints"][1]
    assert complaints[1:] == ["11", "100", "0.11", "0.2", "0.05", "60.0 %", "50.0 %", "30.00"]
    totals = [row[-3:] for row in page.rows if row[:2] == ["Total", "–"]]
    assert totals == [
        ["150.0 %", "50.0 %", "150.00"],
        ["55.0 %", "100.0 %", "55.00"],
        ["–", "–", "–"],
    ]


def test_targets_of_many_employees_show_both_ends_and_name_how_many_lie_between(bank, tmp_path):
    for number in range(1, 31):
        figures = [None, None, None, None, None, None, number / 100, 1, number]
        insert(bank, "decisions.manager_kpi", kpi(f"Q{number:02}", "total", *figures))
    page = rendered(bank, tmp_path)
    shown = [row[0] for row in page.rows if row and re.fullmatch(r"Q\d\d", row[0])]
    ends = [f"Q{number:02}" for number in (*range(30, 20, -1), *range(10, 0, -1))]
    assert shown == ends * 2
    assert [row[0] for row in page.rows].count("10 other employees between") == 2


def test_plan_and_actual_of_the_latest_planned_month(bank, tmp_path):
    assert "No targets are set" in rendered(bank, tmp_path).text
    insert(
        bank,
        "value.plan_actual",
        ["line", "old", "2024-01-01", "economic_profit", 1, 2, 1, 1, 2, 1, 2],
        ["line", "lending", "2024-02-01", "economic_profit", 200, 50, -150, 900, 1000, 100, 0.25],
        ["line", "deposits", "2024-02-01", "economic_profit", 0, 5, 5, 0, 5, 5, None],
    )
    page = rendered(bank, tmp_path)
    planned = ["200.00", "50.00", "-150.00", "25.0 %", "900.00", "1,000", "100.00"]
    assert page.row("lending", "200.00")[1:] == planned
    assert page.row("deposits", "0.00")[4] == "–"
    assert ["Line: Economic profit"] in page.rows
    assert not any(row[0] == "old" for row in page.rows if row)


def test_a_long_ranking_shows_both_ends_and_adds_up(bank, tmp_path):
    for number in range(2, 31):
        insert(
            bank,
            "value.profit_by_branch",
            [f"B{number:02}", "2024-02-01", *profit(number, 0, 0, 0, 0, 0)],
        )
    page = rendered(bank, tmp_path)
    shown = {row[0] for row in page.rows if row and re.fullmatch(r"B\d\d", row[0])}
    assert shown == {f"B{number:02}" for number in (*range(2, 12), *range(22, 31))}
    # 12 + … + 21; all: 2,000.20 - 620.00 + (2 + … + 30).
    assert page.row("10 other branches between")[1] == "165.00"
    assert any(row[:2] == ["All", "1,844"] for row in page.rows)


def test_the_page_opens_without_a_network(bank, tmp_path):
    page = rendered(bank, tmp_path)
    assert not re.search(r"https?:|\bsrc\s*=|url\(|@import|<script", page.text)
    anchors = {address[1:] for address in page.addresses if address != "data:,"}
    assert anchors == set(re.findall(r'<section id="(\w+)"', page.text))


def test_later_months_are_not_seen(bank, tmp_path):
    before = rendered(bank, tmp_path).text
    later = profit(5000, 0, 0, 0, 0, 0)
    insert(bank, "value.profit_by_line", ["deposits", "2024-03-01", *later])
    insert(bank, "value.profit_by_branch", ["B<1>", "2024-03-01", *later])
    insert(bank, "value.reconciliation", ["2024-03-01", "branch", "all", "overhead", 7, 8, 1])
    assert rendered(bank, tmp_path).text == before


def test_the_page_names_its_release(bank, tmp_path):
    assert "Source mine, as of 2024-02." in rendered(bank, tmp_path).words
    bank.execute("drop table landing.refresh_window")
    bank.execute(
        "create table meta.release as select '2024-02-r1' as release_id, '2024-02' as as_of,"
        " 'mine' as source, now() as created_at, 'abc1234' as code_version"
    )
    words = rendered(bank, tmp_path).words
    assert "Source mine, as of 2024-02. Release 2024-02-r1, code abc1234." in words


def test_the_first_month_of_a_history_gives_a_page(bank, tmp_path):
    for table, columns in TABLES.items():
        if "month date" in columns:
            bank.execute(f"delete from {table} where month < '2024-02-01'")
    page = rendered(bank, tmp_path)
    assert "2024-02, the only month of the history" in page.words
    assert page.row("All business lines")[8] == "690.10"
    assert "The history is shorter than two quarters" in page.words


def test_empty_tables_give_a_page_that_names_what_is_missing(empty, tmp_path):
    page = rendered(empty, tmp_path)
    assert page.rows == []
    for words in (
        "No profit was measured for this month",
        "Nothing was reconciled",
        "No customer has profit",
        "There are no customer tiers",
        "No branches were delivered",
        "No relationship managers were delivered",
        "No employee is credited with an account",
        "No employee has targets",
        "Nothing moved",
        "No targets are set",
        "There are no price floors",
    ):
        assert words in page.words


def test_a_database_without_tables_gives_a_page(tmp_path):
    with duckdb.connect() as connection:
        assert "Nothing was built yet" in rendered(connection, tmp_path).words


def test_a_report_that_cannot_be_rendered_is_a_warning(tmp_path, caplog):
    (tmp_path / "broken.duckdb").write_text("no database")
    release = Release("2024-02-r1", tmp_path / "broken.duckdb", {})
    assert not report_value(
        dg.build_asset_context(), release, Settings(home=tmp_path), tmp_path / "value.html"
    )
    (found,) = caplog.records
    assert found.levelname == "WARNING"
    assert found.message.startswith("release 2024-02-r1 is served without a value report: IO")
    assert not (tmp_path / "value.html").exists()


def test_who_is_left_out_of_rankings_and_prices_is_counted_over_twelve_months():
    with duckdb.connect() as connection:
        assert left_out(connection, date(2025, 1, 1)) == {"customers": 0, "accounts": 0}
        connection.execute("""
            create schema base; create schema value;
            create table base.account_month as from (values
                ('A1', date '2025-01-01', true), ('A1', date '2024-02-01', false),
                ('A2', date '2024-03-01', false), ('A2', date '2024-02-01', false),
                ('A3', date '2024-01-01', false), ('A4', date '2025-02-01', false)
            ) as t (account_id, month, is_balance_known);
            create table value.customer_tier as from (values
                ('C1', date '2025-01-01', null), ('C2', date '2025-01-01', 1),
                ('C3', date '2024-12-01', null)
            ) as t (customer_id, month, tier_number)
        """)
        assert left_out(connection, date(2025, 1, 1)) == {"customers": 1, "accounts": 2}


def test_accounts_without_a_known_balance_are_counted_with_what_they_contribute():
    month = date(2025, 1, 1)
    with duckdb.connect() as connection:
        connection.execute("""
            create schema base; create schema value;
            create table base.account_month as from (values
                ('A1', date '2025-01-01', true), ('A2', date '2025-01-01', false),
                ('A3', date '2025-01-01', false), ('A1', date '2024-12-01', false)
            ) as t (account_id, month, is_balance_known);
            create table value.account_month as
            select account_id, month, 1.25::decimal(18, 2) as contribution_margin
            from base.account_month
        """)
        found = unknown_balances(connection, month)
        assert found == {"accounts": 3, "unknown": 2, "contribution_margin": Decimal("2.50")}
        connection.execute("update base.account_month set is_balance_known = true")
        assert unknown_balances(connection, month) is None


def with_unpriced(bank: duckdb.DuckDBPyConnection, unknown: int) -> None:
    """Of four accounts, `unknown` have no known balance; they are deposits at branch B<1> of no
    customer and carry a fee of 10.00, cost of 20.05 and overhead of 50.15 a month."""
    bank.execute(f"""
        create table base.account_month as
        select 'A' || n as account_id, month, n > {unknown} as is_balance_known
        from range(1, 5) as t (n), (values (date '2024-01-01'), (date '2024-02-01')) as m (month);
        create table value.account_month as
        select account_id, month, -10.05::decimal(18, 2) as contribution_margin
        from base.account_month;
        create table value.profit_unpriced as
        select
            dimension, dimension_key, month, {unknown} as accounts,
            0.00::decimal(18, 2) as net_interest_margin, 10.00::decimal(18, 2) as fee_income,
            20.05::decimal(18, 2) as direct_cost, 50.15::decimal(18, 2) as overhead,
            0.00::decimal(18, 2) as expected_loss, 0.00::decimal(18, 2) as economic_capital,
            0.00::decimal(18, 2) as capital_charge, -10.05::decimal(18, 2) as contribution_margin,
            -60.20::decimal(18, 2) as economic_profit
        from
            (values ('line', 'deposits'), ('branch', 'B<1>'), ('manager', '(none)'))
            as t (dimension, dimension_key),
            (values (date '2024-01-01'), (date '2024-02-01')) as m (month)
    """)


def test_rankings_and_headlines_are_of_the_priced_accounts(bank, tmp_path):
    with_unpriced(bank, unknown=1)
    page = rendered(bank, tmp_path)
    # Of two months 2 x (1,000.10 + 60.20); income 2 x (1,200.30 - 10.00), cost 2 x (50.05 - 20.05),
    # overhead 2 x (150.15 - 50.15): 260.00 / 2,380.60.
    branch = page.row("B<1>")
    assert [branch[1], *branch[3:7]] == ["2,121", "1,060", "2,321", "2,381", "10.9 %"]
    # Nobody's loans have no such account; what the others carry brings the rows to the total.
    (left,) = [row for row in page.rows if row[0] == "Accounts that are not priced"][1:2]
    assert [left[1], *left[3:]] == ["-120.40", "-60.20", "-20.10", "20.00", "–", "–"]
    nobody = page.row("No branch")
    total = [row for row in page.rows if row[0] == "All" and row[1] == "1,380"]
    assert nobody[1] == "-620.00" and pytest.approx(1_380.20) == 2 * 1_060.30 - 620 - 120.40
    # 2 x (50.00 + 200.00) / (2 x 1,700.30); 12 x 2 x 1,150.30 / 8,000.
    assert [row[6:] for row in total[:2]] == [["14.7 %", "345.1 %"]] * 2
    assert "<strong>14.7 %</strong>" in page.text and "<strong>345.1 %</strong>" in page.text
    # 690.10 + 60.20 and 1,340.25 + 10.05, in the chain and below the month's cards.
    month, _ = [row for row in page.rows if row[0] == "of these, priced accounts only"]
    assert [month[5], month[8]] == ["1,350.30", "750.30"]
    assert "priced accounts only: 750.30" in page.words
    assert "priced accounts only: 1,350" in page.words
    # The bank still adds up to its ledger.
    the_bank, _ = [row for row in page.rows if row[0] == "Bank"]
    assert the_bank[8] == "815.87"


def test_movers_name_how_many_accounts_they_leave_out(bank, tmp_path):
    assert "left out: its balance" not in rendered(bank, tmp_path).words
    with_unpriced(bank, unknown=1)
    words = rendered(bank, tmp_path).words
    assert "1 account is left out: its balance is not known in a month of the two quarters" in words


@pytest.mark.parametrize(("unknown", "is_shown"), [(2, True), (3, False)])
def test_ratios_are_not_shown_while_less_than_half_of_the_accounts_is_priced(
    bank, tmp_path, unknown, is_shown
):
    with_unpriced(bank, unknown)
    page = rendered(bank, tmp_path)
    assert ("<strong>14.7 %</strong>" in page.text) == is_shown
    assert ("<strong>–</strong>" in page.text) != is_shown
    assert ("Fewer than half of the accounts are priced in the period" in page.words) != is_shown
    assert page.row("B<1>")[6] == ("10.9 %" if is_shown else "–")


def test_without_accounts_that_are_not_priced_no_row_is_set_apart(bank, tmp_path):
    page = rendered(bank, tmp_path)
    assert "priced accounts only" not in page.words and "not priced" not in page.words
    assert "<strong>" in page.text and page.row("B<1>")[6] == "16.7 %"
