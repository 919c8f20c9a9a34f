"""The agent stops at any frame without an end: one plain reply when the retry time is over (contract D10).

That a second try is answered as the same turn is tried in `test_agent`; here no try ever is.
"""

import time

import pytest

from tests.support.agent_script import (
    NO_STATUS,
    Close,
    End,
    SendFile,
    Step,
    Text,
    Tool,
    ToolResult,
    Update,
    Wait,
    echo,
)
from tests.system.faults.fault_fixture import RETRY_S, TIMEOUT_S

pytestmark = pytest.mark.anyio

FRAMES: tuple[Step, ...] = (
    Tool("search"),
    Text("The tide "),
    ToolResult("found"),
    Update({"kind": "progress", "text": "reading"}),
    Text("comes in "),
    SendFile("tide.txt"),
    Text("twice a day."),
)
SILENCE = Wait(60.0)
GAVE_UP = "could not answer"
STATUS_S = 10.0
"""The time within which an agent must send `STATUS`; `AGENT_TIMEOUT_S` does not change it."""
A_LITTLE_S = 3.0


@pytest.mark.parametrize("end", [SILENCE, Close(1000)], ids=["silent", "closed"])
@pytest.mark.parametrize("frame_count", range(0, len(FRAMES), 2))
async def test_an_agent_that_stops_at_another_frame_at_each_try_ends_in_one_plain_reply(
    setup, agent, frame_count, end
):
    tries: list[str] = []

    def script(request):
        # The last frame before `END`: an answer that never ends.
        stops_after = min(frame_count + len(tries), len(FRAMES))
        tries.append(request.message_id)
        return (*FRAMES[:stops_after], end)

    agent.script = script
    began = time.monotonic()
    asked = await setup.send_text(f"what about the tide, from frame {frame_count} on?")
    answer = await setup.only_answer(asked)
    assert GAVE_UP in answer
    # The text of the last try is kept, once.
    last = FRAMES[: min(frame_count + len(tries) - 1, len(FRAMES))]
    kept = "".join(frame.chunk for frame in last if isinstance(frame, Text)).strip()
    assert answer.startswith(kept)
    assert answer.count("The tide") <= 1
    assert time.monotonic() - began < RETRY_S + TIMEOUT_S + A_LITTLE_S
    assert len(tries) >= 2
    assert set(tries) == {asked}
    agent.script = echo
    await setup.assert_next_is_answered()


async def test_an_agent_that_accepts_and_sends_nothing_ends_in_one_plain_reply(setup, agent):
    greeting, agent.opening = agent.opening, NO_STATUS
    before, asked_before = len(agent.connections), len(agent.requests)
    began = time.monotonic()
    try:
        asked = await setup.send_text("are you awake?")
        assert GAVE_UP in await setup.only_answer(asked)
    finally:
        agent.opening = greeting
    assert time.monotonic() - began < STATUS_S + A_LITTLE_S
    # It gets no message before its `STATUS`.
    assert len(agent.requests) == asked_before
    assert len(agent.connections) > before
    await setup.assert_next_is_answered()


async def test_an_agent_that_works_for_longer_than_the_retry_time_is_waited_for(setup, agent):
    requests = []

    async def script(request):
        requests.append(request.message_id)
        yield Text("On and on")
        began = time.monotonic()
        while time.monotonic() - began < RETRY_S + TIMEOUT_S:
            yield Update({"kind": "progress", "text": "still reading"})
            yield Wait(TIMEOUT_S / 4)
        yield Text(" and at last the end.")
        yield End()

    agent.script = script
    asked = await setup.send_text("tell me everything")
    assert await setup.only_answer(asked) == "On and on and at last the end."
    assert requests == [asked]
