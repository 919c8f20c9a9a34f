"""Whether the owner of a chat accepted, declined or left is read back without a database (contracts C1, K3, R5)."""

import sys

import anyio
import pytest

from tests.system.chat_commands.localized_user import open_chat
from tests.system.users import onboard

pytestmark = pytest.mark.anyio

NOTES = {
    "Kept": "",
    "Left": "owner left",
    "Waiting": "owner invited, not accepted yet",
    "Declined": "owner declined the invitation",
}
MARKS = {
    "Kept": "open",
    "Left": "you left",
    "Waiting": "invitation not accepted yet",
    "Declined": "you declined the invitation",
}


async def listed(internals) -> dict[str, str]:
    """Return what the text of `inspect-room` notes of each chat."""
    daemon = internals.bot.daemon
    command = [sys.executable, "-m", "cli", "inspect-room"]
    done = await anyio.run_process(command, cwd=daemon.directory, env=daemon.environment)
    lines = done.stdout.decode().splitlines()
    found = {name: next(line for line in lines if name in line) for name in NOTES}
    return {name: line.partition(name)[2].strip() for name, line in found.items()}


async def marks(onboarded) -> dict[str, str]:
    """Return the state of each chat in `!chats`."""
    lines = (await onboarded.run_command("!chats", onboarded.entry)).splitlines()
    found = {name: next(line for line in lines if name in line) for name in MARKS}
    return {name: line.rpartition(" · ")[2] for name, line in found.items()}


async def test_what_the_owner_did_with_their_invitation_is_known_without_a_database(
    internals, agent, user
):
    await internals.start()
    onboarded = await onboard(user, internals.bot.user_id)
    for name in ("Kept", "Left"):
        room = await open_chat(onboarded, name)
        if name == "Left":
            await user.leave(room)
    await onboarded.run_command("!new Waiting", onboarded.entry)
    (waiting,) = await user.rooms_invited()
    await onboarded.run_command("!new Declined", onboarded.entry)
    (declined,) = set(await user.rooms_invited()) - {waiting}
    await user.leave(declined)
    assert await marks(onboarded) == MARKS
    assert await listed(internals) == NOTES
    await internals.bot.daemon.stop()
    internals.lose_database()
    await internals.start()
    assert await marks(onboarded) == MARKS
    assert await listed(internals) == NOTES
