"""Syncs, gaps and topology of a real Synapse."""

import pytest

from machines.errors import TokenUnknown
from machines.events.matrix import (
    BotRemoved,
    EncryptedArrived,
    Gap,
    InviteArrived,
    MembersCounted,
    MessageArrived,
)
from machines.events.orders import CreateRoom, JoinRoom, LinkChild, RoomCreated, StoreBinding
from machines.ids import RoomId, SyncToken, TxnId, UserId
from tests.matrix.conftest import PASSWORD
from tests.support.matrix_user import MatrixUser

pytestmark = pytest.mark.anyio

TXN = TxnId("txn-1")


async def created(bot, order: CreateRoom) -> RoomId:
    outcome = await bot.perform(order, TXN)
    assert isinstance(outcome, RoomCreated)
    return outcome.room_id


async def entry_room(bot, person, account, **options) -> RoomId:
    room = RoomId(await person.create_room(invite=[account.user_id], **options))
    await bot.perform(JoinRoom(room), TXN)
    return room


async def test_an_invitation_has_its_sender_in_a_live_and_an_initial_sync(bot, person, account):
    batch, topology = await bot.initial_sync(None)
    assert (batch.events, topology.rooms) == ((), {})
    room = await person.create_room(invite=[account.user_id], encrypted=True)
    expected = InviteArrived(RoomId(room), UserId(person.user_id), encrypted=True)
    assert expected in (await bot.sync(batch.token)).events
    again, _ = await bot.initial_sync(None)
    assert expected in again.events


async def test_messages_arrive_once_in_order_and_only_from_after_the_join(bot, person, account):
    batch, _ = await bot.initial_sync(None)
    room = RoomId(await person.create_room(invite=[account.user_id]))
    await person.send_text(room, "before")
    await bot.perform(JoinRoom(room), TXN)
    first = await person.send_text(room, "one")
    second = await person.send_text(room, "two")
    await person.edit(room, first, "edited")
    arrived = []
    while len(arrived) < 2:
        batch = await bot.sync(batch.token)
        arrived += [each for each in batch.events if isinstance(each, MessageArrived)]
    assert [(each.event_id, each.body) for each in arrived] == [(first, "one"), (second, "two")]


async def test_the_content_of_an_encrypted_message_is_decoded(bot, person, account):
    room = await entry_room(bot, person, account, encrypted=True)
    batch, topology = await bot.initial_sync(None)
    assert topology.rooms[room].encrypted
    content = {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "x", "session_id": "s"}
    await person.send_event(room, "m.room.encrypted", content)
    (each,) = (await bot.sync(batch.token)).events
    assert isinstance(each, EncryptedArrived)
    assert each.content == content


async def test_a_gap_has_exactly_the_events_that_the_timeline_left_out(bot, person, account):
    room = await entry_room(bot, person, account)
    batch, _ = await bot.initial_sync(None)
    sent = [await person.send_text(room, str(number)) for number in range(180)]
    late = await bot.sync(batch.token)
    (gap,) = late.gaps
    assert gap.room_id == room
    pages = [page async for page in bot.history(gap)]
    assert len(pages) > 1
    filled = [each.event_id for page in pages for each in page]
    assert filled + [each.event_id for each in late.events] == sent


async def test_a_gap_with_the_bots_join_begins_after_it(bot, person, account):
    batch, _ = await bot.initial_sync(None)
    room = RoomId(await person.create_room(invite=[account.user_id]))
    for number in range(120):
        await person.send_text(room, f"before {number}")
    await bot.perform(JoinRoom(room), TXN)
    sent = [await person.send_text(room, str(number)) for number in range(120)]
    batch = await bot.sync(batch.token)
    (gap,) = batch.gaps
    filled = [each.event_id async for page in bot.history(gap) for each in page]
    counted, *arrived = [each for each in batch.events if each.room_id == room]
    assert counted == MembersCounted(room, 1)
    assert filled + [each.event_id for each in arrived] == sent


async def test_tokens_that_the_homeserver_did_not_issue_are_unknown(bot, person, account):
    room = await entry_room(bot, person, account)
    with pytest.raises(TokenUnknown):
        await bot.sync(SyncToken("nonsense"))
    with pytest.raises(TokenUnknown):
        await bot.initial_sync(SyncToken("nonsense"))
    with pytest.raises(TokenUnknown):
        _ = [page async for page in bot.history(Gap(room, SyncToken("x"), SyncToken("y")))]


async def test_a_start_with_a_token_returns_the_new_events_and_all_rooms(
    bot, open_bot, person, account
):
    room = await entry_room(bot, person, account)
    quiet = await created(bot, CreateRoom("q", "Quiet", UserId(person.user_id)))
    batch, _ = await bot.initial_sync(None)
    asked = await person.send_text(room, "while you were away")
    later, topology = await (await open_bot()).initial_sync(batch.token)
    assert [each.event_id for each in later.events] == [asked]
    assert set(topology.rooms) == {room, quiet}


async def test_a_removal_arrives_with_its_reason(bot, person, account):
    room = await entry_room(bot, person, account)
    batch, _ = await bot.initial_sync(None)
    await person.kick(room, account.user_id, "enough")
    (each,) = (await bot.sync(batch.token)).events
    assert isinstance(each, BotRemoved)
    assert each.reason == f"kicked by {person.user_id}: enough"
    _, topology = await bot.initial_sync(None)
    assert room not in topology.rooms


async def test_a_removal_while_away_arrives_at_the_next_start(bot, open_bot, person, account):
    room = await entry_room(bot, person, account)
    batch, _ = await bot.initial_sync(None)
    await person.kick(room, account.user_id)
    later, _ = await (await open_bot()).initial_sync(batch.token)
    assert [type(each) for each in later.events] == [BotRemoved]


async def test_the_topology_has_everything_that_reconciliation_reads(
    bot, open_bot, person, account
):
    user = UserId(person.user_id)
    entry = await entry_room(bot, person, account)
    space = await created(bot, CreateRoom("s", "Lambda", user, space=True))
    chat = await created(bot, CreateRoom("c", "Chat 1", user, parent=space))
    await bot.perform(LinkChild(space, chat), TXN)
    await bot.perform(StoreBinding(chat, {"chat_id": "C1", "room_type": "chat"}), TXN)
    await person.join(space)
    await person.join(chat)
    for number in range(60):
        await person.send_text(chat, str(number))

    _, topology = await (await open_bot()).initial_sync(None)
    rooms = topology.rooms
    assert set(rooms) == {entry, space, chat}
    assert (rooms[entry].created_by, rooms[entry].invited_by) == (user, user)
    assert rooms[entry].binding is None
    assert rooms[space].is_space
    assert rooms[space].members == (user,)
    assert [(c.room_id, c.sender, c.via) for c in rooms[space].children] == [
        (chat, account.user_id, ("localhost",))
    ]
    assert (rooms[chat].nonce, rooms[chat].name) == ("c", "Chat 1")
    assert rooms[chat].binding == {"chat_id": "C1", "room_type": "chat"}
    assert rooms[space].created_at_ms < rooms[chat].created_at_ms


async def test_observing_a_room_returns_the_spaces_that_contain_it(bot, open_bot, person, account):
    user = UserId(person.user_id)
    space = await created(bot, CreateRoom("s", "Lambda", user, space=True))
    other = await created(bot, CreateRoom("o", "Other", user, space=True))
    claims = await created(bot, CreateRoom("c", "Claims", user, parent=space))
    unclaimed = await created(bot, CreateRoom("u", "Unclaimed", user))
    await bot.perform(LinkChild(space, claims), TXN)
    await bot.perform(LinkChild(other, unclaimed), TXN)
    fresh = await open_bot()
    await fresh.initial_sync(None)
    seen = (await fresh.observe_room(claims)).rooms
    assert set(seen) == {claims, space}
    assert seen[claims].members == (user,)
    assert set((await fresh.observe_room(unclaimed)).rooms) == {unclaimed, other}


async def test_a_room_that_the_bot_is_not_in_is_not_observed(bot, person, account):
    room = await entry_room(bot, person, account)
    assert set((await bot.observe_room(room)).rooms) == {room}
    await person.kick(room, account.user_id)
    assert (await bot.observe_room(room)).rooms == {}
    assert (await bot.observe_room(RoomId("!nowhere"))).rooms == {}


async def test_the_inviter_is_still_known_after_the_bot_changed_its_name(
    bot, open_bot, person, account, renamed_bot
):
    room = await entry_room(bot, person, account)
    await renamed_bot("Another Name")
    await renamed_bot("Yet Another Name")
    await person.wait_for(lambda event: event.content.get("displayname") == "Yet Another Name")
    fresh = await open_bot()
    _, topology = await fresh.initial_sync(None)
    assert topology.rooms[room].invited_by == person.user_id
    assert (await fresh.observe_room(room)).rooms[room].invited_by == person.user_id


async def test_a_space_created_by_another_client_is_found_by_its_link(bot, account, person):
    await bot.initial_sync(None)
    async with MatrixUser(account.homeserver, account.user_id, PASSWORD) as other_client:
        space = await other_client.create_room(creation_content={"type": "m.space"})
        room = await other_client.create_room(invite=[person.user_id])
        await other_client.send_state(space, "m.space.child", {"via": ["localhost"]}, room)
    assert set((await bot.observe_room(RoomId(room))).rooms) == {room, space}


async def test_the_numbers_of_a_chat_that_the_bot_was_removed_from_are_still_read(
    bot, open_bot, person, account
):
    user = UserId(person.user_id)
    space = await created(bot, CreateRoom("s", "Lambda", user, space=True))
    chat = await created(bot, CreateRoom("c", "Chat 1", user, parent=space))
    await bot.perform(LinkChild(space, chat), TXN)
    content = {"chat_id": "C1", "platform_chat_id": "7", "room_type": "chat"}
    await bot.perform(StoreBinding(chat, content), TXN)
    await person.join(chat)
    async with MatrixUser(person.url, account.user_id, PASSWORD) as same_account:
        await same_account.leave(chat)
    _, topology = await (await open_bot()).initial_sync(None)
    assert chat not in topology.rooms
    assert topology.former == {chat: content}
