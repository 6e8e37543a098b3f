"""The key of the tokens that stand for personal values in quarantine.

It is the home's own, `secrets/token.key`, or the one of JINGXI_TOKEN_KEY, of which the home keeps
only the mark. Landed rows hold no token: another key changes quarantine and nothing else.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from pathlib import Path

from orchestration.landing.months import STATE_FILE
from orchestration.platform import audit
from orchestration.platform.environment import HomeRefused, refuse_open_key
from orchestration.platform.files import write_whole
from orchestration.platform.identity import ROTATE_KEY
from orchestration.platform.settings import Settings, named

KEY_BYTES = 32
CHANGED = "The same value then has another token."


def token_key(settings: Settings) -> bytes:
    """The key, created at first use; its file is readable by its owner alone.

    It never leaves the home: without it nobody can test a token against a list of names.

    Raises
    ------
    HomeRefused
        When the key is truncated, readable by others, another than that of the home's tokens, or
        missing from a home that has tokens.
    """
    path, mark = settings.token_key_file, _mark_file(settings)
    given = _given(settings)
    if given is not None:
        if mark.exists() and mark.read_text() == _mark(given):
            return given
        if mark.exists() or path.exists() or _has_landed(settings):
            raise HomeRefused(
                f"{named('token_key')} is invalid: it is not the key of the tokens of "
                f"{settings.home}. Set that key, or make this one its key with make rotate-key. "
                f"{CHANGED}"
            )
        _make_folder(path)
        write_whole(mark, _mark(given))
        return given
    if not path.exists():
        if mark.exists() or _has_landed(settings):
            where = f"{named('token_key')} is not set" if mark.exists() else f"{path} is missing"
            raise HomeRefused(
                f"{where}: expected the key that {settings.landing} was landed with. Restore it, "
                f"or run make rotate-key to make a new one. {CHANGED}"
            )
        _make_folder(path)
        write_whole(path, secrets.token_bytes(KEY_BYTES))
    refuse_open_key(settings)
    key = path.read_bytes()
    if len(key) < KEY_BYTES:
        raise HomeRefused(
            f"{path} is invalid: it has {len(key)} bytes, expected {KEY_BYTES}. Restore it from a "
            f"backup, or run make rotate-key to make a new one. {CHANGED}"
        )
    return key


def rotate(settings: Settings) -> list[str]:
    """Make a new key, or that of JINGXI_TOKEN_KEY, the key of the tokens; returns what follows.

    The trail has the line before the key changes. A process that is killed leaves the old key or
    the new one, whole.

    Raises
    ------
    HomeRefused
        For a JINGXI_TOKEN_KEY that is the key already.
    orchestration.platform.identity.ActRefused
        Without the role.
    """
    path, mark = settings.token_key_file, _mark_file(settings)
    given = _given(settings)
    with audit.audited(settings, ROTATE_KEY, "token key") as doing:
        before = _mark_before(path, mark)
        key = secrets.token_bytes(KEY_BYTES) if given is None else given
        if before == _mark(key):
            raise HomeRefused(
                f"{named('token_key')} is the key of {settings.home} already. Set a new one, then "
                "run make rotate-key."
            )
        doing.detail = f"{before or 'no key'} is replaced by {_mark(key)}"
    try:
        _make_folder(path)
        if given is None:
            write_whole(path, key)
            mark.unlink(missing_ok=True)
        else:
            write_whole(mark, _mark(key))
            path.unlink(missing_ok=True)
    except OSError as error:
        audit.record(
            settings, ROTATE_KEY, "token key", detail=type(error).__name__, outcome=audit.FAILED
        )
        raise
    return [
        f"the key of quarantine's tokens is new: {_mark(key)}, before: {before or 'none'}",
        "the next refresh writes quarantine with new tokens, which do not compare with the former",
        "no month is rebuilt: landed rows hold no token",
    ]


def _given(settings: Settings) -> bytes | None:
    if settings.token_key is None:
        return None
    return settings.token_key.get_secret_value().encode()


def _mark(key: bytes) -> str:
    """What a key is recognised by, from which the key cannot be derived."""
    return hmac.new(key, b"token key", hashlib.sha256).hexdigest()[:16]


def _mark_file(settings: Settings) -> Path:
    return settings.token_key_file.with_name("token.mark")


def _mark_before(path: Path, mark: Path) -> str | None:
    if mark.exists():
        return mark.read_text()
    return _mark(path.read_bytes()) if path.exists() else None


def _has_landed(settings: Settings) -> bool:
    return (settings.landing / STATE_FILE).exists()


def _make_folder(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
