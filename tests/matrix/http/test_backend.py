"""The real HTTP backend against servers that break the protocol or the connection."""

import logging
from contextlib import asynccontextmanager

import anyio
import pytest

from matrix.errors import ResponseTooLong, Unreachable
from matrix.http.backend import HttpRequest
from matrix.http.nio_backend import NioBackend

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b\r\n\r\n{}"


@asynccontextmanager
async def serving(reply, seen=None):
    """Serve one raw reply to every connection; `None` never answers."""

    async def handle(stream) -> None:
        async with stream:
            try:
                request = await stream.receive()
            except anyio.EndOfStream:
                return  # the client closed the connection
            if seen is not None:
                seen.append(request)
            if reply is None:
                await anyio.sleep_forever()
            await stream.send(reply)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, handle)
        backend = NioBackend(f"http://127.0.0.1:{port}/")
        try:
            yield backend
        finally:
            await backend.aclose()
            tasks.cancel_scope.cancel()


async def test_a_request_is_sent_unchanged_with_the_token_in_its_header():
    seen = []
    async with serving(OK, seen) as backend:
        response = await backend(
            HttpRequest("PUT", "/a%2Fb", {"filter": '{"a": "b&c"}'}, b'{"x":1}', token="secret")
        )
    assert (response.status, response.body, response.headers["x-a"]) == (200, b"{}", "b")
    head, _, body = seen[0].partition(b"\r\n\r\n")
    line, *headers = head.split(b"\r\n")
    assert line.startswith(b"PUT /a%2Fb?filter=%7B")
    assert b"secret" not in line
    assert b"%26" in line
    assert b"Authorization: Bearer secret" in headers
    assert body == b'{"x":1}'


async def test_a_response_that_is_cut_off_is_unreachable():
    async with serving(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}") as backend:
        with pytest.raises(Unreachable) as failure:
            await backend(HttpRequest("GET", "/"))
    assert failure.value.kind == "broken"


async def test_a_response_that_is_not_http_is_unreachable():
    async with serving(b"SSH-2.0-OpenSSH_9\r\n\r\n") as backend:
        with pytest.raises(Unreachable) as failure:
            await backend(HttpRequest("GET", "/"))
    assert failure.value.kind == "broken"


async def test_a_server_that_does_not_answer_is_a_timeout():
    async with serving(None) as backend:
        with anyio.fail_after(5), pytest.raises(Unreachable) as failure:
            await backend(HttpRequest("GET", "/", timeout_s=0.05))
    assert failure.value.kind == "timeout"


async def test_a_closed_port_is_a_connection_failure():
    async with serving(OK) as backend:
        pass
    with pytest.raises(Unreachable) as failure:
        await backend(HttpRequest("GET", "/"))
    await backend.aclose()
    assert failure.value.kind == "connect"


async def test_a_response_beyond_the_limit_is_not_read_to_the_end(monkeypatch):
    monkeypatch.setattr("matrix.http.nio_backend.MAX_RESPONSE_BYTES", 1000)
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + b"x" * 5000
    async with serving(reply) as backend:
        with pytest.raises(ResponseTooLong, match="longer than 1000 bytes"):
            await backend(HttpRequest("GET", "/"))


async def test_a_long_error_page_of_a_proxy_is_unreachable(monkeypatch):
    monkeypatch.setattr("matrix.http.nio_backend.MAX_RESPONSE_BYTES", 1000)
    reply = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 5000\r\n\r\n" + b"x" * 5000
    async with serving(reply) as backend:
        with pytest.raises(Unreachable, match="longer"):
            await backend(HttpRequest("GET", "/", reader=Joined))


class Joined:
    """Reads in pieces, and joins them."""

    def __init__(self):
        self.pieces = []

    def feed(self, piece):
        self.pieces.append(piece)

    def finish(self):
        return b"".join(self.pieces)


@pytest.mark.parametrize(("size", "streamed"), [(1000, False), (1001, True), (50_000, True)])
async def test_a_response_too_long_to_be_held_is_read_in_pieces(monkeypatch, size, streamed):
    monkeypatch.setattr("matrix.http.nio_backend.MAX_RESPONSE_BYTES", 1000)
    monkeypatch.setattr("matrix.http.nio_backend._FEED_BYTES", 100)
    body = bytes(index % 251 for index in range(size))
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode()
    async with serving(head + body) as backend:
        response = await backend(HttpRequest("GET", "/", reader=Joined))
    assert (response.body, response.content) == ((b"", body) if streamed else (body, None))


async def test_a_response_read_in_pieces_that_is_cut_off_is_unreachable(monkeypatch):
    monkeypatch.setattr("matrix.http.nio_backend.MAX_RESPONSE_BYTES", 1000)
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n" + b"x" * 5000
    async with serving(reply) as backend:
        with pytest.raises(Unreachable):
            await backend(HttpRequest("GET", "/", reader=Joined))


async def test_a_cancelled_request_leaves_the_connections_usable():
    async with serving(OK) as backend:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await backend(HttpRequest("GET", "/"))
        assert (await backend(HttpRequest("GET", "/"))).status == 200


async def test_nio_writes_nothing_to_the_log(caplog):
    NioBackend("http://127.0.0.1:1")
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("nio.client.async_client").error("a token")
        logging.getLogger("nio.rooms").warning("a message")
    assert caplog.records == []


@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
async def test_a_request_whose_connection_breaks_is_sent_once(method):
    seen = []
    async with serving(b"", seen) as backend:
        with pytest.raises(Unreachable):
            await backend(HttpRequest(method, "/a"))
    assert len(seen) == 1
