"""The first messages of a chat, and the pointer in the entry room (contracts O1, K2)."""

import pytest
from msgspec.structs import replace

from machines.events.internal import NewChatRequested, OnboardingRequested, ReplyTarget
from machines.ids import EventId, RoomId
from tests.machines.support import CATALOG, ENTRY, ROOM, UserScenario
from tests.machines.user.orders import complete_orders

INVITED = ReplyTarget(ENTRY)
WROTE = ReplyTarget(ENTRY, EventId("$hello"))


def test_the_welcome_goes_to_the_chat_and_the_pointer_to_the_entry_room():
    scenario = UserScenario()
    steps = complete_orders(scenario, scenario.handle(OnboardingRequested(INVITED)))
    welcome, pointer = steps[-1].messages
    assert (welcome.room_id, welcome.notice, welcome.answers) == (ROOM, True, None)
    assert (pointer.room_id, pointer.notice, pointer.answers) == (ENTRY, True, None)
    assert ROOM.removeprefix("!") in pointer.body


@pytest.mark.parametrize("encrypted", [True, False])
def test_the_welcome_says_that_the_room_of_the_invitation_is_encrypted(encrypted):
    scenario = UserScenario()
    request = OnboardingRequested(replace(INVITED, encrypted=encrypted))
    welcome, _ = complete_orders(scenario, scenario.handle(request))[-1].messages
    assert ("is encrypted" in welcome.body) == encrypted
    assert welcome.body == CATALOG.welcome("the default agent", encrypted=encrypted)


def test_a_further_chat_has_a_shorter_welcome():
    scenario = UserScenario()
    complete_orders(scenario, scenario.handle(OnboardingRequested(INVITED)))
    scenario.actor = replace(
        scenario.actor, chats=(replace(scenario.actor.chats[0], room_id=RoomId("!other")),)
    )
    steps = complete_orders(scenario, scenario.handle(NewChatRequested(WROTE, "Trip")))
    welcome, *_ = steps[-1].messages
    assert welcome.body == CATALOG.welcome_again("the default agent")
