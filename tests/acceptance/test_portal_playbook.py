"""The playbook of a refreshed bank: figures computed again with pandas from published tables."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from orchestration.platform.settings import Settings
from orchestration.portal.page import Release, opened

pytestmark = pytest.mark.slow

CELL = ["customer_group", "product_id", "channel"]
DAYS, MONTHS = 60, 3


@pytest.fixture(scope="module")
def path(small_bank: Path) -> Path:
    (found,) = (small_bank / "home" / "published" / "releases").glob("*.duckdb")
    return found


@pytest.fixture(scope="module")
def table(path: Path) -> Callable[[str], pd.DataFrame]:
    def read(name: str) -> pd.DataFrame:
        with duckdb.connect(str(path), read_only=True) as connection:
            frame = connection.execute(f"from {name}").df()
            for column, kind, *_ in connection.execute(f"describe {name}").fetchall():
                if kind.startswith("DECIMAL"):
                    frame[column] = frame[column].astype(float)
        return frame

    return read


@pytest.fixture(scope="module")
def assigned(table) -> pd.DataFrame:
    """A customer of a campaign: arm and chance of treatment, response, profit and what preceded."""
    as_of = pd.Timestamp(table("meta.release")["as_of"][0]) + pd.offsets.MonthEnd(0)
    contacts = table("base.campaign_contact").sort_values(["contacted_on", "contact_id"])
    keys = ["campaign_id", "customer_id"]
    found = contacts.drop_duplicates(keys).copy()
    within = pd.Timedelta(days=DAYS)

    answers = found[[*keys, "contacted_on"]].merge(
        contacts[[*keys, "responded_on"]].dropna(), on=keys
    )
    since = answers["responded_on"] - answers["contacted_on"]
    own = table("base.account_holder").query("is_beneficial").merge(table("base.account"))
    openings = found[[*keys, "contacted_on", "product_id"]].merge(
        own[["customer_id", "product_id", "opened_on"]], on=["customer_id", "product_id"]
    )
    after = openings["opened_on"] - openings["contacted_on"]
    taken = pd.concat(
        [
            answers[(since >= pd.Timedelta(0)) & (since <= within)][keys],
            openings[(after >= pd.Timedelta(0)) & (after <= within)][keys],
        ]
    ).drop_duplicates()
    found = found.merge(taken.assign(taken=1.0), on=keys, how="left").fillna({"taken": 0.0})
    found["treated"] = found["arm"] == "treatment"
    chance = found["assignment_probability"]
    found["chance"] = np.where(found["treated"], chance, 1 - chance).round(6)
    found["is_over"] = as_of - found["contacted_on"] >= within

    tier = table("value.customer_tier")[["customer_id", "month", "tier"]]
    earlier = found[[*keys, "month"]].merge(tier, on="customer_id", suffixes=("", "_of_tier"))
    earlier = earlier[earlier["month_of_tier"] < earlier["month"]].sort_values("month_of_tier")
    latest = earlier.drop_duplicates(keys, keep="last")[[*keys, "tier"]]
    found = found.merge(latest, on=keys, how="left").fillna({"tier": "(none)"})

    margins = table("value.profit_by_customer")
    by_month = margins.set_index(["customer_id", "month"])["contribution_margin"]
    first = margins["month"].min()

    def summed(row: Any, offsets: range) -> float:
        months = [row.month + pd.DateOffset(months=one) for one in offsets]
        return float(sum(by_month.get((row.customer_id, month), 0.0) for month in months))

    ends = found.groupby("campaign_id")["month"].transform("max")
    found["is_measured"] = ends + pd.DateOffset(months=MONTHS) <= as_of
    begins = found.groupby("campaign_id")["month"].transform("min").dt.to_period("M")
    months = (begins - first.to_period("M")).map(lambda one: one.n).clip(0, 12)
    spent = contacts[contacts["arm"] == "treatment"].groupby(keys)["cost_per_contact"].sum()
    cost = np.array([spent.get(key, 0.0) for key in map(tuple, found[keys].to_numpy())])
    incentive = found["incentive_cost"].fillna(0)
    found["profit"] = [summed(row, range(1, MONTHS + 1)) for row in found.itertuples()]
    found["profit"] -= found["treated"] * (cost + incentive * found["taken"])
    found["before"] = [
        summed(row, range(-number, 0)) / number if number >= 3 else np.nan
        for row, number in zip(found.itertuples(), months, strict=True)
    ]
    return found


@pytest.fixture(scope="module")
def cells(assigned: pd.DataFrame, table) -> dict[tuple[str, ...], pd.DataFrame]:
    measured = table("campaigns.measurement").query("outcome == 'response'")
    wrong = measured.loc[measured["is_sample_ratio_mismatch"].fillna(False), "campaign_id"]
    known = assigned[assigned["chance"].between(0, 1, inclusive="neither")]
    known = known[~known["campaign_id"].isin(wrong)]
    twice = pd.concat(
        [known.assign(customer_group=known["tier"]), known.assign(customer_group="all")]
    )
    return {key: part for key, part in twice.groupby(CELL)}


def moments(rows: pd.DataFrame, y: str, x: str | None = None) -> Iterator[tuple[Any, ...]]:
    """By stratum: size, treated, means and variances of the two arms' means, of y less nothing."""
    for _, stratum in rows.groupby(["campaign_id", "chance"]):
        arms = [stratum[stratum["treated"]], stratum[~stratum["treated"]]]
        assert min(map(len, arms)) >= 2, "a stratum that would be pooled"
        values = [(arm[y].to_numpy(), arm[x].to_numpy() if x else None) for arm in arms]
        yield len(stratum), len(arms[0]), values


def difference(rows: pd.DataFrame, y: str) -> tuple[float, float, float, float]:
    """The difference of means, strata by size, its bounds, and the p-value of a score test."""
    value = variance = degrees = score = 0.0
    for size, _, ((treated, _), (control, _)) in moments(rows, y):
        weight = size / len(rows)
        value += weight * (treated.mean() - control.mean())
        for arm in (treated, control):
            term = weight**2 * arm.var(ddof=1) / len(arm)
            variance += term
            degrees += term**2 / (len(arm) - 1)
        share = np.concatenate([treated, control]).mean()
        score += weight**2 * share * (1 - share) * (1 / len(treated) + 1 / len(control))
    reach = stats.t.ppf(0.975, variance**2 / degrees) * variance**0.5
    p_value = 2 * stats.norm.sf(abs(value) / score**0.5)
    return value, value - reach, value + reach, float(p_value)


def profit(rows: pd.DataFrame) -> float:
    """On the treated, less theta times the difference before; theta of the least variance.

    Where a campaign is too early for a difference before, the plain one.
    """
    rows = rows.assign(before=rows["before"] if rows["before"].notna().all() else 0.0)
    value = before = covariance = spread = 0.0
    number = rows["treated"].sum()
    for _, of_stratum, arms in moments(rows, "profit", "before"):
        weight = of_stratum / number
        (y, x), (y_control, x_control) = arms
        value += weight * (y.mean() - y_control.mean())
        before += weight * (x.mean() - x_control.mean())
        for one, other in arms:
            found = np.cov(one, other) / len(one)
            covariance, spread = (
                covariance + weight**2 * found[0, 1],
                spread + weight**2 * found[1, 1],
            )
    return float(value - (covariance / spread * before if spread else 0))


def test_the_playbook_is_computed_again_from_published_contacts(small_bank, path, cells):
    site = small_bank / "home" / "reports" / path.stem
    found = pd.read_csv(site / "csv" / "playbook_cell.csv").set_index(CELL)
    assert set(found.index) == set(cells)
    tested = {}
    for key, rows in cells.items():
        row, over = found.loc[key], rows[rows["is_over"]]
        treated, control = over["treated"].sum(), (~over["treated"]).sum()
        is_shown = treated + control >= 20
        assert (row["treated"], row["control"]) == (treated, control) if is_shown else True
        assert np.isnan(row["treated"]) != is_shown
        if min(treated, control) < 50:
            assert row["verdict"] == "few"
            assert np.isnan(row[["effect", "p_value", "pooled_effect"]].astype(float)).all()
            continue
        *wanted, p_value = difference(over, "taken")
        bounds = row[["effect", "effect_low", "effect_high"]].astype(float)
        assert bounds.tolist() == pytest.approx(wanted, abs=1e-9), key
        assert row["p_value"] == pytest.approx(p_value, abs=1e-9)
        tested[key] = p_value
        assert row["profit_per_contact"] == pytest.approx(
            profit(rows[rows["is_measured"]]), abs=0.006
        ), key
    assert len(tested) >= 5
    rejected, adjusted, *_ = multipletests(list(tested.values()), method="holm")
    for key, is_found, p_value in zip(tested, rejected, adjusted, strict=True):
        assert found.loc[key, "p_adjusted"] == pytest.approx(p_value)
        wanted = "open" if not is_found else "works" if found.loc[key, "effect"] > 0 else "harms"
        assert found.loc[key, "verdict"] == wanted


def test_a_case_is_one_of_as_many_as_it_names(small_bank, path, table, cells):
    """With a bound of three, which this small bank has."""
    with opened(Settings(home=small_bank / "home"), path) as release:
        cases = practice(release)
    assert len(cases) > 6 and len({(row["arm"], row["is_taken"]) for row in cases}) >= 3
    held, since = table("base.customer_month"), table("base.customer")
    tier = table("value.customer_tier")[["customer_id", "month", "tier"]]
    everybody = pd.concat([rows for key, rows in cells.items() if key[0] == "all"])
    everybody = everybody[everybody["is_over"]].drop(columns="tier")
    everybody["before_contact"] = everybody["month"] - pd.DateOffset(months=1)
    held = held.merge(tier, on=["customer_id", "month"]).rename(columns={"month": "before_contact"})
    rows = everybody.merge(held, on=["customer_id", "before_contact"]).merge(
        since[["customer_id", "customer_since"]], on="customer_id"
    )
    months = (rows["month"].dt.to_period("M") - rows["customer_since"].dt.to_period("M")).map(
        lambda one: one.n
    )
    rows["years"] = np.select([months < 12, months < 60], [0, 1], 5)
    rows["balance"] = (rows["balance_deposits"] + rows["balance_wealth"]).map(step)
    rows["inflow"] = rows["inflow"].map(step)
    rows["customer_group"] = rows["tier"]
    for name in ("lending", "cards", "wealth"):
        rows[f"has_{name}"] = rows[f"accounts_{name}"] > 0
    shown = ["product_id", "channel", "customer_group", "years", "balance", "inflow"]
    shown += ["has_lending", "has_cards", "has_wealth"]
    alike = rows.groupby(shown)["customer_id"].nunique()
    outcomes = rows.assign(is_taken=rows["taken"] == 1).groupby([*shown, "arm", "is_taken"]).size()
    for case in cases:
        key = tuple(case[name] for name in shown)
        assert alike[key] == case["alike"] >= 3
        assert (*key, case["arm"], case["is_taken"]) in outcomes.index


def practice(release: Release) -> list[dict[str, Any]]:
    return release.rows("playbook_case", least=3, shown=60)


def step(amount: float) -> int:
    """1 or 3 times a power of ten: below 2 is 1, below 6 is 3, from 6 on 10."""
    if abs(amount) < 1:
        return 0
    text = f"{abs(amount):.2f}"
    digits = len(text.split(".")[0])
    lead = abs(amount) / 10 ** (digits - 1)
    return int(np.sign(amount) * (1 if lead < 2 else 3 if lead < 6 else 10) * 10 ** (digits - 1))


def test_lists_lead_to_the_entry_of_each_offer(small_bank, path):
    site = small_bank / "home" / "reports" / path.stem / "en"
    anchors = set(re.findall(r'id="(offer-[^"]+)"', (site / "playbook.html").read_text()))
    assert anchors
    links = [
        unescape(link)
        for page in (site / "lists").glob("*.html")
        for link in re.findall(r'href="\.\./playbook\.html#([^"]+)"', page.read_text())
    ]
    assert links and set(links) <= anchors


def test_no_customer_stands_in_the_playbook(small_bank, path, table):
    site = small_bank / "home" / "reports" / path.stem
    files = [*site.glob("*/playbook.html"), *site.glob("csv/playbook_*.csv")]
    assert len(files) >= 4
    words = set(re.findall(r"\w+", " ".join(file.read_text() for file in files)))
    for name in ("base.customer", "base.campaign_contact"):
        frame = table(name)
        ids = set(frame.filter(["customer_id", "contact_id", "employee_id"]).stack().dropna())
        assert not words & ids
