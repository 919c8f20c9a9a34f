"""Answers that the homeserver refuses for good: only that turn fails, with a notice (contract D9)."""

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
    """Send a message of which only the answer is refused; return its event id."""
    agent.hold()
    asked = await setup.send_text("say something impossible")
    setup.proxy.fault = whenever(answers(asked), refusal)
    agent.release()
    return asked


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
async def test_a_refused_answer_is_replaced_by_a_notice(setup, agent, refusal):
    asked = await refused(setup, agent, refusal)
    assert INSTEAD in await setup.only_answer(asked)
    assert len(setup.faulted) == 1
    await setup.assert_next_is_answered()
    assert len(setup.logged("order_refused")) == 1
    assert setup.logged("homeserver_unreachable") == []


async def test_an_answer_that_the_homeserver_fails_at_is_given_up_within_a_minute(setup, agent):
    began = time.monotonic()
    asked = await refused(setup, agent, BREAKS_IT)
    behind = await setup.send_text("I wait behind it")
    # An answer in another room shows that the fault is of this event.
    await setup.proxy.wait_until(lambda: len(setup.faulted) >= 2)
    neighbour = await setup.user.send_text(setup.onboarded.entry, "!help")
    await setup.user.wait_for(lambda event: event.answers == neighbour, timeout_s=10.0)
    assert INSTEAD in await setup.only_answer(asked, WITHIN_S)
    assert time.monotonic() - began < WITHIN_S
    assert await setup.only_answer(behind) == "echo: I wait behind it"
    # It was retried a few times only.
    assert 4 <= len(setup.faulted) <= 30
    assert len(setup.logged("order_refused")) == 1
    assert setup.logged("homeserver_unreachable") == []


async def test_a_refused_edit_ends_the_reply_that_is_shown(setup, agent):
    async def script(_):
        yield Text("The beginning")
        yield Wait(1.0)
        yield Text(" and the rest")
        yield End()

    agent.script = script
    setup.proxy.fault = lambda proxied: (
        REFUSALS["forbidden"] if sends(proxied) and proxied.path.endswith(".e1") else None
    )
    asked = await setup.send_text("begin, and fail to end")
    await setup.user.wait_for(lambda event: event.answers == asked and event.replaces is not None)
    (reply,) = await setup.user.replies_to(setup.onboarded.chat, asked)
    content = await setup.user.latest_content(setup.onboarded.chat, reply.event_id)
    assert INSTEAD in content["body"]
    assert PARTIAL not in content
    agent.script = echo
    await setup.assert_next_is_answered()
