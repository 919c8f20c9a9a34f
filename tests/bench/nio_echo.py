"""The comparison for the daemon: a bare matrix-nio bot that echoes, as in its documentation.

`sync_forever` with full state and a callback that calls `room_send`. It stores only its sync token, when
it ends: messages that are not answered by then are lost. Its timeline is long enough to see every
message of a benchmark; with nio's default it would miss most.
"""

import asyncio
import json
import logging
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from nio.client.async_client import AsyncClient
from nio.events.room_events import RoomMessageText
from nio.responses import LoginResponse, SyncResponse
from nio.rooms import MatrixRoom

from tests.bench.bots import TIMELINE_LIMIT

_TOKEN = Path("nio_token")


async def run() -> None:
    """Log in and echo forever; write `bot_live` to stderr after the first sync, as the daemon does."""
    client = AsyncClient(os.environ["MATRIX_HOMESERVER"], os.environ["MATRIX_USER_ID"])
    login = await client.login(os.environ["MATRIX_PASSWORD"])
    assert isinstance(login, LoginResponse), login

    async def echo(room: MatrixRoom, event: RoomMessageText) -> None:
        if event.sender == client.user_id:
            return
        content = {
            "msgtype": "m.text",
            "body": f"echo: {event.body}",
            "org.lambda.surfaces.answers": event.event_id,
        }
        await client.room_send(room.room_id, "m.room.message", content)

    live = False

    async def report_live(_: SyncResponse) -> None:
        nonlocal live
        if not live:
            live = True
            sys.stderr.write(json.dumps({"event": "bot_live"}) + "\n")
            sys.stderr.flush()

    # nio's annotations do not accept the callbacks of its documentation.
    client.add_event_callback(echo, RoomMessageText)  # type: ignore[arg-type]
    client.add_response_callback(report_live, SyncResponse)  # type: ignore[arg-type]
    since = _TOKEN.read_text() if _TOKEN.exists() else None
    try:
        await client.sync_forever(
            timeout=30_000,
            since=since,
            full_state=True,
            sync_filter={"room": {"timeline": {"limit": TIMELINE_LIMIT}}},
        )
    finally:
        _TOKEN.write_text(client.next_batch or "")
        await client.close()


async def main() -> None:
    """Run until SIGTERM."""
    bot = asyncio.create_task(run())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, bot.cancel)
    with suppress(asyncio.CancelledError):
        await bot


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    asyncio.run(main())
