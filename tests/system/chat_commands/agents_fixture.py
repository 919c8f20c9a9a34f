"""Three agents with servers of their own, the agents file that names them, and a bot that reads it."""

import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sandbox.daemon import LogLine
from tests.support.agent_script import Request
from tests.support.agent_server import AgentServer
from tests.system.chat_commands.registry_file import Entry, write_registry
from tests.system.users import Bot

NAMES = ("alpha", "beta", "gamma")
TOKENS = {"ALPHA_TOKEN": "the-first-secret-of-all", "BETA_TOKEN": "the-second-secret-of-all"}


@dataclass
class AgentsFixture:
    """The agents, by id in the order of the file, and the bot; `user_agents` are the defaults of users in the file."""

    servers: Mapping[str, AgentServer]
    file: Path
    bot: Bot
    user_agents: Mapping[str, str]

    def entry(self, name: str) -> Entry:
        """Return the file's entry of one of the agents."""
        variable = f"{name.upper()}_TOKEN"
        return Entry(name, self.servers[name].url, variable if variable in TOKENS else "")

    def write(self, *names: str, more: tuple[Entry, ...] = ()) -> None:
        """Write the file with these agents."""
        known = {user: name for user, name in self.user_agents.items() if name in names}
        write_registry(self.file, *map(self.entry, names), *more, user_agents=known)

    async def reload(self, event: str = "registry_reloaded") -> LogLine:
        """Send SIGHUP and return the log line of the reload."""
        daemon = self.bot.daemon
        before = len(daemon.lines(event))
        daemon.send_signal(signal.SIGHUP)
        await daemon.wait_log(lambda _: len(daemon.lines(event)) > before)
        return daemon.lines(event)[before]

    def requests_by_agent(self) -> dict[str, list[Request]]:
        """Return the requests of each agent so far."""
        return {name: list(server.requests) for name, server in self.servers.items()}

    def asked(self, message_id: str) -> list[tuple[str, Request]]:
        """Return each request for a message, with its agent."""
        return [
            (name, request)
            for name, requests in self.requests_by_agent().items()
            for request in requests
            if request.message_id == message_id
        ]


@asynccontextmanager
async def open_servers(names: tuple[str, ...] = NAMES) -> AsyncIterator[dict[str, AgentServer]]:
    """Agent servers that echo, by name."""
    async with AsyncExitStack() as stack:
        yield {name: await stack.enter_async_context(AgentServer()) for name in names}
