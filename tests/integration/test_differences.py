"""`jingxi diff`: what differs between two releases, and which cause each difference has."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from orchestration import cli
from orchestration.platform.releases import point_at
from orchestration.platform.settings import Settings
from orchestration.valuation.differences import ReleasesNotCompared, read_differences

BEFORE, AFTER = "2024-01-before", "2024-02-after"
JANUARY, FEBRUARY = "2024-01-01", "2024-02-01"
SCHEMAS = ("meta", "base", "value", "features", "scores", "decisions")
TABLES = {
    "meta.release": "release_id varchar, as_of varchar, source varchar, code_version varchar, "
    "created_at timestamptz",
    "meta.input_file": "table_name varchar, path varchar, rows bigint, sha256 varchar",
    "meta.reference_data": "seed varchar, origin varchar, sha256 varchar",
    "meta.model_version": "model_name varchar, version varchar, kind varchar, mlflow_run_id "
    "varchar, trained_as_of date",
    "base.account_month": "account_id varchar, month date, closing_balance decimal(18, 2)",
    "base.account_activity": "account_id varchar, month date, kind varchar, bookings integer",
    "base.account_result": "account_id varchar, month date, item varchar, amount decimal(18, 2)",
    "base.loan_exposure": "account_id varchar, month date, outstanding decimal(18, 2)",
    "value.account_month": "account_id varchar, month date, product_line varchar, "
    "contribution_margin decimal(18, 2), economic_profit decimal(18, 2), default_model_version "
    "varchar",
    "value.customer_tier": "customer_id varchar, month date, tier varchar",
    "features.customer_month": "customer_id varchar, balance double",
    "scores.customer": "customer_id varchar, clv_12m decimal(18, 2), clv_model_version varchar",
    "decisions.contact_plan": "plan_month date, customer_id varchar, product_id varchar, channel "
    "varchar, arm varchar, expected_incremental_profit decimal(18, 2)",
}
ROWS: dict[str, list[tuple]] = {
    "meta.release": [(BEFORE, "2024-01", "files", "0.1.0", "2024-02-03")],
    "meta.input_file": [
        ("transaction", "transaction/2024-01.csv", 100, "a"),
        ("account", "account.csv", 4, "b"),
    ],
    "meta.reference_data": [("transfer_curve", "default", "c"), ("unit_cost", "default", "d")],
    "meta.model_version": [("clv", "1", "model", "run 1", "2024-01-31")],
    "base.account_month": [(f"A{one}", JANUARY, one * 100) for one in range(1, 5)],
    "base.account_activity": [(f"A{one}", JANUARY, "deposit", one) for one in range(1, 5)],
    "base.account_result": [],
    "base.loan_exposure": [],
    "value.account_month": [
        ("A1", JANUARY, "deposits", "10.00", "8.00", "1"),
        ("A2", JANUARY, "deposits", "20.00", "16.00", "1"),
        ("A3", JANUARY, "lending", "30.00", "24.00", "1"),
        ("A4", JANUARY, "lending", "40.00", "32.00", "1"),
    ],
    "value.customer_tier": [("C1", JANUARY, "top"), ("C2", JANUARY, "base")],
    "features.customer_month": [("C1", 1.0), ("C2", 2.0), ("C3", 3.0)],
    "scores.customer": [("C1", "100.00", "1"), ("C2", "200.00", "1"), ("C3", "300.00", "1")],
    "decisions.contact_plan": [
        (FEBRUARY, "C1", "LOAN", "branch", "treatment", "5.00"),
        (FEBRUARY, "C2", "LOAN", "branch", "treatment", "6.00"),
        (FEBRUARY, "C3", "LOAN", "branch", "control", "7.00"),
    ],
}


def lay(settings: Settings, name: str, changes: dict[str, list[tuple]]) -> Path:
    """A release with the rows above, but for the tables of `changes`."""
    path = settings.published / "releases" / f"{name}.duckdb"
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(path)) as connection:
        for schema in SCHEMAS:
            connection.execute(f"create schema {schema}")
        for table, columns in TABLES.items():
            connection.execute(f"create table {table} ({columns})")
            rows = changes.get(table, ROWS[table])
            if rows:
                marks = ", ".join("?" for _ in rows[0])
                connection.executemany(f"insert into {table} values ({marks})", rows)
    return path


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(home=tmp_path)
    lay(settings, BEFORE, {})
    return settings


def differences(settings: Settings, changes: dict[str, list[tuple]]) -> dict:
    release = [(AFTER, "2024-02", "files", "0.1.0", "2024-03-03")]
    point_at(settings, lay(settings, AFTER, {"meta.release": release, **changes}))
    return read_differences(settings, None, None)


def by_cause(found: dict) -> dict[tuple[str, str], tuple[int, Decimal, Decimal]]:
    return {
        (row["cause"], row["product_line"]): (
            row["account_months"],
            row["contribution_difference"],
            row["economic_profit_difference"],
        )
        for row in found["account_month"]
    }


def test_equal_releases_have_no_difference(settings):
    found = differences(settings, {})
    assert (found["before"]["release_id"], found["after"]["release_id"]) == (BEFORE, AFTER)
    assert not any(
        found[section]
        for section in found
        if section not in ("before", "after", "contact", "code_differs")
    )
    assert [(row["change"], row["contacts"]) for row in found["contact"]] == [("kept", 3)]


def test_a_profit_differs_by_its_own_records_a_new_month_or_those_of_other_accounts(settings):
    found = differences(
        settings,
        {
            "meta.input_file": [
                ("transaction", "transaction/2024-01.csv", 103, "a corrected"),
                ("transaction", "transaction/2024-02.csv", 90, "e"),
                ("account", "account.csv", 4, "b"),
            ],
            "base.account_month": [
                ("A1", JANUARY, 150),
                *((f"A{one}", JANUARY, one * 100) for one in range(2, 5)),
                ("A1", FEBRUARY, 170),
            ],
            # A3 has one booking more and the same balance.
            "base.account_activity": [
                (f"A{one}", JANUARY, "deposit", 4 if one == 3 else one) for one in range(1, 5)
            ],
            "value.account_month": [
                ("A1", JANUARY, "deposits", "12.50", "10.00", "1"),
                ("A2", JANUARY, "deposits", "20.00", "15.25", "1"),
                ("A3", JANUARY, "lending", "29.00", "23.00", "1"),
                ("A4", JANUARY, "lending", "40.00", "32.00", "1"),
                ("A1", FEBRUARY, "deposits", "11.00", "9.00", "1"),
            ],
        },
    )
    assert by_cause(found) == {
        ("new month", "deposits"): (1, Decimal("11.00"), Decimal("9.00")),
        # The overhead of A2: the pool is divided by the records of all accounts.
        ("other accounts", "deposits"): (1, Decimal("0.00"), Decimal("-0.75")),
        ("records", "deposits"): (1, Decimal("2.50"), Decimal("2.00")),
        ("records", "lending"): (1, Decimal("-1.00"), Decimal("-1.00")),
    }
    assert found["input_file"] == [
        {
            "table_name": "transaction",
            "files_added": 1,
            "files_gone": 0,
            "files_changed": 1,
            "rows_difference": 93,
        }
    ]
    tables = {row["table"]: (row["only_before"], row["only_after"]) for row in found["table"]}
    assert tables == {
        "base.account_activity": (1, 1),
        "base.account_month": (1, 2),
        "value.account_month": (3, 4),
    }


CHANGED_CURVE = [("transfer_curve", "delivered", "changed"), ("unit_cost", "default", "d")]
DEARER = [
    (account, month, line, f"{float(margin) - 1:.2f}", f"{float(profit) - 1:.2f}", model)
    for account, month, line, margin, profit, model in ROWS["value.account_month"]
]
OTHER_CODE = [(AFTER, "2024-02", "files", "0.2.0", "2024-03-03")]


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        (
            {
                "meta.reference_data": CHANGED_CURVE,
                "meta.input_file": [
                    *ROWS["meta.input_file"],
                    ("reference.transfer_curve", "transfer_curve.csv", 8, "changed"),
                ],
            },
            "reference data",
        ),
        ({"meta.release": OTHER_CODE}, "code"),
        (
            {"meta.reference_data": CHANGED_CURVE, "meta.release": OTHER_CODE},
            "reference data or code",
        ),
        ({}, "other accounts"),
        # Without a delivered file that differs, other code made the other balances.
        (
            {
                "meta.release": OTHER_CODE,
                "base.account_month": [(f"A{one}", JANUARY, one) for one in range(1, 5)],
            },
            "code",
        ),
    ],
)
def test_a_profit_of_equal_records_differs_by_reference_data_or_code(settings, changes, cause):
    found = differences(settings, {"value.account_month": DEARER, **changes})
    assert by_cause(found) == {
        (cause, "deposits"): (2, Decimal("-2.00"), Decimal("-2.00")),
        (cause, "lending"): (2, Decimal("-2.00"), Decimal("-2.00")),
    }


def test_a_loss_of_another_version_of_the_model_has_the_model_as_its_cause(settings):
    later = [(*row[:5], "2") if row[2] == "lending" else row for row in DEARER]
    found = differences(
        settings, {"value.account_month": later, "meta.reference_data": CHANGED_CURVE}
    )
    assert set(by_cause(found)) == {("reference data", "deposits"), ("model", "lending")}


def test_a_lifetime_value_differs_by_features_model_or_both(settings):
    found = differences(
        settings,
        {
            "meta.model_version": [("clv", "2", "model", "run 2", "2024-02-29")],
            "features.customer_month": [("C1", 1.0), ("C2", 2.5), ("C4", 4.0)],
            "scores.customer": [("C1", "110.00", "2"), ("C2", "190.00", "2"), ("C4", "1.00", "2")],
            "value.customer_tier": [
                ("C1", JANUARY, "top"),
                ("C1", FEBRUARY, "base"),
                ("C2", FEBRUARY, "base"),
            ],
        },
    )
    assert {row["cause"]: row["clv_12m_difference"] for row in found["customer"]} == {
        "customer gone": Decimal("-300.00"),
        "model": Decimal("10.00"),
        "model and features": Decimal("-10.00"),
        "new customer": Decimal("1.00"),
    }
    (model,) = found["model"]
    assert (model["version_before"], model["version_after"]) == ("1", "2")
    assert found["tier_move"] == [{"tier_before": "top", "tier_after": "base", "customers": 1}]


def test_planned_contacts_are_added_dropped_kept_or_of_another_arm(settings):
    plan = [
        (FEBRUARY, "C1", "LOAN", "branch", "treatment", "5.50"),
        (FEBRUARY, "C3", "LOAN", "branch", "treatment", "7.00"),
        (FEBRUARY, "C4", "LOAN", "branch", "treatment", "9.00"),
    ]
    found = differences(settings, {"decisions.contact_plan": plan})
    assert {
        row["change"]: (row["expected_profit_before"], row["expected_profit_after"])
        for row in found["contact"]
    } == {
        "added": (Decimal("0.00"), Decimal("9.00")),
        "dropped": (Decimal("6.00"), Decimal("0.00")),
        "kept": (Decimal("5.00"), Decimal("5.50")),
        "other arm or channel": (Decimal("7.00"), Decimal("7.00")),
    }


def test_a_release_of_an_earlier_version_is_compared_as_far_as_it_has_the_tables(settings):
    release = settings.published / "releases" / f"{BEFORE}.duckdb"
    with duckdb.connect(str(release)) as connection:
        connection.execute("drop table base.account_result")
        connection.execute("drop table decisions.contact_plan")
        connection.execute("alter table base.account_month drop column closing_balance")
    found = differences(settings, {})
    assert found["account_month"] is None and found["contact"] is None
    assert found["customer"] == []


def test_a_release_is_compared_with_the_one_named(settings, capsys, monkeypatch):
    differences(settings, {"value.account_month": DEARER})
    monkeypatch.setenv("JINGXI_HOME", str(settings.home))
    assert cli.main(["diff", AFTER, BEFORE, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["after"]["release_id"] == BEFORE
    assert {row["contribution_difference"] for row in found["account_month"]} == {"2.00"}
    assert cli.main(["diff"]) == 0
    lines = capsys.readouterr().out
    assert "cause other accounts, product line lending" in lines.replace("_", " ")
    assert cli.main(["diff", "2023-12-none"]) == 2
    assert f"Available: {BEFORE}, {AFTER}." in capsys.readouterr().err


def test_the_first_release_has_nothing_to_be_compared_with(settings):
    with pytest.raises(ReleasesNotCompared, match="nothing is published"):
        read_differences(settings, None, None)
    point_at(settings, settings.published / "releases" / f"{BEFORE}.duckdb")
    with pytest.raises(ReleasesNotCompared, match=f"no release precedes {BEFORE}"):
        read_differences(settings, None, None)
