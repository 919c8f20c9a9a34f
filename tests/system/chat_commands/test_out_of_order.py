"""Every command in a room whose state is lost, and in a chat whose agent is gone (contracts A3, C7, C8, C10)."""

import pytest

from machines.commands import COMMANDS
from machines.i18n import catalog_for
from tests.support.agent_script import End
from tests.system.chat_commands.localized_user import LocalizedUser, notices, one_answer_each
from tests.system.chat_commands.phrases import USES, written
from tests.system.chat_commands.registry_file import Entry, write_registry
from tests.system.recovery.bot_internals import BotInternals
from tests.system.users import notice, onboard, said

pytestmark = pytest.mark.anyio

CATALOG = catalog_for("en", "Lambda")
# What comes behind it in the same room would be answered otherwise.
LAST = "archive"
EVERY = [*(name for name in COMMANDS if name != LAST), LAST]
# It waits for its agent, and is ended by what comes behind it.
SLOW = "save"


@pytest.fixture
async def behind(make_bot, person, synapse):
    """A user, and the internals of their bot."""
    bot = await make_bot()
    await bot.daemon.start()
    await bot.daemon.wait_live()
    return LocalizedUser(bot, await onboard(person, bot.user_id)), BotInternals(bot, synapse.url)


async def test_commands_in_a_failed_room_get_the_notice_and_are_answered_once_after_the_repair(
    behind, agent
):
    localized, internals = behind
    agent.script = lambda _: [End()]
    onboarded, daemon = localized.onboarded, localized.bot.daemon
    other = await localized.open_chat("Other")
    said_in = {
        onboarded.chat: [name for name in EVERY if name != SLOW],
        other: [SLOW],
    }
    assert await daemon.stop() == 0
    for room in said_in:
        await internals.link(onboarded.space, room, via=())
    await internals.start()
    asked = {
        room: [
            await localized.person.send_text(room, written(name, USES[name][0])) for name in names
        ]
        for room, names in said_in.items()
    }
    for room in said_in:
        await notice(localized.person, room, CATALOG.room_recovery_failed())
    # The bot goes on: another room of the same person is as it was.
    assert (await localized.tell(onboarded.entry, "!help"))[0].body == CATALOG.help(COMMANDS)
    for room in said_in:
        told = await notices(localized.person, room, onboarded.bot)
        # The notice of the failure, and once more for a command that came after it (contract C8).
        assert told[1:] in [[CATALOG.room_recovery_failed()] * count for count in (1, 2)]
        assert len(internals.warnings(room)) == 1
        given = {event.answers for event in await localized.person.messages(room)}
        assert given.isdisjoint(asked[room])
        await internals.link(onboarded.space, room)

    await daemon.kill()
    await internals.start()
    for room, names in said_in.items():
        answers = await one_answer_each(localized.person, room, asked[room])
        for name, answer in zip(names, answers, strict=True):
            localized.hears(USES[name][0].says, answer)
    assert daemon.lines("actor_fault") == []


async def test_each_command_in_a_room_that_can_be_explained_is_its_repair(behind, agent):
    localized, internals = behind
    agent.script = lambda _: [End()]
    onboarded, daemon = localized.onboarded, localized.bot.daemon
    rooms = {name: await localized.open_chat(name) for name in EVERY}
    assert await daemon.stop() == 0
    for room in rooms.values():
        await internals.link(onboarded.space, room, via=())
    await internals.start()
    assert {room["state"] for room in await states(internals, rooms)} == {"failed"}
    for room in rooms.values():
        await internals.link(onboarded.space, room)
    asked = {
        name: await localized.person.send_text(room, written(name, USES[name][0]))
        for name, room in rooms.items()
    }
    for name, room in rooms.items():
        (answer,) = await one_answer_each(localized.person, room, [asked[name]])
        localized.hears(USES[name][0].says, answer)
        assert CATALOG.room_recovery_failed() not in await notices(
            localized.person, room, onboarded.bot
        )
    assert {room["state"] for room in await states(internals, rooms)} == {"bound"}
    assert daemon.lines("actor_fault") == []


async def states(internals, rooms):
    known = await internals.rooms()
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
    localized = LocalizedUser(bot, await onboard(person, bot.user_id))
    assert said(await localized.onboarded.ask("hello")) == "echo: hello"
    assert await bot.daemon.stop() == 0
    write_registry(file, here)
    await bot.daemon.start()
    await bot.daemon.wait_live()
    heard = len(agent.connections)

    (answer,) = await localized.tell(localized.onboarded.chat, "are you still there?")
    assert answer.body == CATALOG.stale_agent("gone")
    localized.hears(("stale_agent",), answer)
    assert "!new" in answer.body
    stale = {"save": ("stale_agent",)}
    for name in EVERY:
        first = USES[name][0]
        body = written(name, first)
        for keys, answer in zip(
            (first.says, first.again or first.says),
            await localized.tell(localized.onboarded.chat, body, body),
            strict=True,
        ):
            localized.hears(stale.get(name, keys), answer)
    assert len(agent.connections) == heard
    # A new chat is with an agent that is there.
    chat = await localized.open_chat("Afresh")
    assert said(await localized.onboarded.ask("hello", chat)) == "echo: hello"
    assert bot.daemon.lines("actor_fault") == []
