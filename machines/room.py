"""A room: `unregistered → reconciling → bound → failed` (contract R1).

No message reaches an agent unless its room is `bound`, that is, unless all that its type needs is known:
a chat's id, owner, Space, agent and `platform_chat_id`; a Space's owner; who invited the bot to an entry
room. A message in any other room starts one look at the homeserver's topology, and waits. The look ends
in `bound`, and the message is answered; or in `failed`, with one warning and one notice. A failed
room is looked at again at the earliest a minute later, and only because somebody wrote in it. The bot's
removal makes a room `unregistered` again; its binding stays in the row, to be confirmed if it comes back.
"""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct, field
from msgspec.structs import replace
from statemachine import State, StateMachine

from machines.ids import AgentId, RoomId, UserId
from machines.memory import Memory
from machines.table import Table

COOL_DOWN_S = 60.0
RoomType = Literal["chat", "space", "entry"]


class Binding(Struct, frozen=True):
    """What a room is bound to; the same on the homeserver (contracts R3, R4).

    `matrix_user_id` is a chat's or Space's owner, and whoever invited the bot to an entry room.
    """

    room_type: RoomType
    matrix_user_id: UserId
    chat_id: str | None = None
    platform_chat_id: str | None = None
    agent_id: AgentId | None = None
    space_id: RoomId | None = None
    archived: bool = False

    def content(self) -> dict[str, Any]:
        """Return the account data content of contract R4, all keys always there."""
        return {
            "chat_id": self.chat_id,
            "platform_chat_id": self.platform_chat_id,
            "agent_id": self.agent_id,
            "matrix_user_id": self.matrix_user_id,
            "space_id": self.space_id,
            "archived": self.archived,
            "room_type": self.room_type,
        }


class Room(Struct, frozen=True):
    """One room's row. Times are seconds since the epoch.

    `onboards` is whom to welcome once the room is bound: the last who invited the bot.
    """

    room_id: RoomId
    state: str = "unregistered"
    since: float = 0.0
    reason: str = "not seen yet"
    binding: Binding | None = None
    name: str = ""
    encrypted: bool = False
    onboards: UserId | None = None
    owner_present: bool = True
    repaired_at: float = 0.0
    reminded: bool = False
    memory: Memory = field(default_factory=Memory)


class Invited(Struct, frozen=True):
    """An allowed user invited the bot."""

    by: UserId
    encrypted: bool


class BotJoined(Struct, frozen=True):
    """The homeserver let the bot in."""

    encrypted: bool


class JoinRefused(Struct, frozen=True):
    """The invitation is no longer good."""

    reason: str


class RoomMade(Struct, frozen=True):
    """The bot made this room; it is bound once it is linked into its Space."""

    binding: Binding
    name: str


class MessageCame(Struct, frozen=True):
    """Somebody who may talk to the bot wrote something."""

    at: float


class CoolDownOver(Struct, frozen=True):
    """A minute has passed since the last repair, and messages wait."""

    at: float


class TopologyConfirmed(Struct, frozen=True):
    """The homeserver shows what the room is."""

    binding: Binding
    name: str
    encrypted: bool
    store: bool
    report: Mapping[str, Any]


class TopologyRefused(Struct, frozen=True):
    """The homeserver does not show what the room is; `reason` in a sentence."""

    reason: str
    at: float
    report: Mapping[str, Any]


class DifferenceFound(Struct, frozen=True):
    """Start-up found the stored row and the homeserver's topology to differ."""

    reason: str


class RemovedFromRoom(Struct, frozen=True):
    """The bot is no longer in the room (contract R5)."""

    reason: str


class AcceptInvite(Struct, frozen=True):
    """Effect: join."""


class LookAtTopology(Struct, frozen=True):
    """Effect: reconcile this one room."""


class KeepBinding(Struct, frozen=True):
    """Effect: store the binding on the homeserver too."""


class Welcome(Struct, frozen=True):
    """Effect: this user came through an entry room; see that he has a Space and a chat."""

    user_id: UserId


class TakeMessages(Struct, frozen=True):
    """Effect: work through the inbox."""


class ReportFailure(Struct, frozen=True):
    """Effect: one warning with the report, one notice in the room."""

    reason: str
    report: Mapping[str, Any]


class EndConversation(Struct, frozen=True):
    """Effect: close the upstream connection, if there is one."""


RoomEffect = (
    AcceptInvite
    | LookAtTopology
    | KeepBinding
    | Welcome
    | TakeMessages
    | ReportFailure
    | EndConversation
)
_Result = tuple[Room, tuple[RoomEffect, ...]]


class RoomMachine(StateMachine):
    """The declaration; `ROOM` is what runs."""

    unregistered = State(initial=True)
    reconciling = State()
    bound = State()
    failed = State()

    invited = (
        unregistered.to(reconciling, on="accept")
        | reconciling.to.itself(internal=True, on="accept")
        | bound.to.itself(internal=True, on="accept")
        | failed.to(reconciling, on="accept")
    )
    bot_joined = (
        reconciling.to.itself(internal=True, on="look")
        | bound.to.itself(internal=True, on="greet_again")
        | failed.to(reconciling, on="look")
        | unregistered.to(reconciling, on="look")
    )
    join_refused = (
        reconciling.to(unregistered)
        | unregistered.to.itself(internal=True)
        | bound.to.itself(internal=True)
        | failed.to.itself(internal=True)
    )
    room_made = (
        unregistered.to(reconciling, on="note_binding")
        | reconciling.to.itself(internal=True, on="note_binding")
        | failed.to(reconciling, on="note_binding")
    )
    message_came = (
        unregistered.to(reconciling, on="repair")
        | reconciling.to.itself(internal=True)
        | bound.to.itself(internal=True, on="take")
        | failed.to(reconciling, cond="cooled_down", on="repair")
        | failed.to.itself(internal=True)
    )
    cool_down_over = failed.to(reconciling, on="repair")
    difference_found = unregistered.to(reconciling) | bound.to(reconciling) | failed.to(reconciling)
    topology_confirmed = reconciling.to(bound, on="bind")
    topology_refused = reconciling.to(failed, on="diagnose")
    removed_from_room = (
        unregistered.to.itself(internal=True)
        | bound.to(unregistered, on="let_go")
        | reconciling.to(unregistered, on="let_go")
        | failed.to(unregistered, on="let_go")
    )

    @staticmethod
    def cooled_down(data: Room, fact: MessageCame) -> bool:
        """At the earliest 60 s after the last attempt (contract C8)."""
        return fact.at - data.repaired_at >= COOL_DOWN_S

    @staticmethod
    def accept(data: Room, fact: Invited) -> _Result:
        """Join; whoever invited is welcomed once the room is bound."""
        encrypted = data.encrypted or fact.encrypted
        return replace(data, onboards=fact.by, encrypted=encrypted), (AcceptInvite(),)

    @staticmethod
    def look(data: Room, fact: BotJoined) -> _Result:
        """Being in, the room can be looked at."""
        return replace(data, encrypted=data.encrypted or fact.encrypted), (LookAtTopology(),)

    @staticmethod
    def greet_again(data: Room, fact: BotJoined) -> _Result:
        """A second invitation to a room that is bound already (contract O2)."""
        welcome = (Welcome(data.onboards),) if data.onboards else ()
        return replace(data, onboards=None), welcome

    @staticmethod
    def note_binding(data: Room, fact: RoomMade) -> _Result:
        """The binding is known before it is confirmed, so that an interruption keeps it."""
        return replace(data, binding=fact.binding, name=fact.name), ()

    @staticmethod
    def repair(data: Room, fact: MessageCame | CoolDownOver) -> _Result:
        """One targeted reconciliation; the message waits in the inbox (contract C7)."""
        return replace(data, repaired_at=fact.at, reminded=False), (LookAtTopology(),)

    @staticmethod
    def take(data: Room, fact: MessageCame) -> _Result:
        """A turn, or a command."""
        return data, (TakeMessages(),)

    @staticmethod
    def bind(data: Room, fact: TopologyConfirmed) -> _Result:
        """All that the room's type needs is known."""
        effects: list[RoomEffect] = [KeepBinding()] if fact.store else []
        if data.onboards and fact.binding.room_type == "entry":
            effects.append(Welcome(data.onboards))
        data = replace(
            data,
            binding=fact.binding,
            name=fact.name,
            encrypted=data.encrypted or fact.encrypted,
            onboards=None,
        )
        return data, (*effects, TakeMessages())

    @staticmethod
    def diagnose(data: Room, fact: TopologyRefused) -> _Result:
        """Say so, once: to the operator with the report, in the room with a notice."""
        failure = ReportFailure(fact.reason, fact.report)
        return replace(data, repaired_at=fact.at), (failure,)

    @staticmethod
    def let_go(data: Room, fact: RemovedFromRoom) -> _Result:
        """The binding stays: coming back is a new reconciliation, not a new chat (contract R5).

        Whom to welcome stays too: the removal may be older than the invitation being accepted.
        """
        return data, (EndConversation(),)


_NO_LOOK = "nobody is looking at this room's topology"
_NO_FAILURE = "only a failed room cools down"

ROOM: Table[Room] = Table(
    RoomMachine,
    refuses={
        "room_made": {"bound": "the room is bound already; a binding is never replaced silently"},
        "cool_down_over": {
            "unregistered": _NO_FAILURE,
            "reconciling": _NO_FAILURE,
            "bound": _NO_FAILURE,
        },
        "difference_found": {"reconciling": "it is being looked at already"},
        "topology_confirmed": {"unregistered": _NO_LOOK, "bound": _NO_LOOK, "failed": _NO_LOOK},
        "topology_refused": {"unregistered": _NO_LOOK, "bound": _NO_LOOK, "failed": _NO_LOOK},
    },
)
