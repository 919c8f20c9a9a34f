"""A redirect is an error that names its target; nothing is sent there (contract E11)."""

from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import anyio
import pytest
from aiohttp import web

from machines.ids import UserId
from matrix import Account, MatrixClient
from matrix.errors import HomeserverUnreachable, Unreachable
from matrix.http.backend import HttpRequest
from matrix.http.nio_backend import NioBackend
from matrix.session.one_shot import any_session
from tests.matrix.conftest import InstantClock

pytestmark = pytest.mark.anyio

BOT = UserId("@lambda:example.org")
OFTEN = 10
STATUSES = (301, 302, 303, 307, 308)


@dataclass
class Servers:
    """The configured homeserver, which redirects, and the target, which records what it receives."""

    url: str = ""
    other: str = ""
    status: int = 307
    only: str = ""
    requests: list[str] = field(default_factory=list)
    got: list[str] = field(default_factory=list)
    often_asked: anyio.Event = field(default_factory=anyio.Event)

    async def redirect(self, request: web.Request) -> web.Response:
        self.requests.append(request.path)
        if len(self.requests) == OFTEN:
            self.often_asked.set()
        if self.only not in request.path:
            return web.json_response({"versions": ["v1.11"]})
        location = f"{self.other}{request.path}?access_token=s3cret"
        return web.Response(status=self.status, headers={"Location": location})

    async def note(self, request: web.Request) -> web.Response:
        self.got.append(f"{request.method} {request.path} {await request.text()}")
        return web.json_response({"user_id": BOT, "access_token": "t", "device_id": "D"})


@asynccontextmanager
async def serving(handler):
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.fixture
async def servers(anyio_backend):
    found = Servers()
    async with AsyncExitStack() as stack:
        found.url = await stack.enter_async_context(serving(found.redirect))
        found.other = await stack.enter_async_context(serving(found.note))
        yield found
        assert found.got == [], "nothing is sent to the target of a redirect"


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize(
    "request_",
    [
        HttpRequest("GET", "/_matrix/client/v3/account/whoami", token="s3cret"),
        HttpRequest("POST", "/_matrix/client/v3/login", body=b'{"password": "p"}'),
        HttpRequest("PUT", "/_matrix/client/v3/rooms/!r/send/m.room.message/1", body=b"{}"),
    ],
    ids=lambda request: request.method,
)
async def test_a_redirect_is_reported_and_not_followed(servers, status, request_):
    servers.status = status
    backend = NioBackend(servers.url)
    try:
        with pytest.raises(Unreachable) as failure:
            await backend(request_)
    finally:
        await backend.aclose()
    assert servers.requests == [request_.path]
    assert f"redirects to {servers.other}{request_.path}" in failure.value.reason
    assert "s3cret" not in failure.value.reason


@pytest.mark.parametrize("only", ["", "/login"], ids=["everything", "only the login"])
async def test_a_redirected_login_is_reported_once_and_retried_slowly(servers, tmp_path, only):
    servers.only = only
    changes = []
    clock = InstantClock()
    account = Account(servers.url, BOT, tmp_path / "store", password="p")
    client = MatrixClient(
        account, on_change=lambda up, reason, outage_s: changes.append((up, reason)), clock=clock
    )
    started = clock.now()
    async with anyio.create_task_group() as group:
        group.start_soon(client.login)
        with anyio.fail_after(20):
            await servers.often_asked.wait()
        group.cancel_scope.cancel()
    await client.aclose()
    assert [up for up, _ in changes] == [False]
    assert f"redirects to {servers.other}/_matrix/client" in changes[0][1]
    assert "s3cret" not in changes[0][1]
    assert clock.now() - started >= OFTEN - 2, "at most one request a second (contract L9)"


@pytest.mark.parametrize(
    ("only", "token"),
    [("", None), ("", "s3cret"), ("/login", None), ("/whoami", "s3cret")],
    ids=["everything", "everything, with a token", "only the login", "only the first request"],
)
async def test_a_command_ends_at_a_redirect(servers, tmp_path, only, token):
    servers.only = only
    password = None if token else "p"
    account = Account(servers.url, BOT, tmp_path / "store", password, token)
    with anyio.fail_after(30), pytest.raises(HomeserverUnreachable) as error:
        async with any_session(account):
            pytest.fail("no session is expected")
    assert f"redirects to {servers.other}/_matrix" in str(error.value)
    assert "s3cret" not in str(error.value)
