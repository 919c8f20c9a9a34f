"""A user's chats: the answer of `!chats`, and the answer that points to existing chats."""

from typing import Literal

from msgspec import Struct

from machines.context import StepContext
from machines.events.effects import Effect, Enqueue, Tell
from machines.events.internal import AnswerReady, OpenChatRequested, ReplyTarget, WayBackRequested
from machines.events.orders import EnsureInvited
from machines.i18n import ChatLine
from machines.ids import ActorKey, AgentId, RoomId, TxnId
from machines.room.binding import OwnerMembership, chat_number
from machines.room.state import RoomState
from machines.user.machine import User

_AWAY: tuple[OwnerMembership, ...] = ("leave", "declined")


class ChatSummary(Struct, frozen=True):
    """One of a user's chats; its row belongs to the room's actor. `space_membership` is the user's in their Space."""

    room_id: RoomId
    chat_id: str
    name: str
    agent_id: str
    archived: bool
    state: RoomState
    owner_membership: OwnerMembership = "join"
    space_membership: OwnerMembership = "join"

    @property
    def is_missing(self) -> bool:
        """Whether the owner left the room, or declined its invitation."""
        return self.owner_membership in _AWAY


def chats_page(
    user: User, chats: tuple[ChatSummary, ...], reply_to: ReplyTarget, context: StepContext
) -> str:
    """Return the answer of `!chats`; it marks the chat in which the command was sent."""
    catalog = context.catalog_for(user.user_id)
    if not chats:
        return catalog.no_chats()
    lines = catalog.chats_list(
        ChatLine(
            chat_id=chat.chat_id,
            name=chat.name,
            agent=context.agents.label(AgentId(chat.agent_id)),
            state=_chat_state(chat, context),
            link=context.link(chat.room_id),
            current=chat.room_id == reply_to.room_id,
            membership=chat.owner_membership,
        )
        for chat in chats
    )
    closed = [chat_number(chat.chat_id) for chat in chats if chat.archived or chat.is_missing]
    hints = catalog.chats_hints(
        closed=closed[0] if closed else None,
        invited=any(chat.owner_membership == "invite" for chat in chats),
        not_in_space=is_missing_in_space(chats),
    )
    return f"{lines}\n\n{hints}" if hints else lines


def is_missing_in_space(chats: tuple[ChatSummary, ...]) -> bool:
    """Whether the user left their Space, or declined its invitation."""
    return any(chat.space_membership in _AWAY for chat in chats)


def invite_to_space(user: User, key: str, context: StepContext) -> tuple[Effect, ...]:
    """Invite the user to their Space again; `key` makes the transaction id unique."""
    if user.space_id is None:
        return ()
    reason = context.catalog_for(user.user_id).space_invitation()
    order = EnsureInvited(user.space_id, user.user_id, reason)
    return (Enqueue(order, TxnId(f"{key}.space_invite")),)


def open_chat(
    user: User, chats: tuple[ChatSummary, ...], request: OpenChatRequested, context: StepContext
) -> tuple[Effect, ...]:
    """Let the room of a chat give its owner a way back (contract K12)."""
    catalog, reply_to = context.catalog_for(user.user_id), request.reply_to
    chat = next((each for each in chats if chat_number(each.chat_id) == request.number), None)
    if chat is None:
        shared_text = catalog.not_in_shared_room("open")
        return (tell_answer(user, reply_to, catalog.open_unknown(request.number), shared_text),)
    missing = is_missing_in_space(chats)
    ask = WayBackRequested(reply_to, request.reopened, missing)
    invite = invite_to_space(user, str(reply_to.event_id), context) if missing else ()
    return (*invite, Tell(ActorKey(chat.room_id), ask))


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
    catalog = context.catalog_for(user.user_id)
    shared_text = catalog.entry_pointer_in_shared_room()
    usable = [chat for chat in current if not chat.is_missing]
    joined = [chat for chat in usable if chat.owner_membership == "join"]
    best = (joined or usable or current or chats)[-1]
    if reply_to.event_id is not None:
        if usable:
            text = catalog.entry_plain_text(best.name, context.link(best.room_id))
        else:
            text = catalog.entry_way_back(best.name, chat_number(best.chat_id))
        return (tell_answer(user, reply_to, text, shared_text),)
    key = f"{user.user_id}.{int(context.now * 1000)}.invite"
    invites = [*invite_to_space(user, key, context)]
    for index, chat in enumerate(current):
        reason = catalog.invitation_back(context.agents.label(AgentId(chat.agent_id)))
        order = EnsureInvited(chat.room_id, user.user_id, reason)
        invites.append(Enqueue(order, TxnId(f"{key}.{index}")))
    text = catalog.entry_way_back(best.name, chat_number(best.chat_id))
    if current:
        away = is_missing_in_space(chats) or len(usable) < len(current)
        invited = len(joined) < len(usable)
        text = catalog.already_here(
            best.name, context.link(best.room_id), away=away, invited=invited
        )
    return (*invites, tell_answer(user, reply_to, text, shared_text))


def tell_answer(user: User, reply_to: ReplyTarget, text: str, shared_text: str) -> Tell:
    """Let the room's actor answer a message or an invitation: it knows the members of the room."""
    ready = AnswerReady(reply_to, text, shared_text, user.user_id)
    return Tell(ActorKey(reply_to.room_id), ready)
