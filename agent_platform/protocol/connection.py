"""One WebSocket to one agent: opening it, hearing frames from it, hanging up.

The one place that knows aiohttp's WebSockets and turns whatever goes wrong with them into a
`ConversationBroke`. Every wait has a deadline, the closing handshake included. Reasons name hosts,
codes and types of errors: never a token, a body, or a text that the other side chose.
"""

import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal, assert_never
from urllib.parse import quote

import aiohttp
import anyio
from yarl import URL

from agent_platform.errors import ConversationBroke
from agent_platform.protocol.parsing import MAX_FRAME_BYTES
from machines.redirects import redirect_target
from machines.talk import AgentBroke

_Kind = Literal["unreachable", "silent", "protocol", "broken_off"]
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TOO_EARLY = "before the answer was complete"
_WS_SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}


@dataclass(frozen=True, slots=True)
class Timings:
    """How long each part of a conversation may take, in seconds (protocol, "Connection")."""

    connect_s: float = 10.0
    status_s: float = 10.0
    silence_s: float = 30.0
    heartbeat_s: float = 30.0
    close_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an agent is reached, and the bearer token it wants, if any."""

    base_url: str
    token: str | None = field(default=None, repr=False)

    def chat_url(self, platform_chat_id: str) -> URL:
        """Return the WebSocket address of one chat: the only place where it is put together."""
        scheme, _, rest = self.base_url.partition("://")
        path = f"v1/agent_ws/{quote(platform_chat_id, safe='')}/"
        return URL(f"{_WS_SCHEMES[scheme.lower()]}://{rest.rstrip('/')}/{path}", encoded=True)


class _Redirected(aiohttp.ClientError):
    """The address answered with a redirect to `args[0]`; an agent is asked only where it is configured."""


def open_session() -> aiohttp.ClientSession:
    """Return the HTTP session for all agents; the caller closes it.

    It has no limit of connections (a slow agent must not make another chat wait, contract D11), no
    cookies (they would be a context shared by chats, contract A5), and it follows no redirect.
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
    """An open WebSocket, as texts in and texts out."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse, timings: Timings) -> None:
        self._ws = ws
        self._timings = timings

    async def say(self, text: str) -> None:
        """Send one text frame.

        Raises:
            ConversationBroke: the connection is gone, or the agent does not read.
        """
        try:
            with anyio.fail_after(self._timings.silence_s):
                await self._ws.send_str(text)
        except TimeoutError:
            raise _broke("silent", "the agent does not take the message") from None
        except (aiohttp.ClientError, OSError):
            raise _broke("broken_off", f"the connection broke {_TOO_EARLY}") from None

    async def hear(self, within_s: float) -> str | None:
        """Return the next text frame, or None when none came within `within_s` seconds.

        Raises:
            ConversationBroke: the connection ended, or what came is no text.
        """
        message: aiohttp.WSMessage | None = None
        try:
            # aiohttp's own timeout would be renewed by each ping of the other side.
            with anyio.move_on_after(within_s):
                message = await self._ws.receive()
        except TimeoutError as error:
            # The one fault of a connection that aiohttp raises instead of putting it into a message.
            raise _broken_by(error) from None
        if message is None:
            return None
        match message.type:
            case aiohttp.WSMsgType.TEXT:
                text: str = message.data
                return text
            case aiohttp.WSMsgType.BINARY:
                raise _broke("protocol", "the agent sent a binary frame")
            case aiohttp.WSMsgType.ERROR:
                raise _broken_by(message.data)
            case aiohttp.WSMsgType.CLOSE:
                raise _broke(
                    "broken_off", f"the agent closed with code {message.data} {_TOO_EARLY}"
                )
            case _:
                # What ended it while nobody listened, a missing pong perhaps, is remembered.
                raise _broken_by(self._ws.exception())

    async def hang_up(self) -> None:
        """Close the WebSocket; bounded even when the other side has stopped reading."""
        raw: socket.socket | None = self._ws.get_extra_info("socket")
        try:
            # Says goodbye before the first wait, so that one who is cancelled does so too.
            with anyio.move_on_after(self._timings.close_s):
                await self._ws.close()
        finally:
            if self._ws.close_code == aiohttp.WSCloseCode.ABNORMAL_CLOSURE and raw is not None:
                # No goodbye came back. Bytes that were never taken would keep the socket open.
                with suppress(OSError):
                    raw.shutdown(socket.SHUT_RDWR)


@asynccontextmanager
async def connected(
    session: aiohttp.ClientSession,
    endpoint: Endpoint,
    platform_chat_id: str,
    timings: Timings,
) -> AsyncGenerator[Connection, None]:
    """Hold a WebSocket to one chat of an agent; leaving hangs up.

    Raises:
        ConversationBroke: there is no way to the agent.
    """
    connection = Connection(await _open(session, endpoint, platform_chat_id, timings), timings)
    try:
        yield connection
    finally:
        await connection.hang_up()


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
                # aiohttp refuses what reaches its limit, the protocol what exceeds it.
                max_msg_size=MAX_FRAME_BYTES + 1,
            )
    except TimeoutError:
        reason = f"no connection to {where} within {timings.connect_s:g} s"
    except (aiohttp.ClientError, OSError) as error:
        reason = _why_unreachable(error, where)
    raise _broke("unreachable", reason)


def _why_unreachable(error: aiohttp.ClientError | OSError, where: str) -> str:
    match error:
        case _Redirected(args=(target,)):
            return f"{where} redirects to {target}, which is not followed"
        case aiohttp.WSServerHandshakeError(status=101):
            return f"{where} does not speak WebSocket"
        case aiohttp.ClientResponseError(status=status):
            return f"{where} answered with HTTP status {status}"
        case aiohttp.ClientConnectorDNSError(host=host):
            return f"the name {host} can't be resolved"
        case aiohttp.ClientConnectorCertificateError():
            return f"the TLS certificate of {where} is not accepted"
        case aiohttp.ClientSSLError():
            return f"no TLS connection to {where}"
        case aiohttp.ClientConnectorError(os_error=cause):
            return f"no connection to {where}: {cause.strerror or type(cause).__name__}"
        case aiohttp.ClientError() | OSError():
            return f"the connection to {where} broke while it was opened ({type(error).__name__})"
        case _:
            assert_never(error)


def _broken_by(error: BaseException | None) -> ConversationBroke:
    match error:
        case aiohttp.WebSocketError(code=aiohttp.WSCloseCode.MESSAGE_TOO_BIG):
            return _broke("protocol", "the frame is larger than 4 MiB")
        case aiohttp.WebSocketError(code=aiohttp.WSCloseCode.INVALID_TEXT):
            return _broke("protocol", "the frame is not UTF-8")
        case aiohttp.WebSocketError():
            return _broke("protocol", "the agent broke the WebSocket protocol")
        case aiohttp.ServerTimeoutError():
            return _broke("silent", "the agent did not answer a ping")
        case _:
            return _broke("broken_off", f"the connection broke {_TOO_EARLY}")


def _broke(kind: _Kind, reason: str) -> ConversationBroke:
    return ConversationBroke(AgentBroke(kind, reason))
