"""The fixture of a soak run: homeserver, daemon, agent, and users with their rooms."""

import re
import secrets
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from sandbox.daemon import Daemon
from sandbox.synapse import Synapse
from tests.support.agent_script import Script
from tests.support.agent_server import AgentServer
from tests.support.matrix_user import MatrixUser
from tests.support.proxy import Proxy
from tests.system.users import PASSWORD, onboard

PEOPLE = 5
CHATS_EACH = 4
_HERE = str(Path(__file__).parents[2])


@dataclass(frozen=True, slots=True)
class SoakFixture:
    """All parts of a soak run; `rooms` are the chats with their owners."""

    synapse: Synapse
    bot: str
    daemon: Daemon
    agent: AgentServer
    rooms: tuple[tuple[MatrixUser, str], ...]
    proxy: Proxy | None


@asynccontextmanager
async def set_up(
    script: Script,
    *,
    people: int = PEOPLE,
    chats_each: int = CHATS_EACH,
    synapse: Synapse | None = None,
    timeline_limit: int | None = None,
    counted: bool = False,
) -> AsyncIterator[SoakFixture]:
    """Start all parts, onboard the users and make their chats; stop all parts at the end.

    A `synapse` that is given goes on afterwards. With a `timeline_limit` the homeserver is asked for no more
    events a room than that, whatever the daemon asks for. With that, or when its requests are to be `counted`, the
    daemon is behind a proxy.
    """
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="soak-")))
        server = synapse if synapse is not None else await stack.enter_async_context(Synapse())
        url, proxy = server.url, None
        if counted or timeline_limit is not None:
            proxy = await stack.enter_async_context(Proxy(url))
            url = proxy.url
            if timeline_limit is not None:
                proxy.rewrite_path = _limiting(timeline_limit)
        agent = await stack.enter_async_context(AgentServer(script))
        unique = secrets.token_hex(4)
        bot = await server.register(f"bot-{unique}", PASSWORD)
        environment = {
            "MATRIX_HOMESERVER": url,
            "MATRIX_USER_ID": bot,
            "MATRIX_PASSWORD": PASSWORD,
            "MATRIX_PLATFORM_BACKEND": "real",
            "AGENT_BASE_URL": agent.url,
            "PYTHONPATH": _HERE,
        }
        daemon = await stack.enter_async_context(Daemon(directory, environment))
        await daemon.wait_live()
        rooms: list[tuple[MatrixUser, str]] = []

        async def settle_in(person: MatrixUser) -> None:
            rooms.extend([(person, room) for room in await _chats(person, bot, chats_each)])

        async with anyio.create_task_group() as group:
            for number in range(1, people + 1):
                user_id = await server.register(f"person-{unique}-{number}", PASSWORD)
                person = MatrixUser(server.url, user_id, PASSWORD)
                group.start_soon(settle_in, await stack.enter_async_context(person))
        yield SoakFixture(server, bot, daemon, agent, tuple(rooms), proxy)


def _limiting(limit: int) -> Callable[[str], str]:
    """Return what puts another timeline limit into the filter of a sync, which stands in its query."""
    return lambda path: re.sub(r"%22limit%22(%3A|:)\d+", rf"%22limit%22\g<1>{limit}", path)


async def _chats(person: MatrixUser, bot: str, count: int) -> list[str]:
    home = await onboard(person, bot)
    chats = [home.chat]
    for number in range(2, count + 1):
        await home.tell(f"!new Chat {number}")
        (room,) = await person.rooms_invited()
        await person.join(room)
        chats.append(room)
    return chats


def say(line: str) -> None:
    """Show a line at once, in a pipe too."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
