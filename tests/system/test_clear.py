"""`!clear` gives one chat a fresh context, and touches no other (contracts K6, A5)."""

import anyio
import pytest

from tests.support.agent_script import End, Text, Wait
from tests.support.matrix_user import MatrixUser
from tests.system.cast import BINDING, PASSWORD, onboard, said

pytestmark = pytest.mark.anyio


async def context(home, agent, room):
    """Ask in a room and return the context in which the agent was asked."""
    await home.ask(f"from {room}", room)
    request = next(each for each in reversed(agent.requests) if each.text == f"from {room}")
    return request.chat_id


@pytest.mark.parametrize("command", ["!clear", "!reset"])
async def test_only_this_chat_gets_a_context_and_none_is_used_twice(home, agent, synapse, command):
    await home.tell("!new Other")
    (other,) = await home.person.rooms_invited()
    await home.person.join(other)
    used = [await context(home, agent, home.chat)]
    untouched = await context(home, agent, other)
    for _ in range(3):
        await home.tell(command)
        used.append(await context(home, agent, home.chat))
        assert await context(home, agent, other) == untouched
    assert len({*used, untouched}) == 5
    assert sorted(used, key=int) == used
    async with MatrixUser(synapse.url, home.bot, PASSWORD) as operator:
        kept = await operator.account_data(BINDING, home.chat)
    assert kept is not None
    assert kept["platform_chat_id"] == used[-1]


async def test_a_cleared_context_does_not_come_back_with_a_restart(make_bot, person, agent):
    bot = await make_bot()
    async with bot.daemon as daemon:
        await daemon.wait_live()
        home = await onboard(person, bot.user_id)
        before = await context(home, agent, home.chat)
        await home.tell("!clear")
        after = await context(home, agent, home.chat)
        await daemon.kill()
        await daemon.start()
        await daemon.wait_live()
        assert await context(home, agent, home.chat) == after
        await home.tell("!clear")
        assert len({before, after, await context(home, agent, home.chat)}) == 3


async def test_clearing_hangs_up_on_the_agent_at_work(home, agent):
    never = anyio.Event()

    async def script(request):
        yield Text("I was just saying")
        if request.text == "go on for ever":
            yield Wait(never)
        yield End()

    agent.script = script
    message_id = await home.person.send_text(home.chat, "go on for ever")
    begun = await home.person.wait_for(lambda event: event.answers == message_id)
    upstream = agent.connections[-1]
    await home.tell("!clear")
    with anyio.fail_after(10):
        await upstream.closed.wait()
    ended = await home.person.wait_for(
        lambda event: event.replaces == begun.event_id and "Stopped" in said(event)
    )
    assert said(ended).startswith("I was just saying")
    never.set()
    # The turn is over: it is not asked again, and the room goes on in its new context.
    assert said(await home.ask("and now?")) == "I was just saying"
    asked = [request.chat_id for request in agent.requests if request.message_id == message_id]
    assert asked == [upstream.chat_id]
    assert agent.requests[-1].chat_id != upstream.chat_id
