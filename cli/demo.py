"""`surfaces-bot demo`: sets the stage for the story, and clears it away however the story ends.

A real Synapse, the bot's and the user's accounts, the daemon as a process: all on loopback, all in one temporary
directory that goes with the homeserver. Needs the `demo` extra.
"""

import math
import secrets
import signal
from contextlib import AsyncExitStack
from importlib.metadata import version
from importlib.util import find_spec
from typing import NoReturn

import anyio

from agent_platform import MOCK_PHRASES
from cli.errors import CommandFailed, ExitCode
from cli.printable import use_any_encoding
from cli.story import PromiseBroken, Story
from cli.telling import Teller
from sandbox.daemon import Daemon
from sandbox.errors import SandboxError
from sandbox.person import Person
from sandbox.synapse import Synapse

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_demo(*, keep: bool) -> None:
    """Tell the story; with `keep`, stay up at its end until interrupted.

    Raises:
        CommandFailed: a promise was broken, the stage could not be set, or somebody interrupted.
    """
    if find_spec("synapse") is None:
        raise CommandFailed(
            ExitCode.USAGE,
            "the demo needs a homeserver of its own, Synapse, which is not installed: run `make demo`,"
            " or install the `demo` extra (pip install 'surfaces-bot[demo]')",
        )
    use_any_encoding()
    failure = anyio.run(_perform, Teller(), keep)
    if failure is not None:
        raise CommandFailed(ExitCode.FAULT, failure)


async def _perform(teller: Teller, keep: bool) -> str | None:
    """Return what went wrong, if anything did; by then nothing is left running and no file is left."""
    failure: str | None = None
    told = anyio.Event()
    async with anyio.create_task_group() as group:
        with anyio.CancelScope() as scope:
            group.start_soon(_cancel_on_signal, scope)
            try:
                async with AsyncExitStack() as stage:
                    await _play(teller, stage, keep=keep, told=told)
            except PromiseBroken as error:
                if error.detail:
                    teller.say(error.detail, "dim")
                failure = f"the demo failed: {error}"
            except SandboxError as error:
                # What follows the first line is the end of a log.
                summary, _, detail = str(error).partition("\n")
                teller.say(detail, "dim")
                failure = f"the demo failed: {summary}"
        group.cancel_scope.cancel()
    if failure is None and not told.is_set():
        failure = "the demo was interrupted; everything it started is stopped and removed"
    return failure


async def _cancel_on_signal(scope: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(*_SIGNALS) as signals:
        async for _ in signals:
            scope.cancel()


async def _play(teller: Teller, stage: AsyncExitStack, *, keep: bool, told: anyio.Event) -> None:
    """Set the stage and tell; `told` is set when all acts have gone as promised."""
    teller.say("A first conversation, on a real Matrix homeserver on this machine.", "bold")
    with teller.waiting("Synapse starts"):
        synapse = await stage.enter_async_context(Synapse())
    teller.step("homeserver", f"Synapse {version('matrix-synapse')} is up at {synapse.url}")
    passwords = {name: secrets.token_urlsafe(12) for name in ("lambda", "user")}
    bot, user = [await synapse.register(*account) for account in passwords.items()]
    teller.step("homeserver", f"has two accounts: {bot}, which is the bot, and {user}")
    # Inside the homeserver's directory, which is removed even when this process is killed.
    directory = synapse.directory / "bot"
    directory.mkdir()
    daemon = Daemon(
        directory,
        {
            "MATRIX_HOMESERVER": synapse.url,
            "MATRIX_USER_ID": bot,
            "MATRIX_PASSWORD": passwords["lambda"],
        },
    )
    stage.push_async_exit(daemon)
    person = await stage.enter_async_context(Person(synapse.url, user, passwords["user"]))
    story = Story(teller, daemon, person, bot)
    await story.start_daemon()
    await story.meet()
    await story.ask()
    await story.survive_a_kill()
    await story.inspect()
    if keep:
        told.set()
        _say_how_to_log_in(teller, synapse.url, user, passwords["user"])
        await _stay_up(story, daemon)
    await story.stop_daemon()
    told.set()
    teller.say(f"All of it held, in {teller.elapsed_s:.0f} s.", "bold")


def _say_how_to_log_in(teller: Teller, url: str, user: str, password: str) -> None:
    teller.say()
    teller.say("It stays up. Log in with any Matrix client on this machine:", "bold")
    for name, value in (("homeserver", url), ("user", user), ("password", password)):
        teller.say(f"  {name:<10}  {value}")
    teller.say(f"Phrases that the mock agent knows: {', '.join(MOCK_PHRASES)}; anything is echoed.")
    teller.say("Ctrl-C stops everything and removes it.")


async def _stay_up(story: Story, daemon: Daemon) -> NoReturn:
    """Wait for Ctrl-C; on it, stop the daemon as an operator would."""
    try:
        code = await daemon.wait_ended(math.inf)
    except anyio.get_cancelled_exc_class():
        with anyio.CancelScope(shield=True):
            await story.stop_daemon()
        raise
    raise PromiseBroken(f"the daemon ended by itself with exit code {code}")
