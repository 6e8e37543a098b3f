"""The portal's customers, plan, campaigns and lists of a refreshed bank: every figure of a page and
its file computed again with pandas from the published tables."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from html import unescape
from itertools import islice
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from orchestration.platform.settings import Settings
from orchestration.portal import PAGES, opened
from orchestration.portal.page import file_name
from reports.page import environment

pytestmark = pytest.mark.slow

Table = Callable[[str], pd.DataFrame]
MONEY = 0.005


@pytest.fixture(scope="module")
def release(small_bank: Path) -> Path:
    (found,) = (small_bank / "home" / "published" / "releases").glob("*.duckdb")
    return found


@pytest.fixture(scope="module")
def site(small_bank: Path, release: Path) -> Path:
    return small_bank / "home" / "reports" / release.stem


@pytest.fixture(scope="module")
def table(release: Path) -> Table:
    """A published table, money as floats."""

    def read(name: str) -> pd.DataFrame:
        with duckdb.connect(str(release), read_only=True) as connection:
            frame = connection.execute(f"from {name}").df()
            kinds = connection.execute(f"describe {name}").fetchall()
        for column, kind, *_ in kinds:
            if kind.startswith("DECIMAL"):
                frame[column] = frame[column].astype(float)
        return frame

    return read


@pytest.fixture(scope="module")
def as_of(table: Table) -> pd.Timestamp:
    return pd.Timestamp(table("meta.release")["as_of"][0] + "-01")


@pytest.fixture(scope="module")
def customers(table: Table, as_of: pd.Timestamp) -> pd.DataFrame:
    """Each customer of the base with tier and scores of the as-of month."""
    tier = table("value.customer_tier")
    tier = tier[tier["month"] == as_of].drop(columns="month")
    return (
        table("base.customer")
        .merge(tier, on="customer_id", how="left")
        .merge(table("scores.customer"), on="customer_id", how="left")
    )


def file(site: Path, name: str) -> pd.DataFrame:
    path = site / "csv" / f"{name}.csv"
    if not path.read_text().strip():
        return pd.DataFrame()
    return pd.read_csv(path, keep_default_na=False, na_values=[""])


def text(site: Path, name: str) -> str:
    page = (site / "en" / name).read_text(encoding="utf-8")
    page = re.sub(r"<svg.*?</svg>", " ", page[page.index("<main") :], flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


def amount(value: float) -> str:
    cents = Decimal(f"{value:.2f}")
    return f"{cents:,}" if abs(cents) < 1000 else f"{cents.quantize(Decimal(1), ROUND_HALF_UP):,}"


def same(found: pd.DataFrame, wanted: pd.DataFrame, key: str, names: dict[str, str]) -> None:
    """Columns of a file are those of a frame, by key."""
    assert set(found[key]) == set(wanted[key])
    both = found.merge(wanted, on=key, suffixes=("", "_wanted"))
    for name, other in names.items():
        column = f"{other}_wanted" if f"{other}_wanted" in both else other
        difference = (both[name].astype(float) - both[column].astype(float)).abs()
        assert (difference.fillna(0) <= MONEY).all(), name
        assert (both[name].isna() == both[column].isna()).all(), name


def test_tiers_are_the_sums_of_their_customers(site, customers):
    valued = customers[customers["tier"].notna()]
    wanted = valued.groupby("tier", as_index=False).agg(
        customers=("customer_id", "size"),
        contribution=("contribution_margin_12m", "sum"),
        economic_profit=("economic_profit_12m", "sum"),
        clv_12m=("clv_12m", lambda one: one.sum(min_count=1)),
        value_at_risk=("value_at_risk", lambda one: one.sum(min_count=1)),
        # To one decimal, as on the page.
        expected_to_leave=("p_attrition", lambda one: round(one.sum(min_count=1), 1)),
    )
    columns = [name for name in wanted if name != "tier"]
    same(file(site, "customers_tier"), wanted, "tier", dict(zip(columns, columns, strict=True)))
    page = text(site, "customers.html")
    for row in wanted.to_dict("records"):
        assert (
            f"{row['tier'].capitalize()} {row['customers']:,} {amount(row['contribution'])} "
            f"{amount(row['economic_profit'])}" in page
        )
    best = valued[valued["tier_number"] <= 2]
    share = best["contribution_margin_12m"].sum() / valued["contribution_margin_12m"].sum()
    assert (
        f"two best tiers {len(best):,} of {len(valued):,}; they bring {100 * share:.0f} %" in page
    )


def test_segments_by_tier_sum_to_their_customers(site, customers):
    scored = customers[customers["segment_name"].notna() & customers["tier"].notna()]
    wanted = scored.groupby(["segment_name", "tier"]).agg(
        customers=("customer_id", "size"),
        contribution=("contribution_margin_12m", "sum"),
        clv_12m=("clv_12m", lambda one: one.sum(min_count=1)),
    )
    found = file(site, "customers_segment").set_index(["segment_name", "tier"]).sort_index()
    pd.testing.assert_frame_equal(
        found[list(wanted)], wanted, check_dtype=False, atol=MONEY, check_like=True
    )
    page = text(site, "customers.html")
    sums = wanted.groupby(level=0)["contribution"].sum()
    for segment, whole in sums.items():
        assert re.search(rf"{re.escape(segment)} [^A-Za-z]*{re.escape(amount(whole))}", page)


def test_moves_of_a_year_are_those_of_each_customer(site, table, as_of):
    tiers = table("value.customer_tier")
    ends = [
        tiers[tiers["month"] == month].set_index("customer_id")["tier"]
        for month in (as_of - pd.DateOffset(years=1), as_of)
    ]
    moves = pd.concat(ends, axis=1, keys=["tier_before", "tier"])
    moves = moves.fillna({"tier_before": "(new)", "tier": "(left)"})
    wanted = moves.value_counts().to_dict()
    found = file(site, "customers_migration").set_index(["tier_before", "tier"])["customers"]
    assert found.to_dict() == wanted


def test_stages_are_by_years_with_the_bank(site, customers):
    open_ones = customers[(customers["accounts"] > 0) & customers["tenure_months"].notna()]
    years = pd.cut(
        open_ones["tenure_months"], [-1, 11, 35, 59, 119, 10_000], labels=[0, 1, 3, 5, 10]
    )
    wanted = (
        open_ones.assign(years=years.astype(int))
        .groupby("years", as_index=False)
        .agg(
            customers=("customer_id", "size"),
            contribution=("contribution_margin_12m", "sum"),
            value_at_risk=("value_at_risk", lambda one: one.sum(min_count=1)),
            mean_p_attrition=("p_attrition", "mean"),
        )
    )
    columns = [name for name in wanted if name != "years"]
    same(file(site, "customers_stage"), wanted, "years", dict(zip(columns, columns, strict=True)))


def test_lists_of_customers_are_complete_and_in_order(site, customers):
    wanted = {
        "at_risk": customers[customers["value_at_risk"] > 0].sort_values(
            ["value_at_risk", "customer_id"], ascending=[False, True]
        ),
        "dormant": customers[
            (customers["tier_number"] <= 2)
            & (customers["contribution_margin_12m"] > 0)
            & (customers["accounts"] > 0)
            & (customers["days_since_active"].fillna(91) > 90)
        ].sort_values(["contribution_margin_12m", "customer_id"], ascending=[False, True]),
        "loss_maker": customers[customers["economic_profit_12m"] < 0].sort_values(
            ["economic_profit_12m", "customer_id"]
        ),
        "high_value": customers[customers["p_high_value"].notna()].sort_values(
            ["p_high_value", "customer_id"], ascending=[False, True]
        ),
    }
    page = text(site, "customers.html")
    for name, rows in wanted.items():
        found = file(site, f"customers_{name}")
        ids = [] if found.empty else found["customer_id"].tolist()
        assert ids == rows["customer_id"].tolist(), name
        assert all(one in page for one in ids[:50]), name
    at_risk, losing = wanted["at_risk"], wanted["loss_maker"]
    assert f"Value at risk {amount(at_risk['value_at_risk'].sum())} {len(at_risk):,}" in page
    assert (
        f"Unprofitable customers {len(losing):,} economic profit "
        f"{amount(losing['economic_profit_12m'].sum())}" in page
    )
    found = file(site, "customers_loss_maker")
    parts = found["income"] - found[
        ["direct_cost", "expected_loss", "overhead", "capital_charge"]
    ].sum(axis=1)
    assert ((parts - found["economic_profit_12m"]).abs() <= MONEY).all()


def test_maturing_money_is_that_of_the_next_three_months(site, table, as_of):
    last = as_of + pd.offsets.MonthEnd(1)
    accounts = table("base.account")
    rows = accounts[
        accounts["is_open"]
        & (accounts["closing_balance"] > 0)
        & (accounts["matures_on"] > last)
        & (accounts["matures_on"] <= as_of + pd.offsets.MonthEnd(4))
    ]
    found = file(site, "customers_maturing")
    assert sorted(found["account_id"]) == sorted(rows["account_id"])
    holders = table("base.account_holder")
    owners = holders[holders["holder_number"] == 1].set_index("account_id")["customer_id"]
    assert found["customer_id"].tolist() == owners[found["account_id"]].tolist()
    page = text(site, "customers.html")
    assert f"three months {amount(rows['closing_balance'].sum())} {len(rows):,} accounts" in page


def test_campaigns_show_what_was_measured(site, table):
    measured = table("campaigns.measurement")
    found = file(site, "campaigns_measurement").set_index(["campaign_id", "outcome"]).sort_index()
    wanted = measured.set_index(["campaign_id", "outcome"]).sort_index()
    assert list(found.index) == list(wanted.index)
    for name in ("effect", "effect_low", "effect_high", "treated", "control", "incremental_profit"):
        assert ((found[name] - wanted[name]).abs().fillna(0) <= MONEY).all(), name
    page = (site / "en" / "campaigns.html").read_text(encoding="utf-8")
    labels = set(map(unescape, re.findall(r'aria-label="([^"]*)"', page)))
    for row in measured[measured["outcome"] == "response"].to_dict("records"):
        shown = [f"{100 * row[name]:.1f} %" for name in ("effect", "effect_low", "effect_high")]
        value, low, high = (one.replace("-0.0 %", "0.0 %") for one in shown)
        name = f"{row['campaign_name']} ({row['campaign_id']})"
        assert f"{name}: {value} ({low} to {high})" in labels
    over = measured[(measured["outcome"] == "contribution") & measured["is_complete"]]
    over = over[over["incremental_profit"].notna()]
    cost = (over["contact_cost"] + over["incentive_cost"]).sum()
    words = text(site, "campaigns.html")
    assert f"Incremental profit {amount(over['incremental_profit'].sum())}" in words
    share = 100 * over["incremental_profit"].sum() / cost
    assert f"Return on cost {share:,.1f} %" in words


def test_what_was_learned_is_the_last_row_of_each_offer(site, table):
    learning = table("campaigns.learning")
    last = learning.sort_values("campaigns").groupby(["product_id", "outcome"]).tail(1)
    found = file(site, "campaigns_learning")
    assert set(zip(found["product_id"], found["outcome"], found["campaigns"], strict=True)) == set(
        zip(last["product_id"], last["outcome"], last["campaigns"], strict=True)
    )


def test_each_unit_has_a_page_with_its_own_figures_and_customers(site, table, customers):
    book = table("decisions.manager_scorecard")
    book = book[book["customers"] > 0]
    pages = {path.stem for path in (site / "en" / "lists").glob("*.html")}
    assert pages == {file_name(unit) for unit in book["unit"]}
    unit = customers["employee_id"].fillna("branch " + customers["branch_id"]).fillna("head office")
    own = customers.assign(unit=unit)
    open_lists = table("decisions.worklist")
    for row in book.to_dict("records"):
        name = file_name(row["unit"])
        page = text(site, f"lists/{name}.html")
        assert f"Customers {row['customers']:,}" in page
        assert f"months {amount(row['contribution_margin_12m'])}" in page
        ids = set(own.loc[own["unit"] == row["unit"], "customer_id"])
        assert set(re.findall(r"\bC\d{8}\b", page)) <= ids, name
        listed = open_lists[open_lists["unit"] == row["unit"]]
        assert f"Open contacts {len(listed)} " in page
        assert set(listed["customer_id"]) <= set(re.findall(r"\bC\d{8}\b", page))
    overview = file(site, "lists_unit").set_index("unit")
    assert overview["customers"].to_dict() == book.set_index("unit")["customers"].to_dict()
    assert overview["contacts"].sum() == (open_lists["status"] == "open").sum()


def test_the_plan_shows_its_contacts_or_what_is_missing(site, table):
    plan = table("decisions.contact_plan")
    chosen = plan[plan["arm"] == "treatment"]
    page = text(site, "plan.html")
    reach = file(site, "plan_reach").set_index("standing")["customers"]
    known = table("contacts.contactability")
    assert reach.sum() == len(known)
    free = known["suppression"].isna() & ~known["is_universal_control"]
    assert reach["free"] == (free & ~known["is_campaign_control"]).sum()
    if chosen.empty:
        assert "There is no contact plan in this release." in page
        off = table("meta.model_version").set_index("model_name")["alias"]
        for model, words in (("response", "response"), ("uplift", "uplift")):
            assert (f"{words}: too few" in page) == pd.isna(off[model])
        return
    assert f"Contacts to make {len(chosen):,}" in page
    assert f"profit {amount(chosen['expected_incremental_profit'].sum())}" in page
    by = file(site, "plan_by")
    wanted = chosen.groupby("channel")["expected_incremental_profit"].sum()
    found = by[by["dimension"] == "channel"].set_index("key")["expected_incremental_profit"]
    assert (found - wanted).abs().max() <= MONEY
    prices = table("decisions.constraint_price")
    gains = prices["shadow_price"].clip(lower=0) * prices["capacity"] / 10
    limits = file(site, "plan_limit")
    assert limits["gain_of_a_tenth"].sum() == pytest.approx(gains.sum(), abs=0.01 * len(limits))


def test_no_name_of_a_segment_or_person_stands_beside_a_customer(site, table):
    segments = {one for one in table("scores.customer")["segment_name"].dropna()}
    for path in (site / "csv").rglob("*.csv"):
        content = path.read_text(encoding="utf-8")
        header = content.partition("\n")[0].split(",")
        if "customer_id" in header:
            assert not any(segment in content for segment in segments), path.name
            assert not {"age", "sex", "monthly_income", "district_id"} & set(header), path.name
        assert "full_name" not in header, path.name


def test_no_content_of_a_page_hides_a_function_of_the_templates(small_bank, release):
    """`figures` as a name of a row would leave the page without columns of figures."""
    names = set(environment("en").globals)
    with opened(Settings(home=small_bank / "home"), release) as read:
        for page in PAGES:
            assert not set(page.content(read)) & names, page.name
            for part in islice(page.parts(read), 1):
                assert not set(part.content) & names, page.name
