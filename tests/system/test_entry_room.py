"""The entry room after the welcome: further invitations, plain text, commands, company (contracts O2, O5, O6)."""

import anyio
import pytest

from machines.i18n import catalog_for
from tests.support.matrix_user import MatrixUser
from tests.system.users import PASSWORD, accept, answer_to, made_rooms, notice, onboard

pytestmark = pytest.mark.anyio

CATALOG = catalog_for("en", "Lambda")


async def leave_everything(onboarded):
    await onboarded.person.leave(onboarded.chat)
    await onboarded.person.leave(onboarded.space)


async def test_an_invitation_to_another_room_makes_nothing_and_points_to_what_exists(onboarded):
    room = await onboarded.person.create_room(invite=[onboarded.bot])
    pointer = await notice(onboarded.person, room)
    assert onboarded.chat.removeprefix("!") in pointer.content["formatted_body"]
    assert await onboarded.person.rooms_invited() == []
    assert set(await onboarded.person.joined_rooms()) == {
        onboarded.entry,
        onboarded.space,
        onboarded.chat,
        room,
    }


async def test_a_user_who_has_left_is_invited_again_where_they_are_missing(onboarded):
    await leave_everything(onboarded)
    onboarded.person.stream.seen.clear()
    room = await onboarded.person.create_room(invite=[onboarded.bot])
    assert await accept(onboarded.person, onboarded.bot) == (onboarded.space, onboarded.chat)
    await notice(onboarded.person, room)
    assert await onboarded.person.rooms_invited() == []
    assert (await onboarded.ask("still there?")).msgtype == "m.text"


async def test_who_is_missing_in_the_chat_only_is_invited_to_the_chat_only(onboarded):
    await onboarded.person.leave(onboarded.chat)
    onboarded.person.stream.seen.clear()
    room = await onboarded.person.create_room(invite=[onboarded.bot])
    await notice(onboarded.person, room)
    await onboarded.person.wait_for(
        lambda event: (
            event.room_id == onboarded.chat and event.content.get("membership") == "invite"
        )
    )
    assert await onboarded.person.rooms_invited() == [onboarded.chat]


async def test_two_invitations_at_once_make_one_space(make_bot, person, synapse):
    bot = await make_bot()
    async with bot.daemon as daemon:
        await daemon.wait_live()
        entries = []

        async def invite():
            entries.append(await person.create_room(invite=[bot.user_id]))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(invite)
            tasks.start_soon(invite)
        space, chat = await accept(person, bot.user_id)
        for entry in entries:
            pointer = await notice(person, entry)
            assert chat.removeprefix("!") in pointer.content["formatted_body"]
        async with MatrixUser(synapse.url, bot.user_id, PASSWORD) as witness:
            assert await made_rooms(witness) == ([space], [chat])


async def test_the_same_room_again_gets_another_pointer(onboarded):
    await onboarded.person.kick(onboarded.entry, onboarded.bot)
    seen = len(await onboarded.person.messages(onboarded.entry))
    await onboarded.person.invite(onboarded.entry, onboarded.bot)
    await onboarded.person.wait_for(
        lambda event: (
            event.room_id == onboarded.entry
            and event.msgtype == "m.notice"
            and event.answers is None
            and "already" in event.body
        )
    )
    assert len(await onboarded.person.messages(onboarded.entry)) > seen
    assert await onboarded.person.rooms_invited() == []


async def test_plain_text_gets_the_pointer_and_never_the_agent(onboarded, agent):
    asked = len(agent.requests)
    answer = await onboarded.ask("hello, agent?", onboarded.entry)
    assert answer.msgtype == "m.notice"
    assert onboarded.chat.removeprefix("!") in answer.content["formatted_body"]
    await onboarded.ask("this one is for the agent")
    assert [request.text for request in agent.requests[asked:]] == ["this one is for the agent"]


async def test_commands_work_in_the_entry_room(onboarded):
    assert "!new" in await onboarded.tell("!help", onboarded.entry)
    assert "Chat 1" in await onboarded.tell("!chats", onboarded.entry)
    assert "Garden" in await onboarded.tell("!new Garden", onboarded.entry)
    assert "Garden" in await onboarded.tell("!chats", onboarded.entry)


async def test_two_people_in_one_entry_room_have_a_space_each(onboarded, make_person):
    ann, bob = onboarded.person, await make_person()
    await ann.invite(onboarded.entry, bob.user_id)
    await bob.join(onboarded.entry)
    # Bob has no Space yet: to call the bot there is his way in.
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


async def test_an_invitation_of_each_into_the_same_room_gives_each_a_space(
    session_bot, make_person
):
    ann, bob = await make_person(), await make_person()
    first = await onboard(ann, session_bot.user_id)
    second = await onboard(bob, session_bot.user_id)
    assert {first.space, first.chat}.isdisjoint({second.space, second.chat})
    await ann.invite(first.entry, bob.user_id)
    await bob.join(first.entry)
    asked = await bob.send_text(first.entry, "!chats")
    answer = await answer_to(bob, first.entry, asked)
    assert answer.body == CATALOG.not_in_shared_room("chats")


async def test_with_a_third_person_there_nothing_of_anybody_is_shown(onboarded, make_person):
    ann, bob = onboarded.person, await make_person()
    before = await onboarded.ask("hello", onboarded.entry)
    await ann.invite(onboarded.entry, bob.user_id)
    assert await onboarded.tell("!chats", onboarded.entry) == CATALOG.not_in_shared_room("chats")
    await bob.join(onboarded.entry)
    onboarded.person.stream.seen.clear()

    plain = await ann.send_text(onboarded.entry, "lunch?")
    mentioned = {"m.mentions": {"user_ids": [onboarded.bot]}}
    called = await ann.send_text(onboarded.entry, "and you?", **mentioned)
    reply = {"m.relates_to": {"m.in_reply_to": {"event_id": before.event_id}}}
    replied = await ann.send_text(onboarded.entry, "I mean you", **reply)
    commands = [
        await ann.send_text(onboarded.entry, body)
        for body in ("!chats", "!new Garden", "!settings", "!soul", "!help")
    ]
    said = [await answer_to(ann, onboarded.entry, asked) for asked in (called, replied, *commands)]
    pointer, again, chats, made, settings, soul, help_page = [event.body for event in said]
    assert pointer == again == CATALOG.entry_pointer_in_shared_room()
    assert made == CATALOG.chat_created_in_shared_room()
    assert [chats, settings, soul] == [
        CATALOG.not_in_shared_room(name) for name in ("chats", "settings", "soul")
    ]
    assert "!new" in help_page
    answered = {event.answers for event in await ann.messages(onboarded.entry)}
    assert plain not in answered
    for event in said:
        assert "Chat 1" not in event.body
        assert onboarded.chat.removeprefix("!") not in str(event.content)

    await bob.leave(onboarded.entry)
    assert "Garden" in await onboarded.tell("!chats", onboarded.entry)
