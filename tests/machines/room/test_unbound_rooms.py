"""Work and a room that is not bound never rest together: looks, notices, and an end after a day (C8, C10, C11)."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from machines import commands
from machines.errors import IllegalEvent
from machines.events.effects import (
    CallAgent,
    CancelCall,
    DeadLetter,
    Enqueue,
    Log,
    Reconcile,
    RecordTransition,
)
from machines.events.internal import (
    AgentOutput,
    OrderDone,
    Resumed,
    RoomCompleted,
    RoomMade,
    TimePassed,
    TopologyConfirmed,
    TopologyRefused,
)
from machines.events.matrix import (
    BotRemoved,
    BotReturned,
    EncryptionEnabled,
    InviteArrived,
    MemberChanged,
    MessageArrived,
)
from machines.events.orders import Joined, Refused
from machines.ids import EventId, TxnId
from machines.room.actor import RoomActor
from machines.room.machine import Room
from machines.room.step_draft import WaitingMessage
from machines.turn.answer_text import AnswerText
from tests.machines.support import ANNA, CATALOG, CHAT_BINDING, ROOM, RoomScenario, StepResult

NOTHING = TopologyRefused("nothing it could be", {"room_id": ROOM})
A_CHAT = TopologyConfirmed(CHAT_BINDING, "Chat 1", False, False)
JOIN = TxnId(f"{ROOM}.join.1000000")
DAY_S = 24 * 3600.0
HOUR_S = 3600.0
NOTICE = CATALOG.room_recovery_failed()


class Unbound(RoomScenario):
    """A room whose looks fail, and a process that can be restarted."""

    def restarts(self) -> StepResult:
        """The process ends; the next one loads the rows, and is told of the messages that wait in them."""
        waiting, scenario = self.actor.waiting, self
        self.actor = RoomActor(self.actor.room, self.actor.turn)
        result = self.handle(Resumed())
        effects = result.effects
        for each in waiting:
            scenario.seq = each.seq - 1
            effects += self.handle(each.message, stored=True).effects
        return StepResult(effects)

    def failed_repairs(self, result: TopologyConfirmed | TopologyRefused = NOTHING) -> StepResult:
        """The look that is under way ends."""
        assert self.actor.room.repair_pending
        return self.handle(result)

    def waits(self) -> float:
        """Time passes until the room is due, and the look that is made then fails; returns how long it was."""
        due_at = self.actor.due_at()
        assert due_at is not None
        distance_s = due_at - self.now
        assert self.time_passes(distance_s).of(Reconcile) == [Reconcile()]
        self.failed_repairs()
        return distance_s

    def fails_until(self, done: Callable[[], bool]) -> None:
        """One look after the other fails."""
        for _ in range(100):
            if done():
                return
            self.waits()
        raise AssertionError("a hundred looks do not lead there")

    @property
    def notices(self) -> int:
        sends = [each for each in self.effects if isinstance(each, Enqueue)]
        return sum(getattr(send.order, "body", "") == NOTICE for send in sends)

    @property
    def warnings(self) -> int:
        return sum(isinstance(each, Log) and each.warning for each in self.effects)


def failed_room() -> Unbound:
    scenario = Unbound(Room(ROOM))
    scenario.user_writes("first")
    scenario.failed_repairs()
    assert (scenario.actor.room.state, scenario.notices, scenario.warnings) == ("failed", 1, 1)
    return scenario


def lost_at_start(*waiting: str, streaming: bool = False) -> Unbound:
    """A chat with a turn in hand, which the start of the next process finds to be nothing."""
    scenario = Unbound()
    scenario.user_writes("question")
    if streaming:
        scenario.agent_output("So far")
        scenario.time_passes(1.0)
    for text in waiting:
        scenario.user_writes(text)
    room = replace(scenario.actor.room, state="failed", last_repair_at=0.0)
    scenario.actor = replace(scenario.actor, room=room)
    return scenario


# -- C8: how often it is looked at, and how often people hear of it ---------------------------------


def test_while_nobody_writes_the_looks_grow_apart_and_nobody_is_told():
    scenario = failed_room()
    distances_s = [scenario.waits() for _ in range(9)]
    assert distances_s == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    assert (scenario.notices, scenario.warnings) == (1, 1)


def test_a_silent_failure_is_kept_with_its_report():
    scenario = failed_room()
    scenario.time_passes(60.0)
    (record,) = scenario.failed_repairs().of(RecordTransition)
    assert (record.source, record.target) == ("reconciling", "failed")
    assert record.report == {"room_id": ROOM}


def test_one_message_has_one_notice_in_a_day():
    scenario = failed_room()
    scenario.fails_until(lambda: scenario.actor.due_at() is None)
    assert scenario.now >= 1000.0 + DAY_S
    assert (scenario.notices, scenario.warnings) == (1, 1)


def test_a_message_brings_the_next_look_back_to_a_minute_after_the_last():
    scenario = failed_room()
    for _ in range(4):
        scenario.waits()
    scenario.now += 20.0
    assert scenario.user_writes("anybody?").of(Reconcile) == []
    assert scenario.actor.due_at() == scenario.now + 40.0
    assert scenario.waits() == 40.0
    assert (scenario.notices, scenario.warnings) == (2, 2)
    assert [scenario.waits() for _ in range(2)] == [60.0, 120.0]
    assert (scenario.notices, scenario.warnings) == (2, 2)


def test_a_message_after_that_minute_has_its_look_at_once():
    scenario = failed_room()
    for _ in range(4):
        scenario.waits()
    scenario.now += 61.0
    assert scenario.user_writes("anybody?").of(Reconcile) == [Reconcile()]


def test_a_message_that_comes_while_the_room_is_looked_at_is_told_of_the_failure():
    scenario = failed_room()
    scenario.time_passes(60.0)
    scenario.user_writes("and now?")
    assert scenario.failed_repairs().texts == [NOTICE]
    assert scenario.actor.due_at() == scenario.now + 60.0


def test_ten_restarts_with_one_waiting_message_give_one_notice():
    scenario = failed_room()
    for _ in range(10):
        scenario.now += 61.0
        assert scenario.restarts().of(Reconcile) == [Reconcile()], "a restart may look at once"
        scenario.failed_repairs()
    assert (scenario.notices, scenario.warnings) == (1, 1)


def test_a_restart_does_not_look_sooner_than_a_minute_after_the_last_look():
    scenario = failed_room()
    for _ in range(5):
        scenario.waits()
    scenario.now += 10.0
    assert scenario.restarts().of(Reconcile) == []
    assert scenario.actor.due_at() == scenario.now + 50.0


def test_the_notice_that_a_command_has_at_once_stands_for_the_look_after_it():
    scenario = failed_room()
    assert scenario.user_writes("!help").texts == [NOTICE]
    scenario.waits()
    assert scenario.notices == 2


def test_a_repaired_room_that_fails_again_is_told_of_again():
    scenario = failed_room()
    scenario.time_passes(60.0)
    scenario.failed_repairs(A_CHAT)
    scenario.handle(BotRemoved(ROOM, EventId("$out"), ANNA, "kicked"), stored=True)
    scenario.user_writes("hello?")
    assert scenario.failed_repairs().texts == [NOTICE]


def test_a_turn_of_a_repaired_room_that_is_lost_again_is_told_of_again():
    scenario = failed_room()
    scenario.time_passes(60.0)
    scenario.failed_repairs(A_CHAT)
    assert scenario.actor.turn is not None
    scenario.actor = replace(
        scenario.actor, room=replace(scenario.actor.room, state="failed", last_repair_at=0.0)
    )
    scenario.handle(Resumed())
    assert scenario.failed_repairs().texts == [NOTICE]


def test_a_bot_that_came_back_into_a_failed_room_says_that_it_failed_again():
    scenario = failed_room()
    scenario.handle(BotReturned(ROOM, EventId("$in")), stored=True)
    assert scenario.failed_repairs().texts == [NOTICE]


# -- C8: the end after a day -----------------------------------------------------------------------


def test_what_came_in_between_is_answered_if_the_repair_succeeds_within_a_day():
    scenario = failed_room()
    scenario.fails_until(lambda: scenario.now >= 1000.0 + DAY_S - 2 * HOUR_S)
    due_at = scenario.actor.due_at()
    assert due_at is not None
    scenario.time_passes(due_at - scenario.now)
    assert scenario.failed_repairs(A_CHAT).only_call.request.text == "first"


def test_a_message_that_has_waited_a_day_is_set_aside_when_a_look_fails():
    scenario = failed_room()
    scenario.fails_until(lambda: not scenario.actor.waiting)
    (aside,) = [each for each in scenario.effects if isinstance(each, DeadLetter)]
    assert aside.seq == 1
    assert len(aside.reason.split()) > 3
    assert 1000.0 + DAY_S <= scenario.now < 1000.0 + DAY_S + HOUR_S
    assert scenario.actor.due_at() is None


def test_a_message_waits_for_the_look_though_its_day_is_over():
    scenario = failed_room()
    scenario.now += 3 * DAY_S
    assert scenario.restarts().dead_lettered == [], (
        "the bot was away, and the room may be well by now"
    )
    assert scenario.failed_repairs(A_CHAT).only_call.request.text == "first"


def test_a_younger_message_waits_on():
    scenario = failed_room()
    scenario.fails_until(lambda: scenario.now >= 1000.0 + DAY_S - 2 * HOUR_S)
    scenario.user_writes("second")
    scenario.fails_until(lambda: len(scenario.actor.waiting) < 2)
    assert [each.message.body for each in scenario.actor.waiting] == ["second"]


def test_a_message_counts_from_when_it_was_received_not_from_when_it_was_read():
    scenario = failed_room()
    first = scenario.actor.waiting[0].message
    scenario.now += DAY_S
    scenario.time_passes(0.0)
    scenario.failed_repairs()
    world_now, scenario.actor = scenario.now, RoomActor(scenario.actor.room)
    result = scenario.handle(first, stored=True, received_at=world_now - DAY_S)
    assert result.dead_lettered == [scenario.seq], "the look that failed came after its day"


def test_a_message_that_is_read_after_its_day_is_no_new_writing():
    """More messages may wait than a conversation holds; the others are read when those are set aside."""
    scenario = failed_room()
    scenario.fails_until(lambda: scenario.now > 1000.0 + DAY_S)
    message = MessageArrived(ROOM, EventId("$late"), ANNA, "behind them", 0)
    result = scenario.handle(message, stored=True, received_at=1000.0)
    assert result.dead_lettered == [scenario.seq]
    assert scenario.actor.room.failure_reported


def test_a_turn_is_given_up_after_a_day_and_its_reply_says_so():
    scenario = lost_at_start(streaming=True)
    scenario.handle(Resumed())
    scenario.failed_repairs()
    scenario.fails_until(lambda: scenario.actor.turn is None)
    assert scenario.notices == 1
    last = [each for each in scenario.effects if isinstance(each, Enqueue)][-1].order
    assert last.body == f"So far\n\n{CATALOG.agent_gave_up('not_restored')}"
    assert any(isinstance(each, CancelCall) for each in scenario.effects)
    assert (last.answers, last.partial) == ("$1", False)
    assert scenario.actor.due_at() is None
    assert scenario.now >= 1000.0 + DAY_S


# -- C11 -------------------------------------------------------------------------------------------


def test_a_turn_in_hand_has_its_room_looked_at_when_the_bot_goes_live_and_goes_on():
    scenario = lost_at_start()
    result = scenario.handle(Resumed())
    assert result.of(Reconcile) == [Reconcile()]
    assert result.of(CallAgent) == []
    assert scenario.failed_repairs(A_CHAT).only_call.request.text == "question"


def test_people_hear_once_that_their_turn_can_not_go_on():
    scenario = lost_at_start()
    scenario.handle(Resumed())
    scenario.failed_repairs()
    for _ in range(10):
        scenario.waits()
        scenario.now += 61.0
        scenario.restarts()
        scenario.failed_repairs()
    assert (scenario.notices, scenario.warnings) == (1, 1)


def test_a_failed_room_gets_a_look_for_what_waits_though_nobody_writes():
    scenario = Unbound(Room(ROOM, "failed", last_repair_at=990.0))
    scenario.actor = replace(scenario.actor, room=replace(scenario.actor.room, last_message_seq=1))
    scenario.handle(Resumed())
    assert scenario.user_writes("from before").of(Reconcile) == []
    assert scenario.actor.due_at() == 1050.0


def test_a_look_that_ended_with_the_process_is_ordered_again():
    scenario = Unbound(Room(ROOM))
    scenario.user_writes("hello")
    assert scenario.restarts().of(Reconcile) == [Reconcile()]
    assert scenario.failed_repairs(A_CHAT).only_call.request.text == "hello"


def test_what_waits_where_the_bot_is_put_out_waits_a_day_for_its_return():
    scenario = Unbound()
    scenario.user_writes("question")
    scenario.user_writes("second")
    result = scenario.handle(BotRemoved(ROOM, EventId("$out"), ANNA, "kicked"), stored=True)
    assert scenario.actor.turn is None
    assert result.of(Reconcile) == []
    assert (scenario.actor.room.state, scenario.actor.room.reason) == ("unregistered", "kicked")
    due_at = scenario.actor.due_at()
    assert due_at == scenario.now + DAY_S
    assert scenario.time_passes(DAY_S - 1.0).of(DeadLetter) == []
    assert [each.seq for each in scenario.time_passes(1.0).of(DeadLetter)] == [2]
    assert (scenario.actor.waiting, scenario.actor.due_at()) == ((), None)
    assert (scenario.actor.room.state, scenario.actor.room.reason) == ("unregistered", "kicked")


def test_what_waited_where_the_bot_was_put_out_is_answered_when_it_is_back():
    scenario = Unbound()
    scenario.user_writes("question")
    scenario.user_writes("second")
    scenario.handle(BotRemoved(ROOM, EventId("$out"), ANNA, "kicked"), stored=True)
    scenario.time_passes(3600.0)
    assert scenario.handle(BotReturned(ROOM, EventId("$in")), stored=True).of(Reconcile)
    assert scenario.failed_repairs(A_CHAT).only_call.request.text == "second"


def test_a_chat_whose_making_came_to_nothing_is_looked_at_when_somebody_waits_there():
    scenario = Unbound(Room(ROOM))
    scenario.handle(RoomMade(CHAT_BINDING, "Chat 1"), stored=True)
    scenario.user_writes("hello?")
    assert scenario.actor.room.state == "reconciling"
    assert scenario.actor.due_at() == 1000.0 + HOUR_S
    assert scenario.time_passes(HOUR_S).of(Reconcile) == [Reconcile()]
    assert scenario.failed_repairs().texts == [NOTICE]


def _message(seq: int, body: str) -> Callable[[Unbound], object]:
    return lambda scenario: MessageArrived(ROOM, EventId(f"${seq} {body}"), ANNA, body, 0)


EVENTS: dict[str, Callable[[Unbound], object]] = {
    "resumed": lambda scenario: Resumed(),
    "time": lambda scenario: TimePassed(),
    "message": _message(1, "hello"),
    "command": _message(2, "!help"),
    "waiting command": _message(3, "!archive"),
    "removed": lambda scenario: BotRemoved(ROOM, EventId("$out"), ANNA, "kicked"),
    "returned": lambda scenario: BotReturned(ROOM, EventId("$in")),
    "invited": lambda scenario: InviteArrived(ROOM, ANNA, encrypted=False),
    "joined": lambda scenario: OrderDone(JOIN, Joined(ROOM, False)),
    "join refused": lambda scenario: OrderDone(
        JOIN, Refused("forbidden", "M_FORBIDDEN", "withdrawn")
    ),
    "observed nothing": lambda scenario: NOTHING,
    "observed a chat": lambda scenario: A_CHAT,
    "made": lambda scenario: RoomMade(CHAT_BINDING, "Chat 1"),
    "linked": lambda scenario: RoomCompleted(CHAT_BINDING, "Chat 1"),
    "member": lambda scenario: MemberChanged(ROOM, EventId("$m"), ANNA, "leave"),
    "encrypted": lambda scenario: EncryptionEnabled(ROOM, None),
    "agent": lambda scenario: AgentOutput(EventId("$turn"), 1, AnswerText("words")),
}
STORED = ("message", "command", "waiting command")
STATES = ("unregistered", "reconciling", "bound", "failed")
WORK = ("nothing", "waiting", "turn", "both")


def with_work(state: str, work: str, **changes: object) -> Unbound:
    """A room in this state as the rows of an earlier process may hold it; nothing was told to it yet."""
    scenario = Unbound()
    if work in ("turn", "both"):
        scenario.user_writes("question")
    waiting: tuple[WaitingMessage, ...] = ()
    if work in ("waiting", "both"):
        scenario.seq += 1
        message = MessageArrived(ROOM, EventId("$waits"), ANNA, "waits", 0)
        waiting = (WaitingMessage(scenario.seq, message, scenario.now),)
    room = replace(
        scenario.actor.room,
        state=state,
        last_message_seq=scenario.seq,
        since=scenario.now,
        **changes,
    )
    scenario.actor = RoomActor(room, scenario.actor.turn, waiting)
    return scenario


def repair_when_dues(scenario: Unbound) -> bool:
    """What has to hold after every step."""
    it = scenario.actor
    has_work = it.turn is not None or bool(it.waiting)
    if not has_work or it.room.state == "bound":
        return True
    if it.room.repair_pending:
        return it.room.state == "reconciling"
    due_at = it.due_at()
    return due_at is not None and due_at > scenario.now


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("work", WORK)
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("since_look_s", [-7200.0, 10.0, 7200.0])
def test_whatever_happens_work_and_an_unbound_room_do_not_rest_together(
    state, work, event, since_look_s
):
    scenario = with_work(state, work, last_repair_at=1000.0 - since_look_s)
    try:
        scenario.handle(EVENTS[event](scenario), stored=event in STORED)
    except IllegalEvent:
        scenario.handle(Resumed())
    assert repair_when_dues(scenario)


@settings(max_examples=200, deadline=None)
@given(
    state=st.sampled_from(STATES),
    work=st.sampled_from(WORK),
    repair_pending=st.booleans(),
    steps=st.lists(
        st.tuples(st.sampled_from(sorted(EVENTS)), st.sampled_from([0, 1, 59, 61, 4000, 90_000])),
        max_size=25,
    ),
)
def test_nor_after_any_history(state, work, repair_pending, steps):
    scenario = with_work(state, work, repair_pending=repair_pending and state == "reconciling")
    scenario.handle(Resumed())
    assert repair_when_dues(scenario)
    for event, seconds in steps:
        scenario.now += seconds
        reconciles = len([each for each in scenario.effects if isinstance(each, Reconcile)])
        was_looking = scenario.actor.room.repair_pending
        try:
            scenario.handle(EVENTS[event](scenario), stored=event in STORED)
        except IllegalEvent:
            continue
        assert repair_when_dues(scenario)
        ordered = (
            len([each for each in scenario.effects if isinstance(each, Reconcile)]) - reconciles
        )
        assert ordered or was_looking or not scenario.actor.room.repair_pending, (
            "a look is ordered, not only noted"
        )


# -- C10 -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["unregistered", "reconciling", "failed"])
@pytest.mark.parametrize("name", [*commands.COMMANDS, "list", "remove all", "nonsense"])
def test_no_command_brings_an_unbound_room_down(name, state):
    scenario = with_work(state, "both", last_repair_at=990.0)
    result = scenario.user_writes(f"!{name}")
    assert result.acked == result.dead_lettered == []
    looked_at = bool(result.of(Reconcile)) or state == "reconciling"
    assert looked_at or result.texts == [NOTICE]
