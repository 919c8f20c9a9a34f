"""A user: his Space, his chats, and the making of both (contracts O1–O3, K2).

`resting → naming → making_space → making_chat → linking → resting`. One thing is made at a time, each step is one
order whose repetition is harmless (a room is found again by its nonce), and the step in hand is in the row: an
interruption anywhere resumes at that step. `!new` enters at `making_chat`. Ids are taken when the order is given, never
later, so that the same order is repeated with the same ids.
"""

from msgspec import Struct
from msgspec.structs import replace
from statemachine import State, StateMachine

from machines.binding import Binding
from machines.effects import Effect, Send, Tell
from machines.happenings import Asked
from machines.ids import ActorKey, AgentId, RoomId, TxnId, UserId
from machines.orders import CreateRoom, LinkChild, LookUpName
from machines.room import RoomMade, TopologyConfirmed
from machines.table import Table

NAME_STEP = ".name"
"""What the transaction id of the first step ends in, behind the key of the request."""


class NewChat(Struct, frozen=True):
    """The ids and the name that a chat gets when it is made."""

    chat_id: str
    platform_chat_id: str
    agent_id: AgentId
    name: str


class User(Struct, frozen=True):
    """One user's row. `next_chat_index` only ever grows (contract R3); `made` is the chat being linked."""

    user_id: UserId
    state: str = "resting"
    display_name: str = ""
    space_id: RoomId | None = None
    next_chat_index: int = 1
    asked: Asked | None = None
    chat: NewChat | None = None
    made: RoomId | None = None


class SpaceWanted(Struct, frozen=True):
    """He has no Space yet. `key` tells this request from any other in transaction ids."""

    asked: Asked
    key: str


class ChatWanted(Struct, frozen=True):
    """He has a Space and shall get a chat in it."""

    asked: Asked
    chat: NewChat


class NameKnown(Struct, frozen=True):
    """His display name was found; `space_name` is made from it. `key` is that of `SpaceWanted`."""

    name: str
    space_name: str
    key: str


class SpaceMade(Struct, frozen=True):
    """His Space exists; `chat` is his first."""

    room_id: RoomId
    chat: NewChat
    space_name: str


class ChatMade(Struct, frozen=True):
    """The chat's room exists."""

    room_id: RoomId


class ChatLinked(Struct, frozen=True):
    """The Space names the room as its child: the chat is whole."""


class StepRefused(Struct, frozen=True):
    """The homeserver will not do the step in hand."""

    reason: str


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
    def look_up_name(data: User, fact: SpaceWanted) -> _Result:
        """The Space is named after him."""
        look_up = Send(LookUpName(data.user_id), TxnId(f"{fact.key}{NAME_STEP}"), reports=True)
        return replace(data, asked=fact.asked), (look_up,)

    @staticmethod
    def make_space(data: User, fact: NameKnown) -> _Result:
        """One Space a user: the nonce is his id."""
        order = CreateRoom(f"space of {data.user_id}", fact.space_name, data.user_id, space=True)
        send = Send(order, TxnId(f"{fact.key}.space"), reports=True)
        return replace(data, display_name=fact.name), (send,)

    @staticmethod
    def note_space(data: User, fact: SpaceMade) -> _Result:
        """The Space is bound as soon as it exists; its first chat follows."""
        binding = Binding("space", data.user_id)
        key = ActorKey(fact.room_id)
        confirmed = TopologyConfirmed(
            binding, fact.space_name, encrypted=False, store=True, report={}
        )
        data, effects = _make_chat(replace(data, space_id=fact.room_id), fact.chat)
        return data, (Tell(key, RoomMade(binding, fact.space_name)), Tell(key, confirmed), *effects)

    @staticmethod
    def make_chat(data: User, fact: ChatWanted) -> _Result:
        """A further chat."""
        return _make_chat(replace(data, asked=fact.asked), fact.chat)

    @staticmethod
    def link(data: User, fact: ChatMade) -> _Result:
        """The room knows what it will be before its Space names it, so that no message is too early."""
        binding, name = _binding(data), data.chat.name if data.chat else ""
        tell = Tell(ActorKey(fact.room_id), RoomMade(binding, name))
        order = LinkChild(binding.space_id or fact.room_id, fact.room_id)
        send = Send(order, TxnId(f"{data.user_id}.{binding.chat_id}.link"), reports=True)
        return replace(data, made=fact.room_id), (tell, send)

    @staticmethod
    def finish(data: User, fact: ChatLinked) -> _Result:
        """Whole: the room may be talked in."""
        name = data.chat.name if data.chat else ""
        confirmed = TopologyConfirmed(_binding(data), name, encrypted=False, store=True, report={})
        tell = (Tell(ActorKey(data.made), confirmed),) if data.made else ()
        return replace(data, asked=None, chat=None, made=None), tell

    @staticmethod
    def abandon(data: User, fact: StepRefused) -> _Result:
        """What was made stays and is found again by its nonce or in the Space; ids are not reused."""
        return replace(data, asked=None, chat=None, made=None), ()


def _make_chat(user: User, chat: NewChat) -> _Result:
    order = CreateRoom(_nonce(user), chat.name, user.user_id, parent=user.space_id)
    send = Send(order, TxnId(f"{user.user_id}.{chat.chat_id}.room"), reports=True)
    return replace(user, chat=chat, next_chat_index=user.next_chat_index + 1), (send,)


def _nonce(user: User) -> str:
    """Return the nonce of the chat to be made: what was asked is the same before and after any loss."""
    event_id = user.asked.event_id if user.asked is not None else None
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


def _unless(*states: str) -> dict[str, str]:
    every = ("resting", "naming", "making_space", "making_chat", "linking")
    return {state: _NOT_ASKED for state in every if state not in states}


USER: Table[User] = Table(
    UserMachine,
    refuses={
        "space_wanted": dict.fromkeys(_unless("resting"), _ONE_AT_A_TIME),
        "chat_wanted": dict.fromkeys(_unless("resting"), _ONE_AT_A_TIME),
        "name_known": _unless("naming"),
        "space_made": _unless("making_space"),
        "chat_made": _unless("making_chat"),
        "chat_linked": _unless("linking"),
        "step_refused": {"resting": "nothing is being made"},
    },
)
