"""A notice that is too long for one event is sent in parts, and one that was cut off is completed (D2, D7, D12)."""

from typing import Any

from msgspec.structs import replace

from machines.events.effects import DropEdits, Enqueue
from machines.events.internal import ChatListRequested, ReplyTarget
from machines.events.matrix import BegunPart, MessageArrived
from machines.events.orders import RedactMessage, SendMessage
from machines.ids import EventId, RoomId, TxnId
from machines.turn.notices import in_parts
from machines.turn.split import PART_BYTES
from machines.user.chats import ChatSummary
from tests.machines.support import ANNA, ENTRY, ROOM, RoomScenario, UserScenario, entry_room

LIST = EventId("$list")


def chats(count: int) -> tuple[ChatSummary, ...]:
    return tuple(
        ChatSummary(RoomId(f"!{n}"), f"C{n}", f"Name {n}", "default", False, "bound")
        for n in range(1, count + 1)
    )


def listed(count: int, *begun: BegunPart) -> list[Enqueue]:
    scenario = UserScenario()
    scenario.actor = replace(scenario.actor, chats=chats(count))
    (ready,) = scenario.handle(
        ChatListRequested(ReplyTarget(ENTRY, LIST, EventId("$root"), begun))
    ).tells
    return RoomScenario(entry_room()).handle(ready.event, stored=True).of(Enqueue)


def message(send: Enqueue) -> SendMessage:
    assert isinstance(send.order, SendMessage)
    return send.order


def test_450_chats_are_listed_in_parts_that_each_fit_into_an_event():
    *parts, edit = listed(450)
    assert len(parts) > 1
    for number, part in enumerate(map(message, parts), 1):
        assert (part.room_id, part.answers, part.thread_root) == (ENTRY, LIST, "$root")
        assert (part.part, part.notice) == (number, True)
        assert len(part.body.encode()) <= PART_BYTES
    assert [part.partial for part in map(message, parts)] == [True] + [False] * (len(parts) - 1)
    together = "\n".join(part.body for part in map(message, parts))
    for chat in chats(450):
        assert sum(f"[{chat.name}]" in line for line in together.splitlines()) == 1
    whole = message(edit)
    assert (whole.edits, whole.partial, whole.droppable) == (parts[0].txn_id, False, False)
    assert whole.body == message(parts[0]).body


def test_the_parts_of_an_answer_have_transaction_ids_of_their_own_that_stay():
    ids = [send.txn_id for send in listed(450)]
    assert len(set(ids)) == len(ids)
    assert ids == [send.txn_id for send in listed(450)]


def test_an_answer_that_fits_is_one_event_as_ever():
    (page,) = listed(20)
    assert (message(page).part, message(page).partial) == (None, False)
    assert page.txn_id == "$list.answer"


def test_a_part_that_is_in_the_room_already_is_edited_and_the_others_follow():
    sends = listed(450, BegunPart(EventId("$first"), 2))
    edits = [send for send in sends if message(send).edits_event_id == "$first"]
    (edit,) = edits
    assert (message(edit).part, message(edit).partial) == (1, False)
    assert [message(send).part for send in sends if message(send).edits is None] == list(
        range(2, len(sends) + 1)
    )
    assert sends[-1] is edit, "as long as parts are missing the answer looks unfinished"


def test_an_answer_that_has_become_shorter_redacts_its_last_parts():
    begun = (BegunPart(EventId("$first")), BegunPart(EventId("$second")))
    edit, taken_back = listed(3, *begun)
    assert (message(edit).edits_event_id, message(edit).part) == ("$first", None)
    assert isinstance(taken_back.order, RedactMessage)
    assert taken_back.order.redacts_event_id == "$second"


def arrived(body: str) -> MessageArrived:
    begun = (BegunPart(EventId("$begun"), 1),)
    return MessageArrived(ROOM, EventId("$asked"), ANNA, body, 0, begun=begun)


def test_a_command_completes_its_answer_in_the_event_that_was_found():
    result = RoomScenario().handle(arrived("!help"), stored=True)
    (edit,) = result.messages
    assert (edit.edits_event_id, edit.notice, edit.partial) == ("$begun", True, False)
    assert result.of(DropEdits)


def test_a_request_of_a_command_names_the_parts_found_of_its_answer():
    (tell,) = RoomScenario().handle(arrived("!chats"), stored=True).tells
    assert tell.event.reply_to.begun == (BegunPart(EventId("$begun"), 1),)
    entry = RoomScenario(entry_room())
    event: Any = arrived("hello")
    (tell,) = entry.handle(event, stored=True).tells
    assert tell.event.reply_to.begun == event.begun


def test_a_command_that_asks_the_agent_completes_its_answer_in_the_event_that_was_found():
    scenario = RoomScenario()
    scenario.handle(arrived("!save notes"), stored=True)
    turn = scenario.actor.turn
    assert turn is not None
    assert [part.event_id for part in turn.reply.parts] == ["$begun"]


def test_a_notice_that_answers_nothing_has_parts_and_is_never_partial():
    text = "\n\n".join(f"{number} {'word ' * 200}" for number in range(40))
    send = Enqueue(SendMessage(ROOM, text, notice=True), TxnId("t"))
    parts = in_parts((send,), 0.0)
    assert [message(part).part for part in parts] == list(range(1, len(parts) + 1))
    assert not any(message(part).partial or message(part).edits for part in parts)
    assert len({part.txn_id for part in parts}) == len(parts) > 1
    assert "\n".join(message(part).body for part in parts).split() == text.split()
