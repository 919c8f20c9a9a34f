"""The messages of a room: ignores them, queues them, runs commands, and begins the next turn.

A waiting message may be edited or deleted until its turn begins (contract D17). The store changes its inbox row when
the change arrives; here the copy in memory follows.
"""

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
from machines.events.matrix import (
    MalformedArrived,
    MessageArrived,
    MessageDeleted,
    MessageEdited,
)
from machines.events.orders import SendMessage
from machines.ids import EventId, TxnId, UserId
from machines.room import refusal
from machines.room.machine import UserWrote
from machines.room.membership import record_presence, step_room
from machines.room.repair import is_expired
from machines.room.revision import revise
from machines.room.step_draft import Message, StepDraft, WaitingMessage
from machines.turn.driver import begin, begin_message, begun_parts, drop_turn, step_turn

_REPLACEMENT = ".refused"
"""The end of the transaction id of a message that replaces a refused reply."""


def receive(draft: StepDraft, message: Message, seq: int, received_at: float) -> None:
    """Ignore a message that is not accepted here, run a command, or queue the message (contracts D5, E3)."""
    if not _accepts(draft, message.sender):
        refusal.tell_once(draft, message.sender)
        draft.effects.append(Ack(seq))
        return
    refusal.forget(draft, message.sender)
    record_presence(draft, message.sender, seq)
    command = _parse_command(draft, message)
    if draft.room.is_ready and command is not None and not command.waits:
        _run_command(draft, command, message, seq)
        return
    draft.waiting = (*draft.waiting, WaitingMessage(seq, message, received_at))
    if draft.room.state != "bound":
        _trigger_repair(draft, message.sender, command, seq, received_at)


def receive_change(draft: StepDraft, change: MessageEdited | MessageDeleted) -> None:
    """Edit or cancel a waiting message, or end the turn of a deleted one as `!stop` does (contract D17).

    Once its turn has begun, an edit changes nothing.
    """
    if isinstance(change, MessageEdited):
        draft.waiting = tuple(
            replace(each, message=revise(each.message, change)) for each in draft.waiting
        )
        return
    cancelled = [each for each in draft.waiting if each.message.event_id == change.target]
    draft.waiting = tuple(each for each in draft.waiting if each not in cancelled)
    draft.effects += [Ack(each.seq) for each in cancelled]
    if draft.turn is not None and draft.turn.turn_id == change.target:
        step_turn(draft, UserStopped())


def receive_deferred(draft: StepDraft, deferred: MessageDeferred) -> None:
    """Handle a message that is not read from the inbox yet: it may start a repair (contract C8)."""
    message = deferred.message
    if draft.room.state != "bound" and _accepts(draft, message.sender):
        since = min(deferred.received_at, draft.context.now)
        command = _parse_command(draft, message)
        _trigger_repair(draft, message.sender, command, deferred.seq, since)


def receive_dropped(draft: StepDraft, dropped: MessageDropped, seq: int) -> None:
    """Handle a message that is not stored: it may start a repair (contract C8)."""
    if draft.room.state != "bound" and _accepts(draft, dropped.sender):
        _trigger_repair(draft, dropped.sender, None, seq, draft.context.now)


def _trigger_repair(
    draft: StepDraft,
    sender: UserId,
    command: commands.Command | None,
    seq: int,
    since: float,
) -> None:
    """Start the repair of a room that is not bound, because a message arrived (contracts C7, C8).

    A message that an earlier process has received, or that has expired, has no effect.
    """
    if seq <= draft.room.last_message_seq or is_expired(draft, since):
        return
    draft.room = replace(draft.room, last_message_seq=seq)
    step_room(draft, UserWrote(), "a message arrived")
    if draft.room.state == "failed" and command is not None and not draft.room.reminder_sent:
        # A command is answered at once: the next repair may be a minute later (C8, C10).
        draft.room = replace(draft.room, reminder_sent=True, failure_reported=True)
        text = draft.context.catalog_for(sender).room_recovery_failed()
        draft.send_notice(text, "reminder")


def replay_waiting(draft: StepDraft) -> None:
    """Handle the messages that waited for the room to be bound as if they arrived now; `!stop` ends an earlier turn."""
    if not draft.room.is_ready:
        return
    waiting, draft.waiting = draft.waiting, ()
    for each in waiting:
        command = _parse_command(draft, each.message)
        if command is None or command.waits or not _accepts(draft, each.message.sender):
            draft.waiting = (*draft.waiting, each)
            process_waiting(draft)
        else:
            _run_command(draft, command, each.message, each.seq)


def process_waiting(draft: StepDraft) -> None:
    """Process the waiting messages while the room is bound and has no current turn.

    In an entry room nothing is answered until its members are known; a repair reads them.
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
        draft.room.is_ready
        and draft.turn is None
        and draft.waiting
        and draft.context.now >= draft.quiet_until
    ):
        first, *rest = draft.waiting
        seq, message = first.seq, first.message
        draft.waiting = tuple(rest)
        command, accepted = _parse_command(draft, message), _accepts(draft, message.sender)
        if accepted and command is not None:
            _run_command(draft, command, message, seq)
            continue
        draft.effects.append(Ack(seq))
        if accepted and _became_command(draft, message):
            text = draft.context.catalog_for(message.sender).command_as_new_message()
            reply_to = ReplyTarget(
                draft.room.room_id, message.event_id, message.thread_root, begun_parts(message)
            )
            draft.effects.append(answer(reply_to, text))
        # With other readers, a message that is not addressed to the bot is one between users.
        elif accepted and (not draft.room.has_other_readers or _is_addressed(message)):
            begin_message(draft, message)


def send_user_answer(draft: StepDraft, ready: AnswerReady) -> None:
    """Send the answer of a user's actor; with other readers, the text without anything private (contract O5)."""
    reply_to, room = ready.reply_to, draft.room
    # The user who invited the bot may have left: then the one other member is another user.
    inviter_gone = reply_to.event_id is None and not room.owner_present
    text = ready.shared_text if draft.others_read(ready.user_id) or inviter_gone else ready.text
    if reply_to.event_id is not None:
        draft.effects.append(answer(reply_to, text))
    else:
        draft.send_notice(text, "pointer")  # an invitation is no message that a reply can refer to


def report_overflow(draft: StepDraft, overflow: QueueOverflowed) -> None:
    """Send one notice that further messages are not stored while too many wait (contract D14)."""
    if draft.room.state != "unregistered":
        draft.send_notice(draft.catalog.too_many_waiting(), f"overflow.{overflow.first}")


def replace_refused_reply(draft: StepDraft, txn_id: TxnId, answers: EventId, errcode: str) -> None:
    """Replace a reply that the homeserver refuses by a sentence that it cannot be shown (contract D9)."""
    if txn_id.endswith(_REPLACEMENT):
        return
    if draft.turn is not None and draft.turn.turn_id == answers:
        reason = f"the homeserver refuses a part of the reply ({errcode})"
        drop_turn(draft, "refused", reason, "failed")
    text = draft.catalog.answer_refused_by_server()
    part, is_edit, _ = txn_id.rpartition(".e")
    if not is_edit:
        reply_to = ReplyTarget(draft.room.room_id, answers)
        draft.effects.append(answer(reply_to, text, _REPLACEMENT.removeprefix(".")))
        return
    # The reply is in the room, and an edit of it is refused: another edit ends it.
    message = SendMessage(draft.room.room_id, text, answers=answers, edits=TxnId(part))
    draft.effects.append(Enqueue(message, TxnId(f"{txn_id}{_REPLACEMENT}")))


def _is_addressed(message: Message) -> bool:
    """Whether a message is addressed to the bot; one that cannot be decoded counts as not addressed."""
    return not isinstance(message, MalformedArrived) and message.addressed


def _accepts(draft: StepDraft, sender: UserId) -> bool:
    """Whether messages of this user are handled here.

    A chat accepts its owner, an entry room every user who may talk to the bot, a Space nobody.
    """
    if not draft.context.access.allows(sender):
        return False
    binding = draft.room.binding
    if binding is None or binding.room_type == "entry":
        return True
    return binding.room_type == "chat" and sender == binding.matrix_user_id


def _parse_command(draft: StepDraft, message: Message) -> commands.Command | None:
    """Return the command in a message; an edited text is none (contract section 13)."""
    if not isinstance(message, MessageArrived) or message.edited_at_ms is not None:
        return None
    return _command_in(draft, message)


def _became_command(draft: StepDraft, message: Message) -> bool:
    """Whether an edit made the message look like a command."""
    if not isinstance(message, MessageArrived) or message.edited_at_ms is None:
        return False
    return _command_in(draft, message) is not None


def _command_in(draft: StepDraft, message: MessageArrived) -> commands.Command | None:
    if draft.room.chat_context.picking and (pick := commands.parse_pick(message.body)) is not None:
        return pick
    command = commands.parse(message.body)
    if command is None and draft.room.chat_context.question is not None:
        return commands.parse_disguised(message.body)
    return command


def _run_command(draft: StepDraft, command: commands.Command, message: Message, seq: int) -> None:
    """Run a command, and end the current turn if the command stops it."""
    ctx = CommandContext(
        draft.room,
        draft.turn,
        message.sender,
        message.event_id,
        message.thread_root,
        draft.context,
        seq,
        begun_parts(message),
        bool(draft.waiting),
    )
    draft.effects.append(Ack(seq))
    if command.chats_only and not ctx.is_chat:
        # `!chats`, which the other sentence names, does not work with other readers.
        shared = draft.room.has_other_readers
        refuse = ctx.catalog.not_in_shared_room if shared else ctx.catalog.only_in_chat
        draft.effects.append(ctx.answer(refuse(command.name)))
        return
    if command.chats_only and ctx.is_archived and not command.works_archived:
        draft.effects.append(ctx.answer(ctx.catalog.chat_is_archived(ctx.chat_number)))
        return
    if command.is_private and draft.others_read(message.sender):
        draft.effects.append(ctx.answer(ctx.catalog.not_in_shared_room(command.name)))
        return
    applied = command.apply(ctx)
    draft.room = applied.room
    if applied.stops_turn:
        step_turn(draft, UserStopped())
    draft.apply_effects(applied.effects)
    if applied.prompt is not None:
        begin(draft, ctx.reply_to, applied.prompt)
