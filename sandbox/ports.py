"""Finds free ports on loopback, for servers that can't report the port that the system assigned."""

import random
import socket

# Below the range that Linux and macOS use for outgoing connections: any client could get a port of that range while the
# server restarts, even a client that tries to reach this server.
_FIRST, _LAST = 20_000, 32_000


def free_port() -> int:
    """Return a loopback port that is free now; another process may take it first."""
    while True:
        port = random.randint(_FIRST, _LAST)
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
