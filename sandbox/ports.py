"""Free ports on loopback for servers that cannot be asked which one they took."""

import random
import socket

# Below what Linux and macOS hand out for outgoing connections. A port from that range could be
# taken by any client while our server is down for a restart, even by a client that is trying
# to reach this very server.
_FIRST, _LAST = 20_000, 32_000


def free_port() -> int:
    """Pick a loopback port that nobody listens on right now; somebody may before you do."""
    while True:
        port = random.randint(_FIRST, _LAST)
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
