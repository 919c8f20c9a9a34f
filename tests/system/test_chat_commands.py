"""The effects of chat commands on rooms, names and bindings; wrong commands change nothing (contracts K1–K3).

The answers in both languages are tested in `chat_commands`.
"""

import anyio
import pytest

from tests.support.matrix_user import MatrixUser
from tests.system.users import BINDING, PASSWORD, accept, children, is_space, notice, text_of

pytestmark = pytest.mark.anyio

TOO_LONG = "x" * 101


async def name_of(onboarded, room):
    return (await onboarded.user.state_content(room, "m.room.name") or {}).get("name")


async def binding(synapse, onboarded, room):
    async with MatrixUser(synapse.url, onboarded.bot, PASSWORD) as operator:
        return await operator.account_data(BINDING, room)


async def test_a_command_is_answered_once_and_no_agent_gets_it(onboarded, agent):
    asked = len(agent.requests)
    message_id = await onboarded.user.send_text(onboarded.chat, "!chats")
    await onboarded.user.wait_for(lambda event: event.answers == message_id)
    await onboarded.ask("a question")
    (answer,) = await onboarded.user.replies_to(onboarded.chat, message_id)
    assert (answer.msgtype, answer.content["m.mentions"]) == ("m.notice", {})
    assert [request.text for request in agent.requests[asked:]] == ["a question"]


async def test_new_makes_a_chat_with_the_name_it_is_given(onboarded):
    for place, wanted, got in (
        (onboarded.chat, "!new Garden  work", "Garden work"),
        (onboarded.entry, "!new", "Chat 3"),
    ):
        answer = await onboarded.run_command(wanted, place)
        (room,) = await onboarded.user.rooms_invited()
        await onboarded.user.join(room)
        assert got in answer
        assert await name_of(onboarded, room) == got
        assert not await is_space(onboarded.user, room)
        assert room in await children(onboarded.user, onboarded.space)
        assert "Welcome" in (await notice(onboarded.user, room)).body
        assert text_of(await onboarded.ask("hello", room)) == "echo: hello"


async def test_new_with_a_name_that_is_too_long_makes_nothing(onboarded):
    assert "100" in await onboarded.run_command(f"!new {TOO_LONG}")
    assert await onboarded.user.rooms_invited() == []


async def test_new_twice_in_a_row_makes_two_chats(onboarded):
    messages = [await onboarded.user.send_text(onboarded.chat, "!new Twin") for _ in range(2)]
    for message_id in messages:
        await onboarded.user.wait_for(lambda event, wanted=message_id: event.answers == wanted)
    assert len(await onboarded.user.rooms_invited()) == 2
    page = await onboarded.run_command("!chats")
    assert page.count("Twin") == 2
    assert all(number in page for number in ("C1", "C2", "C3"))


async def test_chats_lists_number_name_agent_and_state(onboarded):
    await onboarded.run_command("!new Garden")
    (garden,) = await onboarded.user.rooms_invited()
    await onboarded.user.join(garden)
    await onboarded.run_command("!archive", garden)
    for room in (onboarded.chat, onboarded.entry):
        lines = (await onboarded.run_command("!chats", room)).splitlines()
        (first,) = (line for line in lines if "C1" in line)
        (second,) = (line for line in lines if "C2" in line)
        assert all(word in first for word in ("Chat 1", "open", onboarded.chat[1:]))
        assert all(word in second for word in ("Garden", "archived", garden[1:]))
        assert ("you are here" in first) == (room == onboarded.chat)


async def test_chats_of_another_user_are_not_listed(onboarded, make_user, session_bot):
    other = await make_user()
    await other.create_room(invite=[session_bot.user_id])
    _, chat = await accept(other, session_bot.user_id)
    assert chat[1:] not in await onboarded.run_command("!chats")


async def test_rename_changes_the_rooms_name_and_the_chats(onboarded):
    answer = await onboarded.run_command("!rename  My   *garden* ")
    assert "garden" in answer
    await onboarded.user.wait_for(
        lambda event: event.type == "m.room.name" and event.content["name"] == "My *garden*"
    )
    assert await name_of(onboarded, onboarded.chat) == "My *garden*"
    page = await onboarded.ask("!chats")
    assert "garden" in page.body
    # The same name twice gives one name.
    await onboarded.run_command("!rename My *garden*")
    assert await name_of(onboarded, onboarded.chat) == "My *garden*"


@pytest.mark.parametrize("wrong", ["!rename", "!rename   ", f"!rename {TOO_LONG}"])
async def test_rename_without_a_usable_name_changes_nothing(onboarded, wrong):
    await onboarded.run_command(wrong)
    assert await name_of(onboarded, onboarded.chat) == "Chat 1"


@pytest.mark.parametrize("command", ["!rename Lobby", "!archive", "!clear"])
async def test_commands_about_one_chat_are_refused_in_the_entry_room(onboarded, command):
    name = await name_of(onboarded, onboarded.entry)
    answer = await onboarded.run_command(command, onboarded.entry)
    assert command.split()[0] in answer
    assert "!chats" in answer
    assert await name_of(onboarded, onboarded.entry) == name
    assert text_of(await onboarded.ask("still here?")) == "echo: still here?"


async def test_an_archived_chat_says_so_and_stays_in_the_space(onboarded, agent, synapse):
    await onboarded.ask("before")
    await onboarded.run_command("!archive")
    asked = len(agent.requests)
    first = await onboarded.ask("after")
    assert first.msgtype == "m.notice"
    assert "archived" in text_of(first)
    assert "`!open 1`" in await onboarded.run_command("!archive")
    assert len(agent.requests) == asked
    assert onboarded.chat in await children(onboarded.user, onboarded.space)
    kept = await binding(synapse, onboarded, onboarded.chat)
    assert kept is not None
    assert kept["archived"] is True
    # Commands still work there.
    assert "archived" in await onboarded.run_command("!chats")


async def test_messages_before_an_archive_are_answered_and_those_after_it_are_not(onboarded, agent):
    messages = [
        await onboarded.user.send_text(onboarded.chat, text)
        for text in ("one", "two", "!archive", "three")
    ]
    for message_id in messages:
        await onboarded.user.wait_for(lambda event, wanted=message_id: event.answers == wanted)
    kinds = [
        (await onboarded.user.replies_to(onboarded.chat, message_id))[0].msgtype
        for message_id in messages
    ]
    assert kinds == ["m.text", "m.text", "m.notice", "m.notice"]


async def test_commands_from_all_rooms_at_once_are_all_answered(onboarded):
    answers = []

    async def run(command, room):
        answers.append(await onboarded.run_command(command, room))

    async with anyio.create_task_group() as tasks:
        for room in (onboarded.chat, onboarded.entry):
            for command in ("!help", "!chats", "!new One more", "!nothing"):
                tasks.start_soon(run, command, room)
    assert len(answers) == 8
    assert len(await onboarded.user.rooms_invited()) == 2
