import json
import math
import signal
import sys

import aiohttp
import anyio
import pytest

from tests.support.agent_script import (
    NO_STATUS,
    Close,
    Drop,
    End,
    Error,
    Raw,
    SendFile,
    Text,
    Tool,
    ToolResult,
    Update,
    Wait,
)
from tests.support.agent_server import AgentServer


class Visitor:
    """A plain WebSocket client that shares nothing with the bot's."""

    def __init__(self, ws):
        self.ws = ws

    async def say(self, text, message_id="m1"):
        message = {"type": "USER_MESSAGE", "text": text, "message_id": message_id}
        await self.ws.send_str(json.dumps(message | {"attachments": []}))

    async def hear(self):
        with anyio.fail_after(5):
            message = await self.ws.receive()
        return json.loads(message.data) if message.type is aiohttp.WSMsgType.TEXT else message.type

    async def answer(self):
        frames = []
        while not frames or frames[-1]["type"] not in ("AGENT_EVENT_END", "ERROR"):
            frames.append(await self.hear())
        return frames


@pytest.fixture
async def visit():
    async with aiohttp.ClientSession() as session:

        async def visit(agent, chat_id="7", **headers):
            url = f"{agent.url}/v1/agent_ws/{chat_id}/"
            return Visitor(await session.ws_connect(url, headers=headers))

        yield visit


async def test_it_greets_and_echoes_in_chunks(visit):
    async with AgentServer() as agent:
        visitor = await visit(agent)
        assert await visitor.hear() == {"type": "STATUS"}
        await visitor.say("hello there")
        *chunks, end = await visitor.answer()
        assert "".join(chunk["text"] for chunk in chunks) == "echo: hello there"
        assert len(chunks) == 3
        assert end == {"type": "AGENT_EVENT_END", "tokens_used": 3}


async def test_it_remembers_what_it_was_sent_in_order(visit):
    async with AgentServer() as agent:
        one, two = await visit(agent, "7", Authorization="Bearer t"), await visit(agent, "8")
        await one.say("a", "m1")
        first = await agent.next_request()
        await two.say("b", "m2")
        second = await agent.next_request()
        assert (first.order, first.connection, first.chat_id) == (1, 1, "7")
        assert (first.text, first.message_id) == ("a", "m1")
        assert first.headers["authorization"] == "Bearer t"
        assert (second.order, second.connection, second.chat_id) == (2, 2, "8")
        assert first.at <= second.at
        assert agent.requests == [first, second]
        assert [c.chat_id for c in agent.connections] == ["7", "8"]


async def test_every_step_is_its_frame(visit):
    steps = [
        Text("a"),
        Tool("t"),
        ToolResult("r"),
        Update({"n": 1}),
        SendFile("p"),
        Raw('{"type": "X"}'),
        Error("CODE", {"why": "so"}),
    ]
    async with AgentServer(lambda _request: steps) as agent:
        visitor = await visit(agent)
        await visitor.hear()
        await visitor.say("go")
        assert await visitor.answer() == [
            {"type": "AGENT_EVENT_TEXT_CHUNK", "text": "a"},
            {"type": "AGENT_EVENT_TOOL_CALL_CHUNK", "tool_name": "t"},
            {"type": "AGENT_EVENT_TOOL_RESULT", "result": "r"},
            {"type": "AGENT_EVENT_CUSTOM_UPDATE", "payload": {"n": 1}},
            {"type": "AGENT_EVENT_SEND_FILE", "path": "p"},
            {"type": "X"},
            {"type": "ERROR", "code": "CODE", "details": {"why": "so"}},
        ]


async def test_a_script_can_be_a_generator_that_waits_for_a_test(visit):
    go_on = anyio.Event()

    async def script(request):
        yield Text(request.text)
        await go_on.wait()
        yield End(1)

    async with AgentServer(script) as agent:
        visitor = await visit(agent)
        await visitor.hear()
        await visitor.say("a")
        assert (await visitor.hear())["text"] == "a"
        go_on.set()
        assert (await visitor.hear())["type"] == "AGENT_EVENT_END"


async def test_a_gate_holds_every_script(visit):
    async with AgentServer() as agent:
        visitor = await visit(agent)
        await visitor.hear()
        agent.hold()
        await visitor.say("a")
        await agent.next_request()
        await visitor.ws.ping()
        with pytest.raises(TimeoutError):
            await visitor.ws.receive(timeout=0.05)
        agent.release()
        assert (await visitor.answer())[-1]["type"] == "AGENT_EVENT_END"


@pytest.mark.parametrize("step", [Close(1011), Drop()])
async def test_it_ends_a_connection_as_the_script_says(visit, step):
    async with AgentServer(lambda _request: [Text("a"), step, Text("never")]) as agent:
        visitor = await visit(agent)
        await visitor.hear()
        await visitor.say("a")
        assert (await visitor.hear())["text"] == "a"
        assert await visitor.hear() in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
        with anyio.fail_after(5):
            await agent.connections[0].closed.wait()
        assert visitor.ws.close_code == (1011 if step == Close(1011) else 1006)


async def test_it_notices_a_hang_up_in_the_middle_of_an_answer(visit):
    async with AgentServer(lambda _request: [Text("a"), Wait(math.inf)]) as agent:
        visitor = await visit(agent)
        await visitor.hear()
        await visitor.say("a")
        await visitor.hear()
        await visitor.ws.close(code=4001)
        with anyio.fail_after(5):
            await agent.connections[0].closed.wait()
        assert agent.connections[0].close_code == 4001


async def test_an_opening_can_say_nothing(visit):
    async with AgentServer(opening=NO_STATUS) as agent:
        visitor = await visit(agent)
        await visitor.say("a")
        assert (await visitor.hear())["type"] == "AGENT_EVENT_TEXT_CHUNK"


async def test_it_refuses_connections_and_takes_them_again_on_the_same_port(visit):
    async with AgentServer() as agent:
        port = agent.port
        visitor = await visit(agent)
        for _ in range(3):
            await agent.refuse()
            with pytest.raises(aiohttp.ClientConnectorError):
                await visit(agent)
            await agent.accept()
            await (await visit(agent)).ws.close()
        assert agent.port == port
        assert await visitor.hear() == {"type": "STATUS"}
        await agent.refuse(drop=True)
        assert await visitor.hear() is aiohttp.WSMsgType.CLOSED


async def test_it_can_answer_with_an_http_status(visit):
    async with AgentServer() as agent:
        agent.http_status = 503
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await visit(agent)
        assert agent.connections == []


async def test_waiting_for_a_message_that_does_not_come_ends():
    async with AgentServer() as agent:
        with pytest.raises(TimeoutError):
            await agent.next_request(timeout_s=0.01)
        with pytest.raises(TimeoutError):
            await agent.connections_opened(1, timeout_s=0.01)


async def test_leaving_ends_connections_that_are_still_open(visit):
    async with AgentServer(lambda _request: [Wait(math.inf)]) as agent:
        visitor = await visit(agent)
        await visitor.hear()
        await visitor.say("a")
        await agent.next_request()
    assert await visitor.hear() is aiohttp.WSMsgType.CLOSED


async def test_it_runs_as_a_process(visit):
    command = [sys.executable, "-m", "tests.support.agent_server", "--pace-ms", "1"]
    with anyio.fail_after(30):
        async with await anyio.open_process(command, stderr=None) as process:
            line = b""
            while not line.endswith(b"\n"):
                line += await process.stdout.receive()

            class Agent:
                url = json.loads(line)["url"]

            visitor = await visit(Agent)
            assert await visitor.hear() == {"type": "STATUS"}
            await visitor.say("x" * 100)
            *chunks, _end = await visitor.answer()
            assert "".join(chunk["text"] for chunk in chunks) == "echo: " + "x" * 100
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
