"""The command `jingxi`, which `make` calls, too.

A command imports its modules when it runs, so that help and errors of arguments are immediate.
"""

from __future__ import annotations

import atexit
import gc
import json
import logging
import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer

from orchestration.platform import environment, terminal
from orchestration.platform.files import write_whole
from orchestration.platform.lock import one_refresh_at_a_time
from orchestration.platform.model_store import check_model_store, make_model_store
from orchestration.platform.refusal import Refused
from orchestration.platform.settings import (
    IN_PROCESS,
    PREFIX,
    PYDANTIC,
    Settings,
    name_of,
    named,
    read_settings,
)
from orchestration.platform.supervision import Ended, supervise
from sources.message import Message

if TYPE_CHECKING:
    from dagster import JobExecutionResult

    from orchestration.models.governance import Appointment

REFUSED = 2
FAILED = 1
# A shell's exit status of a command that a signal ended: this and the signal's number.
SIGNALLED = 128

app = typer.Typer(
    help="Customer value, predictions and decisions of a bank in one gated refresh.",
    epilog="Settings come from JINGXI_* variables; README.md lists them. "
    "Exit status: 0 done, 1 failed, 2 refused, 128 + N ended by signal N.",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Verbose = Annotated[bool, typer.Option("--verbose", help="Show every log line of Dagster.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print warnings and errors only.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
Language = Annotated[
    Literal["en", "zh"] | None,
    typer.Option(help="Language; default: that of the settings."),
]
Model = Annotated[str, typer.Option(help="Registered name of the model, such as clv.")]
Approver = Annotated[
    str, typer.Option(help="Who approves; with a roles file the person who runs this.")
]
Reason = Annotated[str, typer.Option(help="Why; kept in the audit.")]


def run() -> NoReturn:
    """`main` as a program.

    Everything is closed and written when `main` returns. A normal exit would then spend three
    seconds tearing down hundreds of modules after a refresh.
    """
    # The libraries hold a million objects during a refresh. Searching them for cycles as often as
    # Python does by default takes a tenth of the time of a small refresh.
    gc.set_threshold(50_000, 50, 100)
    status = main()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status; it ends with a message, not a stack trace."""
    # Boxes and colour on a terminal, plain text in a file or pipe.
    app.rich_markup_mode = "rich" if terminal.is_terminal() and sys.stderr.isatty() else None
    try:
        app(args=arguments, prog_name="jingxi")
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


@app.command()
def refresh(
    months: Annotated[
        str | None,
        typer.Option(
            metavar="YYYY-MM[:YYYY-MM]",
            help="Rebuild these months and those whose records changed; default: all months.",
        ),
    ] = None,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Run the whole refresh and publish a release.

    Exit status: 0 published, 1 a gate or a step failed, 2 refused before anything was built.
    """
    _supervise(
        "refresh",
        lambda settings: _refresh(settings, months, verbose=verbose, quiet=quiet),
        quiet=quiet,
    )


@app.command(
    epilog="""\
\b
Examples:
  jingxi check /path/to/delivery
  jingxi check /path/to/delivery --as-of 2025-06
  jingxi check /path/to/delivery --json > answer.json
  jingxi check /path/to/berka --source berka
  jingxi check /path/to/extracts --mapping mapping.yml
  make check SOURCE_PATH=/path/to/delivery AS_OF=2025-06 JSON=1
    (make itself ends with status 2 whenever the check does not end with 0)"""
)
def check(
    source_path: Annotated[
        str | None, typer.Argument(metavar="FOLDER", help="The delivery; default: SOURCE_PATH.")
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="files (the default), berka or synthetic.")
    ] = None,
    as_of: Annotated[
        str | None, typer.Option(metavar="YYYY-MM", help="Default: the last complete month.")
    ] = None,
    mapping: Annotated[
        str | None, typer.Option(metavar="FILE", help="The files' mapping; default: MAPPING.")
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Check a delivery in seconds and build nothing.

    Shows what is wrong with the delivery, how many rows of each table land or go to quarantine,
    bookings and amounts by month, and gate G1. The home's landing, warehouse and releases do not
    change; a refresh may run at the same time.

    Exit status: 0 a refresh would accept it, 1 gate G1 fails, 2 the delivery is refused.
    """
    from orchestration.operations.delivery_check import check as judge

    given = {"source_path": source_path, "source": source, "as_of": as_of, "mapping": mapping}
    status = judge(
        {name: value for name, value in given.items() if value}, as_json=as_json, quiet=quiet
    )
    raise typer.Exit(status)


@app.command(
    "map",
    epilog="""\
\b
Examples:
  jingxi map /path/to/extracts
  make map SOURCE_PATH=/path/to/extracts MAPPING=mapping.yml FORCE=1""",
)
def propose_mapping(
    source_path: Annotated[
        Path | None, typer.Argument(metavar="FOLDER", help="The files; default: SOURCE_PATH.")
    ] = None,
    to: Annotated[
        Path | None, typer.Option(help="The new file; default: MAPPING, or ./mapping.yml.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Add to the file what it lacks; its answers stay.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Propose a mapping of a bank's own files to the contract.

    Reads the start of each file: names, types, keys, references, dates, encodings; and the codes of
    all rows. Writes the proposal with a confidence for each column, and lists the questions that it
    leaves.
    """
    os.environ.setdefault(f"{PREFIX}SOURCE", "files")

    def show(settings: Settings) -> int:
        from orchestration.landing.mapping_proposal import MappingRefused, propose_file
        from orchestration.platform.wording import in_language
        from sources.interface import DeliveryRefused

        place = to or settings.mapping or Path("mapping.yml")
        try:
            found = propose_file(settings, source_path or settings.source_path, place, force=force)
        except (MappingRefused, DeliveryRefused) as error:
            refused = Message("refused: {0}", error.args[0])
            terminal.problem(in_language(refused, settings.language))
            return REFUSED
        if as_json:
            print(json.dumps(found))
            return 0
        kept = in_language(Message("given by the bank"), settings.language)
        for table, file in found["tables"].items():
            print(f"  {table:<18}{file}{f'  # {kept}' if table in found['kept'] else ''}")
        _show(settings, Message("proposed in {0}; questions that remain:", found["path"]))
        for number, question in enumerate(found["questions"], 1):
            _show(settings, question, f"  {number}. ")
        check = f"make check SOURCE_PATH={found['folder']} MAPPING={found['path']}"
        if found["currency"]:
            check += f" CURRENCY={found['currency']}"
        _show(settings, Message("then: {0}", check))
        return 0

    _run("map", show)


@app.command()
def train(
    model: Annotated[
        str | None, typer.Option(help="Train this model alone, such as clv; default: all.")
    ] = None,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Train and judge the models; publish nothing.

    Training uses the features of the last refresh; make refresh TRAIN=never then scores with the
    new models.
    """
    _supervise(
        "train",
        lambda settings: _train(settings, model, verbose=verbose, quiet=quiet),
        quiet=quiet,
    )


@app.command()
def promote(
    model: Model,
    version: Annotated[str, typer.Option(help="Number of the version in the registry.")],
    reason: Reason,
    approver: Approver = "",
    override: Annotated[
        bool,
        typer.Option("--override", help="Promote against the policy; recorded in the audit."),
    ] = False,
) -> None:
    """Make a version champion. The approver must not be its trainer."""

    def appoint(settings: Settings) -> Appointment:
        from orchestration.models import governance

        return governance.carry_out_promotion(
            settings, model, version, approver, reason, override=override
        )

    _locked("promote", lambda settings: _appoint(settings, appoint))


@app.command("rollback-model")
def rollback_model(model: Model, reason: Reason, approver: Approver = "") -> None:
    """Make the previous champion champion again."""

    def appoint(settings: Settings) -> Appointment:
        from orchestration.models import governance

        return governance.carry_out_rollback(settings, model, approver, reason)

    _locked("rollback-model", lambda settings: _appoint(settings, appoint))


@app.command()
def summary(as_json: AsJson = False) -> None:
    """Show the contents of the served release and where to find them."""

    def show(settings: Settings) -> int:
        from orchestration.release.summary import read_summary, show_summary

        found = read_summary(settings)
        if as_json:
            print(json.dumps(found, default=str))
        else:
            show_summary(found, None, settings.language)
        return 0

    _run("summary", show, reading=True)


@app.command()
def releases(as_json: AsJson = False) -> None:
    """List the available releases, the oldest first."""

    def show(settings: Settings) -> int:
        from orchestration.platform.releases import proposed, releases_of

        current, waiting = _link(settings), proposed(settings)
        found = [
            {
                "release": path.stem,
                "served": path.stem == current,
                "waits_for_approval": path == waiting,
                "bytes": path.stat().st_size,
            }
            for path in (*releases_of(settings), *((waiting,) if waiting else ()))
        ]
        if as_json:
            print(json.dumps(found))
        elif found and terminal.is_terminal() and settings.language == "en":
            terminal.table("Releases", found)
        else:
            for one in found:
                state = Message("served") if one["served"] else Message("waits for approval")
                marked = one["served"] or one["waits_for_approval"]
                release = Message("{0}  ({1})", one["release"], state)
                _show(settings, release if marked else one["release"])
        return 0

    _run("releases", show, reading=True)


@app.command()
def diff(
    before: Annotated[
        str | None, typer.Argument(help="Default: the release before the other one.")
    ] = None,
    after: Annotated[
        str | None,
        typer.Argument(help="Default: the release that waits for approval, or the served one."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what differs between two releases, and why: records, reference data, model, code."""

    def show(settings: Settings) -> int:
        from orchestration.valuation.differences import read_differences
        from orchestration.valuation.display import show_differences

        found = read_differences(settings, before or None, after or None)
        if as_json:
            print(json.dumps(found, default=str))
        else:
            show_differences(found, settings.language)
        return 0

    _run("diff", show, reading=True)


@app.command()
def portal(
    release_id: Annotated[
        str | None,
        typer.Argument(metavar="RELEASE", help="Default: the served release."),
    ] = None,
) -> None:
    """Write the portal of a release again."""

    def write(settings: Settings) -> int:
        from orchestration.platform.front_page import lead_to
        from orchestration.platform.releases import served
        from orchestration.portal import build_portal, chosen_release

        path = chosen_release(settings, release_id)
        print(build_portal(settings, path))
        if path == served(settings):
            lead_to(settings, path.stem)
        return 0

    _run("portal", write)


WAITING = typer.Argument(metavar="RELEASE", help="Default: the release that waits.")


@app.command()
def approve(
    reason: Reason,
    approver: Approver = "",
    release_id: Annotated[str | None, WAITING] = None,
) -> None:
    """Serve the release that waits for approval; its refresh was run by another person."""

    def serve(settings: Settings) -> int:
        from orchestration.release import approval

        path = approval.approve(settings, release_id or None, approver, reason)
        approval.follow(settings, path, terminal.problem)
        print(f"now served: {path.stem}")
        return 0

    _locked("approve", serve)


@app.command()
def reject(
    reason: Reason,
    approver: Approver = "",
    release_id: Annotated[str | None, WAITING] = None,
) -> None:
    """Remove the release that waits for approval; the served one does not change."""

    def remove(settings: Settings) -> int:
        from orchestration.release import approval

        print(f"removed: {approval.reject(settings, release_id or None, approver, reason)}")
        return 0

    _locked("reject", remove)


@app.command(
    epilog="""\
\b
Examples:
  jingxi erase --customer C00000001 --reason "request of 3 May"
  make erase CUSTOMER=C00000001 REASON="request of 3 May" OPEN_ACCOUNTS=1"""
)
def erase(
    customer: Annotated[str, typer.Option(help="The customer's id, as the bank delivers it.")],
    reason: Annotated[str, typer.Option(help="Why, without the name; kept in the audit.")],
    open_accounts: Annotated[
        bool, typer.Option("--open-accounts", help="Also where accounts are open.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Erase a person from the home; bookings stay, without the person. Prints a certificate."""

    def work(settings: Settings) -> int:
        from dataclasses import asdict

        from orchestration.erasure import erase
        from orchestration.erasure.display import show_certificate

        certificate = erase(settings, customer, reason, open_accounts=open_accounts)
        if as_json:
            print(json.dumps(asdict(certificate)))
        else:
            show_certificate(certificate)
        return 0

    _locked("erase", work)


@app.command()
def override(
    rule: Annotated[
        str,
        typer.Option(help="As the gate report names it: G1/landing_quarantine.above_tolerance."),
    ],
    table: Annotated[
        str, typer.Option(help="Table, model or column, where the rule is about several.")
    ] = "",
    bound: Annotated[str, typer.Option(help="Figure up to which it may fail; default: any.")] = "",
    expires: Annotated[
        str, typer.Option(metavar="YYYY-MM-DD", help="Last day, at most 92 days ahead.")
    ] = "",
    approver: Approver = "",
    reason: Annotated[str, typer.Option(help="Why; kept in the audit and shown.")] = "",
    withdraw: Annotated[bool, typer.Option("--withdraw", help="End the override.")] = False,
) -> None:
    """Accept for a time that a rule of a gate fails: it warns, and the release shows it."""

    def decide(settings: Settings) -> int:
        from orchestration.release import gate_overrides

        asked = gate_overrides.Asked(rule, table, bound, expires, approver, reason)
        if withdraw:
            print(f"withdrawn: {gate_overrides.withdraw(settings, asked)}")
        else:
            print(f"overridden: {gate_overrides.override(settings, asked)}")
        return 0

    _locked("override", decide)


@app.command()
def overrides(as_json: AsJson = False) -> None:
    """List the overrides of gates, in force and past."""

    def show(settings: Settings) -> int:
        from orchestration.platform.overrides import listed

        found = listed(settings)
        if as_json:
            print(json.dumps(found))
        elif found and terminal.is_terminal():
            terminal.table("Overrides of gates", found)
        else:
            for one in found:
                limit = "" if one["bound"] is None else f", bound {one['bound']:g}"
                print(
                    f"{one['rule']} on {one['place']}{limit}: {one['state']}, until "
                    f"{one['expires'] or '-'}, by {one['approver']}: {one['reason']}"
                )
        return 0

    _run("overrides", show, reading=True)


@app.command("rotate-key")
def rotate_key() -> None:
    """Make a new key of quarantine's tokens, or that of JINGXI_TOKEN_KEY; no month is rebuilt."""

    def rotate(settings: Settings) -> int:
        from orchestration.landing import token_key

        print("\n".join(token_key.rotate(settings)))
        return 0

    _locked("rotate-key", rotate)


@app.command()
def rollback(
    release_id: Annotated[
        str | None,
        typer.Argument(metavar="RELEASE", help="Default: the release before the served one."),
    ] = None,
) -> None:
    """Serve an older release again."""

    def serve(settings: Settings) -> int:
        from orchestration.platform.releases import roll_back

        print(f"now served: {roll_back(settings, release_id).stem}")
        return 0

    _run("rollback", serve)


@app.command()
def audit(
    since: Annotated[
        str | None, typer.Option(metavar="YYYY-MM-DD", help="Only lines from this day on.")
    ] = None,
    act: Annotated[str | None, typer.Option(help="Only this act, such as publish.")] = None,
    user: Annotated[str | None, typer.Option(help="Only what this user did.")] = None,
    subject: Annotated[
        str | None, typer.Option(help="Only this subject, or this customer's or account's id.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Verify the audit trail and show it.

    Exit status: 0 it is what was written, 1 it is not (the first broken line is named), 2 refused.
    """

    def show(settings: Settings) -> int:
        from orchestration.operations.audit_trail import show_trail

        return show_trail(settings, since, act, user, subject, as_json=as_json)

    _run("audit", show, reading=True)


@app.command()
def status(as_json: AsJson = False) -> None:
    """Show what is served and waits, the last runs, whether a refresh runs, and all sizes.

    Writes nothing: it works on a read-only disk and during a refresh. Exit status: 0, or 1 where
    the served release cannot be read.
    """

    def show(settings: Settings) -> int:
        from orchestration.home.status import read_status, show_status

        found = read_status(settings)
        if as_json:
            print(json.dumps(found))
        else:
            show_status(found, settings.language)
        return FAILED if found["problem"] else 0

    _run("status", show, reading=True)


@app.command()
def retain(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be removed; write nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """End the storage of what nobody can return to, within the limits of the settings.

    Old releases with their reports and exports, runs of Dagster and MLflow, logs and temporary
    files of ended processes (JINGXI_KEPT_RELEASES, JINGXI_KEPT_RUN_DAYS, JINGXI_KEPT_MODEL_DAYS,
    JINGXI_KEPT_LOG_DAYS). The audit trail, the served release and what a rollback needs stay.
    """

    def end(settings: Settings) -> int:
        from orchestration.home import retention

        found = retention.retain(settings, dry_run=dry_run)
        if as_json:
            print(json.dumps(found))
        else:
            retention.show_retention(found)
        return 0

    if dry_run:
        _run("retain", end, reading=True)
    _locked("retain", end)


@app.command()
def backup(
    to: Annotated[Path, typer.Argument(metavar="FILE", help="The archive to write, a new file.")],
    include_secrets: Annotated[
        bool, typer.Option("--include-secrets", help="With the keys of the tokens.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write everything that cannot be built anew into one verified archive.

    A refresh may run and readers may read at the same time.
    """

    def write(settings: Settings) -> int:
        from orchestration.home import backup

        found = backup.back_up(settings, to, include_secrets=include_secrets)
        if as_json:
            print(json.dumps(found))
        else:
            backup.show_backup(found)
        return 0

    _run("backup", write)


@app.command()
def restore(
    archive: Annotated[Path, typer.Argument(metavar="FILE", help="An archive of jingxi backup.")],
    to: Annotated[
        Path | None, typer.Argument(metavar="HOME", help="Empty or new; default: JINGXI_HOME.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the home of an archive into an empty folder, whole or not at all.

    A truncated or changed archive is refused, and nothing is left behind.
    """

    def write(settings: Settings) -> int:
        from orchestration.home import backup

        found = backup.restore(settings, archive)
        if as_json:
            print(json.dumps(found))
        else:
            backup.show_restored(found)
        return 0

    _run("restore", write, reading=True, home=to)


@app.command()
def doctor(
    heal: Annotated[
        bool, typer.Option("--heal", help="Repair what can be derived from the rest.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check every part of the home: one line each, with the cure of what is wrong.

    Without --heal nothing is written. Exit status: 0 all is sound or healed, 1 something is wrong.
    """

    def check_home(settings: Settings) -> int:
        from orchestration.home import doctor

        if heal:
            with one_refresh_at_a_time(settings, doctor.LOCK_HOLDER):
                found = doctor.examine(settings, heal=True)
        else:
            found = doctor.examine(settings)
        if as_json:
            print(json.dumps(doctor.as_json(found)))
        else:
            doctor.show_findings(found)
        return FAILED if any(one.state == doctor.WRONG for one in found) else 0

    _run("doctor", check_home, reading=True)


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to write the files.")],
    file_format: Annotated[
        Literal["csv", "parquet"], typer.Option("--format", help="Format of the files.")
    ] = "parquet",
) -> None:
    """Write the synthetic bank as a delivery of files."""
    _locked("export", lambda settings: _export(settings, folder, file_format))


@app.command()
def customer(
    customer_id: Annotated[str, typer.Option("--id", help="The customer_id.")],
    role: Annotated[
        str, typer.Option(help="Role of the reader; some roles see more personal data.")
    ] = "manager",
    to: Annotated[
        Path | None, typer.Option(help="File to write; default: the home's customer pages.")
    ] = None,
    language: Language = None,
) -> None:
    """Write the page of one customer."""

    def write(settings: Settings) -> int:
        from orchestration.customer_page import customer_page

        print(customer_page(settings, customer_id, role, to, language or settings.language))
        return 0

    _run("customer", write)


@app.command()
def explain(
    account: Annotated[str, typer.Option(help="The account_id.")],
    month: Annotated[
        str | None,
        typer.Option(metavar="YYYY-MM", help="Default: the as-of month of the served release."),
    ] = None,
    role: Annotated[
        str, typer.Option(help="Role of the reader; only compliance reads erased customers.")
    ] = "manager",
    to: Annotated[Path | None, typer.Option(help="Page to write; default: the terminal.")] = None,
    language: Language = None,
    as_json: AsJson = False,
) -> None:
    """Show every amount of an account in a month: its formula, its parts and the bookings.

    Exit status: 0 each amount follows from its parts, 1 one does not, 2 refused.
    """

    def show(settings: Settings) -> int:
        from orchestration.valuation.display import show_explanation, write_explanation
        from orchestration.valuation.explanation import explain as find

        found = find(settings, account, month, role)
        if to:
            write_explanation(found, to, language or settings.language)
        if as_json:
            print(json.dumps(found, default=str))
        elif to:
            print(to)
        else:
            show_explanation(found, language or settings.language)
        return FAILED if found["differences"] else 0

    _run("explain", show)


@app.command()
def price(
    product: Annotated[str, typer.Option(help="The product_id of a loan or deposit.")],
    amount: Annotated[str, typer.Option(help="Amount lent or deposited, such as 25000.")],
    term: Annotated[
        int | None, typer.Option(help="Agreed term in months; default: without a term.")
    ] = None,
    customer: Annotated[
        str | None, typer.Option(help="The customer_id; default: a price for each tier.")
    ] = None,
    rate: Annotated[
        str | None, typer.Option(help="Yearly rate asked for, such as 0.045; default: the floor.")
    ] = None,
    role: Annotated[
        str, typer.Option(help="Role of the reader; only compliance reads erased customers.")
    ] = "manager",
    as_json: AsJson = False,
) -> None:
    """Price a new loan or deposit by the served release: the floor, and a year at a rate."""

    def show(settings: Settings) -> int:
        from orchestration.valuation.display import show_price
        from orchestration.valuation.price import price as find

        found = find(settings, product, amount, term, customer, rate, role)
        if as_json:
            print(json.dumps(found, default=str))
        else:
            show_price(found, settings.language)
        return 0

    _run("price", show)


@app.command()
def reference(
    to: Annotated[
        Path | None, typer.Option(help="New folder; default: the home's reference_proposal.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier proposal.")] = False,
    as_json: AsJson = False,
) -> None:
    """Propose reference data from the bank's rates, costs, defaults and deposits in the release.

    Writes CSV files that REFERENCE_PATH takes as they are, all others as they are in force, and a
    README.md with the origin of each figure and what each file steers. Nothing else changes.
    """

    def show(settings: Settings) -> int:
        from orchestration.valuation.display import show_proposal
        from orchestration.valuation.proposal import propose

        found = propose(settings, to, force=force)
        if as_json:
            print(json.dumps(found, default=str))
        else:
            show_proposal(found, settings.language)
        return 0

    _run("reference", show)


@app.command()
def scenario(
    name: Annotated[str, typer.Option(help="Name of the scenario, such as +100bp.")],
    by: Annotated[
        Literal["line", "product", "branch", "tier"],
        typer.Option(help="What the rows of the table are."),
    ] = "line",
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Value the months of the served release on the reference data of REFERENCE_PATH.

    Shows the differences of twelve months as one table; difference.csv in the home's scenarios/NAME
    has them by line, product, branch and tier. Nothing is published.
    """

    def show(settings: Settings) -> int:
        from orchestration.valuation.display import show_scenario
        from orchestration.valuation.scenarios import value_scenario

        found = value_scenario(settings, name)
        if as_json:
            print(json.dumps(found, default=str))
        elif not quiet:
            show_scenario(found, settings.language, by)
        return 0

    _run("scenario", show)


@app.command()
def ui(
    port: Annotated[
        int, typer.Option(help="Port of Dagster; MLflow uses the next, the reports the one after.")
    ] = 3000,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Dagster without launches, and the reports.")
    ] = False,
) -> None:
    """Serve Dagster, MLflow and the reports on 127.0.0.1; requests of other sites are refused."""
    _run("ui", lambda settings: _serve(settings, port, read_only=read_only))


def _run(
    command: str,
    work: Callable[[Settings], int],
    *,
    reading: bool = False,
    home: Path | None = None,
) -> NoReturn:
    """Read the settings, prepare the home, do the work and end with its exit status."""
    warnings.filterwarnings("ignore", module="dagster")
    logging.captureWarnings(True)

    def begin() -> int:
        settings = read_settings(**({"home": home} if home else {}))
        environment.prepare(settings, reading=reading)
        return work(settings)

    raise typer.Exit(_reported(command, begin))


def _locked(command: str, work: Callable[[Settings], int]) -> NoReturn:
    """The same, holding the home's lock."""

    def hold(settings: Settings) -> int:
        with one_refresh_at_a_time(settings, f"make {command}"):
            return work(settings)

    _run(command, hold)


def _supervise(command: str, work: Callable[[Settings], int], *, quiet: bool) -> NoReturn:
    """The same, in a process of its own, which ends with all of its children when this one does."""

    def watch(settings: Settings) -> int:
        before = _link(settings)
        ended = supervise(
            lambda: _reported(command, lambda: _watched(settings, command, work), quiet=quiet)
        )
        environment.keep_private(settings)
        if ended.signal is not None:
            terminal.restore()
            terminal.problem(_stopped(settings, command, ended, before))
            _close_run(settings, command, ended)
        return ended.status

    _locked(command, watch)


def _watched(settings: Settings, command: str, work: Callable[[Settings], int]) -> int:
    from orchestration.operations import notices

    return notices.watched(settings, command, lambda: work(settings))


def _reported(command: str, work: Callable[[], int], *, quiet: bool = False) -> int:
    """Do the work and return its exit status; a failure is reported in a few lines."""
    from pydantic import ValidationError

    try:
        if not quiet:
            return work()
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
            return work()
    except KeyboardInterrupt:
        terminal.problem("stopped by SIGINT")
        return SIGNALLED + signal.SIGINT
    except ValidationError as error:
        for wrong in error.errors():
            reason = wrong["msg"].removeprefix(PYDANTIC)
            terminal.problem(f"refused: {name_of(wrong['loc'])} is invalid: {reason}")
        return REFUSED
    except Exception as error:
        if isinstance(error, (Refused, ValueError)) and not isinstance(error, json.JSONDecodeError):
            # What a message is made of; str() of an exception is plain text.
            reason = error.args[0] if error.args[:1] == (str(error),) else str(error)
            terminal.problem(_worded(Message("refused: {0}", reason)))
            return REFUSED
        terminal.problem(_failure(command, error))
        return FAILED


def _worded(message: Message) -> str:
    """In the language of the settings; in English where they cannot be read."""
    from orchestration.platform.wording import in_language

    try:
        return in_language(message, read_settings().language)
    except ValueError:
        return str(message)


def _failure(command: str, error: Exception) -> str:
    """The message of an unexpected error: its reason, a known cure, the path of the trace."""
    from orchestration.landing.health import cure_of

    reason: BaseException = error
    while reason.__cause__ is not None:
        reason = reason.__cause__
    first = str(reason).strip().splitlines()[0] if str(reason) else ""
    what = f"{type(reason).__name__}: {first}"
    lines = [f"{command} failed: {what}"]
    trace = "".join(traceback.format_exception(error))
    try:
        settings = read_settings()
        cure = cure_of(f"{what} {reason} {error}", settings)
        lines += [cure] if cure else []
        path = settings.home / "logs" / f"{command}.trace"
        write_whole(path, trace)
        lines.append(f"the trace is in {path}")
    except (ValueError, OSError):
        lines.append("the trace cannot be written to the home")
    lines.append("the served release is unchanged")
    return "\n".join(lines)


def _refresh(settings: Settings, months: str | None, *, verbose: bool, quiet: bool) -> int:
    """Run the whole refresh in this process; the exit status is 0 if it published a release."""
    from orchestration.platform.partitions import months_asked, months_of, months_written

    if months:
        # Check the months before reading the delivery, which may take minutes.
        months_written(months)
    from orchestration.landing.delivery import open_delivery
    from orchestration.landing.health import prepare_home
    from orchestration.platform import audit as trail
    from orchestration.platform.engine import connect
    from orchestration.platform.executors import executor_of
    from orchestration.platform.reference import prepare_reference

    # One that is not installed is refused before the delivery is read.
    executor_of(settings)
    trail.require(settings, "refresh", str(settings.home))
    trail.verify(settings)
    started = time.monotonic()
    home = str(settings.home)
    _show(settings, Message("jingxi refresh of {0} into {1}", settings.source, home))
    check_model_store(settings)
    for line in prepare_home(settings):
        _show(settings, Message("note: {0}", line), "  ")
    prepare_reference(settings)
    first: tuple[Callable[[Settings], object], ...] = ()
    if settings.source == "synthetic":
        # Processes of their own parse the dbt project and make the model store while this one
        # generates the bank on one core. A bank's own files may be refused: nothing runs before.
        from orchestration.platform.dbt import manifest_of

        first = (manifest_of, make_model_store)
    with ThreadPoolExecutor() as beside, connect(settings) as connection:
        made = [beside.submit(make, settings) for make in first]
        delivery = open_delivery(settings, connection)
        for one in made:
            one.result()
    last_month = months_of(settings).get_last_partition_key()
    if last_month is None or delivery.as_of > last_month:
        raise ValueError(
            f"{named('as_of')} is invalid: expected a month up to {last_month}, the last of this "
            f"source, got {delivery.as_of}"
        )
    start, end = months_asked(months, delivery.first_month, delivery.as_of)
    _show(settings, Message("as of {0}, months {1} to {2}", delivery.as_of, start, end), "  ")

    from orchestration.operations.jobs import refresh_tags
    from orchestration.platform.releases import proposed, served
    from orchestration.platform.runs import REFRESH
    from orchestration.release.summary import failure_summary, read_summary, show_summary

    tags = refresh_tags(delivery.as_of, (start, end))
    result = _execute(settings, REFRESH, tags, verbose=verbose, quiet=quiet)
    seconds = time.monotonic() - started
    if not result.success:
        terminal.problem(failure_summary(settings, result, seconds))
        return FAILED
    waiting = proposed(settings)
    if waiting is None or served(settings) is not None:
        show_summary(read_summary(settings), None if waiting else seconds, settings.language)
    if waiting is not None:
        from orchestration.platform.wording import in_language
        from reports.formats import padded

        _show(
            settings,
            Message(
                "Release {0} waits for approval ({1} s): nobody reads it yet.",
                *(waiting.stem, f"{seconds:.0f}"),
            ),
        )
        for what, how in (
            (Message("its reports"), str(settings.reports / waiting.stem)),
            (Message("what differs"), "make diff"),
            (Message("serve it"), 'make approve APPROVER=… REASON="…"'),
            (Message("remove it"), 'make reject APPROVER=… REASON="…"'),
        ):
            print(f"  {padded(in_language(what, settings.language), 17)}{how}", flush=True)
    return 0


def _train(settings: Settings, model: str | None, *, verbose: bool, quiet: bool) -> int:
    """Train and judge one model or all from the current features; score and publish nothing.

    Raises
    ------
    ValueError
        For an unknown model.
    """
    from orchestration.landing.health import prepare_home
    from orchestration.models.assets import DESCRIPTIONS
    from orchestration.platform.resources import MODEL_TAG
    from orchestration.platform.runs import TRAIN
    from orchestration.release.summary import failure_summary

    if model is not None and model not in DESCRIPTIONS:
        raise ValueError(f"MODEL={model} is invalid: expected one of {', '.join(DESCRIPTIONS)}")
    from orchestration.platform import audit as trail

    trail.require(settings, "train", model or "all models")
    started = time.monotonic()
    _show(settings, Message("jingxi training in {0}", str(settings.home)))
    check_model_store(settings)
    for line in prepare_home(settings):
        _show(settings, Message("note: {0}", line), "  ")
    tags = {MODEL_TAG: model} if model else {}
    result = _execute(settings, TRAIN, tags, verbose=verbose, quiet=quiet)
    if not result.success:
        terminal.problem(failure_summary(settings, result, time.monotonic() - started))
        return FAILED
    _show(
        settings,
        Message("trained; to score and publish with these models, run: make refresh TRAIN=never"),
    )
    return 0


def _execute(
    settings: Settings, job: str, tags: Mapping[str, str], *, verbose: bool, quiet: bool
) -> JobExecutionResult:
    from dagster import DagsterInstance

    from orchestration.definitions import build_definitions
    from orchestration.operations import notices
    from orchestration.platform import progress, runs
    from orchestration.platform.step_output import STEP_LOG

    log = settings.home / "logs" / f"{job}.log"
    log.parent.mkdir(exist_ok=True)
    # For steps in processes of their own.
    shown = {"quiet": quiet, "language": settings.language}
    if not verbose and settings.executor != IN_PROCESS:
        os.environ[STEP_LOG] = str(log)
    loggers: dict[str, dict] = {"progress": {"config": shown}}
    if verbose:
        loggers["console"] = {"config": {"log_level": "INFO"}}
    with (
        DagsterInstance.get() as instance,
        log.open("w", buffering=1) as words,
    ):
        for line in runs.close_stale_runs(settings, instance):
            _show(settings, line, "  ")
        runs.free_slots(instance)
        definition = build_definitions(settings).resolve_job_def(job)
        own = {**tags, runs.PROCESS_TAG: str(os.getppid())}
        with (
            # Dagster's log lines would break a bar, and so would those of other processes.
            progress.displayed(
                len(definition.nodes),
                quiet=quiet,
                bar=not verbose and settings.executor == IN_PROCESS,
                language=settings.language,
            ),
            redirect_stdout(sys.stdout if verbose else words),
        ):
            result = runs.execute(definition, instance, {"loggers": loggers}, own)
        failures = [event for event in result.all_events if event.is_step_failure]
        record = instance.get_run_record_by_id(result.run_id)
        _noted(notices.report_run(settings, record, failures))
        return result


def _show(settings: Settings, message: str, indent: str = "") -> None:
    from orchestration.platform.wording import in_language

    print(f"{indent}{in_language(message, settings.language)}", flush=True)


def _noted(lines: list[str]) -> None:
    for line in lines:
        terminal.problem(f"  note: {line}")


def _appoint(settings: Settings, appoint: Callable[[Settings], Appointment]) -> int:
    check_model_store(settings)
    print("\n".join(appoint(settings).lines()))
    return 0


def _export(settings: Settings, folder: Path, file_format: str) -> int:
    from orchestration.landing.chosen_source import source_of
    from orchestration.platform.engine import connect
    from sources.export import export_delivery

    folder = folder.expanduser().resolve()
    with connect(settings) as connection:
        source = source_of(settings)
        source.prepare(connection)
        count = export_delivery(connection, settings.delivery / "synthetic", folder, file_format)
    print(f"{count} files in {folder}; to refresh from them, run:")
    print(f"  make refresh SOURCE=files SOURCE_PATH={folder}")
    return 0


def _serve(settings: Settings, port: int, *, read_only: bool) -> int:
    """Serve the UI until a signal ends it, its servers and the runs launched from it."""
    from orchestration.operations import ui

    ended = supervise(
        lambda: _reported("ui", lambda: ui.serve(settings, port, read_only=read_only)),
        ui.PATIENCE_SECONDS,
    )
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
            cause += ", perhaps because memory ran out (set JINGXI_MEMORY to limit it)"
    return f"{command} was stopped by {cause}; all of its processes have ended. " + (
        f"Published: {now}" if now != before else f"Still served: {now or 'nothing yet'}"
    )


def _close_run(settings: Settings, command: str, ended: Ended) -> None:
    """Close the run in Dagster; report it, unless a person asked for its end."""
    from dagster import DagsterInstance, DagsterRunStatus, RunsFilter

    from orchestration.operations import notices
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
        stopped = instance.get_runs(under_way)
        for run in stopped:
            words = f"stopped by {ended.signal.name if ended.signal else 'a signal'}"
            if ended.asked:
                instance.report_run_canceled(run, words)
            else:
                instance.report_run_failed(run, words)
                _noted(notices.report_run(settings, instance.get_run_record_by_id(run.run_id)))
    if not stopped and not ended.asked:
        _noted(notices.report(settings, command))
