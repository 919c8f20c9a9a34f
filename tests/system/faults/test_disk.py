"""The database can't be used: exit 4 with advice, nothing is skipped, a normal start continues (S4, D3)."""

import os
import resource
import shutil
import sqlite3
import subprocess
from contextlib import closing, contextmanager

import pytest

from tests.support.matrix_user import MatrixUser
from tests.system.conftest import register_bot
from tests.system.faults.broken_database import DATABASE, BrokenDatabase
from tests.system.users import PASSWORD, onboard

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="session")
async def session_broken(synapse, session_agent, tmp_path_factory):
    """A bot with an onboarded user; every test restores what it damages."""
    bot = await register_bot(synapse, tmp_path_factory.mktemp("disk"), session_agent)
    user_id = await synapse.register("a-user-with-a-disk", PASSWORD)
    async with bot.daemon as daemon, MatrixUser(synapse.url, user_id, PASSWORD) as user:
        await daemon.wait_live()
        broken = BrokenDatabase(bot, await onboard(user, bot.user_id))
        assert await daemon.stop() == 0
        yield broken


@pytest.fixture
async def broken(session_broken, agent):
    """The bot, live and idle."""
    async with session_broken.daemon as daemon:
        await daemon.wait_live()
        await session_broken.onboarded.ask("hello")
        yield session_broken


@contextmanager
def exclusive_lock(path):
    """Lock the database, as a backup tool would that never ends."""
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("BEGIN IMMEDIATE")
        yield
        raw.rollback()


@contextmanager
def read_only(directory):
    """Make a directory read-only, also for root, who ignores modes."""
    if os.geteuid() != 0:
        directory.chmod(0o500)
        yield
        directory.chmod(0o700)
        return
    mounted = subprocess.run(["mount", "--bind", directory, directory], check=False)
    if mounted.returncode != 0:
        pytest.skip("root may not mount here, and heeds no mode")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", directory], check=True)
        yield
    finally:
        subprocess.run(["umount", directory], check=True)


async def test_a_full_disk_ends_the_daemon_with_advice(broken, synapse):
    # No file can grow from here on, as on a full disk.
    resource.prlimit(broken.daemon.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    await broken.ask()
    await broken.ends_with_advice("free space")
    await broken.has_skipped_nothing(synapse.url)
    await broken.answers_after_a_plain_start()


async def test_a_database_that_another_program_locks_ends_the_daemon(broken, synapse):
    with exclusive_lock(broken.path):
        await broken.ask()
        await broken.ends_with_advice("another program")
    await broken.has_skipped_nothing(synapse.url)
    await broken.answers_after_a_plain_start()


async def test_a_database_that_another_program_locks_ends_the_start(broken):
    await broken.daemon.kill()
    await broken.ask()
    with exclusive_lock(broken.path):
        await broken.daemon.start()
        await broken.ends_with_advice("another program")
    await broken.answers_after_a_plain_start()


async def test_a_read_only_directory_ends_the_daemon(broken, synapse):
    assert await broken.daemon.stop() == 0
    await broken.ask()
    with read_only(broken.daemon.directory):
        await broken.daemon.start()
        await broken.ends_with_advice("permissions")
    await broken.has_skipped_nothing(synapse.url)
    await broken.answers_after_a_plain_start()


def spoil_head(path):
    with path.open("r+b") as file:
        file.write(b"something else entirely")


def spoil_pages(path):
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (size - 4096))


def cut_in_half(path):
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("spoil", [spoil_head, spoil_pages, cut_in_half])
async def test_a_corrupt_file_is_refused_and_rebuilt_once_it_is_moved_away(broken, spoil):
    assert await broken.daemon.stop() == 0
    await broken.ask()
    spoil(broken.path)
    await broken.daemon.start()
    await broken.ends_with_advice("move the file away")
    for file in broken.daemon.directory.glob(f"{DATABASE}*"):
        shutil.move(file, broken.daemon.directory / f"moved-{file.name}")
    await broken.answers_after_a_plain_start()


async def test_a_missing_directory_ends_the_start(make_bot):
    bot = await make_bot(MATRIX_DB_PATH="nowhere/at/all.db")
    async with bot.daemon as daemon:
        assert await daemon.wait_ended() == 4
    (line,) = daemon.other_output
    assert "nowhere/at/all.db" in line
