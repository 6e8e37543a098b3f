"""Write files atomically and keep them private to their owner."""

from __future__ import annotations

import os
import uuid
from contextlib import suppress
from pathlib import Path

OTHERS = 0o077


def write_whole(path: Path, content: str | bytes) -> None:
    """Write to a draft, flush it to disk and rename it: a killed process leaves the old file or
    none."""
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
    """Flush a file or folder to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def keep_to_owner(path: Path) -> None:
    """Remove the permissions of group and others from a file, or from a folder and its contents.

    Links and files of other accounts are left unchanged.
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
