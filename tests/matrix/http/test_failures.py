"""A homeserver that can't be reached is described in words that say what to correct (contract L12)."""

from contextlib import asynccontextmanager

import anyio
import pytest
from structlog.testing import capture_logs

from matrix.errors import Unreachable
from matrix.http.backend import HttpRequest, HttpResponse
from matrix.http.nio_backend import NioBackend
from matrix.http.parsing import parse_response
from matrix.http.request import Request
from matrix.http.responses import classify
from matrix.http.transport import Transport
from tests.matrix.fake_backend import FakeBackend, error_response, json_response
from tests.matrix.virtual_time import VirtualClock

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def listening(reply):
    """Listen on a port: answer each connection with these bytes, and close it."""

    async def handle(stream):
        async with stream:
            await stream.receive()
            if reply:
                await stream.send(reply)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, handle)
        yield port
        tasks.cancel_scope.cancel()


async def reason_of(url):
    backend = NioBackend(url)
    with pytest.raises(Unreachable) as failure:
        await backend(HttpRequest("GET", "/_matrix/client/versions"))
    await backend.aclose()
    return failure.value.reason


async def test_tls_against_a_plain_port_is_named():
    async with listening(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n") as port:
        reason = await reason_of(f"https://127.0.0.1:{port}")
    assert "the server does not speak TLS on this port" in reason
    assert f"127.0.0.1:{port}" in reason
    assert "must begin with http://" in reason


async def test_a_port_that_closes_during_the_tls_handshake_may_be_plain():
    async with listening(b"") as port:
        assert "must begin with http://" in await reason_of(f"https://127.0.0.1:{port}")


@pytest.mark.parametrize("reply", [b"", b"\x15\x03\x03\x00\x02\x02\x50"], ids=["closed", "alert"])
async def test_plain_http_against_a_port_that_may_speak_tls_is_named(reply):
    async with listening(reply) as port:
        assert "must begin with https://" in await reason_of(f"http://127.0.0.1:{port}")


async def test_a_refused_connection_is_named_with_its_address():
    async with listening(b"") as port:
        pass
    reason = await reason_of(f"http://127.0.0.1:{port}")
    assert reason == f"connection refused: nothing listens at 127.0.0.1:{port}"


async def test_a_name_that_can_not_be_resolved_is_named():
    reason = await reason_of("http://no-such-host.invalid")
    assert reason.startswith("the name no-such-host.invalid can't be resolved")


@pytest.mark.parametrize(("status", "words"), [(502, "from a proxy"), (404, "another server")])
def test_an_error_page_says_who_wrote_it(status, words):
    with pytest.raises(Unreachable) as failure:
        classify(HttpResponse(status, {}, b"<html>no</html>"), 0.0, parse_response)
    assert str(status) in failure.value.reason
    assert words in failure.value.reason


async def test_each_failed_try_is_a_line_at_debug_without_query_token_and_body():
    responses = [
        error_response(500),
        error_response(429, "M_LIMIT_EXCEEDED", retry_after_ms=2000),
        json_response({}),
    ]
    clock = VirtualClock()
    backend = FakeBackend(clock, lambda _: responses.pop(0))
    transport = Transport(backend, clock, lambda up, reason, outage_s: None)
    transport.use_token("secret")
    path = "/send/1"
    request = Request("PUT", path, query={"a": "b&c"}, body={"body": "secret"}, bucket="send")
    with capture_logs() as logs:
        async with clock.running():
            await transport.request(request)
    assert [line.pop("reason") for line in logs] == ["HTTP 500 M_UNKNOWN", "HTTP 429, wait 2 s"]
    line = {"event": "request_failed", "log_level": "debug", "method": "PUT", "path": path}
    assert logs == [line, line]
