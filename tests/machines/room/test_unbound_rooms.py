"""Rooms that are not bound and have work: repairs, notices, and the end after a day (C8, C10, C11)."""

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
from machines.room.state import Room
from machines.room.step_draft import WaitingMessage
from machines.turn.answer_text import AnswerText
from tests.machines.support import ANNA, CATALOG, CHAT_BINDING, ROOM, RoomScenario, StepResult

REFUSED = TopologyRefused("no valid binding", {"room_id": ROOM})
CONFIRMED = TopologyConfirmed(CHAT_BINDING, "Chat 1", False, False)
JOIN = TxnId(f"{ROOM}.join.1000000")
DAY_S = 24 * 3600.0
HOUR_S = 3600.0
NOTICE = CATALOG.room_recovery_failed()


class UnboundRoomScenario(RoomScenario):
    """A room whose repairs fail, in a process that can be restarted."""

    def restart(self) -> StepResult:
        """Restart the process; the new one loads the rows and handles the waiting messages again."""
        waiting, scenario = self.actor.waiting, self
        self.actor = RoomActor(self.actor.room, self.actor.turn)
        result = self.handle(Resumed())
        effects = result.effects
        for each in waiting:
            scenario.seq = each.seq - 1
            effects += self.handle(each.message, stored=True).effects
        return StepResult(effects)

    def finish_repair(self, result: TopologyConfirmed | TopologyRefused = REFUSED) -> StepResult:
        """Finish the pending repair."""
        assert self.actor.room.repair_pending
        return self.handle(result)

    def wait_for_repair(self) -> float:
        """Let time pass until the next repair, which fails; returns how long it was."""
        due_at = self.actor.due_at()
        assert due_at is not None
        distance_s = due_at - self.now
        assert self.time_passes(distance_s).of(Reconcile) == [Reconcile()]
        self.finish_repair()
        return distance_s

    def fail_repairs_until(self, done: Callable[[], bool]) -> None:
        """Let repairs fail until the condition holds."""
        for _ in range(100):
            if done():
                return
            self.wait_for_repair()
        raise AssertionError("the condition does not hold after a hundred repairs")

    @property
    def notices(self) -> int:
        sends = [each for each in self.effects if isinstance(each, Enqueue)]
        return sum(getattr(send.order, "body", "") == NOTICE for send in sends)

    @property
    def warnings(self) -> int:
        return sum(
            isinstance(each, Log) and each.event == "room_recovery_failed" for each in self.effects
        )


def failed_room() -> UnboundRoomScenario:
    scenario = UnboundRoomScenario(Room(ROOM))
    scenario.user_writes("first")
    scenario.finish_repair()
    assert (scenario.actor.room.state, scenario.notices, scenario.warnings) == ("failed", 1, 1)
    return scenario


def lost_at_start(*waiting: str, streaming: bool = False) -> UnboundRoomScenario:
    """A chat with a turn that the next start of the process refuses."""
    scenario = UnboundRoomScenario()
    scenario.user_writes("question")
    if streaming:
        scenario.agent_output("So far")
        scenario.time_passes(1.0)
    for text in waiting:
        scenario.user_writes(text)
    room = replace(scenario.actor.room, state="failed", last_repair_at=0.0)
    scenario.actor = replace(scenario.actor, room=room)
    return scenario


# -- C8: how often a room is repaired, and how often a failure is reported ----------------------------


def test_without_messages_the_repair_interval_doubles_and_no_notice_is_sent():
    scenario = failed_room()
    distances_s = [scenario.wait_for_repair() for _ in range(9)]
    assert distances_s == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    assert (scenario.notices, scenario.warnings) == (1, 1)


def test_a_silent_failure_is_recorded_with_its_report():
    scenario = failed_room()
    scenario.time_passes(60.0)
    (record,) = scenario.finish_repair().of(RecordTransition)
    assert (record.source, record.target) == ("reconciling", "failed")
    assert record.report == {"room_id": ROOM}


def test_one_message_causes_one_notice_in_a_day():
    scenario = failed_room()
    scenario.fail_repairs_until(lambda: scenario.actor.due_at() is None)
    assert scenario.now >= 1000.0 + DAY_S
    assert (scenario.notices, scenario.warnings) == (1, 1)


def test_a_message_resets_the_repair_interval_to_a_minute():
    scenario = failed_room()
    for _ in range(4):
        scenario.wait_for_repair()
    scenario.now += 20.0
    assert scenario.user_writes("anybody?").of(Reconcile) == []
    assert scenario.actor.due_at() == scenario.now + 40.0
    assert scenario.wait_for_repair() == 40.0
    assert (scenario.notices, scenario.warnings) == (2, 2)
    assert [scenario.wait_for_repair() for _ in range(2)] == [60.0, 120.0]
    assert (scenario.notices, scenario.warnings) == (2, 2)


def test_a_message_after_that_minute_starts_a_repair_at_once():
    scenario = failed_room()
    for _ in range(4):
        scenario.wait_for_repair()
    scenario.now += 61.0
    assert scenario.user_writes("anybody?").of(Reconcile) == [Reconcile()]


def test_a_failure_is_reported_for_a_message_during_the_repair():
    scenario = failed_room()
    scenario.time_passes(60.0)
    scenario.user_writes("and now?")
    assert scenario.finish_repair().texts == [NOTICE]
    assert scenario.actor.due_at() == scenario.now + 60.0


def test_ten_restarts_with_one_waiting_message_cause_one_notice():
    scenario = failed_room()
    for _ in range(10):
        scenario.now += 61.0
        assert scenario.restart().of(Reconcile) == [Reconcile()], "a restart may repair at once"
        scenario.finish_repair()
    assert (scenario.notices, scenario.warnings) == (1, 1)


def test_a_restart_does_not_repair_within_a_minute_after_the_last_repair():
    scenario = failed_room()
    for _ in range(5):
        scenario.wait_for_repair()
    scenario.now += 10.0
    assert scenario.restart().of(Reconcile) == []
    assert scenario.actor.due_at() == scenario.now + 50.0


def test_the_notice_for_a_command_replaces_the_notice_of_the_next_repair():
    scenario = failed_room()
    assert scenario.user_writes("!help").texts == [NOTICE]
    scenario.wait_for_repair()
    assert scenario.notices == 2


def test_a_repaired_room_that_fails_again_is_reported_again():
    scenario = failed_room()
    scenario.time_passes(60.0)
    scenario.finish_repair(CONFIRMED)
    scenario.handle(BotRemoved(ROOM, EventId("$out"), ANNA, "kicked"), stored=True)
    scenario.user_writes("hello?")
    assert scenario.finish_repair().texts == [NOTICE]


def test_a_repaired_room_with_a_turn_that_fails_again_is_reported_again():
    scenario = failed_room()
    scenario.time_passes(60.0)
    scenario.finish_repair(CONFIRMED)
    assert scenario.actor.turn is not None
    scenario.actor = replace(
        scenario.actor, room=replace(scenario.actor.room, state="failed", last_repair_at=0.0)
    )
    scenario.handle(Resumed())
    assert scenario.finish_repair().texts == [NOTICE]


def test_a_failure_is_reported_again_after_the_bot_returned():
    scenario = failed_room()
    scenario.handle(BotReturned(ROOM, EventId("$in")), stored=True)
    assert scenario.finish_repair().texts == [NOTICE]


# -- C8: the end after a day -----------------------------------------------------------------------


def test_a_message_is_answered_if_a_repair_succeeds_within_a_day():
    scenario = failed_room()
    scenario.fail_repairs_until(lambda: scenario.now >= 1000.0 + DAY_S - 2 * HOUR_S)
    due_at = scenario.actor.due_at()
    assert due_at is not None
    scenario.time_passes(due_at - scenario.now)
    assert scenario.finish_repair(CONFIRMED).only_call.request.text == "first"


def test_a_message_that_waited_a_day_is_dead_lettered_when_a_repair_fails():
    scenario = failed_room()
    scenario.fail_repairs_until(lambda: not scenario.actor.waiting)
    (dead_letter,) = [each for each in scenario.effects if isinstance(each, DeadLetter)]
    assert dead_letter.seq == 1
    assert len(dead_letter.reason.split()) > 3
    assert 1000.0 + DAY_S <= scenario.now < 1000.0 + DAY_S + HOUR_S
    assert scenario.actor.due_at() is None


def test_a_message_older_than_a_day_waits_for_the_repair():
    scenario = failed_room()
    scenario.now += 3 * DAY_S
    assert scenario.restart().dead_lettered == [], (
        "the bot was not running, and the repair may succeed"
    )
    assert scenario.finish_repair(CONFIRMED).only_call.request.text == "first"


def test_a_younger_message_still_waits():
    scenario = failed_room()
    scenario.fail_repairs_until(lambda: scenario.now >= 1000.0 + DAY_S - 2 * HOUR_S)
    scenario.user_writes("second")
    scenario.fail_repairs_until(lambda: len(scenario.actor.waiting) < 2)
    assert [each.message.body for each in scenario.actor.waiting] == ["second"]


def test_the_age_of_a_message_counts_from_its_receipt():
    scenario = failed_room()
    first = scenario.actor.waiting[0].message
    scenario.now += DAY_S
    scenario.time_passes(0.0)
    scenario.finish_repair()
    now, scenario.actor = scenario.now, RoomActor(scenario.actor.room)
    result = scenario.handle(first, stored=True, received_at=now - DAY_S)
    assert result.dead_lettered == [scenario.seq], "the repair that failed was after its day"


def test_a_message_that_is_read_after_a_day_does_not_count_as_new():
    """More messages may wait than an actor holds; the others are read after those are dead-lettered."""
    scenario = failed_room()
    scenario.fail_repairs_until(lambda: scenario.now > 1000.0 + DAY_S)
    message = MessageArrived(ROOM, EventId("$late"), ANNA, "behind them", 0)
    result = scenario.handle(message, stored=True, received_at=1000.0)
    assert result.dead_lettered == [scenario.seq]
    assert scenario.actor.room.failure_reported


def test_a_turn_ends_after_a_day_and_its_reply_ends_with_a_sentence():
    scenario = lost_at_start(streaming=True)
    scenario.handle(Resumed())
    scenario.finish_repair()
    scenario.fail_repairs_until(lambda: scenario.actor.turn is None)
    assert scenario.notices == 1
    last = [each for each in scenario.effects if isinstance(each, Enqueue)][-1].order
    assert last.body == f"So far\n\n{CATALOG.agent_gave_up('not_restored')}"
    assert any(isinstance(each, CancelCall) for each in scenario.effects)
    assert (last.answers, last.partial) == ("$1", False)
    assert scenario.actor.due_at() is None
    assert scenario.now >= 1000.0 + DAY_S


# -- C11 -------------------------------------------------------------------------------------------


def test_a_failed_room_with_a_turn_is_repaired_after_a_start_and_the_turn_continues():
    scenario = lost_at_start()
    result = scenario.handle(Resumed())
    assert result.of(Reconcile) == [Reconcile()]
    assert result.of(CallAgent) == []
    assert scenario.finish_repair(CONFIRMED).only_call.request.text == "question"


def test_a_turn_that_cannot_continue_is_reported_once():
    scenario = lost_at_start()
    scenario.handle(Resumed())
    scenario.finish_repair()
    for _ in range(10):
        scenario.wait_for_repair()
        scenario.now += 61.0
        scenario.restart()
        scenario.finish_repair()
    assert (scenario.notices, scenario.warnings) == (1, 1)


def test_a_failed_room_is_repaired_for_waiting_messages_after_a_restart():
    scenario = UnboundRoomScenario(Room(ROOM, "failed", last_repair_at=990.0))
    scenario.actor = replace(scenario.actor, room=replace(scenario.actor.room, last_message_seq=1))
    scenario.handle(Resumed())
    assert scenario.user_writes("from before").of(Reconcile) == []
    assert scenario.actor.due_at() == 1050.0


def test_a_repair_that_ended_with_the_process_is_ordered_again():
    scenario = UnboundRoomScenario(Room(ROOM))
    scenario.user_writes("hello")
    assert scenario.restart().of(Reconcile) == [Reconcile()]
    assert scenario.finish_repair(CONFIRMED).only_call.request.text == "hello"


def test_messages_in_a_room_without_the_bot_wait_a_day_for_its_return():
    scenario = UnboundRoomScenario()
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


def test_messages_in_a_room_without_the_bot_are_answered_after_its_return():
    scenario = UnboundRoomScenario()
    scenario.user_writes("question")
    scenario.user_writes("second")
    scenario.handle(BotRemoved(ROOM, EventId("$out"), ANNA, "kicked"), stored=True)
    scenario.time_passes(3600.0)
    assert scenario.handle(BotReturned(ROOM, EventId("$in")), stored=True).of(Reconcile)
    assert scenario.finish_repair(CONFIRMED).only_call.request.text == "second"


def test_an_incomplete_chat_with_a_waiting_message_is_repaired():
    scenario = UnboundRoomScenario(Room(ROOM))
    scenario.handle(RoomMade(CHAT_BINDING, "Chat 1"), stored=True)
    scenario.user_writes("hello?")
    assert scenario.actor.room.state == "reconciling"
    assert scenario.actor.due_at() == 1000.0 + HOUR_S
    assert scenario.time_passes(HOUR_S).of(Reconcile) == [Reconcile()]
    assert scenario.finish_repair().texts == [NOTICE]


def _message(seq: int, body: str) -> Callable[[UnboundRoomScenario], object]:
    return lambda scenario: MessageArrived(ROOM, EventId(f"${seq} {body}"), ANNA, body, 0)


EVENTS: dict[str, Callable[[UnboundRoomScenario], object]] = {
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
    "observed nothing": lambda scenario: REFUSED,
    "observed a chat": lambda scenario: CONFIRMED,
    "made": lambda scenario: RoomMade(CHAT_BINDING, "Chat 1"),
    "linked": lambda scenario: RoomCompleted(CHAT_BINDING, "Chat 1"),
    "member": lambda scenario: MemberChanged(ROOM, EventId("$m"), ANNA, "leave"),
    "encrypted": lambda scenario: EncryptionEnabled(ROOM, None),
    "agent": lambda scenario: AgentOutput(EventId("$turn"), 1, AnswerText("words")),
}
STORED = ("message", "command", "waiting command")
STATES = ("unregistered", "reconciling", "bound", "failed")
WORK = ("nothing", "waiting", "turn", "both")


def with_work(state: str, work: str, **changes: object) -> UnboundRoomScenario:
    """A room in this state as an earlier process may have stored it; it has not been resumed yet."""
    scenario = UnboundRoomScenario()
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


def is_bound_or_has_repair(scenario: UnboundRoomScenario) -> bool:
    """Whether the room is bound or has a repair, if it has work: the invariant after every step."""
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
@pytest.mark.parametrize("since_repair_s", [-7200.0, 10.0, 7200.0])
def test_after_any_event_a_room_with_work_is_bound_or_has_a_repair(
    state, work, event, since_repair_s
):
    scenario = with_work(state, work, last_repair_at=1000.0 - since_repair_s)
    try:
        scenario.handle(EVENTS[event](scenario), stored=event in STORED)
    except IllegalEvent:
        scenario.handle(Resumed())
    assert is_bound_or_has_repair(scenario)


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
def test_after_any_history_a_room_with_work_is_bound_or_has_a_repair(
    state, work, repair_pending, steps
):
    scenario = with_work(state, work, repair_pending=repair_pending and state == "reconciling")
    scenario.handle(Resumed())
    assert is_bound_or_has_repair(scenario)
    for event, seconds in steps:
        scenario.now += seconds
        reconciles = len([each for each in scenario.effects if isinstance(each, Reconcile)])
        was_pending = scenario.actor.room.repair_pending
        try:
            scenario.handle(EVENTS[event](scenario), stored=event in STORED)
        except IllegalEvent:
            continue
        assert is_bound_or_has_repair(scenario)
        ordered = (
            len([each for each in scenario.effects if isinstance(each, Reconcile)]) - reconciles
        )
        assert ordered or was_pending or not scenario.actor.room.repair_pending, (
            "a repair is ordered, not only stored"
        )


# -- C10 -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["unregistered", "reconciling", "failed"])
@pytest.mark.parametrize("name", [*commands.COMMANDS, "list", "remove all", "nonsense"])
def test_no_command_raises_in_an_unbound_room(name, state):
    scenario = with_work(state, "both", last_repair_at=990.0)
    result = scenario.user_writes(f"!{name}")
    assert result.acked == result.dead_lettered == []
    is_repaired = bool(result.of(Reconcile)) or state == "reconciling"
    assert is_repaired or result.texts == [NOTICE]
