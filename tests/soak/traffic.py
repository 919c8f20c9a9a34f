"""The messages of the users, and the agent's answers to them.

An answer depends only on the message, so that the history of a room is enough to check it. It is sent at once or
slowly, and sometimes the agent breaks off or is busy, so that kills happen in every state of a turn.
"""

import random
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import anyio

from sandbox.errors import MatrixRefused
from tests.support.agent_script import Drop, End, Error, Request, Step, Text, Wait
from tests.support.matrix_user import MatrixUser

LONG = "at length"
_PARAGRAPHS = 500
"""The paragraphs of a long answer, which takes three events."""
_WORDS = ("tell", "me", "more", "about", "the", "sea", "and", "its", "tides", "please")

_LONGEST_PAUSE_S = 5.0
_SEND_AGAIN_AFTER_S = 0.3


def answer_to(text: str) -> str:
    """Return the whole answer to a message."""
    if LONG in text:
        return "\n\n".join(f"{n}. You said, and I repeat it: {text}" for n in range(_PARAGRAPHS))
    return f"You said: {text}"


class Traffic:
    """The agent's script and the users' messages, both drawn from one generator."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.sent = 0
        self.over = anyio.Event()

    async def answer(self, request: Request) -> AsyncIterator[Step]:
        """Answer, or fail in one of several ways."""
        mood = self._rng.random()
        if mood < 0.05:
            yield Error("AGENT_BUSY")
            return
        breaks_off = mood < 0.15
        text = answer_to(request.text)
        chunks = self._rng.choice((1, 1, 3, 10, 30))
        pause_s = self._rng.choice((0.0, 0.02, 0.1)) if chunks > 1 else 0.0
        size = -(-len(text) // chunks)
        for start in range(0, len(text), size):
            if breaks_off and start > len(text) * mood * 7:
                yield Drop()
                return
            yield Text(text[start : start + size])
            yield Wait(pause_s)
        yield End(len(text.split()))

    async def send_messages(self, user: MatrixUser, room: str, name: str) -> None:
        """Send messages to a room, without waiting for answers, until `over` is set."""
        number = 0
        while not self.over.is_set():
            number += 1
            await self._send(user, room, self._text(f"{name}.{number}"))
            with anyio.move_on_after(self._rng.uniform(0.0, _LONGEST_PAUSE_S)):
                await self.over.wait()

    async def send_last(self, user: MatrixUser, room: str) -> str:
        """Send a last message; when it is answered, all earlier ones are (contract D1)."""
        return await self._send(user, room, "and that was the last thing")

    def _text(self, label: str) -> str:
        kind = self._rng.random()
        if kind < 0.05:
            return "!help"
        if kind < 0.08:
            return f"{label} {LONG}"
        return f"{label} {' '.join(self._rng.choices(_WORDS, k=self._rng.choice((4, 9, 300))))}"

    async def _send(self, user: MatrixUser, room: str, text: str) -> str:
        txn_id = f"said-{self._rng.getrandbits(64):x}"
        content = {"msgtype": "m.text", "body": text}
        event_id = await retry(
            lambda: user.send_event(room, "m.room.message", content, txn_id=txn_id)
        )
        self.sent += 1
        return event_id


async def retry(attempt: Callable[[], Awaitable[str]]) -> str:
    """Repeat an idempotent request until the homeserver answers, which is killed sometimes."""
    while True:
        try:
            return await attempt()
        except (aiohttp.ClientError, TimeoutError):
            pass
        except MatrixRefused as refusal:
            if refusal.status < 500:
                raise
        await anyio.sleep(_SEND_AGAIN_AFTER_S)
