"""A user who may no longer talk to the bot is told once in each room of theirs (contract E3)."""

import pytest

from machines.events.internal import Resumed
from machines.i18n import catalog_for
from machines.user.preferences import Preferences
from tests.machines.support import (
    ANNA,
    BERT,
    CATALOG,
    STRANGER,
    RoomScenario,
    chat_room,
    entry_room,
)

OTHERS_ONLY = {"allowed": (str(BERT),)}


def fallen_off(room):
    return RoomScenario(room, context_options=OTHERS_ONLY)


@pytest.mark.parametrize("room", [chat_room(), entry_room(), entry_room(state="failed")])
def test_the_user_of_a_room_is_told_once_and_gets_no_other_reaction(room):
    scenario = fallen_off(room)
    result = scenario.user_writes("hello")
    (told,) = result.messages
    assert (told.body, told.notice, told.answers) == (CATALOG.no_longer_allowed(), True, None)
    assert (len(result.effects), result.acked) == (2, [1])
    for body in ("hello?", "!help", "!new", "!stop", "!yes"):
        result = scenario.user_writes(body)
        assert (result.messages, len(result.effects)) == ([], 1)


def test_they_are_told_in_their_language():
    scenario = fallen_off(chat_room())
    scenario.preferences[ANNA] = Preferences(language="ru")
    assert scenario.user_writes("hello").texts == [catalog_for("ru", "Lambda").no_longer_allowed()]


def test_a_restart_does_not_repeat_it():
    scenario = fallen_off(chat_room())
    scenario.user_writes("hello")
    again = fallen_off(scenario.actor.room)
    again.handle(Resumed())
    assert again.user_writes("hello").messages == []


def test_they_are_told_again_after_they_were_allowed_in_between():
    scenario = fallen_off(chat_room())
    scenario.user_writes("hello")
    scenario.context_options = {}
    assert scenario.user_writes("hello").only_call
    scenario.agent_done("Hello!")
    scenario.context_options = OTHERS_ONLY
    assert scenario.user_writes("hello").texts == [CATALOG.no_longer_allowed()]


@pytest.mark.parametrize("sender", [STRANGER, BERT])
@pytest.mark.parametrize("options", [{}, {"allowed": (str(ANNA),)}])
def test_nobody_else_is_told_anything(sender, options):
    scenario = RoomScenario(chat_room(), context_options=options)
    assert scenario.user_writes("hello", sender=sender).messages == []


def test_a_stranger_in_an_entry_room_is_told_nothing():
    scenario = RoomScenario(entry_room(others=2))
    assert scenario.user_writes("hello", sender=STRANGER).messages == []


@pytest.mark.parametrize("others", [2, None])
def test_it_is_not_said_where_others_read(others):
    assert fallen_off(entry_room(others=others)).user_writes("hello").messages == []


@pytest.mark.parametrize("state", ["unregistered", "reconciling"])
def test_nothing_is_sent_to_a_room_that_the_bot_may_not_be_in(state):
    assert fallen_off(chat_room(state=state)).user_writes("hello").messages == []
