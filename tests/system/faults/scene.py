"""Where faults are played: one impatient bot behind a proxy, and somebody who talks to it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from sandbox.daemon import Daemon, LogLine
from tests.support.matrix_user import MatrixUser
from tests.support.proxy import Fault, ProxiedRequest, Proxy
from tests.system.cast import Bot, Home, answer_to, said

RETRY_S = 2.5
TIMEOUT_S = 1.0


@dataclass
class Scene:
    """The bot's patience with an agent is `RETRY_S`, with a silent one `TIMEOUT_S`."""

    proxy: Proxy
    bot: Bot
    home: Home
    log_before: int = 0
    faulted_before: int = field(default=0)

    @property
    def person(self) -> MatrixUser:
        """Who talks."""
        return self.home.person

    @property
    def daemon(self) -> Daemon:
        """The daemon behind the proxy."""
        return self.bot.daemon

    @property
    def faulted(self) -> list[ProxiedRequest]:
        """The requests that had a fault in this test."""
        return self.proxy.faulted[self.faulted_before :]

    def begin(self) -> None:
        """Forget what earlier tests saw."""
        self.log_before = len(self.daemon.log)
        self.faulted_before = len(self.proxy.faulted)

    def logged(self, event: str) -> list[LogLine]:
        """Return the lines of one event in this test."""
        return [line for line in self.daemon.log[self.log_before :] if line["event"] == event]

    async def say(self, text: str) -> str:
        """Say something and return its event's id."""
        return await self.person.send_text(self.home.chat, text)

    async def only_answer(self, message_id: str, timeout_s: float = 60.0) -> str:
        """Return what the one finished answer to a message says; see that there is no other."""
        answer = await answer_to(self.person, self.home.chat, message_id, timeout_s)
        assert len(await self.person.replies_to(self.home.chat, message_id)) == 1
        return said(answer)

    async def goes_on(self) -> None:
        """See that the room's next message is answered as if nothing had been."""
        message_id = await self.say("and now?")
        assert await self.only_answer(message_id) == "echo: and now?"


def whenever(
    does: Callable[[ProxiedRequest], bool], fault: Fault
) -> Callable[[ProxiedRequest], Fault | None]:
    """Return what gives this fault to the requests that fit."""
    return lambda proxied: fault if does(proxied) else None


def sends(proxied: ProxiedRequest) -> bool:
    """Whether it sends a message."""
    return proxied.method == "PUT" and "/send/m.room.message/" in proxied.path


def answers(message_id: str) -> Callable[[ProxiedRequest], bool]:
    """Return what tells the first event of the answer to a message, whose transaction is named after both."""
    return lambda proxied: sends(proxied) and proxied.path.endswith(f"{message_id[1:]}.1")


def probes(proxied: ProxiedRequest) -> bool:
    """Whether it only asks if somebody is there."""
    return proxied.path.endswith("/account/whoami")


def syncs(proxied: ProxiedRequest) -> bool:
    """Whether it is a sync."""
    return proxied.path.endswith("/sync")
