"""`jingxi explain` on two banks: every amount that it shows follows from its parts and records."""

from __future__ import annotations

import json
import shutil
from datetime import date
from decimal import Decimal

import duckdb
import pytest

from orchestration.platform import audit
from orchestration.platform.releases import ReleaseRefused, point_at
from orchestration.platform.settings import Settings
from orchestration.valuation.explanation import AccountUnknown, explain
from tests.acceptance.conftest import SMALL_BANK
from tests.acceptance.test_known_bank import answers

pytestmark = pytest.mark.slow

KINDS = {
    "a term deposit": "product_id like 'TERM%' and curve_month is not null",
    "an overdrawn current account": "overdrawn_price is not null",
    "a card": "product_line = 'cards' and exposure > 0",
    "a loan in default": "product_line = 'lending' and stage = 3",
    "a wealth account": "product_line = 'wealth' and fee_income > 0",
    "a loan": "product_line = 'lending' and stage = 1",
}


@pytest.fixture(scope="module")
def known(known_bank):
    return Settings(home=known_bank)


@pytest.fixture(scope="module")
def small(small_bank):
    return Settings(home=small_bank / "copy", **SMALL_BANK)


def released(settings):
    return duckdb.connect(str(settings.published / "current.duckdb"), read_only=True)


def test_each_figure_worked_by_hand_follows_from_its_parts(known):
    worked = [row for row in answers() if row["table"] == "value.account_month"]
    shown = {}
    checked = 0
    for row in worked:
        key = row["key"], row["month"]
        if key not in shown:
            shown[key] = explain(known, *key)
            assert shown[key]["differences"] == 0, key
            assert shown[key]["records_note"] is None
        for measure in shown[key]["measures"]:
            if measure["measure"] == row["measure"]:
                # The 0 of the release is no amount where the balance is not known.
                is_known = shown[key]["account"]["is_balance_known"]
                assert is_known or measure["recomputed"] is None, row
                assert not is_known or measure["recomputed"] == Decimal(row["amount"]), row
                checked += 1
    assert checked > 80


def test_each_credited_figure_worked_by_hand_is_the_sum_of_its_accounts(known):
    credited = [
        row
        for row in answers()
        if row["table"] == "value.profit_by_employee" and row["key"].startswith("credited / ")
    ]
    for row in credited:
        employee = row["key"].removeprefix("credited / ")
        with released(known) as connection:
            accounts = connection.execute(
                "select distinct account_id from value.account_credit "
                "where employee_id = ? and strftime(month, '%Y-%m') = ?",
                [employee, row["month"]],
            ).fetchall()
        column = "amount" if row["measure"] == "economic_profit" else row["measure"]
        parts = [
            part[column]
            for (account_id,) in accounts
            for measure in explain(known, account_id, row["month"])["measures"]
            if measure["measure"] == "credited_profit"
            for part in measure["parts"]
            if part["employee_id"] == employee
        ]
        assert sum(parts) == Decimal(row["amount"]), row
    assert len(credited) > 5


def test_the_credit_names_the_owners_with_role_and_days(known):
    shares = {
        measure["measure"]: measure["parts"]
        for measure in explain(known, "A01", "2024-02")["measures"]
        if measure["measure"].startswith("credited_share")
    }
    assert shares == {
        f"credited_share, {employee}": [
            {
                **{"part": "owner", "role": role, "valid_from": date(2024, 2, 1)},
                "amount": Decimal("0.5"),
            }
        ]
        for employee, role in (("P1", "manager"), ("P2", "specialist"))
    }
    (measure,) = (
        measure
        for measure in explain(known, "A04", "2024-01")["measures"]
        if measure["measure"] == "credited_share, M1"
    )
    assert measure["parts"] == [
        {"part": "manager of the customer", "customer_id": "K04", "amount": Decimal(1)}
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_accounts_of_every_kind_are_explained_down_to_the_row(small, kind):
    with released(small) as connection:
        found = connection.execute(
            f"select account_id, strftime(month, '%Y-%m') from value.account_month "
            f"where {KINDS[kind]} order by hash(account_id, month) limit 5"
        ).fetchall()
    assert len(found) == 5
    for account_id, month in found:
        explained = explain(small, account_id, month)
        assert explained["differences"] == 0, (account_id, month)
        assert explained["records_note"] is None
        bookings = next(m for m in explained["measures"] if m["measure"] == "bookings")
        rows = [row for row in explained["records"] if row["table"] == "transaction"]
        assert bookings["published"] == len(rows)
        for row in rows:
            path = small.delivery / "synthetic" / row["file"]
            ((same,),) = duckdb.execute(
                f"select transaction_id from read_parquet('{path}', file_row_number = true) "
                f"where file_row_number + 1 = {row['row']}"
            ).fetchall()
            assert same == row["transaction_id"]


def test_the_command_prints_measures_parts_and_records_as_json(known_bank, command, tmp_path):
    asked = ("explain", "--account", "A05", "--month", "2024-01", "--json")
    result = command(known_bank, *asked)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    (transfer,) = (m for m in found["measures"] if m["measure"] == "transfer_result")
    assert (transfer["published"], transfer["recomputed"]) == ("-13.80", "-13.80")
    assert [part["day_sum"] for part in transfer["parts"]] == ["150000.00", "-144000.00"]
    assert [(r["file"], r["row"]) for r in found["records"]] == [
        ("transaction.csv", 5),
        ("transaction.csv", 6),
    ]
    read = command(known_bank, *asked[:-1])
    assert "days below zero, day_sum -144,000.00, price 0.073000" in read.stdout
    page = tmp_path / "page.html"
    written = command(known_bank, *asked[:-1], "--to", str(page), "--language", "zh")
    assert (written.returncode, written.stdout.strip()) == (0, str(page)), written.stderr
    assert "<h1>账户 A05，2024年1月</h1>" in page.read_text()
    assert "余额为负的天数" in page.read_text() and "transaction.csv" in page.read_text()
    trail = list(audit.entries(Settings(home=known_bank)))
    assert [(one.act, one.outcome) for one in trail[-3:]] == [("explain", "done")] * 3

    # A copy of the release with one cent moved.
    home = tmp_path / "home"
    settings = Settings(home=home)
    release = settings.published / "releases" / "2025-12-tampered.duckdb"
    release.parent.mkdir(parents=True)
    shutil.copy((known_bank / "published" / "current.duckdb").resolve(), release)
    release.chmod(0o600)
    with duckdb.connect(str(release)) as connection:
        connection.execute(
            "update value.account_month set direct_cost = direct_cost + 0.01 "
            "where account_id = 'A05' and month = '2024-01-01'"
        )
    point_at(settings, release)
    off = command(home, *asked, "--to", str(page))
    assert off.returncode == 1
    assert "differs" in page.read_text() and 'role="alert"' in page.read_text()
    differing = {
        m["measure"] for m in json.loads(off.stdout)["measures"] if m["difference"] != "0.00"
    }
    assert differing >= {"direct_cost", "contribution_margin"}


def test_unknown_accounts_and_months_are_refused_with_the_remedy(known, command, tmp_path):
    with pytest.raises(AccountUnknown, match=r"ACCOUNT=A99 is invalid: expected an account of"):
        explain(known, "A99")
    with pytest.raises(AccountUnknown, match=r"MONTH=2019-01 is invalid: .* 2024-01 to 2025-12"):
        explain(known, "A05", "2019-01")
    with pytest.raises(AccountUnknown, match=r"MONTH=May is invalid: expected YYYY-MM"):
        explain(known, "A05", "May")
    with pytest.raises(ReleaseRefused, match="no release is published. Run make refresh"):
        explain(Settings(home=tmp_path), "A05")
    refused = command(known.home, "explain", "--account", "A99")
    assert refused.returncode == 2
    assert refused.stderr.startswith("refused: ACCOUNT=A99") and "Traceback" not in refused.stderr


def test_records_of_another_delivery_are_not_shown(known_bank, tmp_path):
    """Other files have replaced those of the release."""
    other = tmp_path / "delivery"
    with released(Settings(home=known_bank)) as connection:
        ((identity,),) = connection.execute("select identity from meta.bank").fetchall()
    shutil.copytree(identity.removeprefix("files:"), other)
    path = other / "transaction.csv"
    path.write_text(path.read_text().replace("10000", "10001"))
    settings = Settings(home=known_bank, source="files", source_path=other)
    explained = explain(settings, "A05", "2024-01")
    assert explained["records"] == [] and explained["differences"] == 0
    assert "the files of transaction are not those of the release" in explained["records_note"]
