"""A user: the creation of their Space and their chats (contracts O1–O3, K2).

`resting → naming → making_space → making_chat → linking → resting`. One Space or chat is created at a time. Each step
is one order that is safe to repeat (a room is found again by its nonce), and the row stores the current step: after an
interruption the user's actor resumes at that step. `!new` enters at `making_chat`. Ids are reserved when the order is
given, so that a repeated order has the same ids.
"""

from typing import Literal, get_args

from msgspec import Struct
from msgspec.structs import replace
from statemachine import State, StateMachine

from machines.context import StepContext
from machines.events.effects import Effect, Enqueue, ReservePlatformChatId, Tell
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
"""The suffix of the transaction id of a step's order, by the state that waits for its outcome."""


class NewChat(Struct, frozen=True):
    """The ids and the name of a chat that is being created."""

    chat_id: str
    platform_chat_id: str
    agent_id: AgentId
    name: str


class User(Struct, frozen=True):
    """The row of a user. `next_chat_index` never decreases (contract R3); `new_room_id` is the chat being linked."""

    user_id: UserId
    state: UserState = "resting"
    display_name: str = ""
    space_id: RoomId | None = None
    next_chat_index: int = 1
    reply_to: ReplyTarget | None = None
    chat: NewChat | None = None
    new_room_id: RoomId | None = None

    def waits_for(self, txn_id: TxnId) -> bool:
        """Whether this is the transaction id of the current step, and not of an earlier invitation or message."""
        return self.state != "resting" and txn_id.endswith(_STEPS[self.state])


class SpaceRequested(Struct, frozen=True):
    """The user has no Space yet. `key` makes the transaction ids of this request unique."""

    reply_to: ReplyTarget
    key: str


class ChatRequested(Struct, frozen=True):
    """The user has a Space and gets a chat in it; without a `name` the chat is named after its number."""

    reply_to: ReplyTarget
    name: str


class NameKnown(Struct, frozen=True):
    """The user's display name was found by the order with this transaction id."""

    name: str
    txn_id: TxnId


class SpaceCreated(Struct, frozen=True):
    """The user's Space exists."""

    room_id: RoomId


class ChatCreated(Struct, frozen=True):
    """The chat's room exists."""

    room_id: RoomId


class ChatLinked(Struct, frozen=True):
    """The Space links the room as its child: the chat is complete."""


class StepRefused(Struct, frozen=True):
    """The homeserver refuses the current step, or the user may no longer talk to the bot."""


UserMachineEvent = (
    SpaceRequested
    | ChatRequested
    | NameKnown
    | SpaceCreated
    | ChatCreated
    | ChatLinked
    | StepRefused
)
_Result = tuple[User, tuple[Effect, ...]]


class UserMachine(StateMachine):
    """The declaration of the machine; `USER` is the compiled table."""

    resting = State(initial=True)
    naming = State()
    making_space = State()
    making_chat = State()
    linking = State()

    space_requested = resting.to(naming, on="look_up_name")
    chat_requested = resting.to(making_chat, on="create_chat")
    name_known = naming.to(making_space, on="create_space")
    space_created = making_space.to(making_chat, on="bind_space")
    chat_created = making_chat.to(linking, on="link")
    chat_linked = linking.to(resting, on="finish")
    step_refused = (
        naming.to(resting, on="abandon")
        | making_space.to(resting, on="abandon")
        | making_chat.to(resting, on="abandon")
        | linking.to(resting, on="abandon")
    )

    @staticmethod
    def look_up_name(data: User, trigger: SpaceRequested, context: StepContext) -> _Result:
        """Look up the display name, which the name of the Space contains."""
        txn_id = TxnId(f"{trigger.key}{_STEPS['naming']}")
        look_up = Enqueue(LookUpName(data.user_id), txn_id, reports=True)
        return replace(data, reply_to=trigger.reply_to), (look_up,)

    @staticmethod
    def create_space(data: User, trigger: NameKnown, context: StepContext) -> _Result:
        """Create the only Space of this user: the nonce is their id."""
        catalog = context.catalog_for(data.user_id)
        order = CreateRoom(
            f"space of {data.user_id}",
            catalog.space_name(trigger.name),
            data.user_id,
            space=True,
            topic=catalog.space_topic(),
            reason=catalog.space_invitation(),
        )
        # A refused Space is ordered again, and each order needs a unique transaction id.
        key = trigger.txn_id.removesuffix(_STEPS["naming"])
        send = Enqueue(order, TxnId(f"{key}{_STEPS['making_space']}"), reports=True)
        return replace(data, display_name=trigger.name), (send,)

    @staticmethod
    def bind_space(data: User, trigger: SpaceCreated, context: StepContext) -> _Result:
        """Bind the Space, and create its first chat."""
        binding, key = Binding("space", data.user_id), ActorKey(trigger.room_id)
        name = context.catalog_for(data.user_id).space_name(data.display_name)
        data, effects = _create_chat(replace(data, space_id=trigger.room_id), "", context)
        tells = (Tell(key, RoomMade(binding, name)), Tell(key, RoomCompleted(binding, name)))
        return data, (*tells, *effects)

    @staticmethod
    def create_chat(data: User, trigger: ChatRequested, context: StepContext) -> _Result:
        """Create a further chat."""
        return _create_chat(replace(data, reply_to=trigger.reply_to), trigger.name, context)

    @staticmethod
    def link(data: User, trigger: ChatCreated, context: StepContext) -> _Result:
        """Send the room its binding before its Space links it, so that no message arrives too early."""
        binding, name = _binding(data), data.chat.name if data.chat else ""
        tell = Tell(ActorKey(trigger.room_id), RoomMade(binding, name))
        order = LinkChild(binding.space_id or trigger.room_id, trigger.room_id)
        txn_id = TxnId(f"{data.user_id}.{binding.chat_id}{_STEPS['linking']}")
        return replace(data, new_room_id=trigger.room_id), (
            tell,
            Enqueue(order, txn_id, reports=True),
        )

    @staticmethod
    def finish(data: User, trigger: ChatLinked, context: StepContext) -> _Result:
        """Complete the chat: it may be used."""
        name = data.chat.name if data.chat else ""
        completed = RoomCompleted(_binding(data), name)
        tell = (Tell(ActorKey(data.new_room_id), completed),) if data.new_room_id else ()
        return replace(data, reply_to=None, chat=None, new_room_id=None), tell

    @staticmethod
    def abandon(data: User, trigger: StepRefused, context: StepContext) -> _Result:
        """Abandon the request; a created room is found again by its nonce or in the Space, and ids are not reused."""
        return replace(data, reply_to=None, chat=None, new_room_id=None), ()


def _create_chat(user: User, name: str, context: StepContext) -> _Result:
    number, catalog = user.next_chat_index, context.catalog_for(user.user_id)
    chat = NewChat(
        chat_id=f"C{number}",
        platform_chat_id=context.next_platform_chat_id,
        agent_id=_agent_for(user, context),
        name=name or catalog.chat_name(number),
    )
    label = context.agents.label(chat.agent_id)
    order = CreateRoom(
        _nonce(user),
        chat.name,
        user.user_id,
        parent=user.space_id,
        topic=catalog.chat_topic(label),
        reason=catalog.chat_invitation(label),
    )
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
    """Return the nonce of the new chat. It depends on the request only, which no data loss changes."""
    event_id = user.reply_to.event_id if user.reply_to is not None else None
    if event_id is None:
        return f"first chat of {user.user_id}"
    return f"chat of {user.user_id} asked for in {event_id}"


def _binding(user: User) -> Binding:
    chat = user.chat
    if chat is None:
        raise ValueError(f"{user.user_id} is in state {user.state} without a new chat")
    return Binding(
        room_type="chat",
        matrix_user_id=user.user_id,
        chat_id=chat.chat_id,
        platform_chat_id=chat.platform_chat_id,
        agent_id=chat.agent_id,
        space_id=user.space_id,
    )


_BUSY = "one Space or chat is created at a time; the request waits"
_NOT_ORDERED = "that step was not ordered"


def _refused_except_in(accepting: UserState, why: str = _NOT_ORDERED) -> dict[str, str]:
    return {state: why for state in get_args(UserState) if state != accepting}


USER: Table[User] = Table(
    UserMachine,
    refuses={
        "space_requested": _refused_except_in("resting", _BUSY),
        "chat_requested": _refused_except_in("resting", _BUSY),
        "name_known": _refused_except_in("naming"),
        "space_created": _refused_except_in("making_space"),
        "chat_created": _refused_except_in("making_chat"),
        "chat_linked": _refused_except_in("linking"),
        "step_refused": {"resting": "nothing is being created"},
    },
)
