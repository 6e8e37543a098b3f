"""Files that are there whole or not at all, and for their owner alone."""

from __future__ import annotations

import os
import uuid
from contextlib import suppress
from pathlib import Path

OTHERS = 0o077


def write_whole(path: Path, content: str | bytes) -> None:
    """Write beside, flush to disk, rename: a kill leaves the old file or none."""
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
        flush(path.parent)
    finally:
        draft.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Have the disk hold what was written to a file or folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def keep_to_owner(path: Path) -> None:
    """Take away what group and others may do with a file, or with a folder and all in it.

    Links are left as they are; what belongs to another account is that account's to answer for.
    """
    if path.is_symlink():
        return
    _restrict(path)
    if path.is_dir():
        for folder, folders, files in os.walk(path):
            for name in (*folders, *files):
                _restrict(Path(folder, name))


def _restrict(path: Path) -> None:
    with suppress(FileNotFoundError, PermissionError):
        mode = path.lstat().st_mode
        if mode & OTHERS and not path.is_symlink():
            path.chmod(mode & 0o7777 & ~OTHERS)
