"""What the commands of chats do to rooms, names and bindings, and what wrong ones leave alone (contracts K1–K3).

What each command says, in both languages, is `chat_commands`' to prove.
"""

import anyio
import pytest

from tests.support.matrix_user import MatrixUser
from tests.system.cast import BINDING, PASSWORD, accept, children, is_space, notice, said

pytestmark = pytest.mark.anyio

TOO_LONG = "x" * 101


async def name_of(home, room):
    return (await home.person.state_content(room, "m.room.name") or {}).get("name")


async def binding(synapse, home, room):
    async with MatrixUser(synapse.url, home.bot, PASSWORD) as operator:
        return await operator.account_data(BINDING, room)


async def test_a_command_is_answered_once_and_is_not_the_agents_business(home, agent):
    asked = len(agent.requests)
    message_id = await home.person.send_text(home.chat, "!chats")
    await home.person.wait_for(lambda event: event.answers == message_id)
    await home.ask("a question")
    (answer,) = await home.person.replies_to(home.chat, message_id)
    assert (answer.msgtype, answer.content["m.mentions"]) == ("m.notice", {})
    assert [request.text for request in agent.requests[asked:]] == ["a question"]


async def test_new_makes_a_chat_with_the_name_it_is_given(home):
    for place, wanted, got in (
        (home.chat, "!new Garden  work", "Garden work"),
        (home.entry, "!new", "Chat 3"),
    ):
        answer = await home.tell(wanted, place)
        (room,) = await home.person.rooms_invited()
        await home.person.join(room)
        assert got in answer
        assert await name_of(home, room) == got
        assert not await is_space(home.person, room)
        assert room in await children(home.person, home.space)
        assert "Welcome" in (await notice(home.person, room)).body
        assert said(await home.ask("hello", room)) == "echo: hello"


async def test_new_with_a_name_that_is_too_long_makes_nothing(home):
    assert "100" in await home.tell(f"!new {TOO_LONG}")
    assert await home.person.rooms_invited() == []


async def test_new_twice_in_a_row_makes_two_chats(home):
    messages = [await home.person.send_text(home.chat, "!new Twin") for _ in range(2)]
    for message_id in messages:
        await home.person.wait_for(lambda event, wanted=message_id: event.answers == wanted)
    assert len(await home.person.rooms_invited()) == 2
    page = await home.tell("!chats")
    assert page.count("Twin") == 2
    assert all(number in page for number in ("C1", "C2", "C3"))


async def test_chats_lists_number_name_agent_and_state(home):
    await home.tell("!new Garden")
    (garden,) = await home.person.rooms_invited()
    await home.person.join(garden)
    await home.tell("!archive", garden)
    for room in (home.chat, home.entry):
        lines = (await home.tell("!chats", room)).splitlines()
        (first,) = (line for line in lines if "C1" in line)
        (second,) = (line for line in lines if "C2" in line)
        assert all(word in first for word in ("Chat 1", "open", home.chat[1:]))
        assert all(word in second for word in ("Garden", "archived", garden[1:]))
        assert ("you are here" in first) == (room == home.chat)


async def test_chats_of_another_user_are_not_listed(home, make_person, standing_bot):
    other = await make_person()
    await other.create_room(invite=[standing_bot.user_id])
    _, chat = await accept(other, standing_bot.user_id)
    assert chat[1:] not in await home.tell("!chats")


async def test_rename_changes_the_rooms_name_and_the_chats(home):
    answer = await home.tell("!rename  My   *garden* ")
    assert "garden" in answer
    await home.person.wait_for(
        lambda event: event.type == "m.room.name" and event.content["name"] == "My *garden*"
    )
    assert await name_of(home, home.chat) == "My *garden*"
    page = await home.ask("!chats")
    assert "garden" in page.body
    # Twice the same is once.
    await home.tell("!rename My *garden*")
    assert await name_of(home, home.chat) == "My *garden*"


@pytest.mark.parametrize("wrong", ["!rename", "!rename   ", f"!rename {TOO_LONG}"])
async def test_rename_without_a_usable_name_changes_nothing(home, wrong):
    await home.tell(wrong)
    assert await name_of(home, home.chat) == "Chat 1"


@pytest.mark.parametrize("command", ["!rename Lobby", "!archive", "!clear"])
async def test_what_concerns_one_chat_is_refused_in_the_entry_room(home, command):
    name = await name_of(home, home.entry)
    answer = await home.tell(command, home.entry)
    assert command.split()[0] in answer
    assert "!chats" in answer
    assert await name_of(home, home.entry) == name
    assert said(await home.ask("still here?")) == "echo: still here?"


async def test_an_archived_chat_says_so_and_stays_in_the_space(home, agent, synapse):
    await home.ask("before")
    await home.tell("!archive")
    asked = len(agent.requests)
    first = await home.ask("after")
    assert first.msgtype == "m.notice"
    assert "archived" in said(first)
    assert "already" in await home.tell("!archive")
    assert len(agent.requests) == asked
    assert home.chat in await children(home.person, home.space)
    kept = await binding(synapse, home, home.chat)
    assert kept is not None
    assert kept["archived"] is True
    # Commands go on working there.
    assert "archived" in await home.tell("!chats")


async def test_messages_before_an_archive_are_answered_and_those_after_it_are_not(home, agent):
    messages = [
        await home.person.send_text(home.chat, text) for text in ("one", "two", "!archive", "three")
    ]
    for message_id in messages:
        await home.person.wait_for(lambda event, wanted=message_id: event.answers == wanted)
    kinds = [
        (await home.person.replies_to(home.chat, message_id))[0].msgtype for message_id in messages
    ]
    assert kinds == ["m.text", "m.text", "m.notice", "m.notice"]


async def test_commands_from_all_rooms_at_once_are_all_answered(home):
    answers = []

    async def tell(command, room):
        answers.append(await home.tell(command, room))

    async with anyio.create_task_group() as tasks:
        for room in (home.chat, home.entry):
            for command in ("!help", "!chats", "!new One more", "!nothing"):
                tasks.start_soon(tell, command, room)
    assert len(answers) == 8
    assert len(await home.person.rooms_invited()) == 2
