"""The lists as files, for those who work them and for the channels' own systems.

Data leaves the bank here, so the flags of `contacts.contactability` are checked a last time: no
file contains a customer who must not be contacted, whatever the plan contains. A folder is written
as a whole or not at all.

CSV is RFC 4180 with CRLF, and opens in a spreadsheet without running what a text contains
(CWE-1236, OWASP CSV injection): such a text gets an apostrophe in front. Numbers stay numbers.
"""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
from duckdb.func import SPECIAL

import reports
from orchestration.decisions.reason_words import reason_in_words, segment_words
from orchestration.platform.branch_names import branch_names
from orchestration.platform.optional_tables import has_table
from orchestration.platform.refusal import Refused
from orchestration.platform.settings import KEPT_RELEASES
from reports.formats import ENGLISH
from sources.contract import BY_NAME, CHANNELS

BATCH = 10_000
MANIFEST = "manifest.json"
FOLDER = "exports"

logger = logging.getLogger(__name__)

# What makes a spreadsheet take a cell for a formula, and what it may skip before it: spaces,
# quotes, and signs that are not seen. Code points, first and last.
FORMULA = (
    *((0x2B, 0x2B), (0x2D, 0x2D), (0x3D, 0x3D), (0x40, 0x40), (0x2212, 0x2212)),
    *((0xFE62, 0xFE63), (0xFE66, 0xFE66), (0xFE6B, 0xFE6B)),
    *((0xFF0B, 0xFF0B), (0xFF0D, 0xFF0D), (0xFF1D, 0xFF1D), (0xFF20, 0xFF20)),
)
SKIPPED = (
    *((0x00, 0x08), (0x0B, 0x0C), (0x0E, 0x20), (0x7F, 0xA0), (0xAD, 0xAD), (0x1680, 0x1680)),
    *((0x2000, 0x200F), (0x2028, 0x202F), (0x205F, 0x206F), (0x3000, 0x3000), (0xFEFF, 0xFEFF)),
    *((0x22, 0x22), (0x27, 0x27), (0x60, 0x60), (0xAB, 0xAB), (0xB4, 0xB4), (0xBB, 0xBB)),
    *((0x2018, 0x201F), (0xFF02, 0xFF02), (0xFF07, 0xFF07)),
)
BREAKS = ((0x09, 0x0A), (0x0D, 0x0D))
# Where a cell begins: the spreadsheet of another language may split by another sign.
SEPARATORS = ((0x3B, 0x3B), (0x2C, 0x2C), (0x7C, 0x7C), *BREAKS)


def _class(*ranges: tuple[int, int]) -> str:
    """A class of signs as Python's regular expressions write it."""
    return "[" + "".join(f"\\U{low:08x}-\\U{high:08x}" for low, high in ranges) + "]"


UNSAFE = re.compile(
    f"^(?={_class(*SKIPPED)}*{_class(*FORMULA, *BREAKS)})"
    f"|(?<={_class(*SEPARATORS)})(?={_class(*SKIPPED)}*{_class(*FORMULA)})"
)


class ExportRefused(Refused):
    """The release does not hold what is to be exported."""


def safe_text(text: str) -> str:
    """The text with an apostrophe wherever a spreadsheet would start a formula."""
    return UNSAFE.sub("'", text)


def safe_sql(column: str) -> str:
    """The same as an expression of the engine, which needs no call a cell."""
    skipped, formula, separators, at_start = (
        re.sub(r"\\U0*([0-9a-f]+)", r"\\x{\1}", _class(*ranges))
        for ranges in (SKIPPED, FORMULA, SEPARATORS, (*FORMULA, *BREAKS))
    )
    first = rf"regexp_replace({column}, '^({skipped}*{at_start})', '''\1')"
    return rf"regexp_replace({first}, '({separators})({skipped}*{formula})', '\1''\2', 'g')"


def _written(column: str, kind: str) -> str:
    """A column as CSV holds it; nothing for what is no number."""
    if kind == "VARCHAR":
        return f"{safe_sql(column)} as {column}"
    if kind in ("DOUBLE", "FLOAT"):
        return f"case when isfinite({column}) then {column} end as {column}"
    return f"{column}::varchar as {column}" if kind == "BOOLEAN" else column


NEEDED = (
    *("contacts.contactability", "decisions.contact_plan", "decisions.worklist"),
    *("decisions.guide", "decisions.grid", "decisions.manager_scorecard"),
    *("decisions.manager_kpi", "value.offer"),
)
# Whom nothing forbids to contact; who is not in contactability is not contacted.
CONTACTABLE = """
    select customer_id from contacts.contactability
    where
        suppression is null
        and is_universal_control is not true and is_campaign_control is not true
"""
UNCONTACTABLE = f"customer_id not in ({CONTACTABLE})"


def _query(name: str) -> str:
    """A list of customers who may be contacted: `lists/<name>.sql`."""
    path = Path(__file__).parent / "lists" / f"{name}.sql"
    return path.read_text(encoding="utf-8").format(contactable=CONTACTABLE)


# Controls are held out, not contacted. Customers suppressed since the plan are removed from the
# files in both arms, so that the arms stay comparable.
SUPPRESSED = "select customer_id from contacts.contactability where suppression is not null"
PLANNED = f"""
    select * from decisions.contact_plan
    where
        (arm = 'treatment' and customer_id in ({CONTACTABLE}))
        or (
            -- Who is never contacted is no campaign's control.
            arm = 'control' and control_kind is distinct from 'universal'
            and customer_id in (select customer_id from contacts.contactability)
            and customer_id not in ({SUPPRESSED})
        )
"""
BRANCH_NAME = "name_of_branch(branch_id) as branch_name"
LISTS = {
    "worklist": _query("worklist"),
    "contact_plan": _query("contact_plan"),
    "grid": f"select *, {BRANCH_NAME} from decisions.grid order by district_id",
    "manager_scorecard": f"select *, {BRANCH_NAME} from decisions.manager_scorecard order by unit",
    "manager_kpi": "select * from decisions.manager_kpi order by employee_id, measure",
    "guide": _query("guide"),
}
# In the columns of the source contract, so that what comes back is landed as the bank's own files.
RETURNS = {
    "dispositions_contact": f"""
        select
            campaign_id || '-' || customer_id as contact_id,
            campaign_id,
            customer_id,
            case when arm = 'control' then $plan_day::date end as contacted_on,
            arm,
            assignment_probability,
            employee_id
        from ({PLANNED})
        order by contact_id
    """,
    "dispositions_response": """
        select
            null::varchar as campaign_id, null::varchar as customer_id,
            null::date as responded_on, null::varchar as account_id
        where false
    """,
    # The contract has one channel and cost per campaign: the most frequent and the mean.
    "campaign": f"""
        select
            plan.campaign_id,
            max(coalesce(offer.product_name, plan.product_id)) || ', '
            || strftime(min(plan.plan_month), '%Y-%m') as campaign_name,
            min(plan.product_id) as product_id,
            mode(plan.channel order by plan.channel) filter (
                plan.channel in ({", ".join(f"'{name}'" for name in CHANNELS)})
            ) as channel,
            $plan_day::date as starts_on,
            greatest(max(plan.expires_on), $plan_day::date) as ends_on,
            avg(plan.contact_cost)::decimal(18, 2) as cost_per_contact,
            avg(plan.incentive_cost)::decimal(18, 2) as incentive_cost
        from ({PLANNED}) as plan
        left join value.offer as offer on offer.product_id = plan.product_id
        group by plan.campaign_id
        order by plan.campaign_id
    """,
}
CONTRACT = {
    "dispositions_contact": "contact",
    "dispositions_response": "response",
    "campaign": "campaign",
}

WITHHELD = f"""
    select
        coalesce(
            contactability.suppression,
            case
                when contactability.customer_id is null then 'unknown' else 'control_group'
            end
        ) as cause,
        count(*) as contacts
    from decisions.contact_plan as plan
    left join contacts.contactability as contactability
        on contactability.customer_id = plan.customer_id
    where plan.arm = 'treatment' and plan.{UNCONTACTABLE}
    group by cause
    order by cause
"""


@dataclass(frozen=True)
class Written:
    """A file as it was written."""

    path: Path
    rows: int


def export_release(
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    release_id: str,
    *,
    bom: bool = False,
    language: str = ENGLISH,
    kept: int = KEPT_RELEASES,
) -> list[Path]:
    """Write a release's lists to `folder/<release_id>/`, the whole folder in one step.

    Worklist, contact plan (treatment arm), grid, scorecard and guide as CSV and Parquet; the
    templates of what comes back, in the columns of the source contract, as CSV; and a manifest with
    the rows and sha256 of each. An export of the same release is replaced. Rows are written in
    batches as the engine finds them.

    Contacts of customers who may not be contacted are left out; how many and why is in the manifest
    and, where there are any, a warning.

    Parameters
    ----------
    connection : a release, or the build warehouse it was made of
    folder : where the exports are kept, such as `$JINGXI_HOME/exports`
    bom : begin CSV with a byte order mark, by which older spreadsheets know UTF-8
    language : of reasons and names of segments; codes and column names stay as they are
    kept : exports that stay

    Returns
    -------
    list of paths, the manifest last

    Raises
    ------
    ExportRefused
        When the release has no contact plan, or one of the tables beside it is missing.
    """
    missing = [table for table in NEEDED if not has_table(connection, table)]
    if missing:
        raise ExportRefused(
            f"release {release_id} cannot be exported: it has no {', '.join(missing)}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob(".*.unfinished"):
        shutil.rmtree(leftover, ignore_errors=True)
    unfinished = folder / f".{release_id}.{uuid.uuid4().hex}.unfinished"
    # Only the owner may read the customer lists.
    unfinished.mkdir(mode=0o700)
    try:
        files = list(_write_lists(connection, unfinished, bom, language))
        withheld = dict(connection.execute(WITHHELD).fetchall())
        _write_manifest(unfinished / MANIFEST, release_id, files, withheld)
        for path in unfinished.iterdir():
            path.chmod(0o600)
            _flush(path)
        _flush(unfinished)
        _replace(unfinished, folder / release_id)
        _flush(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    if withheld:
        logger.warning(
            "release %s: %d of the plan's contacts are in no file: %s",
            release_id,
            sum(withheld.values()),
            ", ".join(f"{reason} {contacts}" for reason, contacts in withheld.items()),
        )
    _keep_latest(folder, release_id, kept)
    return [folder / release_id / name for name in (*(one.path.name for one in files), MANIFEST)]


def plan_day(connection: duckdb.DuckDBPyConnection) -> Any:
    """The first day on which a contact of the plan can be made: after the as-of date."""
    if has_table(connection, "meta.release"):
        as_of = "select last_day(strptime(as_of, '%Y-%m')::date) from meta.release"
    else:
        as_of = "select as_of from landing.refresh_window"
    return connection.execute(
        f"select greatest(min(plan_month), ({as_of}) + 1)::date from decisions.contact_plan"
    ).fetchall()[0][0]


def _write_lists(
    connection: duckdb.DuckDBPyConnection, folder: Path, bom: bool, language: str
) -> Iterator[Written]:
    def spoken(words: Callable[[str], str | None]) -> Callable[[str | None], str | None]:
        return lambda text: reports.worded(words(text), language) if text else text

    names = branch_names(connection)
    functions: dict[str, Callable[[str | None], str | None]] = {
        "reason_in_words": spoken(reason_in_words),
        "segment_in_words": spoken(segment_words),
        "in_words": spoken(str),
        "name_of_branch": lambda branch: names.get(branch or ""),
    }
    for name, function in functions.items():
        connection.create_function(name, function, ["varchar"], "varchar", null_handling=SPECIAL)
    try:
        for name, query in LISTS.items():
            csv_file, parquet = folder / f"{name}.csv", folder / f"{name}.parquet"
            yield Written(csv_file, _write_csv(connection, query, {}, csv_file, bom))
            place = str(parquet).replace("'", "''")
            copied = connection.execute(f"copy ({query}) to '{place}' (format parquet)")
            yield Written(parquet, copied.fetchall()[0][0])
    finally:
        for name in functions:
            connection.remove_function(name)
    day = plan_day(connection)
    for name, query in RETURNS.items():
        path = folder / f"{name}.csv"
        values = {"plan_day": day} if "$plan_day" in query else {}
        columns = BY_NAME[CONTRACT[name]].column_names
        yield Written(path, _write_csv(connection, query, values, path, bom, columns))


def _write_csv(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    values: dict[str, Any],
    path: Path,
    bom: bool,
    columns: tuple[str, ...] = (),
) -> int:
    """Write a query's rows, in the order of `columns` where given; returns how many."""
    ordered = f"select {', '.join(columns)} from ({query})" if columns else f"from ({query})"
    described = connection.execute(f"describe {ordered}", values).fetchall()
    written = ", ".join(_written(name, kind) for name, kind, *_ in described)
    found = connection.execute(f"select {written} from ({ordered})", values)
    rows = 0
    with path.open("w", encoding="utf-8-sig" if bom else "utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow([name for name, *_ in described])
        while batch := found.fetchmany(BATCH):
            writer.writerows(batch)
            rows += len(batch)
    return rows


def _write_manifest(
    path: Path, release_id: str, files: list[Written], withheld: dict[str, int]
) -> None:
    manifest = {
        "release_id": release_id,
        "files": {one.path.name: {"rows": one.rows, "sha256": _digest(one.path)} for one in files},
        "withheld_contacts": withheld,
    }
    path.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _replace(unfinished: Path, final: Path) -> None:
    """Put a finished folder in its place; an older one of that name goes once this one stands."""
    aside = final.with_name(f".{final.name}.{uuid.uuid4().hex}.unfinished")
    if final.exists():
        os.rename(final, aside)
    try:
        os.rename(unfinished, final)
    except OSError:
        if aside.exists():
            os.rename(aside, final)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _keep_latest(folder: Path, written: str, number: int) -> None:
    kept = sorted(
        (path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")),
        key=lambda path: (path.name == written, path.stat().st_mtime),
    )
    for path in kept[:-number]:
        shutil.rmtree(path, ignore_errors=True)
