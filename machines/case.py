"""The value that a room's actor is, and the working copy in which one step changes it."""

from collections.abc import Iterable
from math import inf

from msgspec import Struct
from msgspec.structs import replace

from machines.effects import Effect, SavePreferences, Send, TookPlatformChatId
from machines.facts import FileArrived, MalformedArrived, MessageArrived
from machines.ids import TxnId
from machines.notices import in_parts
from machines.orders import SendMessage
from machines.room import ANSWERED_WITHIN_S, Room
from machines.turn_state import NO_ATTEMPT, ActiveTurn, Attempt, Turn
from machines.world import World

Message = MessageArrived | FileArrived | MalformedArrived


class Waiting(Struct, frozen=True):
    """A message that waits, with its inbox row; `since` is when it was received, seconds since the epoch."""

    seq: int
    message: Message
    since: float


class Conversation(Struct, frozen=True):
    """A room, its turn in hand, and the messages that wait.

    The next turn begins no earlier than `quiet_until`: the last edit of a reply may have to wait for
    its distance to the edit before it, and what comes next shall not wait behind it in the outbox. While
    `counting`, a look at who is in the entry room is under way. `attempt` belongs to the turn and is not stored.
    """

    room: Room
    turn: Turn | None = None
    waiting: tuple[Waiting, ...] = ()
    quiet_until: float = 0.0
    counting: bool = False
    attempt: Attempt = NO_ATTEMPT

    def due_at(self) -> float | None:
        """Return when this room next wants to be looked at, if nothing happens before."""
        if self.turn is None and not self.waiting:
            return None
        if self.room.is_left:
            begun = [self.turn.begun_at] if self.turn is not None else []
            return min(*begun, *(each.since for each in self.waiting), inf) + ANSWERED_WITHIN_S
        if self.room.state != "bound":
            return self.room.look_due_at()
        if self.turn is not None:
            return ActiveTurn(self.turn, self.attempt).due_at()
        return None if self.room.uncounted else self.quiet_until


class Case:
    """One step: the values as they become, and the effects in order."""

    def __init__(self, conversation: Conversation, world: World) -> None:
        self.room = conversation.room
        self.turn = conversation.turn
        self.waiting = conversation.waiting
        self.quiet_until = conversation.quiet_until
        self.counting = conversation.counting
        self.attempt = conversation.attempt
        self.world = world
        self.effects: list[Effect] = []

    def result(self) -> tuple[Conversation, tuple[Effect, ...]]:
        """Return what has become of the conversation."""
        conversation = Conversation(
            self.room, self.turn, self.waiting, self.quiet_until, self.counting, self.attempt
        )
        return conversation, in_parts(self.effects, self.world.now)

    def do(self, effects: Iterable[Effect]) -> None:
        """Add what a command wants; what follows in the same step finds it done."""
        for effect in effects:
            self.effects.append(effect)
            if isinstance(effect, SavePreferences):
                self.world = self.world.with_preferences(effect.user_id, effect.preferences)
            elif isinstance(effect, TookPlatformChatId):
                following = str(int(effect.platform_chat_id) + 1)
                self.world = replace(self.world, next_platform_chat_id=following)

    def fresh_txn(self, step: str) -> TxnId:
        """Return a transaction id for what no message asked for: room, step and time."""
        return TxnId(f"{self.room.room_id}.{step}.{int(self.world.now * 1000)}")

    def say(self, text: str, step: str) -> None:
        """Send a notice that answers no message."""
        message = SendMessage(self.room.room_id, text, notice=True)
        self.effects.append(Send(message, self.fresh_txn(step)))
