"""Bounds the times in an actor's rows after the clock was set back: no wait becomes longer (contract D16).

Rows hold times of the clock that wrote them. If that clock was ahead, they are later than any wait can end. Such a time
is set to the latest end of its wait, in the row too: otherwise it would stay ahead of the clock.
"""

from msgspec.structs import replace

from machines.case import Conversation
from machines.patience import LONGEST_SPREAD_WAIT_S
from machines.reply import EDIT_INTERVAL_S
from machines.room import Room
from machines.turn_state import Attempt, Turn
from machines.world import World


def within_waits(conversation: Conversation, world: World) -> Conversation:
    """Return the conversation with no time in it that is later than its wait may end."""
    now = world.now
    room = _room(conversation.room, now)
    turn = conversation.turn
    if turn is not None:
        turn = _turn(turn, now, world.agent_retry_s)
    attempt = _attempt(conversation.attempt, now)
    quiet_until = min(conversation.quiet_until, now + EDIT_INTERVAL_S)
    if (
        room is conversation.room
        and turn is conversation.turn
        and attempt is conversation.attempt
        and quiet_until == conversation.quiet_until
    ):
        return conversation
    return replace(conversation, room=room, turn=turn, attempt=attempt, quiet_until=quiet_until)


def _room(room: Room, now: float) -> Room:
    if room.repaired_at > now or room.since > now:
        room = replace(room, repaired_at=min(room.repaired_at, now), since=min(room.since, now))
    question = room.memory.question
    if question is not None and question.asked_at > now:
        question = replace(question, asked_at=now)
        room = replace(room, memory=replace(room.memory, question=question))
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
