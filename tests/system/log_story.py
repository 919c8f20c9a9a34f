"""Plays every fault that an operator meets in the log, with the real daemon on a real Synapse (contract L12).

`python -m tests.system.log_story json` (or `console`) prints the log; docs/operating.md shows it as an example. Retries
are short, so that ten minutes of faults take one.
"""

import json
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio

from sandbox.synapse import Synapse
from tests.support.agent_script import Error, Text, Wait, echo
from tests.support.agent_server import AgentServer
from tests.support.matrix_user import MatrixUser
from tests.support.proxy import Answer, Change, Proxy
from tests.system.chat_commands.registry_file import Entry, write_registry
from tests.system.conftest import register_bot
from tests.system.faults.fault_fixture import answers, syncs, whenever
from tests.system.recovery.bot_internals import BotInternals
from tests.system.users import PASSWORD, Bot, OnboardedUser, answer_to, notice, onboard

RETRY_S, TIMEOUT_S = 4.0, 2.0
SECRET = "the words of a user"
"""A part of every message and answer of the story; no line may contain it (contract E9)."""
TOO_LARGE = Answer(
    413,
    b'{"errcode":"M_TOO_LARGE","error":"event too large"}',
    {"Content-Type": "application/json"},
)

BAD_GATEWAY = Answer(502, b"<html>502 Bad Gateway</html>", {"Content-Type": "text/html"})


@dataclass
class Story:
    """The parts of the installation: a homeserver behind a proxy, two agents, the bot, two users."""

    synapse: Synapse
    proxy: Proxy
    helper: AgentServer
    coder: AgentServer
    file: Path
    bot: Bot
    anna: MatrixUser
    mallory: MatrixUser

    def lines(self) -> list[str]:
        """Return the log so far, in the order of the lines."""
        daemon = self.bot.daemon
        own = [{name: line[name] for name in line if name != "pid"} for line in daemon.log]
        return [*(json.dumps(line, ensure_ascii=False) for line in own), *daemon.other_output]

    async def logged(self, *words: str) -> str:
        """Wait for a line with these words, and return it."""
        with anyio.fail_after(60.0):
            while True:
                found = [line for line in self.lines() if all(word in line for word in words)]
                if found:
                    return found[0]
                await anyio.sleep(0.1)

    async def ask(self, room: str, text: str) -> str:
        """Send a message, wait for the end of its turn in the log, and return its event id."""
        asked = await self.anna.send_text(room, f"{text} {SECRET}")
        await self.logged("turn_ended", asked)
        return asked

    def write_agents(self, **more: str) -> None:
        """Write the agents file; `more` are faulty entries."""
        urls = {"helper": self.helper.url, "coder": self.coder.url, **more}
        write_registry(self.file, *(Entry(name, url) for name, url in urls.items()))


@asynccontextmanager
async def installation(directory: Path, log_format: str) -> AsyncIterator[Story]:
    """An installation of its own, whose daemon does not run yet."""
    async with AsyncExitStack() as stack:
        synapse = await stack.enter_async_context(Synapse(server_name="example.org"))
        proxy = await stack.enter_async_context(Proxy(synapse.url))
        helper = await stack.enter_async_context(AgentServer())
        coder = await stack.enter_async_context(AgentServer())
        names = [await synapse.register(name, PASSWORD) for name in ("anna", "mallory")]
        users = [
            await stack.enter_async_context(MatrixUser(synapse.url, name, PASSWORD))
            for name in names
        ]
        file = directory / "agents.yaml"
        bot = await register_bot(
            synapse,
            directory,
            helper,
            MATRIX_HOMESERVER=proxy.url,
            MATRIX_AGENT_REGISTRY_PATH=str(file),
            MATRIX_ALLOWED_USERS=names[0],
            AGENT_RETRY_S=str(RETRY_S),
            AGENT_TIMEOUT_S=str(TIMEOUT_S),
            SURFACES_LOG_FORMAT=log_format,
            SURFACES_LOG_LEVEL="info",
        )
        stack.push_async_callback(bot.daemon.kill)
        story = Story(synapse, proxy, helper, coder, file, bot, *users)
        story.write_agents()
        yield story


async def play(story: Story) -> None:
    """Play all faults, one after the other."""
    daemon = story.bot.daemon
    await daemon.start()
    await story.logged("bot_live")
    await story.mallory.create_room(invite=[story.bot.user_id])
    await story.logged("invite_rejected")
    anna = await onboard(story.anna, story.bot.user_id)
    await story.ask(anna.chat, "Hello?")
    await failing_agents(story, anna)
    await failing_homeserver(story, anna)
    await malformed_event(story, anna)
    story.write_agents(painter="ftp://agents.example.org")
    daemon.send_signal(signal.SIGHUP)
    await story.logged("registry_refused")
    story.write_agents()
    daemon.send_signal(signal.SIGHUP)
    await story.logged("registry_reloaded")
    await broken_room(story, anna)
    await ended(story)


async def failing_agents(story: Story, anna: OnboardedUser) -> None:
    """One agent refuses connections, one is silent, one reports an error; a user stops an answer."""
    await anna.run_command("!agent coder")
    await anna.run_command("!new")
    second = await story.anna.wait_for(
        lambda event: (
            event.type == "m.room.member"
            and event.state_key == story.anna.user_id
            and event.content["membership"] == "invite"
            and event.room_id not in (anna.space, anna.chat)
        )
    )
    await story.anna.join(second.room_id)
    await story.coder.refuse(drop=True)
    await story.ask(second.room_id, "Are you there?")
    await story.coder.accept()
    await story.ask(second.room_id, "And now?")
    story.helper.script = lambda _: (Wait(60.0),)
    await story.ask(anna.chat, "Why are you silent?")
    story.helper.script = lambda _: (Error("MODEL_OVERLOADED", SECRET),)
    await story.ask(anna.chat, "Can you do it?")
    story.helper.script = lambda _: (Text(f"A long story {SECRET}"), Wait(60.0))
    asked = await story.anna.send_text(anna.chat, "Tell me a story.")
    await story.anna.wait_for(lambda event: event.answers == asked)
    await story.anna.send_text(anna.chat, "!stop")
    await story.logged("turn_ended", asked)
    story.helper.script = echo


async def failing_homeserver(story: Story, anna: OnboardedUser) -> None:
    """The homeserver refuses an answer, and is away for a while."""
    story.helper.hold()
    asked = await story.anna.send_text(anna.chat, "Say something impossible.")
    story.proxy.fault = whenever(answers(asked), TOO_LARGE)
    story.helper.release()
    await story.logged("order_refused")
    await answer_to(story.anna, anna.chat, asked)
    await story.synapse.stop()
    story.proxy.fault = lambda _: BAD_GATEWAY
    await story.logged("homeserver_unreachable")
    await story.synapse.start()
    story.proxy.clear_fault()
    await story.logged("homeserver_reachable")


async def malformed_event(story: Story, anna: OnboardedUser) -> None:
    """A sync has an event that can't be decoded; Synapse itself accepts none, an older homeserver may have some."""

    spoiled = False

    def spoil(body: bytes) -> bytes:
        nonlocal spoiled
        sync = json.loads(body)
        room = sync.get("rooms", {}).get("join", {}).get(anna.chat)
        if room is not None and not spoiled:
            spoiled = True
            content = {"msgtype": "m.text", "body": {SECRET: 1}}
            poison = {"type": "m.room.message", "sender": story.anna.user_id, "content": content}
            more = {"event_id": "$poison", "origin_server_ts": 1_700_000_000_000}
            room.setdefault("timeline", {}).setdefault("events", []).append(poison | more)
        return json.dumps(sync).encode()

    story.proxy.fault = lambda proxied: Change(spoil) if syncs(proxied) else None
    await story.ask(anna.chat, "Something is beside this.")
    await story.ask(anna.chat, "And beside this.")
    await story.logged("event_quarantined")
    story.proxy.clear_fault()


async def broken_room(story: Story, anna: OnboardedUser) -> None:
    """A chat lost its link into its Space while the bot was down: it is reported, and its repair fails."""
    assert await story.bot.daemon.stop() == 0
    internals = BotInternals(story.bot, story.synapse.url)
    await internals.link(anna.space, anna.chat, via=())
    await story.bot.daemon.start()
    await story.logged("matrix_reconcile_complete", anna.chat)
    await story.anna.send_text(anna.chat, f"Is this room broken? {SECRET}")
    await story.logged("room_recovery_failed")
    await notice(story.anna, anna.chat, "restore")
    assert await story.bot.daemon.stop() == 0


async def ended(story: Story) -> None:
    """The password is wrong: a new installation of the bot can't log in."""
    daemon = story.bot.daemon
    daemon.environment |= {
        "MATRIX_PASSWORD": f"not {PASSWORD}",
        "MATRIX_DB_PATH": "second.db",
        "MATRIX_STORE_PATH": "second_store",
    }
    await daemon.start()
    assert await daemon.wait_ended() == 3


async def main(log_format: str) -> None:
    """Play the story and print its log."""
    with tempfile.TemporaryDirectory(prefix="log-") as directory:
        async with installation(Path(directory), log_format) as story:
            try:
                await play(story)
            finally:
                print("\n".join(story.lines()))


if __name__ == "__main__":
    anyio.run(main, sys.argv[1])
