"""Rooms don't wait for each other, and never share an agent's context (contracts D11, A5)."""

import anyio
import pytest

from tests.support.agent_script import End, Text, Wait
from tests.system.users import answer_to, onboard, text_of

pytestmark = pytest.mark.anyio

CHATS_EACH = 3


async def more_chats(onboarded, count):
    """Open further chats and return all of them, the first included."""
    rooms = [onboarded.chat]
    for number in range(count):
        await onboarded.run_command(f"!new Chat number {number}")
        (room,) = await onboarded.user.rooms_invited()
        await onboarded.user.join(room)
        rooms.append(room)
    return rooms


async def test_a_slow_agent_in_one_room_does_not_delay_another(onboarded, agent):
    slow, quick = await more_chats(onboarded, 1)
    go_on = anyio.Event()

    async def script(request):
        if request.text == "slow":
            yield Wait(go_on)
        yield Text(f"{request.text} is done")
        yield End()

    agent.script = script
    opened = len(agent.connections)
    first = await onboarded.user.send_text(slow, "slow")
    await agent.connections_opened(opened + 1)
    others = [await onboarded.user.send_text(quick, f"quick {n}") for n in range(5)]
    for message_id in others:
        await answer_to(onboarded.user, quick, message_id)
    assert await onboarded.user.replies_to(slow, first) == []
    go_on.set()
    assert text_of(await answer_to(onboarded.user, slow, first)) == "slow is done"


async def test_commands_are_answered_while_the_agent_of_that_room_is_slow(onboarded, agent):
    go_on = anyio.Event()

    async def script(request):
        yield Wait(go_on)
        yield Text("done")
        yield End()

    agent.script = script
    opened = len(agent.connections)
    asked = await onboarded.user.send_text(onboarded.chat, "slow")
    await agent.connections_opened(opened + 1)
    assert "!new" in await onboarded.run_command("!help")
    assert await onboarded.user.replies_to(onboarded.chat, asked) == []
    go_on.set()
    await answer_to(onboarded.user, onboarded.chat, asked)


async def test_no_two_chats_share_a_context_before_or_after_a_restart(make_bot, make_user, agent):
    bot = await make_bot()
    async with bot.daemon as daemon:
        await daemon.wait_live()
        onboarded_users = [await onboard(await make_user(), bot.user_id) for _ in range(2)]
        rooms = [
            (onboarded, room)
            for onboarded in onboarded_users
            for room in await more_chats(onboarded, CHATS_EACH - 1)
        ]

        async def contexts():
            """Write in all rooms at once; return the context in which the agent got each message."""
            seen = len(agent.requests)
            async with anyio.create_task_group() as tasks:
                for onboarded, room in rooms:
                    tasks.start_soon(onboarded.ask, f"from {room}", room)
            found = {request.text: request.chat_id for request in agent.requests[seen:]}
            return [found[f"from {room}"] for _, room in rooms]

        before = await contexts()
        assert len(set(before)) == len(rooms) == 2 * CHATS_EACH
        assert all(context.isdecimal() for context in before)
        await daemon.kill()
        await daemon.start()
        await daemon.wait_live()
        assert await contexts() == before
