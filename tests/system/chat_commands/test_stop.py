"""`!stop` ends the answer in progress at once and keeps its text (contract K9)."""

import time

import pytest

from tests.support.agent_script import (
    End,
    Text,
    Tool,
    Wait,
)
from tests.system.users import PARTIAL, answer_to, text_of

pytestmark = pytest.mark.anyio

# The last edit waits for the edit interval (contract D6); the rest is for a slow machine.
AT_ONCE_S = 5.0


async def stopped(localized, agent, asked, says="stop_done"):
    """Stop the answer in progress; return the reply to its message."""
    began = time.monotonic()
    (answer,) = await localized.send_all(localized.onboarded.chat, "!stop")
    localized.assert_notice((says,), answer)
    (request,) = [each for each in agent.requests if each.message_id == asked]
    await agent.connections[request.connection - 1].closed.wait()
    reply = await answer_to(localized.user, localized.onboarded.chat, asked)
    assert time.monotonic() - began < AT_ONCE_S
    assert len(await localized.user.replies_to(localized.onboarded.chat, asked)) == 1
    assert PARTIAL not in reply.content.get("m.new_content", {})
    return text_of(reply)


async def test_during_streaming_it_keeps_the_text_and_marks_it_as_stopped(localized, agent):
    agent.script = lambda _: [Text("Once upon "), Text("a time"), Tool("spin"), Wait(60.0)]
    asked = await localized.user.send_text(localized.onboarded.chat, "tell me a story")
    await localized.user.wait_for(
        lambda event: event.answers == asked and "Once upon a time" in text_of(event)
    )
    assert (
        await stopped(localized, agent, asked)
        == f"Once upon a time\n\n{localized.catalog.stopped()}"
    )


async def test_before_the_first_text_it_is_reported(localized, agent):
    agent.script = lambda _: [Wait(60.0)]
    asked = await localized.user.send_text(localized.onboarded.chat, "tell me a story")
    while (await agent.next_request()).message_id != asked:
        pass
    assert await stopped(localized, agent, asked) == localized.catalog.stopped()


async def test_the_next_message_is_answered_and_a_second_stop_does_nothing(localized, agent):
    def script(request):
        return [Wait(60.0)] if request.text == "first" else [Text(f"echo: {request.text}"), End()]

    agent.script = script
    user, chat = localized.user, localized.onboarded.chat
    first, second = [await user.send_text(chat, text) for text in ("first", "second")]
    while (await agent.next_request()).message_id != first:
        pass
    assert await stopped(localized, agent, first, "stop_next") == localized.catalog.stopped()
    assert text_of(await answer_to(user, chat, second)) == "echo: second"
    (answer,) = await localized.send_all(chat, "!stop")
    localized.assert_notice(("nothing_to_stop",), answer)
