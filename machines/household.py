"""What a user's actor decides: who gets a Space, which chat is made next, what `!chats` shows.

One actor a user is what makes onboarding idempotent by the user rather than by the inviting room (contract
O2): two invitations at once are two requests in one inbox, and the second finds what the first made. A request that
comes while something is being made waits in that inbox.
"""

from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from machines.effects import Consume, Effect, Log, Send, Tell, TookPlatformChatId
from machines.happenings import (
    AnswerReady,
    Asked,
    ChatRecovered,
    ChatsAsked,
    ChatSummary,
    NewChatAsked,
    OnboardingAsked,
    OrderDone,
)
from machines.ids import ActorKey, AgentId, RoomId, TxnId
from machines.orders import (
    CreateRoom,
    Done,
    EnsureInvited,
    LinkChild,
    LookUpName,
    NameFound,
    Refused,
    RoomCreated,
    SendMessage,
)
from machines.speech import ChatLine
from machines.user import (
    NAME_STEP,
    USER,
    ChatLinked,
    ChatMade,
    ChatWanted,
    NameKnown,
    NewChat,
    SpaceMade,
    SpaceWanted,
    StepRefused,
    User,
)
from machines.world import World

Request = OnboardingAsked | NewChatAsked | ChatsAsked

_ORDERED = {
    "resting": None,
    "naming": LookUpName.__name__,
    "making_space": CreateRoom.__name__,
    "making_chat": CreateRoom.__name__,
    "linking": LinkChild.__name__,
}
"""The order of the step in hand, by the user's state."""


class Household(Struct, frozen=True):
    """A user, his chats in the order of their numbers, and the requests that wait (inbox row, request)."""

    user: User
    chats: tuple[ChatSummary, ...] = ()
    waiting: tuple[tuple[int, Request], ...] = ()


def take(
    household: Household, event: object, seq: int, world: World
) -> tuple[Household, tuple[Effect, ...]]:
    """Take one inbox row. What came of a step is dealt with at once; requests keep their order."""
    effects: tuple[Effect, ...] = ()
    if isinstance(event, OrderDone):
        household, effects = _progress(household, event, world)
        effects = (*effects, Consume(seq))
    elif isinstance(event, ChatRecovered):
        user = household.user
        index = max(user.next_chat_index, event.number + 1)
        space_id = user.space_id or event.space_id
        recovered = replace(user, next_chat_index=index, space_id=space_id)
        household, effects = replace(household, user=recovered), (Consume(seq),)
    elif isinstance(event, OnboardingAsked | NewChatAsked | ChatsAsked):
        household = replace(household, waiting=(*household.waiting, (seq, event)))
    else:
        raise TypeError(f"a user's actor has no use for {type(event).__name__}")
    return _advance(household, effects, world)


def _advance(
    household: Household, effects: tuple[Effect, ...], world: World
) -> tuple[Household, tuple[Effect, ...]]:
    while household.waiting and household.user.state == "resting":
        (seq, request), *rest = household.waiting
        household = replace(household, waiting=tuple(rest))
        household, done = _begin(household, request, seq, world)
        effects = (*effects, *done, Consume(seq))
    return household, effects


def _begin(
    household: Household, request: Request, seq: int, world: World
) -> tuple[Household, tuple[Effect, ...]]:
    asked = request.asked
    if not world.access.allows(household.user.user_id):
        return household, (_turned_away(household.user, asked),)
    if isinstance(request, ChatsAsked):
        page = _chats_page(household, asked, world)
        return household, (_tell(asked, page, world.speech.not_in_company("chats")),)
    if isinstance(request, OnboardingAsked) and household.user.space_id and household.chats:
        return household, _point_to_what_exists(household, asked, world)
    name = request.name if isinstance(request, NewChatAsked) else ""
    user = household.user
    if user.space_id is None:
        key = f"{user.user_id}.{int(world.now * 1000)}.{seq}"
        step = USER.step(user, SpaceWanted(asked, key))
        return replace(household, user=step.data), step.effects
    chat = _next_chat(user, name, world)
    step = USER.step(user, ChatWanted(asked, chat))
    return replace(household, user=step.data), (*step.effects, _took(chat))


def _progress(
    household: Household, done: OrderDone, world: World
) -> tuple[Household, tuple[Effect, ...]]:
    user = household.user
    if user.asked is not None and not world.access.allows(user.user_id):
        # Whoever may not talk to the bot any more gets nothing more made, and hears nothing (contract E3).
        if done.order != _ORDERED[user.state]:
            return household, ()
        step = USER.step(user, StepRefused("the user may not talk to the bot any more"))
        return replace(household, user=step.data), (_turned_away(user, user.asked),)
    if isinstance(done.outcome, Refused):
        asked = user.asked
        # A pointer or an invitation of an earlier request may be refused while a step is in hand.
        if asked is None or done.order != _ORDERED[user.state]:
            return household, ()
        step = USER.step(user, StepRefused(done.outcome.reason))
        failed = world.speech.new_failed if user.space_id else world.speech.setup_failed
        text = failed(done.outcome.reason)
        return replace(household, user=step.data), (*step.effects, _tell(asked, text, text))
    match user.state, done.outcome:
        case "naming", NameFound(name=name):
            # A Space that was refused is ordered again, and an order has a transaction id of its own.
            key = done.txn_id.removesuffix(NAME_STEP)
            step = USER.step(user, NameKnown(name, world.speech.space_name(name), key))
            return replace(household, user=step.data), step.effects
        case "making_space", RoomCreated(room_id=room_id):
            chat = _next_chat(user, "", world)
            space_name = world.speech.space_name(user.display_name)
            step = USER.step(user, SpaceMade(room_id, chat, space_name))
            return replace(household, user=step.data), (*step.effects, _took(chat))
        case "making_chat", RoomCreated(room_id=room_id):
            step = USER.step(user, ChatMade(room_id))
            return replace(household, user=step.data), step.effects
        case "linking", Done():
            return _finish(household, world)
        case _:
            pass
    # An invitation or a message of an earlier request: it is done, and nothing waits for it.
    return household, ()


def _finish(household: Household, world: World) -> tuple[Household, tuple[Effect, ...]]:
    user, speech = household.user, world.speech
    step = USER.step(user, ChatLinked())
    made, chat, asked = user.made, user.chat, user.asked
    if made is None or chat is None or asked is None:
        raise ValueError(f"{user.user_id} finished a chat that was not in hand")
    summary = ChatSummary(
        made, chat.chat_id, chat.name, chat.agent_id, archived=False, state="bound"
    )
    # The room's own row may say already what it will be.
    others = tuple(each for each in household.chats if each.room_id != made)
    household = replace(household, user=step.data, chats=(*others, summary))
    hint = speech.mock_hint() if world.mock_agents else None
    welcome = Send(
        SendMessage(made, speech.welcome(world.agents.label(chat.agent_id), hint), notice=True),
        TxnId(f"{user.user_id}.{chat.chat_id}.welcome"),
    )
    text = speech.chat_created if others else speech.entry_pointer
    in_company = speech.chat_created_in_company() if others else speech.entry_pointer_in_company()
    pointer = _tell(asked, text(chat.name, world.link(made)), in_company)
    return household, (*step.effects, welcome, pointer)


def _point_to_what_exists(household: Household, asked: Asked, world: World) -> tuple[Effect, ...]:
    """Say where his chats are; an invitation also invites him where he is missing (contracts O2, O5)."""
    user, current = household.user, [chat for chat in household.chats if not chat.archived]
    last = (current or household.chats)[-1]
    if asked.event_id is not None:
        text = world.speech.entry_plain_text(last.name, world.link(last.room_id))
        return (_tell(asked, text, world.speech.entry_pointer_in_company()),)
    text = world.speech.already_here(last.name, world.link(last.room_id))
    pointer = _tell(asked, text, world.speech.entry_pointer_in_company())
    rooms: list[RoomId] = [user.space_id] if user.space_id else []
    rooms += [chat.room_id for chat in current]
    key = f"{user.user_id}.{int(world.now * 1000)}.invite"
    invites = (
        Send(EnsureInvited(room_id, user.user_id), TxnId(f"{key}.{index}"))
        for index, room_id in enumerate(rooms)
    )
    return (*invites, pointer)


def _chats_page(household: Household, asked: Asked, world: World) -> str:
    if not household.chats:
        return world.speech.no_chats()
    return world.speech.chats_list(
        ChatLine(
            chat_id=chat.chat_id,
            name=chat.name,
            agent=world.agents.label(AgentId(chat.agent_id)),
            state=_standing(chat, world),
            link=world.link(chat.room_id),
            current=chat.room_id == asked.room_id,
        )
        for chat in household.chats
    )


def _standing(chat: ChatSummary, world: World) -> Literal["open", "archived", "stale", "failed"]:
    if chat.archived:
        return "archived"
    if not world.agents.knows(AgentId(chat.agent_id)):
        return "stale"
    # A room that is being looked at is not known to have failed: the word that it is bound may be on its way.
    return "failed" if chat.state == "failed" else "open"


def _turned_away(user: User, asked: Asked) -> Log:
    """Say in the log that a request was dropped: the list of who may talk to the bot is shorter by now."""
    return Log("request_not_allowed", {"sender": user.user_id, "room_id": asked.room_id})


def _tell(asked: Asked, text: str, in_company: str) -> Tell:
    """Have the room answer a message or an invitation: it knows who reads along there."""
    return Tell(ActorKey(asked.room_id), AnswerReady(asked, text, in_company))


def _next_chat(user: User, name: str, world: World) -> NewChat:
    number = user.next_chat_index
    agent_id = _agent_for(user, world)
    return NewChat(
        chat_id=f"C{number}",
        platform_chat_id=world.next_platform_chat_id,
        agent_id=agent_id,
        name=name or world.speech.chat_name(number),
    )


def _agent_for(user: User, world: World) -> AgentId:
    """Return the agent he selected, while it is there, or else his default (contracts A2, K5)."""
    selected = world.preferences(user.user_id).agent_id
    if selected is not None and world.agents.knows(selected):
        return selected
    return world.agents.default_for(user.user_id)


def _took(chat: NewChat) -> TookPlatformChatId:
    return TookPlatformChatId(chat.platform_chat_id)
