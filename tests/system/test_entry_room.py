"""The entry room after the welcome: further invitations, plain text, commands, company (contracts O2, O5, O6)."""

import anyio
import pytest

from machines.i18n import catalog_for
from tests.support.matrix_user import MatrixUser
from tests.system.cast import PASSWORD, accept, answer_to, made_rooms, notice, onboard

pytestmark = pytest.mark.anyio

CATALOG = catalog_for("en", "Lambda")


async def leave_everything(home):
    await home.person.leave(home.chat)
    await home.person.leave(home.space)


async def test_an_invitation_to_another_room_makes_nothing_and_points_to_what_exists(home):
    room = await home.person.create_room(invite=[home.bot])
    pointer = await notice(home.person, room)
    assert home.chat.removeprefix("!") in pointer.content["formatted_body"]
    assert await home.person.rooms_invited() == []
    assert set(await home.person.joined_rooms()) == {home.entry, home.space, home.chat, room}


async def test_who_has_left_is_invited_again_where_he_is_missing(home):
    await leave_everything(home)
    home.person.stream.seen.clear()
    room = await home.person.create_room(invite=[home.bot])
    assert await accept(home.person, home.bot) == (home.space, home.chat)
    await notice(home.person, room)
    assert await home.person.rooms_invited() == []
    assert (await home.ask("still there?")).msgtype == "m.text"


async def test_who_is_missing_in_the_chat_only_is_invited_to_the_chat_only(home):
    await home.person.leave(home.chat)
    home.person.stream.seen.clear()
    room = await home.person.create_room(invite=[home.bot])
    await notice(home.person, room)
    await home.person.wait_for(
        lambda event: event.room_id == home.chat and event.content.get("membership") == "invite"
    )
    assert await home.person.rooms_invited() == [home.chat]


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


async def test_the_same_room_again_gets_another_pointer(home):
    await home.person.kick(home.entry, home.bot)
    seen = len(await home.person.messages(home.entry))
    await home.person.invite(home.entry, home.bot)
    await home.person.wait_for(
        lambda event: (
            event.room_id == home.entry
            and event.msgtype == "m.notice"
            and event.answers is None
            and "already" in event.body
        )
    )
    assert len(await home.person.messages(home.entry)) > seen
    assert await home.person.rooms_invited() == []


async def test_plain_text_gets_the_pointer_and_never_the_agent(home, agent):
    asked = len(agent.requests)
    answer = await home.ask("hello, agent?", home.entry)
    assert answer.msgtype == "m.notice"
    assert home.chat.removeprefix("!") in answer.content["formatted_body"]
    await home.ask("this one is for the agent")
    assert [request.text for request in agent.requests[asked:]] == ["this one is for the agent"]


async def test_commands_work_in_the_entry_room(home):
    assert "!new" in await home.tell("!help", home.entry)
    assert "Chat 1" in await home.tell("!chats", home.entry)
    assert "Garden" in await home.tell("!new Garden", home.entry)
    assert "Garden" in await home.tell("!chats", home.entry)


async def test_two_people_in_one_entry_room_have_a_space_each(home, make_person):
    ann, bob = home.person, await make_person()
    await ann.invite(home.entry, bob.user_id)
    await bob.join(home.entry)
    # Bob has no Space yet: to call the bot there is his way in.
    await bob.send_text(home.entry, "hello from Bob", **{"m.mentions": {"user_ids": [home.bot]}})
    space, chat = await accept(bob, home.bot)
    assert {space, chat}.isdisjoint({home.space, home.chat})
    assert ann.user_id not in {**await bob.members(space), **await bob.members(chat)}
    assert bob.user_id not in {**await ann.members(home.space), **await ann.members(home.chat)}


async def test_an_invitation_of_each_into_the_same_room_gives_each_a_space(
    standing_bot, make_person
):
    ann, bob = await make_person(), await make_person()
    first = await onboard(ann, standing_bot.user_id)
    second = await onboard(bob, standing_bot.user_id)
    assert {first.space, first.chat}.isdisjoint({second.space, second.chat})
    await ann.invite(first.entry, bob.user_id)
    await bob.join(first.entry)
    asked = await bob.send_text(first.entry, "!chats")
    answer = await answer_to(bob, first.entry, asked)
    assert answer.body == CATALOG.not_in_company("chats")


async def test_with_a_third_person_there_nothing_of_anybody_is_shown(home, make_person):
    ann, bob = home.person, await make_person()
    before = await home.ask("hello", home.entry)
    await ann.invite(home.entry, bob.user_id)
    assert await home.tell("!chats", home.entry) == CATALOG.not_in_company("chats")
    await bob.join(home.entry)
    home.person.stream.seen.clear()

    plain = await ann.send_text(home.entry, "lunch?")
    mentioned = {"m.mentions": {"user_ids": [home.bot]}}
    called = await ann.send_text(home.entry, "and you?", **mentioned)
    reply = {"m.relates_to": {"m.in_reply_to": {"event_id": before.event_id}}}
    replied = await ann.send_text(home.entry, "I mean you", **reply)
    commands = [
        await ann.send_text(home.entry, body)
        for body in ("!chats", "!new Garden", "!settings", "!soul", "!help")
    ]
    said = [await answer_to(ann, home.entry, asked) for asked in (called, replied, *commands)]
    pointer, again, chats, made, settings, soul, help_page = [event.body for event in said]
    assert pointer == again == CATALOG.entry_pointer_in_company()
    assert made == CATALOG.chat_created_in_company()
    assert [chats, settings, soul] == [
        CATALOG.not_in_company(name) for name in ("chats", "settings", "soul")
    ]
    assert "!new" in help_page
    answered = {event.answers for event in await ann.messages(home.entry)}
    assert plain not in answered
    for event in said:
        assert "Chat 1" not in event.body
        assert home.chat.removeprefix("!") not in str(event.content)

    await bob.leave(home.entry)
    assert "Garden" in await home.tell("!chats", home.entry)
