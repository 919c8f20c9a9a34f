"""What a user's actor decides: who gets a Space, which chat is made next, what `!chats` shows.

Each user has one actor. Therefore onboarding is idempotent by the user and not by the inviting room (contract O2): two
invitations at once are two requests in one inbox, and the second finds what the first made. A request that comes while
something is being made waits in that inbox.
"""

from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from machines.context import World
from machines.events.effects import (
    Ack,
    Effect,
    Enqueue,
    Log,
)
from machines.events.internal import (
    ChatListRequested,
    ChatRecovered,
    NewChatRequested,
    OnboardingRequested,
    OrderDone,
    ReplyTarget,
    UserEvent,
    UserRequest,
)
from machines.events.orders import (
    Done,
    Joined,
    NameFound,
    Refused,
    RoomCreated,
    SendMessage,
)
from machines.ids import TxnId
from machines.user.chats import (
    ChatSummary,
    chats_page,
    point_to_chats,
    tell_answer,
)
from machines.user.machine import (
    USER,
    ChatLinked,
    ChatMade,
    ChatWanted,
    NameKnown,
    SpaceMade,
    SpaceWanted,
    StepRefused,
    User,
)


class Household(Struct, frozen=True):
    """A user, their chats in the order of their numbers, and the requests that wait (inbox row, request)."""

    user: User
    chats: tuple[ChatSummary, ...] = ()
    waiting: tuple[tuple[int, UserRequest], ...] = ()


def take(
    household: Household, event: UserEvent, seq: int, world: World
) -> tuple[Household, tuple[Effect, ...]]:
    """Take one inbox row. The outcome of a step is taken at once; requests keep their order."""
    effects: tuple[Effect, ...] = ()
    match event:
        case OrderDone():
            household, effects = _progress(household, event, world)
            effects = (*effects, Ack(seq))
        case ChatRecovered(space_id=space_id, number=number):
            user = household.user
            index = max(user.next_chat_index, number + 1)
            user = replace(user, next_chat_index=index, space_id=user.space_id or space_id)
            household, effects = replace(household, user=user), (Ack(seq),)
        case OnboardingRequested() | NewChatRequested() | ChatListRequested():
            household = replace(household, waiting=(*household.waiting, (seq, event)))
        case _:
            assert_never(event)
    return _advance(household, effects, world)


def _advance(
    household: Household, effects: tuple[Effect, ...], world: World
) -> tuple[Household, tuple[Effect, ...]]:
    while household.waiting and household.user.state == "resting":
        (seq, request), *rest = household.waiting
        household = replace(household, waiting=tuple(rest))
        household, done = _begin(household, request, seq, world)
        effects = (*effects, *done, Ack(seq))
    return household, effects


def _begin(
    household: Household, request: UserRequest, seq: int, world: World
) -> tuple[Household, tuple[Effect, ...]]:
    asked, user, chats = request.asked, household.user, household.chats
    if not world.access.allows(user.user_id):
        return household, (_not_allowed(user, asked),)
    if isinstance(request, ChatListRequested):
        page = chats_page(chats, asked, world)
        return household, (tell_answer(asked, page, world.catalog.not_in_company("chats")),)
    if isinstance(request, OnboardingRequested) and user.space_id and chats:
        return household, point_to_chats(user, chats, asked, world)
    if user.space_id is None:
        key = f"{user.user_id}.{int(world.now * 1000)}.{seq}"
        return _step(household, SpaceWanted(asked, key), world)
    name = request.name if isinstance(request, NewChatRequested) else ""
    return _step(household, ChatWanted(asked, name), world)


def _step(
    household: Household,
    event: SpaceWanted | ChatWanted | NameKnown | SpaceMade | ChatMade | ChatLinked | StepRefused,
    world: World,
) -> tuple[Household, tuple[Effect, ...]]:
    """Run the user's machine."""
    step = USER.step(household.user, event, world)
    return replace(household, user=step.data), step.effects


def _progress(
    household: Household, done: OrderDone, world: World
) -> tuple[Household, tuple[Effect, ...]]:
    user, asked = household.user, household.user.asked
    if asked is None or not user.waits_for(done.txn_id):
        # An invitation or a message of an earlier request: nothing waits for it.
        return household, ()
    if not world.access.allows(user.user_id):
        # Nothing more is made for a user who may not talk to the bot any more, and they are told nothing (E3).
        household, _ = _step(household, StepRefused(), world)
        return household, (_not_allowed(user, asked),)
    match done.outcome:
        case Refused(reason=reason):
            failed = world.catalog.new_failed if user.space_id else world.catalog.setup_failed
            household, effects = _step(household, StepRefused(), world)
            text = failed(reason)
            return household, (*effects, tell_answer(asked, text, text))
        case NameFound(name=name):
            return _step(household, NameKnown(name, done.txn_id), world)
        case RoomCreated(room_id=room_id) if user.state == "making_space":
            return _step(household, SpaceMade(room_id), world)
        case RoomCreated(room_id=room_id):
            return _step(household, ChatMade(room_id), world)
        case Done():
            return _finish(household, world)
        case Joined():
            raise ValueError("no step of a user's actor joins a room")
        case _:
            assert_never(done.outcome)


def _finish(household: Household, world: World) -> tuple[Household, tuple[Effect, ...]]:
    user, catalog = household.user, world.catalog
    made, chat, asked = user.made, user.chat, user.asked
    if made is None or chat is None or asked is None:
        raise ValueError(f"{user.user_id} finished a chat that was not in hand")
    household, effects = _step(household, ChatLinked(), world)
    summary = ChatSummary(
        made, chat.chat_id, chat.name, chat.agent_id, archived=False, state="bound"
    )
    # The room's row may have the binding already.
    others = tuple(each for each in household.chats if each.room_id != made)
    household = replace(household, chats=(*others, summary))
    hint = catalog.mock_hint() if world.mock_agents else None
    welcome = Enqueue(
        SendMessage(made, catalog.welcome(world.agents.label(chat.agent_id), hint), notice=True),
        TxnId(f"{user.user_id}.{chat.chat_id}.welcome"),
    )
    text = catalog.chat_created if others else catalog.entry_pointer
    in_company = catalog.chat_created_in_company() if others else catalog.entry_pointer_in_company()
    pointer = tell_answer(asked, text(chat.name, world.link(made)), in_company)
    return household, (*effects, welcome, pointer)


def _not_allowed(user: User, asked: ReplyTarget) -> Log:
    """Log a dropped request: the list of users who may talk to the bot is shorter by now."""
    return Log("request_not_allowed", {"sender": user.user_id, "room_id": asked.room_id})
