"""Ended in the middle of each dialogue, and started again: it goes on or ends cleanly, never twice (C6, D1, K2, K7-K9).

All dialogues are under way at once when the daemon ends, each in a chat of its own; every test looks at one.
"""

import pytest

from machines.i18n import catalog_for
from tests.support.agent_server import AgentServer
from tests.support.matrix_user import MatrixUser
from tests.support.proxy import Proxy
from tests.system.cast import PASSWORD, answer_to, children, made_rooms, onboard, said
from tests.system.chat_commands.guest import Guest, one_answer_each, reactions
from tests.system.chat_commands.interrupted import (
    HELD,
    STORY,
    Holding,
    begin_everything,
    drained,
    killed,
)
from tests.system.conftest import register_bot

pytestmark = pytest.mark.anyio

CATALOG = catalog_for("en", "Lambda")


@pytest.fixture(scope="module", params=[killed, drained], ids=lambda ending: ending.__name__)
async def scene(request, synapse, tmp_path_factory):
    """The scene after the restart, by either ending."""
    end = request.param
    directory = tmp_path_factory.mktemp(end.__name__)
    user_id = await synapse.register(f"a-patient-{end.__name__}", PASSWORD)
    async with (
        Proxy(synapse.url) as proxy,
        AgentServer(Holding()) as agent,
        MatrixUser(synapse.url, user_id, PASSWORD) as person,
    ):
        bot = await register_bot(synapse, directory, agent, MATRIX_HOMESERVER=proxy.url)
        async with bot.daemon as daemon:
            await daemon.wait_live()
            guest = Guest(bot, await onboard(person, bot.user_id))
            scene = await begin_everything(guest, agent, proxy)
            await end(guest)
            proxy.clear_fault()
            await daemon.start()
            await daemon.wait_live()
            yield scene


async def test_a_story_in_hand_can_be_stopped_right_after_the_restart(scene):
    guest, room, asked = scene.guest, scene.rooms["story"], scene.asked["story"]
    (answer,) = await guest.tell(room, "!stop")
    guest.hears(("stop_done",), answer)
    reply = await answer_to(guest.person, room, asked)
    assert said(reply) == f"{STORY}\n\n{CATALOG.stopped()}"
    assert len(await guest.person.replies_to(room, asked)) == 1
    for request in scene.requests(asked):
        await scene.agent.connections[request.connection - 1].closed.wait()
    assert said(await guest.home.ask("and then?", room)) == "echo: and then?"


async def test_an_open_list_is_still_open_and_picked_from_once(scene):
    guest, room = scene.guest, scene.rooms["list"]
    picked, plain = await guest.tell(room, "2", "2")
    assert picked.body == CATALOG.load_picked("two")
    assert said(plain) == "echo: 2"
    (request,) = scene.requests(picked.answers)
    assert request.payload["context"] == {"action": "load", "name": "two"}


async def test_an_open_question_is_still_open_and_answered_once(scene):
    guest, room = scene.guest, scene.rooms["question"]
    first, second = await guest.tell(room, "!no", "!yes")
    assert said(first) == "open: False"
    assert second.body == CATALOG.no_open_question()
    assert scene.confirmations("open") == {("open", False, first.answers)}
    assert len(scene.requests(first.answers)) == 1
    assert await reactions(guest.person, room) == []


async def test_an_answer_in_hand_is_asked_again_as_the_same_message_and_replied_to_once(scene):
    guest, room, asked = scene.guest, scene.rooms["yes"], scene.asked["yes"]
    (answer,) = await one_answer_each(guest.person, room, [asked])
    assert said(answer) == f"{HELD}: True"
    assert scene.confirmations(HELD) == {(HELD, True, asked)}
    assert len(scene.requests(asked)) == 2
    (again,) = await guest.tell(room, "!yes")
    assert again.body == CATALOG.no_open_question()
    assert len(scene.confirmations(HELD)) == 1


async def test_a_save_in_hand_is_asked_again_as_the_same_message_and_listed_once(scene):
    guest, room, asked = scene.guest, scene.rooms["save"], scene.asked["save"]
    (answer,) = await one_answer_each(guest.person, room, [asked])
    assert (answer.msgtype, answer.body) == ("m.notice", CATALOG.save_done(HELD))
    requests = scene.requests(asked)
    assert [request.payload["context"]["name"] for request in requests] == [HELD, HELD]
    assert len({request.chat_id for request in requests}) == 1
    (page,) = await guest.tell(room, "!load")
    assert page.body == CATALOG.load_list((HELD,))


async def test_a_chat_half_made_is_made_once(scene, synapse):
    guest, home = scene.guest, scene.guest.home
    (answer,) = await one_answer_each(guest.person, home.chat, [scene.asked["new"]])
    guest.hears(("chat_created",), answer)
    invited = await guest.person.rooms_invited()
    for room in invited:
        await guest.person.join(room)
    linked = set(await children(guest.person, home.space))
    assert len(linked) == 1 + len(scene.rooms) + 1
    async with MatrixUser(synapse.url, home.bot, PASSWORD) as witness:
        spaces, chats = await made_rooms(witness)
    assert (spaces, set(chats)) == ([home.space], linked)
    (garden,) = linked - {home.chat, *scene.rooms.values()}
    assert said(await home.ask("what grows here?", garden)) == "echo: what grows here?"


async def test_what_was_chosen_still_travels(scene):
    answer = await scene.guest.home.ask("how will you be?")
    (request,) = scene.requests(answer.answers)
    assert request.payload["settings"] == {"soul": "Be brief."}


async def test_nothing_that_was_done_before_is_done_again(scene):
    for name in ("save", "yes"):
        await answer_to(scene.guest.person, scene.rooms[name], scene.asked[name])
    answered = [
        event.answers for room in scene.rooms.values() for event in await bot_says(scene, room)
    ]
    assert len(answered) == len({*answered})
    saves = [
        request.payload["context"]["name"]
        for request in scene.agent.requests
        if (request.payload.get("context") or {}).get("action") == "save"
    ]
    assert sorted(saves) == [HELD, HELD, "one", "two"]


async def bot_says(scene, room):
    return [
        event
        for event in await scene.guest.person.messages(room)
        if event.answers is not None and event.replaces is None
    ]
