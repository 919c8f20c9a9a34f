"""Scenarios of one room or one user: events in order, each at a time that the test chooses."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from msgspec.structs import replace

from machines.access import Access
from machines.context import StepContext
from machines.events.effects import (
    Ack,
    CallAgent,
    DeadLetter,
    Effect,
    Enqueue,
    ReservePlatformChatId,
    SavePreferences,
    Tell,
)
from machines.events.internal import (
    AgentDone,
    AgentOutput,
    AnswerReady,
    AttemptFailed,
    Confirmation,
    OrderDone,
    TimePassed,
)
from machines.events.matrix import MessageArrived, QuestionShown
from machines.events.orders import JoinRoom, Outcome, SendMessage
from machines.i18n import TEMPLATES, Catalog, catalog_for
from machines.ids import AgentId, EventId, RoomId, TxnId, UserId
from machines.room import actor as room_actor
from machines.room.actor import RoomActor
from machines.room.binding import Binding
from machines.room.state import Room
from machines.turn.answer_text import AnswerText
from machines.user import actor as user_actor
from machines.user.actor import UserActor
from machines.user.machine import User
from machines.user.preferences import Preferences

BOT = UserId("@lambda:example.org")
ANNA = UserId("@anna:example.org")
BERT = UserId("@bert:example.org")
STRANGER = UserId("@mallory:elsewhere.net")
ROOM = RoomId("!chat")
SPACE = RoomId("!space")
ENTRY = RoomId("!entry")
AGENT = AgentId("default")
CATALOG: Catalog = catalog_for("en", "Lambda")
CHAT_BINDING = Binding("chat", ANNA, "C1", "7", AGENT, SPACE)


@dataclass(frozen=True)
class FewAgents:
    """Agents by id; the first is the default of every user."""

    known: tuple[str, ...] = ("default",)

    def default_for(self, user_id: UserId) -> AgentId:
        return AgentId(self.known[0])

    def knows(self, agent_id: AgentId) -> bool:
        return agent_id in self.known

    def all(self) -> tuple[AgentId, ...]:
        return tuple(AgentId(each) for each in self.known)

    def label(self, agent_id: AgentId) -> str:
        return f"the {agent_id} agent"


def make_context(
    now: float = 1000.0,
    *,
    allowed: tuple[str, ...] = (),
    agents: Iterable[str] = ("default",),
    next_context: str = "8",
    agent_retry_s: float = 120.0,
    agent_max_turn_s: float = 1800.0,
    chosen: Mapping[UserId, Preferences] = MappingProxyType({}),
    message_pending: bool = False,
) -> StepContext:
    return StepContext(
        now=now,
        catalog=CATALOG,
        catalogs={each: catalog_for(each, "Lambda") for each in TEMPLATES},
        access=Access(BOT, allowed),
        agents=FewAgents(tuple(agents)),
        preferences=lambda user_id: chosen.get(user_id, Preferences()),
        next_platform_chat_id=next_context,
        agent_retry_s=agent_retry_s,
        agent_max_turn_s=agent_max_turn_s,
        message_pending=message_pending,
    )


def chat_room(**changes: Any) -> Room:
    room = Room(ROOM, "bound", 1.0, "linked into its Space", CHAT_BINDING, "Chat 1")
    return replace(room, **changes)


def without_newest(room: Room) -> Room:
    """Return a room without its newest message, which every message changes."""
    return replace(room, chat_context=replace(room.chat_context, newest=None))


def entry_room(**changes: Any) -> Room:
    room = Room(ENTRY, "bound", 1.0, "the homeserver shows it", Binding("entry", ANNA), others=1)
    return replace(room, **changes)


@dataclass
class StepResult:
    """The effects of one step, and selections of them."""

    effects: tuple[Effect, ...]

    def of(self, kind: type) -> list[Any]:
        return [effect for effect in self.effects if isinstance(effect, kind)]

    @property
    def orders(self) -> list[Any]:
        return [send.order for send in self.of(Enqueue)]

    @property
    def messages(self) -> list[SendMessage]:
        """The messages to send; an answer that a user's actor hands to a room counts as the room's notice."""
        messages = []
        for effect in self.effects:
            if isinstance(effect, Enqueue) and isinstance(effect.order, SendMessage):
                messages.append(effect.order)
            elif isinstance(effect, Tell) and isinstance(effect.event, AnswerReady):
                reply_to, text = effect.event.reply_to, effect.event.text
                messages.append(
                    SendMessage(reply_to.room_id, text, notice=True, answers=reply_to.event_id)
                )
        return messages

    @property
    def texts(self) -> list[str]:
        return [message.body for message in self.messages]

    @property
    def acked(self) -> list[int]:
        return [effect.seq for effect in self.of(Ack)]

    @property
    def dead_lettered(self) -> list[int]:
        return [effect.seq for effect in self.of(DeadLetter)]

    @property
    def tells(self) -> list[Tell]:
        return self.of(Tell)

    @property
    def only_call(self) -> CallAgent:
        (call,) = self.of(CallAgent)
        assert isinstance(call, CallAgent)
        return call


@dataclass
class RoomScenario:
    """One room and the events that its actor handles."""

    room: Room = field(default_factory=chat_room)
    now: float = 1000.0
    context_options: dict[str, Any] = field(default_factory=dict)
    seq: int = 0
    messages: int = 0

    def __post_init__(self) -> None:
        self.actor = RoomActor(self.room)
        self.effects: list[Effect] = []
        self.preferences: dict[UserId, Preferences] = {}

    def handle(
        self, event: Any, *, stored: bool = False, received_at: float | None = None
    ) -> StepResult:
        """Handle an event; `stored` if it is a row of the inbox."""
        seq = 0
        if stored:
            self.seq += 1
            seq = self.seq
        context = make_context(self.now, chosen=self.preferences, **self.context_options)
        self.actor, effects = room_actor.handle(self.actor, event, context, seq, received_at)
        self.effects += effects
        result = StepResult(effects)
        for saved in result.of(SavePreferences):
            self.preferences[saved.user_id] = saved.preferences
        return result

    def user_writes(
        self, body: str, sender: UserId = ANNA, thread_root: EventId | None = None
    ) -> StepResult:
        """A user writes; the events are `$1`, `$2`, …"""
        self.messages += 1
        event_id = EventId(f"${self.messages}")
        room_id = self.actor.room.room_id
        return self.handle(
            MessageArrived(room_id, event_id, sender, body, 0, thread_root), stored=True
        )

    def time_passes(self, seconds: float) -> StepResult:
        """Let time pass, and then the room's timer."""
        self.now += seconds
        return self.handle(TimePassed())

    def agent_output(self, text: str) -> StepResult:
        turn = self.actor.turn
        assert turn is not None
        return self.handle(AgentOutput(turn.turn_id, turn.attempt, AnswerText(text)))

    def agent_done(self, text: str, asks: Confirmation | None = None) -> StepResult:
        turn = self.actor.turn
        assert turn is not None
        return self.handle(AgentDone(turn.turn_id, turn.attempt, text, 5, asks))

    def question_shown(self) -> StepResult:
        """The timeline has the last message that shows an open question."""
        shown = [
            message
            for message in StepResult(tuple(self.effects)).messages
            if message.shows_question
        ]
        question = shown[-1].shows_question
        assert question is not None
        event_id = EventId(f"$own{self.seq}")
        return self.handle(QuestionShown(self.actor.room.room_id, event_id, question), stored=True)

    def attempt_failed(self, kind: str = "broken_off", *, retryable: bool = True) -> StepResult:
        turn = self.actor.turn
        assert turn is not None
        return self.handle(AttemptFailed(turn.turn_id, turn.attempt, kind, "a reason", retryable))

    def order_done(
        self, txn_id: str, outcome: Outcome, answers: EventId | None = None
    ) -> StepResult:
        return self.handle(OrderDone(TxnId(txn_id), outcome, answers), stored=True)

    def join_done(self, outcome: Outcome) -> StepResult:
        """The homeserver has answered the last order to join a room."""
        sends = [each for each in self.effects if isinstance(each, Enqueue)]
        join = [send for send in sends if isinstance(send.order, JoinRoom)][-1]
        return self.order_done(join.txn_id, outcome)


@dataclass
class UserScenario:
    """One user and the events that their actor handles."""

    user: User = field(default_factory=lambda: User(ANNA))
    now: float = 1000.0
    next_context: int = 8
    context_options: dict[str, Any] = field(default_factory=dict)
    seq: int = 0

    def __post_init__(self) -> None:
        self.actor = UserActor(self.user)

    def handle(self, event: Any) -> StepResult:
        self.seq += 1
        context = make_context(
            self.now, next_context=str(self.next_context), **self.context_options
        )
        self.actor, effects = user_actor.handle(self.actor, event, self.seq, context)
        result = StepResult(effects)
        for reserved in result.of(ReservePlatformChatId):
            assert reserved.platform_chat_id == str(self.next_context)
            self.next_context += 1
        return result

    def order_done(self, send: Enqueue, outcome: Outcome) -> StepResult:
        """The homeserver has carried out what a step ordered."""
        return self.handle(OrderDone(send.txn_id, outcome))
