"""`!stop` ends the running answer at once and keeps what was said (contract K9)."""

import time

import pytest

from tests.support.agent_script import (
    End,
    Text,
    Tool,
    Wait,
)
from tests.system.users import PARTIAL, answer_to, said

pytestmark = pytest.mark.anyio

# The last edit keeps its distance to the one before it (contract D6); the rest is for a slow machine.
AT_ONCE_S = 5.0


async def stopped(localized, agent, asked):
    """Stop what is running; return the reply to the message that asked for it."""
    began = time.monotonic()
    (answer,) = await localized.tell(localized.onboarded.chat, "!stop")
    localized.hears(("stop_done",), answer)
    (request,) = [each for each in agent.requests if each.message_id == asked]
    await agent.connections[request.connection - 1].closed.wait()
    reply = await answer_to(localized.person, localized.onboarded.chat, asked)
    assert time.monotonic() - began < AT_ONCE_S
    assert len(await localized.person.replies_to(localized.onboarded.chat, asked)) == 1
    assert PARTIAL not in reply.content.get("m.new_content", {})
    return said(reply)


async def test_in_mid_stream_it_keeps_what_was_said_and_marks_it(localized, agent):
    agent.script = lambda _: [Text("Once upon "), Text("a time"), Tool("spin"), Wait(60.0)]
    asked = await localized.person.send_text(localized.onboarded.chat, "tell me a story")
    await localized.person.wait_for(
        lambda event: event.answers == asked and "Once upon a time" in said(event)
    )
    assert (
        await stopped(localized, agent, asked)
        == f"Once upon a time\n\n{localized.catalog.stopped()}"
    )


async def test_before_the_first_word_it_says_so(localized, agent):
    agent.script = lambda _: [Wait(60.0)]
    asked = await localized.person.send_text(localized.onboarded.chat, "tell me a story")
    while (await agent.next_request()).message_id != asked:
        pass
    assert await stopped(localized, agent, asked) == localized.catalog.stopped_nothing()


async def test_what_waits_behind_it_goes_on_and_a_second_one_has_nothing_to_stop(localized, agent):
    def script(request):
        return [Wait(60.0)] if request.text == "first" else [Text(f"echo: {request.text}"), End()]

    agent.script = script
    person, chat = localized.person, localized.onboarded.chat
    first, second = [await person.send_text(chat, text) for text in ("first", "second")]
    while (await agent.next_request()).message_id != first:
        pass
    assert await stopped(localized, agent, first) == localized.catalog.stopped_nothing()
    assert said(await answer_to(person, chat, second)) == "echo: second"
    (answer,) = await localized.tell(chat, "!stop")
    localized.hears(("nothing_to_stop",), answer)
