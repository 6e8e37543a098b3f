"""The output and the exit status of `audit`: the trail, verified."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import date

from orchestration.platform import audit, terminal
from orchestration.platform.identity import AUDIT
from orchestration.platform.releases import audit_heads
from orchestration.platform.settings import Settings


def show_trail(
    settings: Settings,
    since: str | None,
    act: str | None,
    user: str | None,
    subject: str | None,
    *,
    as_json: bool,
) -> int:
    """Print the lines asked for; returns 1 where the trail is not what was written.

    Raises
    ------
    ValueError
        For a `since` that is no day.
    """
    if since is not None:
        _day(since)
    audit.require(settings, AUDIT, settings.audit_trail.name)
    found = audit.examine(
        settings, audit_heads(settings), since=since, act=act, user=user, subject=subject
    )
    rows = [asdict(entry) for entry in found.entries]
    if as_json:
        head = {"lines": found.count, "head": found.head, "problem": found.problem}
        print(json.dumps({**head, "notes": found.notes, "entries": rows}))
    else:
        _show(rows)
        for note in found.notes:
            print(f"note: {note}")
    if found.problem:
        terminal.problem(found.problem)
        return 1
    if not as_json:
        print(f"{found.count:,} lines, unbroken; head {found.head}")
    return 0


def _day(text: str) -> None:
    try:
        date.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"SINCE={text} is invalid: expected a day, such as 2026-01-31") from error


def _show(rows: list[dict]) -> None:
    if rows and terminal.is_terminal():
        shown = ("sequence", "happened_at", "user_name", "role", "act", "subject")
        columns = (*shown, "release_id", "outcome", "detail")
        terminal.table("Audit trail", [{name: row[name] for name in columns} for row in rows])
        return
    for row in rows:
        # Quoted: a text may contain line breaks.
        texts = {name: json.dumps(value or "-")[1:-1] for name, value in row.items()}
        print(
            f"{row['sequence']:>6}  {row['happened_at']}  {{user_name}}  ({{role}})  {{act}}  "
            "{outcome}  {subject}  {release_id}  {detail}".format(**texts)
        )
