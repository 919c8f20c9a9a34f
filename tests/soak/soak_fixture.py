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

USERS = 5
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
    users: int = USERS,
    chats_each: int = CHATS_EACH,
    synapse: Synapse | None = None,
    timeline_limit: int | None = None,
    counted: bool = False,
) -> AsyncIterator[SoakFixture]:
    """Start all parts, onboard the users and create their chats; stop all parts at the end.

    A given `synapse` keeps running afterwards. With a `timeline_limit`, a proxy changes the limit of syncs.
    With `counted`, a proxy counts the daemon's requests.
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

        async def make_chats(user: MatrixUser) -> None:
            rooms.extend([(user, room) for room in await _chats(user, bot, chats_each)])

        async with anyio.create_task_group() as group:
            for number in range(1, users + 1):
                user_id = await server.register(f"user-{unique}-{number}", PASSWORD)
                user = MatrixUser(server.url, user_id, PASSWORD)
                group.start_soon(make_chats, await stack.enter_async_context(user))
        yield SoakFixture(server, bot, daemon, agent, tuple(rooms), proxy)


def _limiting(limit: int) -> Callable[[str], str]:
    """Return a function that replaces the timeline limit in the filter in a sync's query."""
    return lambda path: re.sub(r"%22limit%22(%3A|:)\d+", rf"%22limit%22\g<1>{limit}", path)


async def _chats(user: MatrixUser, bot: str, count: int) -> list[str]:
    onboarded = await onboard(user, bot)
    chats = [onboarded.chat]
    for number in range(2, count + 1):
        await onboarded.run_command(f"!new Chat {number}")
        (room,) = await user.rooms_invited()
        await user.join(room)
        chats.append(room)
    return chats


def print_line(line: str) -> None:
    """Print a line and flush it, for a pipe."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
