"""The row of a room: its state, its times and its properties."""

from typing import Literal

from msgspec import Struct, field

from machines.ids import RoomId, UserId
from machines.room.binding import Binding
from machines.room.chat_context import ChatContext

RoomState = Literal["unregistered", "reconciling", "bound", "failed"]

COOL_DOWN_S = 60.0
"""The shortest interval between two repairs of a room (contract C8)."""
LONGEST_INTERVAL_S = 3600.0
"""The longest interval between two repairs while work waits and nobody writes."""
_DOUBLINGS = 6
"""After so many doublings the interval is the longest."""
ANSWERED_WITHIN_S = 24 * 3600.0
"""How old work may be when a repair fails, or while the bot is out of the room, and still wait (contract C8)."""


class Room(Struct, frozen=True):
    """One room's row. Times are seconds since the epoch.

    `onboarding_user` is the last user who invited the bot; they are welcomed once the room is bound. `last_repair_at`
    is when the last repair began or ended, 0 if the next may start at once; `failed_repairs` counts the repairs that
    failed since somebody last wrote. `repair_pending` says that a repair was ordered and has not ended; it ends with
    the process. `failure_reported` says that the users here know of the failure, `reminder_sent` that a command was
    answered with the notice once more. `last_message_seq` is the inbox row of the newest message that came while the
    room was not bound: a message that is read again after a restart is not new. `others` is how many others than the
    bot are in an entry room, joined or invited; `None` when that is not known.
    """

    room_id: RoomId
    state: RoomState = "unregistered"
    since: float = 0.0
    reason: str = "not seen yet"
    binding: Binding | None = None
    name: str = ""
    encrypted: bool = False
    onboarding_user: UserId | None = None
    owner_present: bool = True
    last_repair_at: float = 0.0
    failed_repairs: int = 0
    repair_pending: bool = False
    failure_reported: bool = False
    reminder_sent: bool = False
    last_message_seq: int = 0
    chat_context: ChatContext = field(default_factory=ChatContext)
    others: int | None = None

    @property
    def members_unknown(self) -> bool:
        """Whether this is an entry room whose members are not known."""
        entry = self.binding is not None and self.binding.room_type == "entry"
        return entry and self.others is None

    @property
    def has_other_readers(self) -> bool:
        """Whether more than one other may be in the room; where that is not known, it is assumed (contract O5)."""
        if self.binding is not None and self.binding.room_type != "entry":
            return False
        return self.others is None or self.others > 1

    @property
    def has_left(self) -> bool:
        """Whether the bot was in this room and is out of it: a repair would show nothing until it is back."""
        return self.state == "unregistered" and self.since > 0

    def repair_due_at(self) -> float | None:
        """Return when the next repair of a room with work is due; `None` if it is bound or a repair is under way.

        A `reconciling` room without a repair waits for a join, or for its user's actor to complete it. Both are
        faster than the longest interval; if they fail, only another actor may know of it.
        """
        if self.state == "bound" or self.repair_pending:
            return None
        if self.state == "reconciling":
            return self.since + LONGEST_INTERVAL_S
        doublings = min(max(0, self.failed_repairs - 1), _DOUBLINGS)
        return self.last_repair_at + min(LONGEST_INTERVAL_S, COOL_DOWN_S * 2.0**doublings)
