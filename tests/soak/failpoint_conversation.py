"""One conversation in which everything happens once: invite, onboarding, message, streamed answer, `!new`, `!clear`.

The user waits for each promised answer, whatever dies. Afterwards the rooms of the user and of the bot show
whether each promise was kept exactly once.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from sandbox.room_event import RoomEvent
from tests.support.agent_script import End, Request, Step, Text, Wait
from tests.support.agent_server import AgentServer
from tests.support.matrix_user import MatrixUser
from tests.system.users import BINDING, PARTIAL, accept, answer_to, children, made_rooms, notice

STORY = "Tell me a story"
PIECES = ("Once upon a time ", "there was a fisherman ", "who caught nothing ", "and was glad.")
_PIECES_APART_S = 0.15


async def script(request: Request) -> AsyncIterator[Step]:
    """Stream a story slowly; say the rest at once."""
    pieces = PIECES if request.text == STORY else (f"echo: {request.text}",)
    for piece in pieces:
        yield Text(piece)
        if len(pieces) > 1:
            yield Wait(_PIECES_APART_S)
    yield End()


@dataclass(frozen=True, slots=True)
class RoomActor:
    """The rooms, and what was said: (room, event, text of the answer or `None` for a notice)."""

    entry: str
    space: str
    chat: str
    garden: str
    said: tuple[tuple[str, str, str | None], ...]


async def converse(person: MatrixUser, bot: str) -> RoomActor:
    """Carry the conversation through, however often the bot dies meanwhile."""
    said: list[tuple[str, str, str | None]] = []

    async def ask(room: str, text: str, answer: str | None) -> None:
        message_id = await person.send_text(room, text)
        said.append((room, message_id, answer))
        await answer_to(person, room, message_id)

    entry = await person.create_room(invite=[bot])
    space, chat = await accept(person, bot)
    await notice(person, chat)
    await notice(person, entry)
    await ask(chat, STORY, "".join(PIECES))
    await ask(chat, "!new Garden", None)
    invitation = await person.wait_for(
        lambda event: (
            event.type == "m.room.member"
            and event.state_key == person.user_id
            and event.content["membership"] == "invite"
            and event.room_id not in (space, chat)
        )
    )
    garden = invitation.room_id
    await person.join(garden)
    await ask(garden, "what grows here?", "echo: what grows here?")
    await ask(chat, "!clear", None)
    await ask(chat, "who am I?", "echo: who am I?")
    return RoomActor(entry, space, chat, garden, tuple(said))


async def faults_in(
    had: RoomActor, person: MatrixUser, witness: MatrixUser, agent: AgentServer
) -> list[str]:
    """Return what is not as promised; `witness` is the bot's own session, and its daemon has ended."""
    faults: list[str] = []
    histories = {
        room: await person.messages(room) for room in (had.entry, had.space, had.chat, had.garden)
    }
    spaces, chats = await made_rooms(witness)
    if (spaces, sorted(chats)) != ([had.space], sorted([had.chat, had.garden])):
        faults.append(f"rooms made: Spaces {spaces}, others {chats}")
    if set(await children(witness, had.space)) != {had.chat, had.garden}:
        faults.append("the Space does not name its two chats")
    if await person.rooms_invited():
        faults.append("an invitation is still open")
    for room, message_id, answer in had.said:
        faults += _faults_of_reply(histories[room], message_id, answer)
    for room, expected in ((had.entry, 1), (had.chat, 1), (had.garden, 1), (had.space, 0)):
        notices = [
            event
            for event in histories[room]
            if event.sender == witness.user_id and event.msgtype == "m.notice" and not event.answers
        ]
        if len(notices) != expected:
            faults.append(f"{len(notices)} notices of its own in a room that has {expected}")
    return faults + await _faults_of_contexts(had, witness, agent)


def _faults_of_reply(
    history: Sequence[RoomEvent], message_id: str, answer: str | None
) -> list[str]:
    events = [event for event in history if event.answers == message_id]
    originals = [event for event in events if event.replaces is None]
    if len(originals) != 1:
        return [f"{len(originals)} replies to {message_id}"]
    content = events[-1].content.get("m.new_content", events[-1].content)
    if PARTIAL in content or PARTIAL in events[-1].content:
        return [f"the reply to {message_id} is not finished"]
    if (content["msgtype"], answer) == ("m.notice", None) or content["body"] == answer:
        return []
    return [f"the reply to {message_id} says {content['body'][:60]!r}"]


async def _faults_of_contexts(had: RoomActor, witness: MatrixUser, agent: AgentServer) -> list[str]:
    """Two chats and one rotation are three contexts; the newest are what the homeserver keeps (A5, K6)."""
    contexts: dict[str, set[str]] = {}
    for request in agent.requests:
        contexts.setdefault(request.message_id, set()).add(request.chat_id)
    asked = [contexts.get(message_id, set()) for _, message_id, answer in had.said if answer]
    story, garden, after_clear = asked
    faults: list[str] = []
    if any(len(each) != 1 for each in asked) or len(story | garden | after_clear) != 3:
        faults.append(f"contexts asked: {story}, {garden}, {after_clear}")
    for room, used in ((had.chat, after_clear), (had.garden, garden)):
        binding = await witness.account_data(BINDING, room) or {}
        if {binding.get("platform_chat_id")} != used:
            faults.append(f"bound to context {binding.get('platform_chat_id')}, asked {used}")
    return faults
