"""The script of `make demo` (contract S1): runs, prints and checks each step.

A step whose result contradicts the contract raises `CheckFailed`. The checks use the user's account and the raw
client-server API; the operator's steps use `inspect-room` and the daemon's log.
"""

import json
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio

from agent_platform.mock.sample_text import long_text
from cli.demo_output import DemoOutput, excerpt, tail
from cli.terminal import counted
from sandbox.daemon import STOP_S, Daemon
from sandbox.errors import WaitTimeout
from sandbox.room_event import RoomEvent
from sandbox.user_client import UserClient

PARTIAL = "org.lambda.surfaces.partial"
HELLO = (
    "Hello! Before I ask you anything that matters, please repeat this after me, word by word. I want"
    " to watch your answer grow in this room while you are still speaking: first a few words, then"
    " more of them with every edit, never faster than my client can follow. And when you are done, I"
    " want to see that all of it is here, from the first word to the last, in one message and not in"
    " ten, with nothing missing, nothing twice, and nothing out of order."
)
LONG_CHARS = 500
"""Long enough that the kill happens in the middle of the answer, short enough for a demo."""
VERSIONS_BEFORE_KILL = 2
ANSWER_S = 60.0
LOG_LINES = 10


class CheckFailed(Exception):
    """The result of a step contradicts the contract; the message is one line, `detail` is what was seen."""

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail


@dataclass(slots=True)
class SeenReply:
    """One reply as the user has seen it; `seen` has its event and all its edits."""

    question: str
    event_id: str = ""
    text: str = ""
    partial: bool = True
    seen: set[str] = field(default_factory=set)

    @property
    def edits(self) -> int:
        """The number of edits so far."""
        return max(0, len(self.seen) - 1)


class DemoScript:
    """One run of the demo; `bot` is the bot's Matrix id. The chat is known after the bot's invitation."""

    def __init__(self, output: DemoOutput, daemon: Daemon, user: UserClient, bot: str) -> None:
        self._output = output
        self._daemon = daemon
        self._user = user
        self._bot = bot
        self._chat = ""
        self._answers: list[tuple[SeenReply, str]] = []

    async def start_daemon(self) -> None:
        """As the operator, start the daemon."""
        began = time.monotonic()
        with self._output.waiting("the daemon starts"), self._expecting("the daemon to go live"):
            await self._daemon.start()
            await self._daemon.wait_live()
        states = " → ".join(
            str(line["to"])
            for line in self._daemon.log
            if line["event"] == "bot_state_changed" and line["pid"] == self._daemon.pid
        )
        took_s = time.monotonic() - began
        self._output.step("operator", f"starts the daemon: {states} in {took_s:.1f} s")

    async def onboard(self) -> None:
        """As the user, invite the bot and get a Space with a first chat."""
        user = self._user
        entry = await user.create_room(invite=[self._bot], name="Hello bot")
        self._output.step("user", f"makes a room and invites {self._bot}")
        with self._output.waiting("the bot joins and makes a Space with a first chat"):
            pointer = await self._notice(entry, "the bot's pointer in the room it was invited to")
            invited = await user.rooms_invited()
            for room_id in invited:
                await user.join(room_id)
        space = await self._find_space_and_chat(invited)
        names = [await self._name(room_id) for room_id in (space, self._chat)]
        self._output.step("bot", f"makes the Space “{names[0]}” and in it the chat “{names[1]}”")
        self._output.quote(pointer.body)
        welcome = await self._notice(self._chat, "the welcome in the chat")
        self._output.step("user", f"accepts both invitations and reads in {names[1]}:")
        self._output.quote(welcome.body)

    async def ask(self) -> None:
        """As the user, ask a question and see the answer streamed."""
        answer = await self._send(HELLO)
        began = time.monotonic()
        first_s = 0.0
        with self._output.partial_answer("the bot is answering") as partial:
            async for _ in self._versions(answer):
                first_s = first_s or time.monotonic() - began
                partial.show(answer.text, f"shows {len(answer.text)} characters")
        took_s = time.monotonic() - began
        self._output.step(
            "bot", f"first words after {first_s:.1f} s, whole after {took_s:.1f} s", answer.text
        )
        if HELLO not in answer.text:
            raise CheckFailed(f"the answer does not hold the question: “{tail(answer.text)}”")
        await self._check(answer, answer.text)

    async def kill_and_restart(self) -> None:
        """As the operator, kill the daemon during an answer; after a restart the answer is completed once."""
        answer = await self._send(f"long {LONG_CHARS}")
        whole = long_text(LONG_CHARS)
        versions = self._versions(answer)
        with self._output.partial_answer("the bot is answering") as partial:
            for _ in range(VERSIONS_BEFORE_KILL):
                await anext(versions)
                partial.show(answer.text, f"shows {len(answer.text)} of {len(whole)} characters")
        await self._daemon.kill()
        killed_at = time.monotonic()
        if not answer.partial:
            raise CheckFailed("the answer was whole before the daemon could be killed")
        where = f"{len(answer.text)} of {len(whole)} characters"
        self._output.step(
            "operator", f"kill -9 in mid-answer, at {where}; the room shows:", excerpt(answer.text)
        )
        await self.start_daemon()
        resumed_s = 0.0
        with self._output.partial_answer("the same reply goes on") as partial:
            async for _ in versions:
                resumed_s = resumed_s or time.monotonic() - killed_at
                partial.show(answer.text, f"shows {len(answer.text)} of {len(whole)} characters")
        took_s = time.monotonic() - killed_at
        self._output.step(
            "bot",
            f"goes on in the same reply {resumed_s:.1f} s after the kill; whole after {took_s:.1f} s",
            excerpt(answer.text),
        )
        await self._check(answer, whole)
        self._output.step(
            "user",
            f"sees one reply, {counted(answer.edits, 'edit')}, all {len(whole)} characters, nothing twice",
        )

    async def inspect(self) -> None:
        """As the operator, inspect the room."""
        with self._output.waiting("inspect-room reads the database"):
            page = await self._surfaces_bot("inspect-room", self._chat)
            record = json.loads(await self._surfaces_bot("inspect-room", self._chat, "--json"))
        self._output.step("operator", f"surfaces-bot inspect-room '{self._chat}'", page)
        expected = {"state": "bound", "inbox_pending": 0, "outbox_pending": 0, "turn": None}
        found = {key: record[key] for key in expected}
        if found != expected:
            raise CheckFailed(f"inspect-room shows {found}; expected {expected}")

    async def stop_daemon(self) -> None:
        """As the operator, stop the daemon; every reply is still there once."""
        began = time.monotonic()
        try:
            with self._output.waiting("the daemon drains"):
                code = await self._daemon.stop()
        except TimeoutError as error:
            raise CheckFailed(f"the daemon did not end within {STOP_S:g} s of SIGTERM") from error
        took_s = time.monotonic() - began
        if code != 0:
            raise CheckFailed(f"the daemon ended with exit code {code} after SIGTERM")
        for answer, whole in self._answers:
            await self._check(answer, whole)
        self._output.step("operator", f"stops the daemon: drained, exit code 0, {took_s:.1f} s")

    # -- parts of the steps ------------------------------------------------------------------------

    async def _find_space_and_chat(self, invited: Sequence[str]) -> str:
        """Find the Space and the chat; there must be exactly one of each (contract O1)."""
        kinds: dict[bool, list[str]] = {True: [], False: []}
        for room_id in invited:
            created = await self._user.state_content(room_id, "m.room.create") or {}
            kinds[created.get("type") == "m.space"].append(room_id)
        if [len(kinds[True]), len(kinds[False])] != [1, 1]:
            raise CheckFailed(
                f"the user was invited to {counted(len(kinds[True]), 'Space')} and"
                f" {counted(len(kinds[False]), 'chat')};"
                " expected one of each"
            )
        (space,), (self._chat,) = kinds[True], kinds[False]
        child = await self._user.state_content(space, "m.space.child", self._chat) or {}
        if not child.get("via"):
            raise CheckFailed("the Space does not name the chat as its child")
        return space

    async def _notice(self, room_id: str, what: str) -> RoomEvent:
        with self._expecting(what):
            return await self._user.wait_for(
                lambda event: (
                    (event.room_id, event.sender, event.msgtype) == (room_id, self._bot, "m.notice")
                )
            )

    async def _name(self, room_id: str) -> str:
        content = await self._user.state_content(room_id, "m.room.name") or {}
        return str(content.get("name", ""))

    async def _send(self, text: str) -> SeenReply:
        self._output.step("user", "asks:", text)
        return SeenReply(await self._user.send_text(self._chat, text))

    async def _versions(self, answer: SeenReply) -> AsyncIterator[None]:
        """Update `answer` with each version of the reply, up to its last edit, and yield after each."""
        while answer.partial or not answer.seen:
            with self._expecting("the next version of an answer"):
                event = await self._user.wait_for(
                    lambda event: (
                        event.room_id == self._chat
                        and event.answers == answer.question
                        and event.event_id not in answer.seen
                    ),
                    ANSWER_S,
                )
            self._record(answer, event)
            yield

    def _record(self, answer: SeenReply, event: RoomEvent) -> None:
        if not answer.event_id:
            answer.event_id = event.event_id
        elif event.replaces != answer.event_id:
            raise CheckFailed("a second reply answers the same question")
        content = event.content.get("m.new_content", event.content)
        answer.seen.add(event.event_id)
        answer.text, answer.partial = content["body"], PARTIAL in content

    async def _check(self, answer: SeenReply, whole: str) -> None:
        replies = await self._user.replies_to(self._chat, answer.question)
        content = await self._user.latest_content(self._chat, answer.event_id)
        if fault := reply_fault([reply.event_id for reply in replies], content, answer, whole):
            raise CheckFailed(fault)
        if all(known is not answer for known, _ in self._answers):
            self._answers.append((answer, whole))

    async def _surfaces_bot(self, *arguments: str) -> str:
        """Run a command of the shell as an operator does, and return its output."""
        inherited = {key: os.environ[key] for key in ("PATH", "LANG", "HOME") if key in os.environ}
        ended = await anyio.run_process(
            [sys.executable, "-m", "cli", *arguments],
            cwd=self._daemon.directory,
            env=inherited | self._daemon.environment | {"COLUMNS": str(self._output.width)},
            check=False,
        )
        if ended.returncode != 0:
            raise CheckFailed(
                f"surfaces-bot {arguments[0]} ended with exit code {ended.returncode}:"
                f" {ended.stderr.decode(errors='replace').strip()}"
            )
        return ended.stdout.decode(errors="replace").rstrip()

    @contextmanager
    def _expecting(self, what: str) -> Iterator[None]:
        try:
            yield
        except WaitTimeout as error:
            log = (json.dumps(line, ensure_ascii=False) for line in self._daemon.log[-LOG_LINES:])
            detail = "\n".join((str(error), "the daemon's last log lines:", *log))
            raise CheckFailed(f"no sign of {what} in time", detail) from error


def reply_fault(
    replies: Sequence[str], content: Mapping[str, Any], answer: SeenReply, whole: str
) -> str | None:
    """Return the fault of a finished reply (contracts D1, D2, D6), or `None`.

    `replies` are the events that answer the question, `content` is the reply's content after its edits.
    """
    if list(replies) != [answer.event_id]:
        return f"{len(replies)} events answer one question; expected exactly one"
    if PARTIAL in content:
        return "the reply is still marked partial"
    if content.get("body") != whole:
        return (
            f"the reply has {counted(len(content.get('body', '')), 'character')} that are not the"
            f" {len(whole)} of the answer"
        )
    return None
