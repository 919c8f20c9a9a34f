"""The HTTP backend interface: one request, one response. Tests and the simulation replace the network here."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from msgspec import Struct


class BodyReader(Protocol):
    """Reads a response body, at once or in pieces; called from threads, one piece at a time.

    Every method raises `Unreachable` where the body was cut off, or does not come from a homeserver.
    """

    def whole(self, body: bytes) -> Any:
        """Return the parsed content of a complete body."""

    def feed(self, piece: bytes) -> None:
        """Read the next piece."""

    def finish(self) -> Any:
        """Return the parsed content of all pieces."""


class HttpRequest(Struct, frozen=True):
    """An HTTP request; `path` is percent-encoded, `token` is `None` where no login is needed.

    `reader` makes the reader of a body that is too long to be held in memory.
    """

    method: str
    path: str
    query: Mapping[str, str] = {}
    body: bytes | None = None
    token: str | None = None
    timeout_s: float = 30.0
    reader: Callable[[], BodyReader] | None = None

    def __repr__(self) -> str:
        """Never show the token."""
        return f"HttpRequest({self.method} {self.path})"


class HttpResponse(Struct, frozen=True):
    """An HTTP response; header names are looked up in lower case.

    `content` is the result of a `BodyReader` where one was used; `body` is then empty.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    content: Any = None


HttpBackend = Callable[[HttpRequest], Awaitable[HttpResponse]]
"""Makes one request, once.

Raises `Unreachable` when no complete response came back in time, `ResponseTooLong` when it is too long.
"""
