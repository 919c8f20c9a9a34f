"""For every machine: rows in each state, and for each event values that make its guards true and false."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from machines import binding, facts, happenings, lifecycle, orders, room, turn, user
from machines.draft import AnswerText
from machines.ids import ActorKey, AgentId, EventId, RoomId, TxnId, UserId
from machines.reply import Part, Reply, checksum
from machines.table import Table
from machines.talk import AgentRequest, ContextOrder
from machines.turn_state import ActiveTurn, Attempt, Turn
from machines.world import World
from tests.machines.support import make_world

ROOM_ID = RoomId("!chat")
ANNA = UserId("@anna:example.org")
CHAT = binding.Binding("chat", ANNA, "C1", "7", AgentId("default"), RoomId("!space"))
ENTRY = binding.Binding("entry", ANNA)
ASKED = happenings.Asked(RoomId("!entry"), EventId("$asked"))
NEW_CHAT = user.NewChat("C1", "7", AgentId("default"), "Chat 1")
REQUEST = AgentRequest(AgentId("default"), "7", "$question", "What is it?")
REPLY = Reply(ROOM_ID, EventId("$question"))
SHOWN = replace(
    REPLY, parts=(Part(TxnId("$question.1"), 2, checksum("It is"), True),), shown_at=90.0
)


@dataclass(frozen=True)
class Machine:
    """One machine with what it can be tried with. `rows` are in no particular state.

    `context` is the third argument of its guards and actions, where they take one.
    """

    table: Table[Any]
    rows: tuple[Any, ...]
    facts: tuple[Any, ...]
    context: World | None = None

    @property
    def name(self) -> str:
        return self.table.name

    def situations(self) -> Iterator[tuple[Any, Any]]:
        """Every row in every state, with every fact."""
        for state in self.table.states:
            for row in self.rows:
                for fact in self.facts:
                    yield self.table.with_state(row, state), fact


LIFECYCLE = Machine(
    lifecycle.LIFECYCLE,
    rows=(lifecycle.Life(), lifecycle.Life(was_live=True)),
    facts=(
        lifecycle.Started(),
        lifecycle.LoggedIn(),
        lifecycle.SyncedOnce(),
        lifecycle.Reconciled(),
        lifecycle.SoftLoggedOut(),
        lifecycle.StopRequested(),
        lifecycle.Drained(),
        lifecycle.GaveUp(),
    ),
)
ROOM = Machine(
    room.ROOM,
    rows=(
        room.Room(ROOM_ID),
        room.Room(ROOM_ID, binding=CHAT, repaired_at=1000.1, encrypted=True),
        room.Room(ROOM_ID, binding=ENTRY, onboards=ANNA, repaired_at=1000.0),
    ),
    facts=(
        facts.InviteArrived(ROOM_ID, ANNA, encrypted=False),
        facts.InviteArrived(ROOM_ID, ANNA, encrypted=True),
        orders.Joined(ROOM_ID, encrypted=False),
        orders.Joined(ROOM_ID, encrypted=True),
        room.JoinRefused(),
        happenings.RoomMade(CHAT, "Chat 1"),
        happenings.RoomCompleted(CHAT, "Chat 1"),
        room.UserWrote(),
        room.RepairDue(),
        happenings.TopologyConfirmed(CHAT, "Chat 1", encrypted=False, backfill=True),
        happenings.TopologyConfirmed(ENTRY, "", encrypted=True, backfill=False, others=1),
        happenings.TopologyRefused("nobody knows it", {"reason": "nobody knows it"}, ANNA),
        happenings.TopologyRefused("nobody knows it", {}, at_start=True),
        room.DifferenceFound(),
        facts.BotRemoved(ROOM_ID, None, None, "kicked"),
    ),
    context=make_world(1060.0),
)
TURN_ID = EventId("$question")
TURN = Machine(
    turn.TURN,
    rows=(
        ActiveTurn(Turn(TURN_ID, REQUEST, REPLY, gives_up_at=120.0)),
        ActiveTurn(
            Turn(
                TURN_ID,
                REQUEST,
                SHOWN,
                tries=3,
                gives_up_at=100.0,
                ends_at=100.1,
                retry_at=99.0,
                fault="no frame for 30 s",
                trouble="silent",
            ),
            Attempt(AnswerText("It is a long"), status="searching", first_text_at=88.0),
        ),
        ActiveTurn(Turn(TURN_ID, REQUEST, SHOWN, retry_at=100.1, ends_at=100.0, shown="It is")),
        ActiveTurn(
            Turn(
                TURN_ID,
                replace(REQUEST, context=ContextOrder("save", "lunch")),
                replace(REPLY, notice=True),
                retry_at=100.1,
            )
        ),
    ),
    facts=(
        happenings.TurnBegan(),
        happenings.Resumed(),
        happenings.CallDelayed(TURN_ID, 1),
        happenings.CallStarted(TURN_ID, 1),
        happenings.AgentOutput(
            TURN_ID, 1, AnswerText("It is a long story"), happenings.Activity("tool", "search")
        ),
        happenings.AgentDone(TURN_ID, 1, "It is a long story.", 5),
        happenings.AgentDone(
            TURN_ID, 1, "May I?", 5, happenings.Confirmation("q", "Really?", ""), ("/tmp/a.txt",)
        ),
        happenings.AnswerTooLong(TURN_ID, 1, AnswerText("It is a very long story")),
        happenings.AttemptFailed(TURN_ID, 1, "silent", "no frame for 30 s", retryable=True),
        happenings.AttemptFailed(TURN_ID, 1, "BAD_INPUT", "refused", retryable=False),
        happenings.TimePassed(),
        happenings.RoomLost("the room could not be restored"),
        happenings.UserStopped(),
    ),
    context=make_world(100.0),
)
USER = Machine(
    user.USER,
    rows=(
        user.User(ANNA, asked=ASKED, chat=NEW_CHAT, made=RoomId("!made")),
        user.User(
            ANNA,
            space_id=RoomId("!space"),
            next_chat_index=4,
            asked=ASKED,
            chat=NEW_CHAT,
            made=RoomId("!made"),
        ),
    ),
    facts=(
        user.SpaceWanted(ASKED, "@anna:example.org.1"),
        user.ChatWanted(ASKED, "Plans"),
        user.NameKnown("Anna", TxnId("@anna:example.org.1.name")),
        user.SpaceMade(RoomId("!space")),
        user.ChatMade(RoomId("!made")),
        user.ChatLinked(),
        user.StepRefused(),
    ),
    context=make_world(),
)
MACHINES = (LIFECYCLE, ROOM, TURN, USER)
MODULES = {"BotLifecycle": lifecycle, "RoomMachine": room, "TurnMachine": turn, "UserMachine": user}
NO_EVENTS: dict[str, set[str]] = {
    "BotLifecycle": {"Life"},
    "RoomMachine": {"Room"},
    "TurnMachine": set(),
    "UserMachine": {"NewChat", "User"},
}
"""The structs of each machine's file that are rows, their parts, or effects, and no events."""

KEY = ActorKey(ROOM_ID)
