"""Grid, risk, models and data quality of a refreshed bank, each figure computed another way."""

from __future__ import annotations

import csv
import hashlib
import math
import re
from collections.abc import Iterator
from decimal import Decimal
from html import unescape
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from orchestration.models.studies import STUDIES
from orchestration.portal.page import Part
from reports import formats

pytestmark = pytest.mark.slow

MONTH = pd.Timestamp("2025-12-01")


@pytest.fixture(scope="module")
def release(small_bank: Path) -> Path:
    (path,) = (small_bank / "home" / "published" / "releases").glob("*.duckdb")
    return path


@pytest.fixture(scope="module")
def tables(release: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(str(release), read_only=True) as connection:
        yield connection


@pytest.fixture(scope="module")
def site(small_bank: Path, release: Path) -> Path:
    return small_bank / "home" / "reports" / release.stem


def read(connection: duckdb.DuckDBPyConnection, table: str) -> pd.DataFrame:
    return connection.table(table).df()


def cents(amount: float) -> Decimal:
    return Decimal(f"{amount:.2f}")


def rows_of(site: Path, name: str) -> list[dict[str, str]]:
    with (site / "csv" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def words_of(site: Path, page: str, language: str = "en") -> str:
    """The text of a page without styles, scripts and tags."""
    text = (site / language / page).read_text(encoding="utf-8")
    text = re.sub(r"<(style|script)>.*?</\1>", "", text, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split())


def test_each_district_has_its_figures_and_its_largest_group(tables, site):
    found = {row["district_id"]: row for row in rows_of(site, "grid_districts")}
    customers = read(tables, "base.customer")
    scores = read(tables, "scores.customer")
    active = customers[customers["accounts"] > 0]
    assert sum(int(row["customers"]) for row in found.values()) == len(active)

    profit = read(tables, "value.profit_by_customer")
    year = profit[profit["month"] > MONTH - pd.DateOffset(months=12)]
    by_district = year.merge(customers[["customer_id", "district_id"]]).groupby("district_id")
    page = words_of(site, "grid.html")
    for district, amount in by_district["contribution_margin"].sum().items():
        assert math.isclose(float(found[district]["contribution_margin_12m"]), float(amount))
        shown = found[district]
        named = f"{shown['district_name']} {district}"
        assert named in page and formats.money(cents(amount)) in page

    grouped = active.merge(scores[["customer_id", "segment_name"]].dropna())
    counted = grouped.groupby(["district_id", "segment_name"]).size().reset_index(name="count")
    # Of fewer the name of a group would describe persons.
    ranked = counted[counted["count"] >= 5].sort_values(
        ["count", "segment_name"], ascending=[False, True]
    )
    largest = ranked.groupby("district_id").first()["segment_name"].to_dict()
    assert largest
    for district, row in found.items():
        assert row["largest_group"] == largest.get(district, "")

    names = dict(tables.execute("select branch_id, branch_name from base.branch").fetchall())
    assert all(names.get(row["branch_id"], "") in page for row in found.values())
    maps = (site / "en" / "grid.html").read_text(encoding="utf-8")
    for row in found.values():
        if row["latitude"]:
            contribution = formats.money(
                tables.execute(
                    "select contribution_margin_12m from decisions.grid where district_id = ?",
                    [row["district_id"]],
                ).fetchall()[0][0]
            )
            label = f"{row['district_name']}: {int(row['customers']):,} customers, "
            assert f'aria-label="{label}Contribution, 12 months {contribution}"' in maps


def test_stages_sum_what_the_accounts_owe_and_what_is_set_aside(tables, site):
    risk = read(tables, "value.credit_risk")
    owed = risk[risk["stage"].notna() & (risk["exposure"] > 0)]
    found = rows_of(site, "risk_stages")
    assert [row["month"] for row in found] == sorted({str(month.date()) for month in owed["month"]})
    for row in found:
        own = owed[owed["month"] == row["month"]]
        for stage in (1, 2, 3):
            part = own[own["stage"] == stage]
            for measure in ("exposure", "loss_allowance", "provision"):
                expected = float(part[measure].astype(float).sum())
                assert math.isclose(float(row[f"{measure}_{stage}"]), expected, abs_tol=0.005)
    last = owed[owed["month"] == MONTH]
    exposure = tables.execute(
        "select sum(exposure) from value.account_month where month = ? and exposure > 0", [MONTH]
    ).fetchall()[0][0]
    assert math.isclose(float(exposure), float(last["exposure"].astype(float).sum()))
    assert formats.money(exposure) in words_of(site, "risk.html")


def test_losses_are_compared_with_what_was_expected_of_each_account(tables, site):
    """From the accounts, with Bernstein's inequality written anew."""
    risk = read(tables, "value.credit_risk").dropna(subset=["at_risk_before"])
    year = risk[risk["month"] > MONTH - pd.DateOffset(months=12)].copy()
    opened = read(tables, "base.account")[["account_id", "opened_on"]]
    year = year.merge(opened)
    year["cohort"] = year["opened_on"].dt.year
    for name in ("expected_before", "at_risk_before", "provision_change", "realised_loss"):
        year[name] = year[name].astype(float)
    year["realised"] = year["provision_change"] + year["realised_loss"]
    year["variance"] = year["expected_before"] * (year["at_risk_before"] - year["expected_before"])
    year["new"] = year["is_in_default"] & ~year["was_in_default"]
    # A cell of a month without anything at risk or lost is no row of the table.
    cells = year.groupby(["month", "product_line", "cohort"])
    kept = cells["at_risk_before"].transform("sum").gt(0) | cells["realised"].transform(
        lambda losses: losses.abs().sum()
    ).gt(0)
    year = year[kept]
    for keys, is_line in ((["product_line"], "True"), (["product_line", "cohort"], "False")):
        summed = year.groupby(keys).agg(
            expected=("expected_before", "sum"),
            realised=("realised", "sum"),
            variance=("variance", "sum"),
            largest=("at_risk_before", "max"),
            new=("new", "sum"),
        )
        evidence = np.log(2 * len(summed) / 0.05)
        part = summed["largest"] * evidence / 3
        allowed = part + np.sqrt(part**2 + 2 * summed["variance"] * evidence)
        found = [row for row in rows_of(site, "risk_backtest") if row["is_line"] == is_line]
        assert len(found) == len(summed) > 0
        page = words_of(site, "risk.html")
        for row in found:
            key = (
                row["product_line"]
                if is_line == "True"
                else (row["product_line"], int(row["cohort"]))
            )
            expected = summed.loc[key]
            assert math.isclose(float(row["expected_loss"]), expected["expected"], abs_tol=0.01)
            assert math.isclose(float(row["realised_loss"]), expected["realised"], abs_tol=0.01)
            assert int(row["new_defaults"]) == expected["new"]
            assert math.isclose(float(row["by_chance"]), allowed.loc[key], abs_tol=0.01)
            beyond = abs(expected["realised"] - expected["expected"]) > allowed.loc[key]
            assert row["is_beyond_chance"] == str(bool(beyond))
            if is_line == "True":
                assert f"{allowed.loc[key]:,.0f}" in page


def test_alerts_and_odd_bookings_are_all_in_the_files_and_worded(tables, site):
    for table, name in (
        ("alerts.credit", "risk_alerts"),
        ("alerts.transaction", "risk_transactions"),
    ):
        kept = tables.table(table).aggregate("count(*)").fetchall()[0][0]
        path = site / "csv" / f"{name}.csv"
        assert path.exists() == bool(kept)
        assert not kept or len(rows_of(site, name)) == kept
    chinese = words_of(site, "risk.html", "zh")
    odd = read(tables, "alerts.transaction")
    assert len(odd)
    for _, row in odd.iterrows():
        assert row["transaction_id"] not in chinese and row["account_id"] in chinese
    assert "account's usual" not in chinese and "first use" not in chinese


def test_each_model_has_its_figures_on_its_page(tables, site):
    versions = read(tables, "meta.model_version")
    overview = words_of(site, "models.html")
    assert set(versions["model_name"]) == set(STUDIES)
    for row in versions.to_dict("records"):
        page = words_of(site, f"models/{Part(row['model_name'], {}).file}")
        if not isinstance(row["version"], str):
            assert row["note"].split(";")[0].split(":")[0] in page
            continue
        evaluation = tables.execute(
            "select * from meta.model_evaluation where model_name = ?", [row["model_name"]]
        ).df()
        for one in evaluation.to_dict("records"):
            assert formats.figure(one["value"]) in page, one
        main = evaluation.set_index("metric").loc[row["main_metric"]]
        assert f"{formats.figure(main['value'])} [{formats.figure(main['low'])}," in overview
        assert row["mlflow_run_id"] in page and row["data_digest"][:16] in page
        assert formats.figure(row["rule_value"]) in page
        if row["kind"] == "model":
            sign = -1 if main["better"] == "lower" else 1
            ahead = sign * (main["value"] - main["rule_value"]) / abs(main["rule_value"])
            assert f"better by {formats.percent(ahead)}" in page
            assert f"better by {formats.percent(ahead)}" in overview
    assert len(rows_of(site, "models_drift")) == len(read(tables, "meta.model_drift"))
    assert len(rows_of(site, "models_history")) == len(read(tables, "meta.model_audit"))


def test_the_tenths_of_a_model_hold_the_total_that_its_evaluation_measures(tables, site):
    """Their sums give the total bias, which the evaluation computes from the rows."""
    evaluation = read(tables, "meta.model_evaluation")
    biases = evaluation[evaluation["metric"] == "total_bias"].set_index("model_name")["value"]
    found = pd.DataFrame(rows_of(site, "models_deciles"))
    assert set(found["model_name"]) == set(biases.index) != set()
    for name, own in found.groupby("model_name"):
        rows, predicted, observed = (
            own[column].astype(float) for column in ("customers", "predicted", "observed")
        )
        bias = (rows * predicted).sum() / (rows * observed).sum() - 1
        assert math.isclose(bias, biases[name], rel_tol=1e-6, abs_tol=1e-9), name
        assert sorted(own["decile"].astype(int)) == list(range(1, 11))
        page = (site / "en" / "models" / Part(str(name), {}).file).read_text(encoding="utf-8")
        held = (rows * observed)[own["decile"] == "10"].sum() / (rows * observed).sum()
        share = rows[own["decile"] == "10"].sum() / rows.sum()
        label = f"the highest {formats.percent(share, 0)} hold {formats.percent(held)}"
        assert label in page, label


def test_the_digest_of_each_file_is_that_of_the_file(small_bank, tables, site):
    files = rows_of(site, "quality_files")
    kept = read(tables, "meta.input_file")
    assert len(files) == len(kept) > 100
    delivery = small_bank / "home" / "delivery"
    on_disk = {
        hashlib.sha256(path.read_bytes()).hexdigest() for path in delivery.rglob("*.parquet")
    }
    assert {row["sha256"] for row in files} <= on_disk
    page = words_of(site, "quality.html")
    assert f"Here are the first 100 of {len(files)}" in page
    assert f"{sum(int(row['rows']) for row in files):,}" in page
    reference = rows_of(site, "quality_reference")
    assert {row["sha256"] for row in reference} == set(
        read(tables, "meta.reference_data")["sha256"]
    )
    assert all(row["seed"] in page and row["sha256"][:12] in page for row in reference)


def test_quarantine_freshness_and_months_are_counted(tables, site):
    names = [
        name
        for (name,) in tables.execute(
            "select table_name from duckdb_tables() where schema_name = 'quarantine'"
        ).fetchall()
    ]
    bad = pd.concat([read(tables, f"quarantine.{name}").assign(table_name=name) for name in names])
    assert len(bad)
    counted = (
        bad.dropna(subset=["value"]).groupby(["table_name", "rule", "column_name", "value"]).size()
    )
    found = {
        (row["table_name"], row["rule"], row["column_name"], row["value"].lstrip("'")): int(
            row["rows"]
        )
        for row in rows_of(site, "quality_values")
    }
    assert found and all(counted[key] == rows for key, rows in found.items())
    for (table, rule, column), own in counted.groupby(level=[0, 1, 2]):
        shown = [rows for key, rows in found.items() if key[:3] == (table, rule, column)]
        assert sorted(shown, reverse=True) == sorted(own, reverse=True)[:5]

    page = words_of(site, "quality.html")
    latest = read(tables, "base.account")["last_booked_on"].max()
    assert (
        f"account.last_booked_on {latest.date()} {(pd.Timestamp('2025-12-31') - latest).days}"
        in page
    )

    months = pd.DataFrame(rows_of(site, "quality_months"))
    ledger = read(tables, "profile.base_ledger").set_index("month")
    shown = months[months["what"] == "ledger lines that bookings miss"].set_index("month")["count"]
    expected = ledger["lines_missing"] + ledger["lines_differing"]
    assert {str(month.date()): int(count) for month, count in expected.items()} == {
        month: int(count) for month, count in shown.items()
    }
    # A gate that passed counts nothing in any month.
    results = tables.execute("select count(*) from meta.gate_result where not success").fetchall()
    assert results[0][0] <= 3
    assert months["count"].astype(int).sum() == 0


def test_channels_groups_and_names_of_branches_are_in_the_value_report(tables, site):
    page = words_of(site, "value.html")
    for table, key in (("profit_by_channel", "channel"), ("profit_by_group", "group_id")):
        frame = read(tables, f"value.{table}")
        year = frame[frame["month"] > MONTH - pd.DateOffset(months=12)]
        sums = year.groupby(key)["economic_profit"].sum().drop("(none)")
        best = sums.sort_values(ascending=False).index[0]
        assert f"{best} {formats.money(cents(sums[best]))}" in page, best
    name, branch = tables.execute(
        "select branch_name, branch_id from base.branch order by branch_id limit 1"
    ).fetchall()[0]
    assert f"{name} {branch}" in page
