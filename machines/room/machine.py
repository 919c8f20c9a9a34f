"""A room: `unregistered → reconciling → bound → failed` (contract R1).

A message reaches an agent only in a `bound` room, whose binding is complete: for a chat its id, owner, Space, agent
and `platform_chat_id`; for a Space its owner; for an entry room the user who invited the bot. A message in a room that
is not bound starts one repair, which reads the homeserver's topology, and waits. The repair ends in `bound`, and the
message is answered, or in `failed`, with one warning and one notice. When the bot is removed, the room is
`unregistered` again; its binding stays in the row, to be confirmed when the bot comes back.

A room that is not bound and has work (a turn or waiting messages) always has a repair that is running or due (contract
C11): `RepairDue` follows at `Room.repair_due_at()`. The first repair starts at once. After a failure the next one
follows 60 s later, and the interval doubles up to an hour. A new message resets the interval to 60 s. Users get one
notice of a failure until they write again; a repair that the timer started fails silently (contract C8).
"""

from msgspec import Struct
from msgspec.structs import replace
from statemachine import State, StateMachine

from machines.context import StepContext
from machines.events.effects import Effect, Enqueue, Log, Reconcile, ReservePlatformChatId, Tell
from machines.events.internal import (
    OnboardingRequested,
    ReplyTarget,
    RoomCompleted,
    RoomMade,
    TopologyConfirmed,
    TopologyRefused,
)
from machines.events.matrix import BotRemoved, InviteArrived
from machines.events.orders import Joined, JoinRoom, SendMessage, StoreBinding
from machines.fsm import Table
from machines.ids import ActorKey, RoomId, TxnId, UserId
from machines.room.binding import Binding
from machines.room.state import MIN_REPAIR_INTERVAL_S, Room

ASSUMED_OTHERS = 2
"""The number of others in an entry room if a repair does not show it: enough for `has_other_readers` (contract O5)."""


class JoinRefused(Struct, frozen=True):
    """The invitation is no longer valid."""


class UserWrote(Struct, frozen=True):
    """A user who may talk to the bot wrote in the room."""


class RepairDue(Struct, frozen=True):
    """The room has work, and its next repair is due."""


class DifferenceFound(Struct, frozen=True):
    """The stored row and the homeserver's topology differ at start-up."""


RoomMachineEvent = (
    InviteArrived
    | Joined
    | JoinRefused
    | RoomMade
    | RoomCompleted
    | UserWrote
    | RepairDue
    | DifferenceFound
    | TopologyConfirmed
    | TopologyRefused
    | BotRemoved
)
_Result = tuple[Room, tuple[Effect, ...]]


class RoomMachine(StateMachine):
    """The declaration of the machine; `ROOM` is the compiled table."""

    unregistered = State(initial=True)
    reconciling = State()
    bound = State()
    failed = State()

    invite_arrived = (
        unregistered.to(reconciling, on="accept")
        | reconciling.to.itself(internal=True, on="accept")
        | bound.to.itself(internal=True, on="accept")
        | failed.to(reconciling, on="accept")
    )
    joined = (
        reconciling.to.itself(internal=True, on="reconcile")
        | bound.to.itself(internal=True, on="welcome_again")
        | failed.to(reconciling, on="reconcile")
        | unregistered.to(reconciling, on="reconcile")
    )
    join_refused = (
        reconciling.to(unregistered, on="stop_repair")
        | unregistered.to.itself(internal=True)
        | bound.to.itself(internal=True)
        | failed.to.itself(internal=True)
    )
    room_made = (
        unregistered.to(reconciling, on="store_new_binding")
        | reconciling.to.itself(internal=True, on="store_new_binding")
        | failed.to(reconciling, on="store_new_binding")
    )
    room_completed = reconciling.to(bound, on="bind_new")
    user_wrote = (
        unregistered.to(reconciling, on="repair_at_once")
        | reconciling.to.itself(internal=True, on="reset_interval")
        | bound.to.itself(internal=True)
        | failed.to(reconciling, cond="cooled_down", on="repair_at_once")
        | failed.to.itself(internal=True, on="reset_interval")
    )
    repair_due = (
        unregistered.to(reconciling, on="repair")
        | reconciling.to.itself(internal=True, on="repair")
        | failed.to(reconciling, on="repair")
    )
    difference_found = unregistered.to(reconciling) | bound.to(reconciling) | failed.to(reconciling)
    topology_confirmed = reconciling.to(bound, on="bind") | bound.to.itself(
        internal=True, on="store_others"
    )
    topology_refused = reconciling.to(failed, on="report_failure") | bound.to.itself(
        internal=True, on="assume_others"
    )
    bot_removed = (
        unregistered.to.itself(internal=True)
        | bound.to(unregistered, on="leave")
        | reconciling.to(unregistered, on="leave")
        | failed.to(unregistered, on="leave")
    )

    @staticmethod
    def cooled_down(data: Room, trigger: UserWrote, context: StepContext) -> bool:
        """The last repair began or ended at least 60 s ago (contract C8)."""
        return context.now - data.last_repair_at >= MIN_REPAIR_INTERVAL_S

    @staticmethod
    def accept(data: Room, trigger: InviteArrived, context: StepContext) -> _Result:
        """Join; the user who invited the bot is welcomed when the room is bound."""
        data = replace(
            data, onboarding_user=trigger.sender, encrypted=data.encrypted or trigger.encrypted
        )
        txn_id = new_txn_id(data.room_id, JOIN_STEP, context)
        return data, (Enqueue(JoinRoom(data.room_id), txn_id, reports=True),)

    @staticmethod
    def reconcile(data: Room, trigger: Joined, context: StepContext) -> _Result:
        """Repair the room that the bot joined; users may not know of an earlier failure."""
        encrypted = data.encrypted or trigger.encrypted
        return replace(data, encrypted=encrypted, repair_pending=True, failure_reported=False), (
            Reconcile(),
        )

    @staticmethod
    def welcome_again(data: Room, trigger: Joined, context: StepContext) -> _Result:
        """Welcome after a second invitation to a room that is bound already (contract O2)."""
        welcome = (_welcome(data, data.onboarding_user),) if data.onboarding_user else ()
        return replace(data, onboarding_user=None), welcome

    @staticmethod
    def store_new_binding(data: Room, trigger: RoomMade, context: StepContext) -> _Result:
        """Store the binding before the room is complete, so that an interruption does not lose it."""
        return replace(data, binding=trigger.binding, name=trigger.name), ()

    @staticmethod
    def bind_new(data: Room, trigger: RoomCompleted, context: StepContext) -> _Result:
        """Bind, and store the binding on the homeserver."""
        data = _bound(data, trigger.binding, trigger.name)
        return data, (_store_binding(data.room_id, trigger.binding, context),)

    @staticmethod
    def repair_at_once(data: Room, trigger: UserWrote, context: StepContext) -> _Result:
        """Start one targeted repair; the message waits in the inbox (contract C7)."""
        return _repair(_with_interval_reset(data), context)

    @staticmethod
    def reset_interval(data: Room, trigger: UserWrote, context: StepContext) -> _Result:
        """Let the message wait: a failure is reported again, and the next repair starts sooner (contract C8)."""
        return _with_interval_reset(data), ()

    @staticmethod
    def repair(data: Room, trigger: RepairDue, context: StepContext) -> _Result:
        """Start one targeted repair because work waits (contract C11)."""
        return _repair(data, context)

    @staticmethod
    def stop_repair(data: Room, trigger: JoinRefused, context: StepContext) -> _Result:
        """End the repair: the bot is not in the room."""
        return replace(data, repair_pending=False), ()

    @staticmethod
    def bind(data: Room, trigger: TopologyConfirmed, context: StepContext) -> _Result:
        """Bind; store the binding on the homeserver if it is missing, and welcome the user who invited the bot."""
        binding, welcomed = trigger.binding, data.onboarding_user
        data = replace(data, encrypted=data.encrypted or trigger.encrypted)
        effects: list[Effect] = []
        if binding.platform_chat_id is not None:
            effects.append(ReservePlatformChatId(binding.platform_chat_id))
        if trigger.backfill:
            effects.append(_store_binding(data.room_id, binding, context))
        if welcomed and binding.room_type == "entry":
            effects.append(_welcome(data, welcomed))
        known = trigger.owner_membership
        if known is None and data.binding is None:
            known = "join"  # what was recorded without a binding is that of any member
        if known is not None and (known, data.owner_membership) != ("leave", "declined"):
            data = replace(data, owner_membership=known)
        data = _bound(data, binding, trigger.name or data.name)
        return replace(data, others=trigger.others), tuple(effects)

    @staticmethod
    def store_others(data: Room, trigger: TopologyConfirmed, context: StepContext) -> _Result:
        """Store how many others are in an entry room (contract O5)."""
        return _with_others(data, trigger.others), ()

    @staticmethod
    def assume_others(data: Room, trigger: TopologyRefused, context: StepContext) -> _Result:
        """Assume other readers: the members of an entry room cannot be read (contract O5)."""
        return _with_others(data, None), ()

    @staticmethod
    def report_failure(data: Room, trigger: TopologyRefused, context: StepContext) -> _Result:
        """Log a warning with the report and notify the users, unless they know of the failure."""
        last_repair_at = 0.0 if trigger.at_start else context.now
        data = replace(
            data,
            last_repair_at=last_repair_at,
            failed_repairs=data.failed_repairs + 1,
            repair_pending=False,
        )
        if trigger.at_start or data.failure_reported:
            return data, ()
        owner = data.binding.matrix_user_id if data.binding is not None else trigger.wanted_by
        fields = {"room_id": data.room_id, "matrix_user_id": owner, "report": trigger.report}
        text = context.catalog_for(owner).room_recovery_failed()
        notice = notice_to(data.room_id, text, "recovery", context)
        return replace(data, failure_reported=True), (
            Log("room_recovery_failed", fields, warning=True),
            notice,
        )

    @staticmethod
    def leave(data: Room, trigger: BotRemoved, context: StepContext) -> _Result:
        """Keep the binding: a return of the bot is a new repair, not a new chat (contract R5).

        `onboarding_user` stays too: the removal may be older than the invitation that is being accepted.
        """
        return replace(data, repair_pending=False, others=None), ()


def new_txn_id(room_id: RoomId, step: str, context: StepContext) -> TxnId:
    """Return the transaction id of an order that does not answer a message: room, step and time."""
    return TxnId(f"{room_id}.{step}.{int(context.now * 1000)}")


JOIN_STEP = "join"
"""The step of a `JoinRoom` in its transaction id."""


def is_join(room_id: RoomId, txn_id: TxnId) -> bool:
    """Whether this is the transaction id of a `JoinRoom` that the room's machine ordered."""
    return txn_id.startswith(f"{room_id}.{JOIN_STEP}.")


def notice_to(room_id: RoomId, text: str, step: str, context: StepContext) -> Enqueue:
    """Return a notice that is no answer to a message."""
    return Enqueue(SendMessage(room_id, text, notice=True), new_txn_id(room_id, step, context))


def _bound(room: Room, binding: Binding, name: str) -> Room:
    return replace(
        room,
        binding=binding,
        name=name,
        onboarding_user=None,
        failed_repairs=0,
        repair_pending=False,
        failure_reported=False,
        others=None,
    )


def _with_others(room: Room, others: int | None) -> Room:
    if not room.members_unknown:
        return room
    return replace(room, others=others if others is not None else ASSUMED_OTHERS)


def _store_binding(room_id: RoomId, binding: Binding, context: StepContext) -> Enqueue:
    txn_id = new_txn_id(room_id, "binding", context)
    return Enqueue(StoreBinding(room_id, binding.content()), txn_id)


def _welcome(room: Room, user_id: UserId) -> Tell:
    reply_to = ReplyTarget(room.room_id, encrypted=room.encrypted)
    return Tell(ActorKey(user_id), OnboardingRequested(reply_to))


def _with_interval_reset(room: Room) -> Room:
    return replace(room, failure_reported=False, failed_repairs=0)


def _repair(room: Room, context: StepContext) -> _Result:
    room = replace(room, last_repair_at=context.now, reminder_sent=False, repair_pending=True)
    return room, (Reconcile(),)


_NO_REPAIR = "no repair of this room is running"
_NOT_CREATED = "the bot is not creating this room"

ROOM: Table[Room] = Table(
    RoomMachine,
    refuses={
        "room_made": {"bound": "the room is bound already; a binding is never replaced silently"},
        "room_completed": {
            "unregistered": _NOT_CREATED,
            "bound": _NOT_CREATED,
            "failed": _NOT_CREATED,
        },
        "repair_due": {"bound": "a bound room needs no repair"},
        "difference_found": {"reconciling": "a repair is running already"},
        "topology_confirmed": {"unregistered": _NO_REPAIR, "failed": _NO_REPAIR},
        "topology_refused": {"unregistered": _NO_REPAIR, "failed": _NO_REPAIR},
    },
)
