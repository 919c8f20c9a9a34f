"""An event as a user's client receives it, from any part of a sync response."""

from dataclasses import dataclass
from typing import Any, Self

# The content key of a reply with the id of the message that it answers (contract D2).
ANSWERS = "org.lambda.surfaces.answers"


@dataclass(frozen=True, slots=True)
class RoomEvent:
    """One event in one room.

    Invitations, typing and receipts are events too: an invitation is the user's own `m.room.member` with membership
    `invite`, the others are `m.typing` and `m.receipt`. Fields that such events lack are empty (`event_id`, `sender`)
    or 0 (`sent_at_ms`).
    """

    room_id: str
    type: str
    content: dict[str, Any]
    event_id: str = ""
    sender: str = ""
    state_key: str | None = None
    sent_at_ms: int = 0

    @classmethod
    def of(cls, room_id: str, raw: dict[str, Any]) -> Self:
        """Return the event that is in any format of the client-server API."""
        return cls(
            room_id=room_id,
            type=raw["type"],
            content=raw.get("content", {}),
            event_id=raw.get("event_id", ""),
            sender=raw.get("sender", ""),
            state_key=raw.get("state_key"),
            sent_at_ms=raw.get("origin_server_ts", 0),
        )

    @property
    def body(self) -> str:
        """The plain text of a message; "" for everything else."""
        body = self.content.get("body", "")
        return body if isinstance(body, str) else ""

    @property
    def msgtype(self) -> str:
        """`m.text`, `m.notice`, …; "" for everything else."""
        msgtype = self.content.get("msgtype", "")
        return msgtype if isinstance(msgtype, str) else ""

    @property
    def replaces(self) -> str | None:
        """The event that this one edits."""
        relation = self.content.get("m.relates_to")
        if isinstance(relation, dict) and relation.get("rel_type") == "m.replace":
            target: str = relation.get("event_id", "")
            return target
        return None

    @property
    def answers(self) -> str | None:
        """The message that this one answers (contract D2)."""
        return self.content.get(ANSWERS)

    def __str__(self) -> str:
        text = self.body or self.content.get("membership") or ""
        if len(text) > 60:
            text = f"{text[:60]}…"
        return f"{self.type} from {self.sender or '?'} in {self.room_id}: {text!r}"
