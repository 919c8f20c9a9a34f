"""Without a database the bot takes up what it was asked, once, and nothing that is settled (contract D12)."""

import anyio
import pytest

from tests.support.agent_script import End, Text, Wait
from tests.support.proxy import Answer, ProxiedRequest, Proxy
from tests.system.cast import PARTIAL, answer_to, onboard, replies
from tests.system.recovery.backstage import Backstage
from tests.system.recovery.conftest import MakeBackstage
from tests.system.recovery.town import open_chat

pytestmark = pytest.mark.anyio

OLD = 100
"""Answered messages in each of two rooms: with their answers more than a page of history."""
WAITING = 60


@pytest.fixture
async def backstage(make_backstage: MakeBackstage, proxy: Proxy) -> Backstage:
    """A bot behind a proxy, which can swallow what it says of its place."""
    return await make_backstage(MATRIX_HOMESERVER=proxy.url)


async def lose(backstage) -> None:
    """Kill the bot, and its database with it."""
    await backstage.bot.daemon.kill()
    backstage.lose_database()


def is_marker(proxied: ProxiedRequest) -> bool:
    return proxied.path.endswith("/read_markers")


async def place_reached(backstage, proxy, room, message_id) -> None:
    """Wait until the homeserver has been told that the bot is finished with a message."""

    def told() -> int:
        return len([each for each in proxy.requests if is_marker(each) and each.status == 200])

    async with backstage.account() as account:
        while True:
            known = told()
            place = await account.account_data("m.fully_read", room)
            if place == {"event_id": message_id}:
                return
            await proxy.wait_until(lambda: told() > known)  # noqa: B023 - used up in this round


async def answered(person, room) -> list[str | None]:
    """Return the messages of a room that are answered, in the order of the answers; each once."""
    found = [reply.answers for reply in await replies(person, room)]
    assert len(set(found)) == len(found)
    return found


async def test_what_waits_behind_the_place_is_answered_once_and_in_order(
    backstage, proxy, agent, person
):
    await backstage.start()
    home = await onboard(person, backstage.bot.user_id)
    second = await open_chat(home, "Second")
    proxy.fault = lambda proxied: Answer(200, b"{}") if is_marker(proxied) else None
    old = {home.chat: [], second: []}

    async def talk(room) -> None:
        for number in range(OLD):
            old[room].append(await person.send_text(room, f"old {number}"))
        await answer_to(person, room, old[room][-1])

    async with anyio.create_task_group() as group:
        for room in old:
            group.start_soon(talk, room)
    proxy.clear_fault()
    # The second room's place is known, the first one's is not: nothing was ever kept of it.
    old[second].append(await person.send_text(second, "and this"))
    await answer_to(person, second, old[second][-1])
    await place_reached(backstage, proxy, second, old[second][-1])
    await lose(backstage)
    earlier = len(agent.requests)
    waiting = {home.chat: [], second: [], home.entry: []}
    for number in range(WAITING):
        waiting[second].append(await person.send_text(second, f"new {number}"))
    for text in ("new", "!rename Parlour", "newer", "!help"):
        waiting[home.chat].append(await person.send_text(home.chat, text))
    for text in ("hello?", "!chats"):
        waiting[home.entry].append(await person.send_text(home.entry, text))
    await backstage.start()
    for room, messages in waiting.items():
        for message_id in messages:
            await answer_to(person, room, message_id)
    asked = [request.message_id for request in agent.requests[earlier:]]
    turns = [waiting[home.chat][0], waiting[home.chat][2]]
    assert sorted(asked) == sorted([*waiting[second], *turns])
    assert [each for each in asked if each in waiting[second]] == waiting[second]
    assert [each for each in asked if each in turns] == turns
    assert [each for each in await answered(person, second) if each in waiting[second]] == (
        waiting[second]
    )
    for room in (home.chat, second):
        assert set(await answered(person, room)) >= {*old[room], *waiting[room]}
    assert set(await answered(person, home.entry)) == set(waiting[home.entry])
    assert await person.state_content(home.chat, "m.room.name") == {"name": "Parlour"}


async def test_an_answer_that_was_begun_is_finished_in_its_own_event(backstage, agent, person):
    await backstage.start()
    home = await onboard(person, backstage.bot.user_id)
    await home.ask("one")
    agent.script = lambda request: (Text("The beginning"), Wait(anyio.Event()))
    asked = await person.send_text(home.chat, "tell me all")
    begun = await person.wait_for(lambda event: event.answers == asked)
    assert begun.content[PARTIAL] is True
    await lose(backstage)
    later = await person.send_text(home.chat, "and then?")
    agent.script = lambda request: (Text(f"All of {request.text}."), End())
    await backstage.start()
    await answer_to(person, home.chat, later)
    finished = await person.latest_content(home.chat, begun.event_id)
    assert finished["body"] == "All of tell me all."
    assert PARTIAL not in finished
    assert (await answered(person, home.chat))[-2:] == [asked, later]


async def test_a_question_is_found_behind_what_asks_nothing(backstage, agent, person):
    await backstage.start()
    home = await onboard(person, backstage.bot.user_id)
    edited = home.chat
    noticed, waved, redacted = [await open_chat(home, name) for name in ("B", "C", "D")]
    await lose(backstage)
    asked = {
        room: await person.send_text(room, f"are you there, {number}?")
        for number, room in enumerate((edited, noticed, waved, redacted))
    }
    await person.edit(edited, asked[edited], "are you there?")
    for room, msgtype in ((noticed, "m.notice"), (waved, "m.emote")):
        await person.send_event(room, "m.room.message", {"msgtype": msgtype, "body": "hm"})
    await person.redact(redacted, await person.send_text(redacted, "never mind this one"))
    await backstage.start()
    for number, (room, message_id) in enumerate(asked.items()):
        answer = await answer_to(person, room, message_id)
        assert answer.body == f"echo: are you there, {number}?"
        assert (await answered(person, room))[-1] == message_id


async def test_a_command_in_between_does_not_hide_the_message_before_it(
    backstage, proxy, agent, person
):
    await backstage.start()
    home = await onboard(person, backstage.bot.user_id)
    quick = await person.send_text(home.chat, "a quick one")
    await place_reached(backstage, proxy, home.chat, quick)
    agent.hold()
    asked = await person.send_text(home.chat, "a slow one")
    await agent.connections_opened(len(agent.connections) + 1)
    helped = await person.send_text(home.chat, "!help")
    await answer_to(person, home.chat, helped)
    # The receipt travels with what is said of the bot's place.
    await person.wait_for(lambda event: event.type == "m.receipt" and helped in event.content)
    await lose(backstage)
    agent.release()
    await backstage.start()
    assert (await answer_to(person, home.chat, asked)).body == "echo: a slow one"
    assert await answered(person, home.chat) == [quick, helped, asked]
