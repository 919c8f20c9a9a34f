"""Collects the effects of one batch: those that are committed, and those that are performed after the commit."""

from typing import assert_never

from msgspec import Struct
from msgspec.structs import asdict

from actors.context import ContextProvider
from machines.context import StepContext
from machines.events.effects import (
    Ack,
    CallAgent,
    CancelCall,
    DeadLetter,
    DropEdits,
    Effect,
    Enqueue,
    Log,
    MarkRead,
    Reconcile,
    RecordFailedTurn,
    RecordTransition,
    ReservePlatformChatId,
    SavePreferences,
    ShowTyping,
    Tell,
)
from machines.events.orders import Order, SendMessage
from machines.ids import ActorKey, TxnId, UserId
from machines.room.actor import RoomActor
from machines.user.actor import UserActor
from machines.user.preferences import Preferences
from store.records import FailedTurn, OutboxRow, TransitionRecord, UnitOfWork

VolatileEffect = CallAgent | CancelCall | Reconcile | ShowTyping | MarkRead | Log
"""The effects that are performed after the commit and need no row."""


class EffectCollector(Struct):
    """The effects of one batch, sorted by where they go."""

    key: ActorKey
    before: RoomActor | UserActor
    acked: list[int] = []
    dead_letters: list[tuple[int, str]] = []
    deliveries: list[tuple[ActorKey, Struct]] = []
    orders: list[OutboxRow] = []
    dropped: list[TxnId] = []
    transitions: list[TransitionRecord] = []
    failed_turns: list[FailedTurn] = []
    volatile: list[VolatileEffect] = []
    platform_chat_seq: int | None = None
    preferences: list[tuple[UserId, Preferences]] = []

    def add(self, effect: Effect, context: StepContext, context_provider: ContextProvider) -> None:
        """Add one effect."""
        match effect:
            case Enqueue(order=order, txn_id=txn_id, not_before=not_before, reports=reports):
                lane = getattr(order, "room_id", self.key)
                self.orders.append(
                    OutboxRow(txn_id, lane, self.key, order, reports, not_before, context.now)
                )
            case Ack(seq=seq):
                self.acked.append(seq)
            case CallAgent() | CancelCall() | ShowTyping() | MarkRead() | Reconcile() | Log():
                self.volatile.append(effect)
            case DropEdits(edits=edits):
                self.dropped.append(edits)
                self.orders = [row for row in self.orders if not _is_dropped(row.order, edits)]
            case DeadLetter(seq=seq, reason=reason):
                self.dead_letters.append((seq, reason))
            case Tell(actor=actor, event=event):
                self.deliveries.append((actor, event))
            case RecordTransition():
                self.transitions.append(TransitionRecord(self.key, context.now, **asdict(effect)))
            case RecordFailedTurn():
                self.failed_turns.append(FailedTurn(self.key, context.now, **asdict(effect)))
            case SavePreferences(user_id=user_id, preferences=preferences):
                self.preferences.append((user_id, preferences))
                context_provider.set_preferences(user_id, preferences)
            case ReservePlatformChatId(platform_chat_id=reserved):
                self.platform_chat_seq = int(reserved)
                context_provider.raise_platform_chat_seq(self.platform_chat_seq)
            case _:
                assert_never(effect)

    def unit_of_work(self, after: RoomActor | UserActor) -> UnitOfWork:
        """Return what the batch commits; of the actor's own rows only those that changed."""
        room = turn = turn_ended = user = None
        before = self.before
        if isinstance(after, RoomActor) and isinstance(before, RoomActor):
            room = after.room if after.room != before.room else None
            turn = after.turn if after.turn != before.turn else None
            ended = before.turn is not None and after.turn is None
            turn_ended = after.room.room_id if ended else None
        elif isinstance(after, UserActor) and isinstance(before, UserActor):
            user = after.user if after.user != before.user else None
        return UnitOfWork(
            room=room,
            turn=turn,
            turn_ended=turn_ended,
            user=user,
            acked=tuple(self.acked),
            dead_letters=tuple(self.dead_letters),
            deliveries=tuple(self.deliveries),
            orders=tuple(self.orders),
            dropped_edits=tuple(self.dropped),
            transitions=tuple(self.transitions),
            failed_turns=tuple(self.failed_turns),
            platform_chat_seq=self.platform_chat_seq,
            preferences=tuple(self.preferences),
        )


def _is_dropped(order: Order, edits: TxnId) -> bool:
    """Whether an order of this batch is an intermediate edit of the message."""
    return isinstance(order, SendMessage) and order.droppable and order.edits == edits
