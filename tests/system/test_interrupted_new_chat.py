"""`kill -9` between any two requests of `!new`: one room, one answer (contract K2)."""

import pytest

from tests.system.boundaries import BoundaryRunner, Work
from tests.system.users import BINDING, answer_to, children, created_rooms, onboard, text_of

pytestmark = pytest.mark.anyio


async def prepare(attempt):
    onboarded = attempt.values["onboarded"] = await onboard(attempt.user, attempt.bot.user_id)
    # An answer shows that the onboarding is finished.
    await onboarded.ask("are you there?")


async def begin(attempt):
    onboarded = attempt.values["onboarded"]
    attempt.values["asked"] = await attempt.user.send_text(onboarded.chat, "!new Garden")


async def ended(attempt):
    onboarded, user = attempt.values["onboarded"], attempt.user
    await answer_to(user, onboarded.chat, attempt.values["asked"])
    (garden,) = await user.rooms_invited()
    await user.join(garden)
    attempt.values["garden"] = garden


async def use(attempt):
    onboarded, garden = attempt.values["onboarded"], attempt.values["garden"]
    assert text_of(await onboarded.ask("what grows here?", garden)) == "echo: what grows here?"


async def check(witness, attempts):
    spaces, chats = await created_rooms(witness)
    assert sorted(spaces) == sorted(attempt.values["onboarded"].space for attempt in attempts)
    assert sorted(chats) == sorted(
        room
        for attempt in attempts
        for room in (attempt.values["onboarded"].chat, attempt.values["garden"])
    )
    for attempt in attempts:
        onboarded, garden = attempt.values["onboarded"], attempt.values["garden"]
        assert await onboarded.user.rooms_invited() == []
        assert len(await onboarded.user.replies_to(onboarded.chat, attempt.values["asked"])) == 1
        assert await onboarded.user.state_content(garden, "m.room.name") == {"name": "Garden"}
        assert set(await children(witness, onboarded.space)) == {onboarded.chat, garden}
        binding = await witness.account_data(BINDING, garden)
        assert binding is not None
        assert (binding["chat_id"], binding["space_id"]) == ("C2", onboarded.space)
        spoken = [
            event.msgtype
            for event in await onboarded.user.messages(garden)
            if event.sender == onboarded.bot and event.msgtype and not event.replaces
        ]
        assert spoken == ["m.notice", "m.text"]


@pytest.mark.usefixtures("agent")
async def test_a_new_chat_killed_anywhere_is_one_room(synapse, make_bot, make_user):
    runner = BoundaryRunner(synapse, make_bot, make_user)
    boundaries = await runner.interrupted_everywhere(Work(prepare, begin, ended, use, check))
    # At least: a room, a link, a binding, a welcome and an answer; before and after.
    assert boundaries >= 10
