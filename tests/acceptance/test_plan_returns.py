"""A plan goes out as files, its dispositions come back with the next delivery, and it is measured.

What the releases show is computed a second time from the files alone.
"""

from __future__ import annotations

import csv
import json
import shutil
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from subprocess import CompletedProcess

import duckdb
import pandas as pd
import pytest

from sources.export import export_delivery
from sources.synthetic import SyntheticBank
from tests.acceptance.deliveries import read, write

pytestmark = [pytest.mark.slow, pytest.mark.long]

# Enough contacts for the models that a plan needs.
BANK = {"customers": 5000, "seed": 20}
PLANNED_AS_OF, MEASURED_AS_OF = "2025-09", "2025-12"
PLAN_MONTH, MONTH_END = date(2025, 10, 1), date(2025, 10, 31)
LAST_DAY = MONTH_END + timedelta(days=60)
# Shares of each arm that respond: what the measurement must find.
RATES = {"treatment": 0.20, "control": 0.08}
ANSWERED_AFTER = timedelta(days=9)


def chance(text: str) -> float:
    """A number in [0, 1) that is the same in each run."""
    return zlib.crc32(text.encode()) / 2**32


def known_at(everything: Path, delivery: Path, month: str) -> None:
    """The delivery of all months without later bookings, and without campaigns after the plan's
    month begins: the bank runs the plan and nothing beside it."""
    shutil.rmtree(delivery, ignore_errors=True)
    shutil.copytree(everything, delivery)
    for path in (delivery / "transaction").glob("*.csv"):
        if path.stem > month:
            path.unlink()
    for table, day in (("contact", "contacted_on"), ("response", "responded_on")):
        path = delivery / f"{table}.csv"
        write(path, [row for row in read(path) if row[day] < str(PLAN_MONTH)])


@dataclass(frozen=True)
class Bank:
    delivery: Path
    home: Path
    exports: Path

    def query(self, sql: str) -> pd.DataFrame:
        with duckdb.connect(
            str(self.home / "published" / "current.duckdb"), read_only=True
        ) as connection:
            return connection.sql(sql).df()

    @cached_property
    def contacts(self) -> pd.DataFrame:
        return pd.DataFrame(read(self.exports / "dispositions_contact.csv"))


@pytest.fixture(scope="module")
def bank(
    tmp_path_factory: pytest.TempPathFactory, command: Callable[..., CompletedProcess[str]]
) -> Bank:
    """A bank whose plan went out, came back and was measured; every file by the csv module."""
    place = tmp_path_factory.mktemp("returns")
    with duckdb.connect() as connection:
        made = SyntheticBank(place / "made", place / "truth", **BANK)
        made.prepare(connection)
        export_delivery(connection, made.delivery, place / "all", "csv")
    delivery, home = place / "delivery", place / "home"
    known_at(place / "all", delivery, PLANNED_AS_OF)
    settings = {"source": "files", "source_path": delivery}
    result = command(home, "refresh", as_of=PLANNED_AS_OF, **settings)
    assert result.returncode == 0, result.stdout + result.stderr
    (written,) = (home / "exports").iterdir()
    exports = place / "exports"
    shutil.copytree(written, exports)
    known_at(place / "all", delivery, MEASURED_AS_OF)
    give_back(exports, delivery)
    result = command(home, "refresh", as_of=MEASURED_AS_OF, **settings)
    assert result.returncode == 0, result.stdout + result.stderr
    return Bank(delivery, home, exports)


def give_back(exports: Path, delivery: Path) -> None:
    """Fill in the sheets, leave one contact without a day, and put them beside the bank's own."""
    contacts = read(exports / "dispositions_contact.csv")
    responses = []
    for number, row in enumerate(contacts):
        if row["arm"] == "treatment" and number:
            row["contacted_on"] = str(PLAN_MONTH + timedelta(days=number % 28))
        if chance(row["contact_id"]) < RATES[row["arm"]]:
            day = date.fromisoformat(row["contacted_on"] or str(PLAN_MONTH)) + ANSWERED_AFTER
            responses.append(
                {
                    **{"campaign_id": row["campaign_id"], "customer_id": row["customer_id"]},
                    **{"responded_on": str(day), "account_id": ""},
                }
            )
    write(exports / "dispositions_contact.csv", contacts)
    write(exports / "dispositions_response.csv", responses)
    for name, table in (
        ("dispositions_contact", "contact"),
        ("dispositions_response", "response"),
        ("campaign", "campaign"),
    ):
        own = delivery / f"{table}.csv"
        write(own, [*read(own), *read(exports / f"{name}.csv")])


def opened(bank: Bank) -> set[tuple[str, str]]:
    """Customer and product of accounts opened within the plan's days."""
    accounts = pd.read_csv(bank.delivery / "account.csv")
    holders = pd.read_csv(bank.delivery / "account_holder.csv")
    holders = holders[holders["role"].isin(["owner", "joint"])]
    held = holders.merge(accounts, on="account_id")
    new = held[held["opened_on"].between(str(PLAN_MONTH), str(LAST_DAY))]
    return set(zip(new["customer_id"], new["product_id"], strict=True))


def test_the_plan_is_compared_with_what_the_returned_files_hold(bank: Bank) -> None:
    product = {row["campaign_id"]: row["product_id"] for row in read(bank.exports / "campaign.csv")}
    answered = {
        (row["customer_id"], product[row["campaign_id"]])
        for row in read(bank.exports / "dispositions_response.csv")
    }
    taken = answered | opened(bank)
    plan = bank.contacts.assign(product_id=bank.contacts["campaign_id"].map(product))
    plan["is_taken"] = [
        pair in taken for pair in zip(plan["customer_id"], plan["product_id"], strict=True)
    ]
    outcome = bank.query("from campaigns.plan_outcome").set_index("campaign_id")
    assert set(outcome.index) == set(product)
    assert len(plan) > 500
    for campaign, rows in plan.groupby("campaign_id"):
        found = outcome.loc[campaign]
        treated, control = rows[rows["arm"] == "treatment"], rows[rows["arm"] == "control"]
        assert found["plan_month"].date() == PLAN_MONTH
        assert found["status"] == "complete"
        assert found["planned_treated"] == len(treated)
        assert found["planned_control"] == len(control)
        assert found["contacted_treated"] == (treated["contacted_on"] != "").sum()
        assert found["contacted_control"] == 0
        assert found["observed_responses"] == treated["is_taken"].sum()
        # One probability of each arm, so one stratum.
        assert treated["assignment_probability"].nunique() == 1
        effect = treated["is_taken"].mean() - control["is_taken"].mean()
        assert found["effect"] == pytest.approx(effect, abs=1e-12, nan_ok=True)


def test_the_planted_effect_lies_in_the_interval_of_the_measurement(bank: Bank) -> None:
    measured = bank.query("from campaigns.measurement where outcome = 'response'")
    measured = measured.set_index("campaign_id")
    for campaign, rows in bank.contacts[bank.contacts["contacted_on"] != ""].groupby("campaign_id"):
        found = measured.loc[campaign]
        assert found["treated"] == (rows["arm"] == "treatment").sum()
        assert found["control"] == (rows["arm"] == "control").sum()
        assert not found["is_sample_ratio_mismatch"]
        if min(found["treated"], found["control"]) >= 50:
            planted = RATES["treatment"] - RATES["control"]
            assert found["effect_low"] < planted < found["effect_high"]
    assert (measured.loc[sorted(bank.contacts["campaign_id"].unique()), "effect"] > 0).any()


def test_the_models_learn_from_the_returned_contacts(bank: Bank) -> None:
    with duckdb.connect(
        str(bank.home / "build" / "warehouse.duckdb"), read_only=True
    ) as connection:
        learnt = connection.sql(
            "select contact_id, arm, is_responded, features_month from outcomes.contact"
        ).df()
    learnt = learnt.set_index("contact_id")
    made = bank.contacts[bank.contacts["contacted_on"] != ""].set_index("contact_id")
    over = made[made["contacted_on"] <= "2025-11-01"]
    assert set(over.index) <= set(learnt.index)
    assert (learnt.loc[over.index, "arm"] == over["arm"]).all()
    # What is known of a customer is from before the plan.
    assert (learnt.loc[over.index, "features_month"] < pd.Timestamp(PLAN_MONTH)).all()


def test_a_row_without_a_day_is_in_quarantine(bank: Bank) -> None:
    assert (bank.contacts["contacted_on"] == "").sum() == 1
    found = bank.query("from quarantine.contact where column_name = 'contacted_on'")
    assert len(found) == 1


def test_the_portal_shows_the_plan_that_came_back(bank: Bank) -> None:
    release = (bank.home / "published" / "current.duckdb").resolve().stem
    folder = bank.home / "reports" / release
    with (folder / "csv" / "campaigns_plan_outcome.csv").open(newline="") as file:
        shown = {row["campaign_id"]: row for row in csv.DictReader(file)}
    assert set(shown) == set(bank.contacts["campaign_id"])
    for language in ("en", "zh"):
        page = (folder / language / "campaigns.html").read_text(encoding="utf-8")
        assert all(campaign in page for campaign in shown)


def test_the_manifest_counts_what_went_out(bank: Bank) -> None:
    manifest = json.loads((bank.exports / "manifest.json").read_text())
    assert manifest["files"]["dispositions_contact.csv"]["rows"] == len(bank.contacts)
