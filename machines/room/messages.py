"""The messages of a room: which are ignored, which wait, which are commands, and when the next turn begins."""

from msgspec.structs import replace

from machines import commands
from machines.commands import CommandContext
from machines.commands.base import answer
from machines.events.effects import Ack, Enqueue, Reconcile
from machines.events.internal import (
    AnswerReady,
    MessageDeferred,
    MessageDropped,
    QueueOverflowed,
    ReplyTarget,
    UserStopped,
)
from machines.events.matrix import MalformedArrived, MessageArrived
from machines.events.orders import SendMessage
from machines.ids import EventId, TxnId, UserId
from machines.room.machine import UserWrote
from machines.room.membership import step_room
from machines.room.repair import is_over
from machines.room.step_draft import Case, Message, Waiting
from machines.turn.driver import (
    begin,
    begin_message,
    drop_turn,
    step_turn,
)


def receive(case: Case, message: Message, seq: int, received_at: float) -> None:
    """Ignore a message that does not count here; run a command, or let the message wait (contracts D5, E3)."""
    if not _counts(case, message.sender):
        case.effects.append(Ack(seq))
        return
    command = _command(case, message)
    free = case.room.state == "bound" and not case.room.uncounted
    if free and command is not None and not command.waits:
        _run(case, command, message, seq)
        return
    case.waiting = (*case.waiting, Waiting(seq, message, received_at))
    if case.room.state != "bound":
        _note_message(case, command, seq, received_at)


def note_behind(case: Case, behind: MessageDeferred) -> None:
    """Note a message that is not taken yet: it may start a repair (contract C8)."""
    message = behind.message
    if case.room.state != "bound" and _counts(case, message.sender):
        since = min(behind.received_at, case.world.now)
        _note_message(case, _command(case, message), behind.seq, since)


def note_dropped(case: Case, dropped: MessageDropped, seq: int) -> None:
    """Note a message that is not kept: it may start a repair (contract C8)."""
    if case.room.state != "bound" and _counts(case, dropped.sender):
        _note_message(case, None, seq, case.world.now)


def _note_message(case: Case, command: commands.Command | None, seq: int, since: float) -> None:
    """Let a message start the repair of a room that is not bound (contracts C7, C8).

    A message that an earlier process has noted, or that is old enough to be given up, does not count again.
    """
    if seq <= case.room.heard_seq or is_over(case, since):
        return
    case.room = replace(case.room, heard_seq=seq)
    step_room(case, UserWrote(), "a message came")
    if case.room.state == "failed" and command is not None and not case.room.reminded:
        # A command is answered at once; the next repair may be a minute away (C8, C10).
        case.room = replace(case.room, reminded=True, told=True)
        case.say(case.world.catalog.room_recovery_failed(), "reminder")


def catch_up(case: Case) -> None:
    """Take the messages that waited for the room to be bound as if they came now: `!stop` ends the answer before it."""
    if case.room.uncounted:
        return
    waiting, case.waiting = case.waiting, ()
    for each in waiting:
        command = _command(case, each.message)
        if command is None or command.waits or not _counts(case, each.message.sender):
            case.waiting = (*case.waiting, each)
            advance(case)
        else:
            _run(case, command, each.message, each.seq)


def advance(case: Case) -> None:
    """Take the waiting messages while the room is bound and has no turn in hand.

    In an entry room nothing is answered before its members are known; a repair reads them where they are not.
    """
    if case.room.state == "bound" and case.room.uncounted and case.waiting and not case.counting:
        case.counting = True
        case.effects.append(Reconcile())
    while (
        case.room.state == "bound"
        and not case.room.uncounted
        and case.turn is None
        and case.waiting
        and case.world.now >= case.quiet_until
    ):
        first, *rest = case.waiting
        seq, message = first.seq, first.message
        case.waiting = tuple(rest)
        command = _command(case, message)
        if not _counts(case, message.sender):
            case.effects.append(Ack(seq))
        elif command is not None:
            _run(case, command, message, seq)
        elif case.room.in_company and not _is_addressed(message):
            case.effects.append(Ack(seq))  # people talk to each other there
        else:
            case.effects.append(Ack(seq))
            begin_message(case, message)


def pass_on(case: Case, ready: AnswerReady) -> None:
    """Send the answer of a user's actor, or in company the text that shows nothing of any user (contract O5)."""
    asked, room = ready.asked, case.room
    # The user who invited the bot may have left: then the one other member is somebody else.
    inviter_gone = asked.event_id is None and not room.owner_present
    text = ready.in_company if room.in_company or inviter_gone else ready.text
    if asked.event_id is not None:
        case.effects.append(answer(asked, text))
    else:
        case.say(text, "pointer")  # an invitation is no message to answer


def tell_of_overflow(case: Case, overflow: QueueOverflowed) -> None:
    """Say that messages are not kept any more: once, for as long as too many wait (contract D14)."""
    if case.room.state != "unregistered":
        case.say(case.world.catalog.too_many_waiting(), f"overflow.{overflow.first}")


def replace_refused_reply(case: Case, txn_id: TxnId, answers: EventId) -> None:
    """Say once, in place of a reply that the homeserver refuses, that it cannot be shown (contract D9)."""
    if txn_id.endswith(_REPLACEMENT):
        return
    if case.turn is not None and case.turn.turn_id == answers:
        drop_turn(case)
    text, asked = (
        case.world.catalog.answer_refused_by_server(),
        ReplyTarget(case.room.room_id, answers),
    )
    part, is_edit, _ = txn_id.rpartition(".e")
    if not is_edit:
        case.effects.append(answer(asked, text, _REPLACEMENT.removeprefix(".")))
        return
    # The reply is in the room already, and its new text is refused: another edit ends it.
    message = SendMessage(case.room.room_id, text, answers=answers, edits=TxnId(part))
    case.effects.append(Enqueue(message, TxnId(f"{txn_id}{_REPLACEMENT}")))


_REPLACEMENT = ".refused"


def _is_addressed(message: Message) -> bool:
    """Whether a message is addressed to the bot; one that cannot be decoded counts as not addressed."""
    return not isinstance(message, MalformedArrived) and message.addressed


def _counts(case: Case, sender: UserId) -> bool:
    """In a chat the owner counts, in an entry room every user who may talk to the bot, in a Space nobody."""
    if not case.world.access.allows(sender):
        return False
    binding = case.room.binding
    if binding is None or binding.room_type == "entry":
        return True
    return binding.room_type == "chat" and sender == binding.matrix_user_id


def _command(case: Case, message: Message) -> commands.Command | None:
    if not isinstance(message, MessageArrived):
        return None
    if case.room.memory.picking and (pick := commands.parse_pick(message.body)) is not None:
        return pick
    return commands.parse(message.body)


def _run(case: Case, command: commands.Command, message: Message, seq: int) -> None:
    """Apply a command, and end the turn in hand if the command stops it."""
    begun = message.begun if isinstance(message, MessageArrived) else ()
    ctx = CommandContext(
        case.room,
        case.turn,
        message.sender,
        message.event_id,
        message.thread_root,
        case.world,
        seq,
        begun,
    )
    case.effects.append(Ack(seq))
    if command.chats_only and not ctx.is_chat:
        case.effects.append(ctx.answer(case.world.catalog.only_in_chat(command.name)))
        return
    if command.shows_choices and case.room.in_company:
        case.effects.append(ctx.answer(case.world.catalog.not_in_company(command.name)))
        return
    applied = command.apply(ctx)
    case.room = applied.room
    if applied.stops_turn:
        step_turn(case, UserStopped())
    case.do(applied.effects)
    if applied.asks is not None:
        begin(case, ctx.asked, applied.asks)
