"""`!clear` gives one chat a new context, and does not affect other chats (contracts K6, A5)."""

import anyio
import pytest

from tests.support.agent_script import End, Text, Wait
from tests.support.matrix_user import MatrixUser
from tests.system.users import BINDING, PASSWORD, onboard, text_of

pytestmark = pytest.mark.anyio


async def context(onboarded, agent, room):
    """Ask in a room and return the context in which the agent was asked."""
    await onboarded.ask(f"from {room}", room)
    request = next(each for each in reversed(agent.requests) if each.text == f"from {room}")
    return request.chat_id


@pytest.mark.parametrize("command", ["!clear", "!reset"])
async def test_only_this_chat_gets_a_context_and_none_is_used_twice(
    onboarded, agent, synapse, command
):
    await onboarded.run_command("!new Other")
    (other,) = await onboarded.user.rooms_invited()
    await onboarded.user.join(other)
    used = [await context(onboarded, agent, onboarded.chat)]
    untouched = await context(onboarded, agent, other)
    for _ in range(3):
        await onboarded.run_command(command)
        used.append(await context(onboarded, agent, onboarded.chat))
        assert await context(onboarded, agent, other) == untouched
    assert len({*used, untouched}) == 5
    assert sorted(used, key=int) == used
    async with MatrixUser(synapse.url, onboarded.bot, PASSWORD) as operator:
        kept = await operator.account_data(BINDING, onboarded.chat)
    assert kept is not None
    assert kept["platform_chat_id"] == used[-1]


async def test_a_cleared_context_does_not_come_back_with_a_restart(make_bot, user, agent):
    bot = await make_bot()
    async with bot.daemon as daemon:
        await daemon.wait_live()
        onboarded = await onboard(user, bot.user_id)
        before = await context(onboarded, agent, onboarded.chat)
        await onboarded.run_command("!clear")
        after = await context(onboarded, agent, onboarded.chat)
        await daemon.kill()
        await daemon.start()
        await daemon.wait_live()
        assert await context(onboarded, agent, onboarded.chat) == after
        await onboarded.run_command("!clear")
        assert len({before, after, await context(onboarded, agent, onboarded.chat)}) == 3


async def test_clearing_closes_the_connection_of_the_turn_in_progress(onboarded, agent):
    never = anyio.Event()

    async def script(request):
        yield Text("I was just saying")
        if request.text == "go on for ever":
            yield Wait(never)
        yield End()

    agent.script = script
    message_id = await onboarded.user.send_text(onboarded.chat, "go on for ever")
    begun = await onboarded.user.wait_for(lambda event: event.answers == message_id)
    upstream = agent.connections[-1]
    await onboarded.run_command("!clear")
    with anyio.fail_after(10):
        await upstream.closed.wait()
    ended = await onboarded.user.wait_for(
        lambda event: event.replaces == begun.event_id and "Stopped" in text_of(event)
    )
    assert text_of(ended).startswith("I was just saying")
    never.set()
    # The turn is over: the agent is not called again for it, and the room uses its new context.
    assert text_of(await onboarded.ask("and now?")) == "I was just saying"
    asked = [request.chat_id for request in agent.requests if request.message_id == message_id]
    assert asked == [upstream.chat_id]
    assert agent.requests[-1].chat_id != upstream.chat_id
