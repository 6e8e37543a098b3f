"""A delivery that arrives: whether it is complete, what identifies it, the job that checks it."""

import hashlib
import json
import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg

from orchestration.operations import notices
from orchestration.operations.notices import CHECK
from orchestration.operations.notices.failed_places import listed
from orchestration.platform.failures import failure
from orchestration.platform.files import write_whole
from orchestration.platform.resources import Home
from orchestration.platform.settings import Settings, named
from sources.contract import TABLES
from sources.files import LEFTOVER, MANIFEST, MARKERS
from sources.mapping.reading import read_mapping
from sources.mapping.source import MappedFiles

CHECKED = "delivery_check.json"
JUDGE_OP = "judge_delivery"


@dataclass(frozen=True)
class Arrival:
    """The files of a delivery (path in the folder → bytes), and a digest of their paths, sizes and
    times of change; markers and temporary files are not among them."""

    folder: Path
    files: dict[str, int]
    digest: str


@dataclass(frozen=True)
class Checked:
    """The result of the last check: of which delivery, whether a refresh would accept it, as of
    which month. `number` counts deliveries: one that is put back is another one."""

    digest: str
    accepted: bool
    as_of: str
    number: int = 1


def arrival_of(settings: Settings) -> Arrival | None:
    """What lies in the folder of the settings; None without a folder or a file."""
    folder = settings.source_path
    if folder is None or not folder.is_dir():
        return None
    found = {}
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not LEFTOVER.fullmatch(name)]
        for path in (Path(place, name) for name in names if not LEFTOVER.fullmatch(name)):
            below = str(path.relative_to(folder))
            if below not in MARKERS and path.is_file():
                found[below] = path.stat()
    if not found:
        return None
    entries = sorted((path, stat.st_size, stat.st_mtime_ns) for path, stat in found.items())
    # Another mapping of the same files is another delivery.
    mapping = read_mapping(settings.mapping).digest if settings.mapping else ""
    identified = [str(folder), entries, *([mapping] if mapping else [])]
    digest = hashlib.sha256(json.dumps(identified).encode()).hexdigest()[:32]
    return Arrival(folder, {path: stat.st_size for path, stat in found.items()}, digest)


def incomplete(settings: Settings, arrival: Arrival, unchanged: timedelta) -> str | None:
    """Why a delivery is not complete yet; None if it is.

    A marker makes it complete: `_COMPLETE`, or a `delivery.json` whose listed files are all there.
    Without one it is complete when every required table is there and nothing has changed for the
    quiet time of the settings.
    """
    manifest = arrival.folder / MANIFEST
    if manifest.exists():
        return _against_manifest(manifest, arrival)
    if any((arrival.folder / marker).exists() for marker in MARKERS):
        return None
    if settings.mapping is not None:
        mapped = MappedFiles(arrival.folder, settings.mapping)
        if missing := mapped.missing(arrival.files):
            return f"file(s) of required tables not delivered yet: {', '.join(missing)}"
    elif missing := _missing(arrival) if settings.source == "files" else []:
        return f"required table(s) not delivered yet: {', '.join(missing)}"
    quiet = timedelta(minutes=settings.quiet_minutes)
    if unchanged < quiet:
        return f"changed less than {settings.quiet_minutes} minutes ago"
    return None


def _against_manifest(manifest: Path, arrival: Arrival) -> str | None:
    try:
        listed = json.loads(manifest.read_bytes()).get("files", ())
        expected = {os.path.normpath(one["path"]): one.get("bytes") for one in listed}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        return (
            f'{MANIFEST} is invalid ({type(error).__name__}): expected {{"files": [{{"path": …, '
            '"bytes": …}}, …]}}, or {{}} without a list'
        )
    short = [
        path
        for path, size in expected.items()
        if path not in arrival.files or (size is not None and arrival.files[path] != size)
    ]
    if short:
        return f"{len(short)} file(s) of {MANIFEST} are missing or of another size: {short[0]} …"
    return None


def _missing(arrival: Arrival) -> list[str]:
    given = {part.split(".")[0].lower() for path in arrival.files for part in Path(path).parts}
    return [table.name for table in TABLES if table.required and table.name not in given]


def read_checked(settings: Settings) -> Checked | None:
    """The result of the last check; None without a readable one."""
    try:
        return Checked(**json.loads((settings.operations / CHECKED).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


@dg.op(name=JUDGE_OP, description="check the delivery as `jingxi check` does; build nothing")
def judge_op(context: dg.OpExecutionContext, home: Home) -> None:
    from orchestration.operations.delivery_check import judgement

    settings = home.settings
    # Before the check: of files that change meanwhile the result is not of the new ones.
    arrival = arrival_of(settings)
    if arrival is None:
        raise failure(f"{named('source_path')}: expected a folder with files", ["no delivery"])
    found = judgement({})
    before = read_checked(settings)
    number = before.number + (before.digest != arrival.digest) if before else 1
    checked = Checked(arrival.digest, found.status == "ok", found.as_of, number)
    settings.operations.mkdir(exist_ok=True, mode=0o700)
    write_whole(settings.operations / CHECKED, json.dumps(vars(checked)))
    for line in found.lines():
        context.log.info(line)
    if checked.accepted:
        lines = notices.report_success(settings, CHECK)
    else:
        places = [f"step {JUDGE_OP}: {place}" for place in listed(list(found.places))]
        lines = notices.report(settings, CHECK, places, context.run_id)
    for line in lines:
        context.log.warning(line)
    if not checked.accepted:
        raise failure("\n".join(found.problems), found.places)


def check_job(tags: dict[str, Any]) -> dg.JobDefinition:
    """Checks the delivery of the settings' folder; changes nothing."""

    @dg.job(
        name=CHECK,
        executor_def=dg.in_process_executor,
        tags=tags,
        description="Judges whether a delivery is complete and sound, before a refresh of it.",
    )
    def check_delivery() -> None:
        judge_op()

    return check_delivery
