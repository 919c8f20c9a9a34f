"""The agent fails in every way: tried again as the same turn for a while, then one plain reply (contract D10)."""

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
from tests.system.users import answer_to, said

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
BROKEN_OFF: list[tuple[int, Step]] = [(heard, Drop()) for heard in range(len(FRAMES))]
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
# The waits between tries double from a second: more than these do not fit into the patience.
MOST_TRIES = 3


def requests_for(agent, message_id):
    """Return the requests of one turn; another `message_id` would be another turn to the agent."""
    return [request for request in agent.requests if request.message_id == message_id]


@pytest.mark.parametrize(("heard", "end"), BROKEN_OFF)
async def test_an_answer_broken_off_after_any_frame_is_asked_for_again(setup, agent, heard, end):
    tries = [(*FRAMES[:heard], end), FRAMES]
    agent.script = lambda _: tries.pop(0)
    asked = await setup.say(f"what about the tide, after {heard} frames?")
    assert (await setup.only_answer(asked)).startswith("The tide comes in twice a day.")
    assert len(requests_for(agent, asked)) == 2


@pytest.mark.parametrize("steps", NEVER.values(), ids=NEVER)
async def test_an_agent_that_never_answers_ends_in_one_plain_reply(setup, agent, steps):
    agent.script = lambda _: steps
    began = time.monotonic()
    asked = await setup.say("will you ever?")
    assert GAVE_UP in await setup.only_answer(asked)
    assert time.monotonic() - began < RETRY_S + TIMEOUT_S + 3.0
    assert 2 <= len(requests_for(agent, asked)) <= MOST_TRIES
    agent.script = echo
    await setup.goes_on()


@pytest.mark.parametrize(
    "opening",
    [(Drop(),), (Status(), Drop()), WRONG_FIRST_FRAME, (Raw("{"),)],
    ids=["cut", "cut after STATUS", "not STATUS", "garbage"],
)
async def test_an_agent_that_opens_wrongly_ends_in_one_plain_reply(setup, agent, opening):
    greeting, agent.opening = agent.opening, opening
    before = len(agent.connections)
    try:
        asked = await setup.say("hello?")
        assert GAVE_UP in await setup.only_answer(asked)
    finally:
        agent.opening = greeting
    assert 1 <= len(agent.connections) - before <= MOST_TRIES
    await setup.goes_on()


async def test_an_agent_that_refuses_connections_is_asked_when_it_takes_them_again(
    onboarded, agent
):
    await agent.refuse(drop=True)
    asked = await onboarded.person.send_text(onboarded.chat, "are you there?")
    await onboarded.person.wait_for(
        lambda event: event.type == "m.receipt" and asked in event.content
    )
    await agent.accept()
    answer = await answer_to(onboarded.person, onboarded.chat, asked)
    assert said(answer) == "echo: are you there?"
    assert len(await onboarded.person.replies_to(onboarded.chat, asked)) == 1


async def test_an_agent_that_refuses_connections_for_good_ends_in_one_plain_reply(setup, agent):
    await agent.refuse(drop=True)
    try:
        asked = await setup.say("nobody home?")
        assert GAVE_UP in await setup.only_answer(asked)
    finally:
        await agent.accept()
    await setup.goes_on()


@pytest.mark.parametrize("status", [404, 503])
async def test_an_agent_that_is_no_websocket_ends_in_one_plain_reply(setup, agent, status):
    agent.http_status = status
    try:
        asked = await setup.say("what are you?")
        assert GAVE_UP in await setup.only_answer(asked)
    finally:
        agent.http_status = None
    await setup.goes_on()


async def test_another_error_ends_the_turn_at_once_and_names_its_code(setup, agent):
    agent.script = lambda _: (Text("I was about to"), Error("OUT_OF_TOKENS", "none left"))
    asked = await setup.say("go on")
    assert "OUT_OF_TOKENS" in await setup.only_answer(asked)
    assert len(requests_for(agent, asked)) == 1
    agent.script = echo
    await setup.goes_on()


async def test_a_room_whose_agent_fails_does_not_hold_up_another_room(setup, agent):
    other = await setup.person.create_room(invite=[setup.bot.user_id])
    agent.script = lambda _: (Wait(60.0),)
    asked = await setup.say("hold on")
    while (await agent.next_request()).text != "hold on":
        pass
    help_asked = await setup.person.send_text(other, "!help")
    answer = await setup.person.wait_for(lambda event: event.answers == help_asked)
    assert answer.msgtype == "m.notice"
    assert await setup.person.replies_to(setup.onboarded.chat, asked) == []
    assert GAVE_UP in await setup.only_answer(asked)
