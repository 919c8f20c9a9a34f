"""Scripts for the agent of tests: the steps with which it answers a message.

A script is a function from a received request to steps, as a sequence or as an async generator that may wait between
them. Steps are sent unchecked, so that a test can write a faulty agent in one line.
"""

from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterable,
    Mapping,
)
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Protocol

import anyio


@dataclass(frozen=True, slots=True)
class Request:
    """One received `USER_MESSAGE`."""

    order: int
    """Counted from 1 over all connections of the server."""
    connection: int
    """The number of its connection, counted from 1."""
    chat_id: str
    """The `platform_chat_id` in the address."""
    payload: Mapping[str, Any]
    headers: Mapping[str, str]
    """The headers of the opening request, with names in lower case."""
    at: float = field(compare=False)
    """Seconds since the epoch."""

    @property
    def text(self) -> str:
        """The message's text."""
        return str(self.payload.get("text", ""))

    @property
    def message_id(self) -> str:
        """The turn's id, the same at each retry."""
        return str(self.payload.get("message_id", ""))


@dataclass(slots=True)
class Connection:
    """One WebSocket connection to the server."""

    number: int
    chat_id: str
    headers: dict[str, str]
    at: float
    closed: anyio.Event = field(default_factory=anyio.Event)
    """Set when either side has closed it."""
    close_code: int | None = None
    """The code of the client's closing frame; None when there was none."""


class Waitable(Protocol):
    """An object with `wait()`, such as an event."""

    async def wait(self) -> Any:
        """Return when the event is set."""
        ...


@dataclass(frozen=True, slots=True)
class Status:
    """Send `STATUS`."""


@dataclass(frozen=True, slots=True)
class Text:
    """Send a text chunk."""

    chunk: str


@dataclass(frozen=True, slots=True)
class Tool:
    """Send that a tool is used."""

    name: str


@dataclass(frozen=True, slots=True)
class ToolResult:
    """Send that the tool is done."""

    result: Any = ""


@dataclass(frozen=True, slots=True)
class Update:
    """Send a custom update: progress, or a question to confirm."""

    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SendFile:
    """Offer a file in the workspace."""

    path: str


@dataclass(frozen=True, slots=True)
class End:
    """End the answer."""

    tokens_used: int = 0


@dataclass(frozen=True, slots=True)
class Error:
    """End the turn with an error."""

    code: str
    details: str | Mapping[str, Any] = ""


@dataclass(frozen=True, slots=True)
class Raw:
    """Send exactly this as one frame: a string as text, bytes as a binary frame."""

    data: str | bytes


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait for an event, or for seconds; the connection stays open meanwhile."""

    until: Waitable | float


@dataclass(frozen=True, slots=True)
class Close:
    """Close the WebSocket properly, with this code."""

    code: int = 1000


@dataclass(frozen=True, slots=True)
class Drop:
    """Cut the TCP connection without a closing frame."""


Step = (
    Status | Text | Tool | ToolResult | Update | SendFile | End | Error | Raw | Wait | Close | Drop
)
Script = Callable[[Request], Iterable[Step] | AsyncIterable[Step]]

GREETING: tuple[Step, ...] = (Status(),)
"""The frames that a server sends when a connection opens."""
NO_STATUS: tuple[Step, ...] = ()
"""An opening without any frame."""
WRONG_FIRST_FRAME: tuple[Step, ...] = (Text("too early"), Status())
"""An opening that does not begin with `STATUS`."""


def frame_of(step: Step) -> dict[str, Any] | None:
    """Return the JSON object that a step sends, or None for one that sends none."""
    match step:
        case Status():
            return {"type": "STATUS"}
        case Text(chunk):
            return {"type": "AGENT_EVENT_TEXT_CHUNK", "text": chunk}
        case Tool(name):
            return {"type": "AGENT_EVENT_TOOL_CALL_CHUNK", "tool_name": name}
        case ToolResult(result):
            return {"type": "AGENT_EVENT_TOOL_RESULT", "result": result}
        case Update(payload):
            return {"type": "AGENT_EVENT_CUSTOM_UPDATE", "payload": dict(payload)}
        case SendFile(path):
            return {"type": "AGENT_EVENT_SEND_FILE", "path": path}
        case End(tokens):
            return {"type": "AGENT_EVENT_END", "tokens_used": tokens}
        case Error(code, details):
            data = details if isinstance(details, str) else dict(details)
            return {"type": "ERROR", "code": code, "details": data}
        case _:
            return None


async def stepwise(
    steps: Iterable[Step] | AsyncIterable[Step],
) -> AsyncGenerator[Step, None]:
    """Yield a script's steps, synchronous or asynchronous; closing this generator closes the script."""
    if isinstance(steps, AsyncGenerator):
        async with aclosing(steps):
            async for step in steps:
                yield step
    elif isinstance(steps, AsyncIterable):
        async for step in steps:
            yield step
    else:
        for step in steps:
            yield step


def echo(request: Request) -> Iterable[Step]:
    """Answer `echo: <text>` in a few chunks."""
    answer = f"echo: {request.text}"
    size = max(1, -(-len(answer) // 3))
    for start in range(0, len(answer), size):
        yield Text(answer[start : start + size])
    yield End(len(answer.split()))


def paced_echo(pace_s: float, chunk_chars: int = 40) -> Script:
    """Return a script that echoes in small chunks, `pace_s` seconds apart."""

    async def script(request: Request) -> AsyncIterator[Step]:
        answer = f"echo: {request.text}"
        for start in range(0, len(answer), chunk_chars):
            yield Text(answer[start : start + chunk_chars])
            await anyio.sleep(pace_s)
        yield End(len(answer.split()))

    return script
