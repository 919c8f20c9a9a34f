import json
import math
from contextlib import aclosing

import anyio
import pytest

from agent_platform.protocol import client
from agent_platform.protocol.client import ask
from agent_platform.protocol.connection import Endpoint, Timings, open_session
from agent_platform.protocol.parsing import MAX_FRAME_BYTES
from agent_platform.protocol.rate_limit import FrameRateLimit
from machines.events.agent import (
    AgentCustomUpdate,
    AgentEnd,
    AgentError,
    AgentFailure,
    AgentFileOffer,
    AgentTextChunk,
    AgentToolCall,
    AgentToolResult,
    ConfirmationAnswer,
)
from tests.agent_platform.support import QUICK, ask_agent, request, said
from tests.support.agent_script import (
    NO_STATUS,
    WRONG_FIRST_FRAME,
    Close,
    Drop,
    End,
    Error,
    Raw,
    SendFile,
    Status,
    Text,
    Tool,
    ToolResult,
    Update,
    Wait,
)
from tests.support.agent_server import AgentServer

NOTHING_MORE = Wait(math.inf)


def agent_sending(*steps):
    return AgentServer(lambda _request: steps)


async def test_an_answer_is_yielded_as_frames_with_one_terminal_frame():
    async with agent_sending(
        Text("Hel"),
        Tool("search"),
        Update({"kind": "progress", "n": 1}),
        ToolResult("found"),
        SendFile("out/a.txt"),
        Raw('{"type": "FROM_THE_FUTURE"}'),
        Status(),
        Text(""),
        Text("lo"),
        End(12),
        Text("too late"),
    ) as agent:
        assert await ask_agent(agent.url) == [
            AgentTextChunk("Hel"),
            AgentToolCall("search"),
            AgentCustomUpdate({"kind": "progress", "n": 1}),
            AgentToolResult(),
            AgentFileOffer("out/a.txt"),
            AgentTextChunk("lo"),
            AgentEnd(12),
        ]


async def test_an_empty_answer_is_an_answer():
    async with agent_sending(End(0)) as agent:
        assert await ask_agent(agent.url) == [AgentEnd(0)]


async def test_the_agent_is_sent_the_message_at_the_address_of_the_chat():
    async with AgentServer() as agent:
        wanted = request(
            "yes", platform_chat_id="4 2/ü", confirmation=ConfirmationAnswer("c", accepted=False)
        )
        assert said(await ask_agent(agent.url + "/", wanted, token="s3cret")) == "echo: yes"
        got = await agent.next_request()
    assert got.chat_id == "4 2/ü"
    assert got.payload["confirmation"] == {"id": "c", "accepted": False}
    assert got.headers["authorization"] == "Bearer s3cret"


async def test_without_a_token_no_authorization_is_sent():
    async with AgentServer() as agent:
        await ask_agent(agent.url)
        assert "authorization" not in (await agent.next_request()).headers


def test_the_address_is_built_from_any_scheme_and_path():
    def url(base):
        return str(Endpoint(base).chat_url("7"))

    assert url("http://h:1") == "ws://h:1/v1/agent_ws/7/"
    assert url("HTTPS://h/agents/a/") == "wss://h/agents/a/v1/agent_ws/7/"
    assert url("ws://h") == "ws://h/v1/agent_ws/7/"
    assert url("wss://h") == "wss://h/v1/agent_ws/7/"
    assert str(Endpoint("http://h").chat_url("a/../b?c#d")) == (
        "ws://h/v1/agent_ws/a%2F..%2Fb%3Fc%23d/"
    )


async def test_each_request_has_its_own_connection_which_is_closed_at_the_terminal_frame():
    async with AgentServer() as agent, open_session() as session:
        for number in (1, 2):
            async for frame in ask(session, Endpoint(agent.url), request(), QUICK):
                if isinstance(frame, AgentEnd):
                    # Closed already: the next request must not find the chat in use.
                    with anyio.fail_after(5):
                        await agent.connections[-1].closed.wait()
            assert len(agent.connections) == number
            assert agent.connections[-1].close_code == 1000


async def test_a_character_split_between_two_chunks_is_joined():
    async with agent_sending(
        Raw('{"type": "AGENT_EVENT_TEXT_CHUNK", "text": "a\\ud83d"}'),
        Raw('{"type": "AGENT_EVENT_TEXT_CHUNK", "text": "\\ude00b\\ud83d"}'),
        End(1),
    ) as agent:
        assert await ask_agent(agent.url) == [
            AgentTextChunk("a"),
            AgentTextChunk("😀b"),
            AgentTextChunk("\ufffd"),
            AgentEnd(1),
        ]


async def test_an_error_ends_the_turn_with_its_code():
    async with agent_sending(Text("so far"), Error("AGENT_BUSY", {"by": "another"})) as agent:
        assert await ask_agent(agent.url) == [
            AgentTextChunk("so far"),
            AgentError("AGENT_BUSY", '{"by": "another"}'),
        ]


@pytest.mark.parametrize(
    ("steps", "kind", "reason"),
    [
        ([Raw("{")], "protocol", "the frame is not JSON"),
        ([Raw(b"{}")], "protocol", "the agent sent a binary frame"),
        ([Raw('{"type": 1}')], "protocol", "`type` must be a string, not a number"),
        (
            [Raw("x" * (MAX_FRAME_BYTES + 1))],
            "protocol",
            "the frame is larger than 4 MiB",
        ),
        (
            [Close(1011)],
            "broken_off",
            "the agent closed with code 1011 before the answer was complete",
        ),
        (
            [Close()],
            "broken_off",
            "the agent closed with code 1000 before the answer was complete",
        ),
        ([Drop()], "broken_off", "the connection broke before the answer was complete"),
    ],
)
async def test_text_before_a_failure_is_not_lost(steps, kind, reason):
    async with agent_sending(Text("so far"), *steps) as agent:
        assert await ask_agent(agent.url) == [AgentTextChunk("so far"), AgentFailure(kind, reason)]


async def test_a_frame_of_exactly_the_limit_is_accepted():
    head, tail = '{"type": "AGENT_EVENT_TEXT_CHUNK", "text": "', '"}'
    text = "x" * (MAX_FRAME_BYTES - len(head + tail))
    async with agent_sending(Raw(head + text + tail), End(1)) as agent:
        assert said(await ask_agent(agent.url)) == text


async def test_silence_during_an_answer_ends_the_request():
    async with agent_sending(Text("so far"), NOTHING_MORE) as agent:
        timings = Timings(silence_s=0.05, close_s=0.2)
        assert await ask_agent(agent.url, timings=timings) == [
            AgentTextChunk("so far"),
            AgentFailure("silent", "the agent sent nothing for 0.05 s"),
        ]


@pytest.mark.parametrize(
    ("opening", "kind", "reason"),
    [
        (NO_STATUS, "protocol", "no STATUS within 0.05 s"),
        (WRONG_FIRST_FRAME, "protocol", "the first frame was not STATUS"),
        ((Error("AGENT_BUSY"),), "protocol", "the first frame was not STATUS"),
        ((Raw('{"type": "NEW"}'),), "protocol", "the first frame was not STATUS"),
        ((Raw("?"),), "protocol", "the frame is not JSON"),
        (
            (Close(1013),),
            "broken_off",
            "the agent closed with code 1013 before the answer was complete",
        ),
        ((Drop(),), "broken_off", "the connection broke before the answer was complete"),
    ],
)
async def test_an_opening_without_status_sends_no_message(opening, kind, reason):
    async with AgentServer(opening=opening) as agent:
        timings = Timings(status_s=0.05 if opening == NO_STATUS else 5, close_s=0.2)
        assert await ask_agent(agent.url, timings=timings) == [AgentFailure(kind, reason)]
        assert agent.requests == []


async def test_a_refused_connection_is_unreachable_and_reached_again_later():
    async with AgentServer() as agent:
        await agent.refuse()
        [broke] = await ask_agent(agent.url)
        assert broke.kind == "unreachable"
        assert broke.reason == f"connection refused: nothing listens at 127.0.0.1:{agent.port}"
        await agent.accept()
        assert said(await ask_agent(agent.url)) == "echo: hello"


async def test_an_http_status_is_named():
    async with AgentServer() as agent:
        agent.http_status = 503
        reason = f"127.0.0.1:{agent.port} answered with HTTP status 503"
        assert await ask_agent(agent.url, token="s3cret") == [AgentFailure("unreachable", reason)]


async def test_closing_the_generator_early_disconnects_at_once():
    async with agent_sending(Text("a"), NOTHING_MORE) as agent, open_session() as session:
        async with aclosing(ask(session, Endpoint(agent.url), request(), QUICK)) as frames:
            assert await anext(frames) == AgentTextChunk("a")
        with anyio.fail_after(5):
            await agent.connections[0].closed.wait()
        assert agent.connections[0].close_code == 1000


async def test_a_cancellation_disconnects_at_once():
    async with agent_sending(NOTHING_MORE) as agent, open_session() as session:
        async with anyio.create_task_group() as tasks:

            async def listen():
                async with aclosing(ask(session, Endpoint(agent.url), request(), QUICK)) as frames:
                    await anext(frames)

            tasks.start_soon(listen)
            await agent.next_request()
            tasks.cancel_scope.cancel()
        with anyio.fail_after(5):
            await agent.connections[0].closed.wait()
        assert agent.connections[0].close_code == 1000


async def test_a_slow_agent_does_not_delay_others():
    release = anyio.Event()

    def script(got):
        return [Wait(release)] * (got.text == "slow") + [Text(got.text), End(1)]

    async with AgentServer(script) as agent, open_session() as session:
        answers = []

        async def listen(text):
            wanted = request(text, platform_chat_id=text)
            frames = [f async for f in ask(session, Endpoint(agent.url), wanted, QUICK)]
            answers.append(said(frames))

        async with anyio.create_task_group() as tasks:
            # More than the hundred connections that aiohttp has by default.
            for _ in range(120):
                tasks.start_soon(listen, "slow")
            for _ in range(120):
                await agent.next_request()
            await listen("quick")
            assert answers == ["quick"]
            release.set()
        assert len(answers) == 121


async def test_no_cookie_is_stored_between_chats():
    async with open_session() as session:
        assert len(session.cookie_jar) == 0
        session.cookie_jar.update_cookies({"chat": "7"})
        assert len(session.cookie_jar) == 0


async def test_what_was_sent_is_json_with_a_list_of_attachments():
    async with AgentServer() as agent:
        await ask_agent(agent.url)
        got = await agent.next_request()
    assert json.loads(json.dumps(got.payload)) == {
        "type": "USER_MESSAGE",
        "text": "hello",
        "attachments": [],
        "message_id": "m1",
    }


async def test_every_frame_is_counted_and_only_text_is_free(monkeypatch):
    counted = []

    class Counting(FrameRateLimit):
        async def consume(self, chars: int, *, is_text: bool) -> None:
            counted.append((chars > 0, is_text))

    monkeypatch.setattr(client, "FrameRateLimit", Counting)
    frames = (Text("one"), Text(""), Tool("search"), Raw('{"type":"NEW"}'), Text("two"), End())
    async with agent_sending(*frames) as agent:
        await ask_agent(agent.url)
    assert [is_text for _, is_text in counted] == [True, False, False, False, True, False]
    assert all(has_size for has_size, _ in counted)
