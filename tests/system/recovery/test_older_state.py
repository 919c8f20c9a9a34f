"""A start without a database uses the current state, also after changes since the last message (contracts C1, L3).

The state in a full-state sync is that after the first event of the timeline together with that after the last one.
Where both have a key, Synapse shows one of the two, whichever it is. A timeline of messages alone leaves out the event
that changed it, and so nothing says that the value is an old one.
"""

import pytest

from tests.system.recovery.recovery_fixture import open_chat
from tests.system.users import onboard

pytestmark = pytest.mark.anyio

CHATS = 6
"""A sync shows each of them with its old name with a probability of one half."""


async def test_a_chat_that_was_renamed_last_has_its_new_name_without_a_database(
    internals, agent, user
):
    await internals.start()
    onboarded = await onboard(user, internals.bot.user_id)
    chats = [onboarded.chat, *[await open_chat(onboarded, f"Old {n}") for n in range(1, CHATS)]]
    for number, chat in enumerate(chats):
        await onboarded.ask(f"!rename New {number}", chat)
    values = await internals.values()
    assert sorted(value["name"] for value in values.values()) == [f"New {n}" for n in range(CHATS)]
    await internals.bot.daemon.kill()
    internals.lose_database()
    await internals.start()
    assert await internals.values() == values
