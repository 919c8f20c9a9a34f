"""The agent fails in every way: the same turn is retried for a while, then one plain reply is sent (contract D10)."""

import time

import pytest

from tests.support.agent_script import (
    WRONG_FIRST_FRAME,
    Close,
    Drop,
    End,
    Error,
    Raw,
    SendFile,
    Status,
    Step,
    Text,
    Tool,
    ToolResult,
    Update,
    Wait,
    echo,
)
from tests.system.faults.fault_fixture import RETRY_S, TIMEOUT_S
from tests.system.users import answer_to, text_of

pytestmark = pytest.mark.anyio

FRAMES = (
    Tool("search"),
    Text("The tide "),
    ToolResult("found"),
    Update({"kind": "progress", "text": "reading"}),
    Text("comes in "),
    SendFile("tide.txt"),
    Text("twice a day."),
    End(3),
)
BROKEN_OFF: list[tuple[int, Step]] = [(frame_count, Drop()) for frame_count in range(len(FRAMES))]
BROKEN_OFF += [(0, Close(1000)), (2, Close(1000)), (2, Close(1011))]
NEVER = {
    "busy": (Error("AGENT_BUSY"),),
    "silent": (Wait(60.0),),
    "silent in mid-answer": (Text("Well, "), Wait(60.0)),
    "cut": (Drop(),),
    "cut in mid-answer": (Text("Well, "), Drop()),
    "no JSON": (Raw("<html>"), Wait(60.0)),
    "text that is no text": (Raw('{"type":"AGENT_EVENT_TEXT_CHUNK","text":7}'), Wait(60.0)),
    "a binary frame": (Raw(b"\x00\xff"), Wait(60.0)),
}
GAVE_UP = "could not answer"
# The waits between tries double from a second, so that no more tries fit into the retry time.
MOST_TRIES = 3


def requests_for(agent, message_id):
    """Return the requests of one turn; another `message_id` would be another turn to the agent."""
    return [request for request in agent.requests if request.message_id == message_id]


@pytest.mark.parametrize(("frame_count", "end"), BROKEN_OFF)
async def test_an_answer_broken_off_after_any_frame_is_requested_again(
    setup, agent, frame_count, end
):
    tries = [(*FRAMES[:frame_count], end), FRAMES]
    agent.script = lambda _: tries.pop(0)
    asked = await setup.send_text(f"what about the tide, after {frame_count} frames?")
    assert (await setup.only_answer(asked)).startswith("The tide comes in twice a day.")
    assert len(requests_for(agent, asked)) == 2


@pytest.mark.parametrize("steps", NEVER.values(), ids=NEVER)
async def test_an_agent_that_never_answers_ends_in_one_plain_reply(setup, agent, steps):
    agent.script = lambda _: steps
    began = time.monotonic()
    asked = await setup.send_text("will you ever?")
    assert GAVE_UP in await setup.only_answer(asked)
    assert time.monotonic() - began < RETRY_S + TIMEOUT_S + 3.0
    assert 2 <= len(requests_for(agent, asked)) <= MOST_TRIES
    agent.script = echo
    await setup.assert_next_is_answered()


@pytest.mark.parametrize(
    "opening",
    [(Drop(),), (Status(), Drop()), WRONG_FIRST_FRAME, (Raw("{"),)],
    ids=["cut", "cut after STATUS", "not STATUS", "garbage"],
)
async def test_an_agent_with_a_wrong_first_frame_ends_in_one_plain_reply(setup, agent, opening):
    greeting, agent.opening = agent.opening, opening
    before = len(agent.connections)
    try:
        asked = await setup.send_text("hello?")
        assert GAVE_UP in await setup.only_answer(asked)
    finally:
        agent.opening = greeting
    assert 1 <= len(agent.connections) - before <= MOST_TRIES
    await setup.assert_next_is_answered()


async def test_an_agent_that_refused_connections_is_called_once_it_accepts_them(onboarded, agent):
    await agent.refuse(drop=True)
    asked = await onboarded.user.send_text(onboarded.chat, "are you there?")
    await onboarded.user.wait_for(
        lambda event: event.type == "m.receipt" and asked in event.content
    )
    await agent.accept()
    answer = await answer_to(onboarded.user, onboarded.chat, asked)
    assert text_of(answer) == "echo: are you there?"
    assert len(await onboarded.user.replies_to(onboarded.chat, asked)) == 1


async def test_an_agent_that_refuses_connections_for_good_ends_in_one_plain_reply(setup, agent):
    await agent.refuse(drop=True)
    try:
        asked = await setup.send_text("nobody home?")
        assert GAVE_UP in await setup.only_answer(asked)
    finally:
        await agent.accept()
    await setup.assert_next_is_answered()


@pytest.mark.parametrize("status", [404, 503])
async def test_an_agent_that_is_no_websocket_ends_in_one_plain_reply(setup, agent, status):
    agent.http_status = status
    try:
        asked = await setup.send_text("what are you?")
        assert GAVE_UP in await setup.only_answer(asked)
    finally:
        agent.http_status = None
    await setup.assert_next_is_answered()


async def test_another_error_ends_the_turn_at_once_and_names_its_code(setup, agent):
    agent.script = lambda _: (Text("I was about to"), Error("OUT_OF_TOKENS", "none left"))
    asked = await setup.send_text("go on")
    assert "OUT_OF_TOKENS" in await setup.only_answer(asked)
    assert len(requests_for(agent, asked)) == 1
    agent.script = echo
    await setup.assert_next_is_answered()


async def test_a_room_whose_agent_fails_does_not_hold_up_another_room(setup, agent):
    other = await setup.user.create_room(invite=[setup.bot.user_id])
    agent.script = lambda _: (Wait(60.0),)
    asked = await setup.send_text("hold on")
    while (await agent.next_request()).text != "hold on":
        pass
    help_asked = await setup.user.send_text(other, "!help")
    answer = await setup.user.wait_for(lambda event: event.answers == help_asked)
    assert answer.msgtype == "m.notice"
    assert await setup.user.replies_to(setup.onboarded.chat, asked) == []
    assert GAVE_UP in await setup.only_answer(asked)
