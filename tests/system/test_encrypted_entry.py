"""An encrypted entry room: users get invitations, and nothing is written there in plaintext."""

import pytest

from tests.system.users import accept, notice

pytestmark = pytest.mark.anyio


async def test_onboarding_from_an_encrypted_room_writes_no_plaintext_into_it(make_bot, user):
    bot = await make_bot()
    async with bot.daemon as daemon:
        await daemon.wait_live()
        entry = await user.create_room(invite=[bot.user_id], encrypted=True, is_direct=True)
        _, chat = await accept(user, bot.user_id)
        assert "is encrypted" in (await notice(user, chat, "Welcome")).body
        # A plaintext message of a careless client gets no plaintext answer either.
        await user.send_text(entry, "!help")
        await daemon.wait_log(
            lambda line: line["event"] == "order_refused" and line.get("room_id") == entry
        )
        assert await daemon.stop() == 0
        written = {
            event.type for event in await user.messages(entry) if event.sender == bot.user_id
        }
        assert written == {"m.room.member"}
