"""Every command in a failed room, and in a chat whose agent is missing (contracts A3, C7, C8, C10)."""

import pytest

from machines.commands import COMMANDS
from machines.i18n import catalog_for
from tests.support.agent_script import End
from tests.system.chat_commands.localized_user import LocalizedUser, notices, one_answer_each
from tests.system.chat_commands.phrases import USES, help_page, written
from tests.system.chat_commands.registry_file import Entry, write_registry
from tests.system.recovery.bot_internals import BotInternals
from tests.system.users import notice, onboard, text_of

pytestmark = pytest.mark.anyio

CATALOG = catalog_for("en", "Lambda")
# It changes the answers to later commands in the same room.
LAST = "archive"
EVERY = [*(name for name in COMMANDS if name != LAST), LAST]
# It waits for its agent, and later commands end it.
SLOW = "save"


@pytest.fixture
async def behind(make_bot, user, synapse):
    """A user, and the internals of their bot."""
    bot = await make_bot()
    await bot.daemon.start()
    await bot.daemon.wait_live()
    return LocalizedUser(bot, await onboard(user, bot.user_id)), BotInternals(bot, synapse.url)


async def test_commands_in_a_failed_room_get_the_notice_and_are_answered_once_after_the_repair(
    behind, agent
):
    localized, internals = behind
    agent.script = lambda _: [End()]
    onboarded, daemon = localized.onboarded, localized.bot.daemon
    other = await localized.open_chat("Other")
    commands_in = {
        onboarded.chat: [name for name in EVERY if name != SLOW],
        other: [SLOW],
    }
    assert await daemon.stop() == 0
    for room in commands_in:
        await internals.link(onboarded.space, room, via=())
    await internals.start()
    asked = {
        room: [await localized.user.send_text(room, written(name, USES[name][0])) for name in names]
        for room, names in commands_in.items()
    }
    for room in commands_in:
        await notice(localized.user, room, CATALOG.room_recovery_failed())
    # Another room of the same user works as before.
    (page,) = await localized.send_all(onboarded.entry, "!help")
    assert page.body == help_page(CATALOG, in_chat=False)
    for room in commands_in:
        reported = await notices(localized.user, room, onboarded.bot)
        # The notice of the failure, and once more for a command that came after it (contract C8).
        assert reported[1:] in [[CATALOG.room_recovery_failed()] * count for count in (1, 2)]
        assert len(internals.warnings(room)) == 1
        given = {event.answers for event in await localized.user.messages(room)}
        assert given.isdisjoint(asked[room])
        await internals.link(onboarded.space, room)

    await daemon.kill()
    await internals.start()
    for room, names in commands_in.items():
        answers = await one_answer_each(localized.user, room, asked[room])
        for name, answer in zip(names, answers, strict=True):
            localized.assert_notice(USES[name][0].is_made_of, answer)
    assert daemon.lines("actor_fault") == []


async def test_each_command_in_a_room_that_can_be_repaired_repairs_it(behind, agent):
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
        name: await localized.user.send_text(room, written(name, USES[name][0]))
        for name, room in rooms.items()
    }
    for name, room in rooms.items():
        (answer,) = await one_answer_each(localized.user, room, [asked[name]])
        localized.assert_notice(USES[name][0].is_made_of, answer)
        assert CATALOG.room_recovery_failed() not in await notices(
            localized.user, room, onboarded.bot
        )
    assert {room["state"] for room in await states(internals, rooms)} == {"bound"}
    assert daemon.lines("actor_fault") == []


async def states(internals, rooms):
    known = await internals.rooms()
    return [known[room] for room in rooms.values()]


async def test_commands_in_a_stale_chat_are_answered_each_time_and_no_agent_gets_them(
    make_bot, user, agent, tmp_path
):
    file = tmp_path / "agents.yaml"
    gone, here = Entry("gone", agent.url), Entry("here", agent.url)
    write_registry(file, gone, here)
    bot = await make_bot(MATRIX_AGENT_REGISTRY_PATH=str(file))
    await bot.daemon.start()
    await bot.daemon.wait_live()
    localized = LocalizedUser(bot, await onboard(user, bot.user_id))
    assert text_of(await localized.onboarded.ask("hello")) == "echo: hello"
    assert await bot.daemon.stop() == 0
    write_registry(file, here)
    await bot.daemon.start()
    await bot.daemon.wait_live()
    connections_before = len(agent.connections)

    (answer,) = await localized.send_all(localized.onboarded.chat, "are you still there?")
    assert answer.body == CATALOG.stale_agent("gone")
    localized.assert_notice(("stale_agent",), answer)
    assert "!new" in answer.body
    stale = {"save": ("stale_agent",)}
    for name in EVERY:
        first = USES[name][0]
        body = written(name, first)
        for keys, answer in zip(
            (first.is_made_of, first.again or first.is_made_of),
            await localized.send_all(localized.onboarded.chat, body, body),
            strict=True,
        ):
            localized.assert_notice(stale.get(name, keys), answer)
    assert len(agent.connections) == connections_before
    # A new chat has an available agent.
    chat = await localized.open_chat("Afresh")
    assert text_of(await localized.onboarded.ask("hello", chat)) == "echo: hello"
    assert bot.daemon.lines("actor_fault") == []
