"""One request as the rest of the package describes it, and the path of its endpoint."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from msgspec import Struct

from matrix.http.backend import BodyReader, HttpRequest
from matrix.http.parsing import parse_response
from matrix.http.rate_limits import BucketName

READ_TIMEOUT_S = 30.0


_ESCAPES = str.maketrans({chr(code): quote(chr(code), safe="") for code in range(128)})


def _escaped(segment: str) -> str:
    # Ids come with every message; the table takes a tenth of the time that `quote` takes.
    return segment.translate(_ESCAPES) if segment.isascii() else quote(segment, safe="")


def client_path(*segments: str) -> str:
    """Build a path of the client-server API, each segment percent-encoded."""
    return "/_matrix/client/v3/" + "/".join(map(_escaped, segments))


class Request(Struct, frozen=True):
    """One request to the homeserver, with the rules for retrying it.

    `retry_query` replaces the query when the request is repeated (a sync after an outage must not long-poll).
    Where a second request would have a second effect, `idempotent` is false; then `Unreachable` is raised instead of
    a retry. `retry_forever` requests are never given up as poison. `long_poll` requests are cancelled when the
    session ends; only they raise `LoggedOut`. `droppable` requests raise `Dropped` instead of waiting.
    `unauthenticated` and `token` bypass the session, for login. `bucket` is the rate-limit bucket.

    `reader` makes the reader of the response body, for bodies that may be too long to be held; without it the body is
    parsed as JSON.
    """

    method: str
    path: str
    query: Mapping[str, str] | None = None
    retry_query: Mapping[str, str] | None = None
    body: Mapping[str, Any] | None = None
    bucket: BucketName = "read"
    timeout_s: float = READ_TIMEOUT_S
    idempotent: bool = True
    retry_forever: bool = False
    long_poll: bool = False
    droppable: bool = False
    unauthenticated: bool = False
    token: str | None = None
    reader: Callable[[], BodyReader] | None = None

    @property
    def bypasses_session(self) -> bool:
        """Whether the request does not use the session's token."""
        return self.unauthenticated or self.token is not None

    def to_http(
        self, query: Mapping[str, str], body: bytes | None, token: str | None
    ) -> HttpRequest:
        """Return the HTTP request for one try."""
        return HttpRequest(self.method, self.path, query, body, token, self.timeout_s, self.reader)

    def parse(self, body: bytes) -> Any:
        """Return the content of a response body.

        Raises:
            Unreachable: it does not come from a homeserver.
        """
        return parse_response(body) if self.reader is None else self.reader().whole(body)
