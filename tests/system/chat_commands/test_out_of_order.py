"""Every command in a room whose state is lost, and in a chat whose agent is gone (contracts A3, C7, C8, C10)."""

import pytest

from machines.commands import COMMANDS
from machines.i18n import catalog_for
from tests.support.agent_script import End
from tests.system.cast import notice, onboard, said
from tests.system.chat_commands.guest import Guest, notices, one_answer_each
from tests.system.chat_commands.phrases import USES, written
from tests.system.chat_commands.registry_file import Entry, write_registry
from tests.system.recovery.backstage import Backstage

pytestmark = pytest.mark.anyio

CATALOG = catalog_for("en", "Lambda")
# What comes behind it in the same room would be answered otherwise.
LAST = "archive"
EVERY = [*(name for name in COMMANDS if name != LAST), LAST]
# It waits for its agent, and is ended by what comes behind it.
SLOW = "save"


@pytest.fixture
async def behind(make_bot, person, synapse):
    """A guest, and a look behind the bot he talks to."""
    bot = await make_bot()
    await bot.daemon.start()
    await bot.daemon.wait_live()
    return Guest(bot, await onboard(person, bot.user_id)), Backstage(bot, synapse.url)


async def test_commands_in_a_failed_room_get_the_notice_and_are_answered_once_after_the_repair(
    behind, agent
):
    guest, backstage = behind
    agent.script = lambda _: [End()]
    home, daemon = guest.home, guest.bot.daemon
    other = await guest.open_chat("Other")
    said_in = {
        home.chat: [name for name in EVERY if name != SLOW],
        other: [SLOW],
    }
    assert await daemon.stop() == 0
    for room in said_in:
        await backstage.link(home.space, room, via=())
    await backstage.start()
    asked = {
        room: [await guest.person.send_text(room, written(name, USES[name][0])) for name in names]
        for room, names in said_in.items()
    }
    for room in said_in:
        await notice(guest.person, room, CATALOG.room_recovery_failed())
    # The bot goes on: another room of the same person is as it was.
    assert (await guest.tell(home.entry, "!help"))[0].body == CATALOG.help(COMMANDS)
    for room in said_in:
        told = await notices(guest.person, room, home.bot)
        # The notice of the failure, and once more for a command that came after it (contract C8).
        assert told[1:] in [[CATALOG.room_recovery_failed()] * count for count in (1, 2)]
        assert len(backstage.warnings(room)) == 1
        given = {event.answers for event in await guest.person.messages(room)}
        assert given.isdisjoint(asked[room])
        await backstage.link(home.space, room)

    await daemon.kill()
    await backstage.start()
    for room, names in said_in.items():
        answers = await one_answer_each(guest.person, room, asked[room])
        for name, answer in zip(names, answers, strict=True):
            guest.hears(USES[name][0].says, answer)
    assert daemon.lines("actor_fault") == []


async def test_each_command_in_a_room_that_can_be_explained_is_its_repair(behind, agent):
    guest, backstage = behind
    agent.script = lambda _: [End()]
    home, daemon = guest.home, guest.bot.daemon
    rooms = {name: await guest.open_chat(name) for name in EVERY}
    assert await daemon.stop() == 0
    for room in rooms.values():
        await backstage.link(home.space, room, via=())
    await backstage.start()
    assert {room["state"] for room in await states(backstage, rooms)} == {"failed"}
    for room in rooms.values():
        await backstage.link(home.space, room)
    asked = {
        name: await guest.person.send_text(room, written(name, USES[name][0]))
        for name, room in rooms.items()
    }
    for name, room in rooms.items():
        (answer,) = await one_answer_each(guest.person, room, [asked[name]])
        guest.hears(USES[name][0].says, answer)
        assert CATALOG.room_recovery_failed() not in await notices(guest.person, room, home.bot)
    assert {room["state"] for room in await states(backstage, rooms)} == {"bound"}
    assert daemon.lines("actor_fault") == []


async def states(backstage, rooms):
    known = await backstage.rooms()
    return [known[room] for room in rooms.values()]


async def test_commands_in_a_stale_chat_are_answered_twice_and_nothing_is_sent_anywhere(
    make_bot, person, agent, tmp_path
):
    file = tmp_path / "agents.yaml"
    gone, here = Entry("gone", agent.url), Entry("here", agent.url)
    write_registry(file, gone, here)
    bot = await make_bot(MATRIX_AGENT_REGISTRY_PATH=str(file))
    await bot.daemon.start()
    await bot.daemon.wait_live()
    guest = Guest(bot, await onboard(person, bot.user_id))
    assert said(await guest.home.ask("hello")) == "echo: hello"
    assert await bot.daemon.stop() == 0
    write_registry(file, here)
    await bot.daemon.start()
    await bot.daemon.wait_live()
    heard = len(agent.connections)

    (answer,) = await guest.tell(guest.home.chat, "are you still there?")
    assert answer.body == CATALOG.stale_agent("gone")
    guest.hears(("stale_agent",), answer)
    assert "!new" in answer.body
    stale = {"save": ("stale_agent",)}
    for name in EVERY:
        first = USES[name][0]
        body = written(name, first)
        for keys, answer in zip(
            (first.says, first.again or first.says),
            await guest.tell(guest.home.chat, body, body),
            strict=True,
        ):
            guest.hears(stale.get(name, keys), answer)
    assert len(agent.connections) == heard
    # A new chat is with an agent that is there.
    chat = await guest.open_chat("Afresh")
    assert said(await guest.home.ask("hello", chat)) == "echo: hello"
    assert bot.daemon.lines("actor_fault") == []
