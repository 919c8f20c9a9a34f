"""One request as the rest of the package describes it, and the limit for concurrent reads."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote

import anyio
import msgspec
from msgspec import Struct

from matrix.http.backend import BodyReader, HttpRequest
from matrix.http.cleaning import clean_json
from matrix.http.parsing import parse_response
from matrix.http.rate_limits import BucketName

READ_TIMEOUT_S = 30.0
MAX_CONCURRENT_READS = 20

_ESCAPES = str.maketrans({chr(code): quote(chr(code), safe="") for code in range(128)})


def _escaped(segment: str) -> str:
    # Every message has ids; the table needs a tenth of the time of `quote`.
    return segment.translate(_ESCAPES) if segment.isascii() else quote(segment, safe="")


def client_path(*segments: str) -> str:
    """Build a path of the client-server API, each segment percent-encoded."""
    return "/_matrix/client/v3/" + "/".join(map(_escaped, segments))


class Request(Struct, frozen=True):
    """One request to the homeserver, with the rules for retrying it.

    `retry_query` replaces the query when the request is repeated (a sync after an outage must not long-poll).
    Where a second request would have a second effect, `idempotent` is false; then `Unreachable` is raised instead of
    a retry. `retry_forever` requests are never refused as poison. `long_poll` requests are cancelled when the
    session ends; only they raise `LoggedOut`. `droppable` requests raise `Dropped` instead of waiting.
    `unauthenticated` and `token` bypass the session, for login. `bucket` is the rate-limit bucket. `reader` makes the
    reader of a response body that may be too long to be held; without it the body is parsed as JSON.
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

    def to_http(self, query: Mapping[str, str], token: str | None) -> HttpRequest:
        """Return the HTTP request for one try."""
        # Every body is cleaned here, the one place that all requests pass (fact 11).
        body = None if self.body is None else msgspec.json.encode(clean_json(self.body))
        return HttpRequest(self.method, self.path, query, body, token, self.timeout_s, self.reader)

    def parse(self, body: bytes) -> Any:
        """Return the content of a response body.

        Raises:
            Unreachable: it does not come from a homeserver.
        """
        return parse_response(body) if self.reader is None else self.reader().whole(body)


async def run_reads(reads: Iterable[Callable[[], Awaitable[None]]]) -> None:
    """Run all reads, at most `MAX_CONCURRENT_READS` at a time."""
    limit = anyio.CapacityLimiter(MAX_CONCURRENT_READS)

    async def run(read: Callable[[], Awaitable[None]]) -> None:
        async with limit:
            await read()

    async with anyio.create_task_group() as tasks:
        for read in reads:
            tasks.start_soon(run, read)
