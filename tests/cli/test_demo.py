"""The demo: all its steps pass, any client can log in with --keep, and nothing is left behind."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import pytest
from anyio.streams.text import TextReceiveStream
from rich.console import Console

import cli.demo
from cli.demo import run_demo
from cli.demo_output import DemoOutput, excerpt, tail
from cli.demo_script import PARTIAL, SeenReply, reply_fault
from cli.errors import CommandFailed, ExitCode
from sandbox.errors import SynapseFailed
from sandbox.http import request_json
from sandbox.session import escaped
from tests.support.matrix_user import MatrixUser

STEP_S = 60.0


class RunningDemo:
    """A demo as a process, and its output so far."""

    def __init__(self, process: anyio.abc.Process) -> None:
        self.process = process
        self.output = ""
        self._checked = 0
        assert process.stdout is not None
        self._stream = TextReceiveStream(process.stdout, errors="replace")

    async def wait_for_text(self, text: str) -> None:
        """Wait for this text in the output, after the text of the call before."""
        with anyio.fail_after(STEP_S):
            while (at := self.output.find(text, self._checked)) < 0:
                try:
                    self.output += await self._stream.receive()
                except anyio.EndOfStream:
                    pytest.fail(f"the demo ended without “{text}”:\n{self.output}")
        self._checked = at + len(text)

    async def ends(self) -> int:
        with anyio.fail_after(STEP_S):
            async for text in self._stream:
                self.output += text
            return await self.process.wait()


@asynccontextmanager
async def running_demo(*arguments: str, temporary: Path, cwd: Path) -> AsyncIterator[RunningDemo]:
    process = await anyio.open_process(
        [sys.executable, "-m", "cli", "demo", *arguments],
        stderr=subprocess.STDOUT,
        cwd=cwd,
        env=os.environ | {"TMPDIR": str(temporary)},
    )
    async with process:
        try:
            yield RunningDemo(process)
        finally:
            if process.returncode is None:
                process.kill()


@pytest.fixture
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a short name: Synapse makes a socket in it."""
    return tmp_path_factory.mktemp("d")


@pytest.mark.system
async def test_it_runs_to_its_end_stays_up_for_a_client_and_leaves_nothing_behind(
    temporary: Path, tmp_path: Path
) -> None:
    async with running_demo("--keep", temporary=temporary, cwd=tmp_path) as demo:
        for text in (
            "Synapse 1.",
            "login → initial_sync → reconcile → live",
            "makes the Space “Lambda — user” and in it the chat “Chat 1”",
            "Your Space is ready",
            "first words after",
            "kill -9 in mid-answer, at ",
            "login → initial_sync → reconcile → live",
            "goes on in the same reply",
            "sees one reply",
            "surfaces-bot inspect-room",
            "bot         @lambda:localhost",
            "start a chat with @lambda:localhost",
            "Ctrl-C stops everything",
        ):
            await demo.wait_for_text(text)
        url, user, password = (
            shown(demo.output, key) for key in ("homeserver", "user", "password")
        )
        async with MatrixUser(url, user, password) as person:
            chats = [room for room in await person.joined_rooms() if await is_chat(person, room)]
            question = await person.send_text(chats[0], "Are you still there?")
            await person.wait_for(lambda event: event.answers == question)
            bot = shown(demo.output, "bot")
            with anyio.fail_after(STEP_S):
                # The homeserver fills its directory in the background.
                while bot not in await people_named(person, "lambda"):
                    pass
            assert "Chat 1" in await lobby(person)
        demo.process.send_signal(signal.SIGINT)
        assert await demo.ends() == 0, demo.output
    assert "stops the daemon: drained, exit code 0" in demo.output
    assert "\x1b" not in demo.output
    assert list(temporary.iterdir()) == []
    assert list(tmp_path.iterdir()) == []
    assert await is_gone(url)


def shown(output: str, key: str) -> str:
    """Return the value of `key` in the lines about the login."""
    lines = (line.split() for line in output.splitlines())
    return next(line[1] for line in lines if len(line) == 2 and line[0] == key)


async def people_named(person: MatrixUser, name: str) -> list[str]:
    """Return the users that a client finds by a name."""
    found = await person.request("POST", "/user_directory/search", {"search_term": name})
    return [each["user_id"] for each in found["results"]]


async def lobby(person: MatrixUser) -> list[str]:
    """Return the names of the rooms that a client shows in the lobby of the Space."""
    for room in await person.joined_rooms():
        created = await person.state_content(room, "m.room.create") or {}
        if created.get("type") == "m.space":
            url = f"{person.url}/_matrix/client/v1/rooms/{escaped(room)}/hierarchy"
            headers = {"Authorization": f"Bearer {person.access_token}"}
            async with aiohttp.ClientSession() as session:
                page = await request_json(session, "GET", url, headers=headers)
            return [each.get("name", "") for each in page["rooms"]]
    raise AssertionError("the user is in no Space")


async def is_chat(person: MatrixUser, room_id: str) -> bool:
    name = await person.state_content(room_id, "m.room.name")
    return name == {"name": "Chat 1"}


async def is_gone(url: str) -> bool:
    async with aiohttp.ClientSession() as session:
        try:
            async with session.get(url):
                return False
        except aiohttp.ClientConnectorError:
            return True


@pytest.mark.system
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_an_interruption_ends_it_with_code_1_and_leaves_nothing_behind(
    number: signal.Signals, temporary: Path, tmp_path: Path
) -> None:
    async with running_demo(temporary=temporary, cwd=tmp_path) as demo:
        await demo.wait_for_text("shows ")
        url = next(part for part in demo.output.split() if part.startswith("http://127."))
        demo.process.send_signal(number)
        assert await demo.ends() == ExitCode.FAULT
    last = demo.output.splitlines()[-1]
    assert last.startswith("surfaces-bot: the demo was interrupted")
    assert list(temporary.iterdir()) == []
    assert await is_gone(url)


def test_without_synapse_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli.demo, "find_spec", lambda _name: None)
    with pytest.raises(CommandFailed, match="make demo") as failed:
        run_demo(keep=False)
    assert failed.value.code == ExitCode.USAGE


def test_a_homeserver_that_does_not_start_fails_it_with_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_synapse(**_: object) -> None:
        raise SynapseFailed("Synapse ended while starting\nthe log\nits end")

    monkeypatch.setattr(cli.demo, "Synapse", no_synapse)
    with pytest.raises(CommandFailed) as failed:
        run_demo(keep=False)
    assert failed.value.code == ExitCode.FAULT
    assert str(failed.value) == "the demo failed: Synapse ended while starting"
    assert "its end" in capsys.readouterr().out


WHOLE = SeenReply("$question", "$reply", "all of it", partial=False)


@pytest.mark.parametrize(
    ("replies", "content", "fault"),
    [
        (["$reply"], {"body": "all of it"}, None),
        (["$reply", "$other"], {"body": "all of it"}, "2 events answer one question"),
        ([], {"body": "all of it"}, "0 events answer one question"),
        (["$reply"], {"body": "all of it", PARTIAL: True}, "still marked partial"),
        (["$reply"], {"body": "all of"}, "6 characters that are not the 9"),
        (["$reply"], {}, "0 characters that are not the 9"),
    ],
)
def test_a_reply_is_correct_when_it_is_one_event_unmarked_and_complete(
    replies: list[str], content: Mapping[str, Any], fault: str | None
) -> None:
    found = reply_fault(replies, content, WHOLE, "all of it")
    assert found is None if fault is None else fault in (found or "")


def output_on(*, terminal: bool) -> tuple[DemoOutput, StringIO]:
    file = StringIO()
    return DemoOutput(Console(file=file, force_terminal=terminal, width=80, highlight=False)), file


def test_elsewhere_than_on_a_terminal_every_version_is_a_plain_line() -> None:
    output, file = output_on(terminal=False)
    with output.waiting("a while"), output.partial_answer("answering") as partial:
        partial.show("first", "shows 5 characters")
        partial.show("first and second", "shows 16 characters")
    lines = [line.split("  ", 2)[-1] for line in file.getvalue().splitlines()]
    assert [line.strip() for line in lines] == [
        "bot         shows 5 characters: “first”",
        "bot         shows 16 characters: “first and second”",
    ]


def test_on_a_terminal_a_text_is_updated_in_place_and_erased_at_the_end() -> None:
    output, file = output_on(terminal=True)
    with output.partial_answer("answering") as partial:
        partial.show("first", "shows 5 characters")
        partial.show("first and second", "shows 16 characters")
    assert "│ first and second" in file.getvalue()
    # At the end the lines of the text are erased.
    assert file.getvalue().rstrip().endswith("\x1b[2K")


def test_text_of_people_is_never_read_as_markup() -> None:
    output, file = output_on(terminal=True)
    output.step("bot", "says [bold]x[/bold]", "[red]y[/red]")
    assert "[bold]x[/bold]" in file.getvalue()
    assert "[red]y[/red]" in file.getvalue()


def test_the_middle_of_a_long_text_is_left_out() -> None:
    text = "\n".join(f"line {number}" for number in range(1, 21))
    lines = excerpt(text).splitlines()
    assert (lines[0], lines[-2], lines[-1]) == ("line 1", "… 14 lines …", "line 20")
    assert len(lines) == 7
    assert excerpt("two\nlines") == "two\nlines"
    assert tail("x " * 50) == "…" + ("x " * 50).strip()[-40:]
