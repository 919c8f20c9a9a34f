"""Scenarios of past bugs: each holds, and is violated when its bug is planted."""

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from tests.simulation.scenario import Condition, Scenario, play
from tests.simulation.scenario_bugs import SCENARIO_BUGS

Script = Callable[[Scenario], Iterator[Condition]]
SCRIPTS: dict[str, Script] = {}


def shows(bug: str) -> Callable[[Script], Script]:
    """Register the planted bug that a script shows."""

    def register(script: Script) -> Script:
        assert bug in SCENARIO_BUGS
        SCRIPTS[bug] = script
        return script

    return register


@shows("a failure of a request that failed before is no outage")
def an_outage_strikes_a_sync_that_had_failed_before(scenario: Scenario) -> Iterator[Condition]:
    """A sync fails alone and then meets an outage, while messages are answered: no request is sent meanwhile (L9)."""
    yield from scenario.welcome()
    for _ in range(4):
        scenario.send("!new", scenario.user.entry)
    yield lambda: len(scenario.user.chats) == 5 and scenario.is_quiet()
    scenario.agents.pause_s = 0.1
    for chat in scenario.user.chats:
        for number in range(30):
            scenario.send(f"question {number}", chat)
    yield scenario.next_request("PUT", "/send/")
    yield scenario.next_request("GET", "/sync", "error")
    yield scenario.next_request("GET", "/sync", then=lambda: scenario.go_down("gateway"))
    yield scenario.passed(5.0)
    scenario.come_up()


@shows("a failure after a wait for the rate limit counts as one of an earlier outage")
def an_outage_strikes_a_request_that_waited_through_another(
    scenario: Scenario,
) -> Iterator[Condition]:
    """Messages wait for one that hangs through a short outage, and are sent at the start of the next one (L9)."""
    yield from scenario.welcome()
    scenario.send("!new two", scenario.user.entry)
    yield lambda: len(scenario.user.chats) == 2 and scenario.is_quiet()
    scenario.send("!help", scenario.user.entry)
    yield scenario.next_request("PUT", "/send/", "limited")
    yield scenario.next_request("PUT", "/send/", "hangs")
    for chat in scenario.user.chats:
        scenario.send("hello", chat)
    yield scenario.passed(2.0)
    scenario.go_down("gateway")
    yield scenario.passed(0.2)
    hangs = scenario.next_request("GET", "/sync", "hangs")
    struck = scenario.next_request("PUT", "/send/", then=lambda: scenario.go_down("gateway"))
    scenario.come_up()
    yield hangs
    yield struck
    yield scenario.passed(5.0)
    scenario.come_up()


@shows("an answered message is handled again")
def a_sync_repeats_an_answered_message_without_the_database(
    scenario: Scenario,
) -> Iterator[Condition]:
    """The database is lost twice, and each time a sync shows a message with its answer once more (D1, D12)."""
    yield from scenario.welcome()
    scenario.send("who are you?")
    yield scenario.is_quiet
    scenario.faults.repeats = True
    for pieces in (("word ",) * 20, ("word ",) * 2):
        scenario.agents.pieces, scenario.agents.pause_s = pieces, 0.5
        scenario.faults.loses_next_database = True
        scenario.kill()
        yield scenario.is_live
        # Each makes a sync, and each sync shows up to four known events of every room.
        for _ in range(20):
            scenario.send("!help", scenario.user.entry)
            yield scenario.passed(0.15)


@shows("a Space that was refused is not stored again")
def a_space_is_refused_and_asked_for_again(scenario: Scenario) -> Iterator[Condition]:
    """The homeserver fails to create the Space, and the user asks again (D1, O3)."""
    yield scenario.is_live
    for _ in range(4):
        scenario.next_request("POST", "/createRoom", "error")
    entry = scenario.invite()
    yield lambda: not scenario.faults.rules and scenario.is_quiet()
    scenario.send("hello", entry)
    yield lambda: bool(scenario.user.chats)


@shows("the first part of an answer looks finished")
def an_answer_of_several_parts_is_cut_off_between_them(scenario: Scenario) -> Iterator[Condition]:
    """The bot is killed, and its database lost, after the first part of an answer (D2, D12)."""
    yield from scenario.welcome()
    scenario.agents.pieces = ("a long paragraph of many words\n\n" * 1500,)
    scenario.send("tell me everything")
    yield scenario.next_request("PUT", "/send/")
    scenario.faults.loses_next_database = True
    yield scenario.next_request("PUT", "/send/", "hangs", scenario.kill)


@shows("a message that was sent is refused from outside of its room")
def the_bot_is_removed_before_it_knows_that_its_answer_was_sent(
    scenario: Scenario,
) -> Iterator[Condition]:
    """An answer is sent; the bot is killed before it knows, removed from the room, and invited again (D1)."""
    yield from scenario.welcome()
    entry = scenario.user.entry
    assert entry is not None
    scenario.send("!help", entry)
    yield scenario.next_request("PUT", "/send/", "unanswered_hangs")
    yield scenario.passed(0.2)
    scenario.kill()
    scenario.set_bot(entry, "leave")
    yield scenario.next_request("GET", "/state/m.room.encryption/", "error")
    scenario.set_bot(entry, "invite")
    yield lambda: entry.membership(scenario.server.bot) == "join"


@shows("the edits of a found reply continue its transaction ids")
def a_reply_is_finished_after_an_edit_of_it_was_dropped(scenario: Scenario) -> Iterator[Condition]:
    """An edit is dropped, the next is sent, the database is lost: the last edit has a new transaction id (D2, D12)."""
    yield from scenario.welcome()
    scenario.agents.pieces, scenario.agents.pause_s = ("word ",) * 100, 0.2
    scenario.send("tell me a long story")
    yield scenario.next_request("PUT", "/send/")
    yield scenario.next_request("PUT", ".e1")
    yield scenario.next_request("PUT", ".e2", "refused")
    # A message that waits makes the bot probe the homeserver; an edit is dropped.
    scenario.send("!help", scenario.user.entry)
    yield scenario.next_request("PUT", ".e3")
    yield scenario.passed(0.2)
    scenario.faults.loses_next_database = True
    scenario.kill()
    scenario.agents.pieces, scenario.agents.pause_s = ("all right",), 0.0


@shows("the history is read once right after the start")
def a_killed_process_still_sends_after_the_history_was_read(
    scenario: Scenario,
) -> Iterator[Condition]:
    """The bot is killed and its database lost while a text is on its way, which arrives a little later (D1, D12)."""
    yield from scenario.welcome()
    for number in range(8):
        scenario.agents.pieces, scenario.agents.pause_s = (f"word {number} ",) * 4, 0.2
        scenario.agents.delay_s = 0.0
        scenario.send(f"question {number}")
        scenario.faults.loses_next_database = True
        yield scenario.next_request("PUT", "/send/", "late", scenario.kill)
        # The next process answers in one event without an edit, after the late text.
        scenario.agents.pieces, scenario.agents.pause_s = ("all right",), 0.0
        scenario.agents.delay_s = 2.5
        yield scenario.is_quiet


@shows("no session is renewed outside of a sync")
def the_session_ends_while_history_is_read(scenario: Scenario) -> Iterator[Condition]:
    """The session ends softly while a start without the database reads the history of a room (L10)."""
    yield from scenario.welcome()
    scenario.send("hello")
    scenario.faults.loses_next_database = True
    scenario.kill()
    yield scenario.next_request("GET", "/messages", then=scenario.end_session)
    yield scenario.is_live


@shows("an older observation of a room counts")
def the_bot_is_invited_again_while_it_observes_a_room(scenario: Scenario) -> Iterator[Condition]:
    """The bot is removed from a room and invited again while it observes the room (O1, C7)."""
    yield from scenario.welcome()
    entry = scenario.user.entry
    assert entry is not None
    scenario.set_bot(entry, "leave")
    yield scenario.passed(1.0)
    scenario.set_bot(entry, "invite")
    remove = partial(scenario.set_bot, entry, "leave")
    yield scenario.next_request("GET", "/state/m.room.member/", then=remove, late_s=5.0)
    yield scenario.passed(0.5)
    scenario.set_bot(entry, "invite")
    invited = len(entry.events)

    def is_answered() -> bool:
        bodies = [str(event.content.get("body")) for event in entry.events[invited:]]
        return any(body.startswith("Your Space is there") for body in bodies)

    yield scenario.within(10.0, is_answered, "the bot says where the Space is (O1)")


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=lambda script: script.__name__)
def test_a_scenario_holds(script):
    assert play(script).violation is None


@pytest.mark.parametrize("bug", SCENARIO_BUGS)
def test_a_scenario_finds_its_bug(bug):
    assert play(SCRIPTS[bug], SCENARIO_BUGS[bug]).violation is not None
