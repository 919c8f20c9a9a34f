"""One bot with short timeouts behind a failing proxy, and a user of it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from sandbox.daemon import Daemon, LogLine
from tests.support.matrix_user import MatrixUser
from tests.support.proxy import Fault, ProxiedRequest, Proxy
from tests.system.users import Bot, OnboardedUser, answer_to, text_of

RETRY_S = 2.5
TIMEOUT_S = 1.0


@dataclass
class FaultFixture:
    """The bot retries an agent for `RETRY_S` and waits for a silent one for `TIMEOUT_S`."""

    proxy: Proxy
    bot: Bot
    onboarded: OnboardedUser
    log_before: int = 0
    faulted_before: int = field(default=0)

    @property
    def user(self) -> MatrixUser:
        """The user."""
        return self.onboarded.user

    @property
    def daemon(self) -> Daemon:
        """The daemon behind the proxy."""
        return self.bot.daemon

    @property
    def faulted(self) -> list[ProxiedRequest]:
        """The requests that had a fault in this test."""
        return self.proxy.faulted[self.faulted_before :]

    def begin(self) -> None:
        """Ignore the log lines and faults of earlier tests."""
        self.log_before = len(self.daemon.log)
        self.faulted_before = len(self.proxy.faulted)

    def logged(self, event: str) -> list[LogLine]:
        """Return the lines of one event in this test."""
        return [line for line in self.daemon.log[self.log_before :] if line["event"] == event]

    async def send_text(self, text: str) -> str:
        """Send a message and return its event id."""
        return await self.user.send_text(self.onboarded.chat, text)

    async def only_answer(self, message_id: str, timeout_s: float = 60.0) -> str:
        """Return the text of the one finished answer to a message; check that there is no other."""
        answer = await answer_to(self.user, self.onboarded.chat, message_id, timeout_s)
        assert len(await self.user.replies_to(self.onboarded.chat, message_id)) == 1
        return text_of(answer)

    async def assert_next_is_answered(self) -> None:
        """Check that the next message of the room is answered as usual."""
        message_id = await self.send_text("and now?")
        assert await self.only_answer(message_id) == "echo: and now?"


def whenever(
    does: Callable[[ProxiedRequest], bool], fault: Fault
) -> Callable[[ProxiedRequest], Fault | None]:
    """Return a fault function that gives this fault to the requests that match."""
    return lambda proxied: fault if does(proxied) else None


def sends(proxied: ProxiedRequest) -> bool:
    """Whether it sends a message."""
    return proxied.method == "PUT" and "/send/m.room.message/" in proxied.path


def answers(message_id: str) -> Callable[[ProxiedRequest], bool]:
    """Return a condition for the first event of the answer to a message, by its transaction id."""
    return lambda proxied: sends(proxied) and proxied.path.endswith(f"{message_id[1:]}.1")


def probes(proxied: ProxiedRequest) -> bool:
    """Whether it is a probe."""
    return proxied.path.endswith("/account/whoami")


def syncs(proxied: ProxiedRequest) -> bool:
    """Whether it is a sync."""
    return proxied.path.endswith("/sync")
