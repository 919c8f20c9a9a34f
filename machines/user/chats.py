"""A user's chats: the answer of `!chats`, and the answer that points to existing chats."""

from typing import Literal

from msgspec import Struct

from machines.context import StepContext
from machines.events.effects import Effect, Enqueue, Tell
from machines.events.internal import AnswerReady, ReplyTarget
from machines.events.orders import EnsureInvited
from machines.i18n import ChatLine
from machines.ids import ActorKey, AgentId, RoomId, TxnId
from machines.room.state import RoomState
from machines.user.machine import User


class ChatSummary(Struct, frozen=True):
    """One of a user's chats; its row belongs to the room's actor."""

    room_id: RoomId
    chat_id: str
    name: str
    agent_id: str
    archived: bool
    state: RoomState


def chats_page(
    user: User, chats: tuple[ChatSummary, ...], reply_to: ReplyTarget, context: StepContext
) -> str:
    """Return the answer of `!chats`; it marks the chat in which the command was sent."""
    catalog = context.catalog_for(user.user_id)
    if not chats:
        return catalog.no_chats()
    return catalog.chats_list(
        ChatLine(
            chat_id=chat.chat_id,
            name=chat.name,
            agent=context.agents.label(AgentId(chat.agent_id)),
            state=_chat_state(chat, context),
            link=context.link(chat.room_id),
            current=chat.room_id == reply_to.room_id,
        )
        for chat in chats
    )


def _chat_state(
    chat: ChatSummary, context: StepContext
) -> Literal["open", "archived", "stale", "failed"]:
    if chat.archived:
        return "archived"
    if not context.agents.knows(AgentId(chat.agent_id)):
        return "stale"
    # The repair of a reconciling room may have ended by now, so it does not count as failed.
    return "failed" if chat.state == "failed" else "open"


def point_to_chats(
    user: User, chats: tuple[ChatSummary, ...], reply_to: ReplyTarget, context: StepContext
) -> tuple[Effect, ...]:
    """Answer with a link to a chat; an invitation also invites the user to rooms they left (contracts O2, O5)."""
    current = [chat for chat in chats if not chat.archived]
    last = (current or chats)[-1]
    catalog = context.catalog_for(user.user_id)
    link, shared_text = context.link(last.room_id), catalog.entry_pointer_in_shared_room()
    if reply_to.event_id is not None:
        text = catalog.entry_plain_text(last.name, link)
        return (tell_answer(reply_to, text, shared_text),)
    rooms: list[RoomId] = [user.space_id] if user.space_id else []
    rooms += [chat.room_id for chat in current]
    key = f"{user.user_id}.{int(context.now * 1000)}.invite"
    invites = (
        Enqueue(EnsureInvited(room_id, user.user_id), TxnId(f"{key}.{index}"))
        for index, room_id in enumerate(rooms)
    )
    text = catalog.already_here(last.name, link)
    return (*invites, tell_answer(reply_to, text, shared_text))


def tell_answer(reply_to: ReplyTarget, text: str, shared_text: str) -> Tell:
    """Let the room's actor answer a message or an invitation: it knows the members of the room."""
    return Tell(ActorKey(reply_to.room_id), AnswerReady(reply_to, text, shared_text))
