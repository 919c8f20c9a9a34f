"""Bounds the times of an actor's rows after the system clock was set back, so that no wait grows (contract D16).

A row stores times of the clock that wrote it. If that clock was ahead, a stored time is further in the future than its
wait allows. Such a time is reduced to the longest remaining wait, in the row too, so that it does not stay ahead.
"""

from msgspec.structs import replace

from machines.context import StepContext
from machines.room.state import Room
from machines.room.step_draft import RoomActor
from machines.turn.reply import EDIT_INTERVAL_S
from machines.turn.retry_policy import LONGEST_SPREAD_WAIT_S
from machines.turn.state import Attempt, Turn


def within_waits(room_actor: RoomActor, context: StepContext) -> RoomActor:
    """Return the room's actor with every stored time within its longest wait."""
    now = context.now
    room = _room(room_actor.room, now)
    turn = room_actor.turn
    if turn is not None:
        turn = _turn(turn, now, context.agent_retry_s)
    attempt = _attempt(room_actor.attempt, now)
    quiet_until = min(room_actor.quiet_until, now + EDIT_INTERVAL_S)
    if (
        room is room_actor.room
        and turn is room_actor.turn
        and attempt is room_actor.attempt
        and quiet_until == room_actor.quiet_until
    ):
        return room_actor
    return replace(room_actor, room=room, turn=turn, attempt=attempt, quiet_until=quiet_until)


def _room(room: Room, now: float) -> Room:
    if room.last_repair_at > now or room.since > now:
        room = replace(
            room, last_repair_at=min(room.last_repair_at, now), since=min(room.since, now)
        )
    question = room.chat_context.question
    if question is not None and question.asked_at > now:
        question = replace(question, asked_at=now)
        room = replace(room, chat_context=replace(room.chat_context, question=question))
    return room


def _turn(turn: Turn, now: float, agent_retry_s: float) -> Turn:
    reply = turn.reply
    if reply.shown_at > now + EDIT_INTERVAL_S:
        turn = replace(turn, reply=replace(reply, shown_at=now + EDIT_INTERVAL_S))
    latest = {
        "begun_at": now,
        "retry_at": now + LONGEST_SPREAD_WAIT_S,
        "gives_up_at": now + agent_retry_s,
    }
    late = {name: at for name, at in latest.items() if getattr(turn, name) > at}
    return replace(turn, **late) if late else turn


def _attempt(attempt: Attempt, now: float) -> Attempt:
    return replace(attempt, first_text_at=now) if attempt.first_text_at > now else attempt
