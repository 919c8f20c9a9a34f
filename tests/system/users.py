"""The accounts of a system test, and actions of many tests."""

from dataclasses import dataclass
from typing import Any

from sandbox.daemon import Daemon
from sandbox.room_event import ANSWERS, RoomEvent
from tests.support.matrix_user import MatrixUser

PASSWORD = "a password of no importance"
PARTIAL = "org.lambda.surfaces.partial"
BINDING = "org.lambda.surfaces.room"


@dataclass(frozen=True)
class Bot:
    """A bot's account and the daemon that runs as it."""

    user_id: str
    daemon: Daemon


@dataclass(frozen=True)
class OnboardedUser:
    """A user after onboarding: the entry room, the Space and the first chat, all joined."""

    user: MatrixUser
    bot: str
    entry: str
    space: str
    chat: str

    async def ask(self, text: str, room: str | None = None, **extra: Any) -> RoomEvent:
        """Send a message in the chat, or in another room, and return the finished answer to it."""
        room = room or self.chat
        message_id = await self.user.send_text(room, text, **extra)
        return await answer_to(self.user, room, message_id)

    async def run_command(self, command: str, room: str | None = None) -> str:
        """Send a command and return the text of the bot's notice."""
        answer = await self.ask(command, room)
        assert answer.msgtype == "m.notice"
        return answer.body


async def answer_to(
    user: MatrixUser, room: str, message_id: str, timeout_s: float = 30.0
) -> RoomEvent:
    """Wait for the finished one-part answer to a message: the event itself or its last edit."""
    return await user.wait_for(
        lambda event: (
            event.room_id == room and event.answers == message_id and PARTIAL not in event.content
        ),
        timeout_s,
    )


def text_of(event: RoomEvent) -> str:
    """Return the text of a message or of an edit."""
    return str(event.content.get("m.new_content", event.content)["body"])


async def accept(user: MatrixUser, bot: str) -> tuple[str, str]:
    """Accept the bot's two invitations; return the Space and the chat."""
    space = chat = None
    while space is None or chat is None:
        known = {space, chat}
        invitation = await user.wait_for(
            lambda event: (
                event.type == "m.room.member"
                and event.state_key == user.user_id
                and event.sender == bot
                and event.content["membership"] == "invite"
                and event.room_id not in known  # noqa: B023 - the lambda is not used after this iteration
            )
        )
        await user.join(invitation.room_id)
        if await is_space(user, invitation.room_id):
            space = invitation.room_id
        else:
            chat = invitation.room_id
    return space, chat


async def is_space(user: MatrixUser, room: str) -> bool:
    """Whether a room is a Space."""
    create = await user.state_content(room, "m.room.create") or {}
    return create.get("type") == "m.space"


async def notice(user: MatrixUser, room: str, *words: str) -> RoomEvent:
    """Wait for a notice that answers no message and contains these words."""
    return await user.wait_for(
        lambda event: (
            event.room_id == room
            and event.msgtype == "m.notice"
            and event.answers is None
            and all(word in event.body for word in words)
        )
    )


async def onboard(user: MatrixUser, bot: str, **room: Any) -> OnboardedUser:
    """Invite the bot, accept its invitations, and wait until it has written all its notices."""
    entry = await user.create_room(invite=[bot], **room)
    space, chat = await accept(user, bot)
    await notice(user, chat)
    await notice(user, entry)
    return OnboardedUser(user, bot, entry, space, chat)


async def created_rooms(witness: MatrixUser) -> tuple[list[str], list[str]]:
    """Return the Spaces and the other rooms that the account has created and is in."""
    spaces: list[str] = []
    others: list[str] = []
    for room in await witness.joined_rooms():
        state = await witness.room_state(room)
        create = next(event for event in state if event.type == "m.room.create")
        if create.sender == witness.user_id:
            (spaces if create.content.get("type") == "m.space" else others).append(room)
    return spaces, others


async def children(user: MatrixUser, space: str) -> dict[str, dict[str, Any]]:
    """Return the rooms that are linked in a Space, with the content of each link."""
    return {
        event.state_key or "": event.content
        for event in await user.room_state(space)
        if event.type == "m.space.child" and event.content
    }


async def replies(user: MatrixUser, room: str) -> list[RoomEvent]:
    """Return all events of a room that answer a message, without edits, oldest first."""
    return [
        event
        for event in await user.messages(room)
        if ANSWERS in event.content and event.replaces is None
    ]
