"""Failures below the level of WebSockets: a peer that stalls, sends invalid bytes, or has a bad certificate."""

import asyncio
import base64
import datetime as dt
import errno
import hashlib
import socket
import ssl
from contextlib import aclosing, asynccontextmanager

import anyio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from agent_platform.errors import RequestFailed
from agent_platform.protocol.client import ask
from agent_platform.protocol.connection import Connection, Endpoint, Timings, open_session
from machines.events.agent import AgentFailure, AgentTextChunk
from tests.agent_platform.support import ask_agent, collect, request

STATUS = b'\x81\x11{"type":"STATUS"}'
CHUNK = b'\x81\x2c{"type":"AGENT_EVENT_TEXT_CHUNK","text":"a"}'


@asynccontextmanager
async def raw_server(handle, tls=None):
    """Serve TCP on loopback; `handle` reads and writes bytes, and its connection ends with it."""

    async def serve(reader, writer):
        try:
            await handle(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    try:
        yield port
    finally:
        server.close()
        await server.wait_closed()


async def shake_hands(reader, writer, then=b""):
    head = await reader.readuntil(b"\r\n\r\n")
    [key] = [line[19:].strip() for line in head.split(b"\r\n") if b"websocket-key" in line.lower()]
    accept = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + base64.b64encode(accept) + b"\r\n\r\n" + then
    )


def answers(data):
    async def handle(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(data)
        await writer.drain()

    return handle


async def test_a_missing_pong_ends_the_request():
    over = anyio.Event()

    async def deaf(reader, writer):
        await shake_hands(reader, writer, STATUS + CHUNK)
        await over.wait()

    async with raw_server(deaf) as port:
        timings = Timings(heartbeat_s=0.05, close_s=0.05)
        try:
            assert await ask_agent(f"http://127.0.0.1:{port}", timings=timings) == [
                AgentTextChunk("a"),
                AgentFailure("silent", "the agent did not answer a ping"),
            ]
        finally:
            over.set()


async def test_a_connection_that_times_out_in_the_system_is_broken_off():
    class Failure:
        async def receive(self):
            raise TimeoutError(errno.ETIMEDOUT, "Connection timed out")

    with pytest.raises(RequestFailed) as broke:
        await Connection(Failure(), Timings()).receive(1.0)
    assert broke.value.frame.kind == "broken_off"


async def test_pings_of_the_agent_do_not_count_as_an_answer():
    async def pings(reader, writer):
        await shake_hands(reader, writer, STATUS)
        while not reader.at_eof():
            writer.write(b"\x89\x00")
            await reader.read(100)

    async with raw_server(pings) as port:
        timings = Timings(silence_s=0.1, close_s=0.05)
        assert await ask_agent(f"http://127.0.0.1:{port}", timings=timings) == [
            AgentFailure("silent", "the agent sent nothing for 0.1 s")
        ]


async def test_a_peer_that_stops_reading_blocks_neither_sending_nor_closing():
    over, gone = anyio.Event(), anyio.Event()
    received = 0

    async def stalled(reader, writer):
        nonlocal received
        await shake_hands(reader, writer, STATUS)
        await over.wait()
        try:
            while data := await reader.read(2**20):
                received += len(data)
        finally:
            gone.set()

    async with raw_server(stalled) as port, open_session() as session:
        # More than the buffers of both sides hold.
        wanted = request("x" * 2**25)
        endpoint = Endpoint(f"http://127.0.0.1:{port}")
        timings = Timings(silence_s=0.1, close_s=0.1)
        with anyio.fail_after(5):
            assert await collect(ask(session, endpoint, wanted, timings)) == [
                AgentFailure("silent", "the agent does not accept the message")
            ]
            over.set()
            # The rest of the message is discarded, not sent later.
            await gone.wait()
            assert received < 2**25


async def test_closing_has_a_time_limit_when_the_peer_sends_no_close_frame():
    over = anyio.Event()

    async def rude(reader, writer):
        await shake_hands(reader, writer, STATUS + CHUNK)
        await over.wait()

    async with raw_server(rude) as port, open_session() as session:
        endpoint = Endpoint(f"http://127.0.0.1:{port}")
        # Closing is bounded by `close_s`; a cancellation closes at once.
        for timings in (Timings(close_s=0.05), Timings(close_s=60)):
            started = anyio.current_time()
            with anyio.CancelScope() as scope:
                async with aclosing(ask(session, endpoint, request(), timings)) as frames:
                    assert await anext(frames) == AgentTextChunk("a")
                    if timings.close_s == 60:
                        scope.cancel()
            assert anyio.current_time() - started < 5
        over.set()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (
            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n",
            "{} redirects to http://127.0.0.1:9/, which is not followed",
        ),
        (
            b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n",
            "{} answered with HTTP status 401: check its token (token_env)",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "{} answered with HTTP status 200"),
        (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
            "{} does not speak WebSocket",
        ),
        (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: wrong\r\n\r\n",
            "{} does not speak WebSocket",
        ),
        (b"SSH-2.0-OpenSSH\r\n", "{} answered with HTTP status 400"),
        (b"", "the connection to {} broke while it was opened (ServerDisconnectedError)"),
    ],
)
async def test_a_peer_that_is_no_agent_is_unreachable(data, reason):
    async with raw_server(answers(data)) as port:
        where = f"127.0.0.1:{port}"
        expected = AgentFailure("unreachable", reason.format(where))
        assert await ask_agent(f"http://{where}", token="s3cret") == [expected]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_nothing_is_sent_to_where_a_redirect_points(status):
    got = []

    async def note(reader, writer):
        got.append(await reader.read(2**16))

    async with raw_server(note) as other:
        location = f"http://user:s3cret@127.0.0.1:{other}/v1/agent_ws/1/?token=s3cret"
        data = f"HTTP/1.1 {status} Go\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
        async with raw_server(answers(data.encode())) as port:
            [frame] = await ask_agent(f"http://127.0.0.1:{port}", token="s3cret")
    target = f"http://127.0.0.1:{other}/v1/agent_ws/1/"
    reason = f"127.0.0.1:{port} redirects to {target}, which is not followed"
    assert frame == AgentFailure("unreachable", reason)
    assert got == []


async def test_a_peer_that_never_answers_is_unreachable():
    async def mute(reader, writer):
        await reader.read()

    async with raw_server(mute) as port:
        expected = AgentFailure("unreachable", f"no connection to 127.0.0.1:{port} within 0.1 s")
        timings = Timings(connect_s=0.1)
        assert await ask_agent(f"http://127.0.0.1:{port}", timings=timings) == [expected]


async def test_an_unknown_host_is_named(monkeypatch):
    def unknown(*_args, **_kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    expected = AgentFailure("unreachable", "the name agent.invalid can't be resolved")
    assert await ask_agent("http://agent.invalid") == [expected]


async def test_a_peer_without_tls_is_unreachable_over_https():
    async def plain(reader, writer):
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 no TLS here\r\n\r\n")
        await writer.drain()

    async with raw_server(plain) as port:
        where = f"127.0.0.1:{port}"
        assert await ask_agent(f"https://{where}") == [
            AgentFailure("unreachable", f"no TLS connection to {where}: its port may not speak TLS")
        ]


async def test_an_untrusted_certificate_is_refused(tmp_path):
    async with raw_server(answers(b""), tls=self_signed(tmp_path)) as port:
        where = f"127.0.0.1:{port}"
        assert await ask_agent(f"https://{where}") == [
            AgentFailure("unreachable", f"the TLS certificate of {where} is not accepted")
        ]


def self_signed(directory):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "agent")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    file = directory / "agent.pem"
    file.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(pem)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        (b"\x81\x02\xff\xff", "the frame is not UTF-8"),
        (b"\x83\x00", "the agent broke the WebSocket protocol"),
        (b"\x80\x00", "the agent broke the WebSocket protocol"),
        (b"\x81\x7f\x7f" + b"\xff" * 7, "the frame is larger than 4 MiB"),
    ],
)
async def test_an_invalid_websocket_frame_is_a_protocol_error(frames, reason):
    async def nonsense(reader, writer):
        await shake_hands(reader, writer, STATUS + frames)
        await reader.read()

    async with raw_server(nonsense) as port:
        assert await ask_agent(f"http://127.0.0.1:{port}") == [AgentFailure("protocol", reason)]


def test_a_token_is_not_shown():
    assert "s3cret" not in repr(Endpoint("http://h", "s3cret"))
