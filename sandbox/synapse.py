"""A real Synapse on loopback, as an async context manager.

One `Synapse` is one server with its data: it can be stopped, killed, paused and started again on the same port with
the same data. It ends with the process that started it, which also removes its temporary directory. Its configuration
is in `synapse_config`, the process in `synapse_process`.
"""

import hashlib
import hmac
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import aiohttp
import anyio
import anyio.abc

from sandbox.errors import SynapseFailed
from sandbox.http import request_json
from sandbox.parent_watch import TEMPORARY_VARIABLE
from sandbox.ports import free_port
from sandbox.synapse_config import RateLimits, listener, synapse_config

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0
_PORT_ATTEMPTS = 5
_LOG_TAIL_LINES = 30


class Synapse:
    """A Synapse homeserver; an async context manager that starts and stops it.

    `directory` is for its data; the default is a temporary directory. `settings` are configuration options of
    Synapse that replace those of `synapse_config`, e.g. `{"session_lifetime": "1s"}`.
    """

    def __init__(
        self,
        directory: Path | None = None,
        *,
        server_name: str = "localhost",
        rate_limits: RateLimits = "off",
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        if directory is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="synapse-")
            directory = Path(self._temporary.name)
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory.resolve()
        self.server_name = server_name
        self.log_path = self.directory / "homeserver.log"
        self._config = synapse_config(self.directory, server_name, rate_limits, settings or {})
        self._port: int | None = None
        self._process: anyio.abc.Process | None = None

    @property
    def url(self) -> str:
        """The base URL: known after the first start, and the same after every restart."""
        if self._port is None:
            raise SynapseFailed("Synapse was never started, so it has no URL yet")
        return f"http://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        return self._running().pid

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            self._clean_up()
            raise
        return self

    async def __aexit__(self, *_error: object) -> None:
        with anyio.CancelScope(shield=True):
            await self.stop()
        self._clean_up()

    async def start(self) -> None:
        """Start the server, and return when it serves requests.

        Raises:
            SynapseFailed: it ended, or was not ready within `START_TIMEOUT_S`.
        """
        if self._process is not None:
            raise SynapseFailed("Synapse is already running")
        if self._port is not None:
            await self._launch(self._port)
            return
        for attempt in range(1, _PORT_ATTEMPTS + 1):
            port = free_port()
            try:
                await self._launch(port)
            except SynapseFailed as failure:
                if attempt == _PORT_ATTEMPTS or "Address already in use" not in str(failure):
                    raise
            else:
                self._port = port
                return

    async def stop(self) -> None:
        """Stop the server with SIGTERM, or with SIGKILL after `STOP_TIMEOUT_S`."""
        if self._process is None:
            return
        if self._process.returncode is None:
            self.resume()  # a paused process does not handle signals
            self._process.terminate()
        with anyio.move_on_after(STOP_TIMEOUT_S):
            await self._process.wait()
        await self._reap()

    async def kill(self) -> None:
        """End the server at once (SIGKILL), as in a crash."""
        if self._process is not None:
            await self._reap()

    def pause(self) -> None:
        """Pause the server (SIGSTOP): connections stay open, and nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Continue the server after `pause`."""
        os.kill(self.pid, signal.SIGCONT)

    async def register(self, username: str, password: str) -> str:
        """Create an account and return its full Matrix id."""
        url = f"{self.url}/_synapse/admin/v1/register"
        async with aiohttp.ClientSession() as session:
            nonce = (await request_json(session, "GET", url))["nonce"]
            fields = [nonce, username, password, "notadmin"]
            secret = self._config["registration_shared_secret"].encode()
            account = {
                "nonce": nonce,
                "username": username,
                "password": password,
                "admin": False,
                "inhibit_login": True,  # so that the user's own login creates the first device
                "mac": hmac.new(secret, "\0".join(fields).encode(), hashlib.sha1).hexdigest(),
            }
            user_id: str = (await request_json(session, "POST", url, account))["user_id"]
            return user_id

    def _running(self) -> anyio.abc.Process:
        if self._process is None:
            raise SynapseFailed("Synapse is not running")
        return self._process

    async def _launch(self, port: int) -> None:
        config_path = self.directory / "homeserver.yaml"
        config_path.write_text(json.dumps(self._config | {"listeners": [listener(port)]}))
        # The path of a socket must be short; that of the directory may be long.
        with tempfile.TemporaryDirectory(prefix="synapse-") as short:
            notify_path = str(Path(short) / "notify")
            notices = await anyio.create_unix_datagram_socket(local_path=notify_path)
            async with notices:
                with self.log_path.open("ab") as log:
                    self._process = await anyio.open_process(
                        [sys.executable, "-m", "sandbox.synapse_process", "-c", str(config_path)],
                        stdin=subprocess.PIPE,
                        stdout=log,
                        stderr=log,
                        cwd=self.directory,
                        env=self._environment(notify_path),
                        start_new_session=True,  # Ctrl-C must not reach it; this class ends it
                    )
                try:
                    ready = await self._wait_ready(notices)
                except BaseException:
                    with anyio.CancelScope(shield=True):
                        await self._reap()
                    raise
        if not ready:
            ended = self._process.returncode is not None
            await self._reap()
            how = "ended while starting" if ended else f"was not ready after {START_TIMEOUT_S} s"
            lines = self.log_path.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
            raise SynapseFailed("\n".join([f"Synapse {how}; the end of its log:", *lines]))

    def _environment(self, notify_path: str) -> dict[str, str]:
        environment = os.environ | {"NOTIFY_SOCKET": notify_path}
        if self._temporary is not None:
            environment[TEMPORARY_VARIABLE] = self._temporary.name
        return environment

    async def _wait_ready(self, notices: anyio.abc.UNIXDatagramSocket) -> bool:
        """Wait until the listener is open (systemd's notify protocol) or the process has ended."""
        process = self._running()
        ready = False
        with anyio.move_on_after(START_TIMEOUT_S):
            async with anyio.create_task_group() as group:

                async def cancel_at_exit() -> None:
                    await process.wait()
                    group.cancel_scope.cancel()

                group.start_soon(cancel_at_exit)
                while not ready:
                    message, _ = await notices.receive()
                    ready = b"READY=1" in message
                group.cancel_scope.cancel()
        return ready

    async def _reap(self) -> None:
        process = self._running()
        if process.returncode is None:
            process.kill()
        with anyio.CancelScope(shield=True):
            await process.wait()
            await process.aclose()
        self._process = None

    def _clean_up(self) -> None:
        if self._temporary is not None:
            self._temporary.cleanup()
