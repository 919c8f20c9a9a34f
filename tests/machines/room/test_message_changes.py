"""Edits and deletions of messages, files with captions, and messages of other kinds (contracts D5, D17)."""

import pytest
from msgspec.structs import replace

from machines.events.agent import AgentRequest
from machines.events.effects import CallAgent, CancelCall, Tell
from machines.events.internal import Confirmation, OnboardingRequested
from machines.events.matrix import (
    FileArrived,
    MalformedArrived,
    MessageArrived,
    MessageDeleted,
    MessageEdited,
    UnsupportedArrived,
)
from machines.ids import EventId
from machines.room.binding import Binding
from machines.room.revision import revise
from tests.machines.support import (
    ANNA,
    BERT,
    CATALOG,
    ENTRY,
    ROOM,
    RoomScenario,
    chat_room,
    entry_room,
)

MESSAGE = MessageArrived(ROOM, EventId("$1"), ANNA, "first", 0, thread_root=EventId("$root"))
EDIT = MessageEdited(ROOM, EventId("$e"), ANNA, MESSAGE.event_id, "second", 10)
WIPE = Confirmation("q", "wipe the disk", "")


def edit(scenario, number, body, at_ms=10, sender=ANNA):
    target, event_id = EventId(f"${number}"), EventId(f"$e{scenario.seq}")
    return scenario.handle(
        MessageEdited(scenario.actor.room.room_id, event_id, sender, target, body, at_ms),
        stored=True,
    )


def delete(scenario, number, sender=ANNA):
    target, event_id = EventId(f"${number}"), EventId(f"$d{scenario.seq}")
    deletion = MessageDeleted(scenario.actor.room.room_id, event_id, sender, target)
    return scenario.handle(deletion, stored=True)


def sent_texts(scenario):
    return [each.order.body for each in scenario.effects if hasattr(each, "order")]


@pytest.fixture
def busy() -> RoomScenario:
    """A chat whose first message is being answered, while a second one waits."""
    scenario = RoomScenario()
    scenario.user_writes("first")
    scenario.user_writes("second")
    return scenario


def test_an_edit_of_its_author_replaces_the_text_and_keeps_the_rest():
    assert revise(MESSAGE, EDIT) == replace(MESSAGE, body="second", edited_at_ms=10)


@pytest.mark.parametrize(
    "changes",
    [{"sender": BERT}, {"target": EventId("$other")}, {"room_id": ENTRY}],
    ids=["another author", "another message", "another room"],
)
def test_an_edit_that_does_not_fit_changes_nothing(changes):
    assert revise(MESSAGE, replace(EDIT, **changes)) is MESSAGE


def test_the_latest_edit_wins_in_whatever_order_they_are_read():
    older, newer = replace(EDIT, body="older", sent_at_ms=9), replace(EDIT, body="newer")
    for order in ((older, newer), (newer, older)):
        message = MESSAGE
        for each in order:
            message = revise(message, each)
        assert message.body == "newer"


def test_a_file_has_no_text_to_edit():
    file = FileArrived(ROOM, MESSAGE.event_id, ANNA, "a.png", 0, caption="look")
    assert revise(file, EDIT) is file


def test_a_command_keeps_its_text_but_an_edited_answer_to_a_question_does_not_count():
    command = replace(MESSAGE, body="!rename Plans")
    assert revise(command, EDIT) is command
    assert revise(replace(MESSAGE, body="!yes"), EDIT).body == "second"


def test_a_waiting_message_is_answered_with_its_edited_text(busy):
    result = edit(busy, 2, "edited")
    assert len(result.effects) == len(result.acked) == 1
    assert busy.agent_done("done").only_call.request.text == "edited"


def test_an_edit_by_another_user_changes_nothing(busy):
    edit(busy, 2, "forged", sender=BERT)
    assert busy.agent_done("done").only_call.request.text == "second"


def test_an_edit_after_the_turn_began_changes_nothing(busy):
    turn = busy.actor.turn
    result = edit(busy, 1, "edited")
    assert len(result.effects) == len(result.acked) == 1
    assert busy.actor.turn == turn
    busy.agent_done("done")
    assert edit(busy, 1, "edited again").texts == []


@pytest.mark.parametrize("sender", [ANNA, BERT], ids=["the author", "a moderator"])
def test_a_deleted_message_that_waits_gets_no_answer(busy, sender):
    result = delete(busy, 2, sender)
    assert sorted(result.acked) == [2, 3]
    done = busy.agent_done("done")
    assert done.of(CallAgent) == []
    assert {message.answers for message in done.messages} == {"$1"}


def test_the_message_behind_a_deleted_one_is_answered(busy):
    busy.user_writes("third")
    delete(busy, 2)
    assert busy.agent_done("done").only_call.request.text == "third"


def test_a_deletion_while_it_is_answered_ends_the_answer_like_stop(busy):
    busy.agent_output("so far")
    busy.time_passes(1.0)
    result = delete(busy, 1)
    assert result.of(CancelCall)
    (last,) = [message for message in result.messages if message.answers == "$1"]
    assert last.body == f"so far\n\n{CATALOG.stopped()}"
    assert not last.partial
    assert busy.time_passes(2.0).only_call.request.text == "second"


def test_a_deletion_after_the_answer_changes_nothing(busy):
    busy.agent_done("done")
    result = delete(busy, 1)
    assert len(result.effects) == len(result.acked) == 1


def test_a_deletion_of_another_message_does_not_stop_the_answer(busy):
    delete(busy, 2)
    assert busy.actor.turn is not None


@pytest.mark.parametrize("body", ["!stop", "!yes", "!clear", "!unknown", "!rename Mine"])
def test_an_edit_into_a_command_is_not_run_and_gets_a_notice_in_its_place(busy, body):
    assert edit(busy, 2, body).texts == []
    done = busy.agent_done("done")
    assert done.of(CallAgent) == []
    (notice,) = [message for message in done.messages if message.answers == "$2"]
    assert (notice.body, notice.notice) == (CATALOG.command_as_new_message(), True)
    after, before = busy.actor.room, busy.room
    assert (after.name, after.binding) == (before.name, before.binding)


def test_an_edit_into_a_command_of_an_unread_message_is_not_run_when_it_is_read():
    scenario = RoomScenario()
    scenario.user_writes("first")
    edited = replace(MESSAGE, event_id=EventId("$2"), body="!stop", edited_at_ms=5)
    scenario.handle(edited, stored=True)
    assert scenario.actor.turn is not None


def test_an_edited_answer_is_no_consent():
    scenario = RoomScenario()
    scenario.user_writes("clean up")
    scenario.agent_done("Sure?", asks=WIPE)
    scenario.question_shown()
    scenario.user_writes("something else")
    scenario.user_writes("!no")
    edit(scenario, 3, "!yes")
    done = scenario.time_passes(5.0)
    done = scenario.agent_done("done")
    assert done.of(CallAgent) == []
    assert CATALOG.command_as_new_message() in done.texts
    assert scenario.actor.room.chat_context.question is not None


def test_a_number_that_an_edit_made_picks_no_save():
    room = chat_room()
    context = replace(room.chat_context, picking=True)
    scenario = RoomScenario(replace(room, chat_context=context))
    scenario.handle(replace(MESSAGE, body="1", edited_at_ms=5), stored=True)
    assert scenario.actor.turn is None
    assert sent_texts(scenario) == [CATALOG.command_as_new_message()]


def test_a_deletion_of_a_waiting_command_cancels_it(busy):
    busy.user_writes("!save Plans")
    delete(busy, 3)
    busy.agent_done("done")
    busy.time_passes(2.0)
    busy.agent_done("done")
    assert busy.actor.turn is None
    assert "$3" not in {each.order.answers for each in busy.effects if hasattr(each, "order")}


def test_a_change_of_a_message_in_an_unbound_room_waits_with_it():
    scenario = RoomScenario(replace(chat_room(), state="reconciling"))
    scenario.user_writes("first")
    scenario.user_writes("second")
    edit(scenario, 1, "edited")
    delete(scenario, 2)
    assert [each.message.body for each in scenario.actor.waiting] == ["edited"]


# -- files, and messages of other kinds ------------------------------------------------------------


def file(**changes):
    return FileArrived(ROOM, EventId("$1"), ANNA, "*plan*.pdf", 0, **changes)


def test_a_caption_is_a_turn_and_its_reply_says_that_the_file_is_not_opened():
    scenario = RoomScenario()
    request: AgentRequest = scenario.handle(
        file(caption="what is it?"), stored=True
    ).only_call.request
    assert (request.text, request.message_id) == ("what is it?", "$1")
    (message,) = scenario.agent_done("A plan.").messages
    assert message.body == f"A plan.\n\n{CATALOG.file_not_opened('*plan*.pdf')}"
    assert not message.notice


def test_a_failed_answer_to_a_caption_says_it_too():
    scenario = RoomScenario()
    scenario.handle(file(caption="what is it?"), stored=True)
    (message,) = scenario.attempt_failed("E", retryable=False).messages
    assert message.body.endswith(f"\n\n{CATALOG.file_not_opened('*plan*.pdf')}")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, CATALOG.files_not_yet()),
        ({"is_voice": True}, CATALOG.voice_not_yet()),
        ({"caption": "!yes"}, CATALOG.command_as_new_message()),
        ({"caption": "!No, thanks"}, CATALOG.command_as_new_message()),
    ],
)
def test_a_file_without_a_question_gets_one_notice(changes, text):
    result = RoomScenario().handle(file(**changes), stored=True)
    (message,) = result.messages
    assert (message.body, message.notice, message.answers) == (text, True, "$1")
    assert result.of(CallAgent) == []


def test_a_caption_that_looks_like_another_command_is_text():
    scenario = RoomScenario()
    assert scenario.handle(file(caption="!clear"), stored=True).only_call.request.text == "!clear"


@pytest.mark.parametrize("kind", ["location", "sticker", "poll", "other"])
def test_a_message_that_cannot_be_sent_to_an_agent_gets_one_notice_in_its_place(busy, kind):
    unsupported = UnsupportedArrived(ROOM, EventId("$3"), ANNA, kind, EventId("$root"))
    assert busy.handle(unsupported, stored=True).texts == []
    busy.agent_done("one")
    (message,) = busy.agent_done("two").messages[1:]
    assert (message.body, message.notice) == (CATALOG.unsupported_message(kind), True)
    assert (message.answers, message.thread_root) == ("$3", "$root")


def test_nobody_else_gets_a_notice_in_a_chat():
    unsupported = UnsupportedArrived(ROOM, EventId("$1"), BERT, "poll")
    result = RoomScenario().handle(unsupported, stored=True)
    assert len(result.effects) == len(result.acked) == 1


def test_an_archived_chat_says_that_it_is_archived():
    binding: Binding | None = chat_room().binding
    assert binding is not None
    scenario = RoomScenario(chat_room(binding=replace(binding, archived=True)))
    for message in (
        UnsupportedArrived(ROOM, EventId("$1"), ANNA, "poll"),
        file(caption="look", is_voice=True),
        MalformedArrived(ROOM, EventId("$3"), ANNA),
    ):
        assert scenario.handle(message, stored=True).texts == [CATALOG.chat_is_archived(1)]


@pytest.mark.parametrize(
    ("others", "addressed", "told"), [(1, False, 1), (2, False, 0), (2, True, 1)]
)
def test_in_an_entry_room_it_is_treated_as_plain_text(others, addressed, told):
    scenario = RoomScenario(entry_room(others=others))
    result = scenario.handle(
        UnsupportedArrived(ENTRY, EventId("$1"), ANNA, "sticker", addressed=addressed), stored=True
    )
    requests = [tell for tell in result.of(Tell) if isinstance(tell.event, OnboardingRequested)]
    assert len(requests) == told


@pytest.mark.parametrize(
    ("caption", "texts"), [("what is it?", ["what is it?"]), ("", [])], ids=["new", "removed"]
)
def test_an_edited_caption_is_the_text_of_a_file_that_waits(caption, texts):
    scenario = RoomScenario()
    scenario.user_writes("first")
    waiting = replace(file(caption="who is it?"), event_id=EventId("$9"))
    scenario.handle(waiting, stored=True)
    change = replace(EDIT, target=waiting.event_id, body=caption, is_file=True)
    scenario.handle(change, stored=True)
    result = scenario.agent_done("done")
    scenario.time_passes(5)
    calls = [each.request.text for each in scenario.effects if isinstance(each, CallAgent)]
    assert calls == ["first", *texts]
    assert (CATALOG.files_not_yet() in result.texts) == (not texts)


def test_an_edit_changes_no_message_of_another_kind_and_no_newer_caption():
    waiting = file(caption="look", edited_at_ms=20)
    of_file = replace(EDIT, target=waiting.event_id, body="late", is_file=True)
    assert revise(waiting, of_file) == waiting
    assert revise(waiting, replace(of_file, sent_at_ms=30)).caption == "late"
    assert revise(waiting, replace(of_file, is_file=False, sent_at_ms=30)) == waiting
    assert revise(MESSAGE, replace(EDIT, is_file=True)) == MESSAGE
