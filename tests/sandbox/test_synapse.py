"""Synapse in the sandbox: it serves, restarts with its data, and removes what it wrote."""

import json
import socket
import sys
from pathlib import Path

import anyio
import pytest

from sandbox import synapse as synapse_module
from sandbox.errors import MatrixRefused, SynapseFailed
from sandbox.ports import free_port
from sandbox.synapse import Synapse
from tests.support.matrix_user import MatrixUser

pytestmark = pytest.mark.system

PARENT = """
import anyio, json
from sandbox.synapse import Synapse

async def main():
    async with Synapse() as server:
        print(json.dumps([server.url, str(server.directory)]), flush=True)
        await anyio.sleep_forever()

anyio.run(main)
"""


async def test_it_keeps_port_and_data_through_kill_restart_and_pause(tmp_path: Path) -> None:
    async with Synapse(tmp_path, server_name="example.test") as server:
        url = server.url
        assert await server.register("ann", "secret") == "@ann:example.test"
        async with MatrixUser(url, "ann", "secret") as ann:
            room_id = await ann.create_room(name="before")
            await server.kill()
            await server.start()
            await server.stop()
            await server.start()
            assert server.url == url
            assert await ann.joined_rooms() == [room_id]

            server.pause()
            with pytest.raises(TimeoutError):
                await ann.request("GET", "/joined_rooms", timeout_s=0.2)
            server.resume()
            assert await ann.joined_rooms() == [room_id]
            server.pause()  # and a paused server can be stopped
    assert (tmp_path / "homeserver.db").exists()


async def test_a_temporary_directory_is_removed_at_the_end() -> None:
    async with Synapse() as server:
        directory = server.directory
        assert directory.exists()
    assert not directory.exists()
    with pytest.raises(SynapseFailed, match="not running"):
        server.pause()


async def test_a_failed_start_shows_the_end_of_the_log(tmp_path: Path) -> None:
    server = Synapse(tmp_path, settings={"database": {"name": "card-index"}})
    with pytest.raises(SynapseFailed, match=r"(?s)ended while starting.*card-index"):
        await server.start()


async def test_it_tries_another_port_when_the_first_is_in_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as other_server:
        used_port = other_server.getsockname()[1]
        ports = iter([used_port, free_port()])
        monkeypatch.setattr(synapse_module, "free_port", lambda: next(ports))
        async with Synapse() as server:
            assert server.url != f"http://127.0.0.1:{used_port}"


async def test_it_ends_with_the_process_that_started_it() -> None:
    async with await anyio.open_process([sys.executable, "-c", PARENT]) as parent:
        assert parent.stdout is not None
        url, directory = json.loads(await parent.stdout.receive())
        async with await anyio.connect_tcp("127.0.0.1", int(url.rpartition(":")[2])) as stream:
            parent.kill()
            with (
                anyio.fail_after(10),
                pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)),
            ):
                await stream.receive()
    assert not Path(directory).exists()


async def send_three_messages(user: MatrixUser, room_id: str) -> None:
    for n in range(3):
        await user.send_text(room_id, f"{n}")


async def test_rate_limits_can_be_turned_on() -> None:
    limits = {"rc_message": {"per_second": 0.1, "burst_count": 1}}
    async with Synapse(rate_limits=limits) as server:
        await server.register("ann", "secret")
        async with MatrixUser(server.url, "ann", "secret") as ann:
            room_id = await ann.create_room()
            with pytest.raises(MatrixRefused) as refusal:
                await send_three_messages(ann, room_id)
    assert refusal.value.status == 429
    assert refusal.value.errcode == "M_LIMIT_EXCEEDED"
    assert refusal.value.retry_after_ms
