"""The actor of a room: combines the room's machine, the current turn and the waiting messages.

Messages are processed in the order of the room, one at a time: the inbox row of a message is acknowledged when its turn
begins. A command that only shows or stops something runs at once; a command that changes how later messages are
answered waits in the same order. A step depends on its arguments only (`StepContext` has the time). Every inbox row
gets exactly one `Ack` or `DeadLetter`, in the step that receives it or in a later one.

`membership` handles the room itself, `repair` its repairs, `way_back` the return of its owner, `messages` messages and
commands, `turn.driver` the turn.
"""

from typing import assert_never

from msgspec.structs import replace

from machines.context import StepContext
from machines.errors import IllegalEvent
from machines.events.effects import Ack, DeadLetter, Effect, Log
from machines.events.internal import (
    AnswerReady,
    AttemptEvent,
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
    WayBackRequested,
)
from machines.events.matrix import (
    EncryptedArrived,
    FileArrived,
    LastMessageShown,
    MalformedArrived,
    MessageArrived,
    MessageDeleted,
    MessageEdited,
    QuestionShown,
    UnsupportedArrived,
)
from machines.events.orders import Done, Joined, NameFound, Refused, RoomCreated
from machines.ids import ActorKey, actor_field
from machines.room import membership, messages, repair
from machines.room.clock_jumps import clamp_times
from machines.room.machine import JoinRefused, is_join
from machines.room.membership import MembershipEvent
from machines.room.newest import after_row
from machines.room.step_draft import Message, RoomActor, StepDraft
from machines.room.way_back import give_way_back
from machines.turn import driver as turn_driver

_TimelineEvent = (
    MessageArrived
    | FileArrived
    | UnsupportedArrived
    | MalformedArrived
    | MessageEdited
    | MessageDeleted
    | EncryptedArrived
    | QuestionShown
    | LastMessageShown
)

__all__ = ["RoomActor", "effects_of_refusal", "handle"]


def handle(
    room_actor: RoomActor,
    event: RoomEvent,
    context: StepContext,
    seq: int = 0,
    received_at: float | None = None,
) -> tuple[RoomActor, tuple[Effect, ...]]:
    """Handle one event; `seq` is its inbox row, 0 for a signal, and `received_at` the time of that row.

    Raises:
        IllegalEvent: the room's machine refuses the event; nothing was changed.
    """
    draft = StepDraft(clamp_times(room_actor, context), context)
    if isinstance(event, RoomSignal):
        _handle_signal(draft, event)
    else:
        _handle_inbox_event(draft, event, seq, received_at)
        if not isinstance(event, Message | EncryptedArrived):
            draft.effects.append(Ack(seq))
    if draft.room.state == "bound" and room_actor.room.state != "bound":
        turn_driver.resume(draft)
        messages.replay_waiting(draft)
    messages.process_waiting(draft)
    repair.repair_when_due(draft)
    return draft.result()


def _handle_signal(draft: StepDraft, signal: RoomSignal) -> None:
    if isinstance(signal, AttemptEvent):
        turn_driver.handle_attempt_event(draft, signal)
        return
    match signal:
        case TimePassed():
            if draft.room.state == "bound":
                turn_driver.step_turn(draft, signal)
        case Resumed():
            repair.resume_repair(draft)
            turn_driver.resume(draft)
        case TopologyConfirmed() | TopologyRefused():
            repair.finish_repair(draft, signal)
        case MessageDeferred():
            messages.receive_deferred(draft, signal)
        case _:
            assert_never(signal)


def _handle_inbox_event(
    draft: StepDraft, event: RoomInboxEvent, seq: int, received_at: float | None
) -> None:
    if isinstance(event, MembershipEvent):
        membership.handle_membership(draft, event, seq)
        return
    _record_newest(draft, event, seq)
    if isinstance(event, _TimelineEvent):
        _handle_timeline_event(draft, event, seq, received_at)
        return
    match event:
        case MessageDropped():
            messages.receive_dropped(draft, event, seq)
        case QueueOverflowed():
            messages.report_overflow(draft, event)
        case AnswerReady():
            messages.send_user_answer(draft, event)
        case WayBackRequested():
            give_way_back(draft, event)
        case RoomMade():
            membership.step_room(draft, event, "created by the bot")
        case RoomCompleted():
            membership.step_room(draft, event, "linked into its Space")
        case OrderDone():
            _handle_outcome(draft, event)
        case _:
            assert_never(event)


def _handle_timeline_event(
    draft: StepDraft, event: _TimelineEvent, seq: int, received_at: float | None
) -> None:
    match event:
        case MessageArrived() | FileArrived() | UnsupportedArrived() | MalformedArrived():
            now = draft.context.now
            messages.receive(
                draft, event, seq, now if received_at is None else min(received_at, now)
            )
        case MessageEdited() | MessageDeleted():
            messages.receive_change(draft, event)
        case EncryptedArrived():
            draft.effects.append(DeadLetter(seq, "encrypted, and there is no key to decrypt it"))
        case QuestionShown(question=question):
            chat_context = draft.room.chat_context.after_question_shown(question, seq)
            draft.room = replace(draft.room, chat_context=chat_context)
        case LastMessageShown():
            pass  # recorded as the newest message already
        case _:
            assert_never(event)


def _record_newest(draft: StepDraft, event: RoomInboxEvent, seq: int) -> None:
    """Record the newest message of the room (contract D18)."""
    if isinstance(event, Message | EncryptedArrived):
        # A message of the bot that is on its way will be after this one.
        event_id = None if draft.context.message_pending else event.event_id
        draft.newest = after_row(draft.newest, seq, event_id)
    elif isinstance(event, LastMessageShown):
        draft.newest = after_row(draft.newest, seq, None, event.answers)


def _handle_outcome(draft: StepDraft, done: OrderDone) -> None:
    """Handle the outcome of an order: a join, or the refusal of a join or of a reply."""
    match done.outcome:
        case Joined():
            membership.step_room(draft, done.outcome, "joined")
        case Refused(reason=reason) if is_join(draft.room.room_id, done.txn_id):
            membership.step_room(draft, JoinRefused(), reason)
        case Refused(kind=kind, errcode=errcode) if (
            done.answers is not None and kind != "encrypted"
        ):
            messages.replace_refused_reply(draft, done.txn_id, done.answers, errcode)
        case Refused() | Done() | NameFound() | RoomCreated():
            pass  # no state depends on it; the outbox stores a refusal
        case _:
            assert_never(done.outcome)


def effects_of_refusal(key: ActorKey, error: IllegalEvent, seq: int) -> tuple[Effect, ...]:
    """Return the effects of an event that the machine refuses: a log line, and the `Ack` of its inbox row."""
    log = Log("event_refused", {**actor_field(key), "reason": str(error)})
    return (log, Ack(seq)) if seq else (log,)
