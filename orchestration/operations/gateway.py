"""What browsers reach before Dagster, MLflow and the reports: pages of other sites get nothing.

Any page may send a request to 127.0.0.1, and by a name of its own that resolves to it (DNS
rebinding) also read the answer. One request could launch a run or promote a model. A request passes
if its Host is this server, its Origin, if any, too, and if it is not one that a browser sends
for another site. The servers behind listen at addresses that a page cannot guess.

In server mode a proxy with a sign-in stands before it, and `access` decides what a person may ask.
The headers of that proxy are otherwise taken out of a request.

Each connection carries one request: what follows its body is not passed on, and the servers behind
are asked to close it. A WebSocket keeps its connection.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Protocol
from urllib.parse import unquote

from orchestration.platform.sign_in import SECRET_HEADER, USER_HEADER

HOST = "127.0.0.1"
NAMES = (HOST, "localhost", "[::1]")
LONGEST_HEAD = 1 << 16
HEAD_SECONDS = 30
PIECE = 1 << 16
# These are about one connection, which is not that of the server behind.
OF_CONNECTION = ("connection", "keep-alive", "proxy-connection")
LONGEST_QUERY = 4 << 20
Address = tuple[str, int]
Headers = list[tuple[str, str]]
OF_PROXY = (USER_HEADER, SECRET_HEADER)


@dataclass(frozen=True)
class Passed:
    """A request that passes, with the headers that it gets."""

    behind: Address
    headers: Headers


@dataclass(frozen=True)
class Denied:
    """A request that does not."""

    status: str
    reason: str


class Access(Protocol):
    """Who may ask what, behind a proxy with a sign-in."""

    def needs_body(self, port: int, method: str, target: str) -> bool:
        """Whether `judge` reads what follows the head."""

    def judge(
        self, port: int, method: str, target: str, headers: Headers, body: bytes
    ) -> Passed | Denied:
        """Whether a request passes, and to which server."""


class HeadInvalid(ValueError):
    """Not the head of a request of HTTP/1.1."""


def own_address() -> tuple[str, int]:
    """A free port of an address of this machine that nobody can guess: one of 16 million, where the
    system has them (Linux)."""
    host = f"127.{1 + secrets.randbelow(254)}.{secrets.randbelow(256)}.{1 + secrets.randbelow(254)}"
    for one in (host, HOST):
        with suppress(OSError), socket.socket() as probe:
            probe.bind((one, 0))
            return one, int(probe.getsockname()[1])
    raise OSError("no free port")


def read_head(head: bytes) -> tuple[str, str, Headers]:
    """Method, target and headers of a request.

    Raises
    ------
    HeadInvalid
        For anything that two servers might read differently.
    """
    try:
        first, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        method, target, version = first.split(" ")
    except ValueError as error:
        raise HeadInvalid("expected a request line of three words") from error
    if version not in ("HTTP/1.1", "HTTP/1.0") or not target.startswith("/"):
        raise HeadInvalid("expected HTTP/1.1 and a path")
    headers: Headers = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name.strip() != name or {"\r", "\n", "\0"} & set(line):
            raise HeadInvalid("expected a header of name and value in each line")
        headers.append((name, value.strip(" \t")))
    return method, target, headers


def refusal(method: str, target: str, headers: Headers, port: int) -> str | None:
    """Why a request is refused; None where it may pass."""
    own = {f"{name}:{port}" for name in NAMES}

    def values(asked: str) -> list[str]:
        return [value for name, value in headers if name.lower() == asked]

    hosts, origins = values("host"), values("origin")
    if len(hosts) != 1 or hosts[0].lower() not in own:
        return f"Host {', '.join(hosts) or '(none)'} is invalid: expected {HOST}:{port}"
    for origin in origins:
        if origin.lower() not in {f"http://{host}" for host in own}:
            return f"Origin {origin} is invalid: expected http://{HOST}:{port}"
    page = "text/html" in ", ".join(values("accept"))
    is_graphql = "graphql" in unquote(target.partition("?")[0]).lower()
    if method == "GET" and is_graphql and not page and "websocket" not in _upgrade(headers):
        return "a query by GET is invalid: expected POST"
    followed = (
        method == "GET"
        and values("sec-fetch-mode") == ["navigate"]
        and values("sec-fetch-dest") == ["document"]
    )
    if not followed and not set(values("sec-fetch-site")) <= {"same-origin", "none"}:
        return "a request of another site is invalid: expected one of this page, or a link"
    return None


def _upgrade(headers: Headers) -> list[str]:
    return [value.lower() for name, value in headers if name.lower() == "upgrade"]


def body_length(headers: Headers) -> int | None:
    """The bytes that follow the head; None for a body in chunks and for a WebSocket, which end
    themselves.

    Raises
    ------
    HeadInvalid
        Where two servers might find different ends.
    """
    named = [(name.lower(), value) for name, value in headers]
    lengths = [value for name, value in named if name == "content-length"]
    in_chunks = any(name == "transfer-encoding" for name, _ in named)
    if len(lengths) > 1 or (lengths and in_chunks):
        raise HeadInvalid("expected one length of the body")
    if lengths and not (lengths[0].isascii() and lengths[0].isdigit()):
        raise HeadInvalid("expected a number as Content-Length")
    if in_chunks or _upgrade(headers):
        return None
    return int(lengths[0]) if lengths else 0


def forwarded(method: str, target: str, headers: Headers) -> bytes:
    """The head as the server behind gets it."""
    kept = [(name, value) for name, value in headers if name.lower() not in OF_CONNECTION]
    kept.append(("Connection", "Upgrade" if _upgrade(headers) else "close"))
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in kept)]
    return "\r\n".join((*lines, "", "")).encode("latin-1")


async def _serve_one(
    port: int,
    behind: tuple[str, int],
    access: Access | None,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    with suppress(OSError, asyncio.IncompleteReadError, asyncio.TimeoutError):
        query = b""
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), HEAD_SECONDS)
            method, target, headers = read_head(head)
            length = body_length(headers)
            reason, status = refusal(method, target, headers, port), "403 Forbidden"
            if reason is None and access is None:
                headers = [one for one in headers if one[0].lower() not in OF_PROXY]
            elif reason is None and access is not None:
                if access.needs_body(port, method, target):
                    if length is None or length > LONGEST_QUERY:
                        raise HeadInvalid(f"expected a length of up to {LONGEST_QUERY} bytes")
                    query = await asyncio.wait_for(reader.readexactly(length), HEAD_SECONDS)
                    length = 0
                found = access.judge(port, method, target, headers, query)
                if isinstance(found, Passed):
                    behind, headers = found.behind, found.headers
                else:
                    reason, status = found.reason, found.status
        except (HeadInvalid, asyncio.LimitOverrunError) as error:
            reason, status = f"the request is invalid: {error}", "400 Bad Request"
        if reason is None:
            try:
                back_reader, back_writer = await asyncio.open_connection(*behind)
            except OSError:
                reason, status = "the server is not ready. Try again.", "502 Bad Gateway"
            else:
                back_writer.write(forwarded(method, target, headers) + query)
                await _both_ways(reader, writer, back_reader, back_writer, length)
        if reason is not None:
            body = f"refused: {reason}\n".encode()
            writer.write(
                f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\n"
                f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
                + body
            )
            await writer.drain()
    writer.close()


async def _both_ways(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    back_reader: asyncio.StreamReader,
    back_writer: asyncio.StreamWriter,
    length: int | None,
) -> None:
    """Copy until one side ends; of the request at most `length` bytes."""
    copies = [
        asyncio.ensure_future(_copy(reader, back_writer, length)),
        asyncio.ensure_future(_copy(back_reader, writer)),
    ]
    try:
        await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for copy in copies:
            copy.cancel()
        await asyncio.gather(*copies, return_exceptions=True)
        back_writer.close()


async def _copy(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, length: int | None = None
) -> None:
    with suppress(OSError):
        while piece := await reader.read(PIECE):
            if length is not None:
                piece = piece[:length]
                length -= len(piece)
            writer.write(piece)
            await writer.drain()


async def serve(doors: Sequence[tuple[int, tuple[str, int]]], access: Access | None = None) -> None:
    """Listen at each port for the server behind it, until the process ends."""
    servers = [
        await asyncio.start_server(
            partial(_serve_one, port, behind, access), HOST, port, limit=LONGEST_HEAD
        )
        for port, behind in doors
    ]
    await asyncio.gather(*(server.serve_forever() for server in servers))


def command(doors: Sequence[tuple[int, tuple[str, int]]]) -> list[str]:
    """The command line of a gateway."""
    written = [f"{port}={host}:{number}" for port, (host, number) in doors]
    return [sys.executable, "-m", "orchestration.operations.gateway", *written]


def main(arguments: Sequence[str]) -> None:
    doors = []
    for argument in arguments:
        port, _, behind = argument.partition("=")
        host, _, number = behind.rpartition(":")
        doors.append((int(port), (host, int(number))))
    asyncio.run(serve(doors))


if __name__ == "__main__":
    main(sys.argv[1:])
