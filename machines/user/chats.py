"""A user's chats as their actor sees them: the answer of `!chats`, and the pointer to what exists already."""

from typing import Literal

from msgspec import Struct

from machines.context import World
from machines.events.effects import Effect, Enqueue, Tell
from machines.events.internal import AnswerReady, ReplyTarget
from machines.events.orders import EnsureInvited
from machines.i18n import ChatLine
from machines.ids import ActorKey, AgentId, RoomId, TxnId
from machines.room.machine import RoomState
from machines.user.machine import User


class ChatSummary(Struct, frozen=True):
    """One of a user's chats; its row belongs to the room's actor."""

    room_id: RoomId
    chat_id: str
    name: str
    agent_id: str
    archived: bool
    state: RoomState


def chats_page(chats: tuple[ChatSummary, ...], asked: ReplyTarget, world: World) -> str:
    """Return the list of `!chats`, which marks the chat it was asked in."""
    if not chats:
        return world.catalog.no_chats()
    return world.catalog.chats_list(
        ChatLine(
            chat_id=chat.chat_id,
            name=chat.name,
            agent=world.agents.label(AgentId(chat.agent_id)),
            state=_standing(chat, world),
            link=world.link(chat.room_id),
            current=chat.room_id == asked.room_id,
        )
        for chat in chats
    )


def _standing(chat: ChatSummary, world: World) -> Literal["open", "archived", "stale", "failed"]:
    if chat.archived:
        return "archived"
    if not world.agents.knows(AgentId(chat.agent_id)):
        return "stale"
    # The repair of a reconciling room may have ended already: it is not known to have failed.
    return "failed" if chat.state == "failed" else "open"


def point_to_chats(
    user: User, chats: tuple[ChatSummary, ...], asked: ReplyTarget, world: World
) -> tuple[Effect, ...]:
    """Say where the user's chats are; an invitation also invites them where they are missing (contracts O2, O5)."""
    current = [chat for chat in chats if not chat.archived]
    last = (current or chats)[-1]
    link, in_company = world.link(last.room_id), world.catalog.entry_pointer_in_company()
    if asked.event_id is not None:
        text = world.catalog.entry_plain_text(last.name, link)
        return (tell_answer(asked, text, in_company),)
    rooms: list[RoomId] = [user.space_id] if user.space_id else []
    rooms += [chat.room_id for chat in current]
    key = f"{user.user_id}.{int(world.now * 1000)}.invite"
    invites = (
        Enqueue(EnsureInvited(room_id, user.user_id), TxnId(f"{key}.{index}"))
        for index, room_id in enumerate(rooms)
    )
    text = world.catalog.already_here(last.name, link)
    return (*invites, tell_answer(asked, text, in_company))


def tell_answer(asked: ReplyTarget, text: str, in_company: str) -> Tell:
    """Have the room's actor answer a message or an invitation: it knows who is in the room."""
    return Tell(ActorKey(asked.room_id), AnswerReady(asked, text, in_company))
