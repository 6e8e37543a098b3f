"""A dbt that has started: it imports and parses once, then forks for each command of a refresh.

Starting dbt (imports, reading the parsed project) takes longer than many of its commands, and a
refresh needs it for every layer. `dbt_client` stands in for the dbt program and hands its command
on; a child of this process runs it with the client's environment, folder and outputs, as dbt itself
would. Only the owner can reach the socket: it lies in a folder of mode 0700.

    python -m orchestration.platform.dbt_server SOCKET PARSED [dbt parse options]

PARSED is the parsed project that dbt left (`partial_parse.msgpack`) where it is known to be that of
the files, or nothing: then dbt parses them. dbt itself would parse them all again whenever the
place of the warehouse or the memory is another, on which no model depends.

It ends when its standard input is closed, that is, with the refresh that started it, and kills the
command that it is running then.
"""

from __future__ import annotations

import gc
import json
import os
import select
import shutil
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

READY = "ready"
MOST_BYTES = 1 << 20


def main(arguments: list[str]) -> int:
    path = Path(arguments[0])
    # The path of a socket may have some hundred bytes only: it is named from within its folder.
    os.chdir(path.parent)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path.name)
        # From here on a client waits instead of starting a dbt of its own.
        listener.listen()
        try:
            return _serve(listener, arguments[1], arguments[2:])
        finally:
            shutil.rmtree(path.parent, ignore_errors=True)


def _serve(listener: socket.socket, parsed: str, options: list[str]) -> int:
    manifest = read_manifest(parsed) or _parse(options)
    if manifest is None:
        return 1
    # What is there now is shared with every child; collecting it would copy it.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
    print(READY, flush=True)
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [])
        if sys.stdin in ready:
            return 0
        connection, _ = listener.accept()
        with connection:
            if not _run_for(connection, manifest):
                return 0


def read_manifest(parsed: str) -> Manifest | None:
    """The project as dbt parsed it; None where that does not read, for whatever reason."""
    import dbt.cli.main  # noqa: F401 (for the children)
    from dbt.contracts.graph.manifest import Manifest
    from dbt.parser.manifest import extended_mashumuro_decoder

    with suppress(Exception):
        content = Path(parsed).read_bytes()
        manifest = Manifest.from_msgpack(content, decoder=extended_mashumuro_decoder)
        manifest.build_flat_graph()
        return manifest
    return None


def _parse(options: list[str]) -> Manifest | None:
    from dbt.cli.main import dbtRunner

    parsed = dbtRunner().invoke(["--quiet", "parse", *options])
    if not parsed.success:
        print(parsed.exception or "dbt parse failed", file=sys.stderr)
        return None
    return cast("Manifest", parsed.result)


def _run_for(connection: socket.socket, manifest: Manifest) -> bool:
    """One command: the child's number and its exit status go back, a line each.

    False when the refresh ended before the command did.
    """
    content, outputs, _, _ = socket.recv_fds(connection, MOST_BYTES, 2)
    command = json.loads(content)
    # Closed by the child's end: then there is something to read.
    running, held = os.pipe()
    child = os.fork()
    if child == 0:
        connection.close()
        os.close(running)
        _run(command, outputs, manifest)
    os.close(held)
    for output in outputs:
        os.close(output)
    # A client that is gone has been killed: its command is ended, too.
    with suppress(OSError):
        connection.sendall(f"{child}\n".encode())
    ready, _, _ = select.select([running, sys.stdin, connection], [], [])
    orphaned = running not in ready
    if orphaned:
        os.kill(child, signal.SIGKILL)
    os.close(running)
    _, status = os.waitpid(child, 0)
    with suppress(OSError):
        connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    return sys.stdin not in ready


def _run(command: dict, outputs: list[int], manifest: Manifest) -> None:
    """In the child: become the client, run its command, end."""
    status = 2
    try:
        for own, given in zip((1, 2), outputs, strict=True):
            os.dup2(given, own)
        os.environ.clear()
        os.environ.update(command["environment"])
        os.chdir(command["folder"])
        from dbt.cli.main import dbtRunner

        result = dbtRunner(manifest=manifest).invoke(command["arguments"])
        if result.exception:
            print(result.exception, file=sys.stderr)
        status = 0 if result.success else 2 if result.exception else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    # Without Python's own end, which would complain of what gc.freeze kept.
    os._exit(main(sys.argv[1:]))
