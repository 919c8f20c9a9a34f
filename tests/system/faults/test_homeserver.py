"""The homeserver is dead, hangs, limits requests, or gives malformed answers (contracts L9, D8, D1)."""

from itertools import pairwise

import anyio
import pytest

from tests.support.agent_script import End, Text, Wait
from tests.support.proxy import Answer, Change, Cut
from tests.system.faults.fault_fixture import probes, sends, syncs, whenever

pytestmark = pytest.mark.anyio

HTML = {"Content-Type": "text/html"}
JSON = {"Content-Type": "application/json"}
PAGE = b"<html><body><h1>It is not us</h1></body></html>"
OUTAGES = {
    "dead": Cut(),
    "dead before it can say what it did": Cut(done=True),
    "bad gateway": Answer(502, PAGE, HTML),
    "internal error": Answer(500, b'{"errcode":"M_UNKNOWN","error":"oh"}', JSON),
    "a page that says all is well": Answer(200, PAGE, HTML),
    "answers cut in half": Change(lambda body: body[: len(body) // 2]),
}
# Requests that are sent a second apart may arrive a little closer together.
A_SECOND = 0.95


def moments(setup):
    """Return once the homeserver was probed."""
    return [proxied.at for proxied in setup.faulted if probes(proxied)]


@pytest.mark.parametrize("outage", OUTAGES.values(), ids=OUTAGES)
async def test_an_answer_is_sent_once_after_an_outage(setup, outage):
    setup.proxy.fault = lambda _: outage
    asked = await setup.send_text("is anybody there?")
    await setup.proxy.wait_until(lambda: len(moments(setup)) >= 2)
    setup.proxy.clear_fault()
    assert await setup.only_answer(asked) == "echo: is anybody there?"
    await setup.assert_next_is_answered()
    # Requests in progress fail at its beginning; after that there are only probes, a second apart.
    under_way = next(n for n, proxied in enumerate(setup.faulted) if probes(proxied))
    assert under_way <= 5
    assert all(map(probes, setup.faulted[under_way:]))
    assert all(later - one >= A_SECOND for one, later in pairwise(moments(setup)))
    assert len(setup.logged("homeserver_unreachable")) == 1
    assert len(setup.logged("homeserver_reachable")) == 1


async def test_the_bot_waits_for_a_homeserver_that_hangs(setup, synapse, agent):
    go = anyio.Event()
    agent.script = lambda request: (Wait(go), Text(f"echo: {request.text}"), End())
    asked = await setup.send_text("are you frozen?")
    opened = len(agent.connections)
    request = await agent.next_request()
    while request.text != "are you frozen?":
        request = await agent.next_request()
    synapse.pause()
    try:
        go.set()
        # The agent has finished the answer, which can't be sent.
        await agent.connections[opened - 1].closed.wait()
        await setup.proxy.wait_until(lambda: any(map(sends, setup.proxy.requests[-3:])))
    finally:
        synapse.resume()
    assert await setup.only_answer(asked) == "echo: are you frozen?"


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b'{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":2500}', JSON),
        (b'{"errcode":"M_LIMIT_EXCEEDED"}', JSON | {"Retry-After": "2.5"}),
        (PAGE, HTML | {"Retry-After": "2.5"}),
    ],
    ids=["retry_after_ms", "Retry-After", "a page"],
)
async def test_a_rate_limit_is_respected_for_the_time_that_the_homeserver_sets(
    setup, body, headers
):
    left = [Answer(429, body, headers), Answer(429, body, headers)]
    setup.proxy.fault = lambda proxied: left.pop() if sends(proxied) and left else None
    before = len(setup.proxy.requests)
    asked = await setup.send_text("may I?")
    assert await setup.only_answer(asked) == "echo: may I?"
    times = [proxied.at for proxied in setup.proxy.requests[before:] if sends(proxied)]
    assert len(times) == 3
    assert all(later - one >= 2.45 for one, later in pairwise(times))
    assert setup.logged("homeserver_unreachable") == []


async def test_a_rate_limit_drops_intermediate_edits_and_never_the_last(setup, agent):
    words = [f"word{number} " for number in range(60)]
    whole = "".join(words)

    async def slowly(_):
        for word in words:
            yield Text(word)
            yield Wait(0.1)
        yield End()

    def limited(proxied):
        # The first text of the answer passes; its edits are limited, two seconds each.
        if not sends(proxied) or ".e" not in proxied.path or proxied.number in faulted:
            return None
        faulted.add(proxied.number)
        return Answer(429, b'{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":2000}', JSON)

    faulted: set[int] = set()
    agent.script = slowly
    setup.proxy.fault = lambda proxied: limited(proxied) if len(faulted) < 2 else None
    asked = await setup.send_text("a long story, please")
    assert await setup.only_answer(asked) == whole.strip()
    assert len(faulted) == 2
    # Without limits, six seconds of text are about four edits.
    edits = [event for event in await setup.user.messages(setup.onboarded.chat) if event.replaces]
    assert 1 <= sum(event.answers == asked for event in edits) <= 3


async def test_a_sync_that_fails_alone_delays_no_answer(setup, agent):
    asked = await setup.send_text("first")
    await setup.only_answer(asked)
    left = [Answer(500, b'{"errcode":"M_UNKNOWN"}', JSON)]
    setup.proxy.fault = whenever(syncs, left[0])
    agent.hold()
    asked = await setup.send_text("second")
    await setup.proxy.wait_until(lambda: any(map(syncs, setup.faulted)))
    agent.release()
    setup.proxy.clear_fault()
    assert await setup.only_answer(asked) == "echo: second"
