"""One user in the middle of every dialogue at once, and an agent that holds some answers back."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import anyio

from tests.support.agent_script import (
    End,
    Request,
    Step,
    Text,
    Update,
    Wait,
)
from tests.support.agent_server import AgentServer
from tests.support.proxy import Delay, ProxiedRequest, Proxy
from tests.system.chat_commands.localized_user import LocalizedUser, open_chat
from tests.system.users import text_of

HELD = "held"
"""A save of this name, and the answer to a question of this name, are not answered the first time."""
STORY = "Once upon a time"
ROOM_TAKES_S = 1.0


class Holding:
    """An agent's script. A held request is answered at the second try; a story never ends."""

    def __init__(self) -> None:
        self.tries: dict[str, int] = {}

    async def __call__(self, request: Request) -> AsyncIterator[Step]:
        """Answer a message, or hold it."""
        again = self.tries[request.message_id] = self.tries.get(request.message_id, 0) + 1
        if _is_held(request) and again == 1:
            yield Wait(600.0)
        if request.text == "a story, please":
            yield Text(STORY)
            yield Wait(600.0)
        for step in _answer(request):
            yield step


def _is_held(request: Request) -> bool:
    confirmation = request.payload.get("confirmation") or {}
    context = request.payload.get("context") or {}
    return HELD in (confirmation.get("id"), context.get("name"))


def _answer(request: Request) -> Iterator[Step]:
    if request.text.startswith("send "):
        question = {"id": request.text.removeprefix("send "), "title": "Sure?", "description": ""}
        yield Update({"kind": "confirmation", **question})
    elif answer := request.payload.get("confirmation"):
        yield Text(f"{answer['id']}: {answer['accepted']}")
    elif not request.payload.get("context"):
        yield Text(f"echo: {request.text}")
    yield End(1)


@dataclass
class Interrupted:
    """The dialogues in progress when the daemon ended, with the messages that are still unanswered."""

    localized: LocalizedUser
    agent: AgentServer
    rooms: dict[str, str] = field(default_factory=dict)
    asked: dict[str, str] = field(default_factory=dict)

    def requests(self, message_id: str) -> list[Request]:
        """Return each request for a message."""
        return [request for request in self.agent.requests if request.message_id == message_id]

    def confirmations(self, question: str) -> set[tuple[str, bool, str]]:
        """Return the answers to the question of this name: id, accepted, message."""
        return {
            (answer["id"], answer["accepted"], request.message_id)
            for request in self.agent.requests
            if (answer := request.payload.get("confirmation")) and answer["id"] == question
        }


DIALOGUES = ("list", "question", "save", "yes", "story")


async def begin_everything(
    localized: LocalizedUser, agent: AgentServer, proxy: Proxy
) -> Interrupted:
    """Begin every dialogue and leave it unfinished."""
    interrupted = Interrupted(localized, agent)
    onboarded = localized.onboarded
    for name in DIALOGUES:
        interrupted.rooms[name] = await open_chat(onboarded, name)
    await onboarded.run_command("!soul Be brief.")
    for text in ("!save one", "!save two", "!load"):
        await onboarded.ask(text, interrupted.rooms["list"])
    await onboarded.ask("send open", interrupted.rooms["question"])
    await onboarded.ask(f"send {HELD}", interrupted.rooms["yes"])
    held = {"save": f"!save {HELD}", "yes": "!yes", "story": "a story, please"}
    for name, text in held.items():
        interrupted.asked[name] = await localized.user.send_text(interrupted.rooms[name], text)
    while not all(interrupted.requests(message_id) for message_id in interrupted.asked.values()):
        await agent.next_request()
    await localized.user.wait_for(
        lambda event: event.answers == interrupted.asked["story"] and text_of(event) == STORY
    )
    await _half_a_chat(interrupted, proxy)
    return interrupted


async def _half_a_chat(interrupted: Interrupted, proxy: Proxy) -> None:
    """Ask for a chat, and return while the homeserver is about to create its room."""
    came = anyio.Event()

    def slow(proxied: ProxiedRequest) -> Delay | None:
        if not proxied.path.endswith("/createRoom"):
            return None
        came.set()
        return Delay(ROOM_TAKES_S)

    proxy.fault = slow
    onboarded = interrupted.localized.onboarded
    interrupted.asked["new"] = await interrupted.localized.user.send_text(
        onboarded.chat, "!new Garden"
    )
    with anyio.fail_after(30.0):
        await came.wait()


async def killed(localized: LocalizedUser) -> None:
    """End the daemon by `kill -9`."""
    await localized.bot.daemon.kill()


async def drained(localized: LocalizedUser) -> None:
    """End the daemon by SIGTERM."""
    assert await localized.bot.daemon.stop() == 0
