"""Limits the stored times of a room's actor after the system clock was set back (contract D16).

If the clock was ahead when a row was stored, a time of it may be further in the future than its wait allows. Such a
time is reduced to the longest allowed wait, in the row too.
"""

from msgspec.structs import replace

from machines.context import StepContext
from machines.room.state import Room
from machines.room.step_draft import RoomActor
from machines.turn.reply import EDIT_INTERVAL_S
from machines.turn.retry_policy import LONGEST_SPREAD_WAIT_S
from machines.turn.state import RESTART_GRACE_S, Attempt, Turn


def clamp_times(room_actor: RoomActor, context: StepContext) -> RoomActor:
    """Return the room's actor with every stored time within its longest allowed wait."""
    now, turn = context.now, room_actor.turn
    return replace(
        room_actor,
        room=_clamp_room(room_actor.room, now),
        turn=_clamp_turn(turn, now, context.agent_retry_s) if turn is not None else None,
        attempt=_clamp_attempt(room_actor.attempt, now),
        quiet_until=min(room_actor.quiet_until, now + EDIT_INTERVAL_S),
    )


def _clamp_room(room: Room, now: float) -> Room:
    if room.last_repair_at > now or room.since > now:
        room = replace(
            room, last_repair_at=min(room.last_repair_at, now), since=min(room.since, now)
        )
    question = room.chat_context.question
    if question is not None and question.asked_at > now:
        question = replace(question, asked_at=now)
        room = replace(room, chat_context=replace(room.chat_context, question=question))
    return room


def _clamp_turn(turn: Turn, now: float, agent_retry_s: float) -> Turn:
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


def _clamp_attempt(attempt: Attempt, now: float) -> Attempt:
    quiet_until = now + RESTART_GRACE_S
    if attempt.first_text_at <= now and attempt.quiet_until <= quiet_until:
        return attempt
    return replace(
        attempt,
        first_text_at=min(attempt.first_text_at, now),
        quiet_until=min(attempt.quiet_until, quiet_until),
    )
