"""The actor of a user: creates their Space and their chats, and answers `!chats` and `!open`.

Each user has one actor, so onboarding is idempotent by user and not by inviting room (contract O2): two invitations at
once are two requests in one inbox, and the second finds what the first created. A request that arrives while a Space
or a chat is being created waits in that inbox.
"""

from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from machines.context import StepContext
from machines.events.effects import Ack, Effect, Enqueue, Log
from machines.events.internal import (
    ChatListRequested,
    ChatRecovered,
    NewChatRequested,
    OnboardingRequested,
    OpenChatRequested,
    OrderDone,
    ReplyTarget,
    UserEvent,
    UserRequest,
)
from machines.events.orders import Done, Joined, NameFound, Refused, RoomCreated, SendMessage
from machines.ids import RoomId, TxnId
from machines.user.chats import (
    ChatSummary,
    chats_page,
    invite_to_space,
    is_missing_in_space,
    open_chat,
    point_to_chats,
    tell_answer,
)
from machines.user.machine import (
    USER,
    ChatCreated,
    ChatLinked,
    ChatRequested,
    NameKnown,
    NewChat,
    SpaceCreated,
    SpaceRequested,
    StepRefused,
    User,
    UserMachineEvent,
)


class UserActor(Struct, frozen=True):
    """A user, their chats in the order of their numbers, and the waiting requests (inbox row, request)."""

    user: User
    chats: tuple[ChatSummary, ...] = ()
    waiting: tuple[tuple[int, UserRequest], ...] = ()


def handle(
    user_actor: UserActor, event: UserEvent, seq: int, context: StepContext
) -> tuple[UserActor, tuple[Effect, ...]]:
    """Handle one inbox row: an outcome at once, requests in their order."""
    effects: tuple[Effect, ...] = ()
    match event:
        case OrderDone():
            user_actor, effects = _handle_outcome(user_actor, event, context)
            effects = (*effects, Ack(seq))
        case ChatRecovered(space_id=space_id, number=number):
            user = user_actor.user
            index = max(user.next_chat_index, number + 1)
            user = replace(user, next_chat_index=index, space_id=user.space_id or space_id)
            user_actor, effects = replace(user_actor, user=user), (Ack(seq),)
        case OnboardingRequested() | NewChatRequested() | ChatListRequested() | OpenChatRequested():
            user_actor = replace(user_actor, waiting=(*user_actor.waiting, (seq, event)))
        case _:
            assert_never(event)
    return _process_waiting(user_actor, effects, context)


def _process_waiting(
    user_actor: UserActor, effects: tuple[Effect, ...], context: StepContext
) -> tuple[UserActor, tuple[Effect, ...]]:
    while user_actor.waiting and user_actor.user.state == "resting":
        (seq, request), *rest = user_actor.waiting
        user_actor = replace(user_actor, waiting=tuple(rest))
        user_actor, more = _handle_request(user_actor, request, seq, context)
        effects = (*effects, *more, Ack(seq))
    return user_actor, effects


def _handle_request(
    user_actor: UserActor, request: UserRequest, seq: int, context: StepContext
) -> tuple[UserActor, tuple[Effect, ...]]:
    reply_to, user, chats = request.reply_to, user_actor.user, user_actor.chats
    if not context.access.allows(user.user_id):
        return user_actor, (_not_allowed(user, reply_to),)
    if isinstance(request, ChatListRequested):
        page = chats_page(user, chats, reply_to, context)
        shared_text = context.catalog_for(user.user_id).not_in_shared_room("chats")
        return user_actor, (tell_answer(user, reply_to, page, shared_text),)
    if isinstance(request, OpenChatRequested):
        return user_actor, open_chat(user, chats, request, context)
    if isinstance(request, OnboardingRequested) and user.space_id and chats:
        return user_actor, point_to_chats(user, chats, reply_to, context)
    if user.space_id is None:
        key = f"{user.user_id}.{int(context.now * 1000)}.{seq}"
        return _step(user_actor, SpaceRequested(reply_to, key), context)
    name = request.name if isinstance(request, NewChatRequested) else ""
    return _step(user_actor, ChatRequested(reply_to, name), context)


def _step(
    user_actor: UserActor,
    event: UserMachineEvent,
    context: StepContext,
) -> tuple[UserActor, tuple[Effect, ...]]:
    """Run the user's machine."""
    step = USER.step(user_actor.user, event, context)
    return replace(user_actor, user=step.data), step.effects


def _handle_outcome(
    user_actor: UserActor, done: OrderDone, context: StepContext
) -> tuple[UserActor, tuple[Effect, ...]]:
    user, reply_to = user_actor.user, user_actor.user.reply_to
    if reply_to is None or not user.waits_for(done.txn_id):
        # It belongs to an invitation or a message of an earlier request.
        return user_actor, ()
    if not context.access.allows(user.user_id):
        # Nothing more is created for a user who may no longer talk to the bot, and they get no answer (E3).
        user_actor, _ = _step(user_actor, StepRefused(), context)
        return user_actor, (_not_allowed(user, reply_to),)
    match done.outcome:
        case Refused(reason=reason, errcode=errcode):
            catalog = context.catalog_for(user.user_id)
            failed = catalog.new_failed if user.space_id else catalog.setup_failed
            user_actor, effects = _step(user_actor, StepRefused(), context)
            # The homeserver's own words may name a room or a user (contract O5).
            return user_actor, (
                *effects,
                tell_answer(user, reply_to, failed(reason), failed(errcode)),
            )
        case NameFound(name=name):
            return _step(user_actor, NameKnown(name, done.txn_id), context)
        case RoomCreated(room_id=room_id) if user.state == "making_space":
            return _step(user_actor, SpaceCreated(room_id), context)
        case RoomCreated(room_id=room_id):
            return _step(user_actor, ChatCreated(room_id), context)
        case Done():
            return _finish(user_actor, context)
        case Joined():
            raise ValueError("no step of a user's actor joins a room")
        case _:
            assert_never(done.outcome)


def _finish(user_actor: UserActor, context: StepContext) -> tuple[UserActor, tuple[Effect, ...]]:
    user, catalog = user_actor.user, context.catalog_for(user_actor.user.user_id)
    room_id, chat, reply_to = user.new_room_id, user.chat, user.reply_to
    if room_id is None or chat is None or reply_to is None:
        raise ValueError(f"{user.user_id} finished without a new chat")
    user_actor, effects = _step(user_actor, ChatLinked(), context)
    summary = ChatSummary(
        room_id,
        chat.chat_id,
        chat.name,
        chat.agent_id,
        archived=False,
        state="bound",
        owner_membership="invite",
    )
    # The room's row may have the binding already.
    others = tuple(each for each in user_actor.chats if each.room_id != room_id)
    user_actor = replace(user_actor, chats=(*others, summary))
    agent = context.agents.label(chat.agent_id)
    hint = catalog.mock_hint() if context.mock_agents else None
    first_text = catalog.welcome(agent, hint, encrypted=reply_to.encrypted)
    welcome = Enqueue(
        SendMessage(room_id, catalog.welcome_again(agent) if others else first_text, notice=True),
        TxnId(f"{user.user_id}.{chat.chat_id}.welcome"),
    )
    missing = is_missing_in_space(others)
    if missing:
        effects = (*effects, *invite_to_space(user, f"{user.user_id}.{chat.chat_id}", context))
    link = context.link(room_id)
    text = (
        catalog.chat_created(chat.name, link, invited_to_space=missing)
        if others
        else catalog.entry_pointer(chat.name, link)
    )
    shared_text = (
        catalog.chat_created_in_shared_room() if others else catalog.entry_pointer_in_shared_room()
    )
    pointer = tell_answer(user, reply_to, text, shared_text)
    return user_actor, (*effects, welcome, pointer, _chat_made(user, chat, room_id))


def _chat_made(user: User, chat: NewChat, room_id: RoomId) -> Log:
    """Log a new chat, without its name, which a user wrote (contract L12)."""
    fields = {
        "room_id": room_id,
        "chat_id": chat.chat_id,
        "matrix_user_id": user.user_id,
        "agent": chat.agent_id,
        "space_id": user.space_id,
    }
    return Log("chat_made", fields)


def _not_allowed(user: User, reply_to: ReplyTarget) -> Log:
    """Log a dropped request: its user may no longer talk to the bot."""
    return Log("request_not_allowed", {"sender": user.user_id, "room_id": reply_to.room_id})
