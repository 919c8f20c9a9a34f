"""A room as such: invited to, joined, looked at, lost. It runs the room's machine and turns its wishes into orders."""

from typing import assert_never

from msgspec.structs import replace

from machines.case import Case
from machines.commands.base import answer
from machines.dialogue import step_turn
from machines.effects import (
    HangUp,
    Log,
    Reconcile,
    Record,
    Send,
    SetAside,
    Tell,
    TookPlatformChatId,
)
from machines.facts import (
    BotRemoved,
    EncryptionEnabled,
    InviteArrived,
    MemberChanged,
    MembersCounted,
)
from machines.happenings import Asked, Observed, OnboardingAsked, OrderDone, QueueOverflowed
from machines.ids import ActorKey, EventId, TxnId
from machines.orders import Joined, JoinRoom, Refused, RejectInvite, SendMessage, StoreBinding
from machines.room import (
    ANSWERED_WITHIN_S,
    ROOM,
    AcceptInvite,
    BotJoined,
    EndConversation,
    Invited,
    JoinRefused,
    KeepBinding,
    LookAtTopology,
    RemovedFromRoom,
    RepairDue,
    ReportFailure,
    RoomMade,
    TopologyConfirmed,
    TopologyRefused,
    Welcome,
)
from machines.turn_events import RoomLost

_NOT_BACK = "the bot was not back in the room within 24 hours"
_NOT_RESTORED = "the room could not be restored within 24 hours"


def step_room(case: Case, fact: object, reason: str) -> None:
    """Run the room's machine, keep the transition, and carry out what it wants."""
    step = ROOM.step(case.room, fact)
    case.room = step.data
    if step.moved:
        arrow = step.arrow
        case.room = replace(case.room, since=case.world.now, reason=reason)
        report = getattr(fact, "report", None)
        case.effects.append(Record(arrow.event, arrow.source, arrow.target, reason, report))
    for effect in step.effects:
        _carry_out(case, effect)


def _carry_out(case: Case, effect: object) -> None:
    room_id = case.room.room_id
    match effect:
        case AcceptInvite():
            case.effects.append(Send(JoinRoom(room_id), case.fresh_txn("join"), reports=True))
        case LookAtTopology():
            case.effects.append(Reconcile())
        case KeepBinding() if case.room.binding is not None:
            content = case.room.binding.content()
            case.effects.append(Send(StoreBinding(room_id, content), case.fresh_txn("binding")))
        case Welcome(user_id=user_id):
            case.effects.append(Tell(ActorKey(user_id), OnboardingAsked(Asked(room_id))))
        case ReportFailure(report=report):
            # Of a room that was never bound, whoever waits for an answer there.
            owner = case.waiting[0].message.sender if case.waiting else None
            if case.room.binding is not None:
                owner = case.room.binding.matrix_user_id
            fields = {"room_id": room_id, "matrix_user_id": owner, "report": report}
            case.effects.append(Log("room_recovery_failed", fields, warning=True))
            case.say(case.world.speech.room_recovery_failed(), "recovery")
            case.room = replace(case.room, told=True)
        case EndConversation():
            drop_turn(case)
        case _:
            pass  # to take messages is what follows every event anyway


def note(
    case: Case,
    fact: RoomMade
    | TopologyConfirmed
    | BotRemoved
    | MemberChanged
    | MembersCounted
    | EncryptionEnabled,
) -> None:
    """Take note of what happened to the room: made and linked by the bot, lost, or changed by others."""
    match fact:
        case RoomMade():
            step_room(case, fact, "made by the bot")
        case TopologyConfirmed():
            step_room(case, fact, "linked into its Space")
        case BotRemoved(reason=reason):
            step_room(case, RemovedFromRoom(reason), reason)
        case MemberChanged(user_id=user_id, membership=membership):
            binding = case.room.binding
            if binding is not None and binding.matrix_user_id == user_id:
                case.room = replace(case.room, owner_present=membership == "join")
        case MembersCounted(others=others):
            # Nobody asks for it in chats and Spaces, to which only the bot invites.
            if case.room.binding is None or case.room.binding.room_type == "entry":
                case.room = replace(case.room, others=others)
        case EncryptionEnabled():
            case.room = replace(case.room, encrypted=True)
        case _:
            assert_never(fact)


def answer_invitation(case: Case, invite: InviteArrived) -> None:
    """Accept it from whoever may talk to the bot; turn every other down (contracts O1, O4)."""
    if case.world.access.allows(invite.sender):
        by = Invited(invite.sender, invite.encrypted)
        step_room(case, by, f"invited by {invite.sender}")
        return
    fields = {"room_id": invite.room_id, "sender": invite.sender}
    case.effects.append(Log("invite_rejected", fields))
    case.effects.append(Send(RejectInvite(invite.room_id), case.fresh_txn("reject")))


def conclude(case: Case, seen: Observed) -> None:
    """End the one repair: bound, or failed with a diagnosis (contract C7)."""
    case.counting = False
    if seen.binding is None:
        refused = TopologyRefused(seen.reason, case.world.now, seen.report)
        step_room(case, refused, seen.reason)
        return
    if seen.binding.platform_chat_id is not None:
        case.effects.append(TookPlatformChatId(seen.binding.platform_chat_id))
    name, encrypted = seen.name or case.room.name, seen.encrypted
    confirmed = TopologyConfirmed(
        seen.binding, name, encrypted, seen.store, seen.report, seen.others
    )
    step_room(case, confirmed, seen.reason)


def count_others(case: Case, seen: Observed) -> None:
    """Note how many others a look found in a bound room; what can't be seen counts as company (contract O5)."""
    case.counting = False
    others = seen.others if seen.others is not None else UNSEEN
    if case.room.uncounted:
        case.room = replace(case.room, others=others)


def resume(case: Case) -> None:
    """Order again the look that ended with the process, and let the next one of a failed room come soon.

    The rest of what a restart asks for is `repair_when_due`.
    """
    if case.room.state == "reconciling" and case.room.looking:
        case.effects.append(Reconcile())
    elif case.room.state == "failed":
        case.room = replace(case.room, looks=0)


def repair_when_due(case: Case) -> None:
    """End each step of a room that is not bound: work is given up, looked at, or looked at in time (contract C11).

    Where the bot is out of the room there is nothing to look at: work waits a day for its return (contract R5).
    """
    if case.room.is_left:
        _give_up_work_elsewhere(case)
        return
    if case.room.state == "failed":
        _give_up_old_work(case)
    has_work = case.turn is not None or bool(case.waiting)
    due_at = case.room.look_due_at()
    if has_work and due_at is not None and case.world.now >= due_at:
        step_room(case, RepairDue(case.world.now), "there is work, and a look is due")


def is_over(case: Case, since: float) -> bool:
    """Whether work of that age was more than a day old when the room was last looked at (contract C8)."""
    return since <= case.room.repaired_at - ANSWERED_WITHIN_S


def _give_up_work_elsewhere(case: Case) -> None:
    """Give up what has waited for a day in a room that the bot is out of, where nothing can be said."""
    until = case.world.now - ANSWERED_WITHIN_S
    over = [each for each in case.waiting if each.since <= until]
    case.effects += [SetAside(each.seq, _NOT_BACK) for each in over]
    case.waiting = tuple(each for each in case.waiting if each.since > until)
    if case.turn is not None and case.turn.begun_at <= until:
        drop_turn(case)


def _give_up_old_work(case: Case) -> None:
    """Give up what is older than a day by a look that failed after that day (contract C8).

    People know of the failure, so messages are set aside without a word. A turn may have a reply that is begun, and a
    begun reply is ended with a sentence (contract D10).
    """
    over = [each for each in case.waiting if is_over(case, each.since)]
    if over:
        case.effects += [SetAside(each.seq, _NOT_RESTORED) for each in over]
        case.waiting = tuple(each for each in case.waiting if not is_over(case, each.since))
    if case.turn is not None and is_over(case, case.turn.begun_at):
        last_words = case.world.speech.agent_gave_up("not_restored")
        step_turn(case, RoomLost(case.world.now, _NOT_RESTORED, last_words))


def tell_of_overflow(case: Case, overflow: QueueOverflowed) -> None:
    """Say that messages are not kept any more: once, for as long as too many wait (contract D14)."""
    if case.room.state != "unregistered":
        case.say(case.world.speech.too_many_waiting(), f"overflow.{overflow.first}")


def drop_turn(case: Case) -> None:
    """Let the turn go: where the bot is no longer, nothing can be said."""
    if case.turn is not None:
        case.effects.append(HangUp(case.turn.turn_id))
        case.turn = None


def note_outcome(case: Case, done: OrderDone) -> None:
    """Deal with what came of an order: a join, or a refusal that somebody should hear about."""
    match done.outcome:
        case Joined(encrypted=encrypted):
            step_room(case, BotJoined(encrypted), "joined")
        case Refused(reason=reason) if done.order == JoinRoom.__name__:
            step_room(case, JoinRefused(reason), reason)
        case Refused(kind=kind) if done.order == SendMessage.__name__ and kind != "encrypted":
            if done.answers is not None:
                _replace_refused(case, done.txn_id, done.answers)
        case _:
            pass


def _replace_refused(case: Case, txn_id: TxnId, answers: EventId) -> None:
    """Say that a reply can't be shown, in its place, once (contract D9)."""
    if txn_id.endswith(_REPLACEMENT):
        return
    if case.turn is not None and case.turn.turn_id == answers:
        drop_turn(case)
    text, asked = case.world.speech.answer_refused_by_server(), Asked(case.room.room_id, answers)
    part, is_edit, _ = txn_id.rpartition(".e")
    if not is_edit:
        case.effects.append(answer(asked, text, _REPLACEMENT.removeprefix(".")))
        return
    # The reply stands already, and what can't be shown is its text: another edit ends it.
    message = SendMessage(case.room.room_id, text, answers=answers, edits=TxnId(part))
    case.effects.append(Send(message, TxnId(f"{txn_id}{_REPLACEMENT}")))


_REPLACEMENT = ".refused"

UNSEEN = 2
"""Counted where a look does not say how many others there are: one more than may be."""
