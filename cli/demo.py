"""`surfaces-bot demo`: starts a Synapse and the daemon, runs the demo script, and removes everything afterwards.

Everything is on loopback, and all files are in one temporary directory, which is removed with the homeserver. Needs the
`demo` extra.
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
from cli.demo_output import DemoOutput
from cli.demo_script import CheckFailed, DemoScript
from cli.errors import CommandFailed, ExitCode
from cli.terminal import replace_unencodable
from sandbox.daemon import Daemon
from sandbox.errors import SandboxError
from sandbox.synapse import Synapse
from sandbox.user_client import UserClient

_FOR_CLIENTS = {
    "stats": {"enabled": True},
    "user_directory": {"enabled": True, "search_all_users": True},
}
"""With these, a client finds the bot by its name, and shows the names of the rooms in a Space's lobby."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_demo(*, keep: bool) -> None:
    """Run the demo; with `keep`, continue to run at its end until interrupted.

    Raises:
        CommandFailed: a check failed, a part did not start, or the demo was interrupted.
    """
    if find_spec("synapse") is None:
        raise CommandFailed(
            ExitCode.USAGE,
            "the demo needs a homeserver of its own, Synapse, which is not installed: run `make demo`,"
            " or install the `demo` extra (pip install 'surfaces-bot[demo]')",
        )
    replace_unencodable()
    failure = anyio.run(_run, DemoOutput(), keep)
    if failure is not None:
        raise CommandFailed(ExitCode.FAULT, failure)


async def _run(output: DemoOutput, keep: bool) -> str | None:
    """Run the demo, stop and remove everything, and return what failed, or `None`."""
    failure: str | None = None
    finished = anyio.Event()
    async with anyio.create_task_group() as group:
        with anyio.CancelScope() as scope:
            group.start_soon(_cancel_on_signal, scope)
            try:
                async with AsyncExitStack() as stack:
                    await _run_script(output, stack, keep=keep, finished=finished)
            except CheckFailed as error:
                if error.detail:
                    output.line(error.detail, "dim")
                failure = f"the demo failed: {error}"
            except SandboxError as error:
                # The lines after the first are the end of a log.
                summary, _, detail = str(error).partition("\n")
                output.line(detail, "dim")
                failure = f"the demo failed: {summary}"
        group.cancel_scope.cancel()
    if failure is None and not finished.is_set():
        failure = "the demo was interrupted; everything it started is stopped and removed"
    return failure


async def _cancel_on_signal(scope: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(*_SIGNALS) as signals:
        async for _ in signals:
            scope.cancel()


async def _run_script(
    output: DemoOutput, stack: AsyncExitStack, *, keep: bool, finished: anyio.Event
) -> None:
    """Start everything and run the script; set `finished` when all steps have passed their checks."""
    output.line("A first conversation, on a real Matrix homeserver on this machine.", "bold")
    with output.waiting("Synapse starts"):
        synapse = await stack.enter_async_context(Synapse(settings=_FOR_CLIENTS))
    output.step("homeserver", f"Synapse {version('matrix-synapse')} is up at {synapse.url}")
    passwords = {name: secrets.token_urlsafe(12) for name in ("lambda", "user")}
    bot, user = [await synapse.register(*account) for account in passwords.items()]
    output.step("homeserver", f"has two accounts: {bot}, which is the bot, and {user}")
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
    stack.push_async_exit(daemon)
    client = await stack.enter_async_context(UserClient(synapse.url, user, passwords["user"]))
    script = DemoScript(output, daemon, client, bot)
    await script.start_daemon()
    await script.onboard()
    await script.ask()
    await script.kill_and_restart()
    await script.inspect()
    if keep:
        finished.set()
        _show_how_to_log_in(output, synapse.url, user, passwords["user"], bot)
        await _wait_for_interrupt(script, daemon)
    await script.stop_daemon()
    finished.set()
    output.line(f"All checks passed, in {output.elapsed_s:.0f} s.", "bold")


def _show_how_to_log_in(output: DemoOutput, url: str, user: str, password: str, bot: str) -> None:
    output.line()
    output.line("It stays up. Try it in any Matrix client on this machine:", "bold")
    values = (("homeserver", url), ("user", user), ("password", password), ("bot", bot))
    for name, value in values:
        output.line(f"  {name:<10}  {value}")
    for number, step in enumerate(
        (
            f"Set the client's homeserver to {url}, and log in with this user and password.",
            "Write in Chat 1 of the bot's Space: the user of this demo has accepted both already.",
            f"Or begin as everybody does: start a chat with {bot}, or search for its name.",
            "The bot answers there with a link to the Space; a new user gets an invitation to a Space of"
            " their own: accept it, then the one to its first chat, and write there.",
        ),
        start=1,
    ):
        output.line(f"  {number}. {step}")
    output.line(
        f"Phrases that the mock agent knows: {', '.join(MOCK_PHRASES)}; anything is echoed."
    )
    output.line("Ctrl-C stops everything and removes it.")


async def _wait_for_interrupt(script: DemoScript, daemon: Daemon) -> NoReturn:
    """Wait for Ctrl-C, then stop the daemon as an operator would."""
    try:
        code = await daemon.wait_ended(math.inf)
    except anyio.get_cancelled_exc_class():
        with anyio.CancelScope(shield=True):
            await script.stop_daemon()
        raise
    raise CheckFailed(f"the daemon ended by itself with exit code {code}")
