"""A deleted database loses nothing: every chat comes back with the same values (contracts C1, C4, R3, R4)."""

import signal

import anyio
import pytest

from tests.system.recovery.recovery_fixture import open_chat
from tests.system.users import answer_to, onboard

pytestmark = pytest.mark.anyio


async def heard(setup, agent) -> dict[str, str]:
    """Write in every chat that is not archived; return the context in which the agent gets the message."""
    contexts = {}

    async def send_text(user, chat) -> None:
        message_id = await user.send_text(chat, "still there?")
        reply = await answer_to(user, chat, message_id)
        assert reply.body == "echo: still there?"
        (request,) = [each for each in agent.requests if each.message_id == message_id]
        contexts[chat] = request.chat_id

    async with anyio.create_task_group() as group:
        for user in setup.users:
            for chat in user.chats:
                if chat != user.archived:
                    group.start_soon(send_text, user.onboarded.user, chat)
    return contexts


async def test_the_fixture_has_the_chats_that_the_other_tests_expect(setup):
    values = await setup.internals.values()
    assert set(values) == set(setup.chats)
    assert len({each["platform_chat_id"] for each in values.values()}) == len(values) == 12
    for user in setup.users:
        mine = [values[chat] for chat in user.chats]
        assert [each["chat_id"] for each in mine] == ["C1", "C2", "C3", "C4"]
        assert [each["name"] for each in mine] == ["Chat 1", "Garden", "Kitchen", "Attic"]
        assert [each["archived"] for each in mine] == [False, False, True, False]
        assert {each["matrix_user_id"] for each in mine} == {user.onboarded.user.user_id}
        assert {each["space_id"] for each in mine} == {user.onboarded.space}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda each: each.name)
async def test_without_a_database_every_chat_has_the_same_values(setup, agent, number):
    internals = setup.internals
    values, bindings = await internals.values(), await internals.bindings(*setup.chats)
    await internals.start()
    await heard(setup, agent)
    internals.bot.daemon.send_signal(number)
    await internals.bot.daemon.wait_ended()
    internals.lose_database()
    report = await internals.start()
    assert await internals.values() == values
    assert await internals.bindings(*setup.chats) == bindings
    contexts = {
        chat: each["platform_chat_id"] for chat, each in values.items() if not each["archived"]
    }
    assert await heard(setup, agent) == contexts
    # Three Spaces, three entry rooms, twelve chats.
    assert (report["spaces"], report["rooms_recovered"], report["rooms_unchanged"]) == (3, 18, 0)
    assert (report["backfilled"], report["conflicts"], report["skipped"]) == (0, [], [])
    assert report["duration_s"] >= 0


async def test_the_binding_on_the_homeserver_is_what_inspect_room_shows(setup):
    values, bindings = await setup.internals.values(), await setup.internals.bindings(*setup.chats)
    for chat, shown in values.items():
        kept = {name: value for name, value in shown.items() if name not in ("name", "room_id")}
        assert bindings[chat] == kept | {"room_type": "chat"}
    for user in setup.users:
        onboarded = user.onboarded
        others = await setup.internals.bindings(onboarded.space, onboarded.entry)
        for room, room_type in ((onboarded.space, "space"), (onboarded.entry, "entry")):
            assert others[room]["room_type"] == room_type
            assert others[room]["matrix_user_id"] == onboarded.user.user_id


async def test_new_chats_after_the_loss_get_unused_numbers(internals, agent, make_user):
    earlier = len(agent.requests)
    await internals.start()
    ann, bob = [await onboard(await make_user(), internals.bot.user_id) for _ in range(2)]
    second = await open_chat(ann, "Second")
    for text in ("one", "!clear", "two", "!clear", "three"):
        await ann.ask(text)
    for room in (second, bob.chat):
        await (ann if room == second else bob).ask("hello", room)
    used = {request.chat_id for request in agent.requests[earlier:]}
    assert len(used) == 5
    await internals.bot.daemon.stop()
    internals.lose_database()
    await internals.start()
    third, bobs_second = await open_chat(ann, "Third"), await open_chat(bob, "Second")
    await bob.ask("!clear")
    values = await internals.values()
    assert (values[third]["chat_id"], values[bobs_second]["chat_id"]) == ("C3", "C2")
    fresh = {values[room]["platform_chat_id"] for room in (third, bobs_second, bob.chat)}
    assert len(fresh) == 3
    assert not fresh & used
