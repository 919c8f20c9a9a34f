"""An encrypted entry room: users get invitations, and nothing is written there in plaintext."""

import pytest

from tests.system.users import accept, notice

pytestmark = pytest.mark.anyio


async def test_onboarding_from_an_encrypted_room_writes_no_plaintext_into_it(make_bot, person):
    bot = await make_bot()
    async with bot.daemon as daemon:
        await daemon.wait_live()
        entry = await person.create_room(invite=[bot.user_id], encrypted=True, is_direct=True)
        _, chat = await accept(person, bot.user_id)
        await notice(person, chat, "Welcome")
        # What a careless client writes there in plaintext is not answered in plaintext either.
        await person.send_text(entry, "!help")
        await daemon.wait_log(
            lambda line: line["event"] == "order_refused" and line["lane"] == entry
        )
        assert await daemon.stop() == 0
        written = {
            event.type for event in await person.messages(entry) if event.sender == bot.user_id
        }
        assert written == {"m.room.member"}
