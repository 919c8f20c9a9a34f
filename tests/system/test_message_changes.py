"""A message can be edited or deleted until its turn begins; a deletion ends its answer (contract D17)."""

from contextlib import asynccontextmanager

import anyio
import pytest

from machines.i18n import catalog_for
from tests.support.agent_script import End, Text, Wait
from tests.support.matrix_user import MatrixUser
from tests.system.users import PASSWORD, answer_to, onboard, replies, text_of

pytestmark = pytest.mark.anyio

CATALOG = catalog_for("en", "Lambda")
NEVER_S = 60.0


class BusyAgent:
    """Answers "first" when `go_on` is set, and repeats all other messages."""

    def __init__(self):
        self.go_on = anyio.Event()
        self.texts = []

    async def __call__(self, request):
        self.texts.append(request.text)
        if request.text == "first":
            yield Wait(self.go_on)
        yield Text(f"echo: {request.text}")
        yield End()


async def all_seen(onboarded):
    """Wait until the bot has handled what was sent: a command that acts at once is answered."""
    await onboarded.run_command("!help")


@asynccontextmanager
async def waiting_messages(onboarded, agent, *texts):
    """Yield the ids of messages that wait behind one that is being answered; at the end that answer goes on."""
    agent.script = busy = BusyAgent()
    user, chat = onboarded.user, onboarded.chat
    first, *ids = [await user.send_text(chat, text) for text in ("first", *texts)]
    await all_seen(onboarded)
    yield ids
    busy.go_on.set()
    assert text_of(await answer_to(user, chat, first)) == "echo: first"


async def test_the_latest_edit_of_a_waiting_message_is_answered(onboarded, agent):
    user, chat = onboarded.user, onboarded.chat
    async with waiting_messages(onboarded, agent, "second", "third") as (second, third):
        await user.edit(chat, second, "an edit")
        await user.edit(chat, second, "another edit")
        await all_seen(onboarded)
    assert text_of(await answer_to(user, chat, second)) == "echo: another edit"
    assert text_of(await answer_to(user, chat, third)) == "echo: third"
    await user.edit(chat, second, "too late")
    await onboarded.ask("last")
    assert agent.script.texts == ["first", "another edit", "third", "last"]
    assert len(await user.replies_to(chat, second)) == 1


async def test_an_edit_after_the_turn_began_changes_nothing(onboarded, agent):
    agent.script = busy = BusyAgent()
    user, chat = onboarded.user, onboarded.chat
    first = await user.send_text(chat, "first")
    await all_seen(onboarded)
    await user.edit(chat, first, "edited")
    await all_seen(onboarded)
    busy.go_on.set()
    assert text_of(await answer_to(user, chat, first)) == "echo: first"
    await onboarded.ask("last")
    assert busy.texts == ["first", "last"]


async def test_an_edit_of_another_user_changes_nothing(onboarded, agent, make_user, synapse):
    user, chat, guest = onboarded.user, onboarded.chat, await make_user()
    async with MatrixUser(synapse.url, onboarded.bot, PASSWORD) as operator:
        await operator.invite(chat, guest.user_id)
    await guest.join(chat)
    async with waiting_messages(onboarded, agent, "second") as (second,):
        await guest.edit(chat, second, "forged")
        await all_seen(onboarded)
    assert text_of(await answer_to(user, chat, second)) == "echo: second"


async def test_a_deleted_message_gets_no_answer(onboarded, agent):
    user, chat = onboarded.user, onboarded.chat
    async with waiting_messages(onboarded, agent, "second", "!save Plans", "third") as ids:
        second, command, third = ids
        await user.redact(chat, second)
        await user.redact(chat, command)
        await all_seen(onboarded)
    assert text_of(await answer_to(user, chat, third)) == "echo: third"
    assert agent.script.texts == ["first", "third"]
    answered = {reply.answers for reply in await replies(user, chat)}
    assert answered.isdisjoint({second, command})


async def test_a_deletion_while_it_is_answered_ends_the_answer(onboarded, agent):
    agent.script = lambda request: (
        [Text("so far"), Wait(NEVER_S)] if request.text == "first" else [Text("next"), End()]
    )
    user, chat = onboarded.user, onboarded.chat
    first, second = [await user.send_text(chat, text) for text in ("first", "second")]
    await user.wait_for(lambda event: event.answers == first and "so far" in text_of(event))
    await user.redact(chat, first)
    assert text_of(await answer_to(user, chat, first)) == f"so far\n\n{CATALOG.stopped()}"
    assert text_of(await answer_to(user, chat, second)) == "next"
    assert len(await user.replies_to(chat, first)) == 1


async def test_an_edit_into_a_command_is_not_run(onboarded, agent):
    user, chat = onboarded.user, onboarded.chat
    async with waiting_messages(onboarded, agent, "second", "third") as (second, third):
        await user.edit(chat, second, "!rename Edited")
        await user.edit(chat, third, "!yes")
        await all_seen(onboarded)
    for message in (second, third):
        answer = await answer_to(user, chat, message)
        assert (answer.msgtype, answer.body) == ("m.notice", CATALOG.command_as_new_message())
    assert agent.script.texts == ["first"]
    assert await user.state_content(chat, "m.room.name") == {"name": "Chat 1"}


@pytest.mark.parametrize("database", ["kept", "lost"])
async def test_changes_survive_a_kill_before_the_turn(make_bot, user, agent, database):
    bot = await make_bot()
    async with bot.daemon as daemon:
        await daemon.wait_live()
        onboarded = await onboard(user, bot.user_id)
        agent.script = busy = BusyAgent()
        texts = ("first", "second", "third", "fourth", "fifth")
        ids = [await user.send_text(onboarded.chat, text) for text in texts]
        first, second, third, fourth, fifth = ids
        await all_seen(onboarded)
        await user.edit(onboarded.chat, second, "edited before")
        await user.redact(onboarded.chat, third)
        await all_seen(onboarded)
        await daemon.kill()
        await user.edit(onboarded.chat, fourth, "edited after")
        await user.redact(onboarded.chat, fifth)
        sixth, seventh = [await user.send_text(onboarded.chat, text) for text in ("6", "7")]
        await user.edit(onboarded.chat, sixth, "edited in the same sync")
        await user.redact(onboarded.chat, seventh)
        if database == "lost":
            for file in bot.daemon.directory.glob("*.db*"):
                file.unlink()
        busy.go_on.set()
        await daemon.start()
        assert text_of(await answer_to(user, onboarded.chat, first)) == "echo: first"
        assert text_of(await answer_to(user, onboarded.chat, second)) == "echo: edited before"
        assert text_of(await answer_to(user, onboarded.chat, fourth)) == "echo: edited after"
        answer = await answer_to(user, onboarded.chat, sixth)
        assert text_of(answer) == "echo: edited in the same sync"
        await onboarded.ask("last")
        answered = [reply.answers for reply in await replies(user, onboarded.chat)]
        ids += [sixth, seventh]
        assert [each for each in answered if each in ids] == [first, second, fourth, sixth]


async def test_a_deletion_while_the_bot_is_down_ends_the_answer(make_bot, user, agent):
    bot = await make_bot()
    async with bot.daemon as daemon:
        await daemon.wait_live()
        onboarded = await onboard(user, bot.user_id)
        agent.script = lambda request: (
            [Text("so far"), Wait(NEVER_S)] if request.text == "first" else [Text("next"), End()]
        )
        first = await user.send_text(onboarded.chat, "first")
        await user.wait_for(lambda event: event.answers == first and "so far" in text_of(event))
        await daemon.kill()
        await user.redact(onboarded.chat, first)
        await daemon.start()
        ended = text_of(await answer_to(user, onboarded.chat, first))
        assert ended.endswith(CATALOG.stopped())
        assert text_of(await onboarded.ask("second")) == "next"
