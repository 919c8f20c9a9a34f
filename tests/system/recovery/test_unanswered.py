"""Without a database the bot answers unanswered messages, once, and no answered ones (contract D12)."""

import anyio
import pytest

from tests.support.agent_script import End, Text, Wait
from tests.support.proxy import Answer, ProxiedRequest, Proxy
from tests.system.recovery.bot_internals import BotInternals
from tests.system.recovery.conftest import MakeInternals
from tests.system.recovery.recovery_fixture import open_chat
from tests.system.users import PARTIAL, answer_to, onboard, replies

pytestmark = pytest.mark.anyio

OLD = 100
"""The number of answered messages in each of two rooms; with their answers they are more than a page of history."""
WAITING = 60


@pytest.fixture
async def internals(make_internals: MakeInternals, proxy: Proxy) -> BotInternals:
    """A bot behind a proxy, which can drop its read positions."""
    return await make_internals(MATRIX_HOMESERVER=proxy.url)


async def lose(internals) -> None:
    """Kill the bot and delete its database."""
    await internals.bot.daemon.kill()
    internals.lose_database()


def is_marker(proxied: ProxiedRequest) -> bool:
    return proxied.path.endswith("/read_markers")


async def read_position_reached(internals, proxy, room, message_id) -> None:
    """Wait until the homeserver has a message as the bot's read position."""

    def reported() -> int:
        return len([each for each in proxy.requests if is_marker(each) and each.status == 200])

    async with internals.account() as account:
        while True:
            known = reported()
            place = await account.account_data("m.fully_read", room)
            if place == {"event_id": message_id}:
                return
            await proxy.wait_until(lambda: reported() > known)  # noqa: B023 - used up in this round


async def answered(user, room) -> list[str | None]:
    """Return the messages of a room that are answered, in the order of the answers; each once."""
    found = [reply.answers for reply in await replies(user, room)]
    assert len(set(found)) == len(found)
    return found


async def test_messages_after_the_read_position_are_answered_once_and_in_order(
    internals, proxy, agent, user
):
    await internals.start()
    onboarded = await onboard(user, internals.bot.user_id)
    second = await open_chat(onboarded, "Second")
    proxy.fault = lambda proxied: Answer(200, b"{}") if is_marker(proxied) else None
    old = {onboarded.chat: [], second: []}

    async def send_message(room) -> None:
        for number in range(OLD):
            old[room].append(await user.send_text(room, f"old {number}"))
        await answer_to(user, room, old[room][-1])

    async with anyio.create_task_group() as group:
        for room in old:
            group.start_soon(send_message, room)
    proxy.clear_fault()
    # Only the second room has a read position.
    old[second].append(await user.send_text(second, "and this"))
    await answer_to(user, second, old[second][-1])
    await read_position_reached(internals, proxy, second, old[second][-1])
    await lose(internals)
    earlier = len(agent.requests)
    waiting = {onboarded.chat: [], second: [], onboarded.entry: []}
    for number in range(WAITING):
        waiting[second].append(await user.send_text(second, f"new {number}"))
    for text in ("new", "!rename Parlour", "newer", "!help"):
        waiting[onboarded.chat].append(await user.send_text(onboarded.chat, text))
    for text in ("hello?", "!chats"):
        waiting[onboarded.entry].append(await user.send_text(onboarded.entry, text))
    await internals.start()
    for room, messages in waiting.items():
        for message_id in messages:
            await answer_to(user, room, message_id)
    asked = [request.message_id for request in agent.requests[earlier:]]
    turns = [waiting[onboarded.chat][0], waiting[onboarded.chat][2]]
    assert sorted(asked) == sorted([*waiting[second], *turns])
    assert [each for each in asked if each in waiting[second]] == waiting[second]
    assert [each for each in asked if each in turns] == turns
    assert [each for each in await answered(user, second) if each in waiting[second]] == (
        waiting[second]
    )
    for room in (onboarded.chat, second):
        assert set(await answered(user, room)) >= {*old[room], *waiting[room]}
    assert set(await answered(user, onboarded.entry)) == set(waiting[onboarded.entry])
    assert await user.state_content(onboarded.chat, "m.room.name") == {"name": "Parlour"}


async def test_an_answer_that_was_begun_is_finished_in_its_own_event(internals, agent, user):
    await internals.start()
    onboarded = await onboard(user, internals.bot.user_id)
    await onboarded.ask("one")
    agent.script = lambda request: (Text("The beginning"), Wait(anyio.Event()))
    asked = await user.send_text(onboarded.chat, "tell me all")
    begun = await user.wait_for(lambda event: event.answers == asked)
    assert begun.content[PARTIAL] is True
    await lose(internals)
    later = await user.send_text(onboarded.chat, "and then?")
    agent.script = lambda request: (Text(f"All of {request.text}."), End())
    await internals.start()
    await answer_to(user, onboarded.chat, later)
    finished = await user.latest_content(onboarded.chat, begun.event_id)
    assert finished["body"] == "All of tell me all."
    assert PARTIAL not in finished
    assert (await answered(user, onboarded.chat))[-2:] == [asked, later]


async def test_a_message_is_found_behind_events_that_get_no_answer(internals, agent, user):
    await internals.start()
    onboarded = await onboard(user, internals.bot.user_id)
    edited = onboarded.chat
    noticed, verifying, redacted = [await open_chat(onboarded, name) for name in ("B", "C", "D")]
    await lose(internals)
    asked = {
        room: await user.send_text(room, f"are you there, {number}?")
        for number, room in enumerate((edited, noticed, verifying, redacted))
    }
    await user.edit(edited, asked[edited], "are you there?")
    for room, msgtype in ((noticed, "m.notice"), (verifying, "m.key.verification.request")):
        await user.send_event(room, "m.room.message", {"msgtype": msgtype, "body": "hm"})
    await user.redact(redacted, await user.send_text(redacted, "never mind this one"))
    await internals.start()
    for number, (room, message_id) in enumerate(asked.items()):
        answer = await answer_to(user, room, message_id)
        # An edit before the turn began replaces the text (contract D17).
        text = "are you there?" if room == edited else f"are you there, {number}?"
        assert answer.body == f"echo: {text}"
        assert (await answered(user, room)).count(message_id) == 1


async def test_a_command_in_between_does_not_hide_the_message_before_it(
    internals, proxy, agent, user
):
    await internals.start()
    onboarded = await onboard(user, internals.bot.user_id)
    quick = await user.send_text(onboarded.chat, "a quick one")
    await read_position_reached(internals, proxy, onboarded.chat, quick)
    agent.hold()
    asked = await user.send_text(onboarded.chat, "a slow one")
    await agent.connections_opened(len(agent.connections) + 1)
    helped = await user.send_text(onboarded.chat, "!help")
    await answer_to(user, onboarded.chat, helped)
    # The receipt is in the same request as the read position.
    await user.wait_for(lambda event: event.type == "m.receipt" and helped in event.content)
    await lose(internals)
    agent.release()
    await internals.start()
    assert (await answer_to(user, onboarded.chat, asked)).body == "echo: a slow one"
    assert await answered(user, onboarded.chat) == [quick, helped, asked]
