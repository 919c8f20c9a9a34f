"""The objects that `inspect-room --json` prints (contracts I3, I4).

Times are ISO 8601 in UTC with milliseconds, as `2026-01-31T12:00:00.000Z`, or null if there is none. All keys of I3 are
always present. Further keys: `failed_turns` (contract I6), `owner_present`, `encrypted`,
`failures` (what was set aside, refused or quarantined), and of repairs the last `report` and `repair_not_before`.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from machines.ids import EventId
from machines.room.machine import ROOM
from machines.room.state import MIN_REPAIR_INTERVAL_S
from machines.turn.state import Turn
from store.inspection import BotSnapshot, Failure, RoomSnapshot
from store.records import FailedTurn, TransitionRecord

_TRANSITION = ("event", "source", "target", "reason")


def _timestamp(at: float) -> str | None:
    """Return a time in seconds since the epoch as text; 0 means that there is none."""
    if not at:
        return None
    text = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def room_object(snapshot: RoomSnapshot) -> dict[str, Any]:
    """Return one room's object."""
    room, binding = snapshot.room, snapshot.room.binding
    return {
        "room_id": room.room_id,
        "state": room.state,
        "state_since": _timestamp(room.since),
        "reason": room.reason,
        "chat_id": binding.chat_id if binding else None,
        "platform_chat_id": binding.platform_chat_id if binding else None,
        "space_id": binding.space_id if binding else None,
        "matrix_user_id": binding.matrix_user_id if binding else None,
        "agent_id": binding.agent_id if binding else None,
        "room_type": binding.room_type if binding else None,
        "name": room.name,
        "archived": binding.archived if binding else False,
        "inbox_pending": snapshot.inbox_pending,
        "outbox_pending": snapshot.outbox_pending,
        "turn": _turn(snapshot.turn, snapshot.reply_events) if snapshot.turn is not None else None,
        "allowed_events": list(ROOM.accepts(room.state)),
        "transitions": _rows(snapshot.transitions, _TRANSITION),
        "failed_turns": [_failed_turn(each) for each in snapshot.failed_turns],
        "owner_present": room.owner_present if binding else None,
        "encrypted": room.encrypted,
        "failures": _failures(snapshot.failures_total, snapshot.failures),
        "report": snapshot.report or None,
        "repair_not_before": (
            _timestamp(room.last_repair_at + MIN_REPAIR_INTERVAL_S)
            if room.state == "failed"
            else None
        ),
    }


def bot_object(snapshot: BotSnapshot, running: bool) -> dict[str, Any]:
    """Return the bot's own object; `running`: whether a daemon holds the database now."""
    bot, bot_state = snapshot.bot, snapshot.bot.bot_state
    return {
        "user_id": bot.user_id,
        "device_id": bot.device_id,
        "running": running,
        "state": bot_state.state,
        "state_since": _timestamp(bot_state.since),
        "reason": bot_state.reason,
        "rooms": snapshot.rooms,
        "users": snapshot.users,
        "turns": snapshot.turns,
        "inbox_pending": snapshot.inbox_pending,
        "outbox_pending": snapshot.outbox_pending,
        "platform_chat_seq": bot.platform_chat_seq,
        "failures": _failures(snapshot.failures_total, snapshot.failures),
        "transitions": _rows(snapshot.transitions, _TRANSITION),
    }


def _turn(turn: Turn, reply_events: tuple[EventId, ...]) -> dict[str, Any]:
    return {
        "turn_id": turn.turn_id,
        "state": turn.state,
        "tries": turn.attempt,
        "begun_at": _timestamp(turn.begun_at),
        "gives_up_at": _timestamp(turn.gives_up_at),
        "retry_at": _timestamp(turn.retry_at) if turn.state == "waiting_to_retry" else None,
        "fault": turn.failure_reason,
        "reply_events": list(reply_events),
    }


def _failed_turn(failed: FailedTurn) -> dict[str, Any]:
    return {
        "at": _timestamp(failed.at),
        "turn": failed.turn_id,
        "agent_id": failed.agent_id,
        "kind": failed.kind,
        "reason": failed.reason,
    }


def _failures(total: int, last: Iterable[Failure]) -> dict[str, Any]:
    return {"total": total, "last": _rows(last, ("fate", "kind", "event_id", "reason"))}


def _rows(rows: Iterable[Failure | TransitionRecord], keys: Iterable[str]) -> list[dict[str, Any]]:
    """Return the time and the named fields of each row."""
    return [{"at": _timestamp(row.at)} | {key: getattr(row, key) for key in keys} for row in rows]
