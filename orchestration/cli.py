"""The command line behind `make`: refresh, train, promote, releases, rollback, customer, export."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration.platform import environment
from orchestration.platform.files import write_whole
from orchestration.platform.lock import one_refresh_at_a_time
from orchestration.platform.model_store import check_model_store
from orchestration.platform.refusal import Refused
from orchestration.platform.settings import PYDANTIC, Settings, name_of, named, read_settings
from orchestration.platform.supervision import Ended, supervise

if TYPE_CHECKING:
    from dagster import JobExecutionResult

REFUSED = 2
FAILED = 1
# A shell's exit status of a command that a signal ended: this and the signal's number.
SIGNALLED = 128
READING = {"summary", "releases"}
LONG = {"refresh", "train"}

CHECK_DESCRIPTION = """\
Judge a delivery in seconds, building nothing: what is wrong with it, how many rows of each table
land or go to quarantine, bookings and amounts by month, and gate G1. The home's landing, warehouse
and releases stay as they are; a refresh may run meanwhile.

exit status: 0 a refresh would build on it, 1 gate G1 fails, 2 it is refused"""
CHECK_EPILOG = """\
examples:
  jingxi check /path/to/delivery
  jingxi check /path/to/delivery --as-of 2025-06
  jingxi check /path/to/delivery --json > answer.json
  jingxi check /path/to/berka --source berka
  make check SOURCE_PATH=/path/to/delivery AS_OF=2025-06 JSON=1
    (make itself ends with status 2 whenever the check does not end with 0)"""


def refresh(settings: Settings, months: str | None, *, verbose: bool) -> int:
    """Run the whole refresh in this process; the exit status tells whether it published."""
    from orchestration.platform.partitions import months_asked, months_of, months_written

    if months:
        # Before the delivery is read, which may take minutes.
        months_written(months)
    from orchestration.landing.delivery import open_delivery
    from orchestration.landing.health import prepare_home
    from orchestration.platform import ahead
    from orchestration.platform.engine import connect
    from orchestration.platform.reference import prepare_reference

    started = time.monotonic()
    print(f"jingxi refresh of {settings.source} into {settings.home}", flush=True)
    check_model_store(settings)
    for line in prepare_home(settings):
        print(f"  note: {line}", flush=True)
    prepare_reference(settings)
    ahead.prepare_stores(settings)
    with connect(settings) as connection:
        delivery = open_delivery(settings, connection)
    last_month = months_of(settings).get_last_partition_key()
    if last_month is None or delivery.as_of > last_month:
        raise ValueError(
            f"{named('as_of')} is invalid: {delivery.as_of} lies after the last month of this "
            f"source, {last_month}"
        )
    start, end = months_asked(months, delivery.first_month, delivery.as_of)
    print(f"  as of {delivery.as_of}, months {start} to {end}", flush=True)

    from orchestration.operations.jobs import refresh_tags
    from orchestration.platform.runs import REFRESH
    from orchestration.release.summary import failure_summary, release_summary

    ahead.import_heavy_modules()
    result = _execute(
        settings, REFRESH, refresh_tags(delivery.as_of, (start, end)), verbose=verbose
    )
    seconds = time.monotonic() - started
    if not result.success:
        print(failure_summary(settings, result, seconds), file=sys.stderr)
        return FAILED
    print(release_summary(settings, seconds))
    return 0


def train(settings: Settings, model: str | None, *, verbose: bool) -> int:
    """Train and judge one model or all from the features as they stand; scores and publishes
    nothing.

    Raises
    ------
    ValueError
        For a model that there is not.
    """
    from orchestration.landing.health import prepare_home
    from orchestration.models.assets import DESCRIPTIONS
    from orchestration.platform.resources import MODEL_TAG
    from orchestration.platform.runs import TRAIN
    from orchestration.release.summary import failure_summary

    if model is not None and model not in DESCRIPTIONS:
        raise ValueError(f"MODEL={model} is invalid: expected one of {', '.join(DESCRIPTIONS)}")
    started = time.monotonic()
    print(f"jingxi training in {settings.home}", flush=True)
    check_model_store(settings)
    for line in prepare_home(settings):
        print(f"  note: {line}", flush=True)
    result = _execute(settings, TRAIN, {MODEL_TAG: model} if model else {}, verbose=verbose)
    if not result.success:
        words = failure_summary(settings, result, time.monotonic() - started)
        print(words, file=sys.stderr)
        return FAILED
    print("trained; scores are older now: make refresh TRAIN=never scores and publishes")
    return 0


def _execute(
    settings: Settings, job: str, tags: Mapping[str, str], *, verbose: bool
) -> JobExecutionResult:
    from dagster import DagsterInstance

    from orchestration.definitions import build_definitions
    from orchestration.platform import runs

    loggers: dict[str, dict] = {"progress": {}}
    if verbose:
        loggers["console"] = {"config": {"log_level": "INFO"}}
    log = settings.home / "logs" / f"{job}.log"
    log.parent.mkdir(exist_ok=True)
    with (
        DagsterInstance.get() as instance,
        log.open("w") as words,
        redirect_stdout(sys.stdout if verbose else words),
    ):
        for line in runs.close_stale_runs(settings, instance):
            print(f"  {line}", file=sys.__stdout__, flush=True)
        definition = build_definitions(settings).resolve_job_def(job)
        own = {**tags, runs.PROCESS_TAG: str(os.getppid())}
        return runs.execute(definition, instance, {"loggers": loggers}, own)


def promote(settings: Settings, asked: argparse.Namespace) -> int:
    """Make a version champion, or return to the champion before, on a person's word."""
    check_model_store(settings)
    from orchestration.models import governance

    registry = governance.open_registry(settings)
    if asked.command == "promote":
        appointment = governance.promote(
            registry,
            asked.model,
            asked.version,
            asked.approver,
            asked.reason,
            override=asked.override,
            mode=settings.promotion,
        )
    else:
        appointment = governance.roll_back(
            registry, asked.model, asked.approver, asked.reason, mode=settings.promotion
        )
    print("\n".join(appointment.lines()))
    return 0


def export(settings: Settings, folder: Path, file_format: str) -> int:
    """Write the synthetic bank's delivery as a bank would deliver it."""
    from orchestration.landing.chosen_source import source_of
    from orchestration.platform.engine import connect
    from sources.export import export_delivery

    with connect(settings) as connection:
        source = source_of(settings)
        source.prepare(connection)
        count = export_delivery(connection, settings.delivery / "synthetic", folder, file_format)
    print(f"{count} files in {folder}; refresh from them: ")
    print(f"  make refresh SOURCE=files SOURCE_PATH={folder}")
    return 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="jingxi",
        description="Customer value, predictions and decisions of a bank in one gated refresh.",
        epilog="Settings come from JINGXI_* variables; see README.md.",
    )
    commands = top.add_subparsers(dest="command", required=True)
    run = commands.add_parser("refresh", help="run the whole refresh and publish a release")
    run.add_argument("--months", help="YYYY-MM or YYYY-MM:YYYY-MM; default: the whole history")
    run.add_argument("--verbose", action="store_true", help="show every log line of Dagster")
    judging = commands.add_parser(
        "check",
        help="judge a delivery without building from it",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=CHECK_DESCRIPTION,
        epilog=CHECK_EPILOG,
    )
    judging.add_argument(
        "source_path", nargs="?", metavar="FOLDER", help="the delivery; default: SOURCE_PATH"
    )
    judging.add_argument("--source", help="files (the default), berka or synthetic")
    judging.add_argument("--as-of", metavar="YYYY-MM", help="default: the last complete month")
    judging.add_argument("--json", action="store_true", help="print one JSON object, nothing else")
    training = commands.add_parser("train", help="train and judge the models, nothing else")
    training.add_argument("--model", help="this one alone, such as clv; default: all")
    training.add_argument("--verbose", action="store_true", help="show every log line of Dagster")
    for name, help_text in (
        ("promote", "make a version champion, on the word of somebody who did not train it"),
        ("rollback-model", "make the champion before the standing one champion again"),
    ):
        person = commands.add_parser(name, help=help_text)
        person.add_argument("--model", required=True, help="its name in the registry, such as clv")
        if name == "promote":
            person.add_argument("--version", required=True, help="its number in the registry")
            person.add_argument(
                "--override", action="store_true", help="against the policy; the audit says so"
            )
        person.add_argument("--approver", required=True, help="who answers for it")
        person.add_argument("--reason", required=True, help="why; kept in the audit")
    commands.add_parser("summary", help="what the served release holds and where to look")
    commands.add_parser("releases", help="the releases at hand")
    back = commands.add_parser("rollback", help="serve an older release again")
    back.add_argument("release_id", nargs="?", help="default: the one before the served one")
    out = commands.add_parser("export", help="write the synthetic bank as a delivery of files")
    out.add_argument("folder", type=Path)
    out.add_argument("--format", choices=("csv", "parquet"), default="parquet")
    page = commands.add_parser("customer", help="all that the release tells of one customer")
    page.add_argument("--id", required=True, help="the customer_id")
    page.add_argument("--role", default="manager", help="who asks: some may see more of a person")
    page.add_argument("--to", type=Path, help="where to write the page; default: the reports")
    ui = commands.add_parser("ui", help="Dagster, MLflow and the reports on 127.0.0.1")
    ui.add_argument("--port", type=int, default=3000, help="Dagster; MLflow +1, reports +2")
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run one command; refusals and failures end with a message, not a stack trace."""
    asked = parser().parse_args(arguments)
    if asked.command == "check":
        from orchestration.operations.delivery_check import check

        given = {name: getattr(asked, name) for name in ("source_path", "source", "as_of")}
        return check({name: value for name, value in given.items() if value}, as_json=asked.json)
    warnings.filterwarnings("ignore", module="dagster")
    logging.captureWarnings(True)
    return _told(asked.command, lambda: _begin(asked))


def _told(command: str, work: Callable[[], int]) -> int:
    """The exit status of the work, or of its failure, which is told in a few lines."""
    from pydantic import ValidationError

    try:
        return work()
    except KeyboardInterrupt:
        print("stopped by SIGINT", file=sys.stderr)
        return SIGNALLED + signal.SIGINT
    except ValidationError as error:
        for problem in error.errors():
            said = problem["msg"].removeprefix(PYDANTIC)
            print(f"refused: {name_of(problem['loc'])} is invalid: {said}", file=sys.stderr)
        return REFUSED
    except Exception as error:
        if isinstance(error, (Refused, ValueError)) and not isinstance(error, json.JSONDecodeError):
            print(f"refused: {error}", file=sys.stderr)
            return REFUSED
        print(_failure(command, error), file=sys.stderr)
        return FAILED


def _failure(command: str, error: Exception) -> str:
    """An unforeseen error in words: its reason, the cure if there is one, where the trace is."""
    from orchestration.landing.health import cure_of

    reason: BaseException = error
    while reason.__cause__ is not None:
        reason = reason.__cause__
    said = f"{type(reason).__name__}: {str(reason).strip().splitlines()[0] if str(reason) else ''}"
    lines = [f"{command} failed: {said}"]
    trace = "".join(traceback.format_exception(error))
    try:
        settings = read_settings()
        cure = cure_of(f"{said} {reason} {error}", settings)
        lines += [cure] if cure else []
        path = settings.home / "logs" / f"{command}.trace"
        write_whole(path, trace)
        lines.append(f"the trace is in {path}")
    except (ValueError, OSError):
        lines.append("no trace could be written to the home")
    lines.append("the release served before is untouched")
    return "\n".join(lines)


def _begin(asked: argparse.Namespace) -> int:
    settings = read_settings()
    environment.prepare(settings, reading=asked.command in READING)
    if asked.command == "ui":
        return _serve(settings, asked.port)
    if asked.command not in LONG:
        return _run(asked, settings)
    with one_refresh_at_a_time(settings, f"make {asked.command}"):
        before = _link(settings)
        ended = supervise(lambda: _told(asked.command, lambda: _run(asked, settings)))
        environment.keep_private(settings)
        if ended.signal is not None:
            print(_stopped(settings, asked.command, ended, before), file=sys.stderr, flush=True)
            _close_run(settings, ended)
        return ended.status


def _serve(settings: Settings, port: int) -> int:
    """The UI until a signal ends it, its servers and the runs that were launched from it."""
    from orchestration.operations import ui

    ended = supervise(lambda: _told("ui", lambda: ui.serve(settings, port)), ui.PATIENCE_SECONDS)
    environment.keep_private(settings)
    ui.close_stale_runs(settings)
    return 0 if ended.asked else ended.status


def _link(settings: Settings) -> str | None:
    """The release that the link names; None before the first."""
    link = settings.published / "current.duckdb"
    return Path(os.readlink(link)).stem if link.is_symlink() else None


def _stopped(settings: Settings, command: str, ended: Ended, before: str | None) -> str:
    cause = ended.signal.name if ended.signal else ""
    now = _link(settings)
    if not ended.asked:
        cause += " from outside"
        if ended.signal is signal.SIGKILL:
            cause += ", perhaps by the system for want of memory (JINGXI_MEMORY bounds it)"
    return f"{command} was stopped by {cause}; all of its processes have ended. " + (
        f"Published: {now}" if now != before else f"Still served: {now or 'nothing yet'}"
    )


def _close_run(settings: Settings, ended: Ended) -> None:
    """Have Dagster say of the run that it is over."""
    from dagster import DagsterInstance, DagsterRunStatus, RunsFilter

    from orchestration.platform.runs import PROCESS_TAG

    with DagsterInstance.get() as instance:
        under_way = RunsFilter(
            tags={PROCESS_TAG: str(os.getpid())},
            statuses=[
                DagsterRunStatus.NOT_STARTED,
                DagsterRunStatus.STARTING,
                DagsterRunStatus.STARTED,
            ],
        )
        for run in instance.get_runs(under_way):
            words = f"stopped by {ended.signal.name if ended.signal else 'a signal'}"
            if ended.asked:
                instance.report_run_canceled(run, words)
            else:
                instance.report_run_failed(run, words)


def _run(asked: argparse.Namespace, settings: Settings) -> int:
    if asked.command == "refresh":
        return refresh(settings, asked.months, verbose=asked.verbose)
    if asked.command == "train":
        return train(settings, asked.model, verbose=asked.verbose)
    if asked.command in ("promote", "rollback-model"):
        with one_refresh_at_a_time(settings, f"make {asked.command}"):
            return promote(settings, asked)
    if asked.command == "export":
        with one_refresh_at_a_time(settings, "make export"):
            return export(settings, asked.folder.expanduser().resolve(), asked.format)
    if asked.command == "customer":
        from orchestration.customer_page import customer_page

        print(customer_page(settings, asked.id, asked.role, asked.to))
        return 0
    from orchestration.platform import releases
    from orchestration.release.summary import release_summary

    if asked.command == "rollback":
        print(f"served now: {releases.roll_back(settings, asked.release_id).stem}")
    elif asked.command == "releases":
        current = _link(settings)
        for path in releases.releases_of(settings):
            print(f"{path.stem}{'  (served)' if path.stem == current else ''}")
    else:
        print(release_summary(settings, None))
    return 0
