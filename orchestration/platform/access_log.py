"""Who read a customer's or an account's figures: one line of JSON for each request."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime

from orchestration.platform.settings import Settings


def record_access(
    settings: Settings, log: str, role: str, release_id: str | None, outcome: str, **subject: str
) -> None:
    """Append to a log of the home. A line break in an id cannot make a second line."""
    line = json.dumps(
        {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "user": settings.user,
            "role": role,
            **subject,
            "release_id": release_id,
            "outcome": outcome,
        }
    )
    path = settings.home / "logs" / log
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "a", encoding="utf-8") as file:
        file.write(line + "\n")
