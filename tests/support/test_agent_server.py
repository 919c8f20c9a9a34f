"""The scripted agent server answers by its script, and records requests and connections."""

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


class Client:
    """A plain WebSocket client, independent of the bot's."""

    def __init__(self, ws):
        self.ws = ws

    async def send(self, text, message_id="m1"):
        message = {"type": "USER_MESSAGE", "text": text, "message_id": message_id}
        await self.ws.send_str(json.dumps(message | {"attachments": []}))

    async def receive(self):
        with anyio.fail_after(5):
            message = await self.ws.receive()
        return json.loads(message.data) if message.type is aiohttp.WSMsgType.TEXT else message.type

    async def answer(self):
        frames = []
        while not frames or frames[-1]["type"] not in ("AGENT_EVENT_END", "ERROR"):
            frames.append(await self.receive())
        return frames


@pytest.fixture
async def connect():
    async with aiohttp.ClientSession() as session:

        async def connect(agent, chat_id="7", **headers):
            url = f"{agent.url}/v1/agent_ws/{chat_id}/"
            return Client(await session.ws_connect(url, headers=headers))

        yield connect


async def test_it_sends_status_and_echoes_in_chunks(connect):
    async with AgentServer() as agent:
        client = await connect(agent)
        assert await client.receive() == {"type": "STATUS"}
        await client.send("hello there")
        *chunks, end = await client.answer()
        assert "".join(chunk["text"] for chunk in chunks) == "echo: hello there"
        assert len(chunks) == 3
        assert end == {"type": "AGENT_EVENT_END", "tokens_used": 3}


async def test_it_records_requests_in_order(connect):
    async with AgentServer() as agent:
        one, two = await connect(agent, "7", Authorization="Bearer t"), await connect(agent, "8")
        await one.send("a", "m1")
        first = await agent.next_request()
        await two.send("b", "m2")
        second = await agent.next_request()
        assert (first.order, first.connection, first.chat_id) == (1, 1, "7")
        assert (first.text, first.message_id) == ("a", "m1")
        assert first.headers["authorization"] == "Bearer t"
        assert (second.order, second.connection, second.chat_id) == (2, 2, "8")
        assert first.at <= second.at
        assert agent.requests == [first, second]
        assert [c.chat_id for c in agent.connections] == ["7", "8"]


async def test_every_step_sends_its_frame(connect):
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
        client = await connect(agent)
        await client.receive()
        await client.send("go")
        assert await client.answer() == [
            {"type": "AGENT_EVENT_TEXT_CHUNK", "text": "a"},
            {"type": "AGENT_EVENT_TOOL_CALL_CHUNK", "tool_name": "t"},
            {"type": "AGENT_EVENT_TOOL_RESULT", "result": "r"},
            {"type": "AGENT_EVENT_CUSTOM_UPDATE", "payload": {"n": 1}},
            {"type": "AGENT_EVENT_SEND_FILE", "path": "p"},
            {"type": "X"},
            {"type": "ERROR", "code": "CODE", "details": {"why": "so"}},
        ]


async def test_a_script_can_be_a_generator_that_waits_for_a_test(connect):
    go_on = anyio.Event()

    async def script(request):
        yield Text(request.text)
        await go_on.wait()
        yield End(1)

    async with AgentServer(script) as agent:
        client = await connect(agent)
        await client.receive()
        await client.send("a")
        assert (await client.receive())["text"] == "a"
        go_on.set()
        assert (await client.receive())["type"] == "AGENT_EVENT_END"


async def test_hold_pauses_every_script(connect):
    async with AgentServer() as agent:
        client = await connect(agent)
        await client.receive()
        agent.hold()
        await client.send("a")
        await agent.next_request()
        await client.ws.ping()
        with pytest.raises(TimeoutError):
            await client.ws.receive(timeout=0.05)
        agent.release()
        assert (await client.answer())[-1]["type"] == "AGENT_EVENT_END"


@pytest.mark.parametrize("step", [Close(1011), Drop()])
async def test_it_ends_a_connection_as_the_script_says(connect, step):
    async with AgentServer(lambda _request: [Text("a"), step, Text("never")]) as agent:
        client = await connect(agent)
        await client.receive()
        await client.send("a")
        assert (await client.receive())["text"] == "a"
        assert await client.receive() in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
        with anyio.fail_after(5):
            await agent.connections[0].closed.wait()
        assert client.ws.close_code == (1011 if step == Close(1011) else 1006)


async def test_it_notices_a_closed_connection_in_the_middle_of_an_answer(connect):
    async with AgentServer(lambda _request: [Text("a"), Wait(math.inf)]) as agent:
        client = await connect(agent)
        await client.receive()
        await client.send("a")
        await client.receive()
        await client.ws.close(code=4001)
        with anyio.fail_after(5):
            await agent.connections[0].closed.wait()
        assert agent.connections[0].close_code == 4001


async def test_an_opening_can_be_empty(connect):
    async with AgentServer(opening=NO_STATUS) as agent:
        client = await connect(agent)
        await client.send("a")
        assert (await client.receive())["type"] == "AGENT_EVENT_TEXT_CHUNK"


async def test_it_refuses_connections_and_accepts_them_again_on_the_same_port(connect):
    async with AgentServer() as agent:
        port = agent.port
        client = await connect(agent)
        for _ in range(3):
            await agent.refuse()
            with pytest.raises(aiohttp.ClientConnectorError):
                await connect(agent)
            await agent.accept()
            await (await connect(agent)).ws.close()
        assert agent.port == port
        assert await client.receive() == {"type": "STATUS"}
        await agent.refuse(drop=True)
        assert await client.receive() is aiohttp.WSMsgType.CLOSED


async def test_it_can_answer_with_an_http_status(connect):
    async with AgentServer() as agent:
        agent.http_status = 503
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await connect(agent)
        assert agent.connections == []


async def test_waiting_for_a_message_that_does_not_come_ends():
    async with AgentServer() as agent:
        with pytest.raises(TimeoutError):
            await agent.next_request(timeout_s=0.01)
        with pytest.raises(TimeoutError):
            await agent.connections_opened(1, timeout_s=0.01)


async def test_leaving_ends_connections_that_are_still_open(connect):
    async with AgentServer(lambda _request: [Wait(math.inf)]) as agent:
        client = await connect(agent)
        await client.receive()
        await client.send("a")
        await agent.next_request()
    assert await client.receive() is aiohttp.WSMsgType.CLOSED


async def test_it_runs_as_a_process(connect):
    command = [sys.executable, "-m", "tests.support.agent_server", "--pace-ms", "1"]
    with anyio.fail_after(30):
        async with await anyio.open_process(command, stderr=None) as process:
            line = b""
            while not line.endswith(b"\n"):
                line += await process.stdout.receive()

            class Agent:
                url = json.loads(line)["url"]

            client = await connect(Agent)
            assert await client.receive() == {"type": "STATUS"}
            await client.send("x" * 100)
            *chunks, _end = await client.answer()
            assert "".join(chunk["text"] for chunk in chunks) == "echo: " + "x" * 100
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
