"""A room: `unregistered → reconciling → bound → failed` (contract R1).

No message reaches an agent unless its room is `bound`, that is, unless all that its type needs is known:
a chat's id, owner, Space, agent and `platform_chat_id`; a Space's owner; who invited the bot to an entry
room. A message in any other room starts one look at the homeserver's topology, and waits. The look ends
in `bound`, and the message is answered; or in `failed`, with one warning and one notice. The bot's removal
makes a room `unregistered` again; its binding stays in the row, to be confirmed if it comes back.

Work, which is a turn in hand or messages that wait, and a room that is not bound never rest together (contract
C11): while there is work, `RepairDue` comes at the time that `Room.look_due_at` says, and starts the next look. The
first is made at once. After a failure the next follows 60 s later, and each further one after twice the distance, up
to an hour. A message that comes meanwhile brings the distance back to 60 s. People are told of a failure once, until
they write again; a look that the clock started and that fails says nothing (contract C8).
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace
from statemachine import State, StateMachine

from machines.binding import Binding
from machines.ids import RoomId, UserId
from machines.memory import Memory
from machines.table import Table

COOL_DOWN_S = 60.0
"""The shortest distance between two looks at one room (contract C8)."""
LONGEST_DISTANCE_S = 3600.0
"""The longest distance between two looks while work waits and nobody writes."""
_DOUBLINGS = 6
"""After so many, the distance is the longest."""
ANSWERED_WITHIN_S = 24 * 3600.0
"""How old work may be when a look fails, or the bot is out of the room, and still wait (contract C8)."""


class Room(Struct, frozen=True):
    """One room's row. Times are seconds since the epoch.

    `onboards` is whom to welcome once the room is bound: the last who invited the bot. `repaired_at` is when the last
    look began or ended, 0 if the next may come at once; `looks` counts those that failed since somebody last wrote.
    `looking` says that a look was ordered and has not ended; it ends with the process. `told` says that the people
    here know of the failure, `reminded` that a command has had the notice once more. `heard_seq` is the inbox row of
    the newest message that came while the room was not bound: one that is read again after a restart is not new.
    `others` is how many others than the bot are in an entry room, joined or invited; `None` when that is not known.
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
    looks: int = 0
    looking: bool = False
    told: bool = False
    reminded: bool = False
    heard_seq: int = 0
    memory: Memory = field(default_factory=Memory)
    others: int | None = None

    @property
    def uncounted(self) -> bool:
        """Whether this is an entry room of which it is not known who is in it."""
        entry = self.binding is not None and self.binding.room_type == "entry"
        return entry and self.others is None

    @property
    def in_company(self) -> bool:
        """Whether more than one other may read along: all that is not known to be otherwise (contract O5)."""
        if self.binding is not None and self.binding.room_type != "entry":
            return False
        return self.others is None or self.others > 1

    @property
    def is_left(self) -> bool:
        """Whether the bot was in this room and is out of it: a look would show nothing until it is back."""
        return self.state == "unregistered" and self.since > 0

    def look_due_at(self) -> float | None:
        """Return when a room that has work is to be looked at; `None` where it is bound, or a look is under way.

        A join or the making of a chat ends sooner than that. Where it came to nothing, only another actor may know.
        """
        if self.state == "bound" or self.looking:
            return None
        if self.state == "reconciling":
            return self.since + LONGEST_DISTANCE_S
        doublings = min(max(0, self.looks - 1), _DOUBLINGS)
        return self.repaired_at + min(LONGEST_DISTANCE_S, COOL_DOWN_S * 2.0**doublings)


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


class RepairDue(Struct, frozen=True):
    """The room has work, and its next look is due."""

    at: float


class TopologyConfirmed(Struct, frozen=True):
    """The homeserver shows what the room is."""

    binding: Binding
    name: str
    encrypted: bool
    store: bool
    report: Mapping[str, Any]
    others: int | None = None


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
        reconciling.to(unregistered, on="stop_looking")
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
        | reconciling.to.itself(internal=True, on="hear")
        | bound.to.itself(internal=True, on="take")
        | failed.to(reconciling, cond="cooled_down", on="repair")
        | failed.to.itself(internal=True, on="hear")
    )
    repair_due = (
        unregistered.to(reconciling, on="look_again")
        | reconciling.to.itself(internal=True, on="look_again")
        | failed.to(reconciling, on="look_again")
    )
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
        """Being in, the room can be looked at; of a failure from before nobody is thought to know."""
        encrypted = data.encrypted or fact.encrypted
        data = replace(data, encrypted=encrypted, looking=True, told=False)
        return data, (LookAtTopology(),)

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
    def repair(data: Room, fact: MessageCame) -> _Result:
        """One targeted reconciliation; the message waits in the inbox (contract C7)."""
        return _look(_heard(data), fact.at)

    @staticmethod
    def hear(data: Room, fact: MessageCame) -> _Result:
        """The message waits; whoever wrote it hears of a failure, and the next look comes sooner (contract C8)."""
        return _heard(data), ()

    @staticmethod
    def look_again(data: Room, fact: RepairDue) -> _Result:
        """One targeted reconciliation for the sake of what waits (contract C11)."""
        return _look(data, fact.at)

    @staticmethod
    def stop_looking(data: Room, fact: JoinRefused) -> _Result:
        """The bot is not in the room."""
        return replace(data, looking=False), ()

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
            looks=0,
            looking=False,
            told=False,
            others=fact.others,
        )
        return data, (*effects, TakeMessages())

    @staticmethod
    def diagnose(data: Room, fact: TopologyRefused) -> _Result:
        """Say so, unless the people here know it: to the operator with the report, in the room with a notice."""
        failure = () if data.told else (ReportFailure(fact.reason, fact.report),)
        return replace(data, repaired_at=fact.at, looks=data.looks + 1, looking=False), failure

    @staticmethod
    def let_go(data: Room, fact: RemovedFromRoom) -> _Result:
        """The binding stays: coming back is a new reconciliation, not a new chat (contract R5).

        Whom to welcome stays too: the removal may be older than the invitation being accepted.
        """
        return replace(data, looking=False, others=None), (EndConversation(),)


def _heard(room: Room) -> Room:
    return replace(room, told=False, looks=0)


def _look(room: Room, at: float) -> _Result:
    room = replace(room, repaired_at=at, reminded=False, looking=True)
    return room, (LookAtTopology(),)


_NO_LOOK = "nobody is looking at this room's topology"

ROOM: Table[Room] = Table(
    RoomMachine,
    refuses={
        "room_made": {"bound": "the room is bound already; a binding is never replaced silently"},
        "repair_due": {"bound": "a bound room needs no repair"},
        "difference_found": {"reconciling": "it is being looked at already"},
        "topology_confirmed": {"unregistered": _NO_LOOK, "bound": _NO_LOOK, "failed": _NO_LOOK},
        "topology_refused": {"unregistered": _NO_LOOK, "bound": _NO_LOOK, "failed": _NO_LOOK},
    },
)
