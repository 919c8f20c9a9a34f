"""Requests in the account's name by a command that is not the daemon: it looks or does one thing, and goes.

It uses the session that is there, the configured token or the kept one, and writes no file. Only where there is
neither it logs in with the password, as a device of its own that is logged out again at the end (contract X3). What
the daemon would wait out for hours, an outage, ends a command.
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
from matrix.http.backend import NioExchange
from matrix.http.rate_limits import LaneName
from matrix.http.request import Call, client_path
from matrix.http.transport import Transport
from matrix.session.file import SESSION_FILE, Account, SessionFile

DEVICE_NAME = "surfaces-bot reset, for a moment"
_LOGOUT_TIMEOUT_S = 20.0


class Errand:
    """The account's session for the length of one command."""

    def __init__(self, transport: Transport, user_id: UserId, token: str) -> None:
        self._transport = transport
        self._token = token
        self.user_id = user_id

    async def get(
        self, *segments: str, query: Mapping[str, str] | None = None, timeout_s: float = 30.0
    ) -> Any:
        """Ask for something.

        Raises:
            RequestRefused: the homeserver will not tell.
            HomeserverUnreachable: it does not answer.
        """
        # The token goes with each call, so that the session's end is an answer and not a wait.
        return await self._transport.request(
            Call("GET", client_path(*segments), query=query, timeout_s=timeout_s, token=self._token)
        )

    async def post(self, *segments: str, lane: LaneName) -> Any:
        """Have something done that is safe to repeat. A 429 is waited out (contract D8).

        Raises:
            RequestRefused: the homeserver will not do it.
            HomeserverUnreachable: it does not answer.
        """
        return await self._transport.request(
            Call("POST", client_path(*segments), body={}, lane=lane, token=self._token)
        )

    async def check(self) -> None:
        """See that the session is good, and whose it is.

        Raises:
            CredentialsRefused: it is not, or another's.
        """
        try:
            who = await self.get("account", "whoami")
        except RequestRefused as refused:
            raise CredentialsRefused(
                f"the homeserver does not accept the session of {self.user_id} ({refused.errcode}):"
                " start the daemon once, which renews it where that can be done"
            ) from refused
        if who.get("user_id") != self.user_id:
            raise CredentialsRefused(
                f"the session belongs to {who.get('user_id')}, but {self.user_id} is configured:"
                " set the one that fits the other"
            )


@asynccontextmanager
async def kept_session(store_path: Path) -> AsyncIterator[Errand]:
    """Use the session that the daemon keeps, and no other.

    Raises:
        SessionAbsent: there is none.
        SessionUnusable: it can't be read.
        CredentialsRefused: the homeserver does not accept it.
        HomeserverUnreachable: the homeserver does not answer.
    """
    kept = await anyio.to_thread.run_sync(SessionFile(store_path).read)
    if kept is None or kept.access_token is None:
        raise SessionAbsent(f"{store_path / SESSION_FILE} holds no session yet")
    async with _transport(kept.homeserver) as transport:
        errand = Errand(transport, kept.user_id, kept.access_token)
        await errand.check()
        yield errand


@asynccontextmanager
async def any_session(account: Account) -> AsyncIterator[Errand]:
    """Use the configured token, else the kept session, else log in and out again.

    Raises:
        SessionUnusable: the kept session is another account's, or can't be read.
        CredentialsRefused: the homeserver does not accept what there is.
        HomeserverUnreachable: the homeserver does not answer.
    """
    kept = await anyio.to_thread.run_sync(SessionFile(account.store_path).read)
    if kept is not None:
        kept.check(account)
    token = account.access_token or (kept.access_token if kept is not None else None)
    async with _transport(account.homeserver) as transport:
        if token is not None:
            errand = Errand(transport, account.user_id, token)
            await errand.check()
            yield errand
            return
        errand = await _log_in(transport, account)
        try:
            yield errand
        finally:
            await _log_out(errand)


@asynccontextmanager
async def _transport(homeserver: str) -> AsyncIterator[Transport]:
    def end_at_outage(up: bool, reason: str, _: float) -> None:
        if not up:
            raise HomeserverUnreachable(f"{homeserver} does not answer ({reason})")

    async with aclosing(NioExchange(homeserver)) as exchange:
        yield Transport(exchange, SystemClock(), end_at_outage)


async def _log_in(transport: Transport, account: Account) -> Errand:
    body = {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": account.user_id},
        "password": account.password,
        "initial_device_display_name": DEVICE_NAME,
    }
    call = Call(
        "POST",
        client_path("login"),
        body=body,
        lane="login",
        anonymous=True,
        repeatable=False,  # each answer is a device, and one whose answer is lost would stay
    )
    try:
        answer = await transport.request(call)
    except RequestRefused as refused:
        raise CredentialsRefused(
            f"the homeserver refused the login of {account.user_id} ({refused.errcode}:"
            f" {refused.reason}): check MATRIX_USER_ID and MATRIX_PASSWORD"
        ) from refused
    except Unreachable as trouble:
        raise HomeserverUnreachable(
            f"{account.homeserver} did not answer the login ({trouble.reason})"
        ) from trouble
    errand = Errand(transport, account.user_id, answer["access_token"])
    if answer.get("user_id") != account.user_id:
        await _log_out(errand)
        raise CredentialsRefused(
            f"the homeserver logged in {answer.get('user_id')}, but MATRIX_USER_ID is"
            f" {account.user_id}: set it to what the homeserver says"
        )
    return errand


async def _log_out(errand: Errand) -> None:
    with anyio.move_on_after(_LOGOUT_TIMEOUT_S, shield=True) as patience:
        await errand.post("logout", lane="login")
    if patience.cancelled_caught:
        raise HomeserverUnreachable(
            f"the homeserver does not answer the logout of the device “{DEVICE_NAME}”:"
            f" remove it in a Matrix client of {errand.user_id}"
        )
