"""Logging in so that the device stays the same (contracts L2, L10, E1).

A kept token is tried first. Where the homeserver ended it softly, or a login was interrupted, the bot logs in
with its password under the device id it has kept. Where the homeserver ended it for good, the device is
gone: the operator decides what happens next, so this is an error and not a second device.
"""

from dataclasses import dataclass

import anyio
import anyio.to_thread

from machines.errors import CredentialsRefused
from machines.ids import DeviceId, UserId
from matrix.errors import RequestRefused, SessionMismatch
from matrix.http.request import Call, client_path
from matrix.http.transport import Transport
from matrix.session.file import SESSION_FILE, Account, KeptSession, SessionFile

DEVICE_NAME = "surfaces-bot"


@dataclass(frozen=True, slots=True)
class Session:
    """Who the bot is on the homeserver; the access token stays inside `matrix`."""

    user_id: UserId
    device_id: DeviceId


class Authenticator:
    """Gives the transport a token that works."""

    def __init__(self, account: Account, transport: Transport) -> None:
        self._account = account
        self._transport = transport
        self._file = SessionFile(account.store_path)
        self._one_at_a_time = anyio.Lock()

    async def login(self) -> Session:
        """Use the kept session or make one, keeping the device.

        Of several callers at once one logs in and the others find its session good: a second login of
        a device ends the first one's token.

        Raises:
            CredentialsRefused: the homeserver does not accept what was configured or kept.
            SessionUnusable: the kept session belongs to another account, or can't be read or written.
        """
        async with self._one_at_a_time:
            return await self._login()

    async def _login(self) -> Session:
        kept = await anyio.to_thread.run_sync(self._file.read)
        if kept is not None:
            kept.check(self._account)
        if self._account.access_token is not None:
            kept = await self._with_configured_token(kept, self._account.access_token)
        elif kept is None or kept.access_token is None or not await self._still_good(kept):
            kept = await self._with_password(kept)
        assert kept.access_token is not None
        self._transport.use_token(kept.access_token)
        return Session(kept.user_id, kept.device_id)

    async def _with_configured_token(self, kept: KeptSession | None, token: str) -> KeptSession:
        try:
            device_id = await self._device_of(token)
        except RequestRefused as refused:
            raise CredentialsRefused(
                f"the homeserver does not accept MATRIX_ACCESS_TOKEN ({refused.errcode}):"
                " set a valid token, or MATRIX_PASSWORD instead"
            ) from refused
        if device_id is None:
            raise CredentialsRefused(
                "MATRIX_ACCESS_TOKEN belongs to no device: use a token that a login gave"
            )
        if kept is not None and kept.device_id != device_id:
            raise SessionMismatch(
                f"{self._account.store_path / SESSION_FILE} belongs to the device"
                f" {kept.device_id}, but MATRIX_ACCESS_TOKEN to {device_id}: set"
                " MATRIX_STORE_PATH to another directory, or run `surfaces-bot reset`"
            )
        session = KeptSession.begin(self._account, device_id).with_token(token)
        if session != kept:
            await self._keep(session)
        return session

    async def _still_good(self, kept: KeptSession) -> bool:
        """Say whether the kept token works; false means that a new login is allowed (L10)."""
        assert kept.access_token is not None
        try:
            await self._device_of(kept.access_token)
        except RequestRefused as refused:
            if refused.soft_logout:
                return False
            raise CredentialsRefused(
                f"the homeserver ended the session of device {kept.device_id} for good"
                f" ({refused.errcode}): to log in as a new device, run `surfaces-bot reset`"
                " and start again"
            ) from refused
        return True

    async def _device_of(self, token: str) -> DeviceId | None:
        who = await self._transport.request(
            Call("GET", client_path("account", "whoami"), token=token, patient=True)
        )
        user_id = who.get("user_id") if isinstance(who, dict) else None
        if user_id != self._account.user_id:
            raise CredentialsRefused(
                f"the access token belongs to {user_id}, but MATRIX_USER_ID is"
                f" {self._account.user_id}: set the one that fits the other"
            )
        device_id = who.get("device_id")
        return DeviceId(device_id) if isinstance(device_id, str) else None

    async def _with_password(self, kept: KeptSession | None) -> KeptSession:
        if self._account.password is None:
            raise CredentialsRefused("a new login is needed, but MATRIX_PASSWORD is not set")
        session = kept or KeptSession.begin(self._account)
        if kept is None:
            await self._keep(session)
        body = {
            "type": "m.login.password",
            "identifier": {"type": "m.id.user", "user": self._account.user_id},
            "password": self._account.password,
            "device_id": session.device_id,
            "initial_device_display_name": DEVICE_NAME,
        }
        try:
            answer = await self._transport.request(
                Call(
                    "POST",
                    client_path("login"),
                    body=body,
                    lane="login",
                    anonymous=True,
                    patient=True,
                )
            )
        except RequestRefused as refused:
            raise CredentialsRefused(
                f"the homeserver refused the login of {self._account.user_id}"
                f" ({refused.errcode}: {refused.reason}): check MATRIX_USER_ID and MATRIX_PASSWORD"
            ) from refused
        session = self._check_login(answer, session)
        await self._keep(session)
        return session

    def _check_login(self, answer: object, session: KeptSession) -> KeptSession:
        said = answer if isinstance(answer, dict) else {}
        token = said.get("access_token")
        if not isinstance(token, str):
            raise CredentialsRefused("the homeserver answered the login without an access token")
        if said.get("user_id") != session.user_id:
            raise CredentialsRefused(
                f"the homeserver logged in {said.get('user_id')}, but MATRIX_USER_ID is"
                f" {session.user_id}: set it to what the homeserver says"
            )
        return session.with_token(token)

    async def _keep(self, session: KeptSession) -> None:
        await anyio.to_thread.run_sync(self._file.write, session)
