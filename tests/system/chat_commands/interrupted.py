"""One person in the middle of every dialogue at once, and the agent that holds back where it is told to."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import anyio

from tests.support.agent_script import End, Request, Step, Text, Update, Wait
from tests.support.agent_server import AgentServer
from tests.support.proxy import Delay, ProxiedRequest, Proxy
from tests.system.cast import said
from tests.system.chat_commands.guest import Guest, open_chat

HELD = "held"
"""A save of this name, and the answer to a question of this name, are not answered the first time."""
STORY = "Once upon a time"
ROOM_TAKES_S = 1.0


class Holding:
    """An agent's script. What is held comes a second time, and is answered then; a story never ends."""

    def __init__(self) -> None:
        self.tries: dict[str, int] = {}

    async def __call__(self, request: Request) -> AsyncIterator[Step]:
        """Answer a message, or hold back."""
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
    """What was under way when the daemon ended, by the message that is still to be answered."""

    guest: Guest
    agent: AgentServer
    rooms: dict[str, str] = field(default_factory=dict)
    asked: dict[str, str] = field(default_factory=dict)

    def requests(self, message_id: str) -> list[Request]:
        """Return what the agent was asked for a message, each time."""
        return [request for request in self.agent.requests if request.message_id == message_id]

    def confirmations(self, question: str) -> set[tuple[str, bool, str]]:
        """Return the answers to the question of this name: id, accepted, message."""
        return {
            (answer["id"], answer["accepted"], request.message_id)
            for request in self.agent.requests
            if (answer := request.payload.get("confirmation")) and answer["id"] == question
        }


DIALOGUES = ("list", "question", "save", "yes", "story")


async def begin_everything(guest: Guest, agent: AgentServer, proxy: Proxy) -> Interrupted:
    """Bring every dialogue to its middle."""
    scene = Interrupted(guest, agent)
    home = guest.home
    for name in DIALOGUES:
        scene.rooms[name] = await open_chat(home, name)
    await home.tell("!soul Be brief.")
    for text in ("!save one", "!save two", "!load"):
        await home.ask(text, scene.rooms["list"])
    await home.ask("send open", scene.rooms["question"])
    await home.ask(f"send {HELD}", scene.rooms["yes"])
    held = {"save": f"!save {HELD}", "yes": "!yes", "story": "a story, please"}
    for name, text in held.items():
        scene.asked[name] = await guest.person.send_text(scene.rooms[name], text)
    while not all(scene.requests(message_id) for message_id in scene.asked.values()):
        await agent.next_request()
    await guest.person.wait_for(
        lambda event: event.answers == scene.asked["story"] and said(event) == STORY
    )
    await _half_a_chat(scene, proxy)
    return scene


async def _half_a_chat(scene: Interrupted, proxy: Proxy) -> None:
    """Ask for a chat, and return while the homeserver is about to make its room."""
    came = anyio.Event()

    def slow(proxied: ProxiedRequest) -> Delay | None:
        if not proxied.path.endswith("/createRoom"):
            return None
        came.set()
        return Delay(ROOM_TAKES_S)

    proxy.fault = slow
    home = scene.guest.home
    scene.asked["new"] = await scene.guest.person.send_text(home.chat, "!new Garden")
    with anyio.fail_after(30.0):
        await came.wait()


async def killed(guest: Guest) -> None:
    """End the daemon by `kill -9`."""
    await guest.bot.daemon.kill()


async def drained(guest: Guest) -> None:
    """End the daemon by SIGTERM, which it obeys."""
    assert await guest.bot.daemon.stop() == 0
