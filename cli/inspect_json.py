"""The objects that `inspect-room --json` prints (contracts I3, I4).

Times are ISO 8601 in UTC with milliseconds and `Z`, as `2026-01-31T12:00:00.000Z`, or null where there is none.
All keys of I3 are always present. Further keys: `owner_present`, `encrypted`, `failures` (what was set aside, refused
or quarantined), and of repairs the last `report` and `repair_not_before`.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from machines.room.machine import ROOM
from machines.room.state import MIN_REPAIR_INTERVAL_S
from machines.turn.state import Turn
from store.inspection import BotSnapshot, Failure, RoomSnapshot
from store.records import TransitionRecord


def timestamp(at: float) -> str | None:
    """Return a time in seconds since the epoch as text; 0 means no time."""
    if not at:
        return None
    text = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def room_object(sight: RoomSnapshot) -> dict[str, Any]:
    """Return one room's object."""
    room, binding = sight.room, sight.room.binding
    return {
        "room_id": room.room_id,
        "state": room.state,
        "state_since": timestamp(room.since),
        "reason": room.reason,
        "chat_id": binding.chat_id if binding else None,
        "platform_chat_id": binding.platform_chat_id if binding else None,
        "space_id": binding.space_id if binding else None,
        "matrix_user_id": binding.matrix_user_id if binding else None,
        "agent_id": binding.agent_id if binding else None,
        "room_type": binding.room_type if binding else None,
        "name": room.name,
        "archived": binding.archived if binding else False,
        "inbox_pending": sight.inbox_pending,
        "outbox_pending": sight.outbox_pending,
        "turn": _turn(sight.turn, sight) if sight.turn is not None else None,
        "allowed_events": list(ROOM.accepts(room.state)),
        "transitions": _transitions(sight.transitions),
        "owner_present": room.owner_present if binding else None,
        "encrypted": room.encrypted,
        "failures": _failures(sight.failures_total, sight.failures),
        "report": sight.report or None,
        "repair_not_before": (
            timestamp(room.last_repair_at + MIN_REPAIR_INTERVAL_S)
            if room.state == "failed"
            else None
        ),
    }


def bot_object(sight: BotSnapshot, running: bool) -> dict[str, Any]:
    """Return the bot's own object; `running` says whether a daemon holds the database now."""
    bot, bot_state = sight.bot, sight.bot.bot_state
    return {
        "user_id": bot.user_id,
        "device_id": bot.device_id,
        "running": running,
        "state": bot_state.state,
        "state_since": timestamp(bot_state.since),
        "reason": bot_state.reason,
        "rooms": sight.rooms,
        "users": sight.users,
        "turns": sight.turns,
        "inbox_pending": sight.inbox_pending,
        "outbox_pending": sight.outbox_pending,
        "platform_chat_seq": bot.platform_chat_seq,
        "failures": _failures(sight.failures_total, sight.failures),
        "transitions": _transitions(sight.transitions),
    }


def _turn(turn: Turn, sight: RoomSnapshot) -> dict[str, Any]:
    return {
        "turn_id": turn.turn_id,
        "state": turn.state,
        "tries": turn.attempt,
        "begun_at": timestamp(turn.begun_at),
        "gives_up_at": timestamp(turn.gives_up_at),
        "retry_at": timestamp(turn.retry_at) if turn.state == "waiting_to_retry" else None,
        "fault": turn.failure_reason,
        "reply_events": list(sight.reply_events),
    }


def _transitions(transitions: Iterable[TransitionRecord]) -> list[dict[str, Any]]:
    return [
        {
            "at": timestamp(each.at),
            "event": each.event,
            "source": each.source,
            "target": each.target,
            "reason": each.reason,
        }
        for each in transitions
    ]


def _failures(total: int, last: Iterable[Failure]) -> dict[str, Any]:
    return {
        "total": total,
        "last": [
            {
                "at": timestamp(each.at),
                "fate": each.fate,
                "kind": each.kind,
                "event_id": each.event_id,
                "reason": each.reason,
            }
            for each in last
        ],
    }
