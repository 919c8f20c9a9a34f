"""An answer in progress survives the end of its daemon: it is finished once, in the same event (contracts D1, L8)."""

import time
from collections import Counter

import anyio
import pytest

from tests.support.agent_script import End, Text, Wait
from tests.system.users import PARTIAL, onboard, replies, text_of

pytestmark = pytest.mark.anyio

BEGINNING = "It begins"
WHOLE = "It begins, and it ends."
DRAIN_S = 10.0


class SlowAgent:
    """Sends the beginning, and continues when `go_on` is set."""

    def __init__(self):
        self.go_on = anyio.Event()

    async def __call__(self, request):
        yield Text(BEGINNING)
        yield Wait(self.go_on)
        yield Text(WHOLE.removeprefix(BEGINNING))
        yield End()


async def finished(onboarded, message_id):
    return await onboarded.user.wait_for(
        lambda event: event.answers == message_id and PARTIAL not in event.content
    )


@pytest.mark.parametrize("end", ["kill", "stop"])
async def test_an_answer_is_finished_in_its_own_event_by_the_next_process(
    make_bot, user, agent, end
):
    bot = await make_bot()
    async with bot.daemon as daemon:
        await daemon.wait_live()
        onboarded = await onboard(user, bot.user_id)
        agent.script = slow = SlowAgent()
        message_id = await user.send_text(onboarded.chat, "tell me")
        begun = await user.wait_for(lambda event: event.answers == message_id)
        assert (begun.body, begun.content[PARTIAL]) == (BEGINNING, True)
        asked = time.monotonic()
        if end == "kill":
            await daemon.kill()
        else:
            assert await daemon.stop() == 0
            assert time.monotonic() - asked < DRAIN_S
        slow.go_on.set()
        await daemon.start()
        ended = await finished(onboarded, message_id)
        assert (ended.replaces, text_of(ended)) == (begun.event_id, WHOLE)
        assert text_of(await onboarded.ask("and then?")) == WHOLE
        assert (
            Counter(reply.answers for reply in await replies(user, onboarded.chat))[message_id] == 1
        )
        # The agent got the same turn id.
        assert [request.message_id for request in agent.requests].count(message_id) == 2


async def test_a_message_is_answered_after_a_kill_before_the_first_text(make_bot, user, agent):
    bot = await make_bot()
    async with bot.daemon as daemon:
        await daemon.wait_live()
        onboarded = await onboard(user, bot.user_id)
        go_on = anyio.Event()
        agent.script = lambda request: [Wait(go_on), Text(WHOLE), End()]
        opened = len(agent.connections)
        message_id = await user.send_text(onboarded.chat, "tell me")
        await agent.connections_opened(opened + 1)
        await daemon.kill()
        go_on.set()
        await daemon.start()
        ended = await finished(onboarded, message_id)
        assert (ended.replaces, text_of(ended)) == (None, WHOLE)
        await onboarded.ask("and then?")
        assert len(await user.replies_to(onboarded.chat, message_id)) == 1


async def test_messages_sent_meanwhile_are_answered_in_order_afterwards(make_bot, user, agent):
    bot = await make_bot()
    async with bot.daemon as daemon:
        await daemon.wait_live()
        onboarded = await onboard(user, bot.user_id)
        agent.script = slow = SlowAgent()
        messages = [await user.send_text(onboarded.chat, "the one it is killed at")]
        await user.wait_for(lambda event: event.answers == messages[0])
        await daemon.kill()
        messages += [await user.send_text(onboarded.chat, f"meanwhile {n}") for n in range(3)]
        slow.go_on.set()
        await daemon.start()
        for message_id in messages:
            await finished(onboarded, message_id)
        assert [reply.answers for reply in await replies(user, onboarded.chat)] == messages
