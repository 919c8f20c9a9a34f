"""The end of a turn for the operator: one log line, and a stored row if it failed (contracts L12, I6).

Neither quotes a message, an answer or a text of the agent (contract E9): the reasons are sentences of this program, and
an error of the agent is named by its code, if that looks like one.
"""

import re
from typing import Any, Literal

from machines.events.effects import Effect, Log, RecordFailedTurn
from machines.turn.state import Turn

Outcome = Literal["answered", "failed", "stopped", "dropped"]

_CODE = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


def shown_kind(kind: str) -> str:
    """Return the kind of a fault for the log; a code of the agent that may be a text is `agent_error`."""
    return kind if _CODE.fullmatch(kind) else "agent_error"


def turn_ended(turn: Turn, outcome: Outcome, now: float) -> tuple[Effect, ...]:
    """Return the effects of the end of a turn; its `failure_kind` and `failure_reason` say why it failed."""
    kind = shown_kind(turn.failure_kind)
    fields: dict[str, Any] = {
        "room_id": turn.reply.room_id,
        "turn": turn.turn_id,
        "agent": turn.request.agent_id,
        "duration_s": round(max(0.0, now - turn.begun_at), 3),
        "outcome": outcome,
    }
    if outcome in ("answered", "stopped"):
        return (Log("turn_ended", fields),)
    record = RecordFailedTurn(turn.turn_id, turn.request.agent_id, kind, turn.failure_reason)
    return (record, Log("turn_ended", fields | {"fault": f"{kind}: {turn.failure_reason}"}))
