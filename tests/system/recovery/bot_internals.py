"""The internals of one bot: its database, its session, and `inspect-room`.

The database is read and changed only while no daemon runs.
"""

import json
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import anyio

from sandbox.daemon import LogLine
from sandbox.session import escaped
from tests.support.matrix_user import MatrixUser
from tests.system.users import BINDING, Bot

# Contract R3, as `inspect-room --json` names it (contract I3).
VALUES = (
    "chat_id",
    "room_id",
    "space_id",
    "matrix_user_id",
    "platform_chat_id",
    "agent_id",
    "name",
    "archived",
)
Rows = dict[str, list[tuple[Any, ...]]]


class BotInternals:
    """The internals of one bot. `url` is the homeserver itself, not a proxy."""

    def __init__(self, bot: Bot, url: str) -> None:
        self.bot = bot
        self._url = url

    @property
    def database(self) -> Path:
        """The default path of the bot's database."""
        return self.bot.daemon.directory / "lambda_matrix.db"

    @asynccontextmanager
    async def account(self) -> AsyncIterator[MatrixUser]:
        """The bot's session, from its session file."""
        kept = self.bot.daemon.directory / "matrix_store" / "session.json"
        token = json.loads(kept.read_text())["access_token"]
        async with MatrixUser(self._url, self.bot.user_id, access_token=token) as account:
            yield account

    # -- the database

    def lose_database(self) -> None:
        """Delete the database of a stopped bot, and the files beside it."""
        assert not self.bot.daemon.running
        assert self.database.exists()
        for path in self.bot.daemon.directory.glob(f"{self.database.name}*"):
            path.unlink()

    def damage(self, statement: str, *arguments: object) -> None:
        """Change rows of a stopped bot; the statement must hit at least one."""
        assert not self.bot.daemon.running
        with closing(sqlite3.connect(self.database)) as raw, raw:
            assert raw.execute(statement, arguments).rowcount > 0

    def query(self, query: str) -> list[tuple[Any, ...]]:
        """Return the result of a query on the database of a stopped bot."""
        assert not self.bot.daemon.running
        with closing(sqlite3.connect(self.database)) as raw:
            return raw.execute(query).fetchall()

    def rows(self) -> Rows:
        """Return all rows of a stopped bot except its own state: sync token, transitions."""
        assert not self.bot.daemon.running
        with closing(sqlite3.connect(self.database)) as raw:
            tables = [
                name
                for (name,) in raw.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
            ]
            left_out = {"bot": " WHERE 0", "transitions": " WHERE subject != 'bot'"}
            return {
                name: sorted(raw.execute(f"SELECT * FROM {name}{left_out.get(name, '')}"), key=repr)
                for name in tables
                if name != "sqlite_sequence"
            }

    # -- the homeserver

    async def bindings(self, *rooms: str) -> dict[str, dict[str, Any] | None]:
        """Return the bindings of rooms in the bot's account data (contract R4)."""
        async with self.account() as account:
            return {room: await account.account_data(BINDING, room) for room in rooms}

    async def bind(self, room: str, content: dict[str, Any]) -> None:
        """Write a room's binding with the bot's session; `{}` removes it."""
        async with self.account() as account:
            user = escaped(account.user_id)
            path = f"/user/{user}/rooms/{escaped(room)}/account_data/{BINDING}"
            await account.request("PUT", path, content)

    async def link(self, space: str, room: str, *, via: tuple[str, ...] = ("localhost",)) -> None:
        """Link a room into a Space with the bot's session; without `via` the link is removed."""
        async with self.account() as account:
            content = {"via": list(via)} if via else {}
            await account.send_state(space, "m.space.child", content, room)

    # -- the program

    async def inspect(self, *arguments: str) -> Any:
        """Return the output of `inspect-room --json`."""
        daemon = self.bot.daemon
        command = [sys.executable, "-m", "cli", "inspect-room", "--json", *arguments]
        done = await anyio.run_process(
            command, cwd=daemon.directory, env=daemon.environment, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        return json.loads(done.stdout)

    async def rooms(self) -> dict[str, dict[str, Any]]:
        """Return all rooms that `inspect-room` knows, by room id."""
        return {room["room_id"]: room for room in (await self.inspect())["rooms"]}

    async def values(self) -> dict[str, dict[str, Any]]:
        """Return the values of contract R3 for every bound chat."""
        return {
            room_id: {name: room[name] for name in VALUES}
            for room_id, room in (await self.rooms()).items()
            if (room["room_type"], room["state"]) == ("chat", "bound")
        }

    async def start(self) -> LogLine:
        """Start the daemon; return its report of reconciliation once it is live."""
        await self.bot.daemon.start()
        await self.bot.daemon.wait_live()
        return self.report()

    def report(self) -> LogLine:
        """Return the only `matrix_reconcile_complete` line of the running process."""
        pid = self.bot.daemon.pid
        lines = self.bot.daemon.lines("matrix_reconcile_complete")
        (line,) = [line for line in lines if line["pid"] == pid]
        return line

    def warnings(self, room: str) -> list[LogLine]:
        """Return the log's `room_recovery_failed` lines about a room."""
        lines = self.bot.daemon.lines("room_recovery_failed")
        return [line for line in lines if line["room_id"] == room]
