"""A client for one-shot commands (`inspect-room --server`, `reset`), which run without the daemon.

It uses an existing session, the configured token or the stored one, and writes no file. Only where there is neither, it
logs in with the password, as a device of its own that is logged out again at the end (contract X3). An outage, which
the daemon would wait out, ends the command.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from machines.errors import CredentialsRefused
from machines.ids import UserId
from matrix.clock import SystemClock
from matrix.errors import HomeserverUnreachable, RequestRefused, SessionAbsent, Unreachable
from matrix.http.nio_backend import NioBackend
from matrix.http.rate_limits import BucketName
from matrix.http.request import READ_TIMEOUT_S, Request, client_path
from matrix.http.transport import Transport
from matrix.session.file import SESSION_FILE, Account, SessionFile
from matrix.session.login import request_login, wrong_user

DEVICE_NAME = "surfaces-bot reset, for a moment"
_LOGOUT_TIMEOUT_S = 20.0


class OneShotClient:
    """The account's session for the duration of one command.

    Every request raises `RequestRefused` where the homeserver refuses it, and `HomeserverUnreachable` where it does not
    answer.
    """

    def __init__(self, transport: Transport, user_id: UserId, token: str) -> None:
        self._transport = transport
        self._token = token
        self.user_id = user_id

    async def get(
        self,
        *segments: str,
        query: Mapping[str, str] | None = None,
        timeout_s: float = READ_TIMEOUT_S,
    ) -> Any:
        """Make a read request."""
        # The request carries the token itself, so that the end of the session is a refusal and not a wait.
        path = client_path(*segments)
        return await self._transport.request(
            Request("GET", path, query=query, timeout_s=timeout_s, token=self._token)
        )

    async def post(self, *segments: str, bucket: BucketName) -> Any:
        """Make an idempotent request with an empty body; waits after a 429 (contract D8)."""
        return await self._transport.request(
            Request("POST", client_path(*segments), body={}, bucket=bucket, token=self._token)
        )

    async def check(self) -> None:
        """Check that the session is valid and belongs to the account.

        Raises:
            CredentialsRefused: it is not valid, or belongs to another account.
        """
        try:
            whoami = await self.get("account", "whoami")
        except RequestRefused as refused:
            raise CredentialsRefused(
                f"the homeserver does not accept the session of {self.user_id} ({refused.errcode}):"
                " start the daemon once, which renews it where that can be done"
            ) from refused
        if whoami.get("user_id") != self.user_id:
            raise CredentialsRefused(
                f"the session belongs to {whoami.get('user_id')}, but {self.user_id} is configured:"
                " set the one that fits the other"
            )


@asynccontextmanager
async def stored_session(store_path: Path) -> AsyncIterator[OneShotClient]:
    """Use the daemon's stored session, and no other.

    Raises:
        SessionAbsent: there is none.
        SessionUnusable: it can't be read.
        CredentialsRefused: the homeserver does not accept it.
        HomeserverUnreachable: the homeserver does not answer.
    """
    stored = await anyio.to_thread.run_sync(SessionFile(store_path).read)
    if stored is None or stored.access_token is None:
        raise SessionAbsent(f"{store_path / SESSION_FILE} holds no session yet")
    async with _open_transport(stored.homeserver) as transport:
        client = OneShotClient(transport, stored.user_id, stored.access_token)
        await client.check()
        yield client


@asynccontextmanager
async def any_session(account: Account) -> AsyncIterator[OneShotClient]:
    """Use the configured token, else the stored session, else log in, and out again at the end.

    Raises:
        SessionUnusable: the stored session belongs to another account, or can't be read.
        CredentialsRefused: the homeserver does not accept the credentials.
        HomeserverUnreachable: the homeserver does not answer.
    """
    stored = await anyio.to_thread.run_sync(SessionFile(account.store_path).read)
    if stored is not None:
        stored.check(account)
    token = account.access_token or (stored.access_token if stored is not None else None)
    async with _open_transport(account.homeserver) as transport:
        if token is not None:
            client = OneShotClient(transport, account.user_id, token)
            await client.check()
            yield client
            return
        client = await _log_in(transport, account)
        try:
            yield client
        finally:
            await _log_out(client)


@asynccontextmanager
async def _open_transport(homeserver: str) -> AsyncIterator[Transport]:
    def end_at_outage(up: bool, reason: str, _: float) -> None:
        if not up:
            raise HomeserverUnreachable(f"{homeserver} does not answer ({reason})")

    async with aclosing(NioBackend(homeserver)) as backend:
        yield Transport(backend, SystemClock(), end_at_outage)


async def _log_in(transport: Transport, account: Account) -> OneShotClient:
    try:
        # Not repeated: each login creates a device, and one whose response is lost could not be logged out.
        login = await request_login(transport, account, DEVICE_NAME, retry=False)
    except Unreachable as failure:
        raise HomeserverUnreachable(
            f"{account.homeserver} did not answer the login ({failure.reason})"
        ) from failure
    client = OneShotClient(transport, account.user_id, login["access_token"])
    if login.get("user_id") != account.user_id:
        await _log_out(client)
        raise wrong_user(login, account.user_id)
    return client


async def _log_out(client: OneShotClient) -> None:
    with anyio.move_on_after(_LOGOUT_TIMEOUT_S, shield=True) as timeout:
        await client.post("logout", bucket="login")
    if timeout.cancelled_caught:
        raise HomeserverUnreachable(
            f"the homeserver does not answer the logout of the device “{DEVICE_NAME}”:"
            f" remove it in a Matrix client of {client.user_id}"
        )
