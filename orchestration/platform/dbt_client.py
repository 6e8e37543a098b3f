"""Stands in for the dbt program: hands the command to the refresh's dbt server, if there is one.

    python dbt_client.py DBT_PROGRAM DBT_VERSION [arguments of dbt]

Without a server in DBT_SERVER, or when it is gone, the program itself is run. It imports the
standard library alone, so that it starts at once.
"""

import json
import os
import signal
import socket
import sys

PR_SET_PDEATHSIG = 1


def main() -> int:
    program, version, *arguments = sys.argv[1:]
    if arguments == ["--version"]:
        print(f"Core:\n  - installed: {version}")
        return 0
    folder = os.getcwd()
    with socket.socket(socket.AF_UNIX) as server:
        try:
            # Named from within its folder: the path of a socket may have some hundred bytes only.
            place, own_name = os.path.split(os.environ["DBT_SERVER"])
            os.chdir(place)
            server.connect(own_name)
        except (KeyError, OSError):
            os.chdir(folder)
            _end_with_parent()
            os.execv(program, [program, *arguments])
        command = {"arguments": arguments, "environment": dict(os.environ), "folder": folder}
        socket.send_fds(server, [json.dumps(command).encode()], [1, 2])
        answers = server.makefile()
        child = answers.readline().strip()
        if child:
            for name in (signal.SIGINT, signal.SIGTERM):
                signal.signal(name, lambda number, _: os.kill(int(child), number))
        status = answers.readline().strip()
    if not status:
        print("the dbt server ended before the command did", file=sys.stderr)
        return 2
    return abs(int(status))


def _end_with_parent() -> None:
    """On Linux, have this process killed when the one that started it ends, however it ends."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main())
