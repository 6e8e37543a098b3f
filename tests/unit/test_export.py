"""Exports: nobody leaves the house who must not, and no text runs in a spreadsheet."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
import re
import stat
import tempfile
import unicodedata
from contextlib import suppress
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orchestration.decisions import export
from orchestration.decisions.export import (
    MANIFEST,
    ExportRefused,
    export_release,
    plan_day,
    safe_sql,
    safe_text,
)
from orchestration.landing.engine import Window, land
from orchestration.platform.settings import KEPT_RELEASES
from sources.contract import BY_NAME
from sources.files import DeliveredFiles
from tests.plan_bank import PlanBank

FILES = (
    *("worklist.csv", "worklist.parquet", "contact_plan.csv", "contact_plan.parquet"),
    *("grid.csv", "grid.parquet", "manager_scorecard.csv", "manager_scorecard.parquet"),
    *("manager_kpi.csv", "manager_kpi.parquet"),
    *("guide.csv", "guide.parquet", "dispositions_contact.csv", "dispositions_response.csv"),
    *("campaign.csv", MANIFEST),
)


@pytest.fixture
def bank(list_queries):
    """Two to contact, one held out, one who withdrew his consent after the plan."""
    bank = PlanBank(list_queries)
    bank.customer("C1", employee_id="E1", segment="digital, good value", district_id="D1")
    bank.customer("C2", district_id="D1")
    bank.customer("C3", held_out=True)
    bank.customer("C4", suppression="no_consent")
    bank.plan("C1", profit="12.34", reason="age 22 (usual 42); income_3m 900 (usual 100)")
    bank.plan("C2", "FUND", channel="mobile", contact_cost=Decimal("0.25"))
    bank.plan("C3", arm="control", control_kind="campaign", assignment_probability=0.2)
    bank.plan("C4")
    bank.write_lists()
    return bank


def read_csv(path, encoding="utf-8"):
    return list(csv.reader(io.StringIO(path.read_bytes().decode(encoding), newline="")))


def rows_of(path):
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"))))


def ids_in(path):
    """Every text in an exported file that could be a customer's id."""
    if path.suffix == ".parquet":
        found = duckdb.connect().execute("from read_parquet(?)", [str(path)]).fetchall()
        text = "\n".join(str(value) for row in found for value in row)
    else:
        text = path.read_text(encoding="utf-8-sig")
    return set(re.findall(r"C\d+", text))


# --- Customers in the files -----------------------------------------------------------------

FLAGS = st.fixed_dictionaries(
    {
        "suppression": st.sampled_from(
            [None, None, None, "no_consent", "complaint", "over_cap", "early_warning", "erased"]
        ),
        "universal": st.booleans(),
        "held_out": st.booleans(),
        "known": st.booleans(),
        "arm": st.sampled_from(["treatment", "control"]),
        "channel": st.sampled_from(["telephone", "mobile"]),
        "employee_id": st.sampled_from([None, "E1", "E2"]),
    }
)


@pytest.mark.slow
@given(customers=st.lists(FLAGS, min_size=4, max_size=12))
@settings(max_examples=12, deadline=None)
def test_an_unsuitable_customer_is_in_no_list_and_no_file_whatever_the_plan(
    list_queries, customers
):
    bank = PlanBank(list_queries)
    for number, flags in enumerate(customers):
        name = f"C{number:04d}"
        marks = {key: flags[key] for key in ("suppression", "universal", "held_out", "employee_id")}
        bank.customer(name, segment="digital", **marks)
        bank.plan(name, arm=flags["arm"], channel=flags["channel"])
        if not flags["known"]:
            bank.connection.execute(
                "delete from contacts.contactability where customer_id = ?", [name]
            )
    bank.write_lists()

    def named(wanted):
        return {f"C{number:04d}" for number, flags in enumerate(customers) if wanted(flags)}

    def is_held_out(flags):
        return flags["universal"] or flags["held_out"] or flags["arm"] == "control"

    unsuitable = named(lambda flags: flags["suppression"] or not flags["known"])
    contacts = named(lambda flags: not is_held_out(flags)) - unsuitable
    by_person = named(lambda flags: flags["channel"] == "telephone")
    listed = {name for (name,) in bank.rows("select customer_id from decisions.worklist")}
    assert listed == contacts & by_person
    with tempfile.TemporaryDirectory() as folder:
        files = export_release(bank.connection, Path(folder), "r1")
        found = {path.name: ids_in(path) for path in files}
    assert {name for name, ids in found.items() if ids & unsuitable} == set()
    assert found["worklist.csv"] == found["worklist.parquet"] == contacts & by_person
    assert found["contact_plan.csv"] == found["contact_plan.parquet"] == contacts
    # Customers held out are in the file of dispositions, and in no other.
    controls = named(lambda flags: flags["arm"] == "control") - unsuitable
    assert found["dispositions_contact.csv"] == contacts | controls
    for name in set(found) - {"dispositions_contact.csv"}:
        assert not found[name] & named(is_held_out)


def test_reasons_and_segments_are_in_the_language_asked_for(bank, tmp_path):
    export_release(bank.connection, tmp_path, "r1", language="zh")
    folder = tmp_path / "r1"
    (line,) = [row for row in rows_of(folder / "worklist.csv") if row["customer_id"] == "C1"]
    assert "近3个月" in line["reason"] and "income" not in line["reason"]
    (parquet,) = duckdb.execute(
        "select reason, segment_name from read_parquet(?) where customer_id = 'C1'",
        [str(folder / "worklist.parquet")],
    ).fetchall()
    assert parquet == (line["reason"], line["segment_name"])
    plan = {row["customer_id"]: row for row in rows_of(folder / "contact_plan.csv")}
    assert plan["C1"]["reason"] == line["reason"]
    # Columns, codes and ids stay as they are.
    assert line["channel"] == "telephone"


def test_a_branch_has_its_name_beside_its_id_where_names_are_delivered(bank, tmp_path):
    named = ("worklist", "contact_plan", "grid", "manager_scorecard")
    for name in named:
        bank.connection.execute(f"update decisions.{name} set branch_id = 'B1'")

    def names(list_name):
        export_release(bank.connection, tmp_path, "r1")
        return {row["branch_name"] for row in rows_of(tmp_path / "r1" / f"{list_name}.csv")}

    assert names("contact_plan") == {""}
    bank.connection.execute(
        "create schema if not exists base; create or replace table base.branch as "
        "select 'B1' as branch_id, '第1支行' as branch_name"
    )
    assert {name: names(name) for name in named} == dict.fromkeys(named, {"第1支行"})


def test_customers_suppressed_since_the_plan_are_withheld_and_counted(bank, tmp_path, caplog):
    # The list was written before the flags changed: an export reads them again.
    bank.connection.execute(
        "update contacts.contactability set suppression = 'complaint' where customer_id = 'C1'"
    )
    with caplog.at_level(logging.WARNING):
        files = export_release(bank.connection, tmp_path, "r1")
    assert bank.rows("select customer_id from decisions.worklist") == [("C1",)]
    assert all("C1" not in ids_in(path) and "C4" not in ids_in(path) for path in files)
    manifest = json.loads((tmp_path / "r1" / MANIFEST).read_text())
    assert manifest["withheld_contacts"] == {"complaint": 1, "no_consent": 1}
    assert "2 of the plan's contacts" in caplog.text
    assert not re.search(r"C\d", caplog.text)


def test_nothing_is_withheld_or_logged_where_plan_and_flags_agree(bank, tmp_path, caplog):
    bank.connection.execute("delete from decisions.contact_plan where customer_id = 'C4'")
    with caplog.at_level(logging.WARNING):
        export_release(bank.connection, tmp_path, "r1")
    assert json.loads((tmp_path / "r1" / MANIFEST).read_text())["withheld_contacts"] == {}
    assert caplog.text == ""


def test_the_plans_file_holds_nothing_that_managers_may_not_read(bank, tmp_path):
    export_release(bank.connection, tmp_path, "r1")
    rows = {row["customer_id"]: row for row in rows_of(tmp_path / "r1" / "contact_plan.csv")}
    assert set(rows) == {"C1", "C2"}
    assert rows["C1"]["reason"] == (
        "salary and pension received over the last 3 months is 900.00, more than the 100.00 of "
        "other customers"
    )
    assert not {"district_id", "household_id"} & set(rows["C1"])


# --- Spreadsheets ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1+2",
        "@SUM(A1)",
        "\tx",
        "\rx",
        "\nsecond line",
        " =1",
        '"=1',
        "''=1",
        "\u3000＝1",
        "＝1",
        "＋1",
        "－1",
        "＠SUM",
        "\ufeff=1",
        "\u200b=1",
        "\x00=1",
        "“=1",
        "=cmd|' /C calc'!A0",
    ],
)
def test_a_text_that_would_be_a_formula_gets_an_apostrophe(text):
    assert safe_text(text) == "'" + text


@pytest.mark.parametrize(
    "text",
    ["", "plain", "1-2", "a = b", "a=b", "C-1", "e@mail", "存款-理财", "5 % (usual -3)", "' x"],
)
def test_a_harmless_text_stays_unchanged(text):
    assert safe_text(text) == text


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("a;=1", "a;'=1"),
        ("a, -1", "a,' -1"),
        ("a\n=1", "a\n'=1"),
        (";\n=1", ";\n'=1"),
        ("\t=1", "'\t'=1"),
        ("a;;=1;+2", "a;;'=1;'+2"),
    ],
)
def test_parts_cut_off_by_another_separator_are_safe_too(text, safe):
    assert safe_text(text) == safe


FORMULA_SIGNS = set("=+-@＝＋－＠")
QUOTES = set("\"'`´‘’“”«»＂＇")


def would_run(cell):
    """Whether a spreadsheet could take the cell for a formula, judged sign by sign."""
    for sign in cell:
        if sign in FORMULA_SIGNS:
            return True
        is_skipped = sign in QUOTES or unicodedata.category(sign)[0] in "Z"
        if not (is_skipped or sign in "\x00\x07\x1f\x7f\xad\u200b\u2060\ufeff"):
            return False
    return False


ENGINE = duckdb.connect()
SIGNS = st.sampled_from(
    [*"=+-@＝＋－＠;,|\t\r\n \"'a1", "\u3000", "\xa0", "\u200b", "\ufeff", "\x00", "\u2028", "“"]
    + list("\x85\x1c\x0b\u202a﹢−’«")
)


@given(st.lists(SIGNS, max_size=12).map("".join))
@example(";\t=")
@example("\"\r\n'=")
@settings(max_examples=400, deadline=None)
def test_no_way_to_cut_a_safe_text_gives_a_formula(text):
    safe = safe_text(text)
    assert safe.replace("'", "") == text.replace("'", "")
    query = f"select {safe_sql('text')} from (select ? as text)"
    assert ENGINE.execute(query, [text]).fetchall() == [(safe,)]
    for pattern in (r"[;]", r"[,]", r"[|]", r"[\t]", r"[\r\n]", r"[;,|\t\r\n]"):
        for cell in re.split(pattern, safe):
            assert cell.startswith("'") or not would_run(cell)


def test_a_text_of_the_bank_cannot_run_and_comes_back_whole(bank, tmp_path):
    bank.connection.execute(
        'update decisions.worklist set products_held = \'=HYPERLINK("http://x","a")\','
        " segment_name = 'good, \"better\"\r\nbest', talking_points_zh = '存款，理财'"
    )
    export_release(bank.connection, tmp_path, "r1")
    header, row = read_csv(tmp_path / "r1" / "worklist.csv")
    line = dict(zip(header, row, strict=True))
    assert line["products_held"] == '\'=HYPERLINK("http://x","a")'
    assert line["segment_name"] == 'good, "better"\r\nbest'
    assert line["talking_points_zh"] == "存款，理财"
    # A parquet file is read by programs: nothing is added there.
    (held,) = (
        duckdb.connect()
        .execute(
            "select products_held from read_parquet(?)", [str(tmp_path / "r1" / "worklist.parquet")]
        )
        .fetchall()[0]
    )
    assert held.startswith("=HYPERLINK")


def test_numbers_and_dates_keep_their_types_and_lines_end_as_in_rfc_4180(bank, tmp_path):
    bank.connection.execute(
        "update decisions.contact_plan set expected_loss = -3.50, uplift = 'nan',"
        " p_response = -0.25 where customer_id = 'C1'"
    )
    export_release(bank.connection, tmp_path, "r1")
    path = tmp_path / "r1" / "contact_plan.csv"
    raw = path.read_bytes()
    assert raw.count(b"\r\n") == raw.count(b"\n") == raw.count(b"\r") == 3
    row = {row["customer_id"]: row for row in rows_of(path)}["C1"]
    assert (row["expected_loss"], row["p_response"], row["uplift"]) == ("-3.50", "-0.25", "")
    assert (row["expected_incremental_profit"], row["expires_on"]) == ("12.34", "2026-01-31")
    types = dict(
        duckdb.connect()
        .execute(
            "select column_name, column_type from (describe from read_csv(?, sample_size=-1))",
            [str(path)],
        )
        .fetchall()
    )
    assert types["expected_incremental_profit"] == types["expected_loss"] == "DOUBLE"
    assert types["expires_on"] == "DATE"


def test_files_start_with_a_byte_order_mark_on_request(bank, tmp_path):
    plain = export_release(bank.connection, tmp_path, "r1")[0].read_bytes()
    marked = export_release(bank.connection, tmp_path, "r2", bom=True)[0].read_bytes()
    assert marked == b"\xef\xbb\xbf" + plain


def test_more_rows_than_a_batch_are_all_written(bank, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "BATCH", 2)
    bank.connection.execute(
        "insert into decisions.grid by name select 'D' || n as district_id, 0 as customers,"
        " 0 as customers_with_manager, 0 as contribution_margin_12m, 0 as clv_12m, 0 as potential,"
        " 0 as planned_contacts, 0 as contacts_12m from range(10, 17) as t(n)"
    )
    export_release(bank.connection, tmp_path, "r1")
    districts = [row["district_id"] for row in rows_of(tmp_path / "r1" / "grid.csv")]
    assert districts == sorted(["(none)", "D1", *(f"D{n}" for n in range(10, 17))])


# --- Whole or not at all --------------------------------------------------------------------


def test_the_folder_holds_the_files_of_the_manifest_for_its_owner_alone(bank, tmp_path):
    files = export_release(bank.connection, tmp_path, "r1")
    folder = tmp_path / "r1"
    assert [path.name for path in files] == list(FILES)
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    manifest = json.loads((folder / MANIFEST).read_text())
    assert manifest["release_id"] == "r1"
    assert set(manifest["files"]) == set(FILES) - {MANIFEST}
    for name, entry in manifest["files"].items():
        assert entry["sha256"] == hashlib.sha256((folder / name).read_bytes()).hexdigest()
    assert manifest["files"]["worklist.csv"]["rows"] == 1
    assert manifest["files"]["contact_plan.parquet"]["rows"] == 2
    assert manifest["files"]["dispositions_contact.csv"]["rows"] == 3
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


@pytest.mark.parametrize("broken", ["_write_manifest", "_replace", "_flush"])
def test_a_failed_export_leaves_only_the_previous_one(bank, tmp_path, monkeypatch, broken):
    export_release(bank.connection, tmp_path, "r1")
    before = {path.name: path.read_bytes() for path in (tmp_path / "r1").iterdir()}
    bank.connection.execute("delete from decisions.worklist")

    def fail(*_):
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(export, broken, fail)
        with pytest.raises(OSError, match="no space"):
            export_release(bank.connection, tmp_path, "r1")
    assert {path.name: path.read_bytes() for path in (tmp_path / "r1").iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["r1"]
    export_release(bank.connection, tmp_path, "r1")
    assert rows_of(tmp_path / "r1" / "worklist.csv") == []


@pytest.mark.slow
def test_remains_of_killed_exports_and_exports_of_old_releases_are_removed(bank, tmp_path):
    (tmp_path / ".r0.abc.unfinished").mkdir()
    for number in range(KEPT_RELEASES + 2):
        export_release(bank.connection, tmp_path, f"r{number:02d}")
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == [f"r{number:02d}" for number in range(2, KEPT_RELEASES + 2)]


def test_the_same_release_gives_the_same_files(bank, tmp_path):
    first = export_release(bank.connection, tmp_path / "a", "r1")
    second = export_release(bank.connection, tmp_path / "b", "r1")
    csv_files = [path.name for path in first if path.suffix == ".csv"]
    for name in csv_files:
        assert (tmp_path / "a/r1" / name).read_bytes() == (tmp_path / "b/r1" / name).read_bytes()
    assert len(first) == len(second)


@pytest.mark.parametrize(
    "table", ["decisions.contact_plan", "contacts.contactability", "decisions.grid"]
)
def test_a_release_without_a_plan_is_refused_by_name_without_writing(bank, tmp_path, table):
    bank.connection.execute(f"drop table {table}")
    with pytest.raises(ExportRefused, match=f"r1 .* no {table}"):
        export_release(bank.connection, tmp_path / "exports", "r1")
    assert not (tmp_path / "exports").exists()


def test_a_read_only_release_is_exported(bank, tmp_path):
    path = tmp_path / "release.duckdb"
    bank.connection.execute(f"attach '{path}' as release")
    for schema, table in bank.rows(
        "select schema_name, table_name from duckdb_tables() where database_name = 'memory'"
    ):
        if schema == "landing":
            continue
        bank.connection.execute(f"create schema if not exists release.{schema}")
        bank.connection.execute(f"create table release.{schema}.{table} as from {schema}.{table}")
    bank.connection.execute("create schema release.meta")
    bank.connection.execute("create table release.meta.release as select '2025-12' as as_of")
    bank.connection.execute("detach release")
    here = export_release(bank.connection, tmp_path / "a", "r1")
    with duckdb.connect(str(path), read_only=True) as connection:
        there = export_release(connection, tmp_path / "b", "r1")
    for one, other in zip(here, there, strict=True):
        if one.suffix == ".csv":
            assert one.read_bytes() == other.read_bytes()


# --- What comes back ------------------------------------------------------------------------


def test_templates_have_the_contracts_columns(bank, tmp_path):
    export_release(bank.connection, tmp_path, "r1")
    for name, table in (
        ("dispositions_contact", "contact"),
        ("dispositions_response", "response"),
        ("campaign", "campaign"),
    ):
        header = read_csv(tmp_path / "r1" / f"{name}.csv")[0]
        assert header == list(BY_NAME[table].column_names)


def test_a_control_row_has_a_date_and_a_contact_row_has_none_yet(bank, tmp_path):
    export_release(bank.connection, tmp_path, "r1")
    found = rows_of(tmp_path / "r1" / "dispositions_contact.csv")
    by_customer = {row["customer_id"]: row for row in found}
    assert {name: (row["arm"], row["contacted_on"]) for name, row in by_customer.items()} == {
        "C1": ("treatment", ""),
        "C2": ("treatment", ""),
        "C3": ("control", "2026-01-01"),
    }
    assert by_customer["C1"]["contact_id"] == "P202601-CARD-C1"
    assert (by_customer["C1"]["assignment_probability"], by_customer["C1"]["employee_id"]) == (
        "0.8",
        "E1",
    )
    assert by_customer["C3"]["assignment_probability"] == "0.2"


def test_no_contact_of_a_plan_lies_before_its_as_of_date(bank):
    assert plan_day(bank.connection) == date(2026, 1, 1)
    bank.connection.execute("update decisions.contact_plan set plan_month = date '2025-12-01'")
    assert plan_day(bank.connection) == date(2026, 1, 1)
    bank.connection.execute("update decisions.contact_plan set plan_month = date '2026-02-01'")
    assert plan_day(bank.connection) == date(2026, 2, 1)
    bank.connection.execute("delete from decisions.contact_plan")
    assert plan_day(bank.connection) == date(2026, 1, 1)


def test_a_plans_campaigns_carry_the_most_used_channel_and_the_mean_cost(bank, tmp_path):
    for name, channel, cost in (("C5", "online", "0.12"), ("C6", "mobile", "0.15")):
        bank.customer(name)
        bank.plan(name, "FUND", channel=channel, contact_cost=Decimal(cost))
    bank.write_lists()
    export_release(bank.connection, tmp_path, "r1")
    by_campaign = {row["campaign_id"]: row for row in rows_of(tmp_path / "r1" / "campaign.csv")}
    assert set(by_campaign) == {"P202601-CARD", "P202601-FUND"}
    fund = by_campaign["P202601-FUND"]
    assert (fund["product_id"], fund["channel"]) == ("FUND", "mobile")
    assert fund["campaign_name"] == "Investment fund, 2026-01"
    assert (fund["starts_on"], fund["ends_on"]) == ("2026-01-01", "2026-01-31")
    assert fund["cost_per_contact"] == "0.17"


def test_filled_templates_land_without_a_fault(bank, tmp_path):
    """The filled templates, put beside a bank's files, are the labels of the next refresh."""
    export_release(bank.connection, tmp_path / "exports", "r1", bom=True)
    given = tmp_path / "exports" / "r1"
    delivery = tmp_path / "delivery"
    delivery.mkdir()
    for name, text in {
        "product": "product_id,product_line\nP1,deposits\nCARD,cards\nFUND,wealth\n",
        "customer": "customer_id,customer_since\nC1,2015-03-02\nC2,2015-03-02\nC3,2015-03-02\n",
        "account": "account_id,product_id,opened_on\nA1,P1,2015-03-02\nA9,CARD,2026-01-20\n",
        "account_holder": "account_id,customer_id,role\nA1,C1,owner\nA9,C1,owner\n",
        "employee": "employee_id,role\nE1,relationship_manager\n",
        "transaction": "transaction_id,account_id,booked_on,amount,kind\n"
        "T1,A1,2025-12-10,100.00,deposit\nT2,A1,2026-01-10,5.00,deposit\n",
    }.items():
        (delivery / f"{name}.csv").write_text(text, encoding="utf-8")
    contacts = read_csv(given / "dispositions_contact.csv", "utf-8-sig")
    day = contacts[0].index("contacted_on")
    filled = [[*row[:day], row[day] or "2026-01-15", *row[day + 1 :]] for row in contacts]
    with (delivery / "contact.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(filled)
    answers = (given / "dispositions_response.csv").read_text(encoding="utf-8-sig")
    (delivery / "response.csv").write_text(
        answers.replace("\r\n", "\n") + "P202601-CARD,C1,2026-01-20,A9\n", encoding="utf-8"
    )
    (delivery / "campaign.csv").write_bytes((given / "campaign.csv").read_bytes())
    window = Window(date(2025, 12, 1), date(2025, 12, 1), date(2026, 1, 1), date(2026, 1, 31))
    with duckdb.connect() as warehouse:
        source = DeliveredFiles(delivery)
        summary = land(warehouse, source, window, tmp_path / "landing", b"a key", date(2026, 2, 15))
        assert summary.quarantined == 0
        landed = warehouse.execute(
            "select customer_id, arm, assignment_probability, contacted_on"
            " from landing.contact order by customer_id"
        ).fetchall()
        answered = warehouse.execute("select customer_id, account_id from landing.response")
        assert answered.fetchall() == [("C1", "A9")]
    assert landed == [
        ("C1", "treatment", 0.8, date(2026, 1, 15)),
        ("C2", "treatment", 0.8, date(2026, 1, 15)),
        ("C3", "control", 0.2, date(2026, 1, 1)),
    ]


def test_an_export_that_cannot_take_its_place_keeps_the_old_one(bank, tmp_path, monkeypatch):
    export_release(bank.connection, tmp_path, "r1")
    renamed = export.os.rename
    calls = []

    def rename(source, target):
        calls.append(target)
        if len(calls) == 2:
            raise OSError("the disk went away")
        renamed(source, target)

    monkeypatch.setattr(export.os, "rename", rename)
    with suppress(OSError):
        export_release(bank.connection, tmp_path, "r1")
    assert len(calls) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["r1"]
    assert (tmp_path / "r1" / MANIFEST).exists()
