"""The only room that knows the homeserver: its HTTP, its JSON, its limits and its moods.

`MatrixClient` is what the rest of the program sees, through the runtime's `Homeserver` port. Inside, a
request goes `performing` or `homeserver` → `transport` (retries) → `gate` (outages) and `throttle`
(rate limits) → `backend` (nio, one HTTP request); an answer comes back through `answers` and `parsing`.
A sync response goes through `decoding` (facts) and `topology` (what is).
"""

from matrix.client import MatrixClient
from matrix.errors import SessionMismatch, SessionUnusable
from matrix.session.file import Account
from matrix.session.login import Session

__all__ = ["Account", "MatrixClient", "Session", "SessionMismatch", "SessionUnusable"]
