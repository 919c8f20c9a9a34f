"""A logged-in session of one account: requests with its token."""

from collections.abc import Mapping
from typing import Any, Self
from urllib.parse import quote

import aiohttp

from sandbox.errors import SandboxError
from sandbox.http import request_json

_CLIENT_API = "/_matrix/client/v3"


class MatrixSession:
    """An async context manager that logs in with a password, or continues a session with its token.

    `user` is a localpart or a full Matrix id. The session does not log out at its end: the device stays.
    """

    def __init__(
        self, url: str, user: str, password: str = "", *, access_token: str | None = None
    ) -> None:
        self.url = url
        self.user_id = user if user.startswith("@") else ""
        self.device_id = ""
        self.access_token = access_token
        self._user = user
        self._password = password
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession()
        try:
            if self.access_token is None:
                await self._login()
            else:
                who = await self.request("GET", "/account/whoami")
                self.user_id, self.device_id = who["user_id"], who.get("device_id", "")
        except BaseException:
            await self._http.close()
            raise
        return self

    async def __aexit__(self, *_error: object) -> None:
        if self._http is not None:
            await self._http.close()
            self._http = None

    async def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        params: Mapping[str, str] | None = None,
        timeout_s: float = 60.0,
    ) -> Any:
        """Send one request to the client-server API; `path` begins after the version of the API.

        Raises:
            MatrixRefused: the homeserver responds with an error.
        """
        if self._http is None:
            raise SandboxError("use a session inside its `async with` block")
        # Read for each request, because a new login may replace the token.
        headers = {"Authorization": f"Bearer {self.access_token}"} if self.access_token else {}
        return await request_json(
            self._http,
            method,
            f"{self.url}{_CLIENT_API}{path}",
            body,
            params=params,
            headers=headers,
            timeout_s=timeout_s,
        )

    async def _login(self) -> None:
        login = {
            "type": "m.login.password",
            "identifier": {"type": "m.id.user", "user": self._user},
            "password": self._password,
        }
        response = await self.request("POST", "/login", login)
        self.user_id = response["user_id"]
        self.device_id = response["device_id"]
        self.access_token = response["access_token"]


def escaped(part: str) -> str:
    """Escape an id for its place in a path."""
    return quote(part, safe="")
