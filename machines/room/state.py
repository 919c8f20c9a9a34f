"""The row of a room: its state, its times and its properties."""

from typing import Literal

from msgspec import Struct, field

from machines.ids import RoomId, UserId
from machines.room.binding import Binding, OwnerMembership
from machines.room.chat_context import ChatContext

RoomState = Literal["unregistered", "reconciling", "bound", "failed"]

MIN_REPAIR_INTERVAL_S = 60.0
"""The shortest interval between two repairs of a room (contract C8)."""
MAX_REPAIR_INTERVAL_S = 3600.0
"""The longest interval between two repairs while work waits and no message arrives."""
_DOUBLINGS = 6
"""After so many doublings the interval is the longest."""
MAX_WORK_AGE_S = 24 * 3600.0
"""Work older than this is dropped when a repair fails, or while the bot is not in the room (contract C8)."""


class Room(Struct, frozen=True):
    """The row of a room. Times are seconds since the epoch.

    `onboarding_user` is the last user who invited the bot; they are welcomed when the room is bound. `last_repair_at`
    is when the last repair began or ended, 0 if the next may start at once; `failed_repairs` counts the repairs that
    failed since the last message. `repair_pending`: a repair was ordered and has not ended; it ends with the process.
    `failure_reported`: the users were notified of the failure; `reminder_sent`: a command was answered with that notice
    again. `owner_membership` is that of the owner, or of the user who invited the bot to an entry room; until it is
    known, it is `join`. `last_message_seq` is the inbox row of the newest message that arrived while the room was not
    bound: a message that is read again after a restart is not new. `others` is the number of other members of an entry
    room, joined or invited; `None` if it is not known.
    """

    room_id: RoomId
    state: RoomState = "unregistered"
    since: float = 0.0
    reason: str = "not seen yet"
    binding: Binding | None = None
    name: str = ""
    encrypted: bool = False
    onboarding_user: UserId | None = None
    owner_membership: OwnerMembership = "join"
    last_repair_at: float = 0.0
    failed_repairs: int = 0
    repair_pending: bool = False
    failure_reported: bool = False
    reminder_sent: bool = False
    last_message_seq: int = 0
    chat_context: ChatContext = field(default_factory=ChatContext)
    others: int | None = None

    @property
    def owner_present(self) -> bool:
        """Whether the owner is in the room."""
        return self.owner_membership == "join"

    @property
    def members_unknown(self) -> bool:
        """Whether this is an entry room whose members are not known."""
        entry = self.binding is not None and self.binding.room_type == "entry"
        return entry and self.others is None

    @property
    def is_ready(self) -> bool:
        """Whether messages are processed: the room is bound, and the members of an entry room are known."""
        return self.state == "bound" and not self.members_unknown

    @property
    def has_other_readers(self) -> bool:
        """Whether the room may have more than one other member; if that is not known, it is assumed (contract O5)."""
        if self.binding is not None and self.binding.room_type != "entry":
            return False
        return self.others is None or self.others > 1

    @property
    def has_left(self) -> bool:
        """Whether the bot was in this room and left it: a repair cannot succeed until it is back."""
        return self.state == "unregistered" and self.since > 0

    def repair_due_at(self) -> float | None:
        """Return when the next repair of a room with work is due; `None` if it is bound or a repair is running.

        A `reconciling` room without a repair waits for a join, or for its user's actor to complete it. Both are faster
        than the longest interval. If they fail, this actor may not receive an event.
        """
        if self.state == "bound" or self.repair_pending:
            return None
        if self.state == "reconciling":
            return self.since + MAX_REPAIR_INTERVAL_S
        doublings = min(max(0, self.failed_repairs - 1), _DOUBLINGS)
        return self.last_repair_at + min(
            MAX_REPAIR_INTERVAL_S, MIN_REPAIR_INTERVAL_S * 2.0**doublings
        )
