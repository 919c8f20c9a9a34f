"""What a room's actor decides: it joins the room's machine, the turn in hand and the messages that wait.

A message keeps its place: it is taken out of the inbox only when its turn begins, in the order of the room, one at a
time. A command that only shows or stops something is applied at once; one that changes what later messages mean waits
its turn like a message. A decision depends on its arguments only (`StepContext` has the time), and every inbox row ends
in exactly one `Ack` or `DeadLetter`, at once or when its turn has come.

`membership` handles the room itself, `repair` its repairs, `messages` messages and commands, `turn.driver` the turn.
"""

from typing import assert_never

from machines.context import StepContext
from machines.errors import IllegalEvent
from machines.events.effects import (
    Ack,
    DeadLetter,
    Effect,
    Log,
)
from machines.events.internal import (
    AgentDone,
    AgentOutput,
    AnswerReady,
    AnswerTooLong,
    AttemptFailed,
    CallDelayed,
    CallStarted,
    MessageDeferred,
    MessageDropped,
    OrderDone,
    QueueOverflowed,
    Resumed,
    RoomCompleted,
    RoomEvent,
    RoomInboxEvent,
    RoomMade,
    RoomSignal,
    TimePassed,
    TopologyConfirmed,
    TopologyRefused,
)
from machines.events.matrix import (
    BotRemoved,
    BotReturned,
    EncryptedArrived,
    EncryptionEnabled,
    FileArrived,
    InviteArrived,
    MalformedArrived,
    MemberChanged,
    MembersCounted,
    MessageArrived,
    QuestionShown,
)
from machines.events.orders import (
    Done,
    Joined,
    NameFound,
    Refused,
    RoomCreated,
)
from machines.room import membership, messages, repair
from machines.room.answers import note_shown
from machines.room.clock_jumps import within_waits
from machines.room.machine import JoinRefused, is_join
from machines.room.step_draft import Message, RoomActor, StepDraft
from machines.turn import driver as turn_driver

__all__ = ["RoomActor", "handle", "refused"]


def handle(
    room_actor: RoomActor,
    event: RoomEvent,
    context: StepContext,
    seq: int = 0,
    received_at: float | None = None,
) -> tuple[RoomActor, tuple[Effect, ...]]:
    """Take one event; `seq` is its inbox row, 0 for a signal, and `received_at` when the row was made.

    Raises:
        IllegalEvent: the room's machine refuses the event; nothing was changed.
    """
    draft = StepDraft(within_waits(room_actor, context), context)
    if isinstance(event, RoomSignal):
        _take_signal(draft, event)
    else:
        _take_row(draft, event, seq, received_at)
        if not isinstance(event, Message | EncryptedArrived):
            draft.effects.append(Ack(seq))
    if draft.room.state == "bound" and room_actor.room.state != "bound":
        turn_driver.resume(draft)
        messages.catch_up(draft)
    messages.advance(draft)
    repair.repair_when_due(draft)
    return draft.result()


def _take_signal(draft: StepDraft, signal: RoomSignal) -> None:
    match signal:
        case (
            CallDelayed()
            | CallStarted()
            | AgentOutput()
            | AgentDone()
            | AnswerTooLong()
            | AttemptFailed()
        ):
            turn_driver.handle_attempt_event(draft, signal)
        case TimePassed():
            if draft.room.state == "bound":
                turn_driver.step_turn(draft, signal)
        case Resumed():
            repair.resume(draft)
            turn_driver.resume(draft)
        case TopologyConfirmed() | TopologyRefused():
            repair.conclude(draft, signal)
        case MessageDeferred():
            messages.note_behind(draft, signal)
        case _:
            assert_never(signal)


def _take_row(draft: StepDraft, event: RoomInboxEvent, seq: int, received_at: float | None) -> None:
    match event:
        case MessageArrived() | FileArrived() | MalformedArrived():
            now = draft.context.now
            messages.receive(
                draft, event, seq, now if received_at is None else min(received_at, now)
            )
        case EncryptedArrived():
            draft.effects.append(DeadLetter(seq, "encrypted, and no key to read it"))
        case MessageDropped():
            messages.note_dropped(draft, event, seq)
        case QueueOverflowed():
            messages.tell_of_overflow(draft, event)
        case AnswerReady():
            messages.pass_on(draft, event)
        case QuestionShown(question=question):
            note_shown(draft, question, seq)
        case RoomMade():
            membership.step_room(draft, event, "made by the bot")
        case RoomCompleted():
            membership.step_room(draft, event, "linked into its Space")
        case OrderDone():
            _take_outcome(draft, event)
        case (
            InviteArrived()
            | BotReturned()
            | BotRemoved()
            | MemberChanged()
            | MembersCounted()
            | EncryptionEnabled()
        ):
            membership.note_membership(draft, event)
        case _:
            assert_never(event)


def _take_outcome(draft: StepDraft, done: OrderDone) -> None:
    """Take the outcome of an order: a join, or the refusal of a join or of a reply."""
    match done.outcome:
        case Joined():
            membership.step_room(draft, done.outcome, "joined")
        case Refused(reason=reason) if is_join(draft.room.room_id, done.txn_id):
            membership.step_room(draft, JoinRefused(), reason)
        case Refused(kind=kind) if done.answers is not None and kind != "encrypted":
            messages.replace_refused_reply(draft, done.txn_id, done.answers)
        case Refused() | Done() | NameFound() | RoomCreated():
            pass  # nothing depends on it; a refusal is in the outbox
        case _:
            assert_never(done.outcome)


def refused(error: IllegalEvent, seq: int) -> tuple[Effect, ...]:
    """Return the effects of an event that the machine refuses: a log line, and a finished inbox row."""
    log = Log("event_refused", {"reason": str(error)})
    return (log, Ack(seq)) if seq else (log,)
