"""The only package that knows the homeserver: HTTP, sync, rooms, session.

Start reading at `client`: `MatrixClient` implements the runtime's `Homeserver` port.

- `http`: every request passes `http.transport`, with retries, circuit breaker and rate limits.
- `sync`: sync responses and history, decoded into the Matrix events of `machines.events.matrix`.
- `rooms`: orders are carried out (`rooms.perform`), and current room state is read (`rooms.observe`).
- `session`: login, the session file, and the client for one-shot commands.

Imports go down only: `client` → `rooms` → `session`, `sync` → `http` → `raw_events`, `keys`, `clock`, `errors`.
"""

from matrix.client import MatrixClient
from matrix.errors import SessionMismatch, SessionUnusable
from matrix.session.file import Account

__all__ = ["Account", "MatrixClient", "SessionMismatch", "SessionUnusable"]
