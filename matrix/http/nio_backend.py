"""The real HTTP backend: nio's `AsyncClient`, used as HTTP transport only (decision record on nio).

Everything that nio would do by itself is turned off (facts 1 and 5): no retries, no sync tokens, no callbacks. The
access token travels in the `Authorization` header; nio's own request builders, which put it into the URL, are not used.
"""

import logging
from collections.abc import Callable
from functools import cache
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
import anyio.to_thread
from nio.client.async_client import AsyncClient, AsyncClientConfig

from machines.redirects import redirect_target
from matrix.errors import Redirected, ResponseTooLong, Unreachable
from matrix.http.backend import BodyReader, HttpRequest, HttpResponse
from matrix.http.failures import broken, no_connection, no_connection_in_time
from matrix.http.parsing import gc_paused

MAX_CONNECTIONS = 100
CONNECT_TIMEOUT_S = 10.0
MAX_RESPONSE_BYTES = 64 * 1024 * 1024
"""The longest body that is held. A longer one is read in pieces where the request has a reader, or else refused."""

_FEED_BYTES = 1024 * 1024

# A homeserver may run behind a proxy that closes idle connections early; ours close first.
_KEEP_ALIVE_S = 10.0

_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class NioBackend:
    """Makes requests over nio's HTTP client; `aclose` closes its connections."""

    def __init__(self, homeserver: str) -> None:
        silence_nio()
        self._homeserver = homeserver.rstrip("/")
        self._tls = self._homeserver.startswith("https:")
        self._client: AsyncClient | None = None

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        """Make one request.

        Raises:
            Unreachable: no connection, no response in time, or one that is cut off.
            ResponseTooLong: the body is longer than the limit, and the request has no reader for it.
            Redirected: the response is a redirect; neither token nor body is sent to its target (contract E11).
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
            # nio passes the timeout on unchanged; aiohttp does not accept a bare number.
            response = await client.send(request.method, path, request.body, headers, None, timeout)
            async with response:
                body, content = await _read(response, request.reader)
        except TimeoutError as cause:
            if isinstance(cause, aiohttp.ConnectionTimeoutError):
                reason = no_connection_in_time(CONNECT_TIMEOUT_S, tls=self._tls)
                raise Unreachable("connect", reason) from None
            raise Unreachable("timeout", f"no answer within {request.timeout_s:g} s") from None
        except aiohttp.ClientConnectorError as cause:
            raise Unreachable("connect", no_connection(cause, tls=self._tls)) from None
        except (aiohttp.ClientError, OSError) as cause:
            raise Unreachable("broken", broken(cause, tls=self._tls)) from None
        return HttpResponse(response.status, response.headers, body, content)

    async def aclose(self) -> None:
        """Close all connections; a later request opens new ones."""
        if self._client is not None:
            await self._client.close()  # type: ignore[no-untyped-call]  # nio's
            self._client = None

    def _open(self) -> AsyncClient:
        config = AsyncClientConfig(
            max_limit_exceeded=0, max_timeouts=0, store_sync_tokens=False, encryption_enabled=False
        )
        client = AsyncClient(self._homeserver, config=config)
        # Without this, nio creates a session with aiohttp's defaults at the first request.
        client.client_session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS, keepalive_timeout=_KEEP_ALIVE_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            middlewares=(_refuse_redirect,),
        )
        # aiohttp would repeat a GET or a PUT whose connection broke at once, unknown to the circuit breaker:
        # two requests within a second to an unreachable homeserver (contract L9).
        client.client_session._retry_connection = False
        self._client = client
        return client


async def _refuse_redirect(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Refuse a redirect before aiohttp follows it; nio leaves following on."""
    response = await handler(request)
    location = response.headers.get("Location") or response.headers.get("URI")
    if response.status in _REDIRECTS and location is not None:
        response.close()
        raise Redirected(redirect_target(str(request.url), location))
    return response


def silence_nio() -> None:
    """Keep nio's log lines, which contain access tokens and message bodies, out of our log (fact 14)."""
    logger = logging.getLogger("nio")
    logger.propagate = False
    logger.setLevel(logging.CRITICAL + 1)
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())


@cache
def _timeout(timeout_s: float) -> aiohttp.ClientTimeout:
    """Return the limits of a request; only a few different ones exist."""
    return aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_TIMEOUT_S)


async def _read(
    response: aiohttp.ClientResponse, make_reader: Callable[[], BodyReader] | None
) -> tuple[bytes, Any]:
    """Return the body; or, beyond the limit, the content that a reader made of it piece by piece."""
    pieces: list[bytes] = []
    size, limit = 0, MAX_RESPONSE_BYTES
    reader: BodyReader | None = None
    async for piece in response.content.iter_any():
        pieces.append(piece)
        size += len(piece)
        if size <= limit:
            continue
        if reader is None:
            reason = f"the answer is longer than {MAX_RESPONSE_BYTES} bytes"
            if response.status != HTTPStatus.OK:
                raise Unreachable("broken", reason)  # a homeserver's refusal is never that long
            if make_reader is None:
                raise ResponseTooLong(reason)
            reader, limit = make_reader(), _FEED_BYTES
        await _feed(reader, pieces)
        size = 0
    if reader is None:
        return b"".join(pieces), None
    await _feed(reader, pieces)
    return b"", await anyio.to_thread.run_sync(reader.finish)


async def _feed(reader: BodyReader, pieces: list[bytes]) -> None:
    """Read the pieces in a thread, and free each one afterwards."""
    while pieces:
        block = b""
        while pieces and len(block) < _FEED_BYTES:
            block += pieces.pop(0)
        with gc_paused():
            await anyio.to_thread.run_sync(reader.feed, block)
