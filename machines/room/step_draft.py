"""The value of a room's actor, and the working copy that one step changes."""

from collections.abc import Iterable
from math import inf

from msgspec import Struct
from msgspec.structs import replace

from machines.context import StepContext
from machines.events.effects import Effect, ReservePlatformChatId, SavePreferences
from machines.events.matrix import (
    FileArrived,
    MalformedArrived,
    MessageArrived,
    UnsupportedArrived,
)
from machines.i18n import Catalog
from machines.ids import UserId
from machines.room.machine import notice_to
from machines.room.newest import NewestMessage, as_replies
from machines.room.state import MAX_WORK_AGE_S, Room
from machines.turn.notices import in_parts
from machines.turn.state import NO_ATTEMPT, ActiveTurn, Attempt, Turn

Message = MessageArrived | FileArrived | UnsupportedArrived | MalformedArrived


class WaitingMessage(Struct, frozen=True):
    """A waiting message with its inbox row; `since` is when it was received, in seconds since the epoch."""

    seq: int
    message: Message
    since: float


class RoomActor(Struct, frozen=True):
    """A room, its current turn, and the waiting messages.

    The next turn begins no earlier than `quiet_until`: the last edit of a reply may have to wait for the minimum
    interval between edits, and the next reply must not wait behind it in the outbox. While `counting_members`, a repair
    is running that reads the members of the entry room. `attempt` belongs to the turn and is not stored. `newest` is
    stored in the room's row, except for a message that still waits: its inbox row is read again after a restart.
    """

    room: Room
    turn: Turn | None = None
    waiting: tuple[WaitingMessage, ...] = ()
    quiet_until: float = 0.0
    counting_members: bool = False
    attempt: Attempt = NO_ATTEMPT
    newest: NewestMessage | None = None

    def due_at(self) -> float | None:
        """Return when this room next needs a `TimePassed`, if no event arrives before."""
        if self.turn is None and not self.waiting:
            return None
        if self.room.has_left:
            begun = [self.turn.begun_at] if self.turn is not None else []
            return min(*begun, *(each.since for each in self.waiting), inf) + MAX_WORK_AGE_S
        if self.room.state != "bound":
            return self.room.repair_due_at()
        if self.turn is not None:
            return ActiveTurn(self.turn, self.attempt).due_at()
        return None if self.room.members_unknown else self.quiet_until


class StepDraft:
    """The working copy of a room's actor in one step, and the effects in order."""

    def __init__(self, room_actor: RoomActor, context: StepContext) -> None:
        self.room = room_actor.room
        self.turn = room_actor.turn
        self.waiting = room_actor.waiting
        self.quiet_until = room_actor.quiet_until
        self.counting_members = room_actor.counting_members
        self.attempt = room_actor.attempt
        self.newest = room_actor.newest or room_actor.room.chat_context.newest
        self.context = context
        self.effects: list[Effect] = []

    @property
    def catalog(self) -> Catalog:
        """The sentences in the language of the room's owner, if it has one."""
        binding = self.room.binding
        return self.context.catalog_for(binding.matrix_user_id if binding is not None else None)

    def others_read(self, user_id: UserId | None) -> bool:
        """Whether somebody else may read what is written for this user in the room (contract O5)."""
        room = self.room
        is_chat = room.binding is not None and room.binding.room_type != "entry"
        return room.has_other_readers or (not is_chat and user_id in room.chat_context.departed)

    def result(self) -> tuple[RoomActor, tuple[Effect, ...]]:
        """Return the new value and the effects."""
        newest, effects = as_replies(self.newest, in_parts(self.effects, self.context.now))
        room = self.room
        if effects and room.chat_context.newest != newest:
            room = replace(room, chat_context=replace(room.chat_context, newest=newest))
        room_actor = RoomActor(
            room,
            self.turn,
            self.waiting,
            self.quiet_until,
            self.counting_members,
            self.attempt,
            newest,
        )
        return room_actor, effects

    def apply_effects(self, effects: Iterable[Effect]) -> None:
        """Add the effects of a command; later parts of the step see its preferences and its reserved id."""
        for effect in effects:
            self.effects.append(effect)
            if isinstance(effect, SavePreferences):
                self.context = self.context.with_preferences(effect.user_id, effect.preferences)
            elif isinstance(effect, ReservePlatformChatId):
                next_id = str(int(effect.platform_chat_id) + 1)
                self.context = replace(self.context, next_platform_chat_id=next_id)

    def send_notice(self, text: str, step: str) -> None:
        """Send a notice that is no answer to a message."""
        self.effects.append(notice_to(self.room.room_id, text, step, self.context))
