"""A gate in a real job: where a broken rule sits, what it stops, and the report it leaves."""

import io
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest

from expectations.rules import Profile, Rule, Suite, column_between, column_zero
from orchestration.platform import build_numbers, progress
from orchestration.platform.gates import REPORT, gate
from orchestration.platform.progress import progress_logger, report_progress
from orchestration.platform.resources import Home
from orchestration.platform.settings import read_settings
from orchestration.platform.terminal import SHOW_CURSOR
from sources.message import Message

ACCOUNT, CUSTOMER = dg.AssetKey(["base", "account"]), dg.AssetKey(["base", "customer"])
BUILT = "select * from (values {}) as built (name, broken, odd)"


def suite(_: object) -> Suite:
    rules = (
        Rule("trial", column_zero("broken"), "fail", "nothing is broken", "mend it"),
        Rule("trial", column_between("odd", high=1), "warn", "nothing is odd", "look at it"),
    )
    profile = Profile("select * from base.built", key=("name",), about="base.{name}")
    return Suite("G2", "trial", {"trial": profile}, rules)


def landed(_: object) -> Suite:
    profile = Profile("select 'landing' as name, 0 as broken", about="landing.account")
    rule = Rule("trial", column_zero("broken"), "fail", "nothing is broken", "mend it")
    return Suite("G1", "landed", {"trial": profile}, (rule,))


@dg.asset(key=["landing", "account"])
def landing(context: dg.AssetExecutionContext, home: Home) -> None:
    with home.warehouse() as connection:
        report_progress(Message("reading the delivery of {0}", "files"))
        build_numbers.begin(connection, "landing", context.run_id)
        build_numbers.finish(connection, "landing")


@dg.multi_asset(
    name="base_layer",
    specs=[dg.AssetSpec(key, deps=[["landing", "account"]]) for key in (ACCOUNT, CUSTOMER)],
)
def base(context: dg.AssetExecutionContext, home: Home) -> Iterator[dg.MaterializeResult]:
    with build_numbers.build(home, "base", context.run_id) as connection:
        connection.execute("create schema if not exists base")
        rows = BUILT.format(context.run.tags["built"])
        connection.execute(f"create or replace table base.built as {rows}")
    for key in (ACCOUNT, CUSTOMER):
        yield dg.MaterializeResult(asset_key=key)


@dg.asset(key=["value", "account"], deps=[ACCOUNT])
def of_accounts(context: dg.AssetExecutionContext, home: Home) -> None:
    with build_numbers.build(home, "value", context.run_id):
        pass


@dg.asset(key=["value", "customer"], deps=[CUSTOMER])
def of_customers() -> None: ...


@dg.asset(deps=[of_customers])
def release() -> None: ...


class Bank:
    def __init__(self, of_base: Callable[[object], Suite] = suite) -> None:
        self.definitions = dg.Definitions(
            assets=[landing, base, of_accounts, of_customers, release],
            asset_checks=[
                gate("G1", [dg.AssetKey(["landing", "account"])], landed, "landed"),
                gate("G2", [ACCOUNT, CUSTOMER], of_base, "sound"),
            ],
            jobs=[
                dg.define_asset_job("all"),
                dg.define_asset_job("later", selection=[of_accounts]),
            ],
            resources={"home": Home()},
            loggers={"progress": progress_logger},
            executor=dg.in_process_executor,
        )

    def run(self, job: str, account: str = "0, 0", customer: str = "0, 0") -> "Run":
        rows = f"('account', {account}), ('customer', {customer})"
        return Run(
            self.definitions.resolve_job_def(job).execute_in_process(
                tags={"built": rows},
                run_config={"loggers": {"progress": {}}},
                raise_on_error=False,
            )
        )


class Run:
    def __init__(self, result: dg.ExecuteInProcessResult) -> None:
        self.result = result
        self.checks = {
            one.asset_check_evaluation_data.asset_key: one.asset_check_evaluation_data
            for one in result.all_events
            if one.event_type_value == "ASSET_CHECK_EVALUATION"
            and one.asset_check_evaluation_data.check_name == "G2"
        }

    def steps(self, state: str) -> set[str]:
        return {str(e.step_key) for e in self.result.all_events if e.event_type_value == state}

    def colours(self) -> dict[str, tuple[bool, str]]:
        return {
            key.path[-1]: (check.passed, check.severity.value) for key, check in self.checks.items()
        }

    def report(self) -> Path:
        return Path(str(self.checks[ACCOUNT].metadata["report_file"].value))


@pytest.fixture
def bank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bank:
    monkeypatch.setenv("JINGXI_HOME", str(tmp_path / "home"))
    settings = read_settings()
    for folder in (settings.warehouse.parent, settings.reports):
        folder.mkdir(parents=True, exist_ok=True)
    return Bank()


@pytest.mark.parametrize(("broken", "sound"), [("account", "customer"), ("customer", "account")])
def test_a_rule_that_fails_on_one_asset_stops_everything_behind_any_of_its_layer(
    bank: Bank, broken: str, sound: str
) -> None:
    run = bank.run("all", **{broken: "3, 0"})
    assert not run.result.success
    assert run.steps("STEP_FAILURE") == {"gate_G2"}
    assert run.steps("STEP_START") == {"landing__account", "gate_G1", "base_layer", "gate_G2"}
    assert run.colours()[broken] == (False, "ERROR")
    assert run.colours()[sound][0]
    description = run.checks[dg.AssetKey(["base", sound])].description
    assert description == f"G2 failed on base.{broken}: nothing downstream of this layer runs"
    table = run.checks[dg.AssetKey(["base", broken])].metadata["broken_rules"].value
    (record,) = (row.data for row in table.records)
    assert record == {
        "severity": "fail",
        "rule": "nothing is broken",
        "seen": "broken 3",
        "limit": "0",
        "chance": "",
        "where": "",
        "what to do": "mend it",
    }
    assert "broken_rules" not in run.checks[dg.AssetKey(["base", sound])].metadata


def test_steps_behind_a_failed_gate_do_not_run_later_either(bank: Bank) -> None:
    bank.run("all", customer="3, 0")
    later = bank.run("later")
    assert later.steps("STEP_FAILURE") == {"value__account"}
    (failure,) = (e for e in later.result.all_events if e.event_type_value == "STEP_FAILURE")
    assert "gate G2 failed on layer base" in str(failure.step_failure_data)
    bank.run("all")
    assert bank.run("later").result.success


def test_a_warning_is_yellow_on_its_asset_and_stops_no_step(bank: Bank) -> None:
    run = bank.run("all", account="0, 2")
    assert run.result.success
    assert run.colours() == {"account": (False, "WARN"), "customer": (True, "WARN")}
    assert "release" in run.steps("STEP_SUCCESS")
    assert run.checks[ACCOUNT].description.startswith(
        "G2 warns: base.account: odd 2, limit at most 1"
    )


def test_the_report_of_a_run_is_in_the_language_of_the_settings(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JINGXI_LANGUAGE", "zh")
    page = bank.run("all", account="0, 2").report().read_text()
    assert '<html lang="zh">' in page
    assert "G2 警告：base.account：odd 2，限值不超过1" in page


def test_the_report_of_a_run_is_not_overwritten_by_the_next(bank: Bank) -> None:
    first = bank.run("all", account="0, 2").report()
    kept = first.read_text()
    second = bank.run("all", customer="0, 7").report()
    assert first != second and first.read_text() == kept
    assert "odd 2" in kept and "odd 7" not in kept
    assert (read_settings().reports / REPORT).read_text() == second.read_text()


def test_the_terminal_shows_what_a_step_does_under_its_name(
    bank: Bank, capfd: pytest.CaptureFixture[str]
) -> None:
    bank.run("all", account="0, 2")
    lines = capfd.readouterr().out.splitlines()
    index = next(i for i, line in enumerate(lines) if "reading the delivery" in line)
    assert lines[index - 1].startswith("  landing")
    assert lines[index].endswith(" s  reading the delivery of files")
    warned = next(i for i, line in enumerate(lines) if "G2 warns" in line)
    assert lines[warned - 1] == "  gate G2"
    assert lines[warned + 1].startswith("  gate G2                 done")


def test_the_terminal_is_in_the_language_of_the_settings(
    bank: Bank, capfd: pytest.CaptureFixture[str]
) -> None:
    with progress.displayed(5, quiet=False, language="zh"):
        bank.run("all", account="0, 2")
    lines = capfd.readouterr().out.splitlines()
    assert any(line.endswith(" 秒  读取数据：files") for line in lines)
    # A Chinese sign takes two columns.
    assert any(re.match(r"  闸门 G2 {17}已完成  +[\d.]+ 秒$", line) for line in lines)
    assert any("G2 警告：base.account：odd 2，限值不超过1" in line for line in lines)


def test_a_step_silent_for_long_is_shown_as_still_running(
    bank: Bank, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "MOST_SILENT_SECONDS", 0.05)
    bank.run("all")
    lines = capfd.readouterr().out.splitlines()
    gate_line = lines.index("  gate G2")
    assert lines[gate_line + 1].endswith(" s  still running")


def test_quiet_progress_is_warnings_and_errors_on_standard_error(
    bank: Bank, capfd: pytest.CaptureFixture[str]
) -> None:
    with progress.displayed(5, quiet=True):
        bank.run("all", account="0, 2", customer="0, 7")
    shown = capfd.readouterr()
    assert shown.out == ""
    assert "G2 warns: base.account: odd 2" in shown.err and "reading the delivery" not in shown.err
    with progress.displayed(5, quiet=True):
        bank.run("all", customer="3, 0")
    assert "gate G2                 FAILED" in capfd.readouterr().err


def test_a_terminal_shows_the_lines_and_a_bar_of_the_steps_that_goes_at_the_end(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "__stdout__", terminal)
    monkeypatch.setenv("TERM", "xterm-256color")
    steps = len(bank.definitions.resolve_job_def("all").nodes)
    with progress.displayed(steps, quiet=False):
        bank.run("all", account="0, 2")
    shown = terminal.getvalue()
    assert "  gate G2                 done" in shown and "\x1b[33m" in shown
    counts = [
        int(count) for count in re.findall(rf"(\d)/{steps}", re.sub(r"\x1b\[[\d;]*m", "", shown))
    ]
    assert counts == sorted(counts) and counts[-1] == steps
    assert shown.rindex(SHOW_CURSOR) > shown.rindex(f"{steps}/{steps}")
