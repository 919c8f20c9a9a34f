"""What a room's actor decides: it joins the room's machine, the turn in hand and the messages that wait.

A message keeps its place: it is taken out of the inbox only when its turn begins, in the order of the room,
one at a time. A command that only shows or stops something acts the moment it comes; one that changes what later
messages mean waits its turn like a message. Everything is decided from the arguments (`World` has the time), and
every fact ends in exactly one `Consume` or `SetAside`, at once or when its turn has come.

`doorway` deals with the room, `mailbox` with messages and commands, `dialogue` with the agent's side.
"""

from machines import dialogue, doorway, mailbox
from machines.case import Case, Conversation
from machines.clock_jumps import within_waits
from machines.effects import Consume, Effect, Log, SetAside
from machines.errors import IllegalEvent
from machines.facts import (
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
from machines.happenings import (
    AgentDone,
    AgentOutput,
    AnswerReady,
    AnswerTooLong,
    AttemptFailed,
    CallDelayed,
    CallStarted,
    MessageBehind,
    MessageDropped,
    Observed,
    OrderDone,
    QueueOverflowed,
    Resumed,
    TimePassed,
)
from machines.remembering import note_shown
from machines.room import BotJoined, RoomMade, TopologyConfirmed
from machines.world import World

__all__ = ["Conversation", "refused", "take"]


def take(
    conversation: Conversation,
    event: object,
    world: World,
    seq: int | None = None,
    received_at: float | None = None,
) -> tuple[Conversation, tuple[Effect, ...]]:
    """Take one event; `seq` is its inbox row where it has one, `received_at` when that was made.

    Raises:
        IllegalEvent: the room's machine refuses the event; nothing was changed.
    """
    case = Case(within_waits(conversation, world), world)
    match event:
        case MessageArrived() | FileArrived() | MalformedArrived() if seq is not None:
            received_at = world.now if received_at is None else min(received_at, world.now)
            mailbox.receive(case, event, seq, received_at)
        case QuestionShown(question=question) if seq is not None:
            note_shown(case, question, seq)
            case.effects.append(Consume(seq))
        case MessageBehind():
            mailbox.hear_behind(case, event)
        case MessageDropped() if seq is not None:
            mailbox.hear_dropped(case, event, seq)
            case.effects.append(Consume(seq))
        case EncryptedArrived() if seq is not None:
            case.effects.append(SetAside(seq, "encrypted, and no key to read it"))
        case _:
            _dispatch(case, event)
            if seq is not None:
                case.effects.append(Consume(seq))
    if case.room.state == "bound" and conversation.room.state != "bound":
        dialogue.resume(case)
        mailbox.catch_up(case)
    mailbox.advance(case)
    doorway.repair_when_due(case)
    return case.result()


def _dispatch(case: Case, event: object) -> None:
    match event:
        case (
            CallDelayed()
            | CallStarted()
            | AgentOutput()
            | AgentDone()
            | AnswerTooLong()
            | AttemptFailed()
        ):
            dialogue.listen(case, event)
        case TimePassed():
            dialogue.look_at_the_clock(case)
        case Resumed():
            doorway.resume(case)
            dialogue.resume(case)
        case Observed() if case.room.state == "bound":
            doorway.count_others(case, event)
        case Observed():
            doorway.conclude(case, event)
        case InviteArrived():
            doorway.answer_invitation(case, event)
        case BotReturned():
            doorway.step_room(case, BotJoined(encrypted=False), "came back")
        case AnswerReady():
            mailbox.pass_on(case, event)
        case OrderDone():
            doorway.note_outcome(case, event)
        case QueueOverflowed():
            doorway.tell_of_overflow(case, event)
        case (
            RoomMade()
            | TopologyConfirmed()
            | BotRemoved()
            | MemberChanged()
            | MembersCounted()
            | EncryptionEnabled()
        ):
            doorway.note(case, event)
        case _:
            raise TypeError(f"a room's actor has no use for {type(event).__name__}")


def refused(error: IllegalEvent, seq: int | None) -> tuple[Effect, ...]:
    """Return what is left of an event that the machine refuses: a line, and a finished inbox row."""
    log = Log("event_refused", {"reason": str(error)})
    return (log, Consume(seq)) if seq is not None else (log,)
