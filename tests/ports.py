"""Ports for the servers that tests start."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack


def free_ports(count: int = 1) -> int:
    """The first of `count` neighbouring ports that nothing listens at.

    All are below the range from which the system takes the ports of clients: one of those may be in
    use again before the server listens.
    """
    while True:
        first = random.randrange(12_000, 32_000)
        with ExitStack() as listeners:
            try:
                for port in range(first, first + count):
                    listeners.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            return first
