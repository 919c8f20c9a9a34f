"""The repair of a room that is not bound: when one is due, what came of it, and when old work is given up."""

from msgspec.structs import replace

from machines.events.effects import DeadLetter, Reconcile
from machines.events.internal import RoomLost, TopologyConfirmed, TopologyRefused
from machines.room.machine import RepairDue
from machines.room.membership import step_room
from machines.room.state import ANSWERED_WITHIN_S
from machines.room.step_draft import StepDraft
from machines.turn.driver import drop_turn, step_turn

_NOT_BACK = "the bot was not back in the room within 24 hours"
_NOT_RESTORED = "the room could not be restored within 24 hours"


def conclude(draft: StepDraft, result: TopologyConfirmed | TopologyRefused) -> None:
    """End the repair: the room is bound, or failed with a diagnosis (contract C7)."""
    draft.counting_members = False
    if isinstance(result, TopologyConfirmed):
        step_room(draft, result, "the homeserver shows what it is")
        return
    if draft.waiting:
        result = replace(result, wanted_by=draft.waiting[0].message.sender)
    step_room(draft, result, result.reason)


def resume(draft: StepDraft) -> None:
    """Order again the repair that ended with the process; in a failed room the next one comes soon.

    `repair_when_due` does the rest of what a restart needs.
    """
    if draft.room.state == "reconciling" and draft.room.repair_pending:
        draft.effects.append(Reconcile())
    elif draft.room.state == "failed":
        draft.room = replace(draft.room, failed_repairs=0)


def repair_when_due(draft: StepDraft) -> None:
    """Give up old work, and start a repair that is due; called at the end of each step (contract C11).

    While the bot is out of the room a repair would show nothing: work waits a day for its return (contract R5).
    """
    if draft.room.has_left:
        _give_up_out_of_room(draft)
        return
    if draft.room.state == "failed":
        _give_up_old_work(draft)
    has_work = draft.turn is not None or bool(draft.waiting)
    due_at = draft.room.repair_due_at()
    if has_work and due_at is not None and draft.context.now >= due_at:
        step_room(draft, RepairDue(), "there is work, and a look is due")


def is_over(draft: StepDraft, since: float) -> bool:
    """Whether work of that age was more than a day old at the last repair (contract C8)."""
    return since <= draft.room.last_repair_at - ANSWERED_WITHIN_S


def _give_up_out_of_room(draft: StepDraft) -> None:
    """Give up work that has waited for a day while the bot is out of the room, where nothing can be said."""
    until = draft.context.now - ANSWERED_WITHIN_S
    over = [each for each in draft.waiting if each.since <= until]
    draft.effects += [DeadLetter(each.seq, _NOT_BACK) for each in over]
    draft.waiting = tuple(each for each in draft.waiting if each.since > until)
    if draft.turn is not None and draft.turn.begun_at <= until:
        drop_turn(draft)


def _give_up_old_work(draft: StepDraft) -> None:
    """Give up work that was older than a day when a repair failed (contract C8).

    Users know of the failure, so messages are set aside without a notice. A turn may have a reply that has begun,
    which has to end with a sentence (contract D10).
    """
    over = [each for each in draft.waiting if is_over(draft, each.since)]
    if over:
        draft.effects += [DeadLetter(each.seq, _NOT_RESTORED) for each in over]
        draft.waiting = tuple(each for each in draft.waiting if not is_over(draft, each.since))
    if draft.turn is not None and is_over(draft, draft.turn.begun_at):
        step_turn(draft, RoomLost(_NOT_RESTORED))
