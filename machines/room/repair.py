"""The repair of a room that is not bound: when it starts, its result, and when old work expires."""

from collections.abc import Callable
from functools import partial

from msgspec.structs import replace

from machines.events.effects import DeadLetter, Log, Reconcile
from machines.events.internal import RoomLost, TopologyConfirmed, TopologyRefused
from machines.room.machine import RepairDue
from machines.room.membership import step_room
from machines.room.state import MAX_WORK_AGE_S
from machines.room.step_draft import StepDraft
from machines.turn.driver import drop_turn, step_turn

_NOT_BACK = "the bot was not back in the room within 24 hours"
_NOT_RESTORED = "the room could not be restored within 24 hours"


def finish_repair(draft: StepDraft, result: TopologyConfirmed | TopologyRefused) -> None:
    """Finish the repair: the room is bound, or failed with a report (contract C7)."""
    draft.counting_members = False
    if isinstance(result, TopologyConfirmed):
        step_room(draft, result, "the homeserver shows its binding")
        return
    if draft.waiting:
        result = replace(result, wanted_by=draft.waiting[0].message.sender)
    step_room(draft, result, result.reason)


def resume_repair(draft: StepDraft) -> None:
    """Order the repair again that ended with the process; in a failed room, reset the interval to the shortest.

    `repair_when_due` starts a repair that is due after a restart.
    """
    if draft.room.state == "reconciling" and draft.room.repair_pending:
        draft.effects.append(Reconcile())
    elif draft.room.state == "failed":
        draft.room = replace(draft.room, failed_repairs=0)


def repair_when_due(draft: StepDraft) -> None:
    """Drop expired work, and start a repair that is due; called at the end of each step (contract C11).

    While the bot is not in the room, a repair cannot succeed: work waits a day for the bot's return (contract R5).
    """
    if draft.room.has_left:
        _drop_expired_out_of_room(draft)
        return
    if draft.room.state == "failed":
        _drop_expired(draft)
    has_work = draft.turn is not None or bool(draft.waiting)
    due_at = draft.room.repair_due_at()
    if has_work and due_at is not None and draft.context.now >= due_at:
        step_room(draft, RepairDue(), "work waits, and a repair is due")


def is_expired(draft: StepDraft, since: float) -> bool:
    """Whether work that began at `since` was more than a day old at the last repair (contract C8)."""
    return since <= draft.room.last_repair_at - MAX_WORK_AGE_S


def _drop_expired_out_of_room(draft: StepDraft) -> None:
    """Drop work that is a day old. The bot is not in the room, so it cannot send a notice."""
    until = draft.context.now - MAX_WORK_AGE_S
    _dead_letter(draft, lambda since: since <= until, _NOT_BACK)
    if draft.turn is not None and draft.turn.begun_at <= until:
        drop_turn(draft, "not_back", _NOT_BACK)


def _drop_expired(draft: StepDraft) -> None:
    """Drop work that was older than a day when a repair failed (contract C8).

    Users know of the failure, so messages are dropped without a notice. A reply that has begun ends with a sentence
    (contract D10).
    """
    _dead_letter(draft, partial(is_expired, draft), _NOT_RESTORED)
    if draft.turn is not None and is_expired(draft, draft.turn.begun_at):
        step_turn(draft, RoomLost(_NOT_RESTORED))


def _dead_letter(draft: StepDraft, expired: Callable[[float], bool], reason: str) -> None:
    dead_letters = [DeadLetter(each.seq, reason) for each in draft.waiting if expired(each.since)]
    if not dead_letters:
        return
    fields = {"room_id": draft.room.room_id, "count": len(dead_letters), "reason": reason}
    draft.effects += (*dead_letters, Log("messages_set_aside", fields, warning=True))
    draft.waiting = tuple(each for each in draft.waiting if not expired(each.since))
