"""Who was erased: tokens of the ids, and the random ids that stand in their place.

The register has no id. A delivery that brings an erased person back is recognised by the tokens and
lands without the person again.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb

from orchestration.platform.files import write_whole
from orchestration.platform.refusal import Refused
from orchestration.platform.settings import Settings
from sources.contract import Table
from sources.delimited import literal, quoted

KEY_BYTES = 32
BLOCK = 64
# Between the first sign of a replacement and its random part.
MARK = "-erased-"
FIRST, LAST = "0", "z"
# The temporary tables of a connection: the register, and the erased ids that it found.
TOKENS, FOUND = "temp.erased_token", "temp.erased_id"
TOKEN_COLUMNS = "(identity varchar, token varchar, replacement varchar)"
FOUND_COLUMNS = "(identity varchar, id varchar, replacement varchar)"


class RegisterDamaged(Refused):
    """The register of erased persons, or its key, is not usable."""


@dataclass(frozen=True)
class Erased:
    """One id that was erased: what it identified (`contract.IDENTITIES`), and what replaced it."""

    identity: str
    token: str
    replacement: str


@dataclass(frozen=True)
class Register:
    """The ids that were erased, and the key of their tokens."""

    key: bytes
    entries: tuple[Erased, ...]

    def token(self, identity: str, value: str) -> str:
        """The HMAC-SHA256 of an id (RFC 2104)."""
        return hmac.new(self.key, f"{identity}:{value}".encode(), hashlib.sha256).hexdigest()

    def replacement(self, identity: str, value: str) -> str | None:
        """What stands in the place of an erased id; None if it was not erased."""
        token = self.token(identity, value)
        return next((one.replacement for one in self.entries if one.token == token), None)

    def token_sql(self, text: str) -> str:
        """`token` as SQL, of `identity:value`."""
        inner, outer = (
            bytes(byte ^ pad for byte in self.key.ljust(BLOCK, b"\0")).hex() for pad in (0x36, 0x5C)
        )
        message = f"unhex(sha256(unhex('{inner}') || encode({text})))"
        return f"sha256(unhex('{outer}') || {message})"


NOBODY = Register(b"", ())


def folder(settings: Settings) -> Path:
    return settings.home / "erasure"


def read_register(settings: Settings) -> Register:
    """
    Raises
    ------
    RegisterDamaged
        When the register or its key cannot be read: a delivery could bring erased persons back.
    """
    path, key = folder(settings) / "register.json", folder(settings) / "token.key"
    if not path.exists() and not key.exists():
        return NOBODY
    try:
        held = key.read_bytes()
        entries = tuple(Erased(**one) for one in json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise RegisterDamaged(
            f"{folder(settings)} is invalid: expected the register of erased persons and its key, "
            f"got {type(error).__name__}. Restore both from a backup: without them a delivery "
            "brings erased persons back."
        ) from error
    if len(held) != KEY_BYTES:
        raise RegisterDamaged(
            f"{key} is invalid: expected {KEY_BYTES} bytes, got {len(held)}. Restore it from a "
            "backup."
        )
    return Register(held, entries)


def add(
    settings: Settings, ids: Mapping[str, Collection[str]], *, first: bool = False
) -> dict[tuple[str, str], str]:
    """Register ids by identity; returns what replaces each. An id registered before keeps its
    replacement, so that a repeated erasure ends what an interrupted one began.

    Parameters
    ----------
    first
        The replacement sorts before other ids rather than behind them. Holders of an account share
        it by the order of their ids; the remaining cent must not move.
    """
    place = folder(settings)
    place.mkdir(mode=0o700, exist_ok=True)
    register = read_register(settings)
    if register is NOBODY:
        write_whole(place / "register.json", "[]")
        write_whole(place / "token.key", secrets.token_bytes(KEY_BYTES))
        register = read_register(settings)
    entries, replaced = list(register.entries), {}
    for identity, values in ids.items():
        for value in values:
            replacement = register.replacement(identity, value)
            if replacement is None:
                replacement = f"{FIRST if first else LAST}{MARK}{secrets.token_hex(16)}"
                entries.append(Erased(identity, register.token(identity, value), replacement))
            replaced[identity, value] = replacement
    text = json.dumps([asdict(one) for one in entries], indent=1)
    write_whole(place / "register.json", text + "\n")
    return replaced


def look_up(
    connection: duckdb.DuckDBPyConnection, register: Register, ids: Mapping[str, Iterable[str]]
) -> int:
    """Make `erased_id` (identity, id, replacement) of the erased ids among those given as queries
    of one column by identity; returns their number."""
    connection.execute(f"create or replace temp table erased_token {TOKEN_COLUMNS}")
    connection.executemany(
        f"insert into {TOKENS} values (?, ?, ?)",
        [(one.identity, one.token, one.replacement) for one in register.entries],
    )
    fill(connection, {})
    for identity, queries in ids.items():
        for query in queries:
            connection.execute(f"""
                insert into {FOUND}
                select {literal(identity)}, given.id, known.replacement
                from (select distinct id::varchar as id from ({query}) as own(id)) as given
                inner join {TOKENS} as known
                    on known.token = {register.token_sql(f"{literal(identity + ':')} || given.id")}
                anti join {FOUND} as found
                    on found.identity = known.identity and found.id = given.id""")
    return connection.execute(f"select count(*) from {FOUND}").fetchall()[0][0]


def fill(connection: duckdb.DuckDBPyConnection, replaced: Mapping[tuple[str, str], str]) -> None:
    """Make `erased_id` of ids that are known."""
    connection.execute(f"create or replace temp table erased_id {FOUND_COLUMNS}")
    if replaced:
        connection.executemany(
            f"insert into {FOUND} values (?, ?, ?)",
            [(*known, replacement) for known, replacement in replaced.items()],
        )


def without_erased(table: Table, query: str, *, raw: bool = False) -> str:
    """The rows of a query over a table of the contract without the persons in `erased_id`.

    Ids are replaced, `erased` columns are empty. Rows of `erased` tables have `_erased` true; the
    caller leaves them out.

    Parameters
    ----------
    raw
        The query has the text of each column as `raw_<column>`, too.
    """
    joins, replaced, own = [], {}, []
    for name, identity in table.identities.items():
        alias = quoted(f"erased_{name}")
        joins.append(
            f"left join {FOUND} as {alias} on {alias}.identity = {literal(identity)} "
            f"and {alias}.id = given.{quoted(name)}"
        )
        for shown in (name, f"raw_{name}") if raw else (name,):
            replaced[shown] = f"coalesce({alias}.replacement, given.{quoted(shown)})"
        if name != "counterparty_account":
            own.append(f"{alias}.id is not null")
    is_own = f"({' or '.join(own)})"
    for column in table.columns:
        if column.erased:
            for shown in (column.name, f"raw_{column.name}") if raw else (column.name,):
                value = replaced.get(shown, f"given.{quoted(shown)}")
                replaced[shown] = f"case when not {is_own} then {value} end"
    listed = ", ".join(f"{value} as {quoted(name)}" for name, value in replaced.items())
    erased = f", {is_own} as _erased" if table.erased else ""
    return f"select given.* replace ({listed}){erased} from ({query}) as given {' '.join(joins)}"
