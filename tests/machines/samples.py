"""Samples for every machine: rows in each state, and values of each event that make its guards true and false."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from machines.bot import machine as bot_machine
from machines.context import StepContext
from machines.events import internal as internal_events
from machines.events import matrix as matrix_events
from machines.events import orders
from machines.events.agent import AgentRequest, ContextRequest
from machines.fsm import Table
from machines.ids import ActorKey, AgentId, EventId, RoomId, TxnId, UserId
from machines.room import binding
from machines.room import machine as room_machine
from machines.room.state import Room
from machines.turn import machine as turn_machine
from machines.turn.answer_text import AnswerText
from machines.turn.reply import Part, Reply, checksum
from machines.turn.state import ActiveTurn, Attempt, Turn
from machines.user import machine as user_machine
from tests.machines.support import make_context

ROOM_ID = RoomId("!chat")
ANNA = UserId("@anna:example.org")
CHAT = binding.Binding("chat", ANNA, "C1", "7", AgentId("default"), RoomId("!space"))
ENTRY = binding.Binding("entry", ANNA)
ASKED = internal_events.ReplyTarget(RoomId("!entry"), EventId("$asked"))
NEW_CHAT = user_machine.NewChat("C1", "7", AgentId("default"), "Chat 1")
REQUEST = AgentRequest(AgentId("default"), "7", "$question", "What is it?")
REPLY = Reply(ROOM_ID, EventId("$question"))
SHOWN = replace(
    REPLY, parts=(Part(TxnId("$question.1"), 2, checksum("It is"), True),), shown_at=90.0
)


@dataclass(frozen=True)
class Machine:
    """One machine with sample rows and events. `rows` are in no particular state.

    `context` is the third argument of its guards and actions, where they take one.
    """

    table: Table[Any]
    rows: tuple[Any, ...]
    events: tuple[Any, ...]
    context: StepContext | None = None

    @property
    def name(self) -> str:
        return self.table.name

    def cases(self) -> Iterator[tuple[Any, Any]]:
        """Yield every row in every state, with every event."""
        for state in self.table.states:
            for row in self.rows:
                for trigger in self.events:
                    yield self.table.with_state(row, state), trigger


BOT = Machine(
    bot_machine.BOT,
    rows=(bot_machine.BotState(), bot_machine.BotState(was_live=True)),
    events=(
        bot_machine.Started(),
        bot_machine.LoggedIn(),
        bot_machine.SyncedOnce(),
        bot_machine.Reconciled(),
        bot_machine.SoftLoggedOut(),
        bot_machine.StopRequested(),
        bot_machine.Drained(),
        bot_machine.GaveUp(),
    ),
)
ROOM = Machine(
    room_machine.ROOM,
    rows=(
        Room(ROOM_ID),
        Room(ROOM_ID, binding=CHAT, last_repair_at=1000.1, encrypted=True),
        Room(ROOM_ID, binding=ENTRY, onboarding_user=ANNA, last_repair_at=1000.0),
    ),
    events=(
        matrix_events.InviteArrived(ROOM_ID, ANNA, encrypted=False),
        matrix_events.InviteArrived(ROOM_ID, ANNA, encrypted=True),
        orders.Joined(ROOM_ID, encrypted=False),
        orders.Joined(ROOM_ID, encrypted=True),
        room_machine.JoinRefused(),
        internal_events.RoomMade(CHAT, "Chat 1"),
        internal_events.RoomCompleted(CHAT, "Chat 1"),
        room_machine.UserWrote(),
        room_machine.RepairDue(),
        internal_events.TopologyConfirmed(CHAT, "Chat 1", encrypted=False, backfill=True),
        internal_events.TopologyConfirmed(ENTRY, "", encrypted=True, backfill=False, others=1),
        internal_events.TopologyRefused("nobody knows it", {"reason": "nobody knows it"}, ANNA),
        internal_events.TopologyRefused("nobody knows it", {}, at_start=True),
        room_machine.DifferenceFound(),
        matrix_events.BotRemoved(ROOM_ID, None, None, "kicked"),
    ),
    context=make_context(1060.0),
)
TURN_ID = EventId("$question")
TURN = Machine(
    turn_machine.TURN,
    rows=(
        ActiveTurn(Turn(TURN_ID, REQUEST, REPLY, gives_up_at=120.0)),
        ActiveTurn(
            Turn(
                TURN_ID,
                REQUEST,
                SHOWN,
                attempt=3,
                gives_up_at=100.0,
                ends_at=100.1,
                retry_at=99.0,
                failure_reason="no frame for 30 s",
                failure_kind="silent",
            ),
            Attempt(
                AnswerText("It is a long"), status="searching", first_text_at=88.0, shows_text=True
            ),
        ),
        *(
            ActiveTurn(
                Turn(TURN_ID, REQUEST, REPLY, begun_at=at, retry_at=200.0, gives_up_at=200.0)
            )
            for at in (80.0, 95.0)
        ),
        ActiveTurn(Turn(TURN_ID, REQUEST, SHOWN, retry_at=100.1, ends_at=100.0, shown="It is")),
        ActiveTurn(
            Turn(
                TURN_ID,
                replace(REQUEST, context=ContextRequest("save", "lunch")),
                replace(REPLY, notice=True),
                retry_at=100.1,
            )
        ),
    ),
    events=(
        internal_events.TurnBegan(),
        internal_events.Resumed(),
        internal_events.CallDelayed(TURN_ID, 1),
        internal_events.CallStarted(TURN_ID, 1),
        internal_events.AgentOutput(
            TURN_ID, 1, AnswerText("It is a long story"), internal_events.Activity("tool", "search")
        ),
        internal_events.AgentDone(TURN_ID, 1, "It is a long story.", 5),
        internal_events.AgentDone(
            TURN_ID,
            1,
            "May I?",
            5,
            internal_events.Confirmation("q", "Really?", ""),
            ("/tmp/a.txt",),
        ),
        internal_events.AnswerTooLong(TURN_ID, 1, AnswerText("It is a very long story")),
        internal_events.AttemptFailed(TURN_ID, 1, "silent", "no frame for 30 s", retryable=True),
        internal_events.AttemptFailed(TURN_ID, 1, "BAD_INPUT", "refused", retryable=False),
        internal_events.TimePassed(),
        internal_events.RoomLost("the room could not be restored"),
        internal_events.UserStopped(),
    ),
    context=make_context(100.0),
)
USER = Machine(
    user_machine.USER,
    rows=(
        user_machine.User(ANNA, reply_to=ASKED, chat=NEW_CHAT, new_room_id=RoomId("!new")),
        user_machine.User(
            ANNA,
            space_id=RoomId("!space"),
            next_chat_index=4,
            reply_to=ASKED,
            chat=NEW_CHAT,
            new_room_id=RoomId("!new"),
        ),
    ),
    events=(
        user_machine.SpaceRequested(ASKED, "@anna:example.org.1"),
        user_machine.ChatRequested(ASKED, "Plans"),
        user_machine.NameKnown("Anna", TxnId("@anna:example.org.1.name")),
        user_machine.SpaceCreated(RoomId("!space")),
        user_machine.ChatCreated(RoomId("!new")),
        user_machine.ChatLinked(),
        user_machine.StepRefused(),
    ),
    context=make_context(),
)
MACHINES = (BOT, ROOM, TURN, USER)
MODULES = {
    "BotMachine": bot_machine,
    "RoomMachine": room_machine,
    "TurnMachine": turn_machine,
    "UserMachine": user_machine,
}
NO_EVENTS: dict[str, set[str]] = {
    "BotMachine": {"BotState"},
    "RoomMachine": set(),
    "TurnMachine": set(),
    "UserMachine": {"NewChat", "User"},
}
"""The structs of each machine's file that are no events."""

KEY = ActorKey(ROOM_ID)
