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
from machines.room.step_draft import Message, StepDraft, WaitingMessage
from machines.turn.driver import (
    begin,
    begin_message,
    drop_turn,
    step_turn,
)


def receive(draft: StepDraft, message: Message, seq: int, received_at: float) -> None:
    """Ignore a message that does not count here; run a command, or let the message wait (contracts D5, E3)."""
    if not _counts(draft, message.sender):
        draft.effects.append(Ack(seq))
        return
    command = _command(draft, message)
    free = draft.room.state == "bound" and not draft.room.members_unknown
    if free and command is not None and not command.waits:
        _run(draft, command, message, seq)
        return
    draft.waiting = (*draft.waiting, WaitingMessage(seq, message, received_at))
    if draft.room.state != "bound":
        _note_message(draft, command, seq, received_at)


def note_behind(draft: StepDraft, behind: MessageDeferred) -> None:
    """Note a message that is not taken yet: it may start a repair (contract C8)."""
    message = behind.message
    if draft.room.state != "bound" and _counts(draft, message.sender):
        since = min(behind.received_at, draft.context.now)
        _note_message(draft, _command(draft, message), behind.seq, since)


def note_dropped(draft: StepDraft, dropped: MessageDropped, seq: int) -> None:
    """Note a message that is not kept: it may start a repair (contract C8)."""
    if draft.room.state != "bound" and _counts(draft, dropped.sender):
        _note_message(draft, None, seq, draft.context.now)


def _note_message(
    draft: StepDraft, command: commands.Command | None, seq: int, since: float
) -> None:
    """Let a message start the repair of a room that is not bound (contracts C7, C8).

    A message that an earlier process has noted, or that is old enough to be given up, does not count again.
    """
    if seq <= draft.room.last_message_seq or is_over(draft, since):
        return
    draft.room = replace(draft.room, last_message_seq=seq)
    step_room(draft, UserWrote(), "a message came")
    if draft.room.state == "failed" and command is not None and not draft.room.reminder_sent:
        # A command is answered at once; the next repair may be a minute away (C8, C10).
        draft.room = replace(draft.room, reminder_sent=True, failure_reported=True)
        draft.send_notice(draft.context.catalog.room_recovery_failed(), "reminder")


def catch_up(draft: StepDraft) -> None:
    """Take the messages that waited for the room to be bound as if they came now: `!stop` ends the answer before it."""
    if draft.room.members_unknown:
        return
    waiting, draft.waiting = draft.waiting, ()
    for each in waiting:
        command = _command(draft, each.message)
        if command is None or command.waits or not _counts(draft, each.message.sender):
            draft.waiting = (*draft.waiting, each)
            advance(draft)
        else:
            _run(draft, command, each.message, each.seq)


def advance(draft: StepDraft) -> None:
    """Take the waiting messages while the room is bound and has no turn in hand.

    In an entry room nothing is answered before its members are known; a repair reads them where they are not.
    """
    if (
        draft.room.state == "bound"
        and draft.room.members_unknown
        and draft.waiting
        and not draft.counting_members
    ):
        draft.counting_members = True
        draft.effects.append(Reconcile())
    while (
        draft.room.state == "bound"
        and not draft.room.members_unknown
        and draft.turn is None
        and draft.waiting
        and draft.context.now >= draft.quiet_until
    ):
        first, *rest = draft.waiting
        seq, message = first.seq, first.message
        draft.waiting = tuple(rest)
        command = _command(draft, message)
        if not _counts(draft, message.sender):
            draft.effects.append(Ack(seq))
        elif command is not None:
            _run(draft, command, message, seq)
        elif draft.room.has_other_readers and not _is_addressed(message):
            draft.effects.append(Ack(seq))  # people talk to each other there
        else:
            draft.effects.append(Ack(seq))
            begin_message(draft, message)


def pass_on(draft: StepDraft, ready: AnswerReady) -> None:
    """Send the answer of a user's actor, or in company the text that shows nothing of any user (contract O5)."""
    reply_to, room = ready.reply_to, draft.room
    # The user who invited the bot may have left: then the one other member is somebody else.
    inviter_gone = reply_to.event_id is None and not room.owner_present
    text = ready.shared_text if room.has_other_readers or inviter_gone else ready.text
    if reply_to.event_id is not None:
        draft.effects.append(answer(reply_to, text))
    else:
        draft.send_notice(text, "pointer")  # an invitation is no message to answer


def tell_of_overflow(draft: StepDraft, overflow: QueueOverflowed) -> None:
    """Say that messages are not kept any more: once, for as long as too many wait (contract D14)."""
    if draft.room.state != "unregistered":
        draft.send_notice(draft.context.catalog.too_many_waiting(), f"overflow.{overflow.first}")


def replace_refused_reply(draft: StepDraft, txn_id: TxnId, answers: EventId) -> None:
    """Say once, in place of a reply that the homeserver refuses, that it cannot be shown (contract D9)."""
    if txn_id.endswith(_REPLACEMENT):
        return
    if draft.turn is not None and draft.turn.turn_id == answers:
        drop_turn(draft)
    text, reply_to = (
        draft.context.catalog.answer_refused_by_server(),
        ReplyTarget(draft.room.room_id, answers),
    )
    part, is_edit, _ = txn_id.rpartition(".e")
    if not is_edit:
        draft.effects.append(answer(reply_to, text, _REPLACEMENT.removeprefix(".")))
        return
    # The reply is in the room already, and its new text is refused: another edit ends it.
    message = SendMessage(draft.room.room_id, text, answers=answers, edits=TxnId(part))
    draft.effects.append(Enqueue(message, TxnId(f"{txn_id}{_REPLACEMENT}")))


_REPLACEMENT = ".refused"


def _is_addressed(message: Message) -> bool:
    """Whether a message is addressed to the bot; one that cannot be decoded counts as not addressed."""
    return not isinstance(message, MalformedArrived) and message.addressed


def _counts(draft: StepDraft, sender: UserId) -> bool:
    """In a chat the owner counts, in an entry room every user who may talk to the bot, in a Space nobody."""
    if not draft.context.access.allows(sender):
        return False
    binding = draft.room.binding
    if binding is None or binding.room_type == "entry":
        return True
    return binding.room_type == "chat" and sender == binding.matrix_user_id


def _command(draft: StepDraft, message: Message) -> commands.Command | None:
    if not isinstance(message, MessageArrived):
        return None
    if draft.room.chat_context.picking and (pick := commands.parse_pick(message.body)) is not None:
        return pick
    return commands.parse(message.body)


def _run(draft: StepDraft, command: commands.Command, message: Message, seq: int) -> None:
    """Apply a command, and end the turn in hand if the command stops it."""
    begun = message.begun if isinstance(message, MessageArrived) else ()
    ctx = CommandContext(
        draft.room,
        draft.turn,
        message.sender,
        message.event_id,
        message.thread_root,
        draft.context,
        seq,
        begun,
    )
    draft.effects.append(Ack(seq))
    if command.chats_only and not ctx.is_chat:
        draft.effects.append(ctx.answer(draft.context.catalog.only_in_chat(command.name)))
        return
    if command.is_private and draft.room.has_other_readers:
        draft.effects.append(ctx.answer(draft.context.catalog.not_in_shared_room(command.name)))
        return
    applied = command.apply(ctx)
    draft.room = applied.room
    if applied.stops_turn:
        step_turn(draft, UserStopped())
    draft.apply_effects(applied.effects)
    if applied.prompt is not None:
        begin(draft, ctx.reply_to, applied.prompt)
