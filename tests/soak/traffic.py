"""The messages of the users, and the agent's answers to them.

An answer is a function of the message, so that a room's history can be judged by itself. How it comes is not: at
once or slowly, and sometimes the agent breaks off or is busy, so that kills meet turns in every state.
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
"""Of a long answer: with these it takes three events."""
_WORDS = ("tell", "me", "more", "about", "the", "sea", "and", "its", "tides", "please")

_LONGEST_PAUSE_S = 5.0
_SEND_AGAIN_AFTER_S = 0.3


def answer_to(text: str) -> str:
    """Return the whole answer to a message."""
    if LONG in text:
        return "\n\n".join(f"{n}. You said, and I repeat it: {text}" for n in range(_PARAGRAPHS))
    return f"You said: {text}"


class Talk:
    """The agent's script and the users' messages, both drawn from one generator."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.sent = 0
        self.over = anyio.Event()

    async def answer(self, request: Request) -> AsyncIterator[Step]:
        """Answer, and fail in several ways."""
        mood = self._chance.random()
        if mood < 0.05:
            yield Error("AGENT_BUSY")
            return
        breaks_off = mood < 0.15
        text = answer_to(request.text)
        chunks = self._chance.choice((1, 1, 3, 10, 30))
        pause_s = self._chance.choice((0.0, 0.02, 0.1)) if chunks > 1 else 0.0
        size = -(-len(text) // chunks)
        for start in range(0, len(text), size):
            if breaks_off and start > len(text) * mood * 7:
                yield Drop()
                return
            yield Text(text[start : start + size])
            yield Wait(pause_s)
        yield End(len(text.split()))

    async def catalog_for(self, person: MatrixUser, room: str, name: str) -> None:
        """Send one message after the other to a room, without waiting for answers, until it is over."""
        number = 0
        while not self.over.is_set():
            number += 1
            await self._say(person, room, self._text(f"{name}.{number}"))
            with anyio.move_on_after(self._chance.uniform(0.0, _LONGEST_PAUSE_S)):
                await self.over.wait()

    async def say_last(self, person: MatrixUser, room: str) -> str:
        """Say one more thing; when it is answered, everything before it is (contract D1)."""
        return await self._say(person, room, "and that was the last thing")

    def _text(self, label: str) -> str:
        kind = self._chance.random()
        if kind < 0.05:
            return "!help"
        if kind < 0.08:
            return f"{label} {LONG}"
        return (
            f"{label} {' '.join(self._chance.choices(_WORDS, k=self._chance.choice((4, 9, 300))))}"
        )

    async def _say(self, person: MatrixUser, room: str, text: str) -> str:
        txn_id = f"said-{self._chance.getrandbits(64):x}"
        content = {"msgtype": "m.text", "body": text}
        event_id = await persist(
            lambda: person.send_event(room, "m.room.message", content, txn_id=txn_id)
        )
        self.sent += 1
        return event_id


async def persist(attempt: Callable[[], Awaitable[str]]) -> str:
    """Try until the homeserver answers: it is killed now and then, and what is tried is repeatable."""
    while True:
        try:
            return await attempt()
        except (aiohttp.ClientError, TimeoutError):
            pass
        except MatrixRefused as refusal:
            if refusal.status < 500:
                raise
        await anyio.sleep(_SEND_AGAIN_AFTER_S)
