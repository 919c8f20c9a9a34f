"""One HTTP request and its answer: the seam at which a simulation replaces the network.

`NioExchange` is the real one: nio's `AsyncClient` is used as HTTP transport (decision record on nio),
with everything it would do on its own account turned off (facts 1 and 5): no retries, no sync tokens, no
callbacks. The access token travels in the `Authorization` header; nio's own request builders, which put
it into the URL, are not used.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
import anyio.to_thread
from msgspec import Struct
from nio.client.async_client import AsyncClient, AsyncClientConfig

from machines.redirects import redirect_target
from matrix.errors import AnswerTooLong, Redirected, Unreachable
from matrix.http.gc_pause import collector_paused
from matrix.sync.streaming import BodyReader

MAX_CONNECTIONS = 100
CONNECT_TIMEOUT_S = 10.0
MAX_ANSWER_BYTES = 64 * 1024 * 1024
"""The longest answer that is held. A longer one is read in pieces where the request says how, or not at all."""

_FEED_BYTES = 1024 * 1024

# A homeserver may run behind a proxy that ends idle connections early; ours end first.
_KEEP_ALIVE_S = 10.0

_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class HttpRequest(Struct, frozen=True):
    """What is asked; `path` is percent-encoded, `token` is `None` where no login is needed.

    `stream` makes what reads an answer in pieces that is too long to be held.
    """

    method: str
    path: str
    query: Mapping[str, str] = {}
    body: bytes | None = None
    token: str | None = None
    timeout_s: float = 30.0
    stream: Callable[[], BodyReader] | None = None

    def __repr__(self) -> str:
        """Never show the token."""
        return f"HttpRequest({self.method} {self.path})"


class HttpAnswer(Struct, frozen=True):
    """What came back; headers are asked for by their name in lower case.

    `content` is what was made of a body that was read in pieces, of which nothing is left.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    content: Any = None


Exchange = Callable[[HttpRequest], Awaitable[HttpAnswer]]
"""Makes one request, once.

Raises `Unreachable` when no whole answer came back in time, `AnswerTooLong` when there is too much of it.
"""


class NioExchange:
    """Requests over nio's HTTP client; `aclose` ends its connections."""

    def __init__(self, homeserver: str) -> None:
        silence_nio()
        self._homeserver = homeserver.rstrip("/")
        self._client: AsyncClient | None = None

    async def __call__(self, request: HttpRequest) -> HttpAnswer:
        """Make one request.

        Raises:
            Unreachable: no connection, no answer in time, or one that is cut off.
            AnswerTooLong: the answer is longer than what is held, and nothing reads it in pieces.
            Redirected: the answer points elsewhere, where the token and the body do not go (contract E11).
        """
        client = self._client or self._open()
        headers = {"Accept": "application/json"}
        if request.body is not None:
            headers["Content-Type"] = "application/json"
        if request.token is not None:
            headers["Authorization"] = f"Bearer {request.token}"
        path = request.path
        if request.query:
            path = f"{path}?{urlencode(request.query, quote_via=quote)}"
        timeout = _timeout(request.timeout_s)
        try:
            response = await client.send(
                request.method,
                path,
                request.body,
                headers,
                None,
                timeout,  # nio hands it on as it is; aiohttp does not want a bare number
            )
            async with response:
                body, content = await _read(response, request.stream)
        except TimeoutError as cause:
            if isinstance(cause, aiohttp.ConnectionTimeoutError):
                raise Unreachable("connect", "no connection in time") from None
            raise Unreachable("timeout", f"no answer within {request.timeout_s:g} s") from None
        except aiohttp.ClientConnectorError as cause:
            raise Unreachable("connect", _reason(cause)) from None
        except (aiohttp.ClientError, OSError) as cause:
            raise Unreachable("broken", _reason(cause)) from None
        return HttpAnswer(response.status, response.headers, body, content)

    async def aclose(self) -> None:
        """End all connections; a later request opens new ones."""
        if self._client is not None:
            await self._client.close()  # type: ignore[no-untyped-call]  # nio's
            self._client = None

    def _open(self) -> AsyncClient:
        config = AsyncClientConfig(
            max_limit_exceeded=0,
            max_timeouts=0,
            store_sync_tokens=False,
            encryption_enabled=False,
        )
        client = AsyncClient(self._homeserver, config=config)
        # nio would make a session of its own, with aiohttp's defaults, at the first request.
        client.client_session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS, keepalive_timeout=_KEEP_ALIVE_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            middlewares=(_refuse_redirect,),
        )
        # It would repeat a GET or a PUT whose connection broke at once, behind the gate's back: two
        # requests within a second of a homeserver that is gone (contract L9).
        client.client_session._retry_connection = False
        self._client = client
        return client


async def _refuse_redirect(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Stand before aiohttp's own following of redirects, which nio leaves on."""
    response = await handler(request)
    location = response.headers.get("Location") or response.headers.get("URI")
    if response.status in _REDIRECTS and location is not None:
        response.close()
        raise Redirected(redirect_target(str(request.url), location))
    return response


def silence_nio() -> None:
    """Keep nio's log lines, which hold access tokens and message bodies, out of ours (fact 14)."""
    logger = logging.getLogger("nio")
    logger.propagate = False
    logger.setLevel(logging.CRITICAL + 1)
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())


def _reason(cause: Exception) -> str:
    # Only what the operating system says: aiohttp's own texts may quote the request.
    said = cause.strerror if isinstance(cause, OSError) else None
    return f"{type(cause).__name__}: {said}" if said else type(cause).__name__


@cache
def _timeout(timeout_s: float) -> aiohttp.ClientTimeout:
    """Return the limits of a request; there are only a few different ones."""
    return aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_TIMEOUT_S)


async def _read(
    response: aiohttp.ClientResponse, stream: Callable[[], BodyReader] | None
) -> tuple[bytes, Any]:
    """Return the body; or what is made of it as it comes, from where there is too much of it."""
    pieces: list[bytes] = []
    size, limit = 0, MAX_ANSWER_BYTES
    reader: BodyReader | None = None
    async for piece in response.content.iter_any():
        pieces.append(piece)
        size += len(piece)
        if size <= limit:
            continue
        if reader is None:
            reason = f"the answer is longer than {MAX_ANSWER_BYTES} bytes"
            if response.status != HTTPStatus.OK:
                raise Unreachable("broken", reason)  # no refusal of a homeserver's is
            if stream is None:
                raise AnswerTooLong(reason)
            reader, limit = stream(), _FEED_BYTES
        await _feed(reader, pieces)
        size = 0
    if reader is None:
        return b"".join(pieces), None
    await _feed(reader, pieces)
    return b"", await anyio.to_thread.run_sync(reader.finish)


async def _feed(reader: BodyReader, pieces: list[bytes]) -> None:
    """Read pieces in a thread, and let go of each."""
    while pieces:
        block = b""
        while pieces and len(block) < _FEED_BYTES:
            block += pieces.pop(0)
        with collector_paused():
            await anyio.to_thread.run_sync(reader.feed, block)
