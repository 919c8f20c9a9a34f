"""An answer is sent as a reply to its question where another message is between them (contract D18)."""

import pytest

from machines.events.internal import AnswerReady, ReplyTarget, Resumed
from machines.events.matrix import FileArrived, LastMessageShown, MessageArrived
from machines.events.orders import Refused
from machines.ids import EventId
from machines.room.actor import RoomActor
from tests.machines.support import ANNA, BERT, ENTRY, ROOM, RoomScenario, entry_room


def replies(result) -> list[tuple[str, bool]]:
    """Return the new messages of a step: what they answer, and whether as a reply."""
    return [
        (message.answers, message.as_reply) for message in result.messages if message.edits is None
    ]


def restart(scenario: RoomScenario) -> None:
    """Load the actor from its rows, as the next process does; the waiting messages are read again later."""
    scenario.actor = RoomActor(scenario.actor.room, scenario.actor.turn)


def last_message_shown(scenario: RoomScenario, answers: str | None = None) -> None:
    scenario.handle(LastMessageShown(ROOM, EventId(answers) if answers else None), stored=True)


def test_the_answer_to_the_last_message_is_no_reply():
    scenario = RoomScenario()
    for number in (1, 2):
        scenario.user_writes("hello")
        assert replies(scenario.agent_done("hi")) == [(f"${number}", False)]


def test_each_answer_to_messages_that_waited_is_a_reply():
    scenario = RoomScenario()
    for _ in range(3):
        scenario.user_writes("hello")
    assert replies(scenario.agent_done("1")) == [("$1", True)]
    assert replies(scenario.agent_done("2")) == [("$2", True)]
    # The answer before it is between.
    assert replies(scenario.agent_done("3")) == [("$3", True)]
    scenario.user_writes("and now?")
    assert replies(scenario.agent_done("4")) == [("$4", False)]


@pytest.mark.parametrize("quick", ["!help", "!settings"])
def test_a_command_that_is_answered_meanwhile_is_between(quick):
    scenario = RoomScenario()
    scenario.user_writes("hello")
    assert replies(scenario.user_writes(quick)) == [("$2", False)]
    restart(scenario)
    scenario.handle(Resumed())
    assert replies(scenario.agent_done("hi")) == [("$1", True)]


def test_only_the_first_event_of_a_reply_is_one():
    scenario = RoomScenario()
    scenario.user_writes("hello")
    scenario.user_writes("!help")
    result = scenario.agent_done("a paragraph of words\n\n" * 2000)
    (first, *others) = [message for message in result.messages if message.edits is None]
    assert first.as_reply
    assert others
    assert not any(message.as_reply for message in others)
    assert not any(message.as_reply for message in result.messages if message.edits is not None)


def test_what_comes_after_the_first_text_changes_nothing():
    scenario = RoomScenario()
    scenario.user_writes("hello")
    scenario.agent_output("it begins")
    assert replies(scenario.time_passes(1.0)) == [("$1", False)]
    scenario.user_writes("one more")
    result = scenario.agent_done("it begins, and ends")
    assert not any(message.as_reply for message in result.messages)
    scenario.time_passes(5.0)
    # Only an edit of the first answer came after the second question.
    assert replies(scenario.agent_done("two")) == [("$2", False)]


def test_a_later_part_of_the_answer_before_it_is_between():
    scenario = RoomScenario()
    scenario.user_writes("hello")
    scenario.agent_output("it begins")
    scenario.time_passes(0.3)
    scenario.user_writes("one more")
    scenario.agent_done("it begins " + "a paragraph of words\n\n" * 2000)
    scenario.time_passes(5.0)
    assert replies(scenario.agent_done("two")) == [("$2", True)]


@pytest.mark.parametrize("at", ["before the answer", "after the answer"])
def test_it_is_known_after_a_restart(at):
    scenario = RoomScenario()
    scenario.user_writes("one")
    waiting = MessageArrived(ROOM, EventId("$2"), ANNA, "two", 0)
    scenario.handle(waiting, stored=True)
    if at == "after the answer":
        assert replies(scenario.agent_done("1")) == [("$1", True)]
    restart(scenario)
    scenario.handle(Resumed())
    if at == "before the answer":
        # The waiting message is read again from its row.
        scenario.seq -= 1
        scenario.handle(waiting, stored=True)
        assert replies(scenario.agent_done("1")) == [("$1", True)]
    assert replies(scenario.agent_done("2")) == [("$2", True)]


def test_a_row_that_is_read_again_is_not_a_newer_message():
    scenario = RoomScenario()
    scenario.user_writes("one")
    waiting = MessageArrived(ROOM, EventId("$2"), ANNA, "two", 0)
    scenario.handle(waiting, stored=True)
    scenario.agent_output("it begins")
    scenario.time_passes(0.3)  # the first answer is sent after the second question
    restart(scenario)
    scenario.handle(Resumed())
    scenario.seq -= 1
    scenario.handle(waiting, stored=True)
    scenario.agent_done("it begins, and ends")
    scenario.time_passes(5.0)
    assert replies(scenario.agent_done("2")) == [("$2", True)]


def test_an_own_message_that_a_sync_shows_after_the_question_is_between():
    """The answer before was ordered when the question was not read yet, but sent after it."""
    scenario = RoomScenario()
    scenario.user_writes("hello")
    last_message_shown(scenario, answers="$0")
    assert replies(scenario.agent_done("hi")) == [("$1", True)]


def test_an_own_message_that_is_still_on_its_way_is_between():
    scenario = RoomScenario(context_options={"message_pending": True})
    scenario.user_writes("hello")
    scenario.context_options = {}
    assert replies(scenario.agent_done("hi")) == [("$1", True)]


def test_its_own_answer_is_not_between():
    scenario = RoomScenario()
    scenario.user_writes("hello")
    last_message_shown(scenario, answers="$1")
    assert replies(scenario.agent_done("hi")) == [("$1", False)]


def test_a_message_that_others_wrote_is_between():
    scenario = RoomScenario()
    scenario.user_writes("hello")
    scenario.user_writes("psst", sender=BERT)
    assert replies(scenario.agent_done("hi")) == [("$1", True)]


def test_the_answer_to_a_file_is_a_reply_too():
    scenario = RoomScenario()
    scenario.user_writes("hello")
    scenario.handle(FileArrived(ROOM, EventId("$file"), ANNA, "a.pdf", 0), stored=True)
    result = scenario.agent_done("hi")
    assert replies(result) == [("$1", True), ("$file", True)]


def test_the_answer_of_a_users_actor_is_a_reply_where_another_message_is_between():
    scenario = RoomScenario(entry_room())
    scenario.user_writes("!new")
    ready = AnswerReady(ReplyTarget(ENTRY, EventId("$1")), "done", "done")
    assert replies(scenario.handle(ready, stored=True)) == [("$1", False)]
    scenario.user_writes("!help")
    assert replies(scenario.handle(ready, stored=True)) == [("$1", True)]


def test_an_unknown_newest_message_makes_no_reply():
    scenario = RoomScenario(entry_room())
    ready = AnswerReady(ReplyTarget(ENTRY, EventId("$1")), "done", "done")
    assert replies(scenario.handle(ready, stored=True)) == [("$1", False)]


def test_a_waiting_message_alone_changes_no_row():
    scenario = RoomScenario()
    scenario.user_writes("one")
    room = scenario.actor.room
    scenario.user_writes("two")
    assert scenario.actor.room == room
    assert scenario.actor.newest != room.chat_context.newest


def test_a_cleared_chat_still_knows_its_newest_message():
    scenario = RoomScenario()
    scenario.user_writes("one")
    # The end of the stopped answer is between the command and its answer.
    assert replies(scenario.user_writes("!clear")) == [("$1", True), ("$2", True)]
    restart(scenario)
    scenario.user_writes("two")
    assert replies(scenario.agent_done("2")) == [("$3", False)]


def test_a_refused_answer_is_not_between_the_question_and_its_replacement():
    scenario = RoomScenario()
    scenario.user_writes("one")
    scenario.agent_done("1")
    refused = Refused("too_large", "M_TOO_LARGE", "no")
    result = scenario.order_done("$1.1", refused, answers=EventId("$1"))
    assert replies(result) == [("$1", False)]
