"""A disk with nearly no space, for real: a file system of a few megabytes, filled up (contracts S4, D3, I1).

The daemon ends with what to do, or lives on little; `inspect-room` shows the last that was kept, and with space again
a plain start answers everything once.
"""

import json
import os
import subprocess
import sys
from contextlib import contextmanager

import anyio
import pytest

from tests.support.matrix_user import MatrixUser
from tests.system.conftest import register_bot
from tests.system.faults.broken_database import BrokenDatabase
from tests.system.users import PASSWORD, answer_to, onboard

pytestmark = pytest.mark.anyio

DISK = "6m"
ADVICE = ("there is no space left", "free space", "start again")
LONG = "word " * 600
MANY = 500


@contextmanager
def mounted(directory):
    """Mount a small file system on a directory."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=700", "none", directory]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("who runs this may not mount a file system")
    try:
        yield directory
    finally:
        subprocess.run(["umount", directory], check=True)


@contextmanager
def space(directory, free_bytes):
    """Fill the disk up to so many bytes."""
    ballast = directory / "ballast"
    found = os.statvfs(directory)
    ballast.write_bytes(bytes(found.f_bavail * found.f_frsize - free_bytes))
    try:
        yield
    finally:
        ballast.unlink()


@pytest.fixture(scope="session")
async def session_broken(synapse, session_agent, tmp_path_factory):
    """A bot on a small disk; every test leaves it stopped, with no unanswered message."""
    user_id = await synapse.register("a-user-with-a-small-disk", PASSWORD)
    with mounted(tmp_path_factory.mktemp("small-disk")) as disk:
        bot = await register_bot(synapse, disk, session_agent)
        async with bot.daemon as daemon, MatrixUser(synapse.url, user_id, PASSWORD) as user:
            await daemon.wait_live()
            broken = BrokenDatabase(bot, await onboard(user, bot.user_id))
            assert await daemon.stop() == 0
            yield broken


@pytest.fixture
def broken(session_broken, agent):
    """The bot, stopped, and an agent that echoes."""
    return session_broken


async def inspected(broken):
    """Return the output of `inspect-room` for the chat; check that it writes no file."""
    directory = broken.daemon.directory
    before = {file.name: file.read_bytes() for file in directory.glob("*.db*")}
    text_of = await anyio.run_process(
        [sys.executable, "-m", "cli", "inspect-room", broken.onboarded.chat, "--json"],
        cwd=directory,
        env=os.environ | broken.daemon.environment,
    )
    assert {file.name: file.read_bytes() for file in directory.glob("*.db*")} == before
    return json.loads(text_of.stdout)


async def test_a_disk_that_fills_up_during_a_conversation(broken, synapse):
    user, chat = broken.onboarded.user, broken.onboarded.chat
    asked = []
    with space(broken.daemon.directory, 400_000):
        await broken.daemon.start()
        await broken.daemon.wait_live()
        while broken.daemon.running and len(asked) < MANY:
            asked.append(await user.send_text(chat, f"{len(asked)} {LONG}"))
        await broken.ends_with_advice(*ADVICE)
        await broken.ask()
        assert (await inspected(broken))["state"] == "bound"
        # A second start without free space has the same result.
        await broken.daemon.start()
        await broken.ends_with_advice(*ADVICE)
        await broken.has_skipped_nothing(synapse.url, *asked)
    await broken.answers_after_a_plain_start()
    assert [len(await user.replies_to(chat, each)) for each in asked] == [1] * len(asked)


@pytest.mark.parametrize("free_bytes", [0, 16_384, 65_536])
async def test_a_start_without_space_ends_with_advice(broken, synapse, free_bytes):
    await broken.ask()
    with space(broken.daemon.directory, free_bytes):
        await broken.daemon.start()
        await broken.ends_with_advice(*ADVICE)
        assert (await inspected(broken))["state"] == "bound"
        await broken.has_skipped_nothing(synapse.url)
    await broken.answers_after_a_plain_start()


async def test_a_megabyte_is_enough_for_some_messages(broken):
    user, chat = broken.onboarded.user, broken.onboarded.chat
    with space(broken.daemon.directory, 1_000_000):
        async with broken.daemon as daemon:
            await daemon.wait_live()
            asked = [await user.send_text(chat, f"{number} {LONG}") for number in range(40)]
            for message_id in asked:
                await answer_to(user, chat, message_id)
            assert await daemon.stop() == 0


@pytest.mark.parametrize(
    ("variable", "code", "name"),
    [("MATRIX_DB_PATH", 4, "lambda.db"), ("MATRIX_STORE_PATH", 2, "session.json")],
)
async def test_a_first_start_without_space_reports_the_path_and_an_advice(
    make_bot, tmp_path, variable, code, name
):
    (tmp_path / "disk").mkdir()
    with mounted(tmp_path / "disk") as disk:
        bot = await make_bot(**{variable: str(disk / "kept" if code == 2 else disk / name)})
        with space(disk, 0):
            async with bot.daemon as daemon:
                assert await daemon.wait_ended() == code
            (line,) = daemon.other_output
            assert name in line
            assert "free space" in line
        async with bot.daemon as daemon:
            await daemon.wait_live()
            assert await daemon.stop() == 0
