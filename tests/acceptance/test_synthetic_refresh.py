"""The refresh on the synthetic bank: whole, traceable, repeatable after kills."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import duckdb
import pytest

from benchmarks.truth_recovery import measure
from expectations.gate import judge
from expectations.suites import value_suite
from orchestration.platform.settings import Settings
from tests.acceptance.conftest import SMALL_BANK as BANK
from tests.acceptance.contents import digest_of_tables
from tests.conftest import PROJECT

pytestmark = pytest.mark.slow

MODELS = [
    *("attrition", "clv", "default", "high_value", "product_value", "response", "segment"),
    "uplift",
]
# Of borrowers in default, of customers who rise to the top and of contacts held out so small a bank
# has too few.
ON = {"attrition", "clv", "product_value", "response", "segment"}
# Tables of each model's scores; the column `<model>_model_version` names the champion.
SCORED_IN = [
    ("scores.customer", "clv"),
    ("scores.customer", "attrition"),
    ("scores.customer", "default"),
    ("scores.customer", "high_value"),
    ("scores.customer", "segment"),
    ("scores.product_attrition", "attrition"),
    ("scores.account_default", "default"),
    ("alerts.credit", "default"),
    ("scores.offer", "response"),
    ("scores.offer", "uplift"),
    ("scores.offer", "product_value"),
]


@pytest.fixture(scope="module")
def home(small_bank):
    """A home with one published release."""
    return small_bank / "home"


def served(home):
    return home / "published" / "current.duckdb"


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def query(home, sql):
    with duckdb.connect(str(served(home)), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def begun(home, **settings):
    """A refresh of the bank under way, in a process group of its own."""
    named = {f"JINGXI_{name.upper()}": str(value) for name, value in {**BANK, **settings}.items()}
    return subprocess.Popen(
        [sys.executable, "-m", "orchestration", "refresh"],
        cwd=PROJECT,
        env={**os.environ, **named, "JINGXI_HOME": str(home)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_the_summary_names_release_rows_quarantine_gates_models_and_places(home):
    text = (home.parent / "summary.txt").read_text()
    ((release_id,),) = query(home, "select release_id from meta.release")
    assert release_id in text
    words = ("base.customer", "Quarantine", "G1", "G4", "rule", "off: too few", "make ui", *MODELS)
    for word in (*words, "Value (last 12 months)", "statements reconcile to the cent"):
        assert word in text
    assert str(served(home)) in text
    report = home / "reports" / release_id / "value.html"
    assert (home / "reports" / "value.html").read_bytes() == report.read_bytes()
    assert str(report) in text
    assert "Whale" in report.read_text(encoding="utf-8")


def test_the_summary_in_chinese_has_the_same_figures(home, command):
    english, chinese = (
        command(home, "summary", language=language).stdout for language in ("en", "zh")
    )
    for words in ("数据质量闸门", "价值（近 12 个月）", "项对账一致", "结果所在位置"):
        assert words in chinese
    # Notes of models are cut at a width, which holds more in Chinese.
    whole = [re.sub(r"^ {16}.*$", "", text, flags=re.MULTILINE) for text in (english, chinese)]
    figures = [re.findall(r"\d[\d,.]*\d|\d", text) for text in whole]
    assert len(figures[0]) > 50
    assert sorted(figures[0]) == sorted(figures[1])


def test_the_release_is_complete_and_traceable(home):
    ((as_of, source, run_id),) = query(
        home, "select as_of, source, dagster_run_id from meta.release"
    )
    assert (as_of, source) == ("2025-12", "synthetic")
    assert query(home, "select distinct run_id from meta.gate_result") == [(run_id,)]
    models = query(
        home,
        "select model_name, alias, length(mlflow_run_id), promoted_by, note "
        "from meta.model_version order by model_name",
    )
    assert [name for name, *_ in models] == MODELS
    for name, *champion_of, note in models:
        if name in ON:
            assert champion_of == ["champion", 32, "policy"], name
        else:
            assert champion_of == [None, None, None] and note.startswith("too few "), name
    assert query(home, "select count(*), min(identity) like 'synthetic %' from meta.bank") == [
        (1, True)
    ]
    assert query(home, "select count(*) from meta.input_file where length(sha256) <> 64") == [(0,)]
    scored = query(
        home,
        "select count(*), count(*) filter (clv_model_version is null), "
        "(select count(*) from base.customer) from scores.customer",
    )
    assert scored[0][0] > 0 and scored[0][1] == 0 and scored[0][0] == scored[0][2]


def test_every_score_names_its_champion(home):
    champions = dict(query(home, "select model_name, version from meta.model_version"))
    for table, model in SCORED_IN:
        found = query(
            home,
            f"select distinct {model}_model_version from {table} "
            f"where {model}_model_version is not null",
        )
        # The rule has no scores by product line.
        if model in ON and table != "scores.product_attrition":
            assert found == [(champions[model],)], (table, model)
        else:
            assert set(found) <= {(champions[model],)}, (table, model)
        if model not in ON:
            assert found == [], (table, model)
    reasons = query(
        home, "select model_name, model_version, max(rank) from scores.reason group by all"
    )
    assert {name for name, *_ in reasons} >= {"clv"}
    assert all(version == champions[name] and rank <= 3 for name, version, rank in reasons)


def test_account_holders_alone_have_an_attrition_score_and_a_segment(home):
    of_month = (
        "from scores.customer as score inner join base.customer_month as held "
        "on held.customer_id = score.customer_id and held.month = date '2025-12-01'"
    )
    assert query(
        home,
        "select count(*) filter ((held.accounts > 0) <> (score.segment is not null)), "
        "count(*) filter ((held.accounts > 0) <> (score.p_attrition is not null)), "
        f"count(*) filter (held.accounts = 0) > 0, count(*) {of_month}",
    ) == [(0, 0, True, BANK["customers"])]
    # Every customer of a segment a year ago has a place now, and every customer of now had one.
    moves = query(
        home,
        "select from_segment, from_month::varchar, to_month::varchar, sum(share) "
        "from scores.segment_migration group by all",
    )
    assert {(before, now) for _, before, now, _ in moves} == {("2024-12-01", "2025-12-01")}
    assert all(abs(share - 1) < 1e-9 for *_, share in moves)
    arrived = query(
        home,
        "select to_segment, sum(customers)::bigint from scores.segment_migration "
        "where to_segment <> 'left' group by all order by all",
    )
    assert arrived == query(
        home,
        "select segment, count(*) from scores.customer where segment is not null "
        "group by all order by all",
    )


def test_the_release_holds_audit_drift_and_monitoring_of_each_champion(home):
    champions = query(
        home,
        "select model_name, version from meta.model_version where version is not null order by all",
    )
    assert (
        query(
            home,
            "select model_name, arg_max(version, happened_at) from meta.model_audit "
            "where state = 'done' and approver = 'policy' group by all order by all",
        )
        == champions
    )
    assert set(query(home, "select distinct model_name, version from meta.model_drift")) <= set(
        champions
    )
    assert (
        query(
            home,
            "select distinct model_name, version from meta.model_monitoring "
            "where cutoff < date '2025-12-01' and rows > 0 order by all",
        )
        == champions
    )
    # A segment has no level.
    assert query(home, "select distinct model_name, version from meta.model_kind order by all") == [
        one for one in champions if one[0] != "segment"
    ]
    assert query(
        home,
        "select count(*) from (select model_name, metric from meta.model_evaluation "
        "group by all having count(*) <> 1)",
    ) == [(0,)]


def test_planted_defects_land_in_quarantine_by_their_rule(home):
    with duckdb.connect() as connection:
        planted = connection.execute(
            f"select count(*) from '{home}/truth/planted_defect.parquet'"
        ).fetchall()[0][0]
    assert planted > 0
    ((quarantined,),) = query(home, "select sum(quarantined) from meta.input_file")
    assert quarantined == planted


def test_no_personal_value_is_published(home):
    columns = {
        row[0]
        for row in query(
            home,
            "select distinct column_name from duckdb_columns() where not internal",
        )
    }
    assert not columns & {"full_name", "phone", "email", "national_id"}


@pytest.mark.parametrize("stage", ["landing", pytest.param("models", marks=pytest.mark.long)])
def test_a_killed_refresh_leaves_the_old_release_and_the_next_one_works(home, command, stage):
    """The process is killed right after a stage has begun its work."""
    before = digest(served(home))
    link = os.readlink(served(home))
    process = begun(home, train="always")
    previous = {"landing": "as of", "models": "features"}
    for line in process.stdout:
        if previous[stage] in line:
            break
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        pass
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert os.readlink(served(home)) == link
    assert digest(served(home)) == before
    assert query(home, "select count(*) > 0 from base.customer") == [(True,)]


@pytest.fixture
def no_truth(home):
    """The hidden truth's files are empty while the test runs."""
    kept = {path: path.read_bytes() for path in (home / "truth").glob("*.parquet")}
    assert kept
    for path in kept:
        path.write_bytes(b"")
    yield
    for path, content in kept.items():
        path.write_bytes(content)


def test_after_the_kills_one_refresh_of_two_goes_on_and_publishes_the_same(home, command, no_truth):
    """Another one at once is refused; the hidden truth is not read."""
    before = digest_of_tables(served(home))
    release = os.readlink(served(home))
    first = begun(home)
    assert first.stdout.readline().startswith("jingxi refresh")
    second = command(home, "refresh", **BANK)
    assert second.returncode == 2
    assert "is changing" in second.stderr
    output, _ = first.communicate(timeout=600)
    assert first.returncode == 0, output
    assert os.readlink(served(home)) != release
    assert digest_of_tables(served(home)) == before


def test_the_models_are_nearer_to_the_hidden_truth_than_the_rule(home):
    """Rank correlation with the outcome, as a share of what the truth itself achieves."""
    settings = Settings(home=home, **BANK)
    found = {(one.model_name, one.metric): one for one in measure(settings)}
    value = found["clv", "rank correlation"]
    assert value.share > value.rule_share
    assert value.share > 0.85


def test_publishing_alone_after_a_failed_gate_is_refused(home, command):
    """A run of its own is not stopped by another run's checks; the audit must stop it."""
    with duckdb.connect(str(home / "build" / "warehouse.duckdb")) as connection:
        connection.execute(
            "update meta.gate_result set success = false where gate = 'G4' and severity = 'fail'"
        )
    before = digest(served(home))
    program = (
        "from dagster import DagsterInstance, materialize\n"
        "from orchestration.platform.settings import read_settings\n"
        "from orchestration.definitions import build_definitions\n"
        "defs = build_definitions(read_settings())\n"
        "job = defs.resolve_implicit_global_asset_job_def()\n"
        "import dagster as dg\n"
        "result = job.get_subset(asset_selection={dg.AssetKey(['release', 'published'])})"
        ".execute_in_process(instance=DagsterInstance.get(), raise_on_error=False)\n"
        "print(result.success)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program],
        cwd=PROJECT,
        env={**os.environ, "JINGXI_HOME": str(home), "DAGSTER_HOME": str(home / "dagster")},
        capture_output=True,
        text=True,
    )
    assert result.stdout.strip().endswith("False"), result.stderr
    assert "G4 failed on layer scores" in result.stderr + result.stdout
    assert digest(served(home)) == before


@pytest.mark.parametrize(
    ("planted", "statement", "measure"),
    [
        (
            "update base.ledger_reconciliation set ledger = ledger + 0.01 where ledger_account = "
            "'fee_income' and {first}",
            "ledger",
            "fee_income",
        ),
        (
            "update value.account_month set fee_income = fee_income + 0.01 where {first}",
            "ledger",
            "fee_income",
        ),
        (
            "update value.account_month set overhead = overhead - 0.01 where {first}",
            "operating cost",
            "operating_cost",
        ),
        (
            "update value.overhead_pool set amount = amount + 0.01 where {first}",
            "overhead pools",
            "overhead",
        ),
        (
            "update value.profit_by_household set capital_charge = capital_charge + 0.01 "
            "where {first}",
            "household",
            "capital_charge",
        ),
    ],
)
def test_a_planted_cent_is_reported_by_month_dimension_and_amount(
    home, tmp_path, planted, statement, measure
):
    copy = tmp_path / "warehouse.duckdb"
    shutil.copyfile(home / "build" / "warehouse.duckdb", copy)
    with duckdb.connect(str(copy)) as connection:
        table = planted.split()[1]
        first = f"rowid = (select min(rowid) from {table} where month = date '2024-09-01'" + (
            " and ledger_account = 'fee_income')" if "ledger" in table else ")"
        )
        connection.execute(planted.format(first=first))
        outcome = judge(connection, value_suite(), build_number=1, run_id="planted")
        found_residuals = connection.execute(
            "select dimension, measure, abs(difference)::varchar from value.reconciliation "
            "where difference <> 0 and dimension = ?",
            [statement],
        ).fetchall()
    assert not outcome.success
    assert found_residuals == [(statement, measure, "0.01")]
    message = outcome.message()
    assert f"2024-09, {'ledger or source' if statement == 'ledger' else statement}" in message
    assert f"{measure}: expected " in message and "0.01; the rows: from" in message


def test_the_release_reconciles_to_the_cent(home):
    assert query(home, "select count(*) from value.reconciliation where difference <> 0") == [(0,)]
    months = query(
        home,
        "select dimension, count(distinct month) from value.reconciliation group by all order by 1",
    )
    assert len(months) == 22 and {count for _, count in months} == {36}


def test_row_counts_of_the_release_are_its_tables(home):
    ((counts,),) = query(home, "select row_counts::varchar from meta.release")
    for name, count in json.loads(counts).items():
        assert query(home, f"select count(*) from {name}") == [(count,)]


@pytest.mark.long
def test_a_banks_own_reference_data_take_the_place_of_the_defaults(tmp_path, command):
    """Of a bank too young for any model."""
    home, own = tmp_path / "home", tmp_path / "own"
    own.mkdir()
    (own / "hurdle_rate.csv").write_text("annual_rate,effective_from\n0.2,1900-01-01\n")
    (own / "target.csv").write_text(
        "dimension,dimension_key,month,measure,amount\n"
        "line,lending,2023-09-01,economic_profit,1000.00\n"
    )
    young = {"customers": 150, "seed": 7, "as_of": "2023-09", "reference_path": own}
    result = command(home, "refresh", **young)
    assert result.returncode == 0, result.stdout + result.stderr
    ((charge, of_capital),) = query(
        home,
        "select sum(capital_charge), (sum(economic_capital) * 0.2 / 12)::decimal(18, 2) "
        "from value.profit_by_line where month = date '2023-09-01'",
    )
    # Each account's charge is rounded by itself.
    assert charge > 100 and abs(charge - of_capital) < charge / 100
    assert query(
        home,
        "select target, actual = (select economic_profit from value.profit_by_line "
        "where month = date '2023-09-01' and product_line = 'lending') "
        "from value.plan_actual",
    ) == [(1000, True)]
    assert query(
        home,
        "select table_name, path, rows from meta.input_file where table_name like 'reference.%' "
        "order by 1",
    ) == [("reference.hurdle_rate", "hurdle_rate.csv", 1), ("reference.target", "target.csv", 1)]
    (own / "replicating_portfolio.csv").write_text(
        "portfolio,effective_from,tenor_months,weight\n"
        "deposit,1900-01-01,1,0.9\nrevolving,1900-01-01,1,1\n"
    )
    result = command(home, "refresh", **young)
    assert result.returncode == 1
    assert "reference_data_cover_every_case_once" in result.stdout + result.stderr
    assert query(home, "select count(*) from value.plan_actual") == [(1,)]
