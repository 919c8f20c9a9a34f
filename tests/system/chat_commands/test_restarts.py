"""A restart in the middle of each dialogue: it continues or ends cleanly, never twice (C6, D1, K2, K7-K9).

All dialogues are under way at once when the daemon ends, each in a chat of its own; every test looks at one.
"""

import pytest

from machines.i18n import catalog_for
from tests.support.agent_server import AgentServer
from tests.support.matrix_user import MatrixUser
from tests.support.proxy import Proxy
from tests.system.chat_commands.interrupted import (
    HELD,
    STORY,
    Holding,
    begin_everything,
    drained,
    killed,
)
from tests.system.chat_commands.localized_user import LocalizedUser, one_answer_each, reactions
from tests.system.conftest import register_bot
from tests.system.users import PASSWORD, answer_to, children, created_rooms, onboard, text_of

pytestmark = pytest.mark.anyio

CATALOG = catalog_for("en", "Lambda")


@pytest.fixture(scope="module", params=[killed, drained], ids=lambda ending: ending.__name__)
async def interrupted(request, synapse, tmp_path_factory):
    """The interrupted dialogues after the restart, for both ways of ending."""
    end = request.param
    directory = tmp_path_factory.mktemp(end.__name__)
    user_id = await synapse.register(f"a-patient-{end.__name__}", PASSWORD)
    async with (
        Proxy(synapse.url) as proxy,
        AgentServer(Holding()) as agent,
        MatrixUser(synapse.url, user_id, PASSWORD) as user,
    ):
        bot = await register_bot(synapse, directory, agent, MATRIX_HOMESERVER=proxy.url)
        async with bot.daemon as daemon:
            await daemon.wait_live()
            localized = LocalizedUser(bot, await onboard(user, bot.user_id))
            interrupted = await begin_everything(localized, agent, proxy)
            await end(localized)
            proxy.clear_fault()
            await daemon.start()
            await daemon.wait_live()
            yield interrupted


async def test_a_story_in_progress_can_be_stopped_right_after_the_restart(interrupted):
    localized, room, asked = (
        interrupted.localized,
        interrupted.rooms["story"],
        interrupted.asked["story"],
    )
    (answer,) = await localized.send_all(room, "!stop")
    localized.assert_notice(("stop_done",), answer)
    reply = await answer_to(localized.user, room, asked)
    assert text_of(reply) == f"{STORY}\n\n{CATALOG.stopped()}"
    assert len(await localized.user.replies_to(room, asked)) == 1
    for request in interrupted.requests(asked):
        await interrupted.agent.connections[request.connection - 1].closed.wait()
    assert text_of(await localized.onboarded.ask("and then?", room)) == "echo: and then?"


async def test_an_open_list_is_still_open_and_picked_from_once(interrupted):
    localized, room = interrupted.localized, interrupted.rooms["list"]
    picked, plain = await localized.send_all(room, "2", "2")
    assert picked.body == CATALOG.load_picked("two")
    assert text_of(plain) == "echo: 2"
    (request,) = interrupted.requests(picked.answers)
    assert request.payload["context"] == {"action": "load", "name": "two"}


async def test_an_open_question_is_still_open_and_answered_once(interrupted):
    localized, room = interrupted.localized, interrupted.rooms["question"]
    first, second = await localized.send_all(room, "!no", "!yes")
    assert text_of(first) == "open: False"
    assert second.body == CATALOG.no_open_question()
    assert interrupted.confirmations("open") == {("open", False, first.answers)}
    assert len(interrupted.requests(first.answers)) == 1
    assert await reactions(localized.user, room) == []


async def test_an_answer_in_progress_is_requested_again_as_the_same_message_and_replied_to_once(
    interrupted,
):
    localized, room, asked = (
        interrupted.localized,
        interrupted.rooms["yes"],
        interrupted.asked["yes"],
    )
    (answer,) = await one_answer_each(localized.user, room, [asked])
    assert text_of(answer) == f"{HELD}: True"
    assert interrupted.confirmations(HELD) == {(HELD, True, asked)}
    assert len(interrupted.requests(asked)) == 2
    (again,) = await localized.send_all(room, "!yes")
    assert again.body == CATALOG.no_open_question()
    assert len(interrupted.confirmations(HELD)) == 1


async def test_a_save_in_progress_is_requested_again_as_the_same_message_and_listed_once(
    interrupted,
):
    localized, room, asked = (
        interrupted.localized,
        interrupted.rooms["save"],
        interrupted.asked["save"],
    )
    (answer,) = await one_answer_each(localized.user, room, [asked])
    assert (answer.msgtype, answer.body) == ("m.notice", CATALOG.save_done(HELD))
    requests = interrupted.requests(asked)
    assert [request.payload["context"]["name"] for request in requests] == [HELD, HELD]
    assert len({request.chat_id for request in requests}) == 1
    (page,) = await localized.send_all(room, "!load")
    assert page.body == CATALOG.load_list((HELD,))


async def test_a_chat_in_creation_is_created_once(interrupted, synapse):
    localized, onboarded = interrupted.localized, interrupted.localized.onboarded
    (answer,) = await one_answer_each(localized.user, onboarded.chat, [interrupted.asked["new"]])
    localized.assert_notice(("chat_created",), answer)
    invited = await localized.user.rooms_invited()
    for room in invited:
        await localized.user.join(room)
    linked = set(await children(localized.user, onboarded.space))
    assert len(linked) == 1 + len(interrupted.rooms) + 1
    async with MatrixUser(synapse.url, onboarded.bot, PASSWORD) as witness:
        spaces, chats = await created_rooms(witness)
    assert (spaces, set(chats)) == ([onboarded.space], linked)
    (garden,) = linked - {onboarded.chat, *interrupted.rooms.values()}
    assert text_of(await onboarded.ask("what grows here?", garden)) == "echo: what grows here?"


async def test_settings_are_still_sent(interrupted):
    answer = await interrupted.localized.onboarded.ask("how will you be?")
    (request,) = interrupted.requests(answer.answers)
    assert request.payload["settings"] == {"soul": "Be brief."}


async def test_finished_work_is_not_repeated(interrupted):
    for name in ("save", "yes"):
        await answer_to(
            interrupted.localized.user, interrupted.rooms[name], interrupted.asked[name]
        )
    answered = [
        event.answers
        for room in interrupted.rooms.values()
        for event in await texts_of_bot(interrupted, room)
    ]
    assert len(answered) == len({*answered})
    saves = [
        request.payload["context"]["name"]
        for request in interrupted.agent.requests
        if (request.payload.get("context") or {}).get("action") == "save"
    ]
    assert sorted(saves) == [HELD, HELD, "one", "two"]


async def texts_of_bot(interrupted, room):
    return [
        event
        for event in await interrupted.localized.user.messages(room)
        if event.answers is not None and event.replaces is None
    ]
