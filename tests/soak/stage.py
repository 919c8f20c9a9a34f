"""The homeserver, the daemon, the agent, and people with their rooms."""

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from sandbox.agent_script import Script
from sandbox.agent_server import AgentServer
from sandbox.daemon import Daemon
from sandbox.person import Person
from sandbox.synapse import Synapse
from tests.system.cast import PASSWORD, onboard

PEOPLE = 5
CHATS_EACH = 4
_HERE = str(Path(__file__).parents[2])


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything that takes part; `rooms` are the chats with their owners."""

    synapse: Synapse
    bot: str
    daemon: Daemon
    agent: AgentServer
    rooms: tuple[tuple[Person, str], ...]


@asynccontextmanager
async def set_up(script: Script) -> AsyncIterator[Stage]:
    """Start everything, welcome the people, make their chats; and end it all."""
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="soak-")))
        synapse = await stack.enter_async_context(Synapse())
        agent = await stack.enter_async_context(AgentServer(script))
        bot = await synapse.register("bot", PASSWORD)
        environment = {
            "MATRIX_HOMESERVER": synapse.url,
            "MATRIX_USER_ID": bot,
            "MATRIX_PASSWORD": PASSWORD,
            "MATRIX_PLATFORM_BACKEND": "real",
            "AGENT_BASE_URL": agent.url,
            "PYTHONPATH": _HERE,
        }
        daemon = await stack.enter_async_context(Daemon(directory, environment))
        await daemon.wait_live()
        people = [
            await stack.enter_async_context(
                Person(synapse.url, await synapse.register(f"person-{number}", PASSWORD), PASSWORD)
            )
            for number in range(1, PEOPLE + 1)
        ]
        rooms: list[tuple[Person, str]] = []

        async def settle_in(person: Person) -> None:
            rooms.extend([(person, room) for room in await _chats(person, bot)])

        async with anyio.create_task_group() as group:
            for person in people:
                group.start_soon(settle_in, person)
        yield Stage(synapse, bot, daemon, agent, tuple(rooms))


async def _chats(person: Person, bot: str) -> list[str]:
    home = await onboard(person, bot)
    chats = [home.chat]
    for number in range(2, CHATS_EACH + 1):
        await home.tell(f"!new Chat {number}")
        (room,) = await person.rooms_invited()
        await person.join(room)
        chats.append(room)
    return chats


def say(line: str) -> None:
    """Show a line at once, in a pipe too."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
