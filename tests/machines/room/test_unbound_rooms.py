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
from machines.room.state import Room
from machines.room.step_draft import WaitingMessage
from machines.turn.answer_text import AnswerText
from tests.machines.support import ANNA, CATALOG, CHAT_BINDING, ROOM, RoomStory, StepResult

NOTHING = TopologyRefused("nothing it could be", {"room_id": ROOM})
A_CHAT = TopologyConfirmed(CHAT_BINDING, "Chat 1", False, False)
JOIN = TxnId(f"{ROOM}.join.1000000")
DAY_S = 24 * 3600.0
HOUR_S = 3600.0
NOTICE = CATALOG.room_recovery_failed()


class Unbound(RoomStory):
    """A room whose looks fail, and a process that can be restarted."""

    def restarts(self) -> StepResult:
        """The process ends; the next one loads the rows, and is told of the messages that wait in them."""
        waiting, story = self.it.waiting, self
        self.it = RoomActor(self.it.room, self.it.turn)
        result = self.handle(Resumed())
        effects = result.effects
        for each in waiting:
            story.seq = each.seq - 1
            effects += self.handle(each.message, stored=True).effects
        return StepResult(effects)

    def failed_repairs(self, result: TopologyConfirmed | TopologyRefused = NOTHING) -> StepResult:
        """The look that is under way ends."""
        assert self.it.room.repair_pending
        return self.handle(result)

    def waits(self) -> float:
        """Time passes until the room is due, and the look that is made then fails; returns how long it was."""
        due_at = self.it.due_at()
        assert due_at is not None
        distance_s = due_at - self.now
        assert self.later(distance_s).of(Reconcile) == [Reconcile()]
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
        sends = [each for each in self.all if isinstance(each, Enqueue)]
        return sum(getattr(send.order, "body", "") == NOTICE for send in sends)

    @property
    def warnings(self) -> int:
        return sum(isinstance(each, Log) and each.warning for each in self.all)


def failed_room() -> Unbound:
    story = Unbound(Room(ROOM))
    story.hears("first")
    story.failed_repairs()
    assert (story.it.room.state, story.notices, story.warnings) == ("failed", 1, 1)
    return story


def lost_at_start(*waiting: str, streaming: bool = False) -> Unbound:
    """A chat with a turn in hand, which the start of the next process finds to be nothing."""
    story = Unbound()
    story.hears("question")
    if streaming:
        story.grows("So far")
        story.later(1.0)
    for text in waiting:
        story.hears(text)
    room = replace(story.it.room, state="failed", last_repair_at=0.0)
    story.it = replace(story.it, room=room)
    return story


# -- C8: how often it is looked at, and how often people hear of it ---------------------------------


def test_while_nobody_writes_the_looks_grow_apart_and_nobody_is_told():
    story = failed_room()
    distances_s = [story.waits() for _ in range(9)]
    assert distances_s == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    assert (story.notices, story.warnings) == (1, 1)


def test_a_silent_failure_is_kept_with_its_report():
    story = failed_room()
    story.later(60.0)
    (record,) = story.failed_repairs().of(RecordTransition)
    assert (record.source, record.target) == ("reconciling", "failed")
    assert record.report == {"room_id": ROOM}


def test_one_message_has_one_notice_in_a_day():
    story = failed_room()
    story.fails_until(lambda: story.it.due_at() is None)
    assert story.now >= 1000.0 + DAY_S
    assert (story.notices, story.warnings) == (1, 1)


def test_a_message_brings_the_next_look_back_to_a_minute_after_the_last():
    story = failed_room()
    for _ in range(4):
        story.waits()
    story.now += 20.0
    assert story.hears("anybody?").of(Reconcile) == []
    assert story.it.due_at() == story.now + 40.0
    assert story.waits() == 40.0
    assert (story.notices, story.warnings) == (2, 2)
    assert [story.waits() for _ in range(2)] == [60.0, 120.0]
    assert (story.notices, story.warnings) == (2, 2)


def test_a_message_after_that_minute_has_its_look_at_once():
    story = failed_room()
    for _ in range(4):
        story.waits()
    story.now += 61.0
    assert story.hears("anybody?").of(Reconcile) == [Reconcile()]


def test_a_message_that_comes_while_the_room_is_looked_at_is_told_of_the_failure():
    story = failed_room()
    story.later(60.0)
    story.hears("and now?")
    assert story.failed_repairs().said == [NOTICE]
    assert story.it.due_at() == story.now + 60.0


def test_ten_restarts_with_one_waiting_message_give_one_notice():
    story = failed_room()
    for _ in range(10):
        story.now += 61.0
        assert story.restarts().of(Reconcile) == [Reconcile()], "a restart may look at once"
        story.failed_repairs()
    assert (story.notices, story.warnings) == (1, 1)


def test_a_restart_does_not_look_sooner_than_a_minute_after_the_last_look():
    story = failed_room()
    for _ in range(5):
        story.waits()
    story.now += 10.0
    assert story.restarts().of(Reconcile) == []
    assert story.it.due_at() == story.now + 50.0


def test_the_notice_that_a_command_has_at_once_stands_for_the_look_after_it():
    story = failed_room()
    assert story.hears("!help").said == [NOTICE]
    story.waits()
    assert story.notices == 2


def test_a_repaired_room_that_fails_again_is_told_of_again():
    story = failed_room()
    story.later(60.0)
    story.failed_repairs(A_CHAT)
    story.handle(BotRemoved(ROOM, EventId("$out"), ANNA, "kicked"), stored=True)
    story.hears("hello?")
    assert story.failed_repairs().said == [NOTICE]


def test_a_turn_of_a_repaired_room_that_is_lost_again_is_told_of_again():
    story = failed_room()
    story.later(60.0)
    story.failed_repairs(A_CHAT)
    assert story.it.turn is not None
    story.it = replace(story.it, room=replace(story.it.room, state="failed", last_repair_at=0.0))
    story.handle(Resumed())
    assert story.failed_repairs().said == [NOTICE]


def test_a_bot_that_came_back_into_a_failed_room_says_that_it_failed_again():
    story = failed_room()
    story.handle(BotReturned(ROOM, EventId("$in")), stored=True)
    assert story.failed_repairs().said == [NOTICE]


# -- C8: the end after a day -----------------------------------------------------------------------


def test_what_came_in_between_is_answered_if_the_repair_succeeds_within_a_day():
    story = failed_room()
    story.fails_until(lambda: story.now >= 1000.0 + DAY_S - 2 * HOUR_S)
    due_at = story.it.due_at()
    assert due_at is not None
    story.later(due_at - story.now)
    assert story.failed_repairs(A_CHAT).only_ask.request.text == "first"


def test_a_message_that_has_waited_a_day_is_set_aside_when_a_look_fails():
    story = failed_room()
    story.fails_until(lambda: not story.it.waiting)
    (aside,) = [each for each in story.all if isinstance(each, DeadLetter)]
    assert aside.seq == 1
    assert len(aside.reason.split()) > 3
    assert 1000.0 + DAY_S <= story.now < 1000.0 + DAY_S + HOUR_S
    assert story.it.due_at() is None


def test_a_message_waits_for_the_look_though_its_day_is_over():
    story = failed_room()
    story.now += 3 * DAY_S
    assert story.restarts().set_aside == [], "the bot was away, and the room may be well by now"
    assert story.failed_repairs(A_CHAT).only_ask.request.text == "first"


def test_a_younger_message_waits_on():
    story = failed_room()
    story.fails_until(lambda: story.now >= 1000.0 + DAY_S - 2 * HOUR_S)
    story.hears("second")
    story.fails_until(lambda: len(story.it.waiting) < 2)
    assert [each.message.body for each in story.it.waiting] == ["second"]


def test_a_message_counts_from_when_it_was_received_not_from_when_it_was_read():
    story = failed_room()
    first = story.it.waiting[0].message
    story.now += DAY_S
    story.later(0.0)
    story.failed_repairs()
    world_now, story.it = story.now, RoomActor(story.it.room)
    result = story.handle(first, stored=True, received_at=world_now - DAY_S)
    assert result.set_aside == [story.seq], "the look that failed came after its day"


def test_a_message_that_is_read_after_its_day_is_no_new_writing():
    """More messages may wait than a conversation holds; the others are read when those are set aside."""
    story = failed_room()
    story.fails_until(lambda: story.now > 1000.0 + DAY_S)
    message = MessageArrived(ROOM, EventId("$late"), ANNA, "behind them", 0)
    result = story.handle(message, stored=True, received_at=1000.0)
    assert result.set_aside == [story.seq]
    assert story.it.room.failure_reported


def test_a_turn_is_given_up_after_a_day_and_its_reply_says_so():
    story = lost_at_start(streaming=True)
    story.handle(Resumed())
    story.failed_repairs()
    story.fails_until(lambda: story.it.turn is None)
    assert story.notices == 1
    last = [each for each in story.all if isinstance(each, Enqueue)][-1].order
    assert last.body == f"So far\n\n{CATALOG.agent_gave_up('not_restored')}"
    assert any(isinstance(each, CancelCall) for each in story.all)
    assert (last.answers, last.partial) == ("$1", False)
    assert story.it.due_at() is None
    assert story.now >= 1000.0 + DAY_S


# -- C11 -------------------------------------------------------------------------------------------


def test_a_turn_in_hand_has_its_room_looked_at_when_the_bot_goes_live_and_goes_on():
    story = lost_at_start()
    result = story.handle(Resumed())
    assert result.of(Reconcile) == [Reconcile()]
    assert result.of(CallAgent) == []
    assert story.failed_repairs(A_CHAT).only_ask.request.text == "question"


def test_people_hear_once_that_their_turn_can_not_go_on():
    story = lost_at_start()
    story.handle(Resumed())
    story.failed_repairs()
    for _ in range(10):
        story.waits()
        story.now += 61.0
        story.restarts()
        story.failed_repairs()
    assert (story.notices, story.warnings) == (1, 1)


def test_a_failed_room_gets_a_look_for_what_waits_though_nobody_writes():
    story = Unbound(Room(ROOM, "failed", last_repair_at=990.0))
    story.it = replace(story.it, room=replace(story.it.room, last_message_seq=1))
    story.handle(Resumed())
    assert story.hears("from before").of(Reconcile) == []
    assert story.it.due_at() == 1050.0


def test_a_look_that_ended_with_the_process_is_ordered_again():
    story = Unbound(Room(ROOM))
    story.hears("hello")
    assert story.restarts().of(Reconcile) == [Reconcile()]
    assert story.failed_repairs(A_CHAT).only_ask.request.text == "hello"


def test_what_waits_where_the_bot_is_put_out_waits_a_day_for_its_return():
    story = Unbound()
    story.hears("question")
    story.hears("second")
    result = story.handle(BotRemoved(ROOM, EventId("$out"), ANNA, "kicked"), stored=True)
    assert story.it.turn is None
    assert result.of(Reconcile) == []
    assert (story.it.room.state, story.it.room.reason) == ("unregistered", "kicked")
    due_at = story.it.due_at()
    assert due_at == story.now + DAY_S
    assert story.later(DAY_S - 1.0).of(DeadLetter) == []
    assert [each.seq for each in story.later(1.0).of(DeadLetter)] == [2]
    assert (story.it.waiting, story.it.due_at()) == ((), None)
    assert (story.it.room.state, story.it.room.reason) == ("unregistered", "kicked")


def test_what_waited_where_the_bot_was_put_out_is_answered_when_it_is_back():
    story = Unbound()
    story.hears("question")
    story.hears("second")
    story.handle(BotRemoved(ROOM, EventId("$out"), ANNA, "kicked"), stored=True)
    story.later(3600.0)
    assert story.handle(BotReturned(ROOM, EventId("$in")), stored=True).of(Reconcile)
    assert story.failed_repairs(A_CHAT).only_ask.request.text == "second"


def test_a_chat_whose_making_came_to_nothing_is_looked_at_when_somebody_waits_there():
    story = Unbound(Room(ROOM))
    story.handle(RoomMade(CHAT_BINDING, "Chat 1"), stored=True)
    story.hears("hello?")
    assert story.it.room.state == "reconciling"
    assert story.it.due_at() == 1000.0 + HOUR_S
    assert story.later(HOUR_S).of(Reconcile) == [Reconcile()]
    assert story.failed_repairs().said == [NOTICE]


def _message(seq: int, body: str) -> Callable[[Unbound], object]:
    return lambda story: MessageArrived(ROOM, EventId(f"${seq} {body}"), ANNA, body, 0)


EVENTS: dict[str, Callable[[Unbound], object]] = {
    "resumed": lambda story: Resumed(),
    "time": lambda story: TimePassed(),
    "message": _message(1, "hello"),
    "command": _message(2, "!help"),
    "waiting command": _message(3, "!archive"),
    "removed": lambda story: BotRemoved(ROOM, EventId("$out"), ANNA, "kicked"),
    "returned": lambda story: BotReturned(ROOM, EventId("$in")),
    "invited": lambda story: InviteArrived(ROOM, ANNA, encrypted=False),
    "joined": lambda story: OrderDone(JOIN, Joined(ROOM, False)),
    "join refused": lambda story: OrderDone(JOIN, Refused("forbidden", "M_FORBIDDEN", "withdrawn")),
    "observed nothing": lambda story: NOTHING,
    "observed a chat": lambda story: A_CHAT,
    "made": lambda story: RoomMade(CHAT_BINDING, "Chat 1"),
    "linked": lambda story: RoomCompleted(CHAT_BINDING, "Chat 1"),
    "member": lambda story: MemberChanged(ROOM, EventId("$m"), ANNA, "leave"),
    "encrypted": lambda story: EncryptionEnabled(ROOM, None),
    "agent": lambda story: AgentOutput(EventId("$turn"), 1, AnswerText("words")),
}
STORED = ("message", "command", "waiting command")
STATES = ("unregistered", "reconciling", "bound", "failed")
WORK = ("nothing", "waiting", "turn", "both")


def with_work(state: str, work: str, **changes: object) -> Unbound:
    """A room in this state as the rows of an earlier process may hold it; nothing was told to it yet."""
    story = Unbound()
    if work in ("turn", "both"):
        story.hears("question")
    waiting: tuple[WaitingMessage, ...] = ()
    if work in ("waiting", "both"):
        story.seq += 1
        message = MessageArrived(ROOM, EventId("$waits"), ANNA, "waits", 0)
        waiting = (WaitingMessage(story.seq, message, story.now),)
    room = replace(
        story.it.room, state=state, last_message_seq=story.seq, since=story.now, **changes
    )
    story.it = RoomActor(room, story.it.turn, waiting)
    return story


def repair_when_dues(story: Unbound) -> bool:
    """What has to hold after every step."""
    it = story.it
    has_work = it.turn is not None or bool(it.waiting)
    if not has_work or it.room.state == "bound":
        return True
    if it.room.repair_pending:
        return it.room.state == "reconciling"
    due_at = it.due_at()
    return due_at is not None and due_at > story.now


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("work", WORK)
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("since_look_s", [-7200.0, 10.0, 7200.0])
def test_whatever_happens_work_and_an_unbound_room_do_not_rest_together(
    state, work, event, since_look_s
):
    story = with_work(state, work, last_repair_at=1000.0 - since_look_s)
    try:
        story.handle(EVENTS[event](story), stored=event in STORED)
    except IllegalEvent:
        story.handle(Resumed())
    assert repair_when_dues(story)


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
    story = with_work(state, work, repair_pending=repair_pending and state == "reconciling")
    story.handle(Resumed())
    assert repair_when_dues(story)
    for event, seconds in steps:
        story.now += seconds
        reconciles = len([each for each in story.all if isinstance(each, Reconcile)])
        was_looking = story.it.room.repair_pending
        try:
            story.handle(EVENTS[event](story), stored=event in STORED)
        except IllegalEvent:
            continue
        assert repair_when_dues(story)
        ordered = len([each for each in story.all if isinstance(each, Reconcile)]) - reconciles
        assert ordered or was_looking or not story.it.room.repair_pending, (
            "a look is ordered, not only noted"
        )


# -- C10 -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["unregistered", "reconciling", "failed"])
@pytest.mark.parametrize("name", [*commands.COMMANDS, "list", "remove all", "nonsense"])
def test_no_command_brings_an_unbound_room_down(name, state):
    story = with_work(state, "both", last_repair_at=990.0)
    result = story.hears(f"!{name}")
    assert result.consumed == result.set_aside == []
    looked_at = bool(result.of(Reconcile)) or state == "reconciling"
    assert looked_at or result.said == [NOTICE]
