"""Pending events of a cell: rows beyond its limit are read later, and newer output replaces older output."""

import pytest

from actors import cell as cell_module
from actors.inbox_queues import MAX_LOADED
from machines.events.internal import (
    AgentDone,
    AgentOutput,
    AnswerTooLong,
    AttemptFailed,
    ChatListRequested,
    ReplyTarget,
    TimePassed,
)
from machines.events.priority import Priority
from machines.ids import ActorKey, EventId, RoomId
from machines.turn.answer_text import AnswerText
from store.records import InboxRow, RoomRows

TURN = EventId("$1")


def test_a_row_beyond_the_limit_of_the_cell_is_read_later():
    key = ActorKey("!chat")
    cell = cell_module.ActorCell(key, RoomRows(None, None, ()))
    rows = [
        InboxRow(seq, key, ChatListRequested(ReplyTarget(RoomId("!chat")))) for seq in range(1, 400)
    ]
    cell.deliver(rows)
    assert len(cell.inbox.queues[Priority.MESSAGE].rows) == MAX_LOADED
    open_priorities = frozenset(Priority)
    popped = [cell.inbox.pop(open_priorities) for _ in range(MAX_LOADED)]
    assert popped == rows[:MAX_LOADED]
    assert cell.inbox.pop(open_priorities) is None
    assert cell.queues_to_read() == ((Priority.MESSAGE, MAX_LOADED),)
    cell.inbox.add_page(Priority.MESSAGE, rows[MAX_LOADED:])
    assert cell.inbox.pop(open_priorities) == rows[MAX_LOADED]


def test_no_row_overtakes_unread_rows_of_an_open_queue():
    key = ActorKey("!chat")
    cell = cell_module.ActorCell(key, RoomRows(None, None, ()))
    cell.deliver([InboxRow(seq, key, "a message") for seq in range(1, MAX_LOADED + 2)])
    event = InboxRow(MAX_LOADED + 2, key, "an event", Priority.EVENT)
    cell.deliver([event])
    for _ in range(MAX_LOADED):
        cell.inbox.pop(frozenset(Priority))
    assert cell.inbox.pop(frozenset(Priority)) is None
    assert cell.inbox.pop(frozenset((Priority.EVENT,))) == event


def test_unloaded_rows_are_read_again_from_the_first():
    key = ActorKey("!chat")
    cell = cell_module.ActorCell(key, RoomRows(None, None, ()))
    rows = [InboxRow(seq, key, "a message") for seq in range(1, 11)]
    cell.deliver(rows)
    everything = frozenset(Priority)
    assert cell.inbox.pop(everything) == rows[0]
    cell.inbox.unload(everything)
    cell.deliver([InboxRow(11, key, "later")])
    assert len(cell.inbox.queues[Priority.MESSAGE].rows) == 0
    assert cell.queues_to_read() == ((Priority.MESSAGE, 1),)
    cell.inbox.add_page(Priority.MESSAGE, rows[1:])
    assert [cell.inbox.pop(everything) for _ in range(9)] == rows[1:]
    assert cell.queues_to_read() == ((Priority.MESSAGE, 10),)


def output(text: str, attempt: int = 1) -> AgentOutput:
    return AgentOutput(TURN, attempt, AnswerText(text))


TOO_LONG = AnswerTooLong(TURN, 1, AnswerText("one two"))
DONE = AgentDone(TURN, 1, "one two", 1)
FAILED = AttemptFailed(TURN, 1, "silent", "nothing came", True)


@pytest.mark.parametrize(
    ("signals", "left"),
    [
        ((output("one"), output("one two")), (output("one two"),)),
        ((output("one"), output("one two"), DONE), (DONE,)),
        ((output("one"), TOO_LONG), (TOO_LONG,)),
        ((output("one"), FAILED), (output("one"), FAILED)),
        ((output("one", attempt=2), DONE), (output("one", attempt=2), DONE)),
        ((output("one"), TimePassed(), DONE), (output("one"), TimePassed(), DONE)),
    ],
    ids=["more output", "the end", "too long", "failure", "another attempt", "timer between"],
)
def test_only_the_newest_output_of_an_attempt_waits(signals, left):
    cell = cell_module.ActorCell(ActorKey("!chat"), RoomRows(None, None, ()))
    for event in signals:
        cell.signal(event)
    assert tuple(cell.signals) == left
