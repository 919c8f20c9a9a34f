"""`kill -9` between any two requests of `!new`: one room, one answer (contract K2)."""

import pytest

from tests.system.boundaries import Theatre, Work
from tests.system.cast import BINDING, answer_to, children, made_rooms, onboard, said

pytestmark = pytest.mark.anyio


async def prepare(scene):
    home = scene.notes["home"] = await onboard(scene.person, scene.bot.user_id)
    # The last thing that an onboarding does is done before an answer comes.
    await home.ask("are you there?")


async def begin(scene):
    home = scene.notes["home"]
    scene.notes["asked"] = await scene.person.send_text(home.chat, "!new Garden")


async def ended(scene):
    home, person = scene.notes["home"], scene.person
    await answer_to(person, home.chat, scene.notes["asked"])
    (garden,) = await person.rooms_invited()
    await person.join(garden)
    scene.notes["garden"] = garden


async def use(scene):
    home, garden = scene.notes["home"], scene.notes["garden"]
    assert said(await home.ask("what grows here?", garden)) == "echo: what grows here?"


async def check(witness, scenes):
    spaces, chats = await made_rooms(witness)
    assert sorted(spaces) == sorted(scene.notes["home"].space for scene in scenes)
    assert sorted(chats) == sorted(
        room for scene in scenes for room in (scene.notes["home"].chat, scene.notes["garden"])
    )
    for scene in scenes:
        home, garden = scene.notes["home"], scene.notes["garden"]
        assert await home.person.rooms_invited() == []
        assert len(await home.person.replies_to(home.chat, scene.notes["asked"])) == 1
        assert await home.person.state_content(garden, "m.room.name") == {"name": "Garden"}
        assert set(await children(witness, home.space)) == {home.chat, garden}
        binding = await witness.account_data(BINDING, garden)
        assert binding is not None
        assert (binding["chat_id"], binding["space_id"]) == ("C2", home.space)
        spoken = [
            event.msgtype
            for event in await home.person.messages(garden)
            if event.sender == home.bot and event.msgtype and not event.replaces
        ]
        assert spoken == ["m.notice", "m.text"]


@pytest.mark.usefixtures("agent")
async def test_a_new_chat_killed_anywhere_is_one_room(synapse, make_bot, make_person):
    theatre = Theatre(synapse, make_bot, make_person)
    boundaries = await theatre.interrupted_everywhere(Work(prepare, begin, ended, use, check))
    # At least: a room, a link, a binding, a welcome and an answer; before and after.
    assert boundaries >= 10
