"""One WebSocket to one agent: connect, send, receive, close.

The only module that uses aiohttp's WebSockets; it translates their errors into `RequestFailed`. Every wait has a
deadline, the closing handshake included. Reasons name hosts, codes and types of errors, never a token, a body or a
text from the agent.
"""

import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import assert_never
from urllib.parse import quote

import aiohttp
import anyio
from yarl import URL

from agent_platform.errors import RequestFailed
from agent_platform.protocol.parsing import MAX_FRAME_BYTES
from machines.redirects import redirect_target

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_INCOMPLETE = "before the answer was complete"
_WS_SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}


@dataclass(frozen=True, slots=True)
class Timings:
    """Timeouts of one request, in seconds (protocol, "Connection")."""

    connect_s: float = 10.0
    status_s: float = 10.0
    silence_s: float = 30.0
    heartbeat_s: float = 30.0
    close_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The address of an agent and its bearer token, if it has one."""

    base_url: str
    token: str | None = field(default=None, repr=False)

    def chat_url(self, platform_chat_id: str) -> URL:
        """Return the WebSocket address of one chat."""
        scheme, _, rest = self.base_url.partition("://")
        path = f"v1/agent_ws/{quote(platform_chat_id, safe='')}/"
        return URL(f"{_WS_SCHEMES[scheme.lower()]}://{rest.rstrip('/')}/{path}", encoded=True)


class _Redirected(aiohttp.ClientError):
    """The address answered with a redirect to `args[0]`, which is not followed (contract E11)."""


def open_session() -> aiohttp.ClientSession:
    """Return the HTTP session for all agents; the caller closes it.

    It has no connection limit (a slow agent must not delay another chat, contract D11), no cookies (chats would share
    them, contract A5), and it follows no redirect (contract E11).
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
        middlewares=(_refuse_redirect,),
    )


async def _refuse_redirect(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    response = await handler(request)
    if response.status in _REDIRECTS:
        response.close()
        raise _Redirected(redirect_target(str(request.url), response.headers.get("Location", "")))
    return response


class Connection:
    """An open WebSocket that sends and receives text frames."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse, timings: Timings) -> None:
        self._ws = ws
        self._timings = timings

    async def send(self, text: str) -> None:
        """Send one text frame.

        Raises:
            RequestFailed: the connection is lost, or the agent does not read.
        """
        try:
            with anyio.fail_after(self._timings.silence_s):
                await self._ws.send_str(text)
        except TimeoutError:
            raise RequestFailed("silent", "the agent does not accept the message") from None
        except (aiohttp.ClientError, OSError):
            raise RequestFailed("broken_off", f"the connection broke {_INCOMPLETE}") from None

    async def receive(self, within_s: float) -> str | None:
        """Return the next text frame, or None when none came within `within_s` seconds.

        Raises:
            RequestFailed: the connection ended, or the frame is not text.
        """
        message: aiohttp.WSMessage | None = None
        try:
            # Each ping of the agent would restart aiohttp's own timeout.
            with anyio.move_on_after(within_s):
                message = await self._ws.receive()
        except TimeoutError as error:
            # aiohttp raises this fault; it reports all others in a message.
            raise _failure_of(error) from None
        if message is None:
            return None
        match message.type:
            case aiohttp.WSMsgType.TEXT:
                text: str = message.data
                return text
            case aiohttp.WSMsgType.BINARY:
                raise RequestFailed("protocol", "the agent sent a binary frame")
            case aiohttp.WSMsgType.ERROR:
                raise _failure_of(message.data)
            case aiohttp.WSMsgType.CLOSE:
                reason = f"the agent closed with code {message.data} {_INCOMPLETE}"
                raise RequestFailed("broken_off", reason)
            case _:
                # aiohttp stores what ended the connection between two receives, such as a missing pong.
                raise _failure_of(self._ws.exception())

    async def close(self) -> None:
        """Close the WebSocket within `close_s`, even when the agent has stopped reading."""
        raw: socket.socket | None = self._ws.get_extra_info("socket")
        try:
            # The close frame is sent before the first wait, so a cancelled caller sends it too.
            with anyio.move_on_after(self._timings.close_s):
                await self._ws.close()
        finally:
            if self._ws.close_code == aiohttp.WSCloseCode.ABNORMAL_CLOSURE and raw is not None:
                # The agent sent no close frame. Bytes that it never read would prevent that the socket closes.
                with suppress(OSError):
                    raw.shutdown(socket.SHUT_RDWR)


@asynccontextmanager
async def connected(
    session: aiohttp.ClientSession, endpoint: Endpoint, platform_chat_id: str, timings: Timings
) -> AsyncGenerator[Connection, None]:
    """Open a WebSocket to one chat of an agent; leaving the context closes it.

    Raises:
        RequestFailed: the agent can't be reached.
    """
    connection = Connection(await _open(session, endpoint, platform_chat_id, timings), timings)
    try:
        yield connection
    finally:
        await connection.close()


async def _open(
    session: aiohttp.ClientSession, endpoint: Endpoint, platform_chat_id: str, timings: Timings
) -> aiohttp.ClientWebSocketResponse:
    url = endpoint.chat_url(platform_chat_id)
    where = f"{url.host}:{url.port}"
    try:
        with anyio.fail_after(timings.connect_s):
            return await session.ws_connect(
                url,
                headers={"Authorization": f"Bearer {endpoint.token}"} if endpoint.token else None,
                heartbeat=timings.heartbeat_s,
                # aiohttp refuses a frame that reaches its limit, the protocol one that exceeds it.
                max_msg_size=MAX_FRAME_BYTES + 1,
            )
    except TimeoutError:
        reason = f"no connection to {where} within {timings.connect_s:g} s"
    except (aiohttp.ClientError, OSError) as error:
        reason = _unreachable_reason(error, where)
    raise RequestFailed("unreachable", reason)


def _unreachable_reason(error: aiohttp.ClientError | OSError, where: str) -> str:
    match error:
        case _Redirected(args=(target,)):
            return f"{where} redirects to {target}, which is not followed"
        case aiohttp.WSServerHandshakeError(status=101):
            return f"{where} does not speak WebSocket"
        case aiohttp.ClientResponseError(status=401 | 403 as status):
            return f"{where} answered with HTTP status {status}: check its token (token_env)"
        case aiohttp.ClientResponseError(status=status):
            return f"{where} answered with HTTP status {status}"
        case aiohttp.ClientConnectorDNSError(host=host):
            return f"the name {host} can't be resolved"
        case aiohttp.ClientConnectorCertificateError():
            return f"the TLS certificate of {where} is not accepted"
        case aiohttp.ClientSSLError():
            return f"no TLS connection to {where}: its port may not speak TLS"
        case aiohttp.ClientConnectorError(os_error=ConnectionRefusedError()):
            return f"connection refused: nothing listens at {where}"
        case aiohttp.ClientConnectorError(os_error=cause):
            return f"no connection to {where}: {cause.strerror or type(cause).__name__}"
        case aiohttp.ClientError() | OSError():
            return f"the connection to {where} broke while it was opened ({type(error).__name__})"
        case _:
            assert_never(error)


def _failure_of(error: BaseException | None) -> RequestFailed:
    match error:
        case aiohttp.WebSocketError(code=aiohttp.WSCloseCode.MESSAGE_TOO_BIG):
            return RequestFailed("protocol", "the frame is larger than 4 MiB")
        case aiohttp.WebSocketError(code=aiohttp.WSCloseCode.INVALID_TEXT):
            return RequestFailed("protocol", "the frame is not UTF-8")
        case aiohttp.WebSocketError():
            return RequestFailed("protocol", "the agent broke the WebSocket protocol")
        case aiohttp.ServerTimeoutError():
            return RequestFailed("silent", "the agent did not answer a ping")
        case _:
            return RequestFailed("broken_off", f"the connection broke {_INCOMPLETE}")
