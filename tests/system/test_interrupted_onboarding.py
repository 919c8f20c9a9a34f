"""`kill -9` between any two requests of an onboarding: one Space, one chat, one welcome (contract O3)."""

import pytest

from tests.support.matrix_user import MatrixUser
from tests.system.boundaries import Theatre, Work
from tests.system.cast import BINDING, Home, accept, children, made_rooms, notice, said

pytestmark = pytest.mark.anyio


async def prepare(scene):
    """Nothing: the person is new."""


async def begin(scene):
    scene.notes["entry"] = await scene.person.create_room(invite=[scene.bot.user_id])


async def ended(scene):
    person, entry = scene.person, scene.notes["entry"]
    space, chat = await accept(person, scene.bot.user_id)
    await notice(person, entry)
    await notice(person, chat)
    scene.notes["home"] = Home(person, scene.bot.user_id, entry, space, chat)


async def use(scene):
    assert said(await scene.notes["home"].ask("are you there?")) == "echo: are you there?"


async def check(witness, scenes):
    homes = [scene.notes["home"] for scene in scenes]
    spaces, chats = await made_rooms(witness)
    assert sorted(spaces) == sorted(home.space for home in homes)
    assert sorted(chats) == sorted(home.chat for home in homes)
    for home in homes:
        await check_links(witness, home)
        await check_bindings(witness, home)
        assert await spoken(home, home.entry) == ["m.notice"]
        assert await spoken(home, home.chat) == ["m.notice", "m.text"]


async def check_links(witness: MatrixUser, home: Home) -> None:
    links = await children(witness, home.space)
    assert {room: link["via"] for room, link in links.items()} == {home.chat: ["localhost"]}
    parent = await witness.state_content(home.chat, "m.space.parent", home.space)
    assert parent is not None
    assert parent["via"] == ["localhost"]


async def check_bindings(witness: MatrixUser, home: Home) -> None:
    about = {"matrix_user_id": home.person.user_id, "archived": False}
    blank = dict.fromkeys(("chat_id", "platform_chat_id", "agent_id", "space_id"))
    for room, room_type in ((home.entry, "entry"), (home.space, "space")):
        found = await witness.account_data(BINDING, room)
        assert found == {**about, **blank, "room_type": room_type}
    binding = await witness.account_data(BINDING, home.chat)
    assert binding is not None
    assert binding.pop("platform_chat_id").isdecimal()
    chat = {"chat_id": "C1", "agent_id": "default", "space_id": home.space, "room_type": "chat"}
    assert binding == {**about, **chat}


async def spoken(home: Home, room: str) -> list[str]:
    return [
        event.msgtype
        for event in await home.person.messages(room)
        if event.sender == home.bot and event.msgtype and not event.replaces
    ]


@pytest.mark.usefixtures("agent")
async def test_an_onboarding_killed_anywhere_ends_with_one_space_and_one_chat(
    synapse, make_bot, make_person
):
    theatre = Theatre(synapse, make_bot, make_person)
    boundaries = await theatre.interrupted_everywhere(Work(prepare, begin, ended, use, check))
    # At least: join, two rooms, a link, three bindings, a welcome and a pointer; before and after.
    assert boundaries >= 18
