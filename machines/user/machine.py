"""A user: their Space, their chats, and the making of both (contracts O1–O3, K2).

`resting → naming → making_space → making_chat → linking → resting`. One thing is made at a time. Each step is one
order that is safe to repeat (a room is found again by its nonce), and the current step is in the row: after an
interruption the user's actor resumes at that step. `!new` enters at `making_chat`. Ids are taken when the order is
given, never later, so that a repeated order has the same ids.
"""

from typing import Literal, get_args

from msgspec import Struct
from msgspec.structs import replace
from statemachine import State, StateMachine

from machines.context import StepContext
from machines.events.effects import (
    Effect,
    Enqueue,
    ReservePlatformChatId,
    Tell,
)
from machines.events.internal import ReplyTarget, RoomCompleted, RoomMade
from machines.events.orders import CreateRoom, LinkChild, LookUpName
from machines.fsm import Table
from machines.ids import ActorKey, AgentId, RoomId, TxnId, UserId
from machines.room.binding import Binding

UserState = Literal["resting", "naming", "making_space", "making_chat", "linking"]

_STEPS: dict[UserState, str] = {
    "naming": ".name",
    "making_space": ".space",
    "making_chat": ".room",
    "linking": ".link",
}
"""The end of the transaction id of a step's order, by the state that waits for its outcome."""


class NewChat(Struct, frozen=True):
    """The ids and the name that a chat gets when it is made."""

    chat_id: str
    platform_chat_id: str
    agent_id: AgentId
    name: str


class User(Struct, frozen=True):
    """One user's row. `next_chat_index` only ever grows (contract R3); `made` is the chat being linked."""

    user_id: UserId
    state: UserState = "resting"
    display_name: str = ""
    space_id: RoomId | None = None
    next_chat_index: int = 1
    reply_to: ReplyTarget | None = None
    chat: NewChat | None = None
    made: RoomId | None = None

    def waits_for(self, txn_id: TxnId) -> bool:
        """Whether this is the transaction id of the step in hand, and not of an earlier invitation or message."""
        return self.state != "resting" and txn_id.endswith(_STEPS[self.state])


class SpaceWanted(Struct, frozen=True):
    """The user has no Space yet. `key` tells this request from any other in transaction ids."""

    reply_to: ReplyTarget
    key: str


class ChatWanted(Struct, frozen=True):
    """The user has a Space and gets a chat in it; without a `name` the chat is named by its number."""

    reply_to: ReplyTarget
    name: str


class NameKnown(Struct, frozen=True):
    """The user's display name was found by the order with this transaction id."""

    name: str
    txn_id: TxnId


class SpaceMade(Struct, frozen=True):
    """The user's Space exists."""

    room_id: RoomId


class ChatMade(Struct, frozen=True):
    """The chat's room exists."""

    room_id: RoomId


class ChatLinked(Struct, frozen=True):
    """The Space names the room as its child: the chat is complete."""


class StepRefused(Struct, frozen=True):
    """The homeserver refuses the step in hand, or the user may not talk to the bot any more."""


_Result = tuple[User, tuple[Effect, ...]]


class UserMachine(StateMachine):
    """The declaration; `USER` is what runs."""

    resting = State(initial=True)
    naming = State()
    making_space = State()
    making_chat = State()
    linking = State()

    space_wanted = resting.to(naming, on="look_up_name")
    chat_wanted = resting.to(making_chat, on="make_chat")
    name_known = naming.to(making_space, on="make_space")
    space_made = making_space.to(making_chat, on="note_space")
    chat_made = making_chat.to(linking, on="link")
    chat_linked = linking.to(resting, on="finish")
    step_refused = (
        naming.to(resting, on="abandon")
        | making_space.to(resting, on="abandon")
        | making_chat.to(resting, on="abandon")
        | linking.to(resting, on="abandon")
    )

    @staticmethod
    def look_up_name(data: User, trigger: SpaceWanted, context: StepContext) -> _Result:
        """Look up the display name, after which the Space is named."""
        txn_id = TxnId(f"{trigger.key}{_STEPS['naming']}")
        look_up = Enqueue(LookUpName(data.user_id), txn_id, reports=True)
        return replace(data, reply_to=trigger.reply_to), (look_up,)

    @staticmethod
    def make_space(data: User, trigger: NameKnown, context: StepContext) -> _Result:
        """Create the one Space of this user: the nonce is their id."""
        name = context.catalog.space_name(trigger.name)
        order = CreateRoom(f"space of {data.user_id}", name, data.user_id, space=True)
        # A Space that was refused is ordered again, and each order needs a transaction id of its own.
        key = trigger.txn_id.removesuffix(_STEPS["naming"])
        send = Enqueue(order, TxnId(f"{key}{_STEPS['making_space']}"), reports=True)
        return replace(data, display_name=trigger.name), (send,)

    @staticmethod
    def note_space(data: User, trigger: SpaceMade, context: StepContext) -> _Result:
        """Bind the Space as soon as it exists, and make its first chat."""
        binding, key = Binding("space", data.user_id), ActorKey(trigger.room_id)
        name = context.catalog.space_name(data.display_name)
        data, effects = _make_chat(replace(data, space_id=trigger.room_id), "", context)
        tells = (Tell(key, RoomMade(binding, name)), Tell(key, RoomCompleted(binding, name)))
        return data, (*tells, *effects)

    @staticmethod
    def make_chat(data: User, trigger: ChatWanted, context: StepContext) -> _Result:
        """Make a further chat."""
        return _make_chat(replace(data, reply_to=trigger.reply_to), trigger.name, context)

    @staticmethod
    def link(data: User, trigger: ChatMade, context: StepContext) -> _Result:
        """Tell the room its binding before its Space links it, so that no message comes too early."""
        binding, name = _binding(data), data.chat.name if data.chat else ""
        tell = Tell(ActorKey(trigger.room_id), RoomMade(binding, name))
        order = LinkChild(binding.space_id or trigger.room_id, trigger.room_id)
        txn_id = TxnId(f"{data.user_id}.{binding.chat_id}{_STEPS['linking']}")
        return replace(data, made=trigger.room_id), (tell, Enqueue(order, txn_id, reports=True))

    @staticmethod
    def finish(data: User, trigger: ChatLinked, context: StepContext) -> _Result:
        """The chat is complete and may be used."""
        name = data.chat.name if data.chat else ""
        completed = RoomCompleted(_binding(data), name)
        tell = (Tell(ActorKey(data.made), completed),) if data.made else ()
        return replace(data, reply_to=None, chat=None, made=None), tell

    @staticmethod
    def abandon(data: User, trigger: StepRefused, context: StepContext) -> _Result:
        """Give up; a room that was made is found again by its nonce or in the Space, and ids are not reused."""
        return replace(data, reply_to=None, chat=None, made=None), ()


def _make_chat(user: User, name: str, context: StepContext) -> _Result:
    number = user.next_chat_index
    chat = NewChat(
        chat_id=f"C{number}",
        platform_chat_id=context.next_platform_chat_id,
        agent_id=_agent_for(user, context),
        name=name or context.catalog.chat_name(number),
    )
    order = CreateRoom(_nonce(user), chat.name, user.user_id, parent=user.space_id)
    txn_id = TxnId(f"{user.user_id}.{chat.chat_id}{_STEPS['making_chat']}")
    user = replace(user, chat=chat, next_chat_index=number + 1)
    return user, (
        Enqueue(order, txn_id, reports=True),
        ReservePlatformChatId(chat.platform_chat_id),
    )


def _agent_for(user: User, context: StepContext) -> AgentId:
    """Return the agent that the user selected, if it still exists, or else their default (contracts A2, K5)."""
    selected = context.preferences(user.user_id).agent_id
    if selected is not None and context.agents.knows(selected):
        return selected
    return context.agents.default_for(user.user_id)


def _nonce(user: User) -> str:
    """Return the nonce of the chat to be made: the request is the same before and after any loss."""
    event_id = user.reply_to.event_id if user.reply_to is not None else None
    if event_id is None:
        return f"first chat of {user.user_id}"
    return f"chat of {user.user_id} asked for in {event_id}"


def _binding(user: User) -> Binding:
    chat = user.chat
    if chat is None:
        raise ValueError(f"{user.user_id} is in state {user.state} without a chat in hand")
    return Binding(
        room_type="chat",
        matrix_user_id=user.user_id,
        chat_id=chat.chat_id,
        platform_chat_id=chat.platform_chat_id,
        agent_id=chat.agent_id,
        space_id=user.space_id,
    )


_ONE_AT_A_TIME = "one thing is made at a time; the request waits"
_NOT_ASKED = "that step was not ordered"


def _unless(accepting: UserState, why: str = _NOT_ASKED) -> dict[str, str]:
    return {state: why for state in get_args(UserState) if state != accepting}


USER: Table[User] = Table(
    UserMachine,
    refuses={
        "space_wanted": _unless("resting", _ONE_AT_A_TIME),
        "chat_wanted": _unless("resting", _ONE_AT_A_TIME),
        "name_known": _unless("naming"),
        "space_made": _unless("making_space"),
        "chat_made": _unless("making_chat"),
        "chat_linked": _unless("linking"),
        "step_refused": {"resting": "nothing is being made"},
    },
)
