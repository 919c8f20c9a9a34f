"""The entry room after onboarding: further invitations, plain text, commands, other users (contracts O2, O5, O6)."""

import anyio
import pytest

from machines.i18n import catalog_for
from tests.support.matrix_user import MatrixUser
from tests.system.users import PASSWORD, accept, answer_to, created_rooms, notice, onboard

pytestmark = pytest.mark.anyio

CATALOG = catalog_for("en", "Lambda")


async def leave_everything(onboarded):
    await onboarded.user.leave(onboarded.chat)
    await onboarded.user.leave(onboarded.space)


async def test_an_invitation_to_another_room_creates_nothing_and_gets_a_pointer(onboarded):
    room = await onboarded.user.create_room(invite=[onboarded.bot])
    pointer = await notice(onboarded.user, room)
    assert onboarded.chat.removeprefix("!") in pointer.content["formatted_body"]
    assert await onboarded.user.rooms_invited() == []
    assert set(await onboarded.user.joined_rooms()) == {
        onboarded.entry,
        onboarded.space,
        onboarded.chat,
        room,
    }


async def test_a_user_who_has_left_is_invited_again_where_they_are_missing(onboarded):
    await leave_everything(onboarded)
    onboarded.user.stream.seen.clear()
    room = await onboarded.user.create_room(invite=[onboarded.bot])
    assert await accept(onboarded.user, onboarded.bot) == (onboarded.space, onboarded.chat)
    await notice(onboarded.user, room)
    assert await onboarded.user.rooms_invited() == []
    assert (await onboarded.ask("still there?")).msgtype == "m.text"


async def test_a_user_who_is_missing_only_in_the_chat_is_invited_only_to_it(onboarded):
    await onboarded.user.leave(onboarded.chat)
    onboarded.user.stream.seen.clear()
    room = await onboarded.user.create_room(invite=[onboarded.bot])
    await notice(onboarded.user, room)
    await onboarded.user.wait_for(
        lambda event: (
            event.room_id == onboarded.chat and event.content.get("membership") == "invite"
        )
    )
    assert await onboarded.user.rooms_invited() == [onboarded.chat]


async def test_two_invitations_at_once_make_one_space(make_bot, user, synapse):
    bot = await make_bot()
    async with bot.daemon as daemon:
        await daemon.wait_live()
        entries = []

        async def invite():
            entries.append(await user.create_room(invite=[bot.user_id]))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(invite)
            tasks.start_soon(invite)
        space, chat = await accept(user, bot.user_id)
        for entry in entries:
            pointer = await notice(user, entry)
            assert chat.removeprefix("!") in pointer.content["formatted_body"]
        async with MatrixUser(synapse.url, bot.user_id, PASSWORD) as witness:
            assert await created_rooms(witness) == ([space], [chat])


async def test_the_same_room_again_gets_another_pointer(onboarded):
    await onboarded.user.kick(onboarded.entry, onboarded.bot)
    seen = len(await onboarded.user.messages(onboarded.entry))
    await onboarded.user.invite(onboarded.entry, onboarded.bot)
    await onboarded.user.wait_for(
        lambda event: (
            event.room_id == onboarded.entry
            and event.msgtype == "m.notice"
            and event.answers is None
            and "already" in event.body
        )
    )
    assert len(await onboarded.user.messages(onboarded.entry)) > seen
    assert await onboarded.user.rooms_invited() == []


async def test_plain_text_gets_the_pointer_and_never_the_agent(onboarded, agent):
    asked = len(agent.requests)
    answer = await onboarded.ask("hello, agent?", onboarded.entry)
    assert answer.msgtype == "m.notice"
    assert onboarded.chat.removeprefix("!") in answer.content["formatted_body"]
    await onboarded.ask("this one is for the agent")
    assert [request.text for request in agent.requests[asked:]] == ["this one is for the agent"]


async def test_commands_work_in_the_entry_room(onboarded):
    assert "!new" in await onboarded.run_command("!help", onboarded.entry)
    assert "Chat 1" in await onboarded.run_command("!chats", onboarded.entry)
    assert "Garden" in await onboarded.run_command("!new Garden", onboarded.entry)
    assert "Garden" in await onboarded.run_command("!chats", onboarded.entry)


async def test_two_users_in_one_entry_room_have_a_space_each(onboarded, make_user):
    ann, bob = onboarded.user, await make_user()
    await ann.invite(onboarded.entry, bob.user_id)
    await bob.join(onboarded.entry)
    # Bob has no Space yet, and gets one by a command to the bot.
    await bob.send_text(
        onboarded.entry, "hello from Bob", **{"m.mentions": {"user_ids": [onboarded.bot]}}
    )
    space, chat = await accept(bob, onboarded.bot)
    assert {space, chat}.isdisjoint({onboarded.space, onboarded.chat})
    assert ann.user_id not in {**await bob.members(space), **await bob.members(chat)}
    assert bob.user_id not in {
        **await ann.members(onboarded.space),
        **await ann.members(onboarded.chat),
    }


async def test_an_invitation_of_each_into_the_same_room_gives_each_a_space(session_bot, make_user):
    ann, bob = await make_user(), await make_user()
    first = await onboard(ann, session_bot.user_id)
    second = await onboard(bob, session_bot.user_id)
    assert {first.space, first.chat}.isdisjoint({second.space, second.chat})
    await ann.invite(first.entry, bob.user_id)
    await bob.join(first.entry)
    asked = await bob.send_text(first.entry, "!chats")
    answer = await answer_to(bob, first.entry, asked)
    assert answer.body == CATALOG.not_in_shared_room("chats")


async def test_in_a_room_with_a_third_user_no_private_data_is_shown(onboarded, make_user):
    ann, bob = onboarded.user, await make_user()
    before = await onboarded.ask("hello", onboarded.entry)
    await ann.invite(onboarded.entry, bob.user_id)
    assert await onboarded.run_command("!chats", onboarded.entry) == CATALOG.not_in_shared_room(
        "chats"
    )
    await bob.join(onboarded.entry)
    onboarded.user.stream.seen.clear()

    plain = await ann.send_text(onboarded.entry, "lunch?")
    mentioned = {"m.mentions": {"user_ids": [onboarded.bot]}}
    called = await ann.send_text(onboarded.entry, "and you?", **mentioned)
    reply = {"m.relates_to": {"m.in_reply_to": {"event_id": before.event_id}}}
    replied = await ann.send_text(onboarded.entry, "I mean you", **reply)
    commands = [
        await ann.send_text(onboarded.entry, body)
        for body in ("!chats", "!new Garden", "!settings", "!soul", "!help")
    ]
    text_of = [
        await answer_to(ann, onboarded.entry, asked) for asked in (called, replied, *commands)
    ]
    pointer, again, chats, created, settings, soul, help_page = [event.body for event in text_of]
    assert pointer == again == CATALOG.entry_pointer_in_shared_room()
    assert created == CATALOG.chat_created_in_shared_room()
    assert [chats, settings, soul] == [
        CATALOG.not_in_shared_room(name) for name in ("chats", "settings", "soul")
    ]
    assert "`!new" in help_page
    for name in ("chats", "settings", "soul", "rename", "yes"):
        assert f"`!{name}" not in help_page
    answered = {event.answers for event in await ann.messages(onboarded.entry)}
    assert plain not in answered
    for event in text_of:
        assert "Chat 1" not in event.body
        assert onboarded.chat.removeprefix("!") not in str(event.content)

    await bob.leave(onboarded.entry)
    assert "Garden" in await onboarded.run_command("!chats", onboarded.entry)
