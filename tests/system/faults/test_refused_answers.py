"""Answers that the homeserver refuses for good: that one turn fails with a notice, its room goes on (contract D9)."""

import time

import pytest

from tests.support.agent_script import (
    End,
    Text,
    Wait,
    echo,
)
from tests.support.proxy import Answer
from tests.system.faults.fault_fixture import answers, sends, whenever
from tests.system.users import PARTIAL

pytestmark = pytest.mark.anyio

HTML = {"Content-Type": "text/html"}
JSON = {"Content-Type": "application/json"}
REFUSALS = {
    "too large": Answer(413, b'{"errcode":"M_TOO_LARGE","error":"event too large"}', JSON),
    "too large for a proxy": Answer(413, b"<html>Request Entity Too Large</html>", HTML),
    "forbidden": Answer(403, b'{"errcode":"M_FORBIDDEN","error":"not this"}', JSON),
    "bad": Answer(400, b'{"errcode":"M_BAD_JSON","error":"no"}', JSON),
}
BREAKS_IT = Answer(500, b'{"errcode":"M_UNKNOWN","error":"Internal server error"}', JSON)
INSTEAD = "the homeserver does not accept it"
WITHIN_S = 60.0


async def refused(setup, agent, refusal):
    """Say something whose answer, and nothing else, is refused; return its event's id."""
    agent.hold()
    asked = await setup.say("say something impossible")
    setup.proxy.fault = whenever(answers(asked), refusal)
    agent.release()
    return asked


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
async def test_a_refused_answer_is_replaced_and_its_room_goes_on(setup, agent, refusal):
    asked = await refused(setup, agent, refusal)
    assert INSTEAD in await setup.only_answer(asked)
    assert len(setup.faulted) == 1
    await setup.goes_on()
    assert len(setup.logged("order_refused")) == 1
    assert setup.logged("homeserver_unreachable") == []


async def test_an_answer_that_breaks_the_homeserver_is_given_up_within_a_minute(setup, agent):
    began = time.monotonic()
    asked = await refused(setup, agent, BREAKS_IT)
    behind = await setup.say("I wait behind it")
    # That another room is answered meanwhile proves whose fault it is.
    await setup.proxy.wait_until(lambda: len(setup.faulted) >= 2)
    neighbour = await setup.person.send_text(setup.onboarded.entry, "!help")
    await setup.person.wait_for(lambda event: event.answers == neighbour, timeout_s=10.0)
    assert INSTEAD in await setup.only_answer(asked, WITHIN_S)
    assert time.monotonic() - began < WITHIN_S
    assert await setup.only_answer(behind) == "echo: I wait behind it"
    # It was tried again, but a handful of times and not in a loop.
    assert 4 <= len(setup.faulted) <= 30
    assert len(setup.logged("order_refused")) == 1
    assert setup.logged("homeserver_unreachable") == []


async def test_an_edit_that_is_refused_ends_the_reply_that_stands(setup, agent):
    async def script(_):
        yield Text("The beginning")
        yield Wait(1.0)
        yield Text(" and the rest")
        yield End()

    agent.script = script
    setup.proxy.fault = lambda proxied: (
        REFUSALS["forbidden"] if sends(proxied) and proxied.path.endswith(".e1") else None
    )
    asked = await setup.say("begin, and fail to end")
    await setup.person.wait_for(lambda event: event.answers == asked and event.replaces is not None)
    (reply,) = await setup.person.replies_to(setup.onboarded.chat, asked)
    content = await setup.person.latest_content(setup.onboarded.chat, reply.event_id)
    assert INSTEAD in content["body"]
    assert PARTIAL not in content
    agent.script = echo
    await setup.goes_on()
