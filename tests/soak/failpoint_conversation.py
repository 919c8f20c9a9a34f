"""A conversation with one of each: invitation, onboarding, message, streamed answer, `!new`, `!clear`.

The user waits for each answer, while processes are killed. Afterwards the rooms of the user and of the bot show
whether each message was answered exactly once.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from sandbox.room_event import RoomEvent
from tests.support.agent_script import End, Request, Step, Text, Wait
from tests.support.agent_server import AgentServer
from tests.support.matrix_user import MatrixUser
from tests.system.users import BINDING, PARTIAL, accept, answer_to, children, created_rooms, notice

QUESTION = "Tell me a story"
PIECES = ("Once upon a time ", "there was a fisherman ", "who caught nothing ", "and was glad.")
_PIECES_APART_S = 0.15


async def script(request: Request) -> AsyncIterator[Step]:
    """Stream the answer to `QUESTION` slowly; answer other messages at once."""
    pieces = PIECES if request.text == QUESTION else (f"echo: {request.text}",)
    for piece in pieces:
        yield Text(piece)
        if len(pieces) > 1:
            yield Wait(_PIECES_APART_S)
    yield End()


@dataclass(frozen=True, slots=True)
class Transcript:
    """The rooms, and the messages sent: (room, event, text of the answer or `None` for a notice)."""

    entry: str
    space: str
    chat: str
    garden: str
    sent: tuple[tuple[str, str, str | None], ...]


async def run_conversation(user: MatrixUser, bot: str) -> Transcript:
    """Run the conversation to its end, however often the bot is killed meanwhile."""
    sent: list[tuple[str, str, str | None]] = []

    async def ask(room: str, text: str, answer: str | None) -> None:
        message_id = await user.send_text(room, text)
        sent.append((room, message_id, answer))
        await answer_to(user, room, message_id)

    entry = await user.create_room(invite=[bot])
    space, chat = await accept(user, bot)
    await notice(user, chat)
    await notice(user, entry)
    await ask(chat, QUESTION, "".join(PIECES))
    await ask(chat, "!new Garden", None)
    invitation = await user.wait_for(
        lambda event: (
            event.type == "m.room.member"
            and event.state_key == user.user_id
            and event.content["membership"] == "invite"
            and event.room_id not in (space, chat)
        )
    )
    garden = invitation.room_id
    await user.join(garden)
    await ask(garden, "what grows here?", "echo: what grows here?")
    await ask(chat, "!clear", None)
    await ask(chat, "who am I?", "echo: who am I?")
    return Transcript(entry, space, chat, garden, tuple(sent))


async def faults_in(
    transcript: Transcript, user: MatrixUser, witness: MatrixUser, agent: AgentServer
) -> list[str]:
    """Return what violates the contract; `witness` is the bot's session, after the end of its daemon."""
    faults: list[str] = []
    histories = {
        room: await user.messages(room)
        for room in (transcript.entry, transcript.space, transcript.chat, transcript.garden)
    }
    spaces, chats = await created_rooms(witness)
    if (spaces, sorted(chats)) != (
        [transcript.space],
        sorted([transcript.chat, transcript.garden]),
    ):
        faults.append(f"rooms created: Spaces {spaces}, others {chats}")
    if set(await children(witness, transcript.space)) != {transcript.chat, transcript.garden}:
        faults.append("the Space does not name its two chats")
    if await user.rooms_invited():
        faults.append("an invitation is still open")
    for room, message_id, answer in transcript.sent:
        faults += _faults_of_reply(histories[room], message_id, answer)
    for room, expected in (
        (transcript.entry, 1),
        (transcript.chat, 1),
        (transcript.garden, 1),
        (transcript.space, 0),
    ):
        notices = [
            event
            for event in histories[room]
            if event.sender == witness.user_id and event.msgtype == "m.notice" and not event.answers
        ]
        if len(notices) != expected:
            faults.append(
                f"{len(notices)} unsolicited notices in a room that should have {expected}"
            )
    return faults + await _faults_of_contexts(transcript, witness, agent)


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
    return [f"the reply to {message_id} is {content['body'][:60]!r}"]


async def _faults_of_contexts(
    transcript: Transcript, witness: MatrixUser, agent: AgentServer
) -> list[str]:
    """Check for three contexts, of two chats and one `!clear`; the newest are in the bindings (A5, K6)."""
    contexts: dict[str, set[str]] = {}
    for request in agent.requests:
        contexts.setdefault(request.message_id, set()).add(request.chat_id)
    asked = [contexts.get(message_id, set()) for _, message_id, answer in transcript.sent if answer]
    before_clear, garden, after_clear = asked
    faults: list[str] = []
    if any(len(each) != 1 for each in asked) or len(before_clear | garden | after_clear) != 3:
        faults.append(f"contexts asked: {before_clear}, {garden}, {after_clear}")
    for room, used in ((transcript.chat, after_clear), (transcript.garden, garden)):
        binding = await witness.account_data(BINDING, room) or {}
        if {binding.get("platform_chat_id")} != used:
            faults.append(f"bound to context {binding.get('platform_chat_id')}, asked {used}")
    return faults
